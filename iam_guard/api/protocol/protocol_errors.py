"""What a request over the wire can be refused for before any service sees it.

The codes are those of the query protocol; `error_codes` says what the other protocols call them. Messages name places
and kinds, never values, for a value may be a password; only `validation` quotes values, and not those that the model
marks as sensitive.
"""

from __future__ import annotations

from collections.abc import Mapping

from iam_guard.errors import IamGuardError


class WireFault(IamGuardError):
    """The root of this room's faults: the request cannot be understood."""

    status = 400
    wire_status = 400
    fault = "sender"


class UnknownOperation(WireFault):
    """No such action, target or route in this service and version."""

    code = "InvalidAction"


class MissingAction(WireFault):
    """A query request without `Action`."""

    code = "MissingAction"


class MalformedQuery(WireFault):
    """A form or query string that is not percent-encoded UTF-8, or says something twice."""

    code = "MalformedQueryString"
    status = 404
    wire_status = 404


class MalformedBody(WireFault):
    """A body or parameter that does not have the shape of the model: no JSON, a wrong type, a list with gaps."""

    code = "MalformedInput"


class ValidationFailure(WireFault):
    """Parameters of the right types that break the model's limits; the message is AWS's sentence.

    `details` are further members of the answer, for the services whose model has them.
    """

    code = "ValidationError"
    details: Mapping[str, object] = {"reason": "fieldValidationFailed"}
