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
from collections.abc import AsyncIterator, Callable, Iterator
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar, cast

import grpc

from iam_guard import Endpoint, RouteMap
from iam_guard.adapters import serving
from iam_guard_grpc.guarded_method import GuardedMethod
from iam_guard_grpc.guarded_rpc import GuardedRpc
from iam_guard_grpc.method_guards import CheckedServer, MethodGuards

__all__ = ["AioGuardInterceptor", "CheckedServer", "GuardInterceptor", "inventory_of", "route_map_of", "streaming"]

P = ParamSpec("P")
R = TypeVar("R")

_END: Final = object()


class _SyncGuards(MethodGuards):
    """Guards synchronous handlers, of both kinds of server."""

    def guarded_behavior(self, method: GuardedMethod, behavior: Any, is_stream: bool) -> Callable[..., Any]:
        make = self._answers if is_stream else self._answer
        return make(method, behavior)

    def _answer(self, method: GuardedMethod, behavior: Any) -> Callable[..., Any]:
        def answer(request: Any, context: Any, *callbacks: Any) -> Any:
            rpc = GuardedRpc(self.bridge, method, context)
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
            rpc = GuardedRpc(self.bridge, method, context)
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


class GuardInterceptor(_SyncGuards, grpc.ServerInterceptor):  # type: ignore[misc]  # grpc ships no types
    """Guard a `grpc.server`."""

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        return self.guarded(handler_call_details.method, continuation(handler_call_details))


class AioGuardInterceptor(_SyncGuards, grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Guard a `grpc.aio.server`; calls of synchronous handlers are decided in their thread."""

    async def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        return self.guarded(handler_call_details.method, await continuation(handler_call_details))

    def guarded_behavior(self, method: GuardedMethod, behavior: Any, is_stream: bool) -> Callable[..., Any]:
        if not inspect.iscoroutinefunction(behavior) and not inspect.isasyncgenfunction(behavior):
            return super().guarded_behavior(method, behavior, is_stream)
        make = self._answers_async if is_stream else self._answer_async
        return make(method, behavior)

    def _answer_async(self, method: GuardedMethod, behavior: Any) -> Callable[..., Any]:
        async def answer(request: Any, context: Any) -> Any:
            rpc = GuardedRpc(self.bridge, method, context)
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
            rpc = GuardedRpc(self.bridge, method, context)
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
    return app.endpoints if isinstance(app, MethodGuards) else None


def route_map_of(app: object) -> RouteMap | None:
    """Return the map of an interceptor, for `iam-guard routes`."""
    return app.route_map if isinstance(app, MethodGuards) else None
