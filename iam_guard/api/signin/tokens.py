"""CreateOAuth2Token: credentials of a tool for a code or a refresh token, bound to the tool's key (RFC 7636, 9449).

    row of the session      code                                    refresh token
    not redeemed            redeemed, if everything matches; else   -
                            the session ends
    live                    the session ends (used twice)           present: renewed. Former, in its window: the same
                                                                    answer again. Any other: the session ends
    revoked, over, gone     AUTHCODE_EXPIRED                        TOKEN_EXPIRED

A former refresh token gets the present one again for as long as the credentials of that renewal last, since the answer
may have been lost, and several processes may share one. A tool that proves another key changes nothing.

The call is unsigned: proof and session are found before the permission is decided, and all is checked again in the
transaction that issues. INVARIANT: without a refusal a permission was required, since both follow from the same rows.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, NamedTuple

from iam_guard.api.call import Input, Output, ServiceCall, VerifiedGrant
from iam_guard.api.operation import OperationRequest, Permission
from iam_guard.api.service_errors import ExpiredGrant, InvalidGrant, RefusedGrant
from iam_guard.api.signin.refresh_tokens import new_refresh_token, read_refresh_token
from iam_guard.api.sts.credentials import new_temporary_key
from iam_guard.authn.constant_time import same
from iam_guard.authn.people.sessions.browser_sessions import MAX_USER_AGENT, stored_text
from iam_guard.authn.people.sessions.tool_grants import current_terms, keeps_credentials
from iam_guard.authn.people.sessions.tool_sessions import client_resource, revoke, session_arn_of
from iam_guard.authn.tokens.dpop import use_proof, verify_proof
from iam_guard.authn.tokens.oidc_token import base64url
from iam_guard.authn.tokens.session_cookie import token_digest
from iam_guard.errors import MissingAuthenticationToken, ValidationError
from iam_guard.model.credential import Session
from iam_guard.model.principal import Credential, Issued, Principal
from iam_guard.store.accounts.account_state_rows import is_active
from iam_guard.store.database.records import Row
from iam_guard.store.schema import sealing_context, tool_sessions

ACTION: Final = "signin:CreateOAuth2Token"
ISSUER: Final = "signin.amazonaws.com"
MAX_SECONDS: Final = 900
"""The longest time of credentials."""
CODE, REFRESH = "authorization_code", "refresh_token"
_REQUIRED: Final = {CODE: ("code", "codeVerifier", "redirectUri"), REFRESH: ("refreshToken",)}

_CODE_EXPIRED = ExpiredGrant, "AUTHCODE_EXPIRED", "The authorization code has expired or was used before."
_TOKEN_EXPIRED = ExpiredGrant, "TOKEN_EXPIRED", "The refresh token has expired or was revoked."
_CHANGED = RefusedGrant, "USER_CREDENTIALS_CHANGED", "The credentials of the user have changed."
_MISMATCH = InvalidGrant, "INVALID_REQUEST"


class GrantRefusal(NamedTuple):
    """Why a grant gets nothing. `revokes` is the reason with which its session ends, None if it goes on."""

    kind: type[RefusedGrant]
    error: str
    message: str
    revokes: str | None = None


def verify_grant(request: OperationRequest) -> VerifiedGrant:
    """Return the session and the proof of a request. Raises the error for one without."""
    given: Mapping[str, Any] = request.parameters["tokenInput"]
    missing = [name for name in _REQUIRED[given["grantType"]] if name not in given]
    if missing:
        raise ValidationError(f"expected `{missing[0]}` for the grant type {given['grantType']}", place=missing[0])
    if request.possession is None:
        raise MissingAuthenticationToken("Request is missing Authentication Token")
    proof = verify_proof(request.possession, request.now)
    row = _find(request, given)
    return VerifiedGrant(row["account"], row["id"], proof, request.user_agent)


def token_permissions(call: ServiceCall, parameters: Input) -> list[Permission]:
    """Return the permission of the session's principal to get a token; none for a grant that is refused anyway."""
    given, grant = parameters["tokenInput"], _grant(call)
    row = call.records.one(tool_sessions, id=grant.session_id)
    if row is None or _refusal(call, given, row) is not None:
        return []
    caller = _caller(current_terms(call.records, call.partition, row))
    keys = {"signin:OAuthClientId": row["client_id"], "signin:OAuthGrantType": given["grantType"]}
    if given["grantType"] == CODE:
        keys["signin:OAuthRedirectUri"] = row["redirect_uri"]
    client = client_resource(call.partition, row["region"], caller, row["client_id"])
    return [Permission(ACTION, client, keys, caller)]


def create_token(call: ServiceCall, parameters: Input) -> Output:
    """Issue credentials and the next refresh token. Raises `RefusedGrant`, `InvalidInput` for a used proof."""
    given, grant = parameters["tokenInput"], _grant(call)
    use_proof(call.records, grant.proof, call.now)
    row = call.records.one(tool_sessions, id=grant.session_id)
    if row is None:  # deleted with its user or role since it was found
        raise RefusedGrant(*_CHANGED[1:])
    refusal = _refusal(call, given, row)
    if refusal is not None:
        if refusal.revokes is not None:
            revoke(call.records, row, call.now, refusal.revokes)
        raise refusal.kind(refusal.error, refusal.message, place=session_arn_of(call.partition, row))
    terms = current_terms(call.records, call.partition, row)
    seconds = min(MAX_SECONDS, row["expires"] - call.now)
    token = _next_token(call, given, row, grant, seconds)
    output = {
        "accessToken": _credentials(call, terms, seconds),
        "tokenType": "aws_sigv4",
        "expiresIn": seconds,
        "refreshToken": token,
    }
    if given["grantType"] == CODE:
        output["idToken"] = _id_token(call, row, terms.principal.arn, token)
    return {"tokenOutput": output}


# --- who and whether -----------------------------------------------------------------------------------------------


def _grant(call: ServiceCall) -> VerifiedGrant:
    if not isinstance(call.verified_token, VerifiedGrant):
        raise MissingAuthenticationToken("Request is missing Authentication Token")
    return call.verified_token


def _find(request: OperationRequest, given: Mapping[str, Any]) -> Row:
    """Return the session that a code or refresh token belongs to. Raises `RefusedGrant`."""
    if given["grantType"] == CODE:
        with request.store.read_transaction() as records:
            row = records.one(tool_sessions, code_digest=token_digest(given["code"]))
        if row is None:
            raise ExpiredGrant(*_CODE_EXPIRED[1:])
        return row
    token = read_refresh_token(request.store.sealer, given["refreshToken"])
    if token is None or token.expires <= request.now:
        raise ExpiredGrant(*_TOKEN_EXPIRED[1:])
    with request.store.read_transaction() as records:
        row = records.one(tool_sessions, id=token.session_id)
    if row is None:  # deleted with its user or role, since it has not expired
        raise RefusedGrant(*_CHANGED[1:])
    return row


def _refusal(call: ServiceCall, given: Mapping[str, Any], row: Row) -> GrantRefusal | None:
    """Return why a grant gets nothing."""
    is_code = given["grantType"] == CODE
    refusal = _refusal_of_code(call, given, row) if is_code else _refusal_of_token(call, given, row)
    if refusal is None and not all(is_active(call.records, id) for id in (row["account"], row["person_account"]) if id):
        return GrantRefusal(*_CHANGED)  # the session goes on once the account is resumed
    if refusal is None and not keeps_credentials(call.records, call.partition, row, call.now):
        return GrantRefusal(*_CHANGED, "the credentials of the user have changed")
    return refusal


def _refusal_of_code(call: ServiceCall, given: Mapping[str, Any], row: Row) -> GrantRefusal | None:
    if row["key_thumbprint"] is not None:
        return GrantRefusal(*_CODE_EXPIRED, "the authorization code was used twice")
    if row["revoked"] is not None or min(row["code_expires"], row["expires"]) <= call.now:
        return GrantRefusal(*_CODE_EXPIRED)
    stated = (given["clientId"], given["redirectUri"], _challenge_of(given["codeVerifier"]))
    if not same("\n".join(stated), "\n".join((row["client_id"], row["redirect_uri"], row["code_challenge"]))):
        message = "expected the client, redirect and code verifier that the authorization code was requested with"
        return GrantRefusal(*_MISMATCH, message, "the authorization code was presented with another client or verifier")
    return None


def _refusal_of_token(call: ServiceCall, given: Mapping[str, Any], row: Row) -> GrantRefusal | None:
    if row["client_id"] != given["clientId"] or not same(row["key_thumbprint"] or "", _grant(call).proof.thumbprint):
        return GrantRefusal(*_MISMATCH, "expected the client and the key that the refresh token was issued to")
    if row["revoked"] is not None or row["expires"] <= call.now:
        return GrantRefusal(*_TOKEN_EXPIRED)
    digest = token_digest(given["refreshToken"])
    is_former = same(digest, row["former_digest"] or "") and call.now < (row["former_until"] or 0)
    if not is_former and not same(digest, row["refresh_digest"] or ""):
        return GrantRefusal(*_TOKEN_EXPIRED, "a former refresh token was used again")
    return None


def _challenge_of(verifier: str) -> str:
    return base64url(hashlib.sha256(verifier.encode()).digest())


# --- what is issued ------------------------------------------------------------------------------------------------


def _caller(terms: Session) -> Principal:
    """Return the principal of the session as a caller, for the decision and the audit trail."""
    issued = Issued(terms.issued, terms.expires, terms.transitive_tag_keys, terms.source_identity, terms.mfa_at)
    return replace(terms.principal, credential=Credential("sts", issued=issued))


def _next_token(call: ServiceCall, given: Mapping[str, Any], row: Row, grant: VerifiedGrant, seconds: int) -> str:
    """Store that the session got credentials, and return its refresh token: a new one, or again the present one."""
    used = {"used": call.now, "user_agent": stored_text(grant.user_agent, MAX_USER_AGENT)}
    context = sealing_context(tool_sessions.c.sealed_refresh, row["id"])
    is_present = given["grantType"] == CODE or same(token_digest(given["refreshToken"]), row["refresh_digest"] or "")
    if not is_present:
        call.records.update(tool_sessions, used, id=row["id"])
        return call.sealer.open(row["sealed_refresh"], context).decode("ascii")
    token = new_refresh_token(call.sealer, row["id"], row["expires"])
    new: dict[str, Any] = {
        "refresh_digest": token_digest(token),
        "sealed_refresh": call.sealer.seal(token.encode("ascii"), context),
        "former_digest": row["refresh_digest"],
        "former_until": call.now + seconds,
        "key_thumbprint": grant.proof.thumbprint,
    }
    call.records.update(tool_sessions, used | new, id=row["id"])
    return token


def _credentials(call: ServiceCall, terms: Session, seconds: int) -> Output:
    key_id, secret = new_temporary_key(terms.principal.account or call.account)
    expires = call.time + timedelta(seconds=seconds)
    session = replace(terms, access_key_id=key_id, secret=secret, expires=expires)
    return {"accessKeyId": key_id, "secretAccessKey": secret, "sessionToken": call.server.store.seal_session(session)}


def _id_token(call: ServiceCall, row: Row, subject: str, key: str) -> str:
    """Return the ID token, from which the client takes the name of the session.

    It is for this client alone, which got it over its own connection. So it is signed with the refresh token beside it
    as the key, and proves nothing to others: for them, there is `sts:GetWebIdentityToken`.
    """
    claims = {
        "iss": ISSUER,
        "aud": row["client_id"],
        "sub": subject,
        "session_arn": session_arn_of(call.partition, row),
        "iat": call.now,
        "exp": call.now + MAX_SECONDS,
    }
    header = {"alg": "HS256", "typ": "JWT"}
    text = ".".join(base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))
    return f"{text}.{base64url(hmac.digest(key.encode('ascii'), text.encode('ascii'), 'sha256'))}"
