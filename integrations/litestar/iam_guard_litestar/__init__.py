"""iam_guard for Litestar: a plugin, guards for handlers, controllers and routers, and the OpenAPI document.

`GuardPlugin` adds `iam_guard.GuardMiddleware` to each route, as Litestar does with middlewares: CORS stays outside, and
the handler is known. The decorators of `iam_guard` work on Litestar's handlers; `guarded` is the same as a Litestar
guard, for a handler, a controller, a router or the application. This package makes no decisions.

A response cached by Litestar (`cache=True`) is sent without running the handler and its decorator: such a handler needs
a guard, or it answers 500. Mounted applications need `copy_scope=False`, so that the middleware sees the endpoint in
the scope.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from copy import copy
from typing import Any, TypeAlias, Unpack, cast

import anyio.to_thread
import msgspec
from litestar import Litestar
from litestar.config.app import AppConfig
from litestar.connection import ASGIConnection, Request
from litestar.di import NamedDependency
from litestar.enums import ParamType
from litestar.handlers import ASGIRouteHandler, BaseRouteHandler
from litestar.middleware import DefineMiddleware
from litestar.openapi.spec import OpenAPI
from litestar.params import ParameterKwarg, SkipValidation
from litestar.plugins import InitPlugin, ReceiveRoutePlugin
from litestar.response import Response
from litestar.routes import BaseRoute, HTTPRoute
from litestar.typing import FieldDefinition

from iam_guard import (
    Guard,
    GuardMiddleware,
    IamGuardError,
    Principal,
    RequirementOptions,
    RouteMap,
    Service,
    current_principal,
    describe_openapi,
    inventory,
    public,
    requires,
    unguarded,
)
from iam_guard.adapters import handlers_of, unguarded_message
from iam_guard.errors import ConfigurationError

__all__ = ["Caller", "GuardPlugin", "caller", "guarded", "public_access"]

Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]


class GuardPlugin(InitPlugin, ReceiveRoutePlugin):
    """Guard a Litestar application: `Litestar(…, plugins=[GuardPlugin(guard)])`.

    Adds security schemes, required actions and error responses to the OpenAPI document. The application does not start
    with endpoints that are neither guarded nor public; with `check_routes=False` it starts, and they answer 500.
    `routes` is a map for handlers that can't be decorated. `options` are those of `GuardMiddleware`.
    """

    def __init__(
        self, guard: Guard, *, check_routes: bool = True, routes: RouteMap | None = None, **options: Any
    ) -> None:
        self._guard = guard
        self._check_routes = check_routes
        self._routes = routes
        self._options = options
        self._handler: BaseRouteHandler | None = None

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        middleware = cast("Any", GuardMiddleware)  # Litestar has types of its own for ASGI
        app_config.middleware.insert(
            0,
            DefineMiddleware(
                middleware,
                guard=self._guard,
                check_routes=self._check_routes,
                routes=self._routes,
                readings=_readings,
                **self._options,
            ),
        )
        app_config.exception_handlers.setdefault(IamGuardError, _reraise)
        app_config.on_startup.insert(0, self._inspect)
        app_config.on_shutdown.append(self._end_shard)
        if app_config.openapi_config is not None:
            make = app_config.openapi_config.to_openapi_schema
            config = copy(app_config.openapi_config)  # the default one is shared by all applications
            config.to_openapi_schema = lambda: _DescribedOpenAPI.of(make(), self._describe)  # type: ignore[method-assign]
            app_config.openapi_config = config
        return app_config

    def receive_route(self, route: BaseRoute) -> None:
        """Declare Litestar's own OPTIONS handlers public: they return the list of methods, as in a 405."""
        for handler in handlers_of(route):
            self._handler = handler
            _make_options_public(handler)

    def _describe(self, document: dict[str, Any]) -> dict[str, Any]:
        endpoints = [] if self._handler is None else inventory(self._handler.app, self._routes)
        return describe_openapi(document, endpoints, sign_in=bool(self._guard.settings.sign_in_url))

    async def _end_shard(self) -> None:
        """Sign the trail at shutdown; Litestar's middlewares don't get lifespan messages."""
        await anyio.to_thread.run_sync(self._guard.trail.end_shard)

    def _inspect(self, app: Litestar) -> None:
        found = unguarded(app, self._routes, self._guard.signing_names)
        if found and self._check_routes:
            raise ConfigurationError(unguarded_message(found))


def _make_options_public(handler: BaseRouteHandler) -> None:
    if getattr(handler.fn, "__module__", None) == HTTPRoute.__module__:
        public(handler.fn)
    for route in handler.fn.routes if isinstance(handler.fn, Litestar) else ():  # mounted
        for inner in handlers_of(route):
            _make_options_public(inner)


class _DescribedOpenAPI(OpenAPI):
    """An OpenAPI document that is completed when it is serialized."""

    describe: Callable[[dict[str, Any]], dict[str, Any]]

    @classmethod
    def of(cls, document: OpenAPI, describe: Callable[[dict[str, Any]], dict[str, Any]]) -> _DescribedOpenAPI:
        described = cls(**vars(document))
        described.describe = describe
        return described

    def to_schema(self) -> dict[str, Any]:
        return self.describe(super().to_schema())


def _reraise(request: Request[Any, Any, Any], error: IamGuardError) -> Response[Any]:
    raise error  # to the middleware, which answers it


async def caller() -> Principal:
    """Return the caller; for `dependencies={"caller": Provide(caller)}`."""
    return current_principal()


Caller: TypeAlias = NamedDependency[SkipValidation[Principal]]
"""The caller as a parameter of a handler that has that dependency."""


@public
async def public_access(connection: Connection, handler: BaseRouteHandler) -> None:
    """Make the unguarded handlers of a router or controller public: `Router("/schema", guards=[public_access])`."""


def guarded(
    action: str, *, service: Service | None = None, **options: Unpack[RequirementOptions]
) -> Callable[[Connection, BaseRouteHandler], Awaitable[None]]:
    """Return a Litestar guard that accepts requests only of callers who are allowed `action` on `resource`.

    `action` is a complete name, `docs:GetDocument`; with `service`, the name without prefix. The other arguments are
    those of the decorator; loaders may have path parameters and `request`.
    """
    declare = requires if service is None else service.requires

    @declare(action, **options)
    async def guard(request: Connection, handler: BaseRouteHandler) -> None: ...

    return guard


def _readings(scope: Mapping[str, Any], name: str, value: object) -> Iterator[object]:
    """Yield the values of a path parameter as the handler and its dependencies declare it.

    Skips a value that can't be converted: Litestar answers 400, and no handler runs.
    """
    handler: BaseRouteHandler | None = scope.get("route_handler")
    if handler is None or isinstance(handler, ASGIRouteHandler):
        return
    dependencies = handler.resolve_dependencies().values()
    for signature in (handler.parsed_fn_signature, *(dependency.parsed_fn_signature for dependency in dependencies)):
        for field in signature.parameters.values():
            if _path_parameter_of(field, scope) != name:
                continue
            try:
                yield msgspec.convert(value, field.annotation, strict=False, dec_hook=handler.default_deserializer)
            except (TypeError, ValueError):  # msgspec's errors are subclasses of these
                continue


def _path_parameter_of(field: FieldDefinition, scope: Mapping[str, Any]) -> str | None:
    """Return the path parameter of a declaration, which may have another name; None for other kinds of parameters."""
    declared = field.kwarg_definition
    if not isinstance(declared, ParameterKwarg):
        return field.name
    is_of_path = declared.param_type is ParamType.PATH or field.name in scope["path_params"]
    return (declared.name or field.name) if is_of_path else None
