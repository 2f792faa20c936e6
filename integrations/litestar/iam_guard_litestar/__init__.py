"""iam_guard in Litestar's idiom: a plugin, guards for handlers and what is around them, and the OpenAPI document.

`GuardPlugin` puts `iam_guard.GuardMiddleware` in front of each route, which is where Litestar has middlewares: CORS
stays outside, and the handler is known. The decorators of `iam_guard` work on Litestar's handlers as they are;
`guarded` is the same as a guard of Litestar, for a handler, a controller, a router or the whole application. Must not
live here: any decision.

A response that Litestar keeps (`cache=True`) is given without the handler, and so without its decorator: such a handler
needs a guard, or it answers 500. What is mounted needs `copy_scope=False`, for the guard looks into the scope to see
which endpoint inside it answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from copy import copy
from typing import Any, TypeAlias, cast

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
    Endpoint,
    Guard,
    GuardMiddleware,
    IamGuardError,
    Principal,
    Resource,
    RouteMap,
    Service,
    current_principal,
    describe_openapi,
    inventory,
    public,
    requires,
)
from iam_guard.errors import ConfigurationError
from iam_guard.web.endpoints import refuse_unfit_handlers, unguarded_message

__all__ = ["Caller", "GuardPlugin", "anybody", "caller", "guarded"]

Connection: TypeAlias = ASGIConnection[Any, Any, Any, Any]
ResourceSource: TypeAlias = str | Callable[..., Resource | str | Awaitable[Resource | str | None] | None]
ContextSource: TypeAlias = Mapping[str, Any] | Callable[..., Any] | None


class GuardPlugin(InitPlugin, ReceiveRoutePlugin):
    """Put a guard before a Litestar application: `Litestar(…, plugins=[GuardPlugin(guard)])`.

    The OpenAPI document then says how callers sign in, what each operation asks for, and how it refuses. The
    application does not start with endpoints that are neither guarded nor public; `check_routes=False` lets it, and
    they answer 500. `routes` is a map for handlers that nobody can touch. `options` are those of `GuardMiddleware`.
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
            0, DefineMiddleware(middleware, guard=self._guard, routes=self._routes, readings=_readings, **self._options)
        )
        app_config.exception_handlers.setdefault(IamGuardError, _pass_on)
        app_config.on_startup.insert(0, self._inspect)
        app_config.on_shutdown.append(self._end_shard)
        if app_config.openapi_config is not None:
            make = app_config.openapi_config.to_openapi_schema
            config = copy(app_config.openapi_config)  # that of Litestar is shared by all applications
            config.to_openapi_schema = lambda: _Described.of(make(), self._endpoints)  # type: ignore[method-assign]
            app_config.openapi_config = config
        return app_config

    def receive_route(self, route: BaseRoute) -> None:
        """Mark what Litestar itself adds: its answers to OPTIONS tell no more than a 405 does."""
        for handler in _handlers_of(route):
            self._handler = handler
            _open_options(handler)

    def _endpoints(self) -> list[Endpoint]:
        return [] if self._handler is None else self._inventory(self._handler.app)

    def _inventory(self, app: Litestar) -> list[Endpoint]:
        return inventory(app) if self._routes is None else self._routes.joined(inventory(app))

    async def _end_shard(self) -> None:
        """Sign the trail once the application has shut down; no middleware of Litestar's sees the lifespan."""
        await anyio.to_thread.run_sync(self._guard.trail.end_shard)

    def _inspect(self, app: Litestar) -> None:
        endpoints = self._inventory(app)
        refuse_unfit_handlers(endpoints)
        found = [endpoint for endpoint in endpoints if not endpoint.is_guarded]
        if found and self._check_routes:
            raise ConfigurationError(unguarded_message(found))


def _handlers_of(route: Any) -> list[BaseRouteHandler]:
    return getattr(route, "route_handlers", None) or [route.route_handler]


def _open_options(handler: BaseRouteHandler) -> None:
    if getattr(handler.fn, "__module__", None) == HTTPRoute.__module__:
        public(handler.fn)
    for each in handler.fn.routes if isinstance(handler.fn, Litestar) else ():  # mounted
        for inner in _handlers_of(each):
            _open_options(inner)


class _Described(OpenAPI):
    """An OpenAPI document that says what guards its operations, once it is written."""

    endpoints: Callable[[], list[Endpoint]]

    @classmethod
    def of(cls, document: OpenAPI, endpoints: Callable[[], list[Endpoint]]) -> _Described:
        described = cls(**vars(document))
        described.endpoints = endpoints
        return described

    def to_schema(self) -> dict[str, Any]:
        return describe_openapi(super().to_schema(), self.endpoints())


def _pass_on(request: Request[Any, Any, Any], error: IamGuardError) -> Response[Any]:
    raise error  # to the middleware, which answers it


async def caller() -> Principal:
    """Return the caller; for `dependencies={"caller": Provide(caller)}`."""
    return current_principal()


Caller: TypeAlias = NamedDependency[SkipValidation[Principal]]
"""The caller as a parameter of a handler that has that dependency."""


@public
async def anybody(connection: Connection, handler: BaseRouteHandler) -> None:
    """Open what nobody else guards in a router or controller to everybody: `Router("/schema", guards=[anybody], …)`."""


def guarded(
    action: str,
    *,
    service: Service | None = None,
    resource: ResourceSource = "*",
    context: ContextSource = None,
    conceal: bool = False,
    unsigned_payload: bool = False,
    raw: Collection[str] = (),
) -> Callable[[Connection, BaseRouteHandler], Awaitable[None]]:
    """Return a guard of Litestar that lets a request through only for callers who may do `action` on `resource`.

    `action` is a whole name, `docs:GetDocument`; with `service`, a name of that service. The rest is as with the
    decorator, whose loaders may name path parameters and `request`.
    """
    declare = requires if service is None else service.requires

    @declare(action, resource=resource, context=context, conceal=conceal, unsigned_payload=unsigned_payload, raw=raw)
    async def guard(request: Connection, handler: BaseRouteHandler) -> None: ...

    return guard


def _readings(scope: Mapping[str, Any], name: str, value: object) -> Iterator[object]:
    """Return what the handler and its dependencies have who declare a path parameter.

    Nothing for one that cannot be read: Litestar answers 400, and no handler runs.
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
            except (TypeError, ValueError):  # msgspec's errors are of these
                continue


def _path_parameter_of(field: FieldDefinition, scope: Mapping[str, Any]) -> str | None:
    """Return the path parameter that a declaration reads, which may have another name; None for another kind."""
    declared = field.kwarg_definition
    if not isinstance(declared, ParameterKwarg):
        return field.name
    is_of_path = declared.param_type is ParamType.PATH or field.name in scope["path_params"]
    return (declared.name or field.name) if is_of_path else None
