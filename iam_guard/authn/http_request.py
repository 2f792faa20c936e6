"""The parts of an HTTP request that authentication needs: method, path, query and headers, as received.

ASGI, WSGI and direct calls all build an `HttpRequest`, so authentication does not depend on a framework. The body is
not part of it: only its SHA-256 is needed (`credential_verifier`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from iam_guard.authn.presented_credentials import ReceivedCertificate


@dataclass(frozen=True)
class HttpRequest:
    """A request without its body.

    `raw_path` is percent-encoded and excludes the query; `query_string` excludes the `?`; headers are as received,
    repeated ones in order.
    """

    method: str
    raw_path: bytes
    query_string: bytes = field(repr=False)
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    certificates: tuple[ReceivedCertificate, ...] = field(default=(), repr=False)
    """The client certificates received from the sources that the settings accept."""
    oidc_audiences: tuple[str, ...] = ()
    """The audiences of OIDC tokens that the application of the request accepts; empty for those of the settings."""
    by_name: Mapping[bytes, Sequence[bytes]] = field(init=False, repr=False, compare=False)
    """All values of each header, by lower-case name."""

    def __init__(
        self,
        method: str,
        raw_path: bytes,
        query_string: bytes,
        headers: tuple[tuple[bytes, bytes], ...],
        certificates: tuple[ReceivedCertificate, ...] = (),
        oidc_audiences: tuple[str, ...] = (),
    ) -> None:
        # Created for every request: the generated `__init__` of a frozen dataclass takes twice as long.
        fields = self.__dict__
        fields["method"] = method
        fields["raw_path"] = raw_path
        fields["query_string"] = query_string
        fields["headers"] = headers
        fields["certificates"] = certificates
        fields["oidc_audiences"] = oidc_audiences
        by_name: dict[bytes, Sequence[bytes]] = {name.lower(): (value,) for name, value in headers}
        fields["by_name"] = by_name if len(by_name) == len(headers) else _grouped(headers)

    def values(self, name: bytes) -> Sequence[bytes]:
        """Return all values of a header; empty if absent. `name` is in lower case."""
        return self.by_name.get(name, ())

    def at_host(self, host: str) -> HttpRequest:
        """Return the request with another `Host`, as before a proxy rewrote it."""
        headers = ((name, host.encode() if name.lower() == b"host" else value) for name, value in self.headers)
        return HttpRequest(
            self.method, self.raw_path, self.query_string, tuple(headers), self.certificates, self.oidc_audiences
        )


def _grouped(headers: tuple[tuple[bytes, bytes], ...]) -> Mapping[bytes, Sequence[bytes]]:
    by_name: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        by_name.setdefault(name.lower(), []).append(value)
    return by_name
