"""The sessions of an account's people in browsers, decided as AWS decides about those of tools."""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.entities import load_user
from iam_guard.api.operation import Permission
from iam_guard.api.own.call_store import browser_sessions_of
from iam_guard.api.own.links import named_user
from iam_guard.api.paging import DEFAULT_ITEMS, page_from, position_of
from iam_guard.authn.people.person import PersonRef
from iam_guard.model.credential import BrowserSession


def list_browser_sessions(call: ServiceCall, parameters: Input) -> Output:
    """Return a page of the sessions of a user, or of the account. Raises `NoSuchEntity`."""
    limit = parameters.get("MaxItems", DEFAULT_ITEMS)
    page = browser_sessions_of(call).list(_owner(call, parameters), after=position_of(parameters), limit=limit)
    return {
        "sessions": [_described(session) for session in page.sessions],
        **page_from(None if page.after is None else (page.after,)),
    }


def end_browser_session(call: ServiceCall, parameters: Input) -> None:
    """End one session. Raises `NoSuchEntity`."""
    browser_sessions_of(call).end(call.account, parameters["sessionId"])


def end_browser_sessions(call: ServiceCall, parameters: Input) -> Output:
    """End the sessions of a user, or of the account. Raises `NoSuchEntity`."""
    return {"ended": browser_sessions_of(call).end_all(_owner(call, parameters))}


def list_permissions(call: ServiceCall, parameters: Input) -> list[Permission]:
    """Return the permission to list sessions, which AWS decides about `*`."""
    return [Permission("signin:ListSessions", call.resource("*"), {})]


def end_permissions(call: ServiceCall, parameters: Input) -> list[Permission]:
    """Return the permission to end the session of a call, or all sessions of the account."""
    named = f"signin:{call.server.region}:{call.account}:session/{parameters.get('sessionId', '*')}"
    return [Permission("signin:BatchRevokeSessions", call.resource(f"arn:{call.partition}:{named}"), {})]


def _owner(call: ServiceCall, parameters: Input) -> str | PersonRef:
    if "userName" not in parameters:
        return call.account
    return PersonRef(call.account, load_user(call, named_user(parameters))["name"])


def _described(session: BrowserSession) -> Output:
    federation = session.federation
    return {
        "sessionId": session.id,
        "principalArn": session.person.arn,
        "roleArn": None if session.role is None else session.role.arn,
        "createdAt": session.created,
        "lastUsedAt": session.seen,
        "expiresAt": session.expires,
        "mfaAt": session.mfa_at,
        "task": session.task,
        "signedInBy": None if federation is None else federation.provider or federation.method,
        "ipAddress": session.address,
        "userAgent": session.user_agent,
    }
