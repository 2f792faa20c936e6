"""What the store hands out so that a credential can be verified. Secrets live here in memory only and never show in a
repr.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from iam_guard.model.principal import Principal

TEMPORARY: Final = "ASIA"
"""How the ids of temporary access keys begin (P-4); no long-term key is taken for good that begins so."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A long-term access key of a user or root user. `secret` is the plain secret, for the verifier only."""

    id: str
    secret: str = field(repr=False)
    active: bool
    principal: Principal
    """Its owner, with account, ARN and unique id; without a `credential`, and without tags, which would pass for
    session tags and outlive the stored ones: `Store.principal` fills them in for each decision."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key. `digest` is the SHA-256 of the secret part; the secret itself is kept nowhere."""

    id: str
    digest: bytes = field(repr=False)
    active: bool
    principal: Principal
    """With `session_policies` where the key is scoped down."""
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """Temporary credentials as STS issued them: everything that the sealed session token carries (rules S-1, S-2).

    `principal` is the caller that they make: its ARN, unique id, `role_arn` or `user_arn`, session tags, session
    policies and frozen context keys (`session`); without a `credential`. What follows from the store (the role's own
    tags, its policies, its boundary) is not in it.
    """

    access_key_id: str
    secret: str = field(repr=False)
    principal: Principal
    issued: datetime
    expires: datetime
    parent_key_id: str | None = None
    """The long-term access key that asked for the session of a user or federated user: they end with it (S-51)."""
    parent_user_id: str | None = None
    """The unique id of who federates a federated user, since a name may change hands (P-6); the root user's is the
    account's."""
    transitive_tag_keys: tuple[str, ...] = ()
    """Keys of session tags that sessions which are chained to this one inherit (S-22)."""
    source_identity: str | None = None
    mfa_at: datetime | None = None
    """When the MFA code was shown that `aws:MultiFactorAuthAge` counts from."""
