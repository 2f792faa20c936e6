"""Route maps with routes for hosts: a row names its host if there could be several."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router
from starlette.testclient import TestClient

from iam_guard import Guard, GuardMiddleware, RouteMap, inventory, read_route_map
from iam_guard.cli import main
from iam_guard.errors import ConfigurationError
from tests.conftest import ADA, RITA, Sign
from tests.tables import table

API, WWW, TENANT = "api.example.com", "www.example.com", "{tenant}.example.org"
Ask = Callable[..., int]


async def answer(request: Request) -> Response:
    return PlainTextResponse(str(request.path_params))


async def whole(scope: Any, receive: Any, send: Any) -> None:
    await PlainTextResponse("whole")(scope, receive, send)


def application(guard: Guard | None, routes: RouteMap, *own: Any) -> Starlette:
    return Starlette(routes=list(own), middleware=[Middleware(GuardMiddleware, guard=guard, routes=routes)])


@contextmanager
def asking(sign: Sign, app: Starlette) -> Iterator[Ask]:
    with TestClient(app) as client:

        def ask(host: str, path: str, key: tuple[str, str] | None = None) -> int:
            headers = {"host": host}
            headers = headers if key is None else sign(key, "GET", path, headers=headers)
            return client.get(path, headers=headers).status_code

        yield ask


def two_hosts() -> list[Any]:
    return [Host(host, Router([Route("/reports", answer)]), name=host) for host in (API, WWW)]


def test_each_host_has_its_row(guard: Guard, sign: Sign) -> None:
    """Two routes with one template: making one of them public does not affect the other."""
    routes = RouteMap()
    routes.requires("GET", "/reports", "docs:PutReport", host=API)
    routes.public("GET", "/reports", host=WWW)
    with asking(sign, application(guard, routes, *two_hosts())) as ask:
        assert ask(WWW, "/reports") == 200
        assert [ask(API, "/reports", each) for each in (None, RITA, ADA)] == [401, 403, 200]
        assert ask("api.example.com:80", "/reports") == 401
        assert ask("API.example.com", "/reports") in (401, 404)  # as Starlette has it
        assert ask("other.example.com", "/reports") == 404


@pytest.mark.parametrize("is_shared", [True, False])
def test_row_without_host_for_several_hosts_is_rejected(guard: Guard, *, is_shared: bool) -> None:
    """For hosts with their own routes, and for hosts with the same application."""
    shared = Router([Route("/reports", answer)])
    own = [Host(host, shared) for host in (API, WWW)] if is_shared else two_hosts()
    routes = RouteMap()
    routes.public("ANY", "/reports")
    message = r"`ANY /reports` is a route of several hosts \(api.example.com, www.example.com\): add `host` to the row"
    app = application(guard, routes, *own)
    with pytest.raises(ConfigurationError, match=message):
        TestClient(app).__enter__()
    client = TestClient(app, raise_server_exceptions=False)
    assert client.get("/reports", headers={"host": API}).status_code == 500


def test_row_without_host_is_for_the_remaining_host(guard: Guard, sign: Sign) -> None:
    routes = RouteMap()
    routes.requires("GET", "/reports", "docs:PutReport")
    with pytest.raises(ConfigurationError, match=r"several hosts \(any other, api.example.com\)"):
        routes.joined(inventory(Starlette(routes=[*two_hosts()[:1], Route("/reports", answer)])))
    routes.public("GET", "/reports", host=API)
    with asking(sign, application(guard, routes, *two_hosts()[:1], Route("/reports", answer))) as ask:
        assert (ask(API, "/reports"), ask(WWW, "/reports"), ask(WWW, "/reports", RITA)) == (200, 401, 403)


def test_route_of_one_host_needs_no_host_in_its_row(guard: Guard, sign: Sign) -> None:
    routes = RouteMap()
    routes.requires("GET", "/reports", "docs:PutReport")
    with asking(sign, application(guard, routes, *two_hosts()[:1])) as ask:
        assert [ask(API, "/reports", each) for each in (None, RITA, ADA)] == [401, 403, 200]


def test_shared_application_is_decided_by_the_host_of_the_request(guard: Guard, sign: Sign) -> None:
    """Also inside of mounts, and with the host's parameters in the resource."""
    shared = Router([Mount("/deep", routes=[Route("/x", answer)]), Route("/x", answer)])
    routes = RouteMap()
    for path in ("/in/x", "/in/deep/x"):
        routes.requires("GET", path, "docs:PutReport", resource="tenant/{tenant}", host="{tenant}.example.org")
        routes.public("GET", path, host=API)
        routes.requires("GET", path, "docs:GetReport")
    hosts = [Host(host, Router([Mount("/in", shared)])) for host in ("{tenant:str}.example.org", API)]
    own = [*hosts, Mount("/in", shared)]
    with asking(sign, application(guard, routes, *own)) as ask:
        for path in ("/in/x", "/in/deep/x"):
            assert ask(API, path) == 200
            assert [ask("acme.example.org", path, each) for each in (None, RITA, ADA)] == [401, 403, 200]
            assert [ask("other", path, each) for each in (None, RITA)] == [401, 200]


def test_row_of_a_mounted_host_applies(guard: Guard, sign: Sign) -> None:
    routes = RouteMap()
    routes.requires("ANY", "/", "docs:PutWhole", host=API)
    routes.public("ANY", "/", host=WWW)
    with asking(sign, application(guard, routes, Host(API, whole), Host(WWW, whole))) as ask:
        assert (ask(WWW, "/x"), ask(API, "/x"), ask(API, "/x", RITA), ask(API, "/x", ADA)) == (200, 401, 403, 200)


def test_row_of_an_unknown_host_is_rejected() -> None:
    routes = RouteMap()
    routes.public("GET", "/reports", host="old.example.com")
    with pytest.raises(ConfigurationError, match=r"no such route: GET old.example.com/reports"):
        routes.joined(inventory(Starlette(routes=two_hosts())))


@table("host", ["", "/x", "api.example.com/x"])
def test_invalid_host_is_rejected(host: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a host such as"):
        RouteMap().public("GET", "/reports", host=host)


def test_duplicate_row_for_a_host_is_rejected() -> None:
    routes = RouteMap()
    routes.public("GET", "/reports", host="{tenant:str}.example.org")
    with pytest.raises(ConfigurationError, match=r"`GET \{tenant\}.example.org/reports` is in the map twice"):
        routes.requires("GET", "/reports", "docs:GetReport", host=TENANT)


def test_urls_of_a_host_are_unchanged(guard: Guard, sign: Sign) -> None:
    """`url_path_for` reads the routes of the host through the proxy."""
    routes = RouteMap()
    for host in (API, WWW):
        routes.public("GET", "/reports", host=host)
    named = [Host(host, Router([Route("/reports", answer, name="reports")]), name=host) for host in (API, WWW)]
    app = application(guard, routes, *named)
    before = app.url_path_for(f"{API}:reports").make_absolute_url("http://here")
    with asking(sign, app) as ask:
        assert ask(API, "/reports") == 200
    assert str(app.url_path_for(f"{API}:reports").make_absolute_url("http://here")) == str(before)


MODULE = """
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Route, Router

async def answer(request):
    return PlainTextResponse("ok")

hosts = [Host(host, Router([Route("/reports", answer)])) for host in ("api.example.com", "www.example.com")]
app = Starlette(routes=hosts)
"""
YAML = """
version: 1
routes:
  - {path: /reports, methods: [GET], host: api.example.com, action: "docs:GetReport"}
  - {path: /reports, host: www.example.com, public: true}
"""


def test_file_and_command_name_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hosts_app.py").write_text(MODULE)
    Path("map.yaml").write_text(YAML)
    found = CliRunner().invoke(main, ["routes", "hosts_app:app", "--map", "map.yaml"])
    assert found.exit_code == 0, found.output
    assert "GET,HEAD  api.example.com/reports  docs:GetReport on *, by the map" in found.output
    assert "GET,HEAD  www.example.com/reports  public, by the map" in found.output
    assert read_route_map("map.yaml").mark("GET", "/reports") is None
    result = CliRunner().invoke(main, ["routes", "hosts_app:app", "--map", "map.yaml", "--json"])
    assert '"host": "api.example.com"' in result.output


OPENAPI = """
openapi: 3.1.0
servers: [{url: https://service.example.net/v1}]
x-iam-host: www.example.com
paths:
  /outer: {get: {x-iam-public: true}}
  /reports:
    x-iam-host: "{tenant}.example.org"
    put: {x-iam-action: "docs:PutReport"}
    get: {x-iam-action: "docs:GetReport", x-iam-host: api.example.com}
"""


def test_openapi_hosts_are_read_from_extension(tmp_path: Path) -> None:
    """The innermost `x-iam-host` counts; `servers` are not hosts of routes."""
    (tmp_path / "map.yaml").write_text(OPENAPI)
    routes = read_route_map(tmp_path / "map.yaml")
    expected = {("GET", "/outer"): WWW, ("PUT", "/reports"): TENANT, ("GET", "/reports"): API}
    for row, named in expected.items():
        assert [host for host in (None, API, WWW, TENANT, "service.example.net") if routes.mark(*row, host)] == [named]
    (tmp_path / "map.yaml").write_text(OPENAPI.replace("x-iam-host: www.example.com\n", ""))
    assert read_route_map(tmp_path / "map.yaml").mark("GET", "/outer") == "public"


@pytest.mark.parametrize(
    ("text", "replacement"),
    [
        ("www.example.com", "/x"),
        ("www.example.com", '""'),
        ('"{tenant}.example.org"', '""'),
        ("api.example.com", '""'),
        ("www.example.com", "null"),
        ("x-iam-host: www", "x-iam-hots: www"),
        ('x-iam-host: "{tenant}', 'x-iam-action: "{tenant}'),
    ],
)
def test_openapi_document_with_invalid_host_is_rejected(tmp_path: Path, text: str, replacement: str) -> None:
    (tmp_path / "map.yaml").write_text(OPENAPI.replace(text, replacement))
    with pytest.raises(ConfigurationError, match=r"map.yaml:\d+: (expected a host|unknown key|expected)"):
        read_route_map(tmp_path / "map.yaml")
