"""Features that only Litestar has: layers of guards, converted parameters, cached responses, own pages."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest

from tests.integrations.contract import needed

needed("litestar", "iam_guard_litestar", "openapi_spec_validator")

from iam_guard_litestar import Caller, GuardPlugin, caller, guarded, public_access  # noqa: E402
from litestar import Controller, Litestar, Request, Router, asgi, get, post  # noqa: E402
from litestar.di import NamedDependency, Provide  # noqa: E402
from litestar.openapi import OpenAPIConfig  # noqa: E402
from litestar.params import FromPath, JSONBody, PathParameter  # noqa: E402
from litestar.static_files import create_static_files_router  # noqa: E402
from litestar.testing import TestClient  # noqa: E402
from openapi_spec_validator import validate  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402
from starlette.requests import Request as StarletteRequest  # noqa: E402
from starlette.responses import PlainTextResponse  # noqa: E402
from starlette.routing import Mount, Route  # noqa: E402
from starlette.testclient import TestClient as StarletteClient  # noqa: E402

from iam_guard import Guard, GuardMiddleware, Service, current_decision, inventory, open_guard, public  # noqa: E402
from iam_guard.audit.consumer.reader import read_records  # noqa: E402
from iam_guard.errors import ConfigurationError  # noqa: E402
from tests.conftest import ADA, RITA, Sign  # noqa: E402
from tests.integrations.test_litestar import by_decorators, by_guards  # noqa: E402
from tests.tables import table  # noqa: E402

docs = Service("docs")
ARN = "arn:aws:docs:us-east-1:111122223333:"
DOCUMENT = "document/{document_id}"
may_read = guarded("docs:GetDocument", resource=DOCUMENT)
by_number = guarded("docs:GetDocument", resource="document/{number}")


@contextmanager
def client_of(guard: Guard, *handlers: Any, **options: Any) -> Iterator[TestClient[Litestar]]:
    """An application that has started, with its routes checked."""
    options.setdefault("openapi_config", None)
    app = Litestar(handlers, plugins=[GuardPlugin(guard)], **{"logging_config": None, **options})
    with TestClient(app, base_url="http://testserver.local", raise_server_exceptions=False) as client:
        client.headers["host"] = "testserver"
        yield client


def decided() -> str:
    decision = current_decision()
    assert decision is not None
    return decision.request.resource


# --- what is decided about ------------------------------------------------------------------------------------------


def load_number(number: FromPath[uuid.UUID]) -> uuid.UUID:
    return number


@get("/int/{number:str}", guards=[by_number])
async def of_int(number: FromPath[int]) -> list[Any]:
    return [number, decided()]


@get("/typed/{number:int}", guards=[by_number])
async def of_typed(number: FromPath[int]) -> list[Any]:
    return [number, decided()]


@get("/uuid/{number:str}", guards=[by_number])
async def of_uuid(number: FromPath[uuid.UUID]) -> list[Any]:
    return [number, decided()]


@get("/inside/{number:str}", guards=[by_number], dependencies={"found": Provide(load_number, sync_to_thread=False)})
async def of_inside(found: NamedDependency[uuid.UUID]) -> list[Any]:
    return [found, decided()]


@get("/decorated/{number:str}", dependencies={"found": Provide(load_number, sync_to_thread=False)})
@docs.requires("GetDocument", resource="document/{number}")
async def of_decorated(found: NamedDependency[uuid.UUID]) -> list[Any]:
    return [found, decided()]


@get("/raw/{number:str}", guards=[by_number])
async def of_raw(request: Request[Any, Any, Any]) -> list[Any]:
    return [request.path_params["number"], decided()]


@get("/alias/{number:str}", guards=[by_number])
async def of_alias(other: Annotated[uuid.UUID, PathParameter(name="number")]) -> list[Any]:
    return [other, decided()]


@get("/decorated-alias/{number:str}")
@docs.requires("GetDocument", resource="document/{number}")
async def of_decorated_alias(other: Annotated[uuid.UUID, PathParameter(name="number")]) -> list[Any]:
    return [other, decided()]


@get("/two/{number:str}", guards=[by_number], dependencies={"found": Provide(load_number, sync_to_thread=False)})
async def of_two(number: FromPath[str], found: NamedDependency[uuid.UUID]) -> list[Any]:
    return [number, decided()]


CONVERSIONS = (of_int, of_typed, of_uuid, of_inside, of_decorated, of_alias, of_decorated_alias, of_raw, of_two)
ID = "0A000000-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("path", "used"),
    [
        ("/int/7", 7),
        ("/typed/007", 7),
        (f"/uuid/{ID}", ID.lower()),
        (f"/inside/{ID}", ID.lower()),
        (f"/decorated/{ID}", ID.lower()),
        (f"/alias/{ID}", ID.lower()),
        (f"/decorated-alias/{ID}", ID.lower()),
        ("/raw/007", "007"),
        (f"/two/{ID.lower()}", ID.lower()),
    ],
)
def test_decision_uses_the_value_of_the_handler(guard: Guard, sign: Sign, path: str, used: object) -> None:
    """Design 5: upper and lower case name the same document if the handler or a dependency has a UUID."""
    with client_of(guard, *CONVERSIONS) as client:
        answer = client.get(path, headers=sign(RITA, "GET", path))
        assert answer.json() == [used, f"{ARN}document/{used}"]


def test_parameter_with_two_values_is_rejected(guard: Guard, sign: Sign) -> None:
    with client_of(guard, *CONVERSIONS) as client:
        answer = client.get(f"/two/{ID}", headers=sign(ADA, "GET", f"/two/{ID}"))
        assert (answer.status_code, answer.json()["detail"]) == (400, "expected a value that is read in one way")


@pytest.mark.parametrize("path", ["/int/x", "/uuid/x"])
def test_invalid_parameter_is_rejected_by_litestar(guard: Guard, sign: Sign, path: str) -> None:
    with client_of(guard, *CONVERSIONS) as client:
        assert client.get(path, headers=sign(RITA, "GET", path)).status_code == 400
        assert client.get(path).status_code == 401


# --- guards ----------------------------------------------------------------------------------------------------------


def test_guards_of_all_layers_decide(guard: Guard, sign: Sign) -> None:
    """An allow does not override the denial of another."""

    class Documents(Controller):
        path = "/{document_id:str}"
        guards = (may_read,)

        @get("/read")
        async def read_document(self, document_id: FromPath[str]) -> str:
            return document_id

        @get("/write", guards=[guarded("PutDocument", service=docs, resource=DOCUMENT)])
        async def write_document(self, document_id: FromPath[str]) -> str:
            return document_id

    with client_of(guard, Documents) as client:
        assert client.get("/7/read", headers=sign(RITA, "GET", "/7/read")).status_code == 200
        assert client.get("/7/write", headers=sign(ADA, "GET", "/7/write")).status_code == 200
        assert client.get("/7/write", headers=sign(RITA, "GET", "/7/write")).status_code == 403


def test_router_may_be_public(guard: Guard, tmp_path: Path) -> None:
    """Static files for example; a guarded handler inside stays guarded."""
    (tmp_path / "page.txt").write_text("page")
    files = create_static_files_router("/files", [tmp_path], guards=[public_access])

    @get("/closed/{document_id:str}", guards=[may_read])
    async def closed(document_id: FromPath[str]) -> str:
        return document_id

    with client_of(guard, files, Router("/open", route_handlers=[closed], guards=[public_access])) as client:
        assert client.get("/files/page.txt").text == "page"
        assert client.get("/open/closed/7").status_code == 401


def test_cached_response_is_decided(guard: Guard, sign: Sign) -> None:
    """Litestar sends it without the handler: a guard still decides, a decorator can't, so it answers 500."""

    @get("/guard/{document_id:str}", cache=True, guards=[may_read])
    async def by_guard(document_id: FromPath[str]) -> str:
        return "cached"

    @get("/decorator/{document_id:str}", cache=True)
    @docs.requires("GetDocument", resource=DOCUMENT)
    async def by_decorator(document_id: FromPath[str]) -> str:
        return "cached"

    with client_of(guard, by_guard, by_decorator) as client:
        for path, again, anonymous in (("/guard/7", 200, 401), ("/decorator/7", 500, 500)):
            assert client.get(path, headers=sign(RITA, "GET", path)).text == "cached"
            assert client.get(path, headers=sign(RITA, "GET", path)).status_code == again
            answer = client.get(path)
            assert (answer.status_code, "cached" in answer.text) == (anonymous, False)


def test_invalid_body_is_rejected_by_litestar(guard: Guard, sign: Sign) -> None:
    """Never 500, and the handler does not run."""

    @post("/decorator/{document_id:str}")
    @docs.requires("PutDocument", resource=DOCUMENT)
    async def by_decorator(document_id: FromPath[str], data: JSONBody[dict[str, int]]) -> None: ...

    @post("/guard/{document_id:str}", guards=[may_read])
    async def by_guard(document_id: FromPath[str], data: JSONBody[dict[str, int]]) -> None: ...

    with client_of(guard, by_decorator, by_guard) as client:
        for path, anonymous in (("/decorator/7", 400), ("/guard/7", 401)):
            headers = sign(ADA, "POST", path, body=b"{", headers={"content-type": "application/json"})
            assert client.post(path, content=b"{", headers=headers).status_code == 400
            assert client.post(path, content=b"{").status_code == anonymous


@pytest.mark.parametrize(("takes", "status"), [(True, 201), (False, 401)])
def test_guard_may_accept_unsigned_bodies(guard: Guard, sign: Sign, takes: bool, status: int) -> None:
    @post("/{document_id:str}", guards=[guarded("docs:PutDocument", resource=DOCUMENT, unsigned_payload=takes)])
    async def upload(document_id: FromPath[str], request: Request[Any, Any, Any]) -> int:
        return len(await request.body())

    with client_of(guard, upload) as client:
        headers = sign(ADA, "POST", "/7", headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
        assert client.post("/7", content=b"anything", headers=headers).status_code == status


def test_caller_is_a_dependency(guard: Guard, sign: Sign) -> None:
    @get("/{document_id:str}", guards=[may_read], dependencies={"caller": Provide(caller)})
    async def get_document(document_id: FromPath[str], caller: Caller) -> str:
        return caller.name

    with client_of(guard, get_document) as client:
        assert client.get("/7", headers=sign(RITA, "GET", "/7")).text == "rita"


# --- start-up and mounts -------------------------------------------------------------------------------------------


def test_start_up_reports_unguarded_handlers(guard: Guard) -> None:
    @get("/forgotten")
    async def forgotten() -> None: ...

    with (
        pytest.RaisesGroup(pytest.RaisesExc(ConfigurationError, match=r": GET /forgotten \(\S*forgotten\); put")),
        client_of(guard, forgotten),
    ):
        pass


def test_inventory_has_handlers_and_guards() -> None:
    """As `iam-guard routes` prints it: every method of every path, mounts, WebSockets, the answers to OPTIONS."""
    rows = {f"{','.join(each.methods)} {each.path}": each.guards for each in inventory(by_guards(None))}
    reads = ("docs:GetDocument on document/{document_id}",)
    assert rows["GET /documents/{document_id:str}"] == rows["WEBSOCKET /watch/{document_id:str}"] == reads
    assert rows["GET /mounted/documents/{document_id:str}"] == rows["GET /class/{document_id:str}"] == reads
    assert rows["GET /mounted/forgotten"] == rows["GET /forgotten"] == ()


def test_litestar_and_starlette_may_mount_each_other(guard: Guard, sign: Sign) -> None:
    """The outer middleware finds the endpoint in either framework."""

    @get("/open", media_type="text/plain")
    @public
    async def opened() -> str:
        return "open"

    @get("/forgotten")
    async def forgotten() -> str:
        return "unguarded"

    @public
    async def star_opened(request: StarletteRequest) -> PlainTextResponse:
        return PlainTextResponse("open")

    async def star_forgotten(request: StarletteRequest) -> PlainTextResponse:
        return PlainTextResponse("unguarded")

    star = Starlette(routes=[Route("/open/", star_opened), Route("/forgotten/", star_forgotten)])
    inside = Litestar([opened, forgotten], openapi_config=None, logging_config=None)
    outer = Starlette(
        routes=[Mount("/in", inside)], middleware=[Middleware(GuardMiddleware, guard=guard, check_routes=False)]
    )
    around = Litestar(
        [asgi("/in", is_mount=True, copy_scope=False)(star)],
        plugins=[GuardPlugin(guard, check_routes=False)],
        openapi_config=None,
        logging_config=None,
    )
    for app in (outer, around):
        client = StarletteClient(app, raise_server_exceptions=False)
        assert [client.get(path).status_code for path in ("/in/open", "/in/forgotten", "/in/none")] == [200, 500, 404]


# --- the OpenAPI document --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("build", [by_decorators, by_guards])
def test_document_has_the_required_actions(guard: Guard, build: Callable[[Guard], Litestar]) -> None:
    """Valid by OpenAPI's schema, and the same for decorators and guards."""
    document = build(guard).openapi_schema.to_schema()
    validate(document)
    read = document["paths"]["/documents/{document_id}"]["get"]
    assert (read["x-iam-action"], read["x-iam-resource"]) == ("docs:GetDocument", DOCUMENT)
    assert read["security"] == [{"sigv4": []}, {"bearer": []}, {"apiKey": []}]
    assert {"200", "401", "403", "503"} <= set(read["responses"])
    assert "404" in document["paths"]["/documents/{document_id}"]["delete"]["responses"]
    assert document["paths"]["/health"]["get"]["security"] == []
    assert "security" not in document["paths"]["/forgotten"]["get"]
    assert "sigv4" in document["components"]["securitySchemes"]


@table(("options", "is_listed"), [({"sign_in_url": "/signin"}, True), ({}, False)])
def test_session_cookie_is_listed_with_sign_in_pages(options: dict[str, str], is_listed: bool) -> None:
    with closing(open_guard("sqlite://", **options)) as guard:
        document = by_guards(guard).openapi_schema.to_schema()
    validate(document)
    assert ("session" in document["components"]["securitySchemes"]) is is_listed
    assert ({"session": []} in document["paths"]["/documents/{document_id}"]["get"]["security"]) is is_listed


@pytest.mark.parametrize(("guards", "status"), [([public_access], 200), ([guarded("docs:ReadApi")], 401)])
def test_own_pages_may_be_guarded_or_public(guard: Guard, sign: Sign, guards: list[Any], status: int) -> None:
    router = Router("/schema", route_handlers=[], include_in_schema=False, guards=guards)
    config = OpenAPIConfig("Documents", "1", openapi_router=router)

    @get("/{document_id:str}", guards=[may_read])
    async def get_document(document_id: FromPath[str]) -> None: ...

    with client_of(guard, get_document, openapi_config=config) as client:
        answer = client.get("/schema/openapi.json")
        assert answer.status_code == status
        path = "/schema/openapi.json"
        answer = client.get(path, headers=sign(ADA, "GET", path))
        assert answer.json()["paths"]["/{document_id}"]["get"]["x-iam-action"] == "docs:GetDocument"


def test_own_pages_are_unguarded_by_default(guard: Guard) -> None:
    with (
        pytest.RaisesGroup(pytest.RaisesExc(ConfigurationError, match=r"GET /schema/openapi\.json")),
        client_of(guard, openapi_config=OpenAPIConfig("Documents", "1"), logging_config=None),
    ):
        pass


def test_every_denial_is_recorded_once(guard: Guard, sign: Sign, audit_file: Path) -> None:
    @get("/{document_id:str}", guards=[guarded("docs:PutDocument", resource=DOCUMENT)])
    async def get_document(document_id: FromPath[str]) -> None: ...

    with client_of(guard, get_document) as client:
        assert client.get("/7", headers=sign(RITA, "GET", "/7")).status_code == 403
    assert [each["eventName"] for each in read_records(audit_file)] == ["PutDocument"]
