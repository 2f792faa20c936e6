"""The guarded application of `unauthenticated`, which tells how late its event loop is."""

from __future__ import annotations

import asyncio
import atexit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks.apps import CLIENTS, behind, guard_with_trail
from iam_guard import public

SECONDS_BETWEEN_LOOKS = 0.002
LATE: list[float] = []
TASKS: list[asyncio.Task[None]] = []


async def _watch() -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + SECONDS_BETWEEN_LOOKS
        await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
        LATE.append(loop.time() - due)


@public
async def lateness(_: Request) -> Response:
    """Answer how late the loop was at each look since the last time, in seconds; the first time, begin to look."""
    if not TASKS:
        TASKS.append(asyncio.create_task(_watch()))
    late = LATE.copy()
    LATE.clear()
    return JSONResponse(late)


def watched() -> Starlette:
    """Make the application behind a guard of its own, with an audit trail."""
    guard = guard_with_trail(trusted_proxies=(CLIENTS,))
    atexit.register(guard.close)
    app = behind(guard)
    app.router.routes.append(Route("/lateness", lateness))
    return app
