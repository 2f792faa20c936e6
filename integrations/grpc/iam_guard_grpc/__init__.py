"""iam_guard for gRPC: interceptors for `grpc.server` and `grpc.aio.server`, and the decorators of `Service`.

    docs = Service("docs")

    class Documents(documents_pb2_grpc.DocumentsServicer):
        @docs.requires("GetDocument", resource="document/{document_id}")
        def GetDocument(self, request, context): ...

    interceptor = GuardInterceptor(guard)
    server = interceptor.checked(grpc.server(ThreadPoolExecutor(), interceptors=[interceptor]))

The interceptor authenticates callers by the metadata or the TLS certificate, makes the call current for the handler,
and turns errors into statuses. It makes no decisions. A method that is neither guarded nor public answers INTERNAL and
does not run; `checked` reports it when its service is added to the server. Put the guard last in the list of
interceptors: it must see the servicer's own methods.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar, cast

import grpc

from iam_guard import Guard, RouteMap, Service
from iam_guard.errors import ConfigurationError
from iam_guard.web.call_context import serving
from iam_guard.web.endpoints import Endpoint, check_services, endpoint_row, unguarded_message
from iam_guard.web.guarded_request import Bridge
from iam_guard.web.requirement import PUBLIC, Requirement
from iam_guard.web.route_maps.mapped_route import MappedRoute
from iam_guard_grpc.guarded_rpc import KINDS, POST, GuardedMethod, GuardedRpc, behavior_of, field_names

__all__ = ["AioGuardInterceptor", "CheckedServer", "GuardInterceptor", "inventory_of", "route_map_of", "streaming"]

P = ParamSpec("P")
R = TypeVar("R")

_MAX_METHODS: Final = 1024
"""The methods whose guarded handlers are cached; a handler may accept any name."""
_END: Final = object()


class _MethodGuards:
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
        self._bridge = Bridge(guard)
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
                _check_fields(requirement, handler)
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

    def _guarded(self, path: str, handler: Any) -> Any:
        """Return the guarded handler of a method, of the same cardinality; None for an unknown method."""
        if handler is None:
            return None
        known, guarded = self._handlers.get(path, (None, None))
        if known is handler:
            return guarded
        behavior, method = behavior_of(handler), self._method(path, handler)
        is_stream = handler.response_streaming and not method.is_non_blocking
        guarded_behavior: Any = wraps(behavior, updated=())(self._guarded_behavior(method, behavior, is_stream))
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

    def _guarded_behavior(self, method: GuardedMethod, behavior: Any, is_stream: bool) -> Callable[..., Any]:
        make = self._answers if is_stream else self._answer
        return make(method, behavior)

    def _rpc(self, method: GuardedMethod, context: Any) -> GuardedRpc:
        return GuardedRpc(self._bridge, method, context)

    # --- synchronous handlers ---------------------------------------------------------------------------------------

    def _answer(self, method: GuardedMethod, behavior: Any) -> Callable[..., Any]:
        def answer(request: Any, context: Any, *callbacks: Any) -> Any:
            rpc = self._rpc(method, context)
            try:
                with serving(rpc.begin(request, self)) as call:
                    method.enforce(call)
                    response = behavior(request, context, *callbacks)
                rpc.check()
            except Exception as error:
                refusal = rpc.refusal(error)
                if refusal is None:
                    raise
                context.abort(*refusal)
            finally:
                rpc.end()
            return response

        return answer

    def _answers(self, method: GuardedMethod, behavior: Any) -> Callable[..., Any]:
        def answers(request: Any, context: Any) -> Iterator[Any]:
            rpc = self._rpc(method, context)
            responses: Any = ()
            try:
                call = rpc.begin(request, self)
                with serving(call):
                    method.enforce(call)
                    responses = iter(behavior(request, context))
                while True:
                    with serving(call):  # not between responses: the thread may then serve another call
                        response = next(responses, _END)
                    rpc.check()
                    if response is _END:
                        return
                    yield response
            except Exception as error:
                refusal = rpc.refusal(error)
                if refusal is None:
                    raise
                context.abort(*refusal)
            finally:
                close = getattr(responses, "close", None)
                if close is not None and rpc.call is not None:
                    with serving(rpc.call):
                        close()
                rpc.end()

        return answers


class GuardInterceptor(_MethodGuards, grpc.ServerInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Guard a `grpc.server`."""

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        return self._guarded(handler_call_details.method, continuation(handler_call_details))


class AioGuardInterceptor(_MethodGuards, grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Guard a `grpc.aio.server`; calls of synchronous handlers are decided in their thread."""

    async def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        return self._guarded(handler_call_details.method, await continuation(handler_call_details))

    def _guarded_behavior(self, method: GuardedMethod, behavior: Any, is_stream: bool) -> Callable[..., Any]:
        if not inspect.iscoroutinefunction(behavior) and not inspect.isasyncgenfunction(behavior):
            return super()._guarded_behavior(method, behavior, is_stream)
        make = self._answers_async if is_stream else self._answer_async
        return make(method, behavior)

    def _answer_async(self, method: GuardedMethod, behavior: Any) -> Callable[..., Any]:
        async def answer(request: Any, context: Any) -> Any:
            rpc = self._rpc(method, context)
            try:
                with serving(await rpc.begin_async(request, self)) as call:
                    await method.enforce_async(call)
                    response = await behavior(request, context)
                rpc.check()
            except Exception as error:
                refusal = rpc.refusal(error)
                if refusal is None:
                    raise
                await context.abort(*refusal)
            finally:
                rpc.end()
            return response

        return answer

    def _answers_async(self, method: GuardedMethod, behavior: Any) -> Callable[..., Any]:
        async def answers(request: Any, context: Any) -> AsyncIterator[Any]:
            rpc = self._rpc(method, context)
            responses: Any = None
            try:
                call = await rpc.begin_async(request, self)
                with serving(call):
                    await method.enforce_async(call)
                    responses = behavior(request, _CheckedContext(context, rpc.check))
                    if inspect.isawaitable(responses):  # it writes to the context, or returns what `streaming` started
                        responses = await responses
                    responses = None if responses is None else aiter(responses)
                while responses is not None:
                    with serving(call):  # not between responses: another task may close this generator
                        response = await anext(responses, _END)
                    if response is _END:
                        break
                    rpc.check()
                    yield response
                rpc.check()
            except Exception as error:
                refusal = rpc.refusal(error)
                if refusal is None:
                    raise
                await context.abort(*refusal)
            finally:
                close = getattr(responses, "aclose", None)
                if close is not None and rpc.call is not None:
                    with serving(rpc.call):
                        await close()
                rpc.end()

        return answers


class _CheckedContext:
    """A servicer context that checks each message which the handler writes to it."""

    def __init__(self, context: Any, check: Callable[[], None]) -> None:
        self._context = context
        self._check = check

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def write(self, message: Any) -> None:
        self._check()
        await self._context.write(message)


class CheckedServer:
    """A server whose services are checked when they are added; everything else is the server's own."""

    def __init__(self, server: Any, guards: _MethodGuards) -> None:
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


def streaming(handler: Callable[P, R]) -> Callable[P, R]:
    """Let `requires` guard a generator: put it below `requires`, which decides before the generator starts."""
    if inspect.isasyncgenfunction(handler):

        @wraps(handler)
        async def start_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            return handler(*args, **kwargs)

        return cast("Callable[P, R]", start_async)

    @wraps(handler)
    def start(*args: P.args, **kwargs: P.kwargs) -> R:
        return handler(*args, **kwargs)

    return start


def inventory_of(app: object) -> list[Endpoint] | None:
    """Return the methods without the map, for `iam-guard routes`; None for anything but an interceptor of gRPC."""
    return app.endpoints if isinstance(app, _MethodGuards) else None


def route_map_of(app: object) -> RouteMap | None:
    """Return the map of an interceptor, for `iam-guard routes`."""
    return app.route_map if isinstance(app, _MethodGuards) else None


def _check_fields(requirement: Requirement, handler: Any) -> None:
    """Raise `ConfigurationError` if the message of a method can't fill the template or the loaders of a requirement."""
    message = getattr(handler.request_deserializer, "__self__", None)
    if handler.request_streaming or getattr(message, "DESCRIPTOR", None) is None:
        fields: tuple[str, ...] = ()
    else:
        fields = field_names(message)
    if handler.request_streaming or fields:
        requirement.check_parameter_names(behavior_of(handler), "".join(f"{{{name}}}" for name in fields))
