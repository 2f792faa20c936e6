"""Errors of requests that are rejected before they reach a service.

The codes are those of the query protocol; `error_codes` maps them to the other protocols. Messages contain places and
kinds, never values, which may be passwords; only `validation` quotes values, except those that the model marks as
sensitive.
"""

from __future__ import annotations

from collections.abc import Mapping

from iam_guard.errors import IamGuardError


class WireFault(IamGuardError):
    """Base class of the protocol errors: the request can't be parsed."""

    status = 400
    wire_status = 400
    fault = "sender"


class UnknownOperation(WireFault):
    """The service has no such action, target or route in this version."""

    code = "InvalidAction"


class MissingAction(WireFault):
    """A query request has no `Action`."""

    code = "MissingAction"


class MalformedQuery(WireFault):
    """A form or query string is not percent-encoded UTF-8, or repeats a name."""

    code = "MalformedQueryString"
    status = 404
    wire_status = 404


class MalformedBody(WireFault):
    """A body or parameter doesn't match the model's shape: no JSON, a wrong type, a list with gaps."""

    code = "MalformedInput"


class ValidationFailure(WireFault):
    """Parameters of the right types violate the model's limits; the message is AWS's.

    `details` are further members of the response, for services whose model has them.
    """

    code = "ValidationError"
    details: Mapping[str, object] = {"reason": "fieldValidationFailed"}
