"""The part of an HTTP request that credentials speak about: method, path, query and headers, as they were on the wire.

Every entrance (ASGI, WSGI, a function call) makes one of these, so that this room knows no framework. Must not live
here: the body, of which only the SHA-256 matters (`credential_verifier`), and the connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from iam_guard.authn.presented_credentials import CarriedCertificate


@dataclass(frozen=True)
class HttpRequest:
    """One request without its body.

    `raw_path` is percent-encoded and without the query; `query_string` is without the `?`; headers are as they came,
    repeated ones in the order of arrival.
    """

    method: str
    raw_path: bytes
    query_string: bytes = field(repr=False)
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    certificates: tuple[CarriedCertificate, ...] = field(default=(), repr=False)
    """The client certificates that came with it, from where the settings say that they count."""
    by_name: Mapping[bytes, Sequence[bytes]] = field(init=False, repr=False, compare=False)
    """The headers again: each name in lower case, with all its values."""

    def __init__(
        self,
        method: str,
        raw_path: bytes,
        query_string: bytes,
        headers: tuple[tuple[bytes, bytes], ...],
        certificates: tuple[CarriedCertificate, ...] = (),
    ) -> None:
        # One is made for every request, and what a frozen dataclass writes for itself takes twice as long.
        fields = self.__dict__
        fields["method"] = method
        fields["raw_path"] = raw_path
        fields["query_string"] = query_string
        fields["headers"] = headers
        fields["certificates"] = certificates
        by_name: dict[bytes, Sequence[bytes]] = {name.lower(): (value,) for name, value in headers}
        fields["by_name"] = by_name if len(by_name) == len(headers) else _grouped(headers)

    def values(self, name: bytes) -> Sequence[bytes]:
        """Return all values of a header, none for an absent one; `name` in lower case."""
        return self.by_name.get(name, ())

    def at_host(self, host: str) -> HttpRequest:
        """Return the request with another `Host`, as it was before a proxy rewrote it."""
        headers = ((name, host.encode() if name.lower() == b"host" else value) for name, value in self.headers)
        return HttpRequest(self.method, self.raw_path, self.query_string, tuple(headers), self.certificates)


def _grouped(headers: tuple[tuple[bytes, bytes], ...]) -> Mapping[bytes, Sequence[bytes]]:
    """Return each name with all its values, where one comes more than once."""
    by_name: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        by_name.setdefault(name.lower(), []).append(value)
    return by_name
