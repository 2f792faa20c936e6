"""Mistakes in declarations are errors at the start of an application of any framework, not with its requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from iam_guard import Guard, GuardMiddleware, RouteMap, Service, open_guard
from iam_guard.errors import ConfigurationError
from tests.tables import table

Start = Callable[[Guard, str], None]


def start_starlette(guard: Guard, template: str) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Route
    from starlette.testclient import TestClient

    app = Starlette(routes=[Route("/{document_id}", declared(template))])
    with TestClient(GuardMiddleware(app, guard=guard)):
        pass


def start_with_map(guard: Guard, template: str) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Route
    from starlette.testclient import TestClient

    routes = RouteMap()
    routes.requires("GET", "/{document_id}", "docs:GetDocument", resource=template)
    app = Starlette(routes=[Route("/{document_id}", lambda request: None, methods=["GET"])])
    with TestClient(GuardMiddleware(app, guard=guard, routes=routes)):
        pass


def start_fastapi(guard: Guard, template: str) -> None:
    fastapi, testclient = pytest.importorskip("fastapi"), pytest.importorskip("fastapi.testclient")
    guarded = pytest.importorskip("iam_guard_fastapi").guarded

    app = fastapi.FastAPI(openapi_url=None)
    depends = fastapi.Depends(guarded("docs:GetDocument", resource=template))
    app.get("/{document_id}", dependencies=[depends])(lambda: None)
    app.add_middleware(GuardMiddleware, guard=guard)
    with testclient.TestClient(app):
        pass


def start_litestar(guard: Guard, template: str) -> None:
    litestar, testing = pytest.importorskip("litestar"), pytest.importorskip("litestar.testing")
    adapter = pytest.importorskip("iam_guard_litestar")

    @litestar.get("/{document_id:str}", guards=[adapter.guarded("docs:GetDocument", resource=template)])
    async def get_document() -> None: ...

    app = litestar.Litestar([get_document], plugins=[adapter.GuardPlugin(guard)], openapi_config=None)
    try:
        with testing.TestClient(app):
            pass
    except BaseExceptionGroup as group:  # Litestar's
        raise group.exceptions[0] from None


def start_flask(guard: Guard, template: str) -> None:
    flask, adapter = pytest.importorskip("flask"), pytest.importorskip("iam_guard_flask")

    app = flask.Flask("documents", static_folder=None)
    app.get("/<document_id>")(Service("docs").requires("GetDocument", resource=template)(view))
    adapter.IamGuard(app, guard=guard).check(app)


def view(document_id: str) -> str:
    return document_id


def declared(template: str) -> Any:
    async def handler(request: Any) -> None: ...

    return Service("docs").requires("GetDocument", resource=template)(handler)


STARTS = [start_starlette, start_with_map, start_fastapi, start_litestar, start_flask]


@pytest.fixture
def guards() -> Iterator[Callable[..., Guard]]:
    opened: list[Guard] = []

    def opened_with(*names: str) -> Guard:
        opened.append(open_guard("sqlite://", services=[Service(name) for name in names]))
        return opened[-1]

    yield opened_with
    for guard in opened:
        guard.close()


@table("start", STARTS)
def test_correct_declaration_starts(start: Start, guards: Callable[..., Guard]) -> None:
    start(guards("other", "docs"), "document/{document_id}")


@table("start", STARTS)
def test_parameter_that_no_route_has_stops_the_start(start: Start, guards: Callable[..., Guard]) -> None:
    with pytest.raises(ConfigurationError, match="expected the parameter `id` of the route or the handler, got `docu"):
        start(guards("docs"), "document/{id}")


@table("start", STARTS)
def test_service_that_the_guard_lacks_stops_the_start(start: Start, guards: Callable[..., Guard]) -> None:
    """Resource control policies would not apply to it."""
    message = r"expected the service `docs` of the handlers among the guard's services, got `dosc`; pass it as in `open"
    with pytest.raises(ConfigurationError, match=message):
        start(guards("dosc"), "document/{document_id}")
    with pytest.raises(ConfigurationError, match=r"got none; pass it as in `open_guard\(…, services=\[Service\(\"docs"):
        start(guards(), "document/{document_id}")
