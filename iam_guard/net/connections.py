"""How a connection to another server is made: until a moment, to an address that was looked at.

`Dialling` is a network backend of httpcore2, which follows no redirect, reads no proxy from the environment and keeps
no cookie. It resolves the name itself and connects to what it looked at, so that a name cannot mean something else a
moment later; and whatever comes how slowly, all is over at its end.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore2

from iam_guard.net.trusted_addresses import is_public


class Dialling(httpcore2.SyncBackend):
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
        if self._only_public and not all(map(is_public, addresses)):
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
    """Return the seconds that are left. Raises `httpcore2.ReadTimeout` for none."""
    left = end - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("it takes too long")
    return left
