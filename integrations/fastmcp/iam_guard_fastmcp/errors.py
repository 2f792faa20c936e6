"""Errors of MCP for refusals: AWS's code and sentence, and a hint if a second factor is missing."""

from __future__ import annotations

import json
from typing import Any, Final

from fastmcp.exceptions import McpError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS

from iam_guard import IamGuardError
from iam_guard.adapters import CurrentCall, decision_of, needs_second_factor, problem

DENIED: Final = -32003
"""The JSON-RPC code of a denial, in the range for implementations."""
_CODES: Final = {400: INVALID_PARAMS, 404: INVALID_PARAMS, 401: DENIED, 403: DENIED}
_MAX_CAUSES: Final = 20


def wire_error(error: IamGuardError, call: CurrentCall | None) -> McpError:
    """Return the error of MCP for a refusal; `data` has the members of an HTTP response."""
    request_id = "" if call is None else call.facts.request_id
    document: dict[str, Any] = json.loads(problem(error, request_id).body)
    decision = decision_of(error)
    caller = None if decision is None else decision.request.principal
    is_own = call is not None and caller is not None and caller.credential == call.principal.credential
    if decision is not None and is_own and needs_second_factor(decision):
        document |= {"error": "insufficient_user_authentication", "max_age": 0}  # RFC 9470
    return McpError(_CODES.get(document["status"], INTERNAL_ERROR), document["detail"], document)


def refusal_in(error: BaseException) -> IamGuardError | None:
    """Return the refusal that an error of a component was caused by; None if it has another cause."""
    cause: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if cause is None or isinstance(cause, IamGuardError):
            return cause
        cause = cause.__cause__
    return None
