"""The credential that a caller authenticated with, as its principal has it. Nothing secret."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, TypeAlias, get_args

from iam_guard.model.json_form import (
    MOMENT,
    REQUIRED_MOMENT,
    REQUIRED_TEXT,
    TEXT,
    TEXTS,
    choice_form,
    object_form,
)


@dataclass(frozen=True, slots=True)
class Issued:
    """The terms of temporary credentials and browser sessions (rules S-1, S-16, S-22). Nothing secret."""

    issued: datetime
    expires: datetime
    transitive_tag_keys: tuple[str, ...] = ()
    source_identity: str | None = None
    mfa_at: datetime | None = None
    parent_key_id: str | None = None
    """The long-term access key that a user's or federated user's session ends with (S-51)."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """The sealed principal that a worker has opened: `guard.sealed_principals.open`. Nothing secret."""

    id: str
    expires: datetime


CredentialKind: TypeAlias = Literal["sigv4", "sts", "api-key", "oidc", "x509", "session", "none", "unknown"]
"""The one list of kinds of credentials; `session` is a browser's, and `unknown` one that could not be parsed.

Audit records have these names.
"""


@dataclass(frozen=True, slots=True)
class Credential:
    """The credential that the caller authenticated with, for the audit trail. Nothing secret."""

    kind: CredentialKind
    id: str | None = None
    """The access key id, API key id, certificate fingerprint, public id of a session, or a digest of the token."""
    region: str | None = None
    service: str | None = None
    issued: Issued | None = None
    """For temporary credentials and browser sessions only."""
    host: str | None = None
    """The host of `public_hosts` that was signed instead of the received `Host`; the application routes by it."""
    envelope: Envelope | None = None
    """For a principal that a worker has opened only; the rest is that of the caller who was sealed."""


_ISSUED = {
    "issued": REQUIRED_MOMENT,
    "expires": REQUIRED_MOMENT,
    "transitive_tag_keys": TEXTS,
    "source_identity": TEXT,
    "mfa_at": MOMENT,
    "parent_key_id": TEXT,
}
_MEMBERS = {
    "kind": choice_form(get_args(CredentialKind), is_required=True),
    "id": TEXT,
    "region": TEXT,
    "service": TEXT,
    "issued": object_form(Issued, _ISSUED),
    "host": TEXT,
    "envelope": object_form(Envelope, {"id": REQUIRED_TEXT, "expires": REQUIRED_MOMENT}),
}
CREDENTIAL_FORM: Final = object_form(Credential, _MEMBERS)
