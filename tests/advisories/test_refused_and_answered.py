"""Advisory: a denied caller got a response that code around the handler had cached.

The hole: caches and circuit breakers answer an exception with the last good response, and treated a denial as one. As
a denial is a decision, that response was sent, also to anonymous callers. Now success responses after a denial are
blocked.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from iam_guard import AccessDenied, Guard, GuardMiddleware, GuardWsgiMiddleware, Resource, RouteMap, Service, public
from tests.conftest import ADA, RITA, Sign
from tests.integrations.contract import needed

docs = Service("docs")
requires = docs.requires("PutDocument", resource="document/{document_id}")


async def put(request: Request) -> Response:
    return PlainTextResponse(f"document {request.path_params['document_id']}")


guarded = requires(put)


def cache_on_error(handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
    cached: dict[str, Response] = {}

    @functools.wraps(handler)
    async def answer(request: Request) -> Response:
        try:
            cached[request.url.path] = await handler(request)
        except Exception:  # noqa: BLE001  as such wrappers do
            return cached[request.url.path]
        return cached[request.url.path]

    return answer


class CacheOnError(BaseHTTPMiddleware):
    cached: bytes = b""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        try:
            response = await call_next(request)
        except Exception:  # noqa: BLE001  the same
            return PlainTextResponse(self.cached)
        self.cached = b"".join([part async for part in response.body_iterator])  # type: ignore[attr-defined]
        return PlainTextResponse(self.cached)


def mapped() -> RouteMap:
    routes = RouteMap(services=[docs])
    routes.requires("GET", "/{document_id}", "docs:PutDocument", resource="document/{document_id}")
    return routes


def client_of(guard: Guard, app: Any, routes: RouteMap | None = None) -> TestClient:
    return TestClient(GuardMiddleware(app, guard=guard, routes=routes), raise_server_exceptions=False)


@pytest.mark.parametrize("around", ["a wrapper", "a middleware", "a middleware, and a map", "a wrapper, and a guard"])
def test_cached_response_is_sent_to_allowed_callers(guard: Guard, sign: Sign, around: str) -> None:
    """Ada is allowed; Rita and anonymous callers are not."""

    @docs.requires("GetService")
    async def allowed_before(request: Request) -> Response:
        response: Response = await inside(request)
        return response

    inside = cache_on_error(guarded)
    allowed_before = functools.update_wrapper(allowed_before, inside)  # the mark is that of the last word
    handler: Any = {
        "a wrapper": inside,
        "a middleware": guarded,
        "a middleware, and a map": put,
        "a wrapper, and a guard": allowed_before,
    }[around]
    middleware = [Middleware(CacheOnError)] if "middleware" in around else []
    app = Starlette(routes=[Route("/{document_id}", handler)], middleware=middleware)
    client = client_of(guard, app, mapped() if "map" in around else None)
    for _ in range(2):
        assert client.get("/7", headers=sign(ADA, "GET", "/7")).text == "document 7"
        refused = client.get("/7", headers=sign(RITA, "GET", "/7"))
        assert (refused.status_code, refused.json()["code"]) == (403, "AccessDenied")
        assert client.get("/7").status_code == 401


def test_cached_response_after_failed_decision_is_blocked(guard: Guard, sign: Sign) -> None:
    """The exception of a loader is no decision; another action was allowed before."""
    fails: list[bool] = []

    async def load(document_id: str) -> str:
        if fails:
            raise ConnectionError("the database is away")
        return f"arn:aws:docs:us-east-1:111122223333:document/{document_id}"

    handler = cache_on_error(docs.requires("GetDocument", resource=load)(put))

    @functools.wraps(handler)
    async def handler_with_decision(request: Request) -> Response:
        docs.authorize("GetService")
        response: Response = await handler(request)
        return response

    client = client_of(guard, Starlette(routes=[Route("/{document_id}", handler_with_decision)]))
    assert client.get("/7", headers=sign(RITA, "GET", "/7")).status_code == 200
    fails.append(True)
    assert client.get("/7", headers=sign(RITA, "GET", "/7")).status_code == 500


def test_websocket_is_not_accepted_after_a_denial(guard: Guard, sign: Sign) -> None:
    @requires
    async def watch(websocket: WebSocket) -> None:
        await websocket.accept()

    @functools.wraps(watch)
    async def all_the_same(websocket: WebSocket) -> None:
        try:
            await watch(websocket)
        except AccessDenied:
            await websocket.accept()
            await websocket.send_text("secret content")

    client = client_of(guard, Starlette(routes=[WebSocketRoute("/{document_id}", all_the_same)]))
    by = sign(RITA, "GET", "/7")
    with (
        pytest.raises((WebSocketDisconnect, Exception)) as ended,
        client.websocket_connect("/7", headers=by) as it,
    ):
        it.receive_text()
    assert "eyes" not in str(ended.value)


def test_cached_response_of_flask_is_blocked(guard: Guard, sign: Sign) -> None:
    needed("flask")
    from flask import Flask
    from iam_guard_flask import IamGuard

    app = Flask("f", static_folder=None)

    @docs.requires("PutDocument", resource="document/{document_id}")
    def view(document_id: str) -> str:
        return f"document {document_id}"

    @functools.wraps(view)
    def all_the_same(document_id: str) -> str:
        try:
            return view(document_id)
        except AccessDenied:
            return "document 7, as it was"

    app.add_url_rule("/<document_id>", view_func=all_the_same)
    IamGuard(app, guard=guard)
    client = app.test_client()
    assert client.get("/7", headers=sign(ADA, "GET", "/7"), base_url="http://testserver").text == "document 7"
    assert client.get("/7", headers=sign(RITA, "GET", "/7"), base_url="http://testserver").status_code == 403


def test_cached_response_of_unknown_endpoint_is_blocked(guard: Guard, sign: Sign) -> None:
    """In any WSGI application without an adapter."""
    handler = docs.requires("PutDocument")(lambda: b"the answer")

    def app(environ: Any, start_response: Any) -> list[bytes]:
        try:
            body = handler()
        except AccessDenied:
            body = b"the answer, as it was"
        start_response("200 OK", [])
        return [body]

    def ask(key: tuple[str, str]) -> bytes:
        headers = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in sign(key, "GET", "/7").items()}
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/7", "HTTP_HOST": "testserver", "wsgi.input": io.BytesIO()}
        answer: Any = GuardWsgiMiddleware(app, guard=guard)({**environ, **headers}, lambda *_: print)
        return b"".join(answer)

    assert ask(ADA) == b"the answer"
    assert b"AccessDenied" in ask(RITA)


# --- what goes on as before ---


async def signs_in(request: Request, error: Exception) -> Response:
    return RedirectResponse("/sign-in", 302)


async def explains(request: Request, error: Exception) -> Response:
    return PlainTextResponse("ask your administrator", 403)


@pytest.mark.parametrize(("page", "status"), [(signs_in, 302), (explains, 403)])
def test_own_page_for_denials_is_sent(guard: Guard, sign: Sign, page: Any, status: int) -> None:
    app = Starlette(routes=[Route("/{document_id}", guarded)], exception_handlers={AccessDenied: page})
    answer = client_of(guard, app).get("/7", headers=sign(RITA, "GET", "/7"), follow_redirects=False)
    assert answer.status_code == status


@pytest.mark.parametrize("mark", ["public", "allowed", "by hand", "another way"])
def test_handler_may_handle_a_denial_itself(guard: Guard, sign: Sign, mark: str) -> None:
    """An allowed or public handler may authorize a part of its response, and omit it if denied."""

    async def page(request: Request) -> Response:
        try:
            return await guarded(request)
        except AccessDenied:
            if mark == "another way":
                docs.authorize("GetDocument", "arn:aws:docs:us-east-1:111122223333:document/7")
            return PlainTextResponse("without")

    guards: dict[str, Callable[[Any], Any]] = {
        "public": public,
        "allowed": docs.requires("GetDocument"),
        "by hand": lambda handler: handler,
        "another way": functools.partial(functools.update_wrapper, wrapped=guarded),
    }
    app = Starlette(routes=[Route("/{document_id}", guards[mark](page))])
    client = TestClient(GuardMiddleware(app, guard=guard, check_routes=False))
    assert client.get("/7", headers=sign(RITA, "GET", "/7")).text == "without"


def test_recursive_handler_may_handle_a_denial(guard: Guard, sign: Sign) -> None:
    """A folder shows the subfolders that its reader may see."""
    owners = {"root": "111122223333", "mine": "111122223333", "theirs": "444455556666"}

    async def load(name: str) -> Resource:
        return Resource(f"arn:aws:docs:us-east-1:{owners[name]}:folder/{name}", owners[name])

    @docs.requires("GetFolder", resource=load)
    async def folder(request: Request, name: str = "root") -> Response:
        shown = [name]
        for inner in ("mine", "theirs") if name == "root" else ():
            try:
                shown.append(bytes((await folder(request, inner)).body).decode())
            except AccessDenied:
                continue
        return PlainTextResponse(" ".join(shown))

    app = Starlette(routes=[Route("/folders", folder)])
    assert client_of(guard, app).get("/folders", headers=sign(RITA, "GET", "/folders")).text == "root mine"
