"""What guards the methods of a server, found once for each of them and checked when its service is added."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any, Final

from iam_guard import Endpoint, Guard, RouteMap, Service
from iam_guard.adapters import PUBLIC, Bridge, MappedRoute, Requirement, check_services, endpoint_row, unguarded_message
from iam_guard.errors import ConfigurationError
from iam_guard_grpc.guarded_method import KINDS, POST, GuardedMethod, behavior_of, check_fields

_MAX_METHODS: Final = 1024
"""The methods whose guarded handlers are cached; a handler may accept any name."""


class MethodGuards(ABC):
    """Finds what guards a method, for both interceptors."""

    def __init__(
        self,
        guard: Guard,
        *,
        routes: RouteMap | None = None,
        public: Iterable[str] = (),
        default_services: Mapping[str, Service] | None = None,
    ) -> None:
        """Create an interceptor.

        `routes` is a map for methods that can't be decorated: its rows have the HTTP method `POST` and the path of the
        method, as in `routes.requires("POST", "/photos.PhotoService/GetPhoto", "photos:GetPhoto")`. `public` names
        methods (`grpc.health.v1.Health/Check`) and services (`grpc.health.v1.Health`) that need no decision.
        `default_services` maps the name of a gRPC service (`photos.PhotoService`) to the `Service` of its actions: a
        method without decorator and row then requires the action with its name (`photos:GetPhoto`) on `*`.
        """
        self.guard = guard
        self.route_map = routes
        self.endpoints: list[Endpoint] = []
        """The methods that were added to checked servers, without the map."""
        self._public = frozenset(name.strip("/") for name in public)
        self._default_services = dict(default_services or {})
        self.bridge = Bridge(guard)
        self._handlers: dict[str, tuple[Any, Any]] = {}
        """The path of a method -> its handler, and the guarded one."""

    def checked(self, server: Any) -> Any:
        """Return the server with checks: it refuses a method that is neither guarded nor public when it is added.

        Starting it refuses a map with rows of other methods. Raises `ConfigurationError` for these, for a message that
        can't fill a resource template, and for the actions of a service that was not passed to the guard.
        """
        return CheckedServer(server, self)

    def add_methods(self, handlers: Mapping[str, Any]) -> None:
        """Check the methods of a service, by their paths, and add them to `endpoints`. Raises what `checked` does."""
        known = {endpoint.path for endpoint in self.endpoints}
        for path, handler in handlers.items():
            behavior = behavior_of(handler)
            name = getattr(behavior, "__qualname__", path)
            unmapped = self._unmapped(path, handler)
            endpoint = replace(endpoint_row(path, (POST,), name, unmapped.endpoint), handler=None)
            method = self._method(path, handler)
            if method.is_default:
                service, _, action = path[1:].partition("/")
                self._default_services[service].requirement(action)
            if not method.is_guarded:
                raise ConfigurationError(unguarded_message([endpoint]))
            rows = [endpoint, endpoint_row(path, (POST,), name, method.endpoint)]
            check_services(rows, self.guard.signing_names)
            for requirement in (requirement for row in rows for requirement in row.requirements):
                check_fields(requirement, handler)
            if path not in known:
                self.endpoints.append(endpoint)

    def check_map(self) -> None:
        """Raise `ConfigurationError` for a row of the map without a method."""
        if self.route_map is not None:
            self.route_map.joined(self.endpoints)

    def _method(self, path: str, handler: Any) -> GuardedMethod:
        """Return what guards a method: a row of the map, or its own mark, or what the interceptor declares."""
        row = None if self.route_map is None else self.route_map.row(POST, path)
        return self._unmapped(path, handler) if row is None else GuardedMethod(path, handler, row)

    def _unmapped(self, path: str, handler: Any) -> GuardedMethod:
        service, _, name = path[1:].partition("/")
        is_public = not self._public.isdisjoint((path[1:], service))
        method = GuardedMethod(path, handler, MappedRoute(path, PUBLIC) if is_public else None)
        defaults = self._default_services.get(service)
        if method.is_guarded or defaults is None:
            return method
        default = Requirement(
            f"{defaults.name}:{name}", None, None, None, False, False, frozenset(), defaults.catalogue
        )
        return GuardedMethod(path, handler, MappedRoute(path, default), is_default=True)

    def guarded(self, path: str, handler: Any) -> Any:
        """Return the guarded handler of a method, of the same cardinality; None for an unknown method."""
        if handler is None:
            return None
        known, guarded = self._handlers.get(path, (None, None))
        if known is handler:
            return guarded
        behavior, method = behavior_of(handler), self._method(path, handler)
        is_stream = handler.response_streaming and not method.is_non_blocking
        guarded_behavior: Any = wraps(behavior, updated=())(self.guarded_behavior(method, behavior, is_stream))
        if (pool := getattr(behavior, "experimental_thread_pool", None)) is not None:
            guarded_behavior.experimental_thread_pool = pool
        if method.is_non_blocking:
            guarded_behavior.experimental_non_blocking = True
        _, make_handler = KINDS[handler.request_streaming, handler.response_streaming]
        guarded = make_handler(
            guarded_behavior,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )
        if len(self._handlers) >= _MAX_METHODS:
            self._handlers.clear()
        self._handlers[path] = handler, guarded
        return guarded

    @abstractmethod
    def guarded_behavior(self, method: GuardedMethod, behavior: Any, is_stream: bool) -> Callable[..., Any]:
        """Return the function of a guarded handler."""


class CheckedServer:
    """A server whose services are checked when they are added; everything else is the server's own."""

    def __init__(self, server: Any, guards: MethodGuards) -> None:
        self._server = server
        self._guards = guards

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[Any]) -> None:
        """Check and add handlers; those of another class than gRPC's own are checked with each call."""
        handlers = tuple(generic_rpc_handlers)
        for handler in handlers:
            self._guards.add_methods(getattr(handler, "_method_handlers", {}))
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Any]) -> None:
        """Check and add the methods of a service."""
        self._guards.add_methods({f"/{service_name}/{name}": handler for name, handler in method_handlers.items()})
        self._server.add_registered_method_handlers(service_name, method_handlers)

    def start(self) -> Any:
        """Check the map, and start the server."""
        self._guards.check_map()
        return self._server.start()
