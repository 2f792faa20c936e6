"""Advisory: a background worker started by the first request acted for that request's caller.

The hole: a task inherits the context variables of its creator, including the current call. A worker that was started
with the first request kept that caller as long as the process ran: the work of other callers was decided for the first
one, and recorded so. Now a call ends with its response, and a task that continues has no caller.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from iam_guard import Guard, GuardMiddleware, GuardWsgiMiddleware, Service, current_principal, public
from iam_guard.errors import ConfigurationError
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from iam_guard.web.call_context import CurrentCall, current_call, serving
from tests.conftest import ADA, RITA, Sign

ARN = "arn:aws:docs:us-east-1:111122223333:document/7"
docs = Service("docs")


class Worker:
    """A worker started by the first request that needs it, like many connection pools and queues."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    async def does(self, action: str) -> str:
        if self._task is None:
            self._jobs: asyncio.Queue[tuple[str, asyncio.Future[str]]] = asyncio.Queue()
            self._task = asyncio.create_task(self._works())
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        await self._jobs.put((action, done))
        return await done

    async def _works(self) -> None:
        while True:
            action, done = await self._jobs.get()
            try:
                decision = await docs.decide_async(action, ARN)
                done.set_result(f"{current_principal().name} {decision.allowed}")
            except ConfigurationError as error:
                done.set_result(error.message)


def test_worker_has_no_caller_after_the_response(guard: Guard, sign: Sign) -> None:
    """Rita may not put documents; an anonymous caller may do nothing."""
    worker = Worker()

    @public
    async def put(request: Request) -> Response:
        return PlainTextResponse(await worker.does("PutDocument"))

    with TestClient(GuardMiddleware(Starlette(routes=[Route("/put", put)]), guard=guard)) as client:
        assert client.get("/put", headers=sign(ADA, "GET", "/put")).text == "ada True"
        for headers in (sign(RITA, "GET", "/put"), {}):
            assert "the call is over" in client.get("/put", headers=headers).text


def test_streams_and_background_tasks_have_the_caller(guard: Guard, sign: Sign) -> None:
    """The parts of a stream, and the framework's background tasks."""
    callers: list[str] = []

    @docs.requires("GetDocument")
    async def get(request: Request) -> Response:
        async def parts() -> AsyncIterator[str]:
            for _ in range(3):
                await anyio.sleep(0)
                yield f"{current_principal().name} "

        background = BackgroundTask(lambda: callers.append(current_principal().name))
        return StreamingResponse(parts(), background=background)

    client = TestClient(GuardMiddleware(Starlette(routes=[Route("/7", get)]), guard=guard))
    assert client.get("/7", headers=sign(RITA, "GET", "/7")).text == "rita " * 3
    assert callers == ["rita"]


def test_call_ends_with_an_exception(guard: Guard) -> None:
    calls: list[CurrentCall] = []

    @public
    async def fails(request: Request) -> Response:
        calls.append(current_call())
        raise RuntimeError("as it happens")

    client = TestClient(
        GuardMiddleware(Starlette(routes=[Route("/f", fails)]), guard=guard), raise_server_exceptions=False
    )
    assert client.get("/f").status_code == 500
    with serving(calls[0]), pytest.raises(ConfigurationError, match="the call is over"):
        current_principal()


def test_wsgi_call_ends_when_the_response_is_closed(guard: Guard) -> None:
    """Until then the parts have the caller."""
    calls: list[CurrentCall] = []

    def app(environ: Any, start_response: Any) -> Iterator[bytes]:
        calls.append(current_call())
        docs.decide("GetDocument", ARN)
        start_response("200 OK", [])
        yield current_principal().name.encode()
        yield b"."

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/7", "wsgi.url_scheme": "http", "SERVER_NAME": "testserver"}
    answer: Any = GuardWsgiMiddleware(app, guard=guard)(environ, lambda *_: print)
    assert b"".join(answer) == b"anonymous."
    assert not calls[0].is_over
    answer.close()
    assert calls[0].is_over


def test_explicit_call_ends_with_its_block(guard: Guard) -> None:
    """A worker may set a caller of its own with `serving`."""
    call = CurrentCall(guard, Principal.from_arn("arn:aws:iam::111122223333:user/rita"), Call("r"))
    for _ in range(2):
        with serving(call):
            assert JSONResponse(docs.decide("GetDocument", ARN).allowed).body == b"true"
