"""The server that the clients use: `iam-guard serve` in its own process, or an external server.

`IAM_GUARD_TEST_ENDPOINT` is the external server, as `http://ACCESSKEY:SECRET@HOST:PORT/ACCOUNT`; the tests leave their
resources in it.
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
    """The address of a server, and the administrator's key of its account."""

    url: str
    account: str
    access_key: str
    secret: str

    @property
    def key(self) -> tuple[str, str]:
        return self.access_key, self.secret

    def arn(self, resource: str) -> str:
        return f"arn:aws:iam::{self.account}:{resource}"


def external_server(endpoint: str) -> Server:
    """Parse the value of `IAM_GUARD_TEST_ENDPOINT`."""
    parts = urlsplit(endpoint)
    account = parts.path.strip("/") or ACCOUNT
    url = f"{parts.scheme}://{parts.hostname}:{parts.port}"
    return Server(url, account, unquote(parts.username or ROOT_KEY[0]), unquote(parts.password or ROOT_KEY[1]))


@contextmanager
def start_server(folder: Path) -> Iterator[Server]:
    """Start a server on a store in `folder`, and stop it; its output must be one line without a traceback."""
    command = [sys.executable, "-m", "iam_guard", "serve", "--store", f"sqlite:///{folder}/iam.db", "--port", "0"]
    command += ["--root-access-key", ":".join(ROOT_KEY), "--account", ACCOUNT]
    stdout_file, stderr_file = folder / "stdout", folder / "stderr"
    with stdout_file.open("wb") as stdout, stderr_file.open("wb") as stderr:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr)
    try:
        yield Server(_address(process, stdout_file, stderr_file), ACCOUNT, *ROOT_KEY)
    finally:
        process.terminate()
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
    output = _output(stdout_file, stderr_file)
    assert code in (0, -signal.SIGTERM), f"the server ended with {code}:\n{output}"
    assert _ADDRESS.match(stdout_file.read_text()), f"the server printed more than its address:\n{output}"
    assert "Traceback" not in output, f"the server failed during the tests:\n{output}"


def _address(process: subprocess.Popen[bytes], stdout_file: Path, stderr_file: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while not (line := _ADDRESS.match(stdout_file.read_text())):
        if process.poll() is not None:
            raise AssertionError(f"the server ended with {process.returncode}:\n{_output(stdout_file, stderr_file)}")
        if time.monotonic() > deadline:
            raise AssertionError(f"no address after {START_SECONDS} s:\n{_output(stdout_file, stderr_file)}")
        time.sleep(_POLL_SECONDS)
    return line[1]


def _output(stdout_file: Path, stderr_file: Path) -> str:
    return stdout_file.read_text() + stderr_file.read_text()
