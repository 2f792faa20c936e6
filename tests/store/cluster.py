"""A separate PostgreSQL server for one test, which may be stopped and killed; the other tests share a server.

Without PostgreSQL's programs the test is skipped; in CI, it fails (see `databases`).
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from iam_guard.errors import StoreUnavailable
from tests.store.databases import Server, do_without


class Cluster:
    """A running server; `url` is the URL of its administrator."""

    def __init__(self, folder: Path, programs: Path, **options: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        run = [programs / "postgres", "-D", folder / "data", "-k", folder, "-p", str(port), "-c", "fsync=off"]
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(run, stdout=log, stderr=log, **options)
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"

    def freeze(self) -> None:
        """Stop every process of the server, as a machine out of memory does: connections stay, nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        self.thaw()
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(30)

    def _signal(self, number: signal.Signals) -> None:
        for process in (self._process.pid, *_children(self._process.pid)):
            with suppress(ProcessLookupError):
                os.kill(process, number)


def _children(parent: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def _programs() -> Path | None:
    on_path = shutil.which("initdb")
    installed = [Path(on_path)] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return installed[-1].resolve().parent if installed else None


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Create and start a server in a folder, as the user `postgres` if the tests run as root, which it refuses."""
    programs = _programs()
    if programs is None:
        do_without("no PostgreSQL of the test's own: expected `initdb` on PATH or below /usr/lib/postgresql")
    assert programs is not None
    options: dict[str, Any] = {"cwd": "/"}
    if os.geteuid() == 0:
        options |= {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(folder, "postgres", "postgres")
    make = [programs / "initdb", "-D", folder / "data", "-U", "postgres", "-A", "trust", "--no-sync"]
    made = subprocess.run(make, capture_output=True, text=True, check=False, **options)
    assert made.returncode == 0, made.stderr
    opened = Cluster(folder, programs, **options)
    try:
        _wait_for(opened.url)
        yield opened
    finally:
        opened.close()


def _wait_for(url: str) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            Server(url).close()
            return
        except StoreUnavailable:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
