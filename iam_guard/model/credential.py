"""What the store hands out so that a credential can be verified. Secrets live here in memory only and never show in a
repr. Must not live here: how a credential is verified (`authn`) or kept (`store`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from iam_guard.model.principal import Principal


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
