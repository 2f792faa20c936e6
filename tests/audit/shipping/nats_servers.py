"""The NATS servers of the tests: a shared one, and private ones that a test may kill and restart.

`IAM_GUARD_TEST_NATS` is the URL of the shared server with JetStream, by default the standard port on this machine.
Without it the tests that need it are skipped; in CI they fail. Each test has its own subjects and streams.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import nats
import pytest
from nats.js import JetStreamContext

VARIABLE = "IAM_GUARD_TEST_NATS"
DEFAULT_URL = "nats://127.0.0.1:4222"

_T = TypeVar("_T")


class Message(NamedTuple):
    subject: str
    headers: dict[str, str]
    data: bytes


def skip_or_fail(reason: str) -> None:
    """Skip a test; in CI, fail it."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def query_jetstream(url: str, question: Callable[[JetStreamContext], Awaitable[_T]], **login: Any) -> _T:
    """Connect, call a function with JetStream, and disconnect."""

    async def run() -> _T:
        client = await nats.connect(url, allow_reconnect=False, max_reconnect_attempts=1, connect_timeout=5, **login)
        try:
            return await question(client.jetstream(timeout=10))
        finally:
            await client.close()

    return asyncio.run(asyncio.wait_for(run(), 60))


class UniqueStream:
    """A subject prefix and a stream name that no other test has, on a server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.prefix = f"test.{secrets.token_hex(6)}"
        self.stream = f"TEST_{secrets.token_hex(6)}"

    def sink(self, options: str = "", **parts: str) -> str:
        """Return the URL of a sink that creates the stream and publishes to it."""
        return f"{self.url}/{self.prefix}#name=nats&create={self.stream}&max_bytes=50000000{options}"

    def messages(self, **login: Any) -> list[Message]:
        """Return the messages of the stream, in order."""

        async def fetch(stream: JetStreamContext) -> list[Message]:
            count = (await stream.stream_info(self.stream)).state.messages
            subscription = await stream.subscribe(f"{self.prefix}.>", stream=self.stream, ordered_consumer=True)
            found = [await subscription.next_msg(timeout=10) for _ in range(count)]
            return [Message(each.subject, dict(each.headers or {}), each.data) for each in found]

        return query_jetstream(self.url, fetch, **login)

    def make(self, **config: Any) -> None:
        async def make(stream: JetStreamContext) -> None:
            await stream.add_stream(name=self.stream, subjects=[f"{self.prefix}.>"], **config)

        query_jetstream(self.url, make)

    def drop(self) -> None:
        async def drop(stream: JetStreamContext) -> None:
            await stream.delete_stream(self.stream)

        query_jetstream(self.url, drop)


class Server:
    """A private server, which can be killed and restarted with its data."""

    def __init__(self, folder: Path, *, config: str = "") -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"nats://127.0.0.1:{self.port}"
        self._file = folder / "nats.conf"
        self._file.write_text(
            f'host: "127.0.0.1"\nport: {self.port}\njetstream {{ store_dir: "{folder}/data" }}\n{config}\n'
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        command = ["nats-server", "-c", str(self._file), "-l", str(self._folder / "log")]
        self._process = subprocess.Popen(command)
        until = time.monotonic() + 60
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    if connection.recv(5) == b"INFO ":
                        return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > until:
                    self.kill()
                    pytest.fail((self._folder / "log").read_text())
                time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)
            self._process = None


@contextmanager
def private_server(folder: Path, *, config: str = "") -> Iterator[Server]:
    """Run a private server; skip the test if `nats-server` is not installed."""
    if shutil.which("nats-server") is None:
        skip_or_fail("no nats-server to start")
    folder.mkdir()
    server = Server(folder, config=config)
    try:
        yield server
    finally:
        server.kill()


def shared_server() -> str:
    """Return the URL of the shared server; skip the test if it doesn't answer."""
    url = os.environ.get(VARIABLE) or DEFAULT_URL

    async def answers(stream: JetStreamContext) -> None:
        await stream.account_info()

    try:
        query_jetstream(url, answers)
    except (OSError, nats.errors.Error, TimeoutError) as error:
        skip_or_fail(f"no NATS with JetStream for the tests, set {VARIABLE} to its URL: {type(error).__name__}")
    return url
