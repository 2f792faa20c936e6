"""Features that only FastAPI has: dependencies, converted parameters, own pages, frontends, the OpenAPI document."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest

from tests.integrations.contract import needed

needed("fastapi", "iam_guard_fastapi", "openapi_spec_validator")

import fastapi  # noqa: E402
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, WebSocket  # noqa: E402
from fastapi import Path as PathParameter  # noqa: E402
from fastapi.responses import Response  # noqa: E402
from iam_guard_fastapi import Caller, describe, guard_docs, guarded, public_access, public_docs  # noqa: E402
from openapi_spec_validator import validate  # noqa: E402
from pydantic import AfterValidator, BaseModel, StringConstraints  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

from iam_guard import (  # noqa: E402
    Guard,
    GuardMiddleware,
    Principal,
    Resource,
    RouteMap,
    Service,
    current_decision,
    inventory,
    open_guard,
    public,
)
from iam_guard.audit.consumer.reader import read_records  # noqa: E402
from iam_guard.errors import ConfigurationError  # noqa: E402
from iam_guard.web.endpoints import endpoint_row, unguarded_message  # noqa: E402
from tests.conftest import ADA, RITA, Sign  # noqa: E402
from tests.integrations.test_fastapi import by_decorators, by_dependencies  # noqa: E402
from tests.tables import table  # noqa: E402

docs = Service("docs")
ARN = "arn:aws:docs:us-east-1:111122223333:"
may_read = guarded("docs:GetDocument", resource="document/{document_id}")
by_number = [Depends(guarded("docs:GetDocument", resource="document/{number}"))]


def client_of(guard: Guard, app: FastAPI, *, check_routes: bool = False) -> TestClient:
    app.add_middleware(GuardMiddleware, guard=guard, check_routes=check_routes)
    return TestClient(app, raise_server_exceptions=False)


def decided() -> str:
    decision = current_decision()
    assert decision is not None
    return decision.request.resource


# --- what is decided about ------------------------------------------------------------------------------------------


class Color(StrEnum):
    RED = "red"


def load_number(number: int) -> int:
    return number


def load_text(number: str) -> str:
    return number


def load_changed(number: Annotated[str, StringConstraints(to_lower=True)]) -> str:
    return number


def conversions(app: FastAPI | APIRouter) -> None:
    """Add routes whose handlers convert their path parameters."""

    @app.get("/int/{number}", dependencies=by_number)
    async def of_int(number: int) -> list[Any]:
        return [number, decided()]

    @app.get("/uuid/{number}", dependencies=by_number)
    async def of_uuid(number: uuid.UUID) -> list[Any]:
        return [number, decided()]

    @app.get("/enum/{number}", dependencies=by_number)
    async def of_enum(number: Color) -> list[Any]:
        return [number, decided()]

    @app.get("/alias/{number}", dependencies=by_number)
    async def of_alias(other: Annotated[int, PathParameter(alias="number")]) -> list[Any]:
        return [other, decided()]

    @app.get("/stripped/{number}", dependencies=by_number)
    async def of_stripped(number: Annotated[str, PathParameter(pattern="^[a-z]+$")]) -> list[Any]:
        return [number, decided()]

    @app.get("/lower/{number}", dependencies=by_number)
    async def of_lower(number: Annotated[str, StringConstraints(to_lower=True, strip_whitespace=True)]) -> list[Any]:
        return [number, decided()]

    @app.get("/changed/{number}", dependencies=by_number)
    async def of_changed(number: Annotated[str, AfterValidator(lambda text: text.lstrip("0"))]) -> list[Any]:
        return [number, decided()]

    @app.get("/changed-inside/{number}", dependencies=by_number)
    async def of_changed_inside(number: Annotated[str, Depends(load_changed)]) -> list[Any]:
        return [number, decided()]

    @app.get("/text/{number}", dependencies=by_number)
    async def of_text(number: str, same: Annotated[str, Depends(load_text)]) -> list[Any]:
        return [number, decided()]

    @app.get("/inside/{number}", dependencies=by_number)
    async def of_inside(number: Annotated[int, Depends(load_number)]) -> list[Any]:
        return [number, decided()]

    @app.get("/raw/{number}", dependencies=by_number)
    async def of_raw(request: Request) -> list[Any]:
        return [request.path_params["number"], decided()]

    @app.get("/starlette/{number:int}", dependencies=by_number)
    async def of_starlette(number: int) -> list[Any]:
        return [number, decided()]

    @app.get("/two/{number}", dependencies=by_number)
    async def of_two(number: str, same: Annotated[int, Depends(load_number)]) -> list[Any]:
        return [number, decided()]

    @app.get("/decorated/{number}")
    @docs.requires("GetDocument", resource="document/{number}")
    async def of_decorated(found: Annotated[int, Depends(load_number)], request: Request) -> list[Any]:
        return [found, decided()]


ID = "0A000000-0000-4000-8000-000000000001"


@pytest.mark.parametrize("prefix", ["", "/v1", "/v1/inner"])
@pytest.mark.parametrize(
    ("path", "used"),
    [
        ("/int/007", 7),
        ("/int/+7", 7),
        (f"/uuid/{ID}", ID.lower()),
        (f"/uuid/{ID.replace('-', '')}", ID.lower()),
        ("/enum/red", "red"),
        ("/alias/007", 7),
        ("/stripped/abc", "abc"),
        ("/lower/%20ABC", "abc"),
        ("/changed/007", "7"),
        ("/changed-inside/ABC", "abc"),
        ("/text/007", "007"),
        ("/inside/007", 7),
        ("/raw/007", "007"),
        ("/starlette/007", 7),
        ("/two/7", "7"),
        ("/decorated/007", 7),
    ],
)
def test_decision_uses_the_value_of_the_handler(guard: Guard, sign: Sign, prefix: str, path: str, used: object) -> None:
    """Design 5: `007` is document 7 if the handler has an `int`, at any depth of included routers."""
    app, outer, inner = FastAPI(), APIRouter(), APIRouter()
    conversions(app)
    conversions(inner)
    outer.include_router(inner, prefix="/inner")
    app.include_router(inner, prefix="/v1")
    app.include_router(outer, prefix="/v1")
    answer = client_of(guard, app).get(prefix + path, headers=sign(RITA, "GET", prefix + path))
    assert answer.json() == [used, f"{ARN}document/{used}"]


@pytest.mark.parametrize("path", ["/socket/007", "/v1/socket/007", "/v1/inner/socket/007"])
def test_decision_uses_the_value_of_the_websocket_handler(guard: Guard, sign: Sign, path: str) -> None:
    app, outer, inner = FastAPI(), APIRouter(), APIRouter()

    async def watch(websocket: WebSocket, number: int) -> None:
        await websocket.accept()
        await websocket.send_json([number, decided()])
        await websocket.close()

    app.websocket("/socket/{number}", dependencies=by_number)(watch)
    inner.websocket("/socket/{number}")(watch)
    outer.include_router(inner, prefix="/inner", dependencies=by_number)
    app.include_router(inner, prefix="/v1", dependencies=by_number)
    app.include_router(outer, prefix="/v1")
    with client_of(guard, app).websocket_connect(path, headers=sign(RITA, "GET", path)) as socket:
        assert socket.receive_json() == [7, f"{ARN}document/7"]


RAN: list[str] = []


def missing(document_id: str) -> None:
    RAN.append(document_id)
    raise HTTPException(404)


def test_value_equal_to_the_default_is_accepted(guard: Guard, sign: Sign) -> None:
    """A handler of two routes: the value that FastAPI passes may be the same object as the default."""
    app = FastAPI()

    @app.get("/")
    @app.get("/{document_id}")
    @docs.requires("GetDocument", resource="document/{document_id}")
    async def read_document(document_id: int = 8) -> str:
        return decided()

    client = client_of(guard, app)
    for path, number in (("/", 8), ("/8", 8), ("/08", 8), ("/9", 9)):
        answer = client.get(path, headers=sign(ADA, "GET", path))
        assert answer.json() == f"{ARN}document/{number}"


def test_route_dependency_decides_before_handler_dependencies(guard: Guard, sign: Sign) -> None:
    """A decorator decides after all dependencies; their responses are sent."""
    app = FastAPI()
    RAN.clear()

    @app.get("/first/{document_id}", dependencies=[Depends(may_read)])
    async def first(document_id: str, found: Annotated[None, Depends(missing)]) -> None: ...

    @app.get("/last/{document_id}")
    @docs.requires("GetDocument", resource="document/{document_id}")
    async def last(document_id: str, found: Annotated[None, Depends(missing)]) -> None: ...

    client = client_of(guard, app)
    assert client.get("/first/7").status_code == 401
    assert RAN == []
    assert client.get("/last/7").status_code == 404
    assert client.get("/first/7", headers=sign(RITA, "GET", "/first/7")).status_code == 404


def test_parameter_with_two_values_is_rejected(guard: Guard, sign: Sign) -> None:
    """It is unknown which one is used."""
    app = FastAPI()
    conversions(app)
    answer = client_of(guard, app).get("/two/007", headers=sign(ADA, "GET", "/two/007"))
    assert (answer.status_code, answer.json()["detail"]) == (400, "expected a value that is read in one way")


@pytest.mark.parametrize("path", ["/int/x", "/uuid/x", "/enum/blue", "/stripped/7"])
def test_invalid_parameter_is_rejected_by_fastapi(guard: Guard, sign: Sign, path: str) -> None:
    """422 for an allowed caller; 401 for an anonymous one, who learns nothing about parameters."""
    app = FastAPI()
    conversions(app)
    client = client_of(guard, app)
    assert client.get(path, headers=sign(RITA, "GET", path)).status_code == 422
    assert client.get(path).status_code == 401


class Body(BaseModel):
    text: str


@pytest.mark.parametrize("content", [b"{", b"[]", b"", b'{"text": 1}'])
@pytest.mark.parametrize("path", ["/decorator/7", "/dependency/7", "/included/7"])
def test_invalid_body_is_rejected_by_fastapi(guard: Guard, sign: Sign, path: str, content: bytes) -> None:
    """Before or after the decision: never 500, and the handler does not run."""
    app, router = FastAPI(), APIRouter()

    @app.post("/decorator/{document_id}")
    @docs.requires("PutDocument", resource="document/{document_id}")
    async def by_decorator(document_id: str, body: Body) -> str:
        return body.text

    @app.post("/dependency/{document_id}", dependencies=[Depends(may_read)])
    async def by_dependency(document_id: str, body: Body) -> str:
        return body.text

    @router.post("/{document_id}")
    async def included(document_id: str, body: Body) -> str:
        return body.text

    app.include_router(router, prefix="/included", dependencies=[Depends(may_read)])
    headers = sign(ADA, "POST", path, body=content, headers={"content-type": "application/json"})
    client = client_of(guard, app)
    assert client.post(path, content=content, headers=headers).status_code == 422
    assert client.post(path, content=content, headers={"content-type": "application/json"}).status_code in (401, 422)


def test_loaders_get_the_request_and_its_body(guard: Guard, sign: Sign) -> None:
    """The same loaders for the decorator and the dependency; the body is read once."""
    app = FastAPI()

    async def load(document_id: int, request: Request) -> Resource | None:
        tags = await request.json()
        return Resource(f"{ARN}document/{document_id}", "111122223333", tags=tags) if document_id else None

    async def keys(request: Request) -> dict[str, object]:
        return {"aws:TagKeys": list(await request.json())}

    tagging = guarded("docs:TagDocument", resource=load, context=keys)

    @app.post("/tags/{document_id}", dependencies=[Depends(tagging)])
    async def tag(document_id: int, tags: dict[str, str]) -> list[Any]:
        decision = current_decision()
        assert decision is not None
        return [tags, decision.request.value("aws:tagkeys"), decision.request.value("aws:resourcetag/team")]

    client = client_of(guard, app)
    headers = {"content-type": "application/json"}
    for path, status in (("/tags/7", 200), ("/tags/0", 404)):
        content = b'{"team": "red"}'
        answer = client.post(path, content=content, headers=sign(ADA, "POST", path, body=content, headers=headers))
        assert answer.status_code == status
        assert status != 200 or answer.json() == [{"team": "red"}, ["team"], "red"]


# --- dependencies ----------------------------------------------------------------------------------------------------


def test_dependency_decides_once_per_request(guard: Guard, sign: Sign, audit_file: Path) -> None:
    """On the application, on the router and as a parameter: one decision, one record."""
    app, router = FastAPI(dependencies=[Depends(may_read)]), APIRouter(dependencies=[Depends(may_read)])

    @router.get("/{document_id}")
    async def get_document(document_id: str, caller: Annotated[Principal, Depends(may_read)], same: Caller) -> bool:
        return caller is same

    app.include_router(router)
    assert client_of(guard, app).get("/7", headers=sign(RITA, "GET", "/7")).json() is True
    assert len(list(read_records(audit_file))) == 1


def test_several_dependencies_all_decide(guard: Guard, sign: Sign) -> None:
    """An allow does not override the denial of another."""
    app = FastAPI()
    may_write = guarded("PutDocument", service=docs, resource="document/{document_id}")

    @app.get("/{document_id}", dependencies=[Depends(may_read), Depends(may_write)])
    async def get_document(document_id: str) -> str:
        return document_id

    client = client_of(guard, app)
    assert client.get("/7", headers=sign(ADA, "GET", "/7")).status_code == 200
    assert client.get("/7", headers=sign(RITA, "GET", "/7")).status_code == 403


def test_override_replaces_the_decision(guard: Guard) -> None:
    """For tests of handlers without a guard; with the middleware, the undecided response is blocked."""

    def app() -> FastAPI:
        made = FastAPI()

        @made.get("/{document_id}")
        async def get_document(document_id: str, caller: Annotated[Principal, Depends(may_read)]) -> str:
            return caller.name

        made.dependency_overrides[may_read] = lambda: Principal.from_arn("arn:aws:iam::111122223333:user/zoe")
        return made

    assert TestClient(app()).get("/7").json() == "zoe"
    assert client_of(guard, app()).get("/7").status_code == 500


@pytest.mark.parametrize("path", ["/direct/7", "/included/7", "/refusing/7"])
def test_dependency_may_accept_unsigned_bodies(guard: Guard, sign: Sign, path: str) -> None:
    app, router = FastAPI(), APIRouter()
    uploads = guarded("docs:PutDocument", resource="document/{document_id}", unsigned_payload=True)
    signed_only = guarded("docs:PutDocument", resource="document/{document_id}")

    async def upload(document_id: str, request: Request) -> int:
        return len(await request.body())

    app.post("/direct/{document_id}", dependencies=[Depends(uploads)])(upload)
    app.post("/refusing/{document_id}", dependencies=[Depends(signed_only)])(upload)
    router.post("/{document_id}")(upload)
    app.include_router(router, prefix="/included", dependencies=[Depends(uploads)])
    headers = sign(ADA, "POST", path, headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    answer = client_of(guard, app).post(path, content=b"anything", headers=headers)
    assert answer.status_code == (401 if "refusing" in path else 200)


# --- start-up --------------------------------------------------------------------------------------------------------


def test_start_up_check_includes_dependencies(guard: Guard) -> None:
    """Those of a route, of a router, of an included router and of the application."""
    app, outer, inner, opened = FastAPI(openapi_url=None), APIRouter(), APIRouter(), APIRouter()

    async def handler(document_id: str) -> None: ...

    inner.get("/{document_id}")(handler)
    inner.websocket("/socket/{document_id}")(handler)
    opened.get("/open/{document_id}")(handler)
    outer.include_router(inner, prefix="/deep", dependencies=[Depends(may_read)])
    app.include_router(outer)
    app.include_router(opened, dependencies=[Depends(public_access)])
    app.get("/own/{document_id}", dependencies=[Depends(may_read)])(handler)
    with client_of(guard, app, check_routes=True):
        pass
    rows = {each.path: each.guards for each in inventory(app)}
    reads = ("docs:GetDocument on document/{document_id}",)
    assert rows == {
        "/deep/{document_id}": reads,
        "/deep/socket/{document_id}": reads,
        "/open/{document_id}": ("public",),
        "/own/{document_id}": reads,
    }


def test_start_up_check_finds_unguarded_inclusion(guard: Guard) -> None:
    """The same router, included without a guarding dependency."""
    app, inner = FastAPI(openapi_url=None), APIRouter()

    async def handler(document_id: str) -> None: ...

    inner.get("/{document_id}")(handler)
    inner.websocket("/socket/{document_id}")(handler)
    app.include_router(inner, prefix="/first", dependencies=[Depends(may_read)])
    app.include_router(inner, prefix="/again")
    listed = r": GET /again/\{document_id\} \(\S+\), WEBSOCKET /again/socket/\{document_id\} \(\S+\); put"
    with pytest.raises(ConfigurationError, match=listed), client_of(guard, app, check_routes=True):
        pass


@pytest.mark.skipif(not hasattr(APIRouter, "frontend"), reason="this FastAPI has no frontends")
@pytest.mark.skipif(fastapi.__version__.startswith("0.138."), reason="an included router has no frontends of its own")
def test_frontends_are_in_the_inventory(guard: Guard, tmp_path: Path) -> None:
    """FastAPI stores them separately; the dependencies of a router guard them or make them public."""
    (tmp_path / "index.html").write_text("page")
    app, closed, opened = (
        FastAPI(openapi_url=None),
        APIRouter(dependencies=[Depends(guarded("docs:GetPage"))]),
        APIRouter(),
    )
    closed.frontend("/closed", directory=tmp_path)
    opened.frontend("/open", directory=tmp_path)
    app.include_router(closed, prefix="/in")
    app.include_router(opened, dependencies=[Depends(public_access)])
    with client_of(guard, app, check_routes=True) as client:
        statuses = [client.get(path).status_code for path in ("/in/closed/", "/open/", "/open/index.html", "/none")]
        assert statuses == [401, 200, 200, 404]
    app.frontend("/", directory=tmp_path)
    assert [str(each) for each in inventory(app) if not each.is_guarded] == ["GET,HEAD / (frontend)"]


@pytest.mark.skipif(not hasattr(APIRouter, "frontend"), reason="this FastAPI has no frontends")
def test_row_of_a_map_for_a_frontend_is_rejected(
    guard: Guard, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its group serves it without a route of its own that could enforce the row."""
    app, routes = FastAPI(openapi_url=None), RouteMap()
    app.frontend("/pages", directory=tmp_path)
    routes.requires("GET", "/pages", "docs:GetPage")
    app.add_middleware(GuardMiddleware, guard=guard, routes=routes)
    with TestClient(app) as client:
        assert client.get("/pages/").status_code == 500
    assert "expected a route that can be guarded by a map, got `/pages`: decorate its handler" in caplog.text


# --- FastAPI's own pages ---------------------------------------------------------------------------------------------

PAGES = ["/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect"]


@pytest.mark.parametrize("path", PAGES)
def test_own_pages_may_be_public(guard: Guard, path: str) -> None:
    app = FastAPI()
    public_docs(app)
    with client_of(guard, app, check_routes=True) as client:
        assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_own_pages_may_be_guarded(guard: Guard, sign: Sign, path: str) -> None:
    app = FastAPI()
    guard_docs(app, "ReadApi", service=docs)
    with client_of(guard, app, check_routes=True) as client:
        assert client.get(path).status_code == 401
        assert client.get(path, headers=sign(RITA, "GET", path)).status_code == 403
        assert client.get(path, headers=sign(ADA, "GET", path)).status_code == 200


def test_route_with_the_path_of_an_own_page_is_unchanged(guard: Guard) -> None:
    app = FastAPI(docs_url=None, redoc_url=None)
    app.get("/openapi.json")(lambda: "mine")
    app.get("/docs")(lambda: "mine")
    public_docs(app)
    assert [each.path for each in inventory(app) if not each.is_guarded] == ["/openapi.json", "/docs"]


def test_own_pages_are_unguarded_by_default(guard: Guard) -> None:
    """Deny on doubt: they show the actions. The message says what to do about them, and about other endpoints."""
    app = FastAPI()
    remedy = r"/openapi\.json .*; call `public_docs\(app\)` .*; put `@requires` or `@public` below the route decorator"
    with pytest.raises(ConfigurationError, match=remedy), client_of(guard, app, check_routes=True):
        pass


# --- the OpenAPI document --------------------------------------------------------------------------------------------


@table("build", [by_decorators, by_dependencies])
def test_document_is_valid(build: Callable[[None], FastAPI]) -> None:
    """By OpenAPI's schema, and the same the second time."""
    app = build(None)
    document = app.openapi()
    validate(document)
    assert app.openapi() is document


def test_decorator_and_dependency_have_the_same_document() -> None:
    """A decorator and a dependency read alike in the document."""

    def access(document: dict[str, Any]) -> dict[str, Any]:
        keys = ("x-iam-action", "x-iam-resource", "security")
        return {
            f"{method} {path}": {
                **{key: operation.get(key) for key in keys},
                "responses": sorted(status for status in operation["responses"] if status != "422"),
            }
            for path, item in document["paths"].items()
            for method, operation in item.items()
        }

    first, second = access(by_decorators(None).openapi()), access(by_dependencies(None).openapi())
    assert first == second
    schemes = [{"sigv4": []}, {"bearer": []}, {"apiKey": []}]
    assert first["get /documents/{document_id}"] == {
        "x-iam-action": "docs:GetDocument",
        "x-iam-resource": "document/{document_id}",
        "security": schemes,
        "responses": ["200", "401", "403", "503"],
    }
    assert first["delete /documents/{document_id}"]["responses"] == ["204", "401", "403", "404", "503"]
    assert first["get /shared/{document_id}"]["x-iam-resource"] is None
    assert first["get /files/{path}"]["x-iam-resource"] == "file/{path}"
    assert first["get /health"] == {**dict.fromkeys(first["get /health"]), "security": [], "responses": ["200"]}
    assert first["get /forgotten"]["security"] is None


@table(("options", "is_listed"), [({"sign_in_url": "/signin"}, True), ({}, False)])
def test_session_cookie_is_listed_with_sign_in_pages(options: dict[str, str], is_listed: bool) -> None:
    """Also in the document that the application serves; the guard may be added after `describe`."""
    app = FastAPI()
    app.get("/{document_id}", dependencies=[Depends(may_read)])(lambda document_id: document_id)
    describe(app)
    public_docs(app)
    with closing(open_guard("sqlite://", services=[docs], **options)) as guard, client_of(guard, app) as client:
        document = client.get("/openapi.json").json()
    validate(document)
    assert ("session" in document["components"]["securitySchemes"]) is is_listed
    assert ({"session": []} in document["paths"]["/{document_id}"]["get"]["security"]) is is_listed


def test_existing_members_are_kept() -> None:
    """Its own description of 403, its own security, and routes added later."""
    app = FastAPI()
    describe(app)
    own: dict[int | str, dict[str, Any]] = {403: {"description": "mine"}}
    extra = {"security": [{"mine": []}]}

    @app.get("/{document_id}", responses=own, openapi_extra=extra, dependencies=[Depends(may_read)])
    async def get_document(document_id: str) -> None: ...

    operation = app.openapi()["paths"]["/{document_id}"]["get"]
    assert operation["responses"]["403"]["description"] == "mine"
    assert operation["security"] == [{"mine": []}]
    app.get("/later/{document_id}", dependencies=[Depends(may_read)])(get_document)
    app.openapi_schema = None  # older FastAPI keeps its document although its routes change
    assert app.openapi()["paths"]["/later/{document_id}"]["get"]["x-iam-action"] == "docs:GetDocument"


def test_public_handler_needs_no_security() -> None:
    app = FastAPI()
    describe(app)
    app.get("/health")(public(lambda: "ok"))
    document = app.openapi()
    assert document["paths"]["/health"]["get"]["security"] == []
    assert "components" not in document


def test_declared_actions_are_in_the_catalogue() -> None:
    """With `service`, the action of a dependency is in the service's reference."""
    mine = Service("mine")
    guarded("GetThing", service=mine, resource="thing/{id}")
    assert [str(row) for row in mine.catalogue] == ["mine:GetThing"]


def test_response_object_of_a_handler_is_sent_unchanged(guard: Guard, sign: Sign) -> None:
    app = FastAPI()

    @app.get("/{document_id}", dependencies=[Depends(may_read)])
    async def get_document(document_id: str) -> Response:
        return Response(b"\0", media_type="application/x-mine")

    answer = client_of(guard, app).get("/7", headers=sign(RITA, "GET", "/7"))
    assert (answer.content, answer.headers["content-type"]) == (b"\0", "application/x-mine")


class Scoped(BaseModel):
    scope: dict[str, Any]


def test_body_with_a_scope_member_is_not_a_request(guard: Guard, sign: Sign) -> None:
    """A caller cannot change the decision by a body member named like a request's attribute."""
    app = FastAPI(openapi_url=None)

    @app.post("/loaded/{number}")
    @docs.requires("GetDocument", resource="document/{number}")
    async def of_loaded(body: Scoped, loaded: Annotated[int, Depends(load_number)]) -> list[Any]:
        return [loaded, decided()]

    app.add_middleware(GuardMiddleware, guard=guard)
    body = json.dumps({"scope": {"path_params": {"number": 9}, "app": "x", "endpoint": {}}}).encode()
    headers = {**sign(ADA, "POST", "/loaded/7", body=body), "content-type": "application/json"}
    answer = TestClient(app).post("/loaded/7", content=body, headers=headers)
    assert answer.json() == [7, f"{ARN}document/7"]


MAY_READ = guarded("docs:GetDocument")


async def by_default(caller: Any = MAY_READ) -> None: ...


async def by_annotation(caller: Annotated[Any, MAY_READ]) -> None: ...


def test_guard_without_depends_is_explained() -> None:
    """FastAPI takes it for a default or an annotation, and never calls it."""
    for handler in (by_default, by_annotation):
        message = unguarded_message([endpoint_row("/", ("GET",), "handler", handler)])
        assert "wrap the guard of the parameter `caller` of handler in `Depends(…)`" in message
        assert "decorator" not in message


@pytest.mark.parametrize("is_async", [False, True])
def test_generator_error_names_streaming_responses(is_async: bool) -> None:
    def rows() -> Iterator[bytes]:
        yield b""

    async def async_rows() -> AsyncIterator[bytes]:
        yield b""

    with pytest.raises(ConfigurationError, match="`StreamingResponse` in FastAPI and Starlette"):
        Service("docs").requires("ListDocuments")(async_rows if is_async else rows)
