"""An endpoint for front ends that answers "what may I do here?" to a POST, in JSON.

    Route("/permissions", permissions_endpoint(docs), methods=["POST"])

It runs behind the guard like any other endpoint, and answers authenticated callers about their own permissions.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse

from iam_guard.errors import InvalidInput
from iam_guard.model.principal import PrincipalType
from iam_guard.web.call_context import recording_refusal
from iam_guard.web.permissions import ASK, PermissionQuestions, answers_document, query_permissions
from iam_guard.web.refusal import authentication_required
from iam_guard.web.service import Service, public

MAX_BYTES: Final = 256 * 1024


def permissions_endpoint(*services: Service) -> Callable[[Request], Awaitable[JSONResponse]]:
    """Return an endpoint for the actions of `services`; route it for POST."""
    questions = PermissionQuestions(services)

    @public  # it requires no action of its own; anonymous callers get 401
    async def permissions(request: Request) -> JSONResponse:
        with recording_refusal() as call:
            caller = call.caller
            if caller.type is PrincipalType.ANONYMOUS:
                raise authentication_required(ASK)  # before the body of an anonymous request is read
            permission_questions = questions.read(await _document(request), caller, call.guard.settings)
            decisions = await anyio.to_thread.run_sync(query_permissions, permission_questions)
        return JSONResponse(answers_document(permission_questions, decisions), headers={"cache-control": "no-store"})

    return permissions


async def _document(request: Request) -> Any:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BYTES:
            raise InvalidInput(f"expected at most {MAX_BYTES} bytes", place="body")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidInput("expected JSON", place="body") from None
