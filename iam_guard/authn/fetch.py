"""What issuers publish, fetched over HTTPS: the one file that speaks to strangers.

Nothing is followed and nothing is believed: no redirect, no proxy of the environment, no cookie, certificates always
checked, a bound on size and time. Where a stranger may name the address, the address must be public: the name is
resolved here, and the connection goes to what was looked at, so that a name cannot mean something else a moment later.
An issuer that lives at a private address has an entry in the settings, and plain HTTP is for such entries at loopback.
Must not live here: what is fetched, and when (`issuer_keys`).
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import httpcore2

from iam_guard.errors import ConfigurationError, IdentityProviderUnavailable, InvalidIdentityToken

LARGEST: Final = 256 * 1024

_HEADERS: Final = [("accept", "application/json"), ("accept-encoding", "identity"), ("user-agent", "iam-guard")]
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class Fetcher:
    """Fetches on behalf of issuers. Safe to share between threads. `addresses` is issuer -> where it is reached.

    Raises `ConfigurationError` for an address of no known form and for a file without certificates.
    """

    def __init__(self, addresses: Mapping[str, str], *, ca_file: str = "", timeout: float = 5.0) -> None:
        for address in addresses.values():
            _check_address(address)
        self._addresses = {issuer: address.rstrip("/") for issuer, address in addresses.items()}
        self._timeout = timeout
        self._context = _trusting(ca_file)

    def fetch(self, url: str, issuer: str) -> bytes:
        """Give the body at a URL that the issuer named.

        Raises `IdentityProviderUnavailable` for an issuer that does not answer, `InvalidIdentityToken` for a URL that
        is not fetched.
        """
        address = self._addresses.get(issuer)
        if address is not None:
            base = issuer.rstrip("/")
            url = address + url.removeprefix(base) if url.startswith(base + "/") else url
        _check_url(url, is_private=address is not None)
        backend = _Dialling(time.monotonic() + self._timeout, only_public=address is None)
        try:
            with httpcore2.ConnectionPool(self._context, network_backend=backend) as pool:
                return self._body(pool, url)
        except (httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError, OSError) as error:
            raise _unreachable(type(error).__name__) from None

    def _body(self, pool: httpcore2.ConnectionPool, url: str) -> bytes:
        body = bytearray()
        with pool.stream("GET", url, headers=_HEADERS) as response:
            if response.status != 200:
                raise _unreachable(f"status {response.status}")
            for part in response.iter_stream():
                body += part
                if len(body) > LARGEST:
                    raise _unreachable(f"more than {LARGEST} bytes")
        return bytes(body)


def _unreachable(why: str) -> IdentityProviderUnavailable:
    return IdentityProviderUnavailable(f"the identity provider cannot be reached: {why}")


# --- where to -----------------------------------------------------------------------------------------------------


def _check_url(url: str, *, is_private: bool) -> None:
    """Refuse what is no plain URL over HTTPS; an issuer of the settings may be at loopback without it."""
    try:
        parts = urlsplit(url)
        is_plain = parts.hostname and parts.username is None and parts.password is None and url.isascii()
        is_secure = parts.scheme == "https" or (is_private and parts.scheme == "http" and _is_loopback(parts.hostname))
        if is_plain and is_secure and (parts.port or 1) > 0:
            return
    except ValueError:
        pass
    raise InvalidIdentityToken("the identity provider names an address that is not fetched from")


def _check_address(address: str) -> None:
    try:
        _check_url(address, is_private=True)
    except InvalidIdentityToken:
        message = f"expected an address such as https://10.0.0.1:6443, or http:// at loopback, got `{address[:200]}`"
        raise ConfigurationError(message, place="oidc_addresses") from None


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


class _Dialling(httpcore2.SyncBackend):
    """Connects until a moment, to addresses that anybody on the internet may connect to, or to all."""

    def __init__(self, end: float, *, only_public: bool) -> None:
        super().__init__()
        self._end = end
        self._only_public = only_public

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Resolve the name, and connect to what was found."""
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        if self._only_public and not all(map(_is_public, addresses)):
            raise httpcore2.ConnectError("not a public address")
        for address in addresses[:-1]:
            try:
                return self._connected(address, port, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue  # a name may have addresses of two kinds, and a machine a way to one of them
        return self._connected(addresses[-1], port, socket_options)

    def _connected(self, address: str, port: int, options: Iterable[Any] | None) -> httpcore2.NetworkStream:
        return _Timed(super().connect_tcp(address, port, _left(self._end), None, options), self._end)


class _Timed(httpcore2.NetworkStream):
    """A connection that is over at a moment, however little comes at a time."""

    def __init__(self, stream: httpcore2.NetworkStream, end: float) -> None:
        self._stream = stream
        self._end = end

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(self._end))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(self._end))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, _left(self._end)), self._end)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(end: float) -> float:
    """Give the seconds that are left. Raises `httpcore2.ReadTimeout` for none."""
    left = end - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("it takes too long")
    return left


def _is_public(address: str) -> bool:
    ip: _Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.sixtofour is not None or ip.teredo is not None or ip in _NAT64:
            return False  # an IPv4 address of whoever wrote it is inside
        ip = ip.ipv4_mapped or ip
    return ip.is_global and not ip.is_multicast


def _trusting(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError):
            message = f"expected a file of certificates in PEM, got `{ca_file}`"
            raise ConfigurationError(message, place="oidc_ca_file") from None
    return context
