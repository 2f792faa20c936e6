"""The application of the benchmarks in FastAPI: without a guard, with a decorator, and with the adapter's dependency.

The same endpoint, policies and callers as in `apps`, and an endpoint that takes a JSON body.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.responses import PlainTextResponse
from iam_guard_fastapi import guarded as guarding
from pydantic import BaseModel, Field
from starlette.middleware import Middleware

from benchmarks.apps import docs, find_document, guard_with_trail
from iam_guard import GuardMiddleware
from iam_guard.guard.guard import Guard

TEMPLATE = "/documents/{folder}/{name}"


class Section(BaseModel):
    """A part of a document."""

    heading: str = Field(max_length=200)
    text: str
    pages: list[int]


class Document(BaseModel):
    """The body of a request."""

    title: str = Field(max_length=200)
    author: str
    year: int = Field(ge=1900)
    keywords: list[str] = []
    sections: list[Section]


BODY = Document(
    title="A report on benchmarks",
    author="ada",
    year=2026,
    keywords=["policies", "signatures", "records"],
    sections=[Section(heading=f"Section {number}", text="word " * 50, pages=[number, 40]) for number in range(3)],
)
"""About 1 KiB as JSON."""


async def get_document(folder: str, name: str) -> PlainTextResponse:
    """Answer without doing anything."""
    return PlainTextResponse("ok")


async def post_document(folder: str, name: str, document: Document) -> PlainTextResponse:
    """Answer once the body is parsed and validated."""
    return PlainTextResponse("ok")


def application(
    decorate: Callable[..., Callable[..., Any]] = lambda endpoint: endpoint,
    *,
    dependencies: Sequence[Callable[..., Any]] = (),
    guard: Guard | None = None,
) -> FastAPI:
    """Return the application with decorated endpoints, with dependencies of its routes, and with a guard."""
    app = FastAPI(
        openapi_url=None,  # FastAPI's documentation pages would need a guard too
        middleware=[Middleware(GuardMiddleware, guard=guard)] if guard else [],
    )
    depends = [Depends(dependency) for dependency in dependencies]
    app.get(TEMPLATE, dependencies=depends)(decorate(get_document))
    app.post(TEMPLATE, dependencies=depends)(decorate(post_document))
    return app


def bare() -> FastAPI:
    """Return the application without a guard."""
    return application()


def behind_decorator(guard: Guard) -> FastAPI:
    """Return the application with a guard and the core's decorator on the handlers."""
    return application(docs.requires("Get40", resource=find_document), guard=guard)


def behind_dependency(guard: Guard) -> FastAPI:
    """Return the application with a guard and the adapter's dependency on the routes."""
    return application(dependencies=[guarding("Get40", service=docs, resource=find_document)], guard=guard)


def guarded() -> FastAPI:
    """Return the application with its own guard, the decorator and an audit trail."""
    guard = guard_with_trail()
    atexit.register(guard.close)
    return behind_decorator(guard)
