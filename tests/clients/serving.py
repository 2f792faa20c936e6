"""The server that the clients manage: ours, in a process of its own, or one that runs already.

`IAM_GUARD_TEST_ENDPOINT` names one that runs already, as `http://ACCESSKEY:SECRET@HOST:PORT/ACCOUNT`; what the tests
make stays in it.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

VARIABLE = "IAM_GUARD_TEST_ENDPOINT"
ACCOUNT = "111122223333"
ROOT_KEY = ("AKIATESTROOT00000001", "root-secret-0123456789abcdefghijklmnopqr")
START_SECONDS = 300
STOP_SECONDS = 10

_ADDRESS = re.compile(r"\A.*(http://[\w.:\[\]-]+).*\n\Z")
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server listens, and a key of its account that may do everything."""

    url: str
    account: str
    access_key: str
    secret: str

    @property
    def key(self) -> tuple[str, str]:
        return self.access_key, self.secret

    def arn(self, resource: str) -> str:
        return f"arn:aws:iam::{self.account}:{resource}"


def running(endpoint: str) -> Server:
    """Read the value of `IAM_GUARD_TEST_ENDPOINT`."""
    parts = urlsplit(endpoint)
    account = parts.path.strip("/") or ACCOUNT
    url = f"{parts.scheme}://{parts.hostname}:{parts.port}"
    return Server(url, account, unquote(parts.username or ROOT_KEY[0]), unquote(parts.password or ROOT_KEY[1]))


@contextmanager
def started(folder: Path) -> Iterator[Server]:
    """Start our server on a store in `folder`, and stop it; it must have said one line, and no traceback."""
    command = [sys.executable, "-m", "iam_guard", "serve", "--store", f"sqlite:///{folder}/iam.db", "--port", "0"]
    command += ["--root-access-key", ":".join(ROOT_KEY), "--account", ACCOUNT]
    said, complained = folder / "stdout", folder / "stderr"
    with said.open("wb") as stdout, complained.open("wb") as stderr:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
    try:
        yield Server(_address(process, said, complained), ACCOUNT, *ROOT_KEY)
    finally:
        process.terminate()
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
    told = _told(said, complained)
    assert code in (0, -signal.SIGTERM), f"the server ended with {code}:\n{told}"
    assert _ADDRESS.match(said.read_text()), f"the server said more than its address:\n{told}"
    assert "Traceback" not in told, f"the server failed meanwhile:\n{told}"


def _address(process: subprocess.Popen[bytes], said: Path, complained: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while not (line := _ADDRESS.match(said.read_text())):
        if process.poll() is not None:
            raise AssertionError(f"the server ended with {process.returncode}:\n{_told(said, complained)}")
        if time.monotonic() > deadline:
            raise AssertionError(f"no address after {START_SECONDS} s:\n{_told(said, complained)}")
        time.sleep(_POLL_SECONDS)
    return line[1]


def _told(said: Path, complained: Path) -> str:
    return said.read_text() + complained.read_text()
