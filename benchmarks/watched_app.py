"""The guarded application of `unauthenticated`, which reports the lateness of its event loop."""

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
    """Return the lateness of the loop in seconds at each sample since the last call; the first call starts sampling."""
    if not TASKS:
        TASKS.append(asyncio.create_task(_watch()))
    late = LATE.copy()
    LATE.clear()
    return JSONResponse(late)


def watched() -> Starlette:
    """Return the application with its own guard and an audit trail."""
    guard = guard_with_trail(trusted_proxies=(CLIENTS,))
    atexit.register(guard.close)
    app = behind(guard)
    app.router.routes.append(Route("/lateness", lateness))
    return app
