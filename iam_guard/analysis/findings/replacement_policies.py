"""Recommend policies without unused permissions (rule AA-43)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class RecommendedStep:
    """One step that removes unused permissions (rule AA-43).

    `existing_policy` is the ARN of a managed policy or the name of an inline one, which the principal holds by itself
    or through `group`. `document` is the JSON text of the policy to create instead; None for `DETACH_POLICY`.
    """

    action: Literal["CREATE_POLICY", "DETACH_POLICY"]
    existing_policy: str
    document: str | None = None
    group: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "recommendedAction": self.action,
            "recommendedPolicy": self.document,
            "existingPolicyId": self.existing_policy,
            "group": self.group,
        }
