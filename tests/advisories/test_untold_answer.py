"""Advisory: a 307 with its `Location` and a 404 with its page were sent from an unguarded handler.

The hole: routers answer so if no endpoint matches, and the guard accepted such responses whenever no endpoint was
known: also from a handler behind a middleware that passes on a copy of the scope, or in an application that does not
report its endpoints. Now only the status is sent, unless the response is known to come from a router.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

import anyio
import pytest
from flask import Flask
from litestar import Litestar
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.testclient import TestClient

from iam_guard import Guard, GuardMiddleware, GuardWsgiMiddleware, public

SECRET = "for-no-eyes"


async def forgotten(request: Request) -> Response:
    """Answer as the query specifies."""
    status = int(request.query_params["status"])
    headers = {"x-page": SECRET, "location": f"/{SECRET}", "allow": "GET", "set-cookie": SECRET}
    return PlainTextResponse(SECRET, status, headers)


@public
async def opened(request: Request) -> Response:
    return PlainTextResponse("open")


class Copying:
    """A middleware that hands on a copy of the scope."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(dict(scope), receive, send)


class Opaque:
    """An application that does not report its endpoints."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await (await forgotten(Request(scope)))(scope, receive, send)


class ByDefault(Router):
    """A router whose handler for everything else is the application's."""

    async def not_found(self, scope: Any, receive: Any, send: Any) -> None:
        await Opaque()(scope, receive, send)


ROUTES = [Route("/f", forgotten), Route("/open/", opened)]
UNKNOWN_ENDPOINT: dict[str, Any] = {
    "a copied scope": Copying(Starlette(routes=ROUTES)),
    "a copied scope inside": Starlette(routes=ROUTES, middleware=[Middleware(Copying)]),
    "a copied scope inside of a mount": Starlette(routes=[Mount("/", Copying(Starlette(routes=ROUTES)))]),
    "a copied scope inside of what is mounted": Starlette(
        routes=[Mount("/", Starlette(routes=ROUTES, middleware=[Middleware(Copying)]))]
    ),
    "a copied scope inside of a router": Starlette(
        routes=[Mount("/", Router(routes=ROUTES, middleware=[Middleware(Copying)]))]
    ),
    "an opaque application": Opaque(),
    "an opaque application that is mounted": Starlette(routes=[Mount("/", Opaque())]),
    "a router's default": Router(default=Opaque()),
    "a router's own default": ByDefault(),
}


def client_of(app: Any, guard: Guard) -> TestClient:
    guarded = GuardMiddleware(app, guard=guard, check_routes=False)
    return TestClient(guarded, raise_server_exceptions=False, follow_redirects=False)


def test_unreported_handler_sends_only_its_status(guard: Guard, subtests: pytest.Subtests) -> None:
    """Neither body nor headers, for any status."""
    for name, app in UNKNOWN_ENDPOINT.items():
        client = client_of(app, guard)
        for status in (200, 301, 302, 303, 307, 308, 400, 404, 405, 410, 500):
            with subtests.test(name=name, status=status):
                answer = client.get(f"/f?status={status}")
                assert SECRET not in f"{answer.text} {answer.headers}"
                assert answer.status_code in ((500, status) if status in (404, 405) else (500,))


def test_reported_unguarded_handler_sends_only_its_status(guard: Guard, subtests: pytest.Subtests) -> None:
    """Also for 405, which a router answers for a known endpoint."""

    class Methods(HTTPEndpoint):
        async def get(self, request: Request) -> Response:
            return await forgotten(request)

    for route in (Route("/f", forgotten), Route("/f", Methods)):
        client = client_of(Starlette(routes=[route]), guard)
        for status in (307, 404, 405, 410):
            with subtests.test(endpoint=route.endpoint, status=status):
                answer = client.get(f"/f?status={status}")
                assert SECRET not in f"{answer.text} {answer.headers}"
                assert answer.status_code == (405 if status == 405 else 500)


def test_router_response_is_unchanged(guard: Guard, subtests: pytest.Subtests) -> None:
    """Redirects for a trailing slash, and the application's own page for 404."""

    async def page(request: Request, error: Exception) -> Response:
        return JSONResponse({"page": "nothing here"}, 404)

    async def other(request: Request) -> Response:
        return RedirectResponse(f"/{SECRET}")

    handlers: Any = {404: page}
    inside = Router(routes=[Route("/open/", opened), Route("/shut", opened)])
    app = Starlette(routes=[*ROUTES, Route("/shut", opened), Mount("/in", inside)], exception_handlers=handlers)
    client = client_of(app, guard)
    redirects = {"/open": "/open/", "/shut/": "/shut", "/in/open": "/in/open/", "/in/shut/": "/in/shut"}
    for path, expected in redirects.items():
        with subtests.test(path=path):
            answer = client.get(f"{path}?q=a%20b")
            assert (answer.status_code, answer.headers["location"]) == (307, f"http://testserver{expected}?q=a%20b")
    for path in ("/none", "/in/none", "/none?status=404"):
        with subtests.test(path=path):
            answer = client.get(path)
            assert (answer.status_code, answer.json()) == (404, {"page": "nothing here"})
    answer = client.post("/open/")
    assert (answer.status_code, answer.text) == (405, "Method Not Allowed")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_redirect_to_the_same_url_is_sent(guard: Guard, subtests: pytest.Subtests) -> None:
    """With or without a slash or TLS, without the body; the query is kept."""
    app = Copying(Starlette(routes=ROUTES))
    answer = client_of(app, guard).get("/open?q=1")
    assert (answer.status_code, answer.headers["location"], answer.text) == (307, "http://testserver/open/?q=1", "")

    def answering_app(location: str) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            headers = {"location": location, "x-page": SECRET}
            await PlainTextResponse(SECRET, 308, headers)(scope, receive, send)

        return app

    own = ("/a/", "/a/?q=1", "https://testserver/a?q=1", "http://testserver/a/?q=1", "/%61/?q=1")
    other_urls = (
        "/b/?q=1",
        "/a/?q=2",
        "//evil.example/a/?q=1",
        "http://evil.example/a/?q=1",
        "/a/?q=1#x",
        "http://[/a?q=1",
    )
    for location in (*own, *other_urls, "ftp://testserver/a?q=1"):
        with subtests.test(location=location):
            answer = client_of(answering_app(location), guard).get("/a?q=1")
            assert SECRET not in f"{answer.text} {answer.headers}"
            is_own = location in own and location.endswith("q=1")
            assert answer.status_code == (308 if is_own else 500)


def test_response_of_two_tasks_is_neutral(guard: Guard) -> None:
    """Messages of another task during the neutral response are dropped."""
    sent: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        start = {"type": "http.response.start", "status": 404, "headers": [], "trailers": True}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, start)
            tasks.start_soon(send, {"type": "http.response.body", "body": SECRET.encode()})

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def slowly(message: Any) -> None:
        await anyio.sleep(0)
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [(b"host", b"testserver")]}
    anyio.run(GuardMiddleware(app, guard=guard), scope, receive, slowly)
    assert [(each["type"], each.get("body"), "trailers" in each) for each in sent] == [
        ("http.response.start", None, False),
        ("http.response.body", b"Not Found", False),
    ]


def test_redirect_without_location_is_rejected(guard: Guard) -> None:
    """No router sends one."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Response(SECRET, 307)(scope, receive, send)

    assert client_of(app, guard).get("/").status_code == 500


def test_neutral_response_has_request_id_and_no_body_for_head(guard: Guard) -> None:
    answer = client_of(UNKNOWN_ENDPOINT["a copied scope"], guard).head("/f?status=404")
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (404, b"", "9")
    assert answer.headers["x-amzn-requestid"]


def test_litestar_reports_unmatched_routes(guard: Guard) -> None:
    """Its own response is sent unchanged."""
    answer = client_of(Litestar([], openapi_config=None, logging_config=None), guard).get("/none")
    assert (answer.status_code, answer.json()["detail"]) == (404, "Not Found")


def ask_wsgi(guard: Guard, app: Callable[..., Iterable[bytes]], path: str = "/f") -> tuple[int, str]:
    """Return the status, and the headers with the body."""
    path, _, query = path.partition("?")
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query, "HTTP_HOST": "testserver"}
    environ["wsgi.url_scheme"] = "http"
    started: list[Any] = []
    written: list[bytes] = []

    def start(status: str, headers: Any, *_: Any) -> Any:
        started[:] = [status, headers]
        return written.append

    parts: Any = GuardWsgiMiddleware(app, guard=guard)({**environ, "wsgi.input": io.BytesIO()}, start)
    body = b"".join(parts)
    return int(started[0][:3]), f"{started[1]} {b''.join(written).decode()}{body.decode()}"


def test_unreported_wsgi_app_sends_only_its_status(guard: Guard, subtests: pytest.Subtests) -> None:
    """With any form of response: at once, by `write`, from a generator, without parts."""
    headers = [("x-page", SECRET), ("location", f"/{SECRET}"), ("content-length", str(len(SECRET)))]

    def answering_app(status: int, how: str) -> Any:
        def app(environ: Any, start_response: Any) -> Iterable[bytes]:
            write = start_response(f"{status} X", headers)
            if how == "write":
                write(SECRET.encode())
            return [] if how in ("write", "no part") else [SECRET.encode()] * 2

        def generated(environ: Any, start_response: Any) -> Iterable[bytes]:
            start_response(f"{status} X", headers)
            yield SECRET.encode()
            yield SECRET.encode()

        return generated if how == "generator" else app

    for status in (200, 301, 307, 308, 404, 405, 410):
        for how in ("at once", "write", "generator", "no part"):
            with subtests.test(status=status, how=how):
                found, content = ask_wsgi(guard, answering_app(status, how))
                assert SECRET not in content
                assert found == (status if status in (404, 405) else 500)
                if found in (404, 405):
                    assert content.endswith({404: "Not Found", 405: "Method Not Allowed"}[found])


def test_wsgi_router_redirects_to_the_same_url(guard: Guard) -> None:
    """With Flask without its adapter."""
    app = Flask(__name__)
    app.add_url_rule("/open/", view_func=lambda: SECRET)
    status, content = ask_wsgi(guard, app.wsgi_app, "/open?q=1")
    assert (status, "http://testserver/open/?q=1" in content) == (308, True)
