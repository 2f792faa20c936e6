"""What goes over the wire, as values: a request with its body, the call that it makes, and the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from iam_guard.api.protocol.protocol_errors import MalformedBody
from iam_guard.api.protocol.service_model import Operation
from iam_guard.authn.http_request import HttpRequest

Parameters: TypeAlias = Mapping[str, object]
"""What an operation is given, and what it gives: member names of the model -> str, int, float, bool, an aware datetime,
bytes, lists and dicts of them. An absent member has no key."""


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One request: what credentials speak about, and the body, which is not longer than the caller allows."""

    head: HttpRequest
    body: bytes = field(default=b"", repr=False)

    def header(self, name: str) -> str | None:
        """Return a header that may stand once only; `name` in lower case."""
        values = self.head.values(name.encode())
        if len(values) > 1:
            raise MalformedBody(f"expected one header `{name}`, got {len(values)}")
        return values[0].decode("latin-1").strip() if values else None

    def media_type(self) -> str | None:
        """Return the content type without its parameters, in lower case."""
        value = self.header("content-type")
        return None if value is None else value.partition(";")[0].strip().lower()


class WireCall(NamedTuple):
    """A request that was understood; the parameters are of the right types, but not yet validated."""

    operation: Operation
    parameters: dict[str, object]


@dataclass(frozen=True, slots=True)
class WireAnswer:
    """What is sent. Header names in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
