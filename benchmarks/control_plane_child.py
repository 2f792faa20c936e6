"""The client process of `control_plane`: send requests from a file, and print the times as JSON.

    python -m benchmarks.control_plane_child PORT CONNECTIONS FILE

FILE is a JSON list of complete HTTP requests. The connections are opened before the measurement; on each, a request
follows the response to the one before. A connection that the server closes is opened again as part of the next request.
One thread waits for all of them, and parses only the status and length of a response. Delayed acknowledgements are
off, so that a server that sends head and body separately does not wait for them.
"""

from __future__ import annotations

import json
import re
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.servers import ADDRESS

_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close\r\n", re.IGNORECASE)
_MAX_SAID = 1000
_MAX_SECONDS = 30.0


def main(port: int, connections: int, path: Path) -> None:
    """Send all requests, and print the times."""
    requests = [text.encode("latin-1") for text in json.loads(path.read_text(encoding="utf-8"))]
    opened = [_Connection(port) for _ in range(min(connections, len(requests)))]
    begun = time.perf_counter()
    latencies = _send(opened, iter(requests))
    seconds = time.perf_counter() - begun
    assert len(latencies) == len(requests)
    print(json.dumps({"seconds": seconds, "latencies": latencies}))


class _Connection:
    """One connection: the time of its last request, and the received part of the response."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.sent = 0.0
        self._received = b""
        self._open()

    def _open(self) -> None:
        self.socket = socket.create_connection((ADDRESS, self._port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stays = True

    def send(self, request: bytes) -> None:
        self._received = b""
        self.sent = time.perf_counter()
        if not self._stays:
            self.socket.close()
            self._open()
        self.socket.sendall(request)

    def is_answered(self) -> bool:
        """Read the received bytes; return whether the response is complete. Exit if it is an error."""
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        part = self.socket.recv(1 << 20)
        self._received += part
        head, end, body = self._received.partition(b"\r\n\r\n")
        status, length = _STATUS.match(head), _LENGTH.search(head + b"\r\n")
        if not part or (end and (status is None or length is None)):
            raise SystemExit("expected an answer that says its length")
        if not end or status is None or length is None or len(body) < int(length[1]):
            return False
        if status[1] != b"200":
            raise SystemExit(f"expected the status 200, got {self._received[:_MAX_SAID].decode('latin-1')}")
        self._stays = _CLOSE.search(head + b"\r\n") is None
        return True


def _send(connections: list[_Connection], requests: Iterator[bytes]) -> list[float]:
    """Send one request after the other on each connection; return the seconds to the end of each response."""
    latencies: list[float] = []
    with selectors.DefaultSelector() as waiting:
        for connection in connections:
            connection.send(next(requests))
            waiting.register(connection.socket, selectors.EVENT_READ, connection)
        while waiting.get_map():
            ready = waiting.select(_MAX_SECONDS)
            if not ready:
                raise SystemExit(f"no answer came for {_MAX_SECONDS:.0f} seconds")
            for key, _ in ready:
                connection = key.data
                if not connection.is_answered():
                    continue
                latencies.append(time.perf_counter() - connection.sent)
                waiting.unregister(key.fileobj)
                following = next(requests, None)
                if following is not None:
                    connection.send(following)
                    waiting.register(connection.socket, selectors.EVENT_READ, connection)
    return latencies


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
