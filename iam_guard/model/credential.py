"""Stored keys and sessions, as needed to verify a credential. Their secrets never appear in a repr."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from iam_guard.model.principal import Principal

TEMPORARY: Final = "ASIA"
"""The prefix of temporary access key ids (P-4); long-term keys with it are refused."""


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A long-term access key of a user or root user. `secret` is the plain secret, for the verifier only."""

    id: str
    secret: str = field(repr=False)
    active: bool
    principal: Principal
    """The owner, without a `credential`. Without tags too, since they would count as session tags and be cached with
    the key: `Store.principal` adds the current ones for each decision."""
    epoch: int | None = field(default=None, compare=False, repr=False)
    """The epoch of the store that it was read at."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key. `digest` is the SHA-256 of the secret, which is not stored."""

    id: str
    digest: bytes = field(repr=False)
    active: bool
    principal: Principal
    """The owner, with `session_policies` if the key is restricted."""
    expires: datetime | None = None
    epoch: int | None = field(default=None, compare=False, repr=False)
    """The epoch of the store that it was read at."""


@dataclass(frozen=True, slots=True)
class Session:
    """Temporary credentials of STS: the content of a sealed session token (rules S-1, S-2).

    `principal` is their caller: ARN, unique id, `role_arn` or `user_arn`, session tags, session policies and stored
    condition keys (`session`), without a `credential`. The role's own tags, policies and boundary come from the store.
    """

    access_key_id: str
    secret: str = field(repr=False)
    principal: Principal
    issued: datetime
    expires: datetime
    parent_key_id: str | None = None
    """The long-term access key that requested the session; None if other credentials did.

    The sessions of users and federated users end with it (S-51), those of roles do not.
    """
    parent_user_id: str | None = None
    """The unique id of a federated user's federating user, since names can be reused (P-6); the account id for root."""
    transitive_tag_keys: tuple[str, ...] = ()
    """Keys of the session tags that chained sessions inherit (S-22)."""
    source_identity: str | None = None
    mfa_at: datetime | None = None
    """When the caller authenticated with MFA; `aws:MultiFactorAuthAge` counts from it."""


@dataclass(frozen=True, slots=True)
class SwitchedRole:
    """The role that a person switched to in a browser session."""

    arn: str
    account: str
    label: str
    """What the person calls it; may be empty."""
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class FederatedOrigin:
    """How a browser session without a stored person began: an identity provider, or temporary credentials."""

    method: Literal["oidc", "saml", "credentials"]
    provider: str | None = None
    """The ARN of the identity provider; None for credentials."""
    parent_key_id: str | None = None
    """The access key of a federated user's parent, which the session ends with (S-51)."""
    parent_user_id: str | None = None
    """The unique id of that key's user; the account id for a root user."""


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """The session of a person who signed in with a browser. Its token is not stored.

    `id` is public. `principal` is the caller: the person, or the session of the role that it has switched to. `person`
    is the user or root user in either case. Both are complete with their `credential`. With `federation` there is no
    stored person: both are the same role session or federated user.
    """

    id: str
    digest: str = field(repr=False)
    """The SHA-256 of the token, in hexadecimal."""
    principal: Principal
    person: Principal
    role: SwitchedRole | None
    created: datetime
    """When the person signed in."""
    seen: datetime
    """The last use, to the minute; a cached session may have been used since."""
    expires: datetime
    mfa_at: datetime | None
    """When the person last authenticated with a second factor; None: not in this session."""
    methods: tuple[str, ...]
    """How the person signed in: `password`, `totp`, `passkey`, `recovery`; or the method of `federation`."""
    task: str | None
    """What must be done before anything else, a `Task` of `session_steps`, or `role` if the time in a role is over.

    The session authorizes nothing else.
    """
    address: str
    user_agent: str
    federation: FederatedOrigin | None = None
    epoch: int | None = field(default=None, compare=False, repr=False)
    """The epoch of the store that it was read at."""
