"""Route maps for handlers that can't be decorated: the matched route is authorized (issue G)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import pytest
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocket

from iam_guard import Guard, GuardMiddleware, Resource, RouteMap, Service, inventory, open_guard, read_route_map
from iam_guard.audit.consumer.reader import read_records
from iam_guard.cli import main
from iam_guard.errors import ConfigurationError
from tests.conftest import ADA, RITA, SEED, Sign
from tests.tables import table

GET = "docs:GetDocument on document/{document_id}, by the map"


async def answer(request: Request) -> Response:
    return PlainTextResponse(str(dict(request.path_params)))


class Both(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return PlainTextResponse("got")

    async def put(self, request: Request) -> Response:
        return PlainTextResponse("put")


async def talk(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.close()


async def whole(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("whole")(scope, receive, send)


def application(guard: Guard, routes: RouteMap, **more: Any) -> Starlette:
    own = [
        Route("/documents/{document_id:int}", answer, methods=["GET", "PUT", "DELETE"]),
        Route("/both/{document_id}", Both),
        Route("/health", answer),
        Mount("/archive", routes=[Route("/{year}/{document_id}", answer)]),
        WebSocketRoute("/talk/{document_id}", talk),
        Mount("/whole", whole),
    ]
    return Starlette(routes=own, middleware=[Middleware(GuardMiddleware, guard=guard, routes=routes, **more)])


def full_map() -> RouteMap:
    routes = RouteMap()
    for method, path, action in (
        ("GET", "/documents/{document_id}", "docs:GetDocument"),
        ("PUT", "/documents/{document_id}", "docs:PutDocument"),
        ("DELETE", "/documents/{document_id:int}", "docs:DeleteDocument"),
        ("GET", "/both/{document_id}", "docs:GetDocument"),
        ("PUT", "/both/{document_id}", "docs:PutDocument"),
        ("WEBSOCKET", "/talk/{document_id}", "docs:PutDocument"),
    ):
        routes.requires(method, path, action, resource="document/{document_id}", conceal=method == "DELETE")
    routes.requires("GET", "/archive/{year}/{document_id}", "docs:GetDocument", resource=archived)
    routes.requires("ANY", "/whole", "docs:PutWhole")
    routes.public("GET", "/health")
    return routes


def archived(year: str, document_id: str) -> Resource | None:
    if year == "1999":
        return None
    return Resource(f"arn:aws:docs:us-east-1:111122223333:archive/{year}/{document_id}", "111122223333")


Ask = Callable[..., Any]


@pytest.fixture
def ask(guard: Guard, sign: Sign) -> Iterator[Ask]:
    with TestClient(application(guard, full_map())) as client:
        yield lambda method, path, key=None: client.request(
            method, path, headers={} if key is None else sign(key, method, path)
        )


@pytest.mark.parametrize(
    ("method", "path", "rita", "ada"),
    [
        ("GET", "/documents/7", 200, 200),
        ("HEAD", "/documents/7", 200, 200),
        ("PUT", "/documents/7", 403, 200),
        ("DELETE", "/documents/7", 404, 200),
        ("GET", "/both/7", 200, 200),
        ("PUT", "/both/7", 403, 200),
        ("GET", "/archive/2026/7", 200, 200),
        ("GET", "/archive/1999/7", 404, 404),
        ("GET", "/whole/x", 403, 200),
        ("POST", "/documents/7", 405, 405),
        ("GET", "/documents/seven", 404, 404),
        ("GET", "/health", 200, 200),
    ],
)
def test_row_of_the_matched_route_decides(ask: Ask, method: str, path: str, rita: int, ada: int) -> None:
    assert (ask(method, path, RITA).status_code, ask(method, path, ADA).status_code) == (rita, ada)


def test_anonymous_caller_is_accepted_only_by_public_rows(ask: Ask) -> None:
    assert ask("GET", "/health").status_code == 200
    assert ask("GET", "/documents/7").status_code == 401
    assert ask("GET", "/health", ("AKIATESTNOBODY000001", "x" * 40)).status_code == 401


def test_resource_has_the_value_of_the_handler(ask: Ask, audit_file: Path) -> None:
    """Converted by the route: a number has no leading zero."""
    assert ask("GET", "/documents/007", RITA).text == "{'document_id': 7}"
    (record,) = read_records(audit_file)
    assert record["resources"][0]["ARN"] == "arn:aws:docs:us-east-1:111122223333:document/7"


def test_websocket_is_decided_before_it_is_accepted(guard: Guard, sign: Sign) -> None:
    with TestClient(application(guard, full_map())) as client:
        with client.websocket_connect("/talk/7", headers=sign(ADA, "GET", "/talk/7")) as socket:
            assert socket.receive_text() == "hello"
        with (
            pytest.raises(WebSocketDenialResponse) as refused,
            client.websocket_connect("/talk/7", headers=sign(RITA, "GET", "/talk/7")),
        ):
            pass
    assert refused.value.status_code == 403


def test_map_is_installed_without_lifespan(guard: Guard, sign: Sign) -> None:
    client = TestClient(application(guard, full_map()))
    assert client.put("/documents/7", headers=sign(RITA, "PUT", "/documents/7")).status_code == 403


def test_method_without_row_fails_start_up_and_answers_500(guard: Guard, sign: Sign) -> None:
    routes = RouteMap()
    routes.requires("GET", "/documents/{document_id}", "docs:GetDocument", resource="document/{document_id}")
    with pytest.raises(ConfigurationError, match=r"DELETE,PUT /documents/\{document_id:int\}"):
        TestClient(application(guard, routes)).__enter__()
    with TestClient(application(guard, routes, check_routes=False), raise_server_exceptions=False) as client:
        assert client.get("/documents/7", headers=sign(RITA, "GET", "/documents/7")).status_code == 200
        assert client.put("/documents/7", headers=sign(ADA, "PUT", "/documents/7")).status_code == 500


def test_row_without_route_is_rejected(guard: Guard, sign: Sign) -> None:
    """At start-up; without a lifespan, with each request: an outdated map does not protect."""
    routes = full_map()
    routes.requires("GET", "/reports/{report_id}", "docs:GetReport", resource="report/{report_id}")
    with pytest.raises(ConfigurationError, match=r"no such route: GET /reports/\{report_id\}"):
        TestClient(application(guard, routes)).__enter__()
    client = TestClient(application(guard, routes), raise_server_exceptions=False)
    assert client.get("/documents/7", headers=sign(ADA, "GET", "/documents/7")).status_code == 500


def test_route_added_later_is_not_public(guard: Guard, sign: Sign) -> None:
    app = application(guard, full_map())
    with TestClient(app, raise_server_exceptions=False) as client:
        client.get("/documents/7", headers=sign(ADA, "GET", "/documents/7"))
        app.router.routes.append(Route("/late/{document_id}", answer))
        assert client.get("/late/7", headers=sign(ADA, "GET", "/late/7")).status_code == 500


def test_decorator_and_row_both_decide(guard: Guard, sign: Sign) -> None:
    docs = Service("docs")

    @docs.requires("PutDocument", resource="document/{document_id}")
    async def guarded(request: Request) -> Response:
        return PlainTextResponse("ok")

    routes = RouteMap(services=[docs])
    routes.requires("GET", "/d/{document_id}", "docs:GetDocument", resource="document/{document_id}")
    app = Starlette(
        routes=[Route("/d/{document_id}", guarded)],
        middleware=[Middleware(GuardMiddleware, guard=guard, routes=routes)],
    )
    with TestClient(app) as client:
        assert client.get("/d/7", headers=sign(RITA, "GET", "/d/7")).status_code == 403
        assert client.get("/d/7", headers=sign(ADA, "GET", "/d/7")).status_code == 200
    assert [each.name for each in docs.catalogue] == ["GetDocument", "PutDocument"]
    assert routes.services == [docs]


def test_row_accepts_condition_keys_as_a_mapping(guard: Guard, sign: Sign) -> None:
    """As in a decorator: a mapping, not only a loader."""
    seen: list[Any] = []
    decide = guard.decide_from_cache

    def recording_decide(*args: Any, **more: Any) -> Any:
        seen.append(args[3])
        return decide(*args, **more)

    guard.decide_from_cache = recording_decide  # type: ignore[method-assign]
    routes = RouteMap()
    routes.requires("GET", "/one", "docs:GetDocument", context={"docs:kind": "report"})
    before = [Middleware(GuardMiddleware, guard=guard, routes=routes)]
    app = Starlette(routes=[Route("/one", answer)], middleware=before)
    with TestClient(app) as client:
        assert client.get("/one", headers=sign(RITA, "GET", "/one")).status_code == 200
    assert seen == [{"docs:kind": "report"}]
    assert [each.methods for each in routes.joined(inventory(app))] == [("GET", "HEAD")]


def test_endpoint_of_two_routes_has_two_rows(guard: Guard, sign: Sign) -> None:
    routes = RouteMap()
    routes.public("GET", "/open")
    routes.requires("GET", "/closed", "docs:PutDocument")
    app = Starlette(
        routes=[Route("/open", answer), Route("/closed", answer)],
        middleware=[Middleware(GuardMiddleware, guard=guard, routes=routes)],
    )
    with TestClient(app) as client:
        assert client.get("/open").status_code == 200
        assert client.get("/closed").status_code == 401
        assert client.get("/closed", headers=sign(RITA, "GET", "/closed")).status_code == 403


@table(
    ("arguments", "message"),
    [
        (("GET", "/d", "GetDocument"), "expected an action"),
        (("get", "/d", "docs:GetDocument"), "capital letters"),
        (("GET", "d", "docs:GetDocument"), "begins with `/`"),
        (("GET", "/d", "docs:Get*"), "without wildcards"),
    ],
)
def test_invalid_row_is_rejected(arguments: tuple[str, str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        RouteMap().requires(*arguments)


def test_row_for_two_routes_is_rejected() -> None:
    """Their paths differ only in a convertor, which a template does not contain."""

    async def numbered(request: Request) -> Response:
        return await answer(request)

    async def namesake(request: Request) -> Response:
        return await answer(request)

    @wraps(answer)
    async def wrapped(request: Request) -> Response:
        return await answer(request)

    namesake.__qualname__ = answer.__qualname__
    routes = RouteMap()
    routes.public("GET", "/d/{number}")
    for path, second, is_doubtful in (
        ("/d/{number}", numbered, True),
        ("/d/{number:path}", numbered, True),
        ("/d/{number}", namesake, True),
        ("/d/{number}", answer, False),  # one handler for both
        ("/d/{number}", wrapped, True),
        ("/d/{number:int}", numbered, False),  # the first takes it
        ("/d/{other}", numbered, False),
    ):
        app = Starlette(routes=[Route("/d/{number:int}", answer), Route(path, second)])
        if is_doubtful:
            with pytest.raises(ConfigurationError, match=r"`GET /d/\{number\}` is for several routes \(/d/\{number"):
                routes.joined(inventory(app))
        else:
            assert routes.joined(inventory(app))[0].is_guarded


def test_duplicate_row_is_rejected() -> None:
    routes = RouteMap()
    routes.public("GET", "/d/{number:int}")
    with pytest.raises(ConfigurationError, match="twice"):
        routes.requires("GET", "/d/{number}", "docs:GetDocument")


# --- FastAPI ---------------------------------------------------------------------------------------------------------


def test_fastapi_router_is_guarded_at_each_inclusion(guard: Guard, sign: Sign) -> None:
    """The same router under two prefixes: two routes, two rows."""
    fastapi = pytest.importorskip("fastapi")
    if (0, 137) <= tuple(int(each) for each in fastapi.__version__.split(".")[:2]) < (0, 143):
        pytest.skip("this FastAPI hands nothing on where a router is included")
    inner, outer = fastapi.APIRouter(), fastapi.APIRouter(prefix="/outer")

    @inner.get("/documents/{document_id}")
    async def get(document_id: int) -> str:
        return f"document {document_id}"

    @inner.websocket("/talk/{document_id}")
    async def socket(websocket: WebSocket, document_id: str) -> None:
        await talk(websocket)

    outer.include_router(inner, prefix="/deep")
    app = fastapi.FastAPI(openapi_url=None)
    app.include_router(outer)
    app.include_router(inner, prefix="/open")
    app.get("/plain")(whole_text)
    routes = RouteMap()
    routes.requires("GET", "/outer/deep/documents/{document_id}", "docs:PutDocument", resource="document/{document_id}")
    routes.requires("WEBSOCKET", "/outer/deep/talk/{document_id}", "docs:PutDocument")
    routes.public("GET", "/open/documents/{document_id}")
    routes.public("WEBSOCKET", "/open/talk/{document_id}")
    routes.requires("GET", "/plain", "docs:PutDocument")
    app.add_middleware(GuardMiddleware, guard=guard, routes=routes)
    with TestClient(app) as client:
        deep = "/outer/deep/documents/7"
        assert client.get(deep, headers=sign(RITA, "GET", deep)).status_code == 403
        assert client.get(deep, headers=sign(ADA, "GET", deep)).json() == "document 7"
        assert client.get("/open/documents/7").json() == "document 7"
        assert client.get("/plain", headers=sign(RITA, "GET", "/plain")).status_code == 403
        with client.websocket_connect("/open/talk/7") as opened:
            assert opened.receive_text() == "hello"
        with pytest.raises(WebSocketDenialResponse), client.websocket_connect("/outer/deep/talk/7"):
            pass


async def whole_text() -> str:
    return "whole"


def test_decision_uses_the_value_parsed_by_fastapi(tmp_path: Path, sign: Sign) -> None:
    """`/documents/007` is document 7 for a handler with an integer parameter."""
    fastapi = pytest.importorskip("fastapi")
    guard = open_guard(with_seven_denied(tmp_path), services=[Service("docs")])
    app = fastapi.FastAPI(openapi_url=None)

    @app.get("/documents/{document_id}")
    async def get(document_id: int) -> str:
        return f"document {document_id}"

    def as_text(document_id: str) -> None:
        pass

    @app.get("/both/{document_id}", dependencies=[fastapi.Depends(as_text)])
    async def get_both(document_id: int) -> str:
        return f"document {document_id}"

    routes = RouteMap()
    for path in ("/documents/{document_id}", "/both/{document_id}"):
        routes.requires("GET", path, "docs:GetDocument", resource="document/{document_id}")
    app.add_middleware(GuardMiddleware, guard=guard, routes=routes)
    with TestClient(app) as client:
        statuses = {
            path: client.get(path, headers=sign(RITA, "GET", path)).status_code
            for path in (
                "/documents/8",
                "/documents/008",
                "/documents/7",
                "/documents/007",
                "/documents/x",
                "/both/8",
                "/both/008",
                "/both/7",
            )
        }
    guard.close()
    assert statuses == {
        "/documents/8": 200,
        "/documents/008": 200,
        "/documents/7": 403,
        "/documents/007": 403,
        "/documents/x": 422,
        "/both/8": 200,
        "/both/008": 400,
        "/both/7": 403,
    }


def test_decision_uses_the_values_of_a_model(tmp_path: Path, sign: Sign) -> None:
    """FastAPI fills a model with all path parameters."""
    fastapi, pydantic = pytest.importorskip("fastapi"), pytest.importorskip("pydantic")
    model = pydantic.create_model("Parameters", document_id=(int, ...))
    app = fastapi.FastAPI(openapi_url=None)

    async def get(parameters: Any) -> str:
        return f"document {parameters.document_id}"

    get.__annotations__["parameters"] = Annotated[model, fastapi.Path()]
    app.get("/documents/{document_id}")(get)
    routes = RouteMap()
    routes.requires("GET", "/documents/{document_id}", "docs:GetDocument", resource="document/{document_id}")
    guard = open_guard(with_seven_denied(tmp_path), services=[Service("docs")])
    app.add_middleware(GuardMiddleware, guard=guard, routes=routes)
    with TestClient(app) as client:
        statuses = {path: client.get(path, headers=sign(RITA, "GET", path)).status_code for path in AS_NUMBERS}
    guard.close()
    assert statuses == AS_NUMBERS


AS_NUMBERS = {"/documents/8": 200, "/documents/008": 200, "/documents/7": 403, "/documents/007": 403}


def with_seven_denied(tmp_path: Path) -> Path:
    """A seed in which Rita may have every document but 7."""
    statements = """[{Effect: Allow, Action: "docs:*", Resource: "*"},
                     {Effect: Deny, Action: "docs:*", Resource: "arn:aws:docs:*:*:document/7"}]"""
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED.replace('[{Sid: Read, Effect: Allow, Action: "docs:Get*", Resource: "*"}]', statements))
    return seed


# --- files -----------------------------------------------------------------------------------------------------------

YAML = """
version: 1
routes:
  - {path: "/documents/{document_id}", methods: [GET], action: "docs:GetDocument", resource: "document/{document_id}"}
  - {path: "/documents/{document_id}", methods: [PUT, DELETE], action: "docs:PutDocument", conceal: true}
  - {path: "/objects/{key}", methods: [GET], action: "docs:GetObject", resource: "object/{key}", raw: [key]}
  - {path: /health, public: true}
"""
OPENAPI = {
    "openapi": "3.1.0",
    "info": {"title": "documents", "version": "1"},
    "paths": {
        "/documents/{document_id}": {
            "parameters": [{"name": "document_id", "in": "path", "required": True}],
            "get": {"x-iam-action": "docs:GetDocument", "x-iam-resource": "document/{document_id}"},
            "put": {"x-iam-action": "docs:PutDocument", "x-iam-conceal": True},
            "delete": {"x-iam-action": "docs:PutDocument", "x-iam-conceal": True},
        },
        "/objects/{key}": {
            "get": {"x-iam-action": "docs:GetObject", "x-iam-resource": "object/{key}", "x-iam-raw": ["key"]}
        },
        "/health": {"get": {"x-iam-public": True, "responses": {}}},
    },
}


@pytest.mark.parametrize("text", [YAML, json.dumps(OPENAPI)], ids=["YAML", "OpenAPI"])
def test_map_files_equal_maps_in_code(tmp_path: Path, text: str) -> None:
    path = tmp_path / "routes.yaml"
    path.write_text(text)
    routes = read_route_map(path)
    template = "/documents/{document_id}"
    assert str(routes.mark("GET", template)) == "docs:GetDocument on document/{document_id}"
    assert routes.mark("PUT", template) == routes.mark("DELETE", template) != routes.mark("GET", template)
    assert routes.mark("PUT", template).conceal  # type: ignore[union-attr]
    assert routes.mark("GET", "/objects/{key}").raw == {"key"}  # type: ignore[union-attr]
    assert (routes.mark("GET", "/health"), routes.mark("POST", template)) == ("public", None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("routes: []", "map.yaml:1: expected the key `version`"),
        ("version: 1\nroutes:\n  - {path: /d, acton: 'docs:Get'}", "map.yaml:3: unknown key `acton`, did you mean"),
        ("version: 1\nroutes:\n  - {path: /d}", "map.yaml:3: expected either `action`"),
        ("version: 1\nroutes:\n  - {path: /d, public: true, action: 'docs:Get'}", "expected either `action`"),
        ("version: 1\nroutes:\n  - {path: /d, action: GetDocument}", "map.yaml:3: expected an action such as"),
        ("version: 1\nroutes:\n  - {path: /d, public: true, raw: [d]}", "expected either `action`"),
        ("version: 1\nroutes:\n  - {path: /d, action: 'docs:Get', raw: [d]}", "map.yaml:3: expected parameters of"),
        ("version: 1\nroutes:\n  - {path: '/{d}', action: 'docs:Get', resource: 'd/{d}', raw: d}", "expected a list"),
        ("version: 1\nroutes:\n  - {path: /d, public: maybe}", "expected `true` or `false`"),
        ("version: 1\nroutes: [{path: /d, public: true}, {path: /d, public: true}]", "is in the map twice"),
        ("openapi: 3.1.0\npaths:\n  /d:\n    get: {operationId: d}", "map.yaml:4: expected `x-iam-action`"),
        ("openapi: 3.1.0\npaths:\n  /d:\n    get: {x-iam-acton: d}", "map.yaml:4: unknown key `x-iam-acton`"),
        ("openapi: 3.1.0\npaths: []", "expected `paths`"),
        ("version: [", "not readable as YAML"),
        ("", "expected a YAML document, got an empty file"),
    ],
)
def test_invalid_file_is_rejected_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("map.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        read_route_map("map.yaml")
    assert message in str(refused.value)


def test_missing_file_is_reported() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_route_map("nowhere.yaml")


# --- the command line ------------------------------------------------------------------------------------------------

MODULE = """
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from iam_guard import GuardMiddleware, read_route_map

async def answer(request):
    return PlainTextResponse("ok")

documents = Route("/documents/{document_id}", answer, methods=["GET", "PUT", "DELETE"])
bare = Starlette(routes=[documents, Route("/objects/{key}", answer), Route("/health", answer)])
guarded = Middleware(GuardMiddleware, guard=None, routes=read_route_map("map.yaml"))
mapped = Starlette(routes=bare.routes, middleware=[guarded])
"""


def test_routes_command_includes_the_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mapped_routes_app.py").write_text(MODULE)
    Path("map.yaml").write_text(YAML)
    run = lambda *arguments: CliRunner().invoke(main, ["routes", *arguments])  # noqa: E731
    assert run("mapped_routes_app:bare").exit_code == 1
    for found in (run("mapped_routes_app:mapped"), run("mapped_routes_app:bare", "--map", "map.yaml")):
        assert found.exit_code == 0, found.output
        assert GET in found.output
        assert "public, by the map" in found.output
        assert found.output.endswith("4 endpoints, 0 unguarded\n")
    Path("map.yaml").write_text(YAML + "  - {path: /gone, public: true}\n")
    stale = run("mapped_routes_app:bare", "--map", "map.yaml")
    assert stale.exit_code == 2
    assert "no such route: ANY /gone" in stale.output


def test_application_mounted_twice_is_decided_by_mount(guard: Guard, sign: Sign) -> None:
    """One set of routes in two mounts: making one of them public does not affect the other."""
    shared = [Route("/x", answer), Mount("/deep", routes=[Route("/y", answer)])]
    routes = RouteMap()
    for path in ("/open/x", "/open/deep/y"):
        routes.public("GET", path)
    for path in ("/closed/{document_id}/x", "/closed/{document_id}/deep/y"):
        routes.requires("GET", path, "docs:PutDocument", resource="document/{document_id}")
    own = [Mount("/open", routes=shared), Mount("/closed/{document_id}", routes=shared)]
    app = Starlette(routes=own, middleware=[Middleware(GuardMiddleware, guard=guard, routes=routes)])
    with TestClient(app) as client:
        for path in ("/x", "/deep/y"):
            assert client.get(f"/open{path}").status_code == 200
            assert client.get(f"/closed/7{path}").status_code == 401
            assert client.get(f"/closed/7{path}", headers=sign(RITA, "GET", f"/closed/7{path}")).status_code == 403
            assert client.get(f"/closed/7{path}", headers=sign(ADA, "GET", f"/closed/7{path}")).status_code == 200


def test_map_inside_a_mount_sees_the_whole_path(guard: Guard) -> None:
    routes = RouteMap()
    routes.requires("GET", "/inner/x", "docs:GetDocument")
    routes.public("GET", "/inner/open")
    inside = [Route("/x", answer), Route("/open", answer)]
    mount = Mount("/inner", routes=inside, middleware=[Middleware(GuardMiddleware, guard=guard, routes=routes)])
    client = TestClient(Starlette(routes=[mount]))
    for _ in range(2):
        assert (client.get("/inner/open").status_code, client.get("/inner/x").status_code) == (200, 401)


def test_inventory_includes_routes_inside_a_mapped_guard(guard: Guard) -> None:
    routes = RouteMap()
    routes.public("GET", "/health")
    guarded = GuardMiddleware(Starlette(routes=[Route("/health", answer)]), guard=guard, routes=routes)
    assert [each.path for each in inventory(guarded)] == ["/health"]
    assert [each.path for each in inventory(Starlette(routes=[Mount("/inner", guarded)]))] == ["/inner/health"]


def test_method_is_case_insensitive(guard: Guard) -> None:
    """A mounted application may accept `pOST` for `POST`, as WSGI frameworks do."""
    ran, statuses = [], []

    async def old(scope: Any, receive: Any, send: Any) -> None:
        ran.append(scope["method"].upper())
        await whole(scope, receive, send)

    routes = RouteMap()
    routes.public("ANY", "/old")
    routes.requires("POST", "/old", "docs:PutDocument")
    app = GuardMiddleware(Starlette(routes=[Mount("/old", old)]), guard=guard, routes=routes)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        statuses.append(message.get("status"))

    for method in ("GET", "POST", "pOST"):
        scope = {"type": "http", "method": method, "path": "/old/x", "raw_path": b"/old/x", "headers": []}
        asyncio.run(app({**scope, "query_string": b"", "scheme": "http", "root_path": ""}, receive, send))
    assert (statuses[::2], ran) == ([200, 401, 401], ["GET"])
