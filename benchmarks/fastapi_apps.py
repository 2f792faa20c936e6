"""The application of the benchmarks in FastAPI: as it is, behind a guard by decorator, and by the adapter's dependency.

The same endpoint, policies and callers as in `apps`.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.responses import PlainTextResponse
from iam_guard_fastapi import guarded as guarding
from starlette.middleware import Middleware

from benchmarks.apps import docs, find_document, guard_with_trail
from iam_guard import GuardMiddleware
from iam_guard.guard.guard import Guard

TEMPLATE = "/documents/{folder}/{name}"


async def get_document(folder: str, name: str) -> PlainTextResponse:
    """Answer without doing anything."""
    return PlainTextResponse("ok")


def bare() -> FastAPI:
    """Make the application without a guard."""
    app = FastAPI()
    app.get(TEMPLATE)(get_document)
    return app


def behind_decorator(guard: Guard) -> FastAPI:
    """Make it behind a guard, with the core's decorator on the handler."""
    endpoint: Callable[..., Any] = docs.requires("Get40", resource=find_document)(get_document)
    app = _behind(guard)
    app.get(TEMPLATE)(endpoint)
    return app


def behind_dependency(guard: Guard) -> FastAPI:
    """Make it behind a guard, with the adapter's dependency on the route."""
    app = _behind(guard)
    dependency = guarding("Get40", service=docs, resource=find_document)
    app.get(TEMPLATE, dependencies=[Depends(dependency)])(get_document)
    return app


def _behind(guard: Guard) -> FastAPI:
    return FastAPI(
        openapi_url=None,  # FastAPI's own pages would have to be guarded too
        middleware=[Middleware(GuardMiddleware, guard=guard)],
    )


def guarded() -> FastAPI:
    """Make it behind a guard of its own, by decorator, with an audit trail."""
    guard = guard_with_trail()
    atexit.register(guard.close)
    return behind_decorator(guard)
