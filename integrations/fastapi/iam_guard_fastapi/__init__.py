"""iam_guard in FastAPI's idiom: dependencies that guard, and an OpenAPI document that says what guards what.

The guard itself is `iam_guard.GuardMiddleware`, and the decorators of `iam_guard` work on FastAPI's handlers as they
are. This file adds `guarded`, the same as a dependency, for a handler, a router or a whole application; `Caller`, the
principal as a parameter; `describe`, for the OpenAPI document; `public_docs` and `guard_docs`, for FastAPI's own pages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Annotated, Any, TypeAlias

from fastapi import Depends, FastAPI
from fastapi.requests import HTTPConnection
from starlette.routing import Route

from iam_guard import (
    Principal,
    Resource,
    Service,
    current_principal,
    describe_openapi,
    inventory,
    public,
    requires,
)

__all__ = ["Caller", "anybody", "caller", "describe", "guard_docs", "guarded", "public_docs"]

ResourceSource: TypeAlias = str | Callable[..., Resource | str | Awaitable[Resource | str | None] | None]
ContextSource: TypeAlias = Mapping[str, Any] | Callable[..., Any] | None
Guarding: TypeAlias = Callable[[HTTPConnection], Awaitable[Principal]]


async def caller() -> Principal:
    """Return the caller; a dependency for handlers that something else guards, a decorator say."""
    return current_principal()


Caller: TypeAlias = Annotated[Principal, Depends(caller)]
"""The caller as a parameter: `async def get_document(caller: Caller)`."""


@public
async def anybody() -> None:
    """Open a router, with all that nobody guards in it, to everybody: `APIRouter(dependencies=[Depends(anybody)])`."""


def guarded(
    action: str,
    *,
    service: Service | None = None,
    resource: ResourceSource = "*",
    context: ContextSource = None,
    conceal: bool = False,
    unsigned_payload: bool = False,
    raw: Collection[str] = (),
) -> Guarding:
    """Return a dependency that lets a request through only for callers who may do `action` on `resource`.

    `action` is a whole name, `docs:GetDocument`; with `service`, a name of that service. The rest is as with the
    decorator, whose loaders may name path parameters and `request`. The dependency gives the caller. Keep it in a
    variable to use it several times: it decides once a request, and `app.dependency_overrides` knows it.
    """
    declare = requires if service is None else service.requires

    @declare(action, resource=resource, context=context, conceal=conceal, unsigned_payload=unsigned_payload, raw=raw)
    async def dependency(request: HTTPConnection) -> Principal:
        return current_principal()

    return dependency


def describe(app: FastAPI) -> None:
    """Let the OpenAPI document of an application say how callers sign in, what each operation asks for, how it refuses.

    A mounted application has a document of its own, and is described by itself.
    """
    make = app.openapi
    made: list[dict[str, Any]] = []

    def openapi() -> dict[str, Any]:
        document = make()
        if not made or made[0] is not document:  # FastAPI keeps its document until its routes change
            made[:] = document, describe_openapi(document, inventory(app))
        return made[1]

    app.openapi = openapi  # type: ignore[method-assign]


def public_docs(app: FastAPI) -> None:
    """Open FastAPI's own pages, the OpenAPI document among them, to everybody."""
    for _, route in _docs_of(app):
        public(route.endpoint)


def guard_docs(app: FastAPI, action: str, *, service: Service | None = None) -> None:
    """Show FastAPI's own pages, the OpenAPI document among them, to callers who may do `action`.

    Browsers send neither signatures nor keys of their own accord: this is for programs that read the document, and for
    browsers behind something that signs for them.
    """
    declare = requires if service is None else service.requires
    for number, route in _docs_of(app):
        endpoint = declare(action)(route.endpoint)
        app.router.routes[number] = Route(route.path, endpoint, name=route.name, include_in_schema=False)


def _docs_of(app: FastAPI) -> list[tuple[int, Route]]:
    """Find the routes that FastAPI made for its own pages: of each address the first, which is the one that answers."""
    paths = {app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url}
    found: dict[str, tuple[int, Route]] = {}
    for number, route in enumerate(app.router.routes):
        if isinstance(route, Route) and route.path in paths and _is_own(route):
            found.setdefault(route.path, (number, route))
    return list(found.values())


def _is_own(route: Route) -> bool:
    return getattr(route.endpoint, "__module__", "") == FastAPI.__module__
