"""The application of the benchmarks in FastAPI: without a guard, with a decorator, and with the adapter's dependency.

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
    """Return the application without a guard."""
    app = FastAPI()
    app.get(TEMPLATE)(get_document)
    return app


def behind_decorator(guard: Guard) -> FastAPI:
    """Return the application with a guard and the core's decorator on the handler."""
    endpoint: Callable[..., Any] = docs.requires("Get40", resource=find_document)(get_document)
    app = _behind(guard)
    app.get(TEMPLATE)(endpoint)
    return app


def behind_dependency(guard: Guard) -> FastAPI:
    """Return the application with a guard and the adapter's dependency on the route."""
    app = _behind(guard)
    dependency = guarding("Get40", service=docs, resource=find_document)
    app.get(TEMPLATE, dependencies=[Depends(dependency)])(get_document)
    return app


def _behind(guard: Guard) -> FastAPI:
    return FastAPI(
        openapi_url=None,  # FastAPI's documentation pages would need a guard too
        middleware=[Middleware(GuardMiddleware, guard=guard)],
    )


def guarded() -> FastAPI:
    """Return the application with its own guard, the decorator and an audit trail."""
    guard = guard_with_trail()
    atexit.register(guard.close)
    return behind_decorator(guard)
