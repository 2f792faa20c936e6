"""The contract for the aiohttp adapter: by decorators, and by a route map."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integrations.contract import Adapter, Answer, Contract, Send, Sent, needed

needed("aiohttp", "iam_guard_aiohttp")

import aiohttp  # noqa: E402
from aiohttp import test_utils, web  # noqa: E402
from iam_guard_aiohttp import setup  # noqa: E402
from yarl import URL  # noqa: E402

from iam_guard import Guard, RouteMap, current_principal, public  # noqa: E402
from tests.aiohttp_serving import by_aiohttp, loop_thread  # noqa: E402
from tests.integrations.application import (  # noqa: E402
    ARN,
    DOCUMENT,
    ORIGIN,
    SECRET,
    STREAMED,
    answer,
    barrier,
    docs,
    load_document,
    received,
    record_background_call,
    scenario_map,
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

reads = docs.requires("GetDocument", resource=DOCUMENT)
writes = docs.requires("PutDocument", resource=DOCUMENT)


async def health(request: web.Request) -> web.Response:
    return web.Response(text="ok")


async def forgotten(request: web.Request) -> web.Response:
    return web.Response(text=SECRET)


async def forgotten_socket(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str(SECRET)
    await socket.close()
    return socket


async def document(request: web.Request) -> web.Response:
    return web.json_response(answer(request.match_info["document_id"]))


async def delete_document(request: web.Request) -> web.Response:
    return web.Response(status=204)


async def get_file(request: web.Request) -> web.Response:
    return web.json_response(answer(request.match_info["path"]))


async def by_hand(request: web.Request) -> web.Response:
    docs.authorize("PutDocument", ARN + request.match_info["document_id"])
    return await document(request)


async def raising(request: web.Request) -> web.Response:
    raise RuntimeError(SECRET)


async def upload(request: web.Request) -> web.Response:
    return web.json_response(received(b"".join([part async for part in request.content.iter_chunked(1000)])))


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for part in STREAMED:
        await response.write(part)
    return response


async def background(request: web.Request) -> web.StreamResponse:
    response = await document(request)
    await response.prepare(request)
    await response.write_eof()
    record_background_call()
    return response


async def watch(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str(current_principal().arn)
    await socket.close()
    return socket


async def who(request: web.Request) -> web.Response:
    await barrier.wait_async()
    return await document(request)


async def who_in_thread(request: web.Request) -> web.Response:
    def wait_and_answer() -> dict[str, str]:
        barrier.wait()
        return answer(request.match_info["document_id"])

    return web.json_response(await asyncio.to_thread(wait_and_answer))


class Document(web.View):
    @reads
    async def get(self) -> web.Response:
        return await document(self.request)

    @writes
    async def put(self) -> web.Response:
        return await document(self.request)


class UntouchedDocument(web.View):
    async def get(self) -> web.Response:
        return await document(self.request)

    async def put(self) -> web.Response:
        return await document(self.request)


@public
async def preflight(request: web.Request) -> web.Response:
    return web.Response(status=204, headers={"access-control-allow-methods": "*", "access-control-allow-headers": "*"})


async def allow_origin(request: web.Request, response: web.StreamResponse) -> None:
    if request.headers.get("origin") == ORIGIN:
        response.headers["access-control-allow-origin"] = ORIGIN


def routes_of(guarded: Callable[[str, Handler], Handler], view: type[web.View]) -> list[web.RouteDef]:
    """Return the routes; `guarded` decorates a handler by the name of its route."""
    return [
        web.get("/health", guarded("public", health)),
        web.get("/forgotten", forgotten),
        web.get("/forgotten-socket", forgotten_socket),
        web.get("/documents/{document_id}", guarded("reads", document)),
        web.put("/documents/{document_id}", guarded("writes", document)),
        web.delete("/documents/{document_id}", guarded("deletes", delete_document)),
        web.get("/files/{path:.+}", guarded("files", get_file)),
        web.get("/shared/{document_id}", guarded("shared", document)),
        web.get("/by-hand/{document_id}", guarded("public", by_hand)),
        web.get("/raising/{document_id}", guarded("reads", raising)),
        web.view("/class/{document_id}", view),
        web.post("/uploads/{document_id}", guarded("writes", upload)),
        web.get("/streams/{document_id}", guarded("reads", stream)),
        web.get("/background/{document_id}", guarded("reads", background)),
        web.get("/watch/{document_id}", guarded("reads", watch)),
        web.get("/who/{document_id}", guarded("reads", who)),
        web.get("/who-sync/{document_id}", guarded("reads", who_in_thread)),
        web.options("/documents/{document_id}", preflight),
    ]


def decorated(name: str, handler: Handler) -> Handler:
    """Return a guarded copy of a handler; `public` marks it instead."""

    async def copy(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    decorators: dict[str, Callable[[Handler], Handler]] = {
        "public": public,
        "reads": reads,
        "writes": writes,
        "deletes": docs.requires("DeleteDocument", resource=DOCUMENT, conceal=True),
        "files": docs.requires("GetDocument", resource="file/{path}"),
        "shared": docs.requires("GetDocument", resource=load_document),
    }
    return decorators[name](copy)


def build_with(
    guard: Guard | None,
    guarded: Callable[[str, Handler], Handler],
    view: type[web.View],
    routes: RouteMap | None = None,
) -> web.Application:
    mounted = web.Application()
    mounted.router.add_get("/documents/{document_id}", guarded("reads", document))
    mounted.router.add_get("/forgotten", forgotten)
    mounted.router.add_get("/watch/{document_id}", guarded("reads", watch))
    app = web.Application()
    app.on_response_prepare.append(allow_origin)
    app.add_subapp("/mounted", mounted)
    app.add_routes(routes_of(guarded, view))
    if guard is not None:
        setup(app, guard=guard, check_routes=False, routes=routes)
    return app


def build(guard: Guard | None) -> web.Application:
    return build_with(guard, decorated, Document)


@contextmanager
def call(app: web.Application) -> Iterator[Send]:
    """Call an application with aiohttp's test client."""
    with loop_thread() as thread:

        async def opened() -> Any:
            client = test_utils.TestClient(test_utils.TestServer(app))
            await client.start_server()
            return client

        client = thread.run(opened())

        async def exchange(sent: Sent) -> Answer:
            headers = {"host": "testserver", **sent.headers}
            url = URL(sent.target, encoded=True)
            if sent.method == "WEBSOCKET":
                return await handshake(url, headers)
            async with client.request(
                sent.method, url, headers=headers, data=sent.body or None, allow_redirects=False
            ) as response:
                found = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, found, await response.read())

        async def handshake(url: URL, headers: dict[str, str]) -> Answer:
            try:
                async with client.ws_connect(url, headers=headers) as socket:
                    return Answer(101, messages=tuple([message.data async for message in socket]))
            except aiohttp.WSServerHandshakeError as error:
                found = {name.lower(): value for name, value in (error.headers or {}).items()}
                return Answer(error.status, found)

        try:
            yield lambda sent: thread.run(exchange(sent))
        finally:
            thread.run(client.close())


LACKS = {"segments": "aiohttp matches the encoded path: `a%2Fb` is one segment"}


class TestAiohttp(Contract):
    adapter = Adapter(build, call, by_aiohttp, lacks=LACKS)


# --- by a map --------------------------------------------------------------------------------------------------------


def the_map() -> RouteMap:
    """Return the route map that replaces the decorators; templates include the prefixes of sub-applications."""
    names = ("documents", "raising", "streams", "background", "who", "who-sync", "class", "watch")
    return scenario_map(*names, "mounted/documents", "mounted/watch", files="/files/{path}")


def build_by_map(guard: Guard | None) -> web.Application:
    return build_with(guard, lambda _, handler: handler, UntouchedDocument, the_map())


class TestByMap(Contract):
    adapter = Adapter(build_by_map, call, by_aiohttp, lacks=LACKS)

    def test_missing_middleware_denies_every_caller(self) -> None:
        """Not with a map: the middleware enforces it, and the handlers are undecorated."""


# --- the example -----------------------------------------------------------------------------------------------------


def test_example_keeps_tenants_apart() -> None:
    """Ada writes and reads, Rita reads, Gus of another account has his own; an anonymous caller is rejected."""
    program = Path(__file__).parents[2] / "integrations/aiohttp/example/aiohttp_app.py"
    command = [sys.executable, "-W", "error", str(program)]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout.splitlines()
    assert all(" docs:" in line or line.endswith("public") for line in output[:4])
    answers = [line for line in output if line.startswith(("ada", "rita", "gus", "anonymous"))]
    statuses = [next(word for word in line.split() if word in ("200", "401", "403")) for line in answers]
    assert statuses == ["200", "200", "403", "200", "200", "200", "401"]
