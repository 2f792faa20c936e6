"""Outgoing connections with a deadline, to checked addresses.

`DeadlineBackend` is a network backend of httpcore2 without redirects, proxy variables and cookies.
It resolves the name itself and connects to the checked address, which prevents DNS rebinding. It ends at the deadline,
however slowly data arrives.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore2

from iam_guard.net.trusted_addresses import is_public


class DeadlineBackend(httpcore2.SyncBackend):
    """Connects with a deadline (of `time.monotonic`), to any address or to public ones only."""

    def __init__(self, deadline: float, *, only_public: bool) -> None:
        super().__init__()
        self._deadline = deadline
        self._only_public = only_public

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Resolve the name, check its addresses, and connect to the first that answers."""
        results = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(result[4][0]) for result in results))
        if self._only_public and not all(map(is_public, addresses)):
            raise httpcore2.ConnectError("not a public address")
        for address in addresses[:-1]:
            try:
                return self._connect(address, port, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue  # a name may have IPv4 and IPv6 addresses, and the machine a route to one of them
        return self._connect(addresses[-1], port, socket_options)

    def _connect(self, address: str, port: int, options: Iterable[Any] | None) -> httpcore2.NetworkStream:
        stream = super().connect_tcp(address, port, _seconds_left(self._deadline), None, options)
        return _DeadlineStream(stream, self._deadline)


class _DeadlineStream(httpcore2.NetworkStream):
    """A connection with a deadline for all its reads and writes together."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _seconds_left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _seconds_left(self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, _seconds_left(self._deadline))
        return _DeadlineStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _seconds_left(deadline: float) -> float:
    """Return the seconds until the deadline; raise `httpcore2.ReadTimeout` after it."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore2.ReadTimeout("deadline exceeded")
    return left
