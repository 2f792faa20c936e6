"""The part of an HTTP request that credentials speak about: method, path, query and headers, as they were on the wire.

Every entrance (ASGI, WSGI, a function call) makes one of these, so that this room knows no framework. Must not live
here: the body, of which only the SHA-256 matters (`verify`), and the connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from iam_guard.authn.presented import CarriedCertificate


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request without its body.

    `raw_path` is percent-encoded and without the query; `query_string` is without the `?`; header names are in lower
    case and repeated headers stand in the order of arrival, as ASGI gives them.
    """

    method: str
    raw_path: bytes
    query_string: bytes = field(repr=False)
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    certificates: tuple[CarriedCertificate, ...] = field(default=(), repr=False)
    """The client certificates that came with it, from where the settings say that they count."""
    by_name: Mapping[bytes, Sequence[bytes]] = field(init=False, repr=False, compare=False)
    """The headers again: each name with all its values."""

    def __post_init__(self) -> None:
        by_name: dict[bytes, list[bytes]] = {}
        for name, value in self.headers:
            by_name.setdefault(name, []).append(value)
        object.__setattr__(self, "by_name", by_name)

    def values(self, name: bytes) -> Sequence[bytes]:
        """Give all values of a header, none for an absent one; `name` in lower case."""
        return self.by_name.get(name, ())
