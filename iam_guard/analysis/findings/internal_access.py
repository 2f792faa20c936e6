"""Find the users and roles of a zone of trust that can reach a resource, by all policy types together (rule AA-11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Restriction: TypeAlias = Literal["APPLIED", "NOT_APPLICABLE", "FAILED_TO_EVALUATE_SCP", "FAILED_TO_EVALUATE_RCP"]
"""Whether control policies limited what was found (rules AA-6, AA-11). AWS's `APPLICABLE`, present but not evaluated,
never occurs here."""


@dataclass(frozen=True, slots=True)
class InternalFinding:
    """A user or role of the zone of trust that reaches a resource (rule AA-11).

    `principal` is an ARN: of a user, of a role (for all its sessions), or of one session that a policy names.
    `actions` may be wildcards such as `docs:Get*`: an action that they match and that no other entry names. `condition`
    maps the condition keys that the access depends on to their values as text; it is empty if there are none.
    """

    resource: str
    resource_type: str
    owner: str
    principal: str
    principal_type: Literal["IAM_ROLE", "IAM_USER"]
    principal_account: str
    actions: tuple[str, ...]
    condition: Mapping[str, str]
    access_type: Literal["INTRA_ACCOUNT", "INTRA_ORG"]
    scp_restriction: Restriction
    rcp_restriction: Restriction

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "findingType": "InternalAccess",
            "resource": self.resource,
            "resourceType": self.resource_type,
            "resourceOwnerAccount": self.owner,
            "principal": {"AWS": self.principal},
            "principalType": self.principal_type,
            "principalOwnerAccount": self.principal_account,
            "action": list(self.actions),
            "condition": dict(self.condition),
            "accessType": self.access_type,
            "serviceControlPolicyRestriction": self.scp_restriction,
            "resourceControlPolicyRestriction": self.rcp_restriction,
        }
