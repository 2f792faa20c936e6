"""The facts of a connection: an ASGI scope -> `Call` and `HttpRequest`.

WSGI environs are converted to a scope first (`web/wsgi/environ`). Forwarding headers count only from a trusted proxy:
`X-Forwarded-For` is read from its end, and the first address that is not a trusted proxy is the caller's. If an entry
is not an address, the caller's address is unknown: a proxy's address would look like an internal caller.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

from iam_guard.audit.record.event_ids import new_id
from iam_guard.authn.certificates.client_certificate import CHAIN_HEADER, RFC_9440, TLS
from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.presented_credentials import ReceivedCertificate
from iam_guard.authn.signatures.percent_decoding import is_escaped_utf8, unescaped
from iam_guard.authn.signatures.signed_query import MAX_TARGET
from iam_guard.errors import MalformedRequest, RequestTooLarge
from iam_guard.model.request import Call
from iam_guard.settings import Settings

Headers = tuple[tuple[bytes, bytes], ...]

MAX_HEADERS: Final = 256
_READ_BACKWARDS: Final = slice(MAX_HEADERS - 1, None, -1)
"""The headers of a request up to the limit, from the last; a request with more is rejected."""
_DESCRIBING: Final = (b"host", b"user-agent", b"referer")
MAX_DESCRIPTION: Final = 16 * 1024
"""Bytes that are read of `User-Agent` and `Referer`, in which a client can write what it likes."""
MAX_PROXIES: Final = 32
"""Addresses read from a forwarding chain; if all of them are trusted proxies, the caller's address is unknown."""
_MAX_ADDRESS_LENGTH: Final = 128
_CACHED_ADDRESSES: Final = 4096
_WITH_PORT = re.compile(r"(?:\[(?P<v6>[^\]]*)\]|(?P<v4>[0-9.]+))(?::[0-9]{1,5})?")
_SECURE_SCHEMES = ("https", "wss")


class Connection:
    """Reads ASGI scopes according to the settings; created once.

    `oidc_audiences`, unless empty, replaces the setting.
    """

    __slots__ = ("_certificate_sources", "_is_trusted", "_oidc_audiences", "_region", "_trusted")

    def __init__(self, settings: Settings, oidc_audiences: tuple[str, ...] = ()) -> None:
        self._trusted = tuple(
            ipaddress.ip_network(trusted_proxy, strict=False) for trusted_proxy in settings.trusted_proxies
        )
        self._is_trusted = lru_cache(maxsize=_CACHED_ADDRESSES)(self._is_in_trusted_network)
        self._certificate_sources = settings.client_certificates
        self._region = settings.region
        self._oidc_audiences = oidc_audiences

    def facts(self, scope: Mapping[str, Any]) -> Call:
        """Return the facts of a call; never raises."""
        headers = scope["headers"]
        first: dict[bytes, bytes] = dict(headers[_READ_BACKWARDS])  # of duplicates, the first
        host, agent, referer = map(first.get, _DESCRIBING)
        client = scope.get("client")
        peer = _address(client[0]) if client else None
        secure = scope.get("scheme", "http") in _SECURE_SCHEMES
        if self._trusted and peer is not None and self._is_trusted(peer):
            sent: Headers = tuple(headers[:MAX_HEADERS])
            protocol = _last(sent, b"x-forwarded-proto")
            secure = secure if protocol is None else protocol.lower() in _SECURE_SCHEMES
            peer = self._origin(sent, peer)
        return Call(
            new_id(),
            scope["type"],
            scope.get("method", "GET"),
            scope.get("path", "").replace("?", "%3F"),  # audit records contain the URL up to the first `?`
            None if host is None else host.decode("latin-1"),
            peer,
            None if agent is None else agent[:MAX_DESCRIPTION].decode("latin-1"),
            None if referer is None else referer[:MAX_DESCRIPTION].decode("latin-1"),
            secure,
            self._region,
        )

    def request(self, scope: Mapping[str, Any]) -> HttpRequest:
        """Return the request that credentials are verified against.

        Raises `MalformedRequest` for a path that is not UTF-8, `RequestTooLarge` for more than `MAX_HEADERS` headers.
        """
        headers = tuple(scope["headers"])
        if len(headers) > MAX_HEADERS:
            raise RequestTooLarge(f"expected at most {MAX_HEADERS} headers")
        certificates = self._certificates(scope) if self._certificate_sources else ()
        raw_path = scope.get("raw_path")
        path: bytes = raw_path if type(raw_path) is bytes else quote(scope["path"]).encode("ascii")
        if b"?" in path:
            path = path.partition(b"?")[0]  # some servers include the query
        if b"%" in path or not path.isascii():
            _check_path(path)
        method, query = scope.get("method", "GET"), scope.get("query_string", b"")
        return HttpRequest(method, path, query, headers, certificates, self._oidc_audiences)

    def _certificates(self, scope: Mapping[str, Any]) -> tuple[ReceivedCertificate, ...]:
        """Return the client certificates of the configured sources.

        The TLS certificate of a trusted proxy is the proxy's, not the caller's. An empty header from such a proxy means
        that the caller has no certificate; from any other address, the header is rejected later.
        """
        client = scope.get("client")
        peer = _address(client[0]) if client else None
        is_proxy = peer is not None and self._is_trusted(peer)
        found: list[ReceivedCertificate] = []
        for source in self._certificate_sources:
            if source == TLS:
                tls = (scope.get("extensions") or {}).get("tls") or {}
                chain = tls.get("client_cert_chain") or ()
                values = () if is_proxy else tuple(str(certificate).encode() for certificate in chain)
                is_believed = True
            else:
                values = tuple(value for name, value in scope["headers"] if name.lower() == source.encode("ascii"))
                values = () if is_proxy and not any(value.strip() for value in values) else values
                is_believed = is_proxy
            if values:
                rest = tuple(value for name, value in scope["headers"] if name.lower() == CHAIN_HEADER)
                found.append(ReceivedCertificate(source, values, rest if source == RFC_9440 else (), is_believed))
        return tuple(found)

    def _origin(self, headers: Headers, proxy: str) -> str | None:
        """Return the caller's address from the forwarding chain; None if it can't be determined."""
        values = [value for name, value in headers if name == b"x-forwarded-for"]
        if not values:
            return proxy
        parts = b",".join(values).decode("latin-1").rsplit(",", MAX_PROXIES)
        address = None
        for part in reversed(parts[-MAX_PROXIES:]):
            address = _address(part.strip())
            if address is None or not self._is_trusted(address):
                return address
        return address if len(parts) <= MAX_PROXIES else None

    def _is_in_trusted_network(self, address: str) -> bool:
        ip = ipaddress.ip_address(address)
        return any(ip.version == network.version and ip in network for network in self._trusted)


def headers_at_host(headers: Iterable[tuple[bytes, bytes]], host: str) -> list[tuple[bytes, bytes]]:
    """Return the headers with the signed host, and without `X-Forwarded-Host`, by which some frameworks route."""
    kept = [(name, value) for name, value in headers if name.lower() not in (b"host", b"x-forwarded-host")]
    return [*kept, (b"host", host.encode("latin-1", "replace"))]


def _check_path(path: bytes) -> None:
    """Raise `MalformedRequest` for a path that is not UTF-8, and for invalid escapes in a long one."""
    try:
        is_escaped = is_escaped_utf8(path) if len(path) > MAX_TARGET else unescaped(path).decode() is not None
    except UnicodeDecodeError:
        raise MalformedRequest("expected a path in UTF-8", place="path") from None
    if not is_escaped:
        raise MalformedRequest("expected a percent-encoded path", place="path")


def _address(text: str) -> str | None:
    """Read an address, with or without brackets and port; an IPv4 address mapped into IPv6 is the IPv4 address."""
    return (
        _read_address(text) if len(text) <= _MAX_ADDRESS_LENGTH else None
    )  # long values are neither parsed nor cached


@lru_cache(maxsize=_CACHED_ADDRESSES)  # callers repeat
def _read_address(text: str) -> str | None:
    found = _WITH_PORT.fullmatch(text)
    try:
        ip = ipaddress.ip_address(text if found is None else found["v6"] or found["v4"] or "")
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)


def _last(headers: Headers, header: bytes) -> str | None:
    values = [value for name, value in headers if name == header]
    return values[-1].decode("latin-1").rsplit(",", 1)[-1].strip() if values else None
