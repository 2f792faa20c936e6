"""Errors in the protocol of a service: code, status and message.

A code that the service's model names has the model's status. All others are AWS's common errors, whose codes differ
between the query protocol (`iam_guard.errors`) and the JSON protocols: one table. Our own errors that no model names
get a general message; the details are only logged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple

from iam_guard.api.protocol.protocol_errors import ValidationFailure
from iam_guard.api.protocol.service_model import Api, Shape
from iam_guard.api.service_errors import ServiceError
from iam_guard.errors import Fault, IamGuardError, PolicyError, RecordUnavailable, RequestTooLarge


class CommonCode(NamedTuple):
    """One row: the code in the JSON protocols, and the status in rest-json if it differs from the error's own."""

    json: str
    rest_status: int | None = None


COMMON_CODES: Mapping[str, CommonCode] = {
    "AccessDenied": CommonCode("AccessDeniedException"),
    "ExpiredToken": CommonCode("ExpiredTokenException"),
    "IncompleteSignature": CommonCode("IncompleteSignatureException"),
    "InvalidAction": CommonCode("UnknownOperationException", 404),
    "InvalidClientTokenId": CommonCode("UnrecognizedClientException"),
    "InvalidInput": CommonCode("ValidationException"),
    "MalformedInput": CommonCode("SerializationException"),
    "MalformedQueryString": CommonCode("SerializationException", 400),
    "MalformedRequest": CommonCode("SerializationException"),
    "MissingAuthenticationToken": CommonCode("MissingAuthenticationTokenException"),
    "SignatureDoesNotMatch": CommonCode("InvalidSignatureException"),
    "ValidationError": CommonCode("ValidationException"),
}

OAUTH_ERRORS: Mapping[str, str] = {
    "AccessDeniedException": "INSUFFICIENT_PERMISSIONS",
    "ConflictException": "CONFLICT",
    "InternalServerException": "server_error",
    "ResourceNotFoundException": "RESOURCE_NOT_FOUND",
    "ServiceQuotaExceededException": "SERVICE_QUOTA_EXCEEDED",
    "ServiceUnavailableException": "service_unavailable",
    "TooManyRequestsError": "rate_exceeded",
    "ValidationException": "INVALID_REQUEST",
}
"""Code -> the member `error` that the models of some services have besides, unless the error has another."""

_GENERAL = {
    500: "The request processing has failed because of an unknown error, exception or failure.",
    503: "The request has failed due to a temporary failure of the server.",
}


@dataclass(frozen=True, slots=True)
class WireError:
    """An error as one service sends it. `shape` is the model's, if the model names the error."""

    code: str
    status: int
    fault: Fault
    message: str
    shape: Shape | None
    details: Mapping[str, object]

    def body(self, request_id: str) -> dict[str, object]:
        """Return the members that the model has for this error, without code and message."""
        members: Mapping[str, object] = {} if self.shape is None else self.shape.members
        values = {"RequestId": request_id, "error": OAUTH_ERRORS.get(self.code), **self.details}
        return {name: value for name, value in values.items() if name in members}


def wire_error(error: IamGuardError, api: Api) -> WireError:
    """Convert an error to the protocol of a service."""
    code = error.code if api.protocol == "query" else _json_code(error.code, api)
    modelled = api.errors.get(code)
    return WireError(
        code=code,
        status=(modelled.status if modelled else None) or _status(error, api),
        fault=modelled.fault if modelled else error.fault,
        message=_message(error, is_modelled=modelled is not None and code == error.code),
        shape=modelled.shape if modelled else None,
        details=error.details if isinstance(error, ValidationFailure | ServiceError) else {},
    )


def _json_code(code: str, api: Api) -> str:
    """Return the first code that the model names, or else the common one."""
    common = COMMON_CODES[code].json if code in COMMON_CODES else code
    candidates = (code, f"{code}Exception", common)
    return next((candidate for candidate in candidates if candidate in api.errors), common)


def _status(error: IamGuardError, api: Api) -> int:
    if api.protocol == "json" and error.fault == "sender" and error.wire_status != RequestTooLarge.wire_status:
        return HTTPStatus.BAD_REQUEST
    common = COMMON_CODES.get(error.code)
    return (common.rest_status if common and api.protocol == "rest-json" else None) or error.wire_status


def _message(error: IamGuardError, *, is_modelled: bool) -> str:
    if isinstance(error, PolicyError):
        return error.sentence
    if error.fault == "sender" or is_modelled or isinstance(error, RecordUnavailable):
        return error.message
    return _GENERAL.get(error.wire_status, _GENERAL[500])
