"""Run servers in separate processes: start them, wait for them, stop them, and read their CPU time."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = "127.0.0.1"
MAX_SECONDS_TO_START = 30.0
SECONDS_BETWEEN_TRIES = 0.002


class Server(NamedTuple):
    """A running server. `host` is its host header with port; `seconds_to_start` is the time to its first response."""

    process: subprocess.Popen[bytes]
    port: int
    seconds_to_start: float

    @property
    def host(self) -> str:
        return f"{ADDRESS}:{self.port}"

    def cpu_seconds(self) -> float:
        """Return the CPU time so far, from Linux: user and system, of all threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(
    command: Sequence[str], settings: Mapping[str, str] | None = None, *, quiet: bool = False
) -> Iterator[Server]:
    """Run a server until the block ends; `PORT` in the command becomes a free port.

    `settings` are further environment variables. `quiet`: discard its log.
    """
    port = _free_port()
    begun = time.monotonic()
    process = subprocess.Popen(
        [each.replace("PORT", str(port)) for each in command],
        cwd=ROOT,
        env={**os.environ, **(settings or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if quiet else None,
    )
    try:
        _wait_for(process, port)
        yield Server(process, port, time.monotonic() - begun)
    finally:
        process.terminate()
        process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((ADDRESS, 0))
        port: int = free.getsockname()[1]
    return port


def _wait_for(server: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + MAX_SECONDS_TO_START
    while time.monotonic() < until and server.poll() is None:
        with socket.socket() as tried:
            if tried.connect_ex((ADDRESS, port)) == 0 and _is_answered(tried):
                return
        time.sleep(SECONDS_BETWEEN_TRIES)
    raise SystemExit("the server did not start")


def _is_answered(connection: socket.socket) -> bool:
    """Return whether the server responds; it may listen before it can."""
    connection.settimeout(MAX_SECONDS_TO_START)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return connection.recv(1) != b""
