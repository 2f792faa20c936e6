"""Route coverage: which guarded endpoints were seen to allow and to refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from iam_guard import Guard, GuardMiddleware, RouteMap, Service, public
from iam_guard.errors import InvalidInput
from iam_guard.guard.decision_maker import DecisionMaker
from iam_guard.testing import as_principal, signed_in
from iam_guard.testing.coverage.route_coverage import RouteCoverage
from iam_guard.testing.coverage.route_measurement import RouteMeasurement

ACCOUNT = "arn:aws:iam::111122223333"
ADA, RITA = f"{ACCOUNT}:user/ada", f"{ACCOUNT}:user/rita"
docs = Service("docs")


@docs.requires("PutDocument", resource="document/{document_id}")
async def put(request: Request) -> Response:
    docs.decide("ShareDocument")  # other decisions of a handler don't count
    return PlainTextResponse("put")


class Documents(HTTPEndpoint):
    @docs.requires("GetDocument", resource="document/{document_id}")
    async def get(self, request: Request) -> Response:
        return PlainTextResponse("get")

    @docs.requires("DeleteDocument", resource="document/{document_id}")
    def delete(self, request: Request) -> Response:
        return PlainTextResponse("deleted")


@docs.requires("Watch")
async def watch(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.close()


@public
async def health(request: Request) -> Response:
    return PlainTextResponse("ok")


def made(guard: Guard) -> Starlette:
    inner = [Route("/{document_id}", Documents), Route("/{document_id:path}/all", put, methods=["PUT"])]
    return Starlette(
        routes=[
            Mount("/v1/{tenant}", routes=inner),
            Route("/documents/{document_id}", put, methods=["PUT"]),
            Route("/health", health),
            WebSocketRoute("/watch", watch),
        ],
        middleware=[Middleware(GuardMiddleware, guard=guard)],
    )


@pytest.fixture
def measured() -> Iterator[RouteMeasurement]:
    with RouteMeasurement() as measurement:
        yield measurement


def seen(measurement: RouteMeasurement) -> dict[str, str]:
    rows = measurement.to_json()["routes"]
    return {f"{','.join(row['methods'])} {row['path']}": "A" * row["allowed"] + "R" * row["refused"] for row in rows}


def test_route_records_allowed_and_refused(guard: Guard, measured: RouteMeasurement) -> None:
    """Mounts, endpoint classes, WebSockets; public endpoints don't count."""
    ada, rita = TestClient(signed_in(made(guard), ADA)), TestClient(signed_in(made(guard), RITA))
    assert ada.get("/v1/acme/7").status_code == 200
    assert ada.head("/v1/acme/7").status_code == 200
    assert rita.delete("/v1/acme/7").status_code == 403
    assert ada.put("/documents/7").status_code == 200
    assert rita.put("/documents/7").status_code == 403
    assert rita.get("/health").status_code == 200
    with ada.websocket_connect("/watch"):
        pass
    with pytest.raises(WebSocketDisconnect), rita.websocket_connect("/watch"):
        pass
    assert seen(measured) == {
        "PUT /documents/{document_id}": "AR",
        "GET /v1/{tenant}/{document_id}": "A",
        "DELETE /v1/{tenant}/{document_id}": "R",
        "PUT /v1/{tenant}/{document_id:path}/all": "",
        "WEBSOCKET /watch": "AR",
    }
    assert measured.share() == 40


def test_bad_credential_is_no_decision(guard: Guard, measured: RouteMeasurement) -> None:
    """Both are 401, and only the anonymous caller reached the route."""
    client = TestClient(made(guard))
    assert client.put("/v1/acme/a/b/all", headers={"authorization": "Bearer x"}).status_code == 401
    assert seen(measured)["PUT /v1/{tenant}/{document_id:path}/all"] == ""
    assert client.put("/v1/acme/a/b/all").status_code == 401
    assert seen(measured)["PUT /v1/{tenant}/{document_id:path}/all"] == "R"


def test_handler_called_directly_is_no_route(guard: Guard, measured: RouteMeasurement) -> None:
    """Nor is a guard that decides outside of a call."""
    TestClient(made(guard)).get("/health")
    with as_principal(ADA, guard):
        docs.decide("PutDocument")
    assert set(seen(measured).values()) == {""}


def test_application_behind_prefix_is_the_same(guard: Guard, measured: RouteMeasurement) -> None:
    """A proxy's prefix is no part of the template."""
    client = TestClient(signed_in(made(guard), ADA), root_path="/api")
    assert client.put("/api/documents/7").status_code == 200
    assert seen(measured)["PUT /documents/{document_id}"] == "A"


def test_routes_of_map_count(guard: Guard, measured: RouteMeasurement) -> None:
    """Like those of decorated handlers; a row for a method precedes one for any, and a public one doesn't count."""

    async def untouched(request: Request) -> Response:
        return PlainTextResponse("untouched")

    routes = RouteMap()
    routes.requires("GET", "/a/{document_id}", "docs:GetDocument", resource="document/{document_id}")
    routes.requires("ANY", "/a/{document_id}", "docs:GetDocument", resource="document/{document_id}")
    routes.public("GET", "/b")
    app = Starlette(
        routes=[Route("/a/{document_id}", untouched, methods=["GET", "PUT"]), Route("/b", untouched)],
        middleware=[Middleware(GuardMiddleware, guard=guard, routes=routes)],
    )
    assert TestClient(signed_in(app, ADA)).get("/a/7").status_code == 200
    assert TestClient(app).put("/a/7").status_code == 401
    assert seen(measured) == {"GET,HEAD /a/{document_id}": "A", "PUT /a/{document_id}": "R"}


def test_same_path_at_two_hosts_is_two_routes(guard: Guard, measured: RouteMeasurement) -> None:
    """Their results are separate."""
    inside = [Route("/documents/{document_id}", put, methods=["PUT"])]
    app = Starlette(
        routes=[Host("{tenant}.example.com", Router(inside)), Host("api.example.com", Router(inside)), *inside],
        middleware=[Middleware(GuardMiddleware, guard=guard)],
    )
    assert TestClient(signed_in(app, ADA), base_url="http://acme.example.com").put("/documents/7").status_code == 200
    assert TestClient(app, base_url="http://elsewhere:8000").put("/documents/7").status_code == 401
    assert seen(measured) == {
        "PUT {tenant}.example.com/documents/{document_id}": "A",
        "PUT api.example.com/documents/{document_id}": "",
        "PUT /documents/{document_id}": "R",
    }


def test_results_of_processes_are_merged(guard: Guard, measured: RouteMeasurement) -> None:
    """Through JSON, as between pytest-xdist workers; with routes that only one of them has."""
    TestClient(signed_in(made(guard), ADA)).put("/documents/7")
    sent = json.loads(json.dumps(measured.to_plain()))
    other = RouteMeasurement()
    other.merge(sent)
    other.merge([["/documents/{document_id}", ["PUT"], "put", "docs:PutDocument", False, True]])
    assert seen(other)["PUT /documents/{document_id}"] == "AR"


def test_no_call_is_watched_by_default() -> None:
    """The methods are the product's own, before and after."""
    before = DecisionMaker.decide_and_record, GuardMiddleware.__call__
    with RouteMeasurement():
        assert DecisionMaker.decide_and_record is not before[0]
    assert (DecisionMaker.decide_and_record, GuardMiddleware.__call__) == before


def test_named_application_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All its routes count, called or not, and no others; one without routes is refused."""
    (tmp_path / "named_app.py").write_text(
        "from starlette.applications import Starlette\nfrom starlette.routing import Route\n"
        "from tests.testing.coverage.test_route_coverage import put\n"
        "app = Starlette(routes=[Route('/one', put, methods=['PUT'])])\nnone = Starlette()\n"
        "def make(): return app\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert seen(RouteMeasurement("named_app:app")) == seen(RouteMeasurement("named_app:make")) == {"PUT /one": ""}
    for name in ("named_app:none", "named_app:missing", "no_such_module:app", "named_app:"):
        with pytest.raises(InvalidInput):
            RouteMeasurement(name)


def test_table_shows_missing_results(measured: RouteMeasurement, guard: Guard) -> None:
    """METHOD, path, action, allowed, refused."""
    TestClient(signed_in(made(guard), ADA)).put("/documents/7")
    lines = measured.text().splitlines()
    assert lines[0].split() == ["METHOD", "PATH", "ACTION", "ALLOWED", "REFUSED"]
    assert lines[1].split() == ["PUT", "/documents/{document_id}", "docs:PutDocument", "yes", "NEVER"]
    assert lines[-1] == "0 of 5 guarded routes were tested both ways"


def test_share_without_routes_is_none() -> None:
    """A suite that calls no application has no routes to cover."""
    empty = RouteCoverage()
    assert empty.share() is None
    assert empty.text().splitlines()[-1] == "0 of 0 guarded routes were tested both ways"
