"""What guards one method of a service, and the fields of its message that templates and loaders get."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import anyio.to_thread
import grpc

from iam_guard.adapters import PUBLIC, CurrentCall, MappedRoute, Requirement, own_mark

POST: Final = "POST"
"""The HTTP method of every call."""
_BYTES_FIELD: Final = 12
"""The type of a field of bytes in a descriptor: it names no resource, and reading it copies it."""

KINDS: Final[Mapping[tuple[bool, bool], tuple[str, Callable[..., Any]]]] = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}
"""(streams of requests, streams of responses) -> the attribute of the handler, and what creates a handler."""


def behavior_of(handler: Any) -> Any:
    """Return the function of a handler."""
    return getattr(handler, KINDS[handler.request_streaming, handler.response_streaming][0])


class GuardedMethod:
    """What guards one method: the row of a map, or the mark of its handler."""

    __slots__ = ("_row", "endpoint", "is_default", "is_guarded", "is_non_blocking", "is_public", "path", "takes_stream")

    def __init__(self, path: str, handler: Any, row: MappedRoute | None, *, is_default: bool = False) -> None:
        behavior = behavior_of(handler)
        self.path = path
        self.takes_stream = handler.request_streaming
        self._row = row
        self.endpoint = behavior if row is None else row.endpoint_to_report(behavior, POST)
        mark = own_mark(self.endpoint)
        self.is_guarded, self.is_public, self.is_default = mark is not None, mark == PUBLIC, is_default
        self.is_non_blocking = self.is_public and bool(getattr(behavior, "experimental_non_blocking", False))
        """Whether it answers through a callback, as gRPC's health service; responses of guarded methods are checked."""

    def enforce(self, call: CurrentCall) -> None:
        """Enforce the row; the mark of a handler is enforced by its decorator."""
        if self._row is not None:
            self._row.enforce(self._parameters(call))

    async def enforce_async(self, call: CurrentCall) -> None:
        """Enforce the row as `enforce` does; use a thread for synchronous loaders."""
        if self._row is not None:
            if self._row.blocks:
                await anyio.to_thread.run_sync(self._row.enforce, self._parameters(call))
            else:
                await self._row.enforce_async(self._parameters(call))

    def _parameters(self, call: CurrentCall) -> Mapping[str, Any]:
        return {} if self.takes_stream else parameters_of(call.scope["path_params"]["request"])


def parameters_of(message: Any) -> dict[str, Any]:
    """Return what templates and loaders get: the message as `request`, and its declared fields by name.

    A message without declared fields, such as a `Struct`, has none: the caller would choose their names.
    """
    kind: Any = type(message)
    fields = {name: getattr(message, name) for name in field_names(kind)}
    return {**fields, "request": message}


@lru_cache(maxsize=1024)  # types of messages are few
def field_names(kind: Any) -> tuple[str, ...]:
    """Return the fields of a protobuf message's type that may name a resource."""
    descriptor = getattr(kind, "DESCRIPTOR", None)
    return tuple(field.name for field in getattr(descriptor, "fields", ()) if field.type != _BYTES_FIELD)


def check_fields(requirement: Requirement, handler: Any) -> None:
    """Raise `ConfigurationError` if the message of a method can't fill the template or the loaders of a requirement."""
    message = getattr(handler.request_deserializer, "__self__", None)
    if handler.request_streaming or getattr(message, "DESCRIPTOR", None) is None:
        fields: tuple[str, ...] = ()
    else:
        fields = field_names(message)
    if handler.request_streaming or fields:
        requirement.check_parameter_names(behavior_of(handler), "".join(f"{{{name}}}" for name in fields))
