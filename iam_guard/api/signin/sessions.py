"""ListSessions, GetSession, BatchRevokeSessions, and introspection and revocation by refresh token.

Sessions of another account, or of another identity than the named one, are not found: whether they exist is not shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.operation import Keys, Permission
from iam_guard.api.paging import Key, page_of_rows
from iam_guard.api.service_errors import SessionNotFound
from iam_guard.api.signin.refresh_tokens import read_refresh_token
from iam_guard.api.signin.tokens import ISSUER
from iam_guard.authn.constant_time import same
from iam_guard.authn.people.sessions.tool_grants import current_terms, keeps_credentials
from iam_guard.authn.people.sessions.tool_sessions import revoke, session_arn_of
from iam_guard.authn.tokens.session_cookie import token_digest
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Resource
from iam_guard.store.database.records import PRESENT, Row
from iam_guard.store.identifiers import fold, identity_of_arn
from iam_guard.store.schema import identities, tool_sessions

_CHUNK: Final = 100
_ARN = re.compile(r"arn:[\w-]+:signin:[\w-]*:(?P<account>[0-9]{12}):session/(?P<id>[0-9a-f-]{36})", re.ASCII)


def list_sessions(call: ServiceCall, parameters: Input) -> Output:
    """Return a page of the sessions of an identity, or of the account."""
    owner = _owner(call, parameters)

    def fetch(after: Key | None, limit: int) -> Sequence[Row]:
        return [] if owner is None else _fetch(call, parameters, owner, after, limit)

    page = page_of_rows(parameters, ("id",), fetch)
    return {"items": [_summary(call, row) for row in page.rows], **page.members}


def get_session(call: ServiceCall, parameters: Input) -> Output:
    """Return one session. Raises `SessionNotFound`."""
    row = _session(call, parameters, parameters["sessionArn"])
    if row is None:
        raise SessionNotFound("The session does not exist.")
    agent = row["user_agent"]
    return {
        **_summary(call, row),
        "lastUsedAt": row["used"],
        "issuedInRegion": row["region"],
        "userAgent": agent or None,
    }


def batch_revoke_sessions(call: ServiceCall, parameters: Input) -> Output:
    """Revoke sessions; each that is not found is an error of its own."""
    revoked, errors = [], []
    for arn in parameters["sessionArns"]:
        row = _session(call, parameters, arn)
        if row is None:
            errors.append({"sessionArn": arn, "code": "RESOURCE_NOT_FOUND", "message": "The session does not exist."})
            continue
        revoke(call.records, row, call.now, parameters.get("reason", "revoked by BatchRevokeSessions"))
        revoked.append({"sessionArn": arn})
    return {"revokedSessions": revoked, "errors": errors}


def session_permissions(call: ServiceCall, parameters: Input) -> list[Permission]:
    """Return the permission on the session of GetSession."""
    return [Permission("signin:GetSession", _resource(call, parameters["sessionArn"]), {})]


def revocation_permissions(call: ServiceCall, parameters: Input) -> list[Permission]:
    """Return the permission on each session of BatchRevokeSessions."""
    arns = dict.fromkeys(parameters["sessionArns"])
    return [Permission("signin:BatchRevokeSessions", _resource(call, arn), {}) for arn in arns]


# --- by refresh token ----------------------------------------------------------------------------------------------


def introspect_token(call: ServiceCall, parameters: Input) -> Output:
    """Return what a refresh token of the account is for, if it still gets credentials (RFC 7662)."""
    row = _row_of_token(call, parameters["token"])
    if row is None or row["revoked"] is not None or not keeps_credentials(call.records, call.partition, row, call.now):
        return {"active": False}
    caller = current_terms(call.records, call.partition, row).principal
    return {
        "active": True,
        "clientId": row["client_id"],
        "userId": caller.userid,
        "tokenType": "refresh_token",
        "exp": row["expires"],
        "iat": row["used"],
        "nbf": row["used"],
        "sub": caller.arn,
        "iss": ISSUER,
        "accountId": row["account"],
        "signinSession": session_arn_of(call.partition, row),
    }


def revoke_token(call: ServiceCall, parameters: Input) -> Output:
    """Revoke the session of a refresh token of the account; nothing happens for any other token (RFC 7009)."""
    row = _row_of_token(call, parameters["token"])
    if row is not None:
        revoke(call.records, row, call.now, "revoked by RevokeOAuth2TokenWithIAM")
    return {}


def introspection_permissions(call: ServiceCall, parameters: Input) -> list[Permission]:
    """Return the permission for IntrospectOAuth2TokenWithIAM, whose action has a shorter name."""
    row = _row_of_token(call, parameters["token"])
    client: Keys = {} if row is None else {"signin:OAuthClientId": row["client_id"]}
    return [Permission("signin:IntrospectOAuth2Token", call.resource("*"), {**_token_type(parameters), **client})]


def token_revocation_permissions(call: ServiceCall, parameters: Input) -> list[Permission]:
    """Return the permission for RevokeOAuth2TokenWithIAM, whose action has a shorter name."""
    return [Permission("signin:RevokeOAuth2Token", call.resource("*"), _token_type(parameters))]


def _token_type(parameters: Input) -> Keys:
    is_refresh = parameters["token"].startswith("ASOR")
    return {"signin:OAuthTokenType": "refresh_token" if is_refresh else "access_token"}


def _row_of_token(call: ServiceCall, text: str) -> Row | None:
    """Return the live session of the account that a refresh token is the present one of, or the one before."""
    token = read_refresh_token(call.sealer, text)
    row = None if token is None else call.records.one(tool_sessions, id=token.session_id, account=call.account)
    if row is None or row["expires"] <= call.now:
        return None
    digest = token_digest(text)
    is_former = same(digest, row["former_digest"] or "") and call.now < (row["former_until"] or 0)
    return row if is_former or same(digest, row["refresh_digest"] or "") else None


# --- finding -------------------------------------------------------------------------------------------------------


def _session(call: ServiceCall, parameters: Input, arn: str) -> Row | None:
    """Return the live session with an ARN, if it is of the identity that the call names."""
    owner, found = _owner(call, parameters), _ARN.fullmatch(arn)
    if owner is None or found is None or found["account"] != call.account:
        return None
    row = call.records.one(tool_sessions, id=found["id"], account=call.account, key_thumbprint=PRESENT, **owner)
    is_live = row is not None and row["expires"] > call.now and session_arn_of(call.partition, row) == arn
    return row if is_live else None


def _resource(call: ServiceCall, arn: str) -> Resource:
    """Return what the permission is about: the session, or everything for what is no session of the account."""
    found = _ARN.fullmatch(arn)
    return call.resource(arn if found is not None and found["account"] == call.account else "*")


def _owner(call: ServiceCall, parameters: Input) -> Mapping[str, Any] | None:
    """Return the condition of the rows of the identity that a call names; None for one that the account hasn't."""
    arn = parameters.get("principalArn")
    if arn is None:
        return _own(call.caller)
    account, _, resource = arn.split(":", 4)[4].partition(":")
    if account != call.account:
        return None
    if resource == "*":
        return {}
    named = identity_of_arn(arn)
    if named is None:  # the root user, or a federated user
        return {"owner": arn}
    row = call.records.one(identities, account=account, kind=named[1].value, folded=fold(named[2]))
    return {"identity_id": row["id"]} if row is not None and row["name"] == named[2] else None


def _own(caller: Principal) -> Mapping[str, Any]:
    if caller.type in (PrincipalType.USER, PrincipalType.ASSUMED_ROLE):
        return {"identity_id": (caller.userid or "").partition(":")[0]}  # P-13
    return {"owner": caller.arn}


def _fetch(
    call: ServiceCall, parameters: Input, owner: Mapping[str, Any], after: Key | None, limit: int
) -> Sequence[Row]:
    """Return the next live sessions that pass the filters of ListSessions."""
    where = {"account": call.account, "key_thumbprint": PRESENT, **owner}
    if "clientId" in parameters:
        where["client_id"] = parameters["clientId"]
    found: list[Row] = []
    while len(found) < limit:
        rows = call.records.page(tool_sessions, order=("id",), after=after, limit=_CHUNK, **where)
        found += _filtered(call, parameters, rows)
        if len(rows) < _CHUNK:
            break
        after = (rows[-1]["id"],)
    return found[:limit]


def _filtered(call: ServiceCall, parameters: Input, rows: Sequence[Row]) -> Iterator[Row]:
    for row in rows:
        is_issued_then = parameters.get("issuedAfter", 0) <= row["created"] < parameters.get("issuedBefore", 1 << 62)
        if is_issued_then and row["expires"] > call.now and parameters.get("status") in (None, _status(row)):
            yield row


def _status(row: Row) -> str:
    return "ACTIVE" if row["revoked"] is None else "REVOKED"


def _summary(call: ServiceCall, row: Row) -> Output:
    owner: str = row["owner"]
    kind, slash, name = owner.rpartition(":")[2].partition("/")
    # the model has no paths
    principal = f"{owner.rpartition(':')[0]}:{kind}{slash}{name.rpartition('/')[2]}" if slash else owner
    return {
        "sessionArn": session_arn_of(call.partition, row),
        "principalArn": principal,
        "role": principal if kind == "role" else None,
        "status": _status(row),
        "issuedAt": row["created"],
        "expiresAt": row["expires"],
        "clientId": row["client_id"],
        "clientType": "CLI",
    }
