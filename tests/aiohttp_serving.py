"""An aiohttp application over a real connection, on an event loop of a thread or of the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from aiohttp import test_utils, web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

T = TypeVar("T")


class LoopThread:
    """An event loop in a thread; `run` runs a coroutine on it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def close(self) -> None:
        self.run(self._loop.shutdown_default_executor())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@contextmanager
def loop_thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    try:
        yield thread
    finally:
        thread.close()


@contextmanager
def by_aiohttp(app: web.Application, *, ssl_context: Any = None, **options: Any) -> Iterator[str]:
    """Serve an application, and yield the address; `options` are those of `AppRunner`."""
    with loop_thread() as thread:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1, **options)
        try:
            thread.run(runner.setup())
            thread.run(web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context).start())
            host, port = runner.addresses[0][:2]
            yield f"{'http' if ssl_context is None else 'https'}://{host}:{port}"
        finally:
            thread.run(runner.cleanup())


class Result(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str]


def ask(
    app: web.Application, method: str, path: str, headers: dict[str, str] | None = None, data: Any = None
) -> Result:
    """Send one request with aiohttp's test client, with the host that is signed."""

    async def exchange() -> Result:
        async with test_utils.TestClient(test_utils.TestServer(app), auto_decompress=False) as client:
            sent = {"host": "testserver", **(headers or {})}
            async with client.request(method, path, headers=sent, data=data, allow_redirects=False) as response:
                return Result(response.status, await response.read(), dict(response.headers))

    return asyncio.run(exchange())


def start(app: web.Application) -> None:
    """Start an application without serving it."""

    async def started() -> None:
        runner = web.AppRunner(app)
        try:
            await runner.setup()
        finally:
            await runner.cleanup()

    asyncio.run(started())


def signed_at(host: str, method: str, path: str, key: tuple[str, str]) -> dict[str, str]:
    request = AWSRequest(method, f"http://{host}{path}")
    SigV4Auth(Credentials(*key), "docs", "us-east-1").add_auth(request)
    return {"host": host, **{str(name): str(value) for name, value in request.headers.items()}}
