"""The messages of the protocols: a request with its body, the parsed call, and the response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from iam_guard.api.protocol.protocol_errors import MalformedBody
from iam_guard.api.protocol.service_model import Operation
from iam_guard.authn.http_request import HttpRequest

Parameters: TypeAlias = Mapping[str, object]
"""Input or output of an operation: member names of the model -> str, int, float, bool, aware datetime, bytes, or lists
and dicts of these. An absent member has no key."""


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One request: the head, and the body, whose length the caller limits."""

    head: HttpRequest
    body: bytes = field(default=b"", repr=False)

    def header(self, name: str) -> str | None:
        """Return a header, by its lower-case name. Raises `MalformedBody` if it is repeated."""
        values = self.head.values(name.encode())
        if len(values) > 1:
            raise MalformedBody(f"expected one header `{name}`, got {len(values)}")
        return values[0].decode("latin-1").strip() if values else None

    def media_type(self) -> str | None:
        """Return the content type without its parameters, in lower case."""
        value = self.header("content-type")
        return None if value is None else value.partition(";")[0].strip().lower()


class WireCall(NamedTuple):
    """A parsed request; the parameters have the right types, but are not validated."""

    operation: Operation
    parameters: dict[str, object]


@dataclass(frozen=True, slots=True)
class WireResponse:
    """One response. Header names are in lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)
