"""The checks of a policy that `guard.sharing.share` results in."""

from __future__ import annotations

from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.checks.policy_checks import ListedAccess, check_access_not_granted, check_no_public_access
from iam_guard.model.decision import PolicyType

_ANY_TYPE = "AWS::S3::Bucket"
"""Each resource type is checked alike."""


class ShareChecks:
    """The `ShareAnalysis` of a guard: what is not proved counts as public, and as allowed."""

    def is_public(self, policy: str) -> bool:
        """Return whether a resource's policy grants access to everyone, or may do so."""
        return check_no_public_access(policy, _ANY_TYPE).verdict is not CheckVerdict.PASS

    def allows_none(self, policy: str, action: str) -> bool:
        """Return whether it is proved that a policy allows no request for an action."""
        access = [ListedAccess(actions=(action,))]
        return check_access_not_granted(policy, access, PolicyType.RESOURCE).verdict is CheckVerdict.PASS
