"""Error responses: an `IamGuardError` -> status, headers, body (RFC 9457).

The response contains no secrets and nothing about other tenants: server errors get a generic message, and their details
are only in the log and the audit trail.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, TypeAlias

from iam_guard.errors import AccessDenied, IamGuardError, MissingAuthenticationToken, ServerBusy
from iam_guard.evaluation.authorization_message import authorization_message
from iam_guard.guard.guard import Guard
from iam_guard.model.decision import Decision
from iam_guard.model.principal import PrincipalType
from iam_guard.store.sealed_messages import write_message

PROBLEM: Final = "application/problem+json"
REALM = 'Bearer realm="iam-guard", AWS4-HMAC-SHA256'
"""The value of `WWW-Authenticate` in a response with status 401."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error response. Header names are lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


RefusalFormat: TypeAlias = Callable[[IamGuardError, str], Refusal]
"""(the error, the request id) -> the response."""


@dataclass(frozen=True, slots=True)
class BlockingFormat:
    """A format that may block, so that it is not called on an event loop."""

    form: RefusalFormat

    def __call__(self, error: IamGuardError, request_id: str) -> Refusal:
        return self.form(error, request_id)


def problem(error: IamGuardError, request_id: str, extra: Mapping[str, object] = MappingProxyType({})) -> Refusal:
    """Return an `application/problem+json` response with AWS's code and message and the request id (RFC 9457).

    `extra` are additional members.
    """
    error = challenge_anonymous(error)
    document: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "code": error.code,
        "detail": detail_of(error),
        "requestId": request_id,
        **extra,
    }
    headers = [
        ("content-type", PROBLEM),
        ("x-amzn-requestid", request_id),
        ("cache-control", "no-store"),
    ]
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers.append(("www-authenticate", REALM))
    if isinstance(error, ServerBusy):
        headers.append(("retry-after", str(error.retry_after)))
    return Refusal(error.status, tuple(headers), json.dumps(document).encode())


def detail_of(error: IamGuardError) -> str:
    """Return the message of an error for the caller; a generic one for an error of the server."""
    return error.message if error.fault == "sender" else _GENERIC_DETAILS.get(error.status, _GENERIC_DETAILS[500])


def problem_with_message(guard: Guard) -> RefusalFormat:
    """Return the format of `problem` with the member `encodedMessage` for denials of authenticated callers.

    The message contains the reason, encrypted for the caller's account: STS `DecodeAuthorizationMessage` decodes it.
    """

    def form(error: IamGuardError, request_id: str) -> Refusal:
        decision = decision_of(error)
        message = None if decision is None else encoded_message(guard, decision)
        return problem(error, request_id, {} if message is None else {"encodedMessage": message})

    return form


def encoded_message(guard: Guard, decision: Decision) -> str | None:
    """Return the details of a denial, sealed for the caller's account: its administrators decode them (rule S-36).

    The caller may see the message, which reveals nothing without DecodeAuthorizationMessage. None for an allowed
    request, for a caller without account, and for a request that is too long.
    """
    account = decision.request.principal.account
    if decision.allowed or account is None:
        return None
    return write_message(authorization_message(decision), account, guard.store.sealer)


_GENERIC_DETAILS = {
    500: "the service could not answer the request",
    503: "no decision can be made at the moment, so the request is denied",
}


def challenge_anonymous(error: IamGuardError) -> IamGuardError:
    """Return the denial of an anonymous caller as a request for credentials: 401, not 403."""
    decision = decision_of(error)
    if decision is None or decision.request.principal.type is not PrincipalType.ANONYMOUS:
        return error
    return authentication_required(decision.request.action)


def decision_of(error: IamGuardError) -> Decision | None:
    """Return the decision that an error reports; None if it is not a denial."""
    decision = error.decision if isinstance(error, AccessDenied) else None
    return decision if isinstance(decision, Decision) else None


def authentication_required(action: str) -> MissingAuthenticationToken:
    """Return the error for a missing credential; it does not depend on whether the resource exists (rule X-9)."""
    return MissingAuthenticationToken(f"User: anonymous is not authorized to perform: {action}")
