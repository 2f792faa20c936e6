"""The guard inside of frameworks that catch its exceptions, close WebSockets, and store their handlers elsewhere."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from iam_guard import Guard, GuardMiddleware, Service, public
from iam_guard.audit.consumer.reader import read_records
from iam_guard.errors import InvalidInput
from iam_guard.web.asgi.parameters import declared_parameters, no_readings
from iam_guard.web.asgi.route_matching import UNRESOLVED, answering_endpoint, endpoint_of
from tests.conftest import ADA, RITA, Sign

docs = Service("docs")
SECRET = "secret content"


@docs.requires("PutDocument", resource="document/7")
async def guarded() -> None: ...


async def forgotten() -> None: ...


@public
async def opened() -> None: ...


class Framework:
    """Calls a handler, sends, and makes of every exception what it likes."""

    def __init__(self, handler: Any, *, otherwise: str) -> None:
        self._handler = handler
        self._otherwise = otherwise

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["route_handler"] = SimpleNamespace(fn=self._handler)
        try:
            await self._handler()
            if scope["type"] == "websocket":
                await WebSocket(scope, receive, send).accept()
                await send({"type": "websocket.send", "text": SECRET})
                await send({"type": "websocket.close", "code": 1000})
            else:
                await PlainTextResponse(SECRET)(scope, receive, send)
        except Exception as error:
            if self._otherwise == "raises":
                raise RuntimeError("an answer was begun already") from error
            if self._otherwise == "answers":
                await PlainTextResponse("failed", 500)(scope, receive, send)
            if self._otherwise.isdigit():
                await send({"type": "websocket.close", "code": int(self._otherwise)})


@pytest.mark.parametrize("otherwise", ["raises", "answers", "swallows"])
@pytest.mark.parametrize(
    ("handler", "status", "event"),
    [(guarded, 403, "PutDocument"), (forgotten, 500, "UndecidedEndpoint"), (opened, 200, None)],
)
def test_caught_denial_is_still_answered(
    guard: Guard, sign: Sign, audit_file: Path, otherwise: str, handler: Any, status: int, event: str | None
) -> None:
    """Once, with our response, and recorded once; other exceptions of a handler are not affected."""
    if handler is guarded and otherwise != "answers":
        pytest.skip("a framework that does so with what a handler raises has no answers of its own")
    app = GuardMiddleware(Framework(handler, otherwise=otherwise), guard=guard, check_routes=False)
    answer = TestClient(app, raise_server_exceptions=False).get("/", headers=sign(RITA, "GET", "/"))
    assert (answer.status_code, SECRET in answer.text) == (status, status == 200)
    if event is not None:
        assert answer.json()["requestId"] == answer.headers["x-amzn-requestid"]
        assert [each["eventName"] for each in read_records(audit_file)] == [event]


@pytest.mark.parametrize("code", ["1011", "4500"])
@pytest.mark.parametrize(("handler", "status"), [(guarded, 403), (forgotten, 500)])
def test_websocket_closed_after_a_denial_is_rejected(
    guard: Guard, sign: Sign, code: str, handler: Any, status: int
) -> None:
    app = GuardMiddleware(Framework(handler, otherwise=code), guard=guard, check_routes=False)
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        TestClient(app).websocket_connect("/", headers=sign(RITA, "GET", "/")),
    ):
        pass
    assert refused.value.status_code == status


def test_websocket_may_be_closed_with_any_code(guard: Guard, sign: Sign) -> None:
    app = GuardMiddleware(Framework(guarded, otherwise="4403"), guard=guard, check_routes=False)
    with (
        pytest.raises(WebSocketDisconnect) as closed,
        TestClient(app).websocket_connect("/", headers=sign(RITA, "GET", "/")),
    ):
        pass
    assert closed.value.code == 4403
    allowed = GuardMiddleware(Framework(guarded, otherwise="4403"), guard=guard, check_routes=False)
    with TestClient(allowed).websocket_connect("/", headers=sign(ADA, "GET", "/")) as socket:
        assert socket.receive_text() == SECRET


def dependant(*inner: Any, **read: Any) -> Any:
    """Return a dependant as of FastAPI, with parameters of the types in `read`."""

    def field(alias: str, kind: Any) -> Any:
        def validate(value: Any, values: Any, *, loc: Any) -> Any:
            try:
                return kind(value), []
            except ValueError:
                return None, ["wrong"]

        return SimpleNamespace(alias=alias, validate=validate)

    fields = [field(alias, kind) for alias, kind in read.items()]
    return SimpleNamespace(path_params=fields, dependencies=list(inner), call=None)


def test_parameter_has_its_declared_value() -> None:
    scope = {"path_params": {"a": "07", "b": "07"}, "route": SimpleNamespace(dependant=dependant(dependant(a=int)))}
    assert declared_parameters(scope, readings=no_readings) == {"a": 7, "b": "07"}
    assert declared_parameters(scope, readings=lambda _, name, value: [7] if name == "b" else []) == {"a": 7, "b": 7}
    included = {"effective_route_context": SimpleNamespace(dependant=dependant(b=int))}
    assert declared_parameters({**scope, "fastapi": included}, readings=no_readings) == {"a": "07", "b": 7}
    scope["path_params"] = {"a": "x"}
    assert declared_parameters(scope, readings=no_readings) == {"a": "x"}
    assert declared_parameters({}, readings=no_readings) == {}


def test_parameter_with_two_values_is_rejected() -> None:
    route = SimpleNamespace(dependant=dependant(dependant(a=str), a=int))
    assert declared_parameters({"path_params": {"a": "7"}, "route": route}, readings=no_readings)
    with pytest.raises(InvalidInput, match="one way"):
        declared_parameters({"path_params": {"a": "07"}, "route": route}, readings=no_readings)


def test_answering_endpoint_is_found_in_each_framework() -> None:
    """The endpoint, Litestar's handler, or the dependency or guard of an unmarked endpoint."""
    by_dependency = SimpleNamespace(dependant=SimpleNamespace(dependencies=[SimpleNamespace(call=guarded)]))
    by_both = SimpleNamespace(
        dependant=SimpleNamespace(dependencies=[SimpleNamespace(call=opened), SimpleNamespace(call=guarded)])
    )
    by_guard = SimpleNamespace(fn=forgotten, resolve_guards=lambda: [guarded])
    assert answering_endpoint({"endpoint": opened, "route_handler": SimpleNamespace(fn=forgotten)}) is opened
    assert answering_endpoint({"route_handler": SimpleNamespace(fn=opened)}) is opened
    assert answering_endpoint({"route_handler": SimpleNamespace(fn=forgotten)}) is forgotten
    assert answering_endpoint({"endpoint": forgotten, "route_handler": SimpleNamespace(fn=opened)}) is forgotten
    assert answering_endpoint({"endpoint": forgotten, "route": by_dependency}) is guarded
    assert answering_endpoint({"endpoint": forgotten, "route": by_both}) is guarded
    assert answering_endpoint({"route_handler": by_guard}) is guarded
    assert answering_endpoint({"endpoint": forgotten}) is forgotten
    assert answering_endpoint({}) is None


def test_endpoint_guarded_from_outside_is_unresolved() -> None:
    """The call has no caller until the requirement accepts an unsigned body."""
    assert endpoint_of(None, {"route_handler": SimpleNamespace(fn=guarded)}) is guarded
    assert endpoint_of(None, {"route_handler": SimpleNamespace(fn=forgotten)}) is UNRESOLVED
