"""A refusal as an answer: an error of the family -> status, headers, body (design 4.5, RFC 9457).

The form comes from the error itself. Nothing secret, and nothing about other tenants, is told: errors of our own making
are answered with a general sentence, their details stay in the log and the audit trail.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import MappingProxyType
from typing import TypeAlias

from iam_guard.errors import AccessDenied, IamGuardError, MissingAuthenticationToken, ServerBusy
from iam_guard.guard.guard import Guard
from iam_guard.model.decision import Decision
from iam_guard.model.principal import PrincipalType

REALM = 'Bearer realm="iam-guard", AWS4-HMAC-SHA256'


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is sent. Header names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


RefusalFormat: TypeAlias = Callable[[IamGuardError, str], Refusal]
"""(the error, the request id) -> what is sent."""


@dataclass(frozen=True, slots=True)
class WaitingForm:
    """A form that asks the guard or the world, so that it is not called on an event loop."""

    form: RefusalFormat

    def __call__(self, error: IamGuardError, request_id: str) -> Refusal:
        return self.form(error, request_id)


def problem(error: IamGuardError, request_id: str) -> Refusal:
    """Answer with `application/problem+json`: AWS's code, AWS's sentence, the request id (RFC 9457)."""
    return problem_document(error, request_id)


def problem_with_message(guard: Guard) -> RefusalFormat:
    """Return the form of `problem` with one member more, `encodedMessage`, for callers who are known and not allowed.

    The message says why, and is sealed for the caller's account: `DecodeAuthorizationMessage` of STS opens it.
    """

    def form(error: IamGuardError, request_id: str) -> Refusal:
        decision = error.decision if isinstance(error, AccessDenied) else None
        message = guard.encoded_message(decision) if isinstance(decision, Decision) else None
        return problem_document(error, request_id, {} if message is None else {"encodedMessage": message})

    return form


def problem_document(
    error: IamGuardError, request_id: str, more: Mapping[str, object] = MappingProxyType({})
) -> Refusal:
    """Answer as `problem` does, with members more."""
    error = as_asked_to_sign_in(error)
    document: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "code": error.code,
        "detail": error.message if error.fault == "sender" else _GENERAL.get(error.status, _GENERAL[500]),
        "requestId": request_id,
        **more,
    }
    headers = [
        ("content-type", "application/problem+json"),
        ("x-amzn-requestid", request_id),
        ("cache-control", "no-store"),
    ]
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers.append(("www-authenticate", REALM))
    if isinstance(error, ServerBusy):
        headers.append(("retry-after", str(error.retry_after)))
    return Refusal(error.status, tuple(headers), json.dumps(document).encode())


_GENERAL = {
    500: "the service could not answer the request",
    503: "no decision can be made at the moment, so the request is denied",
}


def as_asked_to_sign_in(error: IamGuardError) -> IamGuardError:
    """Turn the denial of an anonymous caller into the demand for credentials (design 4.5: 401, not 403)."""
    if not isinstance(error, AccessDenied) or not isinstance(error.decision, Decision):
        return error
    request = error.decision.request
    if request.principal.type is not PrincipalType.ANONYMOUS:
        return error
    return sign_in_for(request.action)


def sign_in_for(action: str) -> MissingAuthenticationToken:
    """Ask a stranger for credentials, in the same words whether the resource is there or not (rule X-9)."""
    return MissingAuthenticationToken(f"User: anonymous is not authorized to perform: {action}")
