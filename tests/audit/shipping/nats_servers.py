"""The NATS servers of the tests: one that is there, and others that a test may kill and start again.

`IAM_GUARD_TEST_NATS` is the URL of a server with JetStream; unset, it is the one that usually listens on this machine.
Where there is none, the tests that need it are left out; in CI, that is a failure. Each test has subjects and streams
of its own.
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
USUAL = "nats://127.0.0.1:4222"

_T = TypeVar("_T")


class Message(NamedTuple):
    subject: str
    headers: dict[str, str]
    data: bytes


def do_without(reason: str) -> None:
    """Leave a test out; in CI, fail it."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def ask(url: str, question: Callable[[JetStreamContext], Awaitable[_T]], **login: Any) -> _T:
    """Connect, ask JetStream something, and leave."""

    async def run() -> _T:
        client = await nats.connect(url, allow_reconnect=False, max_reconnect_attempts=1, connect_timeout=5, **login)
        try:
            return await question(client.jetstream(timeout=10))
        finally:
            await client.close()

    return asyncio.run(asyncio.wait_for(run(), 60))


class Place:
    """A prefix and the name of a stream that no other test has, on some server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.prefix = f"test.{secrets.token_hex(6)}"
        self.stream = f"TEST_{secrets.token_hex(6)}"

    def sink(self, options: str = "", **parts: str) -> str:
        """Return the URL of a sink that publishes here, and makes the stream."""
        return f"{self.url}/{self.prefix}#name=nats&create={self.stream}&max_bytes=50000000{options}"

    def messages(self, **login: Any) -> list[Message]:
        """Return all that the stream has, in its order."""

        async def fetch(stream: JetStreamContext) -> list[Message]:
            count = (await stream.stream_info(self.stream)).state.messages
            subscription = await stream.subscribe(f"{self.prefix}.>", stream=self.stream, ordered_consumer=True)
            found = [await subscription.next_msg(timeout=10) for _ in range(count)]
            return [Message(each.subject, dict(each.headers or {}), each.data) for each in found]

        return ask(self.url, fetch, **login)

    def make(self, **config: Any) -> None:
        async def make(stream: JetStreamContext) -> None:
            await stream.add_stream(name=self.stream, subjects=[f"{self.prefix}.>"], **config)

        ask(self.url, make)

    def drop(self) -> None:
        async def drop(stream: JetStreamContext) -> None:
            await stream.delete_stream(self.stream)

        ask(self.url, drop)


class Server:
    """A server of one's own, which can be killed and started again on what it had."""

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
def own_server(folder: Path, *, config: str = "") -> Iterator[Server]:
    """Run a server of one's own; leave the test out where the program is not there."""
    if shutil.which("nats-server") is None:
        do_without("no nats-server to start")
    folder.mkdir()
    server = Server(folder, config=config)
    try:
        yield server
    finally:
        server.kill()


def usual_server() -> str:
    """Return the URL of the server that is there."""
    url = os.environ.get(VARIABLE) or USUAL

    async def answers(stream: JetStreamContext) -> None:
        await stream.account_info()

    try:
        ask(url, answers)
    except (OSError, nats.errors.Error, TimeoutError) as error:
        do_without(f"no NATS with JetStream for the tests, set {VARIABLE} to its URL: {type(error).__name__}")
    return url
