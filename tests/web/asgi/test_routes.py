"""The inventory of endpoints: every route is guarded, public, or reported."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from iam_guard import Guard, GuardMiddleware, Service, public, requires
from iam_guard.web.asgi.routes import inventory, is_router, unguarded
from iam_guard.web.endpoints import Endpoint, catalogues_of, mark_of
from tests.tables import table

docs = Service("docs")


@docs.requires("GetDocument", resource="document/{document_id}")
async def guarded(request: Request) -> Response:
    return PlainTextResponse("guarded")


@public
async def health(request: Request) -> Response:
    return PlainTextResponse("ok")


async def forgotten(request: Request) -> Response:
    return PlainTextResponse("secret content")


async def raw(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("secret content")(scope, receive, send)


class Mixed(HTTPEndpoint):
    @docs.requires("GetDocument", resource="document/{document_id}")
    async def get(self, request: Request) -> Response:
        return PlainTextResponse("guarded")

    @public
    async def put(self, request: Request) -> Response:
        return PlainTextResponse("ok")

    async def post(self, request: Request) -> Response:
        return PlainTextResponse("secret content")

    async def query(self, request: Request) -> Response:
        return PlainTextResponse("secret content")


@public
class Open(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return PlainTextResponse("ok")


class Empty(HTTPEndpoint):
    pass


class Socket(WebSocketEndpoint):
    @docs.requires("GetDocument")
    async def on_connect(self, websocket: WebSocket) -> None:
        await websocket.accept()


class LateSocket(WebSocketEndpoint):
    @docs.requires("GetDocument")
    async def on_receive(self, websocket: WebSocket, data: Any) -> None: ...


@docs.requires("GetDocument")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()


async def forgotten_socket(websocket: WebSocket) -> None:
    await websocket.accept()


def found(*routes: BaseRoute, **more: Any) -> list[tuple[str, str, tuple[str, ...]]]:
    return [
        (",".join(each.methods), each.path, each.guards) for each in inventory(Starlette(routes=list(routes), **more))
    ]


GUARD = ("docs:GetDocument on document/{document_id}",)


@table(
    ("route", "expected"),
    [
        pytest.param(Route("/a", guarded), [("GET,HEAD", "/a", GUARD)], id="guarded"),
        pytest.param(Route("/a", health, methods=["POST"]), [("POST", "/a", ("public",))], id="public"),
        pytest.param(Route("/a", forgotten), [("GET,HEAD", "/a", ())], id="forgotten"),
        pytest.param(Route("/a", functools.partial(guarded)), [("GET,HEAD", "/a", GUARD)], id="partial"),
        pytest.param(Route("/a", functools.partial(functools.partial(health))),
                     [("GET,HEAD", "/a", ("public",))], id="2"),
        pytest.param(Route("/a", functools.partial(forgotten)), [("GET,HEAD", "/a", ())], id="forgotten partial"),
        pytest.param(
            Route("/a", Mixed),
            [("GET", "/a", GUARD), ("POST", "/a", ()), ("PUT", "/a", ("public",)), ("QUERY", "/a", ())],
            id="class",
        ),
        pytest.param(Route("/a", Open), [("", "/a", ("public",))], id="public class"),
        pytest.param(Route("/a", Empty), [("", "/a", ())], id="empty class"),
        pytest.param(WebSocketRoute("/a", socket), [("WEBSOCKET", "/a", ("docs:GetDocument on *",))], id="socket"),
        pytest.param(WebSocketRoute("/a", forgotten_socket), [("WEBSOCKET", "/a", ())], id="forgotten socket"),
        pytest.param(WebSocketRoute("/a", Socket),
                     [("WEBSOCKET", "/a", ("docs:GetDocument on *",))], id="socket class"),
        pytest.param(WebSocketRoute("/a", LateSocket), [("WEBSOCKET", "/a", ())], id="guarded after accepting"),
        pytest.param(
            Mount("/a", routes=[Mount("/b", routes=[Route("/c/{x}", guarded), Route("/", forgotten)])]),
            [("GET,HEAD", "/a/b/c/{x}", GUARD), ("GET,HEAD", "/a/b/", ())],
            id="mounts",
        ),
        pytest.param(Mount("/a", app=Router([Route("/b", guarded)])), [("GET,HEAD", "/a/b", GUARD)], id="router"),
        pytest.param(
            Mount("/a", app=Starlette(routes=[Route("/b", forgotten)], middleware=[Middleware(GZipMiddleware)])),
            [("GET,HEAD", "/a/b", ())],
            id="application with a middleware",
        ),
        pytest.param(
            Mount("/a", routes=[Route("/b", guarded)], middleware=[Middleware(GZipMiddleware)]),
            [("GET,HEAD", "/a/b", GUARD)],
            id="mount with a middleware",
        ),
        pytest.param(
            Mount("/a", app=GZipMiddleware(Starlette(routes=[Route("/b", forgotten)]))),
            [("GET,HEAD", "/a/b", ())],
            id="application wrapped by hand",
        ),
        pytest.param(Host("{tenant}.example", Router([Route("/b", forgotten)])), [("GET,HEAD", "/b", ())], id="host"),
        pytest.param(Mount("/a", app=raw), [("", "/a", ())], id="raw"),
        pytest.param(Mount("/a", app=Router()), [("", "/a", ())], id="empty router"),
        pytest.param(Mount("/a", routes=[]), [("", "/a", ())], id="empty mount"),
        pytest.param(Route("/a", raw), [("GET,HEAD", "/a", ())], id="function"),
    ],
)  # fmt: skip
def test_every_kind_of_route_is_listed(route: BaseRoute, expected: list[tuple[str, str, tuple[str, ...]]]) -> None:
    assert sorted(found(route), key=lambda row: (row[1] != "/a/b/c/{x}", row[0])) == expected


def test_static_files_are_public_only_if_marked(tmp_path: Path) -> None:
    """A mount without routes is one endpoint."""
    files = Mount("/static", app=StaticFiles(directory=tmp_path), name="static")
    open_files = Mount("/open", app=public(StaticFiles(directory=tmp_path)))
    assert found(files, open_files) == [("", "/static", ()), ("", "/open", ("public",))]


def test_unknown_kind_of_route_is_unguarded() -> None:
    """Deny on doubt."""

    class Strange(BaseRoute):
        pass

    app = Starlette()
    app.router.routes.append(Strange())
    assert [(each.path, each.is_guarded) for each in inventory(app)] == [("/", False)]
    assert len(unguarded(app)) == 1


@table("app", [None, raw, object(), Starlette(), Router()])
def test_application_without_routes_has_no_inventory(app: Any) -> None:
    assert inventory(app) == []


def test_inventory_of_recursive_application_ends() -> None:
    class Loop:
        app: Any

    loop = Loop()
    loop.app = loop
    assert inventory(loop) == []


def test_routes_are_found_inside_middlewares(guard: Guard) -> None:
    app = GZipMiddleware(GuardMiddleware(Starlette(routes=[Route("/a", forgotten)]), guard=guard))
    assert [each.path for each in unguarded(app)] == ["/a"]


def test_endpoint_has_a_readable_string() -> None:
    assert str(Endpoint("/a", ("GET", "HEAD"), "get", ())) == "GET,HEAD /a (get)"
    assert str(Endpoint("/a", (), "static", ())) == "ANY /a (static)"


@table(
    ("endpoint", "method", "mark"),
    [
        (Mixed, "PUT", "public"),
        (Mixed, "POST", "None"),
        (Mixed, "GET", GUARD[0]),
        (Mixed, "HEAD", GUARD[0]),
        (Mixed, "PATCH", "None"),
        (Mixed, None, "None"),
        (Open, "GET", "public"),
        (functools.partial(health), "GET", "public"),
        (Socket, None, "docs:GetDocument on *"),
        (None, "GET", "None"),
        (forgotten, "GET", "None"),
    ],
)
def test_mark_of_answering_endpoint(endpoint: Any, method: str | None, mark: str) -> None:
    """The same as in the inventory."""
    assert str(mark_of(endpoint, method)) == mark


def test_is_router() -> None:
    """A mounted application is a router, unless it has no routes."""
    assert [is_router(each) for each in (None, Router([Route("/a", health)]), raw, StaticFiles, Mixed)] == [
        True, True, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/mixed/7", 200),
        ("GET", "/mixed/7", 401),
        ("HEAD", "/mixed/7", 401),
        ("POST", "/mixed/7", 500),
        ("QUERY", "/mixed/7", 500),
        ("PATCH", "/mixed/7", 405),
        ("OPTIONS", "/mixed/7", 405),
        ("GET", "/open", 200),
        ("HEAD", "/open", 200),
        ("GET", "/partial", 200),
        ("POST", "/partial", 405),
        ("GET", "/public-files/a.txt", 200),
        ("GET", "/public-files/b.txt", 404),
        ("GET", "/files/a.txt", 500),
        ("GET", "/files/b.txt", 500),
        ("GET", "/raw", 500),
        ("GET", "/inner/none", 404),
        ("GET", "/inner/health", 200),
        ("GET", "/inner/slash", 200),
        ("GET", "/wrapped/none", 404),
        ("GET", "/none", 404),
        ("GET", "/", 404),
    ],
)
def test_middleware_agrees_with_the_inventory(
    guard: Guard, tmp_path: Path, method: str, path: str, status: int
) -> None:
    """Public endpoints answer; unguarded ones answer 500, existing or not."""
    (tmp_path / "a.txt").write_text("text")
    inner = [Route("/health", health), Route("/slash/", health)]
    routes = [
        Route("/mixed/{document_id}", Mixed), Route("/open", Open), Route("/partial", functools.partial(health)),
        Mount("/public-files", app=public(StaticFiles(directory=tmp_path))),
        Mount("/files", app=StaticFiles(directory=tmp_path)), Mount("/raw", app=raw), Mount("/inner", routes=inner),
        Mount("/wrapped", routes=inner, middleware=[Middleware(GZipMiddleware)]),
    ]  # fmt: skip
    middleware = [Middleware(GuardMiddleware, guard=guard, check_routes=False)]
    client = TestClient(Starlette(routes=routes, middleware=middleware))
    answer = client.request(method, path)
    assert answer.status_code == status
    assert "eyes" not in answer.text


def test_declarations_are_grouped_by_service() -> None:
    """Actions with their templates, of nested routers and classes too; the resource of a loader is unknown."""

    @requires("mail:Send", resource=lambda: "arn:aws:mail:::box/1")
    async def send(request: Request) -> Response:
        return PlainTextResponse("sent")

    inside = [Route("/d/{document_id}", guarded), Route("/m", Mixed), Route("/send", send), Route("/health", health)]
    found = catalogues_of(inventory(Starlette(routes=[Mount("/v1", routes=inside)])))
    assert [(str(row), row.resources) for catalogue in found for row in catalogue] == [
        ("docs:GetDocument", ("document/{document_id}", "*")),  # elsewhere in this file on `*`
        ("mail:Send", ("<lambda>()",)),
    ]


def test_class_does_not_inherit_public_mark(guard: Guard) -> None:
    """A new endpoint class must be marked again; a marked method stays public."""

    @public
    class Open(HTTPEndpoint):
        async def get(self, request: Request) -> Response:
            return PlainTextResponse("ok")

    class Secret(Open):
        async def get(self, request: Request) -> Response:
            return PlainTextResponse("secret content")

    app = Starlette(
        routes=[Route("/open", Open), Route("/secret", Secret)],
        middleware=[Middleware(GuardMiddleware, guard=guard, check_routes=False)],
    )
    assert [each.path for each in unguarded(app)] == ["/secret"]
    client = TestClient(app)
    assert (client.get("/open").status_code, client.get("/secret").status_code) == (200, 500)
