"""`guarded_http_app`: a FastMCP server as an ASGI application behind `GuardMiddleware`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from fastmcp import FastMCP
from fastmcp.server.auth import AccessToken
from fastmcp.server.http import StarletteWithLifespan
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.routes import build_resource_metadata_url, cors_middleware
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Lifespan, Receive, Scope, Send

from iam_guard import Guard, GuardMiddleware, IamGuardError, current_call, public
from iam_guard.adapters import REALM, PrincipalType, Refusal, RefusalFormat, authentication_required, problem
from iam_guard.errors import ConfigurationError
from iam_guard_fastmcp.middleware import HTTP_CALL, GuardTools

_CONNECT: Final = "mcp:Connect"
"""The action of a message without a credential, in its error and its record."""


def guarded_http_app(
    server: FastMCP,
    guard: Guard,
    *,
    check_components: bool = True,
    resource_url: str | None = None,
    issuers: Sequence[str] = (),
    **options: Any,
) -> StarletteWithLifespan:
    """Return the streamable HTTP application of a server that has `GuardTools` among its middlewares.

    Messages without a credential are answered with 401. With `resource_url`, the public URL of the server, and the
    URLs of the `issuers` whose tokens the guard accepts, MCP clients find where to sign in (RFC 9728), and tokens of
    OIDC providers must have this URL as their audience. `options` are those of `FastMCP.http_app`. Raises
    `ConfigurationError` without `GuardTools` of the same guard. The start-up fails with unguarded components; with
    `check_components=False` it succeeds, and they are refused.
    """
    tools = next((item for item in server.middleware if isinstance(item, GuardTools) and item.guard is guard), None)
    if tools is None:
        raise ConfigurationError("expected `GuardTools` with the same guard among the middlewares of the server")
    if options.get("transport", "http") == "sse":  # its messages outlive the requests that bring them
        raise ConfigurationError("expected the transport `streamable-http`, got `sse`", place="transport")
    routes, refuse = _metadata(resource_url, issuers)
    audiences = () if resource_url is None else (resource_url,)
    guarding = Middleware(GuardMiddleware, guard=guard, refusal=refuse, oidc_audiences=audiences)
    before = [guarding, *(options.pop("middleware", None) or ())]
    app = server.http_app(middleware=before, **options)
    for route in app.routes:
        if isinstance(route, Route) and route.path == app.state.path:
            route.app = _MessageEndpoint(public(route.app))
            public(route.endpoint)  # messages are decided one by one
    app.router.routes[:0] = routes
    if check_components:
        app.router.lifespan_context = _checked_lifespan(tools, server, app.router.lifespan_context)
    return app


def _metadata(resource_url: str | None, issuers: Sequence[str]) -> tuple[list[Route], RefusalFormat]:
    """Return the routes of the resource's metadata, and the format of refusals that refers to it.

    The metadata has the URLs as given: clients compare them with those that the issuers send, character by character.
    """
    if resource_url is None:
        return [], problem
    if not issuers:
        raise ConfigurationError("expected the URL of an issuer, got none", place="issuers")
    for issuer in issuers:
        _checked_url(issuer, "issuers")
    url = build_resource_metadata_url(_checked_url(resource_url, "resource_url"))
    document = {"resource": resource_url, "authorization_servers": [*issuers], "bearer_methods_supported": ["header"]}

    async def metadata(_: Request) -> JSONResponse:
        return JSONResponse(document, headers={"cache-control": "public, max-age=3600"})

    methods = ["GET", "OPTIONS"]
    route = Route(url.path or "", public(cors_middleware(metadata, methods)), methods=methods)
    challenge = REALM.replace(",", f', resource_metadata="{url}",', 1)

    def refuse(error: IamGuardError, request_id: str) -> Refusal:
        refusal = problem(error, request_id)
        changed = [(name, challenge if name == "www-authenticate" else value) for name, value in refusal.headers]
        return Refusal(refusal.status, tuple(changed), refusal.body)

    return [route], refuse


def _checked_url(url: str, place: str) -> AnyHttpUrl:
    """Return a URL. Raises `ConfigurationError`."""
    try:
        return AnyHttpUrl(url)
    except ValueError:
        message = f"expected a URL such as https://example.com, got `{url[:200]}`"
        raise ConfigurationError(message, place=place) from None


def _checked_lifespan(tools: GuardTools, server: FastMCP, lifespan: Lifespan[Any]) -> Lifespan[Any]:
    @asynccontextmanager
    async def checked(app: Starlette) -> AsyncIterator[Any]:
        await tools.check(server)
        async with lifespan(app) as state:
            yield state

    return checked


class _MessageEndpoint:
    """Pass on the guarded call of an HTTP request to its message.

    The caller also becomes the user of the request, so that the session and the state of a message with several rounds
    belong to it, unless FastMCP authenticates by itself.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = current_call()
        caller = call.caller
        if caller.type is PrincipalType.ANONYMOUS:
            call.attempted_action = _CONNECT
            raise authentication_required(_CONNECT)
        scope = {**scope, HTTP_CALL: call}
        if "user" not in scope:
            token = AccessToken(token=caller.arn, client_id=caller.arn, subject=caller.arn, scopes=[])
            scope["user"] = AuthenticatedUser(token)
        await self._app(scope, receive, send)
