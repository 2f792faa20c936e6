"""Run servers in separate processes: their commands, start, wait for them, stop, and their CPU time."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = "127.0.0.1"
MAX_SECONDS_TO_START = 30.0
SECONDS_BETWEEN_TRIES = 0.002


IAM_GUARD = (sys.executable, "-c", "import sys; sys.modules['uvloop'] = None; from iam_guard.cli import main; main()")
"""The command `iam-guard` without uvloop, which the extra `server` does not install."""


class Uvicorn(NamedTuple):
    """How uvicorn is installed. `words` are those in the names of rows."""

    words: str
    parser: str
    loop: str

    def missing(self) -> str:
        """Return why this server can't be measured; empty if parser and loop are installed."""
        names = [name for name in (self.parser, self.loop) if find_spec(name) is None]
        return f"{self.parser} and {self.loop}, since `{names[0]}` is not installed" if names else ""


PLAIN, FAST = Uvicorn("", "h11", "asyncio"), Uvicorn(", httptools and uvloop", "httptools", "uvloop")


def command_of(factory: str, server: Uvicorn = PLAIN) -> list[str]:
    """Return the command that serves an application of the benchmarks, `module:function`."""
    serve = [sys.executable, "-m", "uvicorn", "--factory", f"benchmarks.{factory}", "--host", ADDRESS, "--port", "PORT"]
    quiet = ["--no-access-log", "--no-proxy-headers", "--log-level", "error"]
    return [*serve, *quiet, "--http", server.parser, "--loop", server.loop]


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
