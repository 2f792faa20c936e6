"""Attempts to bypass the decision: skipped, for another resource, too late, for another caller."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from iam_guard import Guard, GuardMiddleware, Principal, Service, current_decision, current_principal, public
from iam_guard.audit.consumer.reader import read_records
from iam_guard.errors import AccessDenied, ConfigurationError, InvalidInput
from iam_guard.model.request import Call
from iam_guard.web.call_context import CurrentCall, current_call, serving
from tests.conftest import ADA, RITA, Sign

ARN = "arn:aws:docs:us-east-1:111122223333:document/"

docs = Service("docs")
requires = docs.requires("GetDocument", resource="document/{document_id}")


@requires
async def get_document(request: Request) -> Response:
    return PlainTextResponse("read")


def client_of(guard: Guard, *routes: Any, raising: bool = False) -> TestClient:
    middleware = [Middleware(GuardMiddleware, guard=guard, check_routes=False)]
    return TestClient(Starlette(routes=list(routes), middleware=middleware), raise_server_exceptions=raising)


def records(path: Path) -> list[dict[str, Any]]:
    return list(read_records(path))


# --- skipped ---


def test_wrapper_skipping_the_handler_answers_500(guard: Guard, sign: Sign) -> None:
    """The mark of a decorated handler is not a decision: a cache or a debug switch may skip it."""

    @functools.wraps(get_document)
    async def cached(request: Request) -> Response:
        if request.query_params.get("cached"):
            return PlainTextResponse("secret content")
        response: Response = await get_document(request)
        return response

    client = client_of(guard, Route("/{document_id}", cached))
    assert client.get("/7", headers=sign(RITA, "GET", "/7")).text == "read"
    answer = client.get("/7?cached=1", headers=sign(RITA, "GET", "/7?cached=1"))
    assert (answer.status_code, "eyes" in answer.text) == (500, False)


def test_unwrapped_handler_answers_500(guard: Guard) -> None:
    """`inspect.unwrap` returns the handler without its guard, so there is no decision."""
    route = Route("/{document_id}", get_document)
    naked = get_document.__wrapped__  # type: ignore[attr-defined]
    assert client_of(guard, route).get("/7").status_code == 401
    assert client_of(guard, Route("/{document_id}", naked)).get("/7").status_code == 500


@pytest.mark.parametrize("status", [200, 204, 301, 307, 308, 400, 403, 404, 410, 500])
def test_unguarded_endpoint_answers_500_for_any_status(guard: Guard, audit_file: Path, status: int) -> None:
    """Its own 404 page may reveal what exists, and it would never be reported."""

    async def forgotten(request: Request) -> Response:
        return PlainTextResponse(None if status == 204 else "secret content", status)

    async def raising(request: Request) -> Response:
        raise HTTPException(status if status >= 400 else 418, "secret content")

    client = client_of(guard, Route("/f", forgotten), Route("/r", raising))
    for path in ("/f", "/r"):
        answer = client.get(path)
        assert (answer.status_code, "eyes" in answer.text) == (500, False)
    assert [record["eventName"] for record in records(audit_file)] == ["UndecidedEndpoint"] * 2


def test_decision_must_precede_the_first_byte(guard: Guard, sign: Sign) -> None:
    """A stream that decides while it is sent does not start."""

    async def late(request: Request) -> Response:
        async def parts() -> Any:
            yield b"secret content"
            docs.authorize("GetDocument", ARN + "7")

        return StreamingResponse(parts())

    answer = client_of(guard, Route("/late", late)).get("/late", headers=sign(ADA, "GET", "/late"))
    assert (answer.status_code, "eyes" in answer.text) == (500, False)


def test_denial_in_accepted_websocket_closes_it(guard: Guard, sign: Sign) -> None:
    """Nothing more is sent over it."""

    @public
    async def chat(websocket: WebSocket) -> None:
        await websocket.accept()
        docs.authorize("PutDocument", ARN + "7")
        await websocket.send_text("secret content")

    client = client_of(guard, WebSocketRoute("/chat", chat), raising=True)
    headers = sign(RITA, "GET", "/chat")
    with pytest.raises(AccessDenied), client.websocket_connect("/chat", headers=headers) as socket:
        socket.receive_text()


# --- another resource ---


def test_resource_has_the_handlers_arguments(guard: Guard) -> None:
    """Positional, keyword and `**kwargs` arguments; the route's parameter names another document.

    A default is rejected then: the handler may use either value.
    """

    def by_position(document_id: str) -> str:
        return document_id

    def by_default(document_id: str = "mine") -> str:
        return document_id

    def by_anything(**anything: str) -> str:
        return anything["document_id"]

    call = CurrentCall(guard, Principal.from_arn("arn:aws:iam::111122223333:user/ada"), Call("r"))
    call.scope["path_params"] = {"document_id": "another"}
    used = []
    with serving(call):
        used.append(requires(by_position)("mine"))
        used.append(requires(by_position)(document_id="mine"))
        with pytest.raises(ConfigurationError):
            requires(by_default)()
        used.append(requires(by_anything)(document_id="mine"))
        call.scope["path_params"] = {}
        used.append(requires(by_default)())
    assert used == ["mine"] * 4
    assert [decision.request.resource for decision in call.decisions] == [ARN + "mine"] * 4


def test_inner_path_parameters_override_outer_ones(guard: Guard, sign: Sign) -> None:
    """A mount may use the same name; the handler gets the inner value."""

    @requires
    async def shown(request: Request) -> Response:
        decision = current_decision()
        assert decision is not None
        return JSONResponse([request.path_params["document_id"], decision.request.resource])

    client = client_of(guard, Mount("/{document_id}", routes=[Route("/{document_id}", shown)]))
    assert client.get("/a/b", headers=sign(ADA, "GET", "/a/b")).json() == ["b", ARN + "b"]


# --- in another's name ---


def test_concurrent_requests_have_separate_calls(guard: Guard, sign: Sign) -> None:
    """Fifty requests of two callers at once, through handlers of both kinds."""

    @requires
    async def slow(request: Request) -> Response:
        before = current_principal().name
        await asyncio.sleep(0.005)
        inside = await anyio.to_thread.run_sync(lambda: current_principal().name)
        return JSONResponse([before, inside, current_principal().name, len(current_call().decisions)])

    @requires
    def threaded(request: Request) -> Response:
        return JSONResponse([current_principal().name] * 3 + [len(current_call().decisions)])

    app = Starlette(
        routes=[Route("/slow/{document_id}", slow), Route("/threaded/{document_id}", threaded)],
        middleware=[Middleware(GuardMiddleware, guard=guard)],
    )

    async def ask(name: str, key: tuple[str, str], path: str) -> None:
        headers = [(k.lower().encode(), v.encode()) for k, v in sign(key, "GET", path).items()]
        headers.append((b"host", b"testserver"))
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers}
        await app(scope, receive, send)
        assert json.loads(sent[1]["body"]) == [name, name, name, 1]

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for number in range(25):
                path = f"/{'slow' if number % 2 else 'threaded'}/{number}"
                group.start_soon(ask, "ada", ADA, path)
                group.start_soon(ask, "rita", RITA, path)

    anyio.run(main)
    with pytest.raises(ConfigurationError):
        current_call()


def test_background_task_has_the_caller(guard: Guard, sign: Sign) -> None:
    """Of the framework; a thread started by the application has no caller, which allows nothing."""
    results: list[Any] = []

    def in_a_thread_of_its_own() -> None:
        try:
            docs.decide("GetDocument", ARN + "7")
        except ConfigurationError as error:
            results.append(type(error))

    def after() -> None:
        results.append(docs.decide("PutDocument", ARN + "7").allowed)
        thread = threading.Thread(target=in_a_thread_of_its_own)
        thread.start()
        thread.join()

    @requires
    async def get(request: Request) -> Response:
        return PlainTextResponse("read", background=BackgroundTask(after))

    client = client_of(guard, Route("/{document_id}", get))
    assert client.get("/7", headers=sign(RITA, "GET", "/7")).status_code == 200
    assert results == [False, ConfigurationError]


def test_nested_guard_requires_its_own_decision(guard: Guard, sign: Sign) -> None:
    """The decision of the inner guard does not count for the outer one."""
    inner = GuardMiddleware(Starlette(routes=[Route("/{document_id}", get_document)]), guard=guard)
    client = client_of(guard, Mount("/inner", app=inner))
    assert client.get("/inner/7", headers=sign(ADA, "GET", "/inner/7")).status_code == 500
    assert client.get("/inner/7").status_code == 401


# --- what comes after a decision ---


@pytest.mark.parametrize(
    ("error", "status", "logged"),
    [(InvalidInput("no"), 400, False), (ConfigurationError("no such table"), 500, True)],
)
def test_server_error_after_a_decision_is_logged(
    guard: Guard, sign: Sign, caplog: pytest.LogCaptureFixture, error: Exception, status: int, logged: bool
) -> None:
    """Its details are in the log, and not in the response."""

    @requires
    async def get(request: Request) -> Response:
        raise error

    answer = client_of(guard, Route("/{document_id}", get)).get("/7", headers=sign(ADA, "GET", "/7"))
    assert answer.status_code == status
    assert "table" not in answer.text
    assert (str(error) in caplog.text) is logged


def test_unexpected_error_after_a_decision_is_passed_on(guard: Guard, sign: Sign) -> None:
    @requires
    async def get(request: Request) -> Response:
        raise RuntimeError("secret")

    answer = client_of(guard, Route("/{document_id}", get)).get("/7", headers=sign(ADA, "GET", "/7"))
    assert (answer.status_code, answer.text) == (500, "Internal Server Error")


# --- the shape of the request ---


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PROPFIND", "get"])
def test_other_methods_are_guarded(guard: Guard, method: str) -> None:
    """HEAD is decided like GET and has no body; the router answers the rest."""
    client = client_of(guard, Route("/{document_id}", get_document))
    answer = client.request(method, "/7")
    assert (answer.status_code, answer.content) == (401, b"") if method == "HEAD" else answer.status_code in (401, 405)
    assert "read" not in answer.text


@pytest.mark.parametrize("changes", [{}, {"raw_path": None}, {"raw_path": b"/docs/7?a=1"}, {"raw_path": b"/docs/7"}])
def test_signature_matches_each_servers_path(guard: Guard, sign: Sign, changes: dict[str, Any]) -> None:
    """No `raw_path`, one with the query in it, an application with a root path."""
    app = Starlette(
        routes=[Route("/{document_id}", get_document)], middleware=[Middleware(GuardMiddleware, guard=guard)]
    )
    statuses = []
    headers = [(k.lower().encode(), v.encode()) for k, v in sign(RITA, "GET", "/docs/7?a=1").items()]

    async def main() -> None:
        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            statuses.append(message.get("status"))

        scope = {"type": "http", "method": "GET", "path": "/docs/7", "root_path": "/docs", "query_string": b"a=1"}
        await app({**scope, "headers": [*headers, (b"host", b"testserver")], **changes}, receive, send)

    anyio.run(main)
    assert statuses[0] == 200


def test_other_scope_types_are_rejected(guard: Guard) -> None:
    """The guard handles only HTTP, WebSocket and lifespan."""
    app = GuardMiddleware(Starlette(), guard=guard)

    async def nothing(*_: Any) -> Any: ...

    with pytest.raises(ConfigurationError):
        anyio.run(functools.partial(app, {"type": "mqtt"}, nothing, nothing))


def test_undecided_websocket_receives_nothing(guard: Guard) -> None:
    async def forgotten(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("secret content")

    client = client_of(guard, WebSocketRoute("/f", forgotten))
    with pytest.raises((WebSocketDisconnect, Exception)) as ended, client.websocket_connect("/f"):
        pass
    assert "eyes" not in str(ended.value)
