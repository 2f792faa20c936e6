"""An endpoint for front ends: "what may I do here?", asked with a POST and answered in JSON.

    Route("/permissions", permissions_endpoint(docs), methods=["POST"])

It stands behind the guard like any other endpoint, and answers whoever is signed in about themselves. Must not live
here: what may be asked, and the answers (`enforcement/permissions`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse

from iam_guard.enforcement.context import refusing
from iam_guard.enforcement.permissions import PermissionQuestions, answers_document, ask_permissions
from iam_guard.enforcement.service import Service, public
from iam_guard.errors import InvalidInput

MOST_BYTES: Final = 256 * 1024


def permissions_endpoint(*services: Service) -> Callable[[Request], Awaitable[JSONResponse]]:
    """Make the endpoint for the actions of some services, to be routed by a POST."""
    questions = PermissionQuestions(services)

    @public  # it decides nothing for itself, and tells strangers nothing
    async def permissions(request: Request) -> JSONResponse:
        with refusing() as call:
            document = await _document(request)
            asked = questions.read(document, call.caller, call.guard.settings)
            decisions = await anyio.to_thread.run_sync(ask_permissions, asked)
        return JSONResponse(answers_document(asked, decisions), headers={"cache-control": "no-store"})

    return permissions


async def _document(request: Request) -> Any:
    body = await request.body()
    if len(body) > MOST_BYTES:
        raise InvalidInput(f"expected at most {MOST_BYTES} bytes", place="body")
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidInput("expected JSON", place="body") from None
