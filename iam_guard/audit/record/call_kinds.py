"""Which of our own API calls issue a session and which change policies; any other change is an `admin_call`.

The actions of `iam-guard` are changes by the application and its operator, not calls over the wire.
"""

from __future__ import annotations

SESSION_ISSUE = "session_issue"
POLICY_CHANGE = "policy_change"
ADMIN_CALL = "admin_call"
RESULT_KINDS = (SESSION_ISSUE, POLICY_CHANGE, ADMIN_CALL)

_STS_CALLS = (
    "AssumeRole AssumeRoleWithWebIdentity AssumeRoleWithSAML AssumeRoot GetSessionToken GetFederationToken"
    " GetWebIdentityToken".split()
)
SESSIONS = frozenset([*(f"sts:{name}" for name in _STS_CALLS), "signin:CreateOAuth2Token"])
"""Calls that return credentials or a token."""

_POLICY_CALLS = [
    f"{verb}{kind}Policy" for verb in ("Put", "Delete", "Attach", "Detach") for kind in ("User", "Group", "Role")
]
_BOUNDARY_CALLS = [f"{verb}{kind}PermissionsBoundary" for verb in ("Put", "Delete") for kind in ("User", "Role")]
_TAG_CALLS = [f"{verb}{kind}" for verb in ("Tag", "Untag") for kind in ("User", "Role")]
_OTHER_CALLS = (
    "CreatePolicy CreatePolicyVersion SetDefaultPolicyVersion DeletePolicyVersion DeletePolicy"
    " CreateRole UpdateAssumeRolePolicy DeleteRole CreateServiceLinkedRole DeleteServiceLinkedRole"
    " AddUserToGroup RemoveUserFromGroup".split()
)
_OWN_CALLS = (
    "PutResourcePolicy",
    "DeleteResourcePolicy",
    "ShareResource",
    "UnshareResource",
    "ApplySeed",
    "CreateAccount",
)

POLICY_CHANGES = frozenset(
    [
        *(f"iam:{name}" for name in (*_POLICY_CALLS, *_BOUNDARY_CALLS, *_TAG_CALLS, *_OTHER_CALLS)),
        *(f"iam-guard:{name}" for name in _OWN_CALLS),
    ]
)
"""Calls that change policies or where they apply: documents, attachments, boundaries, trust, groups, and the tags of
principals, which conditions may test.
"""


def kind_of(action: str) -> str:
    """Return the record kind for the result of a call."""
    if action in SESSIONS:
        return SESSION_ISSUE
    return POLICY_CHANGE if action in POLICY_CHANGES else ADMIN_CALL
