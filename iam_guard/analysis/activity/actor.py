"""The principal whose activity is reported: a user, a role with all its sessions, one session, a root user, a service.

A user or role is named by ARN, or by unique id, which distinguishes it from an earlier one of the same name (P-6).
Requests of a GetFederationToken session count as the user's; records of such sessions don't have the unique id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from iam_guard.audit.consumer.record_filter import member
from iam_guard.errors import InvalidInput
from iam_guard.model.arn import Arn, is_account_id

Kind = Literal["user", "role", "session", "root", "service", "id"]

_UNIQUE_ID = re.compile(r"(AIDA|AROA)[A-Z0-9]{12,124}")
_SERVICE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
_EXPECTED = "expected the ARN of a user, a role, a session or the root user, a unique id, or the name of a service"


@dataclass(frozen=True, slots=True)
class Actor:
    """A principal to match records against. `name` is its ARN, unique id or service name."""

    name: str
    kind: Kind
    account: str | None = None

    @classmethod
    def parse(cls, name: str) -> Actor:
        """Parse an ARN, a unique id (`AIDA…`, `AROA…`) or a service name. Raises `InvalidInput`."""
        if _UNIQUE_ID.fullmatch(name):
            return cls(name, "id")
        if _SERVICE.fullmatch(name):
            return cls(name, "service")
        try:
            arn = Arn.parse(name)
        except InvalidInput:
            raise InvalidInput(f"{_EXPECTED}, got `{name[:200]}`") from None
        kind = _KINDS.get((arn.service, arn.resource.partition("/")[0]))
        if kind is None or not is_account_id(arn.account) or (kind != "root" and not arn.resource.partition("/")[2]):
            raise InvalidInput(f"{_EXPECTED}, got `{name[:200]}`")
        return cls(name, kind, arn.account)

    @property
    def has_policies(self) -> bool:
        """Whether the principal can have identity-based policies."""
        return self.kind in ("user", "role", "session", "id")

    def matches(self, identity: Mapping[str, Any]) -> bool:
        """Return whether a record's `userIdentity` is this principal or a session of it."""
        kind, issuer = identity.get("type"), member(identity, "sessionContext.sessionIssuer.arn")
        match self.kind:
            case "user" | "root":
                is_itself = kind in ("IAMUser", "Root") and identity.get("arn") == self.name
                return is_itself or (kind == "FederatedUser" and issuer == self.name)
            case "role":
                return kind == "AssumedRole" and issuer == self.name
            case "session":
                return identity.get("arn") == self.name
            case "service":
                return kind == "AWSService" and identity.get("invokedBy") == self.name
            case "id":
                unique_id = member(identity, "principalId").partition(":")[0]
                return kind in ("IAMUser", "AssumedRole") and unique_id == self.name


_KINDS: Mapping[tuple[str, str], Kind] = {
    ("iam", "user"): "user",
    ("iam", "role"): "role",
    ("iam", "root"): "root",
    ("sts", "assumed-role"): "session",
    ("sts", "federated-user"): "session",
}
