"""Route maps in Litestar: the row of the matched route decides before everything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.contract import needed

needed("litestar", "iam_guard_litestar")

from iam_guard_litestar import GuardPlugin  # noqa: E402
from litestar import Litestar, Request, Router, asgi, get, post, route  # noqa: E402
from litestar.di import NamedDependency, Provide  # noqa: E402
from litestar.middleware import ASGIMiddleware  # noqa: E402
from litestar.openapi import OpenAPIConfig  # noqa: E402
from litestar.params import FromPath, JSONBody  # noqa: E402
from litestar.static_files import create_static_files_router  # noqa: E402
from litestar.testing import TestClient  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402
from starlette.requests import Request as StarletteRequest  # noqa: E402
from starlette.responses import PlainTextResponse  # noqa: E402
from starlette.routing import Mount, Route  # noqa: E402
from starlette.testclient import TestClient as StarletteClient  # noqa: E402

from iam_guard import Guard, GuardMiddleware, RouteMap, inventory  # noqa: E402
from iam_guard.errors import ConfigurationError  # noqa: E402
from tests.conftest import ADA, RITA, Sign  # noqa: E402
from tests.integrations.test_routes_command import routes as routes_of  # noqa: E402

DOCUMENT = "document/{document_id}"
ran: list[str] = []


@pytest.fixture(autouse=True)
def nothing_ran() -> None:
    ran.clear()


@get("/documents/{document_id:str}")
async def document(document_id: FromPath[str]) -> str:
    ran.append(document_id)
    return document_id


def mapped(guard: Guard, routes: RouteMap, *handlers: Any, **options: Any) -> Litestar:
    return Litestar(
        list(handlers),
        plugins=[GuardPlugin(guard, routes=routes)],
        **{"openapi_config": None, "logging_config": None, **options},
    )


def reading(*paths: str, action: str = "docs:GetDocument", method: str = "GET", resource: str = DOCUMENT) -> RouteMap:
    routes = RouteMap()
    for path in paths:
        routes.requires(method, path, action, resource=resource)
    return routes


Ask = Callable[..., int]


def asker(client: Any, sign: Sign) -> Ask:
    def ask(path: str, key: tuple[str, str] | None = None, method: str = "GET", **more: Any) -> int:
        headers = {"host": "testserver", **({} if key is None else sign(key, method, path))}
        status: int = client.request(method, path, headers=headers, **more).status_code
        return status

    return ask


def test_row_decides_before_guards_and_dependencies(guard: Guard, sign: Sign) -> None:
    """And before the body is read."""

    async def looked(connection: Any, handler: Any) -> None:
        ran.append("guard")

    async def title(request: Request[Any, Any, Any]) -> str:
        ran.append((await request.body()).decode())
        return "title"

    @post("/documents/{document_id:str}", dependencies={"title": Provide(title)}, guards=[looked], status_code=200)
    async def write(document_id: FromPath[str], title: NamedDependency[str], data: JSONBody[dict[str, int]]) -> None:
        ran.append("handler")

    routes = reading("/documents/{document_id}", method="POST", action="docs:PutDocument")
    with TestClient(mapped(guard, routes, write)) as client:
        ask = asker(client, sign)
        assert ask("/documents/7", None, "POST", content=b"no JSON") == 401
        for key, status in ((RITA, 403), (ADA, 200)):
            assert ran == []
            headers = {"host": "testserver", **sign(key, "POST", "/documents/7", body=b'{"a": 1}')}
            assert client.post("/documents/7", headers=headers, content=b'{"a": 1}').status_code == status
        assert ran == ["guard", '{"a": 1}', "handler"]


def test_each_path_of_a_handler_has_its_row(guard: Guard, sign: Sign) -> None:
    @get(["/open", "/closed", "/numbers/{number:int}"])
    async def several(number: FromPath[int] = 0) -> str:
        return f"{number}"

    routes = reading("/closed", "/numbers/{number}", action="docs:PutDocument", resource="*")
    routes.public("GET", "/open")
    with TestClient(mapped(guard, routes, several)) as client:
        ask = asker(client, sign)
        assert (ask("/open"), ask("/closed"), ask("/closed", RITA), ask("/closed", ADA)) == (200, 401, 403, 200)
        assert (ask("/numbers/7", RITA), ask("/numbers/7", ADA), ask("/closed/", RITA)) == (403, 200, 403)


def test_resource_has_the_value_of_the_handler(guard: Guard, sign: Sign) -> None:
    """A number has no leading zero, in the decision and in the handler."""
    seen = []

    @get("/numbers/{document_id:int}")
    async def number(document_id: FromPath[int]) -> str:
        return f"{document_id}"

    decide = guard.decide_from_cache
    guard.decide_from_cache = lambda *a, **k: seen.append(a[2]) or decide(*a, **k)  # type: ignore[method-assign, func-returns-value]
    with TestClient(mapped(guard, reading("/numbers/{document_id}"), number)) as client:
        assert asker(client, sign)("/numbers/007", RITA) == 200
    assert seen == ["arn:aws:docs:us-east-1:111122223333:document/7"]


def test_cached_response_is_sent_to_allowed_callers(guard: Guard, sign: Sign) -> None:
    @get("/documents/{document_id:str}", cache=True)
    async def cached(document_id: FromPath[str]) -> str:
        ran.append(document_id)
        return document_id

    routes = reading("/documents/{document_id}", action="docs:PutDocument")
    with TestClient(mapped(guard, routes, cached)) as client:
        ask = asker(client, sign)
        assert [ask("/documents/7", each) for each in (ADA, RITA, None, ADA)] == [200, 403, 401, 200]
    assert ran == ["7"]


class Limit(ASGIMiddleware):
    """Refuses everything, between the guard and the handler."""

    async def handle(self, scope: Any, receive: Any, send: Any, next_app: Any) -> None:
        await PlainTextResponse("too many", status_code=429)(scope, receive, send)


def test_error_before_the_row_is_sent(guard: Guard, sign: Sign) -> None:
    """For a guarded handler; without a row such a response is blocked."""

    @route("/half", http_method=["GET", "PUT"])
    async def half() -> str:
        return "half"

    routes = reading("/documents/{document_id}")
    routes.requires("GET", "/half", "docs:GetDocument")
    app = Litestar(
        [document, half],
        plugins=[GuardPlugin(guard, routes=routes, check_routes=False)],
        middleware=[Limit()],
        openapi_config=None,
        logging_config=None,
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        ask = asker(client, sign)
        assert (ask("/documents/7", RITA), ask("/half", ADA, "PUT")) == (429, 500)


def test_method_without_row_fails_start_up_and_answers_500(guard: Guard, sign: Sign) -> None:
    @route("/half", http_method=["GET", "PUT"])
    async def half() -> str:
        return "half"

    routes = reading("/half", resource="*")
    with (
        pytest.RaisesGroup(pytest.RaisesExc(ConfigurationError, match="PUT /half"), flatten_subgroups=True),
        TestClient(mapped(guard, routes, half)),
    ):
        pass
    app = Litestar(
        [half],
        plugins=[GuardPlugin(guard, routes=routes, check_routes=False)],
        openapi_config=None,
        logging_config=None,
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        ask = asker(client, sign)
        assert (ask("/half", RITA), ask("/half", ADA, "PUT")) == (200, 500)


def test_row_without_route_is_rejected(guard: Guard, sign: Sign) -> None:
    """At start-up, also without the check for unguarded endpoints; and with each request."""
    routes = reading("/documents/{document_id}", "/gone/{document_id}")
    app = Litestar(
        [document],
        plugins=[GuardPlugin(guard, routes=routes, check_routes=False)],
        openapi_config=None,
        logging_config=None,
    )
    expected = pytest.RaisesExc(ConfigurationError, match=r"no such route: GET /gone/\{document_id\}")
    with pytest.RaisesGroup(expected, flatten_subgroups=True), TestClient(app):
        pass
    assert asker(StarletteClient(app), sign)("/documents/7", ADA) == 500
    assert ran == []


def test_row_for_two_handlers_is_rejected(guard: Guard, sign: Sign) -> None:
    """A row for all paths of one handler is accepted, including Litestar's own OPTIONS handlers."""

    @route(["/d/{document_id:int}", "/d/{document_id:str}"], http_method=["GET", "PUT"])
    async def both() -> str:
        return "seen"

    routes = reading("/d/{document_id}", action="docs:PutDocument", method="ANY")
    with TestClient(mapped(guard, routes, both)) as client:
        ask = asker(client, sign)
        assert [ask("/d/7", each) for each in (RITA, ADA)] == [403, 200]

    def made(path: str) -> Any:
        @get(path, name=path)
        async def one(document_id: FromPath[str]) -> str:
            return document_id

        return one

    doubtful = mapped(guard, routes, made("/d/{document_id:int}"), made("/d/{document_id:str}"))
    with pytest.RaisesGroup(pytest.RaisesExc(ConfigurationError, match="is for several"), flatten_subgroups=True):
        TestClient(doubtful).__enter__()


# --- what is mounted -------------------------------------------------------------------------------------------------


async def answer(request: StarletteRequest) -> PlainTextResponse:
    return PlainTextResponse("seen")


async def whole(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("whole")(scope, receive, send)


whole.__annotations__.update(scope="Scope", receive="Receive", send="Send")


def mount(path: str | list[str], app: Any) -> Any:
    return asgi(path, is_mount=True, copy_scope=False)(app)


def test_application_mounted_twice_is_decided_by_mount(guard: Guard, sign: Sign) -> None:
    """One application in two mounts, of another framework (whose paths end with `/` there) or of Litestar."""
    inner = Litestar([document], openapi_config=None, logging_config=None)
    shared = Starlette(routes=[Route("/x/", answer), Mount("/deep", routes=[Route("/y/", answer)])])
    routes = reading("/closed/x/", "/closed/deep/y/", action="docs:PutDocument", resource="*")
    routes.requires("GET", "/inner/documents/{document_id}", "docs:PutDocument", resource=DOCUMENT)
    for path in ("/open/x/", "/open/deep/y/", "/other/documents/{document_id}"):
        routes.public("GET", path)
    mounts = [mount("/open", shared), mount("/closed", shared), mount("/inner", inner), mount("/other", inner)]
    with TestClient(mapped(guard, routes, *mounts)) as client:
        ask = asker(client, sign)
        for path in ("/x", "/deep/y"):
            assert ask(f"/open{path}") == 200
            assert [ask(f"/closed{path}", each) for each in (None, RITA, ADA)] == [401, 403, 200]
        assert ask("/other/documents/7") == 200
        assert [ask("/inner/documents/7", each) for each in (None, RITA, ADA)] == [401, 403, 200]


def test_row_of_a_whole_mount_applies(guard: Guard, sign: Sign, tmp_path: Path) -> None:
    (tmp_path / "page.txt").write_text("page")
    routes = reading("/files/{file_path}", action="docs:PutDocument", resource="file{file_path}")
    routes.requires("ANY", "/whole", "docs:PutDocument")
    routes.requires("HEAD", "/files/{file_path}", "docs:PutDocument")
    files = create_static_files_router("/files", [tmp_path])
    with TestClient(mapped(guard, routes, mount("/whole", whole), files)) as client:
        ask = asker(client, sign)
        for path in ("/whole/x", "/whole", "/files/page.txt"):
            assert [ask(path, each) for each in (None, RITA, ADA)] == [401, 403, 200]


@pytest.mark.parametrize("is_open_first", [True, False])
def test_each_path_of_a_mount_has_its_rows(guard: Guard, sign: Sign, is_open_first: bool) -> None:
    """Litestar does not report the path of a mount; for applications with and without routes."""
    shared = Starlette(routes=[Route("/x/", answer)])
    inside = Router("/all", route_handlers=[mount(["/open", "/closed"], whole)])
    routes = reading("/closed/x/", "/all/closed", action="docs:PutDocument", resource="*", method="ANY")
    for path in ("/open/x/", "/all/open"):
        routes.public("ANY", path)
    app = mapped(guard, routes, mount(["/open", "/closed"], shared), inside)
    ask = asker(StarletteClient(app, raise_server_exceptions=False), sign)  # no start: before the first request is none
    opened = {path: [200] for path in ("/open/x", "/all/open", "/all/open/x")}
    closed = {path: [401, 403, 200] for path in ("/closed/x", "/all/closed", "/all/closed/x")}
    for expected in (opened, closed) if is_open_first else (closed, opened):
        for path, statuses in expected.items():
            assert [ask(path, each) for each in (None, RITA, ADA)[: len(statuses)]] == statuses


def test_mounted_litestar_is_guarded_by_the_outer_map(guard: Guard, sign: Sign) -> None:
    routes = reading("/inner/documents/{document_id}")
    inner = Litestar([document], openapi_config=None, logging_config=None)
    own = [Mount("/inner", inner)]
    app = Starlette(
        routes=own, middleware=[Middleware(GuardMiddleware, guard=guard, routes=routes, check_routes=False)]
    )
    ask = asker(StarletteClient(app, raise_server_exceptions=False), sign)
    assert [ask("/inner/documents/7", each) for each in (None, RITA)] == [401, 200]
    assert ran == ["7"]


# --- reports ---------------------------------------------------------------------------------------------------------


def test_document_and_inventory_include_the_map_once(guard: Guard, sign: Sign) -> None:
    app = Litestar([document], openapi_config=OpenAPIConfig("Documents", "1"), logging_config=None)
    known = {each.path for each in inventory(app)}
    routes = reading("/documents/{document_id}")
    for path in sorted(each for each in known if each.startswith("/schema")):
        routes.public("GET", path)
    app = mapped(guard, routes, document, openapi_config=OpenAPIConfig("Documents", "1"), logging_config=None)
    with TestClient(app) as client:
        operation = client.get("/schema/openapi.json").json()["paths"]["/documents/{document_id}"]["get"]
        assert (operation["x-iam-action"], operation["x-iam-resource"]) == ("docs:GetDocument", DOCUMENT)
        assert asker(client, sign)("/documents/7", RITA) == 200
    (row,) = [
        endpoint
        for endpoint in routes.joined(inventory(app))
        if endpoint.path.startswith("/documents") and endpoint.methods == ("GET",)
    ]
    assert row.guards == ("docs:GetDocument on document/{document_id}, by the map",)


PROGRAM = """
from litestar import Litestar, get
from litestar.params import FromPath
from iam_guard import RouteMap, open_guard
from iam_guard_litestar import GuardPlugin

routes = RouteMap()
routes.requires("GET", "/documents/{document_id}", "docs:GetDocument", resource="document/{document_id}")

@get("/documents/{document_id:int}")
async def document(document_id: FromPath[int]) -> str: return "seen"

guard = open_guard("iam.yaml", services=routes.services)
app = Litestar([document], plugins=[GuardPlugin(guard, routes=routes)], openapi_config=None, logging_config=None)
"""


@pytest.mark.slow
def test_routes_command_includes_the_map(tmp_path: Path) -> None:
    listed = routes_of(tmp_path, PROGRAM)
    assert listed.returncode == 0, listed.stderr
    assert "/documents/{document_id:int}  docs:GetDocument on document/{document_id}, by the map" in listed.stdout
    assert listed.stdout.endswith(", 0 unguarded\n")
