"""iam_guard for FastAPI: guarding dependencies, and authorization in the OpenAPI document.

Add `iam_guard.GuardMiddleware`; the decorators of `iam_guard` work on FastAPI's handlers. This package adds `guarded`,
the same as a dependency for a handler, a router or an application; `permitted`, a statement for the rows that the
caller may see; `Caller`, the principal as a parameter; `describe` for the OpenAPI document; `public_docs` and
`guard_docs` for FastAPI's documentation pages.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, TypeAlias, Unpack

from fastapi import Depends, FastAPI
from fastapi.requests import HTTPConnection
from starlette.routing import Route

from iam_guard import (
    Guard,
    Principal,
    RequirementOptions,
    Service,
    current_call,
    current_principal,
    describe_openapi,
    inventory,
    public,
    requires,
)
from iam_guard.adapters import ListStatement

__all__ = ["Caller", "caller", "describe", "guard_docs", "guarded", "permitted", "public_access", "public_docs"]

Guarding: TypeAlias = Callable[[HTTPConnection], Awaitable[Principal]]


async def caller() -> Principal:
    """Return the caller; a dependency for handlers that are guarded otherwise, by a decorator for example."""
    return current_principal()


Caller: TypeAlias = Annotated[Principal, Depends(caller)]
"""The caller as a parameter: `async def get_document(caller: Caller)`."""


@public
async def public_access() -> None:
    """Declare the unguarded handlers of a router public: `APIRouter(dependencies=[Depends(public_access)])`."""


def guarded(action: str, *, service: Service | None = None, **options: Unpack[RequirementOptions]) -> Guarding:
    """Return a dependency that accepts requests only of callers who are allowed `action` on `resource`.

    `action` is a complete name, `docs:GetDocument`; with `service`, the name without prefix. The other arguments are
    those of the decorator; loaders may have path parameters and `request`. The dependency returns the caller. Store it
    in a variable to use it several times: then it decides once per request, and works with `app.dependency_overrides`.
    """
    declare = requires if service is None else service.requires

    @declare(action, **options)
    async def dependency(request: HTTPConnection) -> Principal:
        return current_principal()

    return dependency


def permitted(
    statement: ListStatement, action: str, *, residual: Literal["recheck"] | None = None
) -> Callable[[], ListStatement]:
    """Return a dependency that gives the statement for the rows that the caller may do `action` on: `Guard.filter`.

    `action` is a complete name, `docs:GetDocument`. The route needs a guard of its own: a filter decides about rows,
    not about the route. The dependency runs in a thread, since it may read the store.
    """

    def dependency() -> ListStatement:
        return current_call().guard.filter(statement, action, residual=residual)

    return dependency


def describe(app: FastAPI) -> None:
    """Add security schemes, required actions and error responses to the OpenAPI document of an application.

    A mounted application has its own document; call `describe` for it too. The session cookie is one of the schemes if
    people sign in with a browser: if the guard of the application's middleware has the setting `sign_in_url`.
    """
    make = app.openapi
    cached: list[dict[str, Any]] = []

    def openapi() -> dict[str, Any]:
        document = make()
        if not cached or cached[0] is not document:  # FastAPI caches its document until its routes change
            cached[:] = document, describe_openapi(document, inventory(app), sign_in=_signs_in(app))
        return cached[1]

    app.openapi = openapi  # type: ignore[method-assign]


def _signs_in(app: FastAPI) -> bool:
    guards = [middleware.kwargs.get("guard") for middleware in app.user_middleware]
    return any(isinstance(guard, Guard) and guard.settings.sign_in_url for guard in guards)


def public_docs(app: FastAPI) -> None:
    """Declare FastAPI's documentation pages, including the OpenAPI document, public."""
    for _, route in _docs_of(app):
        public(route.endpoint)


def guard_docs(app: FastAPI, action: str, *, service: Service | None = None) -> None:
    """Require `action` for FastAPI's documentation pages, including the OpenAPI document.

    Browsers don't send signatures or keys by themselves. This is for people who have signed in, and for programs that
    read the document.
    """
    declare = requires if service is None else service.requires
    for number, route in _docs_of(app):
        endpoint = declare(action)(route.endpoint)
        app.router.routes[number] = Route(route.path, endpoint, name=route.name, include_in_schema=False)


def _docs_of(app: FastAPI) -> list[tuple[int, Route]]:
    """Return the routes of FastAPI's own pages with their index: for each path the first, which answers."""
    paths = {app.openapi_url, app.docs_url, app.redoc_url, app.swagger_ui_oauth2_redirect_url}
    found: dict[str, tuple[int, Route]] = {}
    for number, route in enumerate(app.router.routes):
        if isinstance(route, Route) and route.path in paths and _is_own(route):
            found.setdefault(route.path, (number, route))
    return list(found.values())


def _is_own(route: Route) -> bool:
    return getattr(route.endpoint, "__module__", "") == FastAPI.__module__
