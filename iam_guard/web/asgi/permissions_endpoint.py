"""An endpoint for front ends: "what may I do here?", asked with a POST and answered in JSON.

    Route("/permissions", permissions_endpoint(docs), methods=["POST"])

It stands behind the guard like any other endpoint, and answers whoever is signed in about themselves. Must not live
here: what may be asked, and the answers (`web/permissions`).
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
from iam_guard.web.call_context import refusing
from iam_guard.web.permissions import ASK, PermissionQuestions, answers_document, query_permissions
from iam_guard.web.refusal import sign_in_for
from iam_guard.web.service import Service, public

MAX_BYTES: Final = 256 * 1024


def permissions_endpoint(*services: Service) -> Callable[[Request], Awaitable[JSONResponse]]:
    """Make the endpoint for the actions of some services, to be routed by a POST."""
    questions = PermissionQuestions(services)

    @public  # it decides nothing for itself, and tells strangers nothing
    async def permissions(request: Request) -> JSONResponse:
        with refusing() as call:
            caller = call.caller
            if caller.type is PrincipalType.ANONYMOUS:
                raise sign_in_for(ASK)  # before anything of a stranger's body is read
            asked = questions.read(await _document(request), caller, call.guard.settings)
            decisions = await anyio.to_thread.run_sync(query_permissions, asked)
        return JSONResponse(answers_document(asked, decisions), headers={"cache-control": "no-store"})

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
