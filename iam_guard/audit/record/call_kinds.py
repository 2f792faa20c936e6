"""Which of our own calls issue a session, and which change who may do what: one table of their actions.

Every other call that changes something is an `admin_call`. The actions of `iam-guard` are those of the application and
its operator, which nobody calls over the wire.
"""

from __future__ import annotations

from typing import Final

SESSION_ISSUE: Final = "session_issue"
POLICY_CHANGE: Final = "policy_change"
ADMIN_CALL: Final = "admin_call"
RESULT_KINDS: Final = (SESSION_ISSUE, POLICY_CHANGE, ADMIN_CALL)

SESSIONS: Final = frozenset(
    "AssumeRole AssumeRoleWithWebIdentity AssumeRoleWithSAML AssumeRoot GetSessionToken GetFederationToken"
    " GetWebIdentityToken".split()
)
"""Calls of STS that give credentials, or a token."""

_HELD = [f"{verb}{kind}Policy" for verb in ("Put", "Delete", "Attach", "Detach") for kind in ("User", "Group", "Role")]
_BOUNDARIES = [f"{verb}{kind}PermissionsBoundary" for verb in ("Put", "Delete") for kind in ("User", "Role")]
_PRINCIPAL_TAGS = [f"{verb}{kind}" for verb in ("Tag", "Untag") for kind in ("User", "Role")]
_OTHERS = (
    "CreatePolicy CreatePolicyVersion SetDefaultPolicyVersion DeletePolicyVersion DeletePolicy"
    " CreateRole UpdateAssumeRolePolicy DeleteRole CreateServiceLinkedRole DeleteServiceLinkedRole"
    " AddUserToGroup RemoveUserFromGroup".split()
)

POLICY_CHANGES: Final = frozenset(
    [
        *(f"iam:{name}" for name in (*_HELD, *_BOUNDARIES, *_PRINCIPAL_TAGS, *_OTHERS)),
        *(f"iam-guard:{name}" for name in ("PutResourcePolicy", "DeleteResourcePolicy", "ApplySeed")),
    ]
)
"""Calls that change policies and where they apply: documents, attachments, boundaries, trust, groups, and the tags of
principals, which conditions ask for."""


def kind_of(action: str) -> str:
    """Return the kind of the record of what a call came to."""
    service, _, name = action.partition(":")
    if service == "sts" and name in SESSIONS:
        return SESSION_ISSUE
    return POLICY_CHANGE if action in POLICY_CHANGES else ADMIN_CALL
