"""Applications whose guard keeps a trail and is never closed, for tests that terminate servers.

`IAM_GUARD_TEST_SEED` is the seed file; the settings' environment variables name trail and key.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from iam_guard import Guard, GuardMiddleware, GuardWsgiMiddleware, Service, current_principal, open_guard
from iam_guard.web.call_context import current_call

docs = Service("docs")


@lru_cache
def guard() -> Guard:
    return open_guard(os.environ["IAM_GUARD_TEST_SEED"], services=[docs])


async def decide_later(document_id: str) -> None:
    """For the document `late`, decide once more after a delay."""
    if document_id == "late":
        await asyncio.sleep(0.5)
        arn = "arn:aws:docs:us-east-1:111122223333:document/after"
        guard().decide(current_principal(), "docs:GetDocument", arn)


@docs.requires("GetDocument", resource="document/{document_id}")
async def get(request: Any) -> Any:
    from starlette.responses import PlainTextResponse

    await decide_later(request.path_params["document_id"])
    return PlainTextResponse("done")


@docs.requires("GetDocument", resource="document/{document_id}")
async def view(request: Any, document_id: str) -> Any:
    from django.http import HttpResponse

    await decide_later(document_id)
    return HttpResponse("done")


def asgi() -> Any:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.routing import Route

    routes = [Route("/documents/{document_id}", get)]
    return Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=guard())])


@docs.requires("GetDocument", resource="document/{document_id}")
def _get(environ: Any, document_id: str) -> Iterable[bytes]:
    return [b"done"]


def _router(environ: Any, start_response: Any) -> Iterable[bytes]:
    parameters = {"document_id": environ["PATH_INFO"].rpartition("/")[2]}
    current_call().matched(_get, parameters)
    parts = _get(environ, **parameters)
    start_response("200 OK", [("content-type", "text/plain")])
    return parts


def wsgi() -> Any:
    return GuardWsgiMiddleware(_router, guard=guard())


def django() -> Any:
    """Open the guard with the first request, in the thread that serves it."""
    from django.conf import settings

    settings.configure(
        ALLOWED_HOSTS=["*"],
        IAM_GUARD={"guard": guard},
        INSTALLED_APPS=["iam_guard_django"],
        MIDDLEWARE=["iam_guard_django.GuardMiddleware"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="x",
    )
    import django as django_framework

    django_framework.setup()
    from django.core.asgi import get_asgi_application
    from django.urls import path

    globals()["urlpatterns"] = [path("documents/<document_id>", view)]
    return get_asgi_application()


if __name__ == "__main__":
    import sys
    from wsgiref.simple_server import WSGIRequestHandler, make_server

    make_server("127.0.0.1", int(sys.argv[1]), wsgi(), handler_class=WSGIRequestHandler).serve_forever()
