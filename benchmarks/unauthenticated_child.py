"""The client process of `unauthenticated`: send hostile requests, each over its own connection.

    python -m benchmarks.unauthenticated_child PORT COUNT RATE SHAPE...

COUNT requests in total, RATE per second (0: one after the other, without pause), alternating the shapes. A client reads
only the beginning of a response, and disconnects from a waiting server after a short time.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from benchmarks.hostile_shapes import SHAPES, Shape
from benchmarks.servers import ADDRESS

SECONDS_OF_PATIENCE = 2.0
SECONDS_OF_A_SLOW_ONE = 0.02


def main(port: int, count: int, rate: float, names: Sequence[str]) -> None:
    """Send the requests."""
    shapes = [SHAPES[name](f"{ADDRESS}:{port}") for name in names]
    begun = time.monotonic()
    for number in range(count):
        if rate:
            time.sleep(max(0.0, begun + number / rate - time.monotonic()))
        send(port, shapes[number % len(shapes)]).close()


def send(port: int, shape: Shape, *, stays: bool = False) -> socket.socket:
    """Send what the server reads, and wait for the beginning of the response, unless both sides wait (`stays`)."""
    connection = socket.create_connection((ADDRESS, port))
    connection.settimeout(SECONDS_OF_PATIENCE)
    with suppress(OSError):
        connection.sendall(shape.request)
    if shape.waits:
        connection.settimeout(SECONDS_OF_A_SLOW_ONE)
    if not (shape.waits and stays):
        with suppress(OSError):
            connection.recv(65_536)
    return connection


if __name__ == "__main__":
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
