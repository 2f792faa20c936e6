"""The operation table of AWS Sign-In: credentials for people's tools, and their sessions."""

from __future__ import annotations

from typing import Final

from iam_guard.api.operation import Operation, Service
from iam_guard.api.paging import PageMembers
from iam_guard.api.signin.sessions import (
    batch_revoke_sessions,
    get_session,
    introspect_token,
    introspection_permissions,
    list_sessions,
    revocation_permissions,
    revoke_token,
    session_permissions,
    token_revocation_permissions,
)
from iam_guard.api.signin.tokens import create_token, token_permissions, verify_grant

_NO_BEARER: Final = "tools get credentials for signatures here, by CreateOAuth2Token"
_NO_POLICY: Final = "the sign-in has no resource-based policy here; identity-based policies decide about tools"

SIGNIN = Service(
    "signin",
    {
        "BatchRevokeSessions": Operation(batch_revoke_sessions, permissions=revocation_permissions),
        "CreateOAuth2Token": Operation(create_token, permissions=token_permissions, verify_token=verify_grant),
        "GetSession": Operation(get_session, permissions=session_permissions, reads=True),
        "IntrospectOAuth2TokenWithIAM": Operation(introspect_token, permissions=introspection_permissions, reads=True),
        "ListSessions": Operation(list_sessions, reads=True),
        "RevokeOAuth2TokenWithIAM": Operation(revoke_token, permissions=token_revocation_permissions),
    },
    {
        **dict.fromkeys(("CreateBearerToken", "CreateOAuth2TokenWithIAM"), _NO_BEARER),
        "CreateOAuth2TokenWithTokenExchange": _NO_BEARER,
        **dict.fromkeys(
            (
                "DeleteConsoleAuthorizationConfiguration",
                "DeleteResourcePermissionStatement",
                "GetConsoleAuthorizationConfiguration",
                "GetResourcePolicy",
                "ListResourcePermissionStatements",
                "PutConsoleAuthorizationConfiguration",
                "PutResourcePermissionStatement",
            ),
            _NO_POLICY,
        ),
    },
    PageMembers("maxResults", "nextToken"),
)
