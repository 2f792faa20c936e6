"""The guard of an ASGI application: who is allowed, how others are denied, and that all is recorded."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket, WebSocketDisconnect

from iam_guard import Guard, GuardMiddleware, Resource, Service, current_decision, current_principal, public
from iam_guard.audit.consumer.reader import read_records
from iam_guard.errors import AccessDenied, ConfigurationError
from tests.conftest import ADA, RITA, Sign

docs = Service("docs")


@docs.requires("GetDocument", resource="document/{document_id}")
async def get_document(request: Request) -> Response:
    decision = current_decision()
    assert decision is not None
    return JSONResponse({"caller": current_principal().arn, "resource": decision.request.resource})


@docs.requires("PutDocument", resource="document/{document_id}")
def put_document(request: Request) -> Response:
    return JSONResponse({"caller": current_principal().arn})


@docs.requires("PutDocument", resource="document/{document_id}")
async def echo(request: Request) -> Response:
    return Response(await request.body())


@docs.requires("DeleteDocument", resource="document/{document_id}", conceal=True)
async def delete_document(request: Request) -> Response:
    return Response(status_code=204)


def load_document(document_id: str) -> Resource | None:
    if document_id == "missing":
        return None
    return Resource(f"arn:aws:docs:us-east-1:999999999999:document/{document_id}", "999999999999")


@docs.requires("GetDocument", resource=load_document)
async def loaded_document(request: Request) -> Response:
    return PlainTextResponse("seen")


@docs.requires("GetDocument", resource="document/{document_id}")
async def stream_document(request: Request) -> Response:
    async def parts() -> Any:
        yield b"one "
        yield b"two"

    return StreamingResponse(parts())


@docs.requires("GetDocument", resource="document/{document_id}")
async def watch_document(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(current_principal().name)
    await websocket.close()


class DocumentEndpoint(HTTPEndpoint):
    @docs.requires("GetDocument", resource="document/{document_id}")
    async def get(self, request: Request) -> Response:
        return PlainTextResponse(current_principal().name)


async def forgotten(request: Request) -> Response:
    return PlainTextResponse("secret content")


async def forgotten_socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("secret content")
    await websocket.close()


def _checked(handler: Any) -> Any:
    """What a framework does: check the parameters before the handler is called."""

    @functools.wraps(handler)
    async def checked(request: Request) -> Response:
        number = request.path_params["document_id"]
        if number == "answered":
            return PlainTextResponse("secret content")
        if not number.isdigit():
            raise HTTPException(422, "expected a number")
        response: Response = await handler(request)
        return response

    return checked


picky = _checked(get_document)


@public
async def health(request: Request) -> Response:
    return PlainTextResponse("ok")


@public
async def asks_by_hand(request: Request) -> Response:
    docs.authorize("GetDocument", "arn:aws:docs:us-east-1:111122223333:document/by-hand")
    return PlainTextResponse("allowed")


ROUTES = [
    Route("/health", health),
    Route("/documents/{document_id}", get_document),
    Route("/documents/{document_id}", put_document, methods=["PUT"]),
    Route("/documents/{document_id}", delete_document, methods=["DELETE"]),
    Route("/echo/{document_id}", echo, methods=["POST"]),
    Route("/loaded/{document_id}", loaded_document),
    Route("/stream/{document_id}", stream_document),
    Route("/class/{document_id}", DocumentEndpoint),
    Route("/by-hand", asks_by_hand),
    Route("/forgotten", forgotten),
    Route("/picky/{document_id}", picky),
    Mount("/inner", routes=[Route("/documents/{document_id}", get_document)]),
    WebSocketRoute("/watch/{document_id}", watch_document),
    WebSocketRoute("/forgotten-socket", forgotten_socket),
]


class Touching(BaseHTTPMiddleware):
    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        return response


def application(guard: Guard, *inside: Middleware, check_routes: bool = False) -> Starlette:
    guarding = Middleware(GuardMiddleware, guard=guard, check_routes=check_routes)
    return Starlette(routes=ROUTES, middleware=[guarding, *inside])


@pytest.fixture
def client(guard: Guard) -> TestClient:
    return TestClient(application(guard), raise_server_exceptions=False)


def records(path: Path) -> list[dict[str, Any]]:
    return list(read_records(path))


def test_allowed_caller_is_accepted(client: TestClient, sign: Sign, audit_file: Path) -> None:
    """The credential becomes the principal, the route's parameter the resource, and both are recorded."""
    answer = client.get("/documents/7", headers=sign(RITA, "GET", "/documents/7"))
    assert answer.status_code == 200
    resource = "arn:aws:docs:us-east-1:111122223333:document/7"
    assert answer.json() == {"caller": "arn:aws:iam::111122223333:user/rita", "resource": resource}
    (record,) = records(audit_file)
    assert record["requestID"] == answer.headers["x-amzn-requestid"]
    assert record["iamGuard"]["outcome"] == "Allowed"


def test_denied_caller_gets_403(client: TestClient, sign: Sign, audit_file: Path) -> None:
    """Design 4.5: RFC 9457 with AWS's code and message, and the request id."""
    answer = client.put("/documents/7", headers=sign(RITA, "PUT", "/documents/7"))
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
        "code": "AccessDenied",
        "detail": "User: arn:aws:iam::111122223333:user/rita is not authorized to perform: docs:PutDocument"
        " on resource: arn:aws:docs:us-east-1:111122223333:document/7"
        " because no identity-based policy allows the docs:PutDocument action",
        "requestId": answer.headers["x-amzn-requestid"],
    }
    (record,) = records(audit_file)
    assert record["errorCode"] == "AccessDenied"


def test_anonymous_caller_gets_401(client: TestClient, audit_file: Path) -> None:
    """Design 4.5: with `WWW-Authenticate`; the decision is recorded too."""
    answer = client.get("/documents/7")
    assert answer.status_code == 401
    assert "Bearer" in answer.headers["www-authenticate"]
    assert answer.json()["code"] == "MissingAuthenticationToken"
    assert len(records(audit_file)) == 1


def test_bad_credentials_are_not_treated_as_anonymous(client: TestClient, audit_file: Path, sign: Sign) -> None:
    """Design 5: a public endpoint rejects bad credentials too."""
    assert client.get("/health").status_code == 200
    answer = client.get("/health", headers=sign((ADA[0], "wrong" * 8), "GET", "/health"))
    assert answer.status_code == 401
    assert answer.json()["code"] == "SignatureDoesNotMatch"
    (record,) = records(audit_file)
    assert record["errorCode"] == "SignatureDoesNotMatch"
    assert "wrongwrong" not in audit_file.read_text()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_undecided_endpoint_answers_500_and_is_logged(client: TestClient, audit_file: Path, method: str) -> None:
    """Design 5: the response of an endpoint without a decision that is not public is not sent."""
    answer = client.request(method, "/forgotten")
    assert answer.status_code == 500
    assert "secret content" not in answer.text
    (record,) = records(audit_file)
    assert record["iamGuard"]["reason"] == "Error"


def test_middleware_answering_inside_of_the_guard_is_logged(guard: Guard, caplog: pytest.LogCaptureFixture) -> None:
    """The usual mistake is CORS inside of the guard, whose preflight requests reach no endpoint."""
    cors = Middleware(CORSMiddleware, allow_origins=["https://elsewhere.example"])
    app = Starlette(routes=ROUTES, middleware=[Middleware(GuardMiddleware, guard=guard, check_routes=False), cors])
    preflight = {"origin": "https://elsewhere.example", "access-control-request-method": "GET"}
    assert TestClient(app).options("/documents/7", headers=preflight).status_code == 500
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "OPTIONS /documents/7: an unknown endpoint answered without a decision; "
        "put CORS and similar middlewares outside of the guard"
    ]


def test_second_guard_is_logged(guard: Guard, sign: Sign, caplog: pytest.LogCaptureFixture) -> None:
    """The inner one has decided, and the outer one sees no decision."""
    twice = GuardMiddleware(application(guard), guard=guard, check_routes=False)
    headers = sign(ADA, "GET", "/documents/7")
    assert TestClient(twice).get("/documents/7", headers=headers).status_code == 500
    messages = [record.getMessage() for record in caplog.records if record.name == "iam_guard.web"]
    assert messages[-1].endswith("; its decorator used another guard inside of this one, or did not run")


def test_framework_error_before_the_decision_is_sent(client: TestClient, sign: Sign) -> None:
    """The framework rejects a bad parameter of a guarded endpoint; other responses without a decision are blocked."""
    assert client.get("/picky/x", headers=sign(ADA, "GET", "/picky/x")).status_code == 422
    assert client.get("/picky/7", headers=sign(ADA, "GET", "/picky/7")).status_code == 200
    assert client.get("/picky/answered", headers=sign(ADA, "GET", "/picky/answered")).status_code == 500


def test_start_up_finds_unguarded_endpoints(guard: Guard) -> None:
    """The check at start-up reports them before any request."""
    with (
        pytest.raises(ConfigurationError, match=r"GET,HEAD /forgotten \(forgotten\).*below the route decorator"),
        TestClient(application(guard, check_routes=True)),
    ):
        pass


def test_start_up_accepts_guarded_application(guard: Guard) -> None:
    """Only unguarded endpoints prevent the start."""
    app = Starlette(
        routes=[each for each in ROUTES if "forgotten" not in getattr(each, "path", "")],
        middleware=[Middleware(GuardMiddleware, guard=guard)],
    )
    with TestClient(app) as client:
        assert client.get("/health").status_code == 200


def test_synchronous_handlers_are_guarded(client: TestClient, sign: Sign) -> None:
    """The same decorator; the handler runs in a thread and has the caller."""
    answer = client.put("/documents/7", headers=sign(ADA, "PUT", "/documents/7"))
    assert answer.json() == {"caller": "arn:aws:iam::111122223333:user/ada"}


def test_endpoint_classes_and_mounts_are_guarded(client: TestClient, sign: Sign) -> None:
    """The path parameters are found in endpoint classes and mounts."""
    assert client.get("/class/7", headers=sign(ADA, "GET", "/class/7")).text == "ada"
    assert client.get("/class/7").status_code == 401
    inner = client.get("/inner/documents/8", headers=sign(ADA, "GET", "/inner/documents/8"))
    assert inner.json()["resource"].endswith(":document/8")


def test_middlewares_in_between_pass_denials(guard: Guard, sign: Sign) -> None:
    """`BaseHTTPMiddleware` runs the application in its own task."""
    client = TestClient(application(guard, Middleware(Touching)))
    assert client.get("/documents/7", headers=sign(ADA, "GET", "/documents/7")).status_code == 200
    assert client.put("/documents/7", headers=sign(RITA, "PUT", "/documents/7")).status_code == 403
    assert client.get("/forgotten").status_code == 500


def test_decided_stream_reaches_the_client(client: TestClient, sign: Sign) -> None:
    assert client.get("/stream/7", headers=sign(ADA, "GET", "/stream/7")).text == "one two"


def test_handler_gets_the_signed_body(client: TestClient, sign: Sign) -> None:
    """The body is read for its hash, and replayed unchanged."""
    body = bytes(range(256)) * 40
    answer = client.post("/echo/7", content=body, headers=sign(ADA, "POST", "/echo/7", body=body))
    assert answer.content == body


def test_changed_body_is_rejected_before_the_handler(client: TestClient, sign: Sign) -> None:
    """The signature covers the hash of the body."""
    answer = client.post("/echo/7", content=b"b", headers=sign(ADA, "POST", "/echo/7", body=b"a"))
    assert answer.status_code == 401
    assert answer.json()["code"] == "SignatureDoesNotMatch"


def test_body_over_the_limit_is_rejected(guard: Guard, sign: Sign, audit_file: Path) -> None:
    """A signed body is read up to the setting `max_body`; the error is recorded."""
    body = b"x" * (guard.settings.max_body + 1)
    client = TestClient(application(guard))
    answer = client.post("/echo/7", content=body, headers=sign(ADA, "POST", "/echo/7", body=body))
    assert answer.status_code == 413
    assert [record["errorCode"] for record in records(audit_file)] == ["RequestEntityTooLarge"]


def test_loader_returning_none_answers_404(client: TestClient, sign: Sign, audit_file: Path) -> None:
    """It is recorded too."""
    answer = client.get("/loaded/missing", headers=sign(ADA, "GET", "/loaded/missing"))
    assert answer.status_code == 404
    (record,) = records(audit_file)
    assert record["eventName"] == "GetDocument"


def test_anonymous_caller_cannot_probe_existence(client: TestClient) -> None:
    """X-9: the same answer for an existing and a missing document."""
    there, missing = client.get("/loaded/7"), client.get("/loaded/missing")
    assert (there.status_code, missing.status_code) == (401, 401)
    assert there.json()["detail"] == missing.json()["detail"]


def test_resource_of_another_account_needs_its_policy(client: TestClient, sign: Sign) -> None:
    """E-53, X-7: cross-account access needs a resource-based policy; the answer contains no reason."""
    answer = client.get("/loaded/7", headers=sign(ADA, "GET", "/loaded/7"))
    assert answer.status_code == 403
    assert answer.json()["detail"].endswith("on resource: arn:aws:docs:us-east-1:999999999999:document/7")


def test_concealed_denial_answers_404(client: TestClient, sign: Sign) -> None:
    """Design 4.5: 404 instead of 403 if the route requires it."""
    answer = client.delete("/documents/7", headers=sign(RITA, "DELETE", "/documents/7"))
    assert answer.status_code == 404
    assert "7" not in answer.json()["detail"]
    assert client.delete("/documents/7", headers=sign(ADA, "DELETE", "/documents/7")).status_code == 204


def test_handler_may_authorize_itself(client: TestClient, sign: Sign) -> None:
    """`Service.authorize` denies from inside a handler."""
    assert client.get("/by-hand", headers=sign(ADA, "GET", "/by-hand")).text == "allowed"
    assert client.get("/by-hand").status_code == 401


def test_router_answers_unknown_paths_and_methods(client: TestClient) -> None:
    """404 and 405 of the router need no decision."""
    assert client.get("/nothing").status_code == 404
    assert client.post("/documents/7").status_code == 405


def test_messages_before_the_response_are_not_checked(guard: Guard, sign: Sign) -> None:
    """Template messages for test clients and early hints; the response after them is still checked."""

    class Template(PlainTextResponse):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.debug", "info": {"template": None, "context": {}}})
            if scope["path"] == "/list":
                await send({"type": "http.response.early_hint", "links": [b"</style.css>"]})
            await super().__call__(scope, receive, send)

    @docs.requires("GetDocument", resource="document/7")
    async def page(request: Request) -> Response:
        return Template("page")

    async def undecided(request: Request) -> Response:
        return Template("secret", 404)

    async def not_found(request: Request, error: Exception) -> Response:
        return Template("no such page", 404)

    app = Starlette(routes=[Route("/list", page), Route("/undecided", undecided)], exception_handlers={404: not_found})
    client = TestClient(GuardMiddleware(app, guard=guard, check_routes=False))
    answers = [client.get(path, headers=sign(ADA, "GET", path)) for path in ("/list", "/nowhere", "/undecided")]
    assert [(answer.status_code, "x-amzn-requestid" in answer.headers) for answer in answers] == [
        (200, True),
        (404, True),
        (500, True),
    ]
    assert [answer.text for answer in answers[:2]] == ["page", "no such page"]


def test_websockets_are_guarded(client: TestClient, sign: Sign) -> None:
    """The handshake is signed like a GET; the handler decides before it accepts."""
    with client.websocket_connect("/watch/7", headers=sign(RITA, "GET", "/watch/7")) as socket:
        assert socket.receive_text() == "rita"
    with pytest.raises(WebSocketDenialResponse) as refused, client.websocket_connect("/watch/7"):
        pass
    assert refused.value.status_code == 401


def test_undecided_websocket_is_rejected(client: TestClient) -> None:
    """Nothing is sent over a connection without a decision."""
    with pytest.raises((WebSocketDenialResponse, WebSocketDisconnect)), client.websocket_connect("/forgotten-socket"):
        pass


def test_custom_error_format_is_used(guard: Guard) -> None:
    """`refusal=` changes the response, not the decision."""
    from iam_guard.web.refusal import Refusal

    def terse(error: Any, request_id: str) -> Refusal:
        return Refusal(418, (("x-code", error.code),), b"no")

    guarding = Middleware(GuardMiddleware, guard=guard, refusal=terse, check_routes=False)
    answer = TestClient(Starlette(routes=ROUTES, middleware=[guarding])).get("/documents/7")
    assert (answer.status_code, answer.text, answer.headers["x-code"]) == (418, "no", "AccessDenied")


def test_caller_cannot_choose_the_request_id(client: TestClient, sign: Sign) -> None:
    headers = {**sign(ADA, "GET", "/documents/7"), "x-amzn-requestid": "chosen"}
    answer = client.get("/documents/7", headers=headers)
    assert answer.headers["x-amzn-requestid"] != "chosen"


def test_no_secret_is_in_answers_or_trail(client: TestClient, sign: Sign, audit_file: Path) -> None:
    """Design 5."""
    headers = sign(ADA, "GET", "/documents/7")
    answers = [client.get("/documents/7", headers=headers), client.get("/documents/8", headers=headers)]
    signature = headers["Authorization"].rpartition("Signature=")[2]
    content = json.dumps([dict(answer.headers) for answer in answers]) + "".join(answer.text for answer in answers)
    for secret in (ADA[1], signature):
        assert secret not in content
        assert secret not in audit_file.read_text()


def test_access_denied_has_the_decision(guard: Guard) -> None:
    """The error is created from the decision, which is not repeated."""
    from iam_guard import Principal

    ada = Principal.from_arn("arn:aws:iam::111122223333:user/ada")
    with pytest.raises(AccessDenied) as refused:
        guard.authorize(ada, "other:Do", "arn:aws:other:us-east-1:111122223333:thing/1")
    assert getattr(refused.value.decision, "allowed", None) is False
