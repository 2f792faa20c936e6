"""Advisory: a decision about `file/acme/../globex/secret.txt` gave access to globex's file.

The hole: a handler that joins a parameter to a folder resolves dot segments, and policies compare text. A caller with
Allow on `file/acme/*` and Deny on `file/globex/*` could leave `acme`. Now a parameter with a dot segment, a backslash
or a control character is rejected.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.integrations.contract import needed

needed("fastapi", "flask", "litestar", "django", "iam_guard_flask", "iam_guard_litestar", "iam_guard_django")

from tests.integrations.django_project import project  # noqa: E402  Django has its settings first

# isort: split

from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.test import Client, override_settings  # noqa: E402
from django.urls import path as django_path  # noqa: E402
from fastapi import Depends, FastAPI  # noqa: E402
from flask import Flask  # noqa: E402
from flask import request as flask_request  # noqa: E402
from iam_guard_fastapi import guarded as dependency_of  # noqa: E402
from iam_guard_flask import IamGuard  # noqa: E402
from iam_guard_litestar import GuardPlugin, guarded  # noqa: E402
from litestar import Litestar, get  # noqa: E402
from litestar.params import FromPath  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import PlainTextResponse, Response  # noqa: E402
from starlette.routing import Mount, Route, WebSocketRoute  # noqa: E402
from starlette.testclient import TestClient, WebSocketDenialResponse  # noqa: E402
from starlette.websockets import WebSocket, WebSocketDisconnect  # noqa: E402

from iam_guard import Guard, GuardMiddleware, RouteMap, Service, open_guard, public  # noqa: E402
from iam_guard.authn.api_key import format_api_key  # noqa: E402
from tests.conftest import RITA, Sign  # noqa: E402

docs = Service("docs")
FILE = "file/{file_path}"
ARN = "arn:aws:docs:*:*:file/"
_SECRET = "ritasecret0123456789abcdefghijklmnopqrst"
API_KEY = {"authorization": f"Bearer {format_api_key('RITA', _SECRET)}"}

Answer = tuple[int, str]
Send = Callable[[str, Mapping[str, str]], Answer]
root = Path("/nowhere")


@pytest.fixture(autouse=True, scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> None:
    global root
    root = tmp_path_factory.mktemp("files").resolve()
    for name in ("acme", "globex"):
        (root / name).mkdir()
        (root / name / "secret.txt").write_text(f"{name}'s")


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    """Allow acme's files, deny globex's."""
    allowed, denied = [f"{ARN}acme/*", f"{ARN}/acme/*"], [f"{ARN}globex/*", f"{ARN}/globex/*"]
    opened = guard_with(tmp_path_factory.mktemp("seed"), allowed, denied)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def denying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    """Allow everything, deny one file of acme's."""
    denied = [f"{ARN}acme/secret.txt", f"{ARN}/acme/secret.txt"]
    opened = guard_with(tmp_path_factory.mktemp("seed"), [f"{ARN}*"], denied)
    yield opened
    opened.close()


def guard_with(folder: Path, allowed: list[str], denied: list[str]) -> Guard:
    statements = [
        {"Effect": "Allow", "Action": "docs:*", "Resource": allowed},
        {"Effect": "Deny", "Action": "docs:*", "Resource": denied},
    ]
    user = {
        "name": "rita",
        "inline": {"P": {"Version": "2012-10-17", "Statement": statements}},
        "api_keys": [{"id": "RITA", "secret": _SECRET}],
        "access_keys": [{"id": RITA[0], "secret": RITA[1]}],
    }
    seed = folder / "iam.json"
    seed.write_text(json.dumps({"version": 1, "accounts": [{"id": "111122223333", "name": "acme", "users": [user]}]}))
    return open_guard(seed, services=[docs])


def content(file_path: str | Path) -> str:
    """Read a file as a careful handler does."""
    found = (root / str(file_path).lstrip("/").replace("\\", "/")).resolve()
    return found.read_text() if found.is_relative_to(root) else "outside"


# --- the applications ------------------------------------------------------------------------------------------------


def sent_to(app: Any) -> Send:
    """Call an ASGI application with a raw target, which a test client would normalize."""

    def send(target: str, headers: Mapping[str, str]) -> Answer:
        return asyncio.run(_asked(app, target, headers))

    return send


async def _asked(app: Any, target: str, headers: Mapping[str, str]) -> Answer:
    path, _, query = target.partition("?")
    named = {"host": "testserver", **headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
        "server": ("testserver", 80),
        "client": ("127.0.0.1", 50000),
        "state": {},
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(each.get("body", b"") for each in sent).decode().strip('"')


async def starlette_file(request: Request) -> Response:
    return PlainTextResponse(content(request.path_params["file_path"]))


async def read_query(file_path: str) -> str:
    return content(file_path)


def file_map(path: str) -> RouteMap:
    routes = RouteMap()
    routes.requires("GET", path, "docs:GetFile", resource=FILE)
    return routes


def fastapi(guard: Guard) -> Any:
    app = FastAPI(openapi_url=None)
    app.get("/files/{file_path:path}")(docs.requires("GetFile", resource=FILE)(read_query))
    app.get("/query")(docs.requires("GetFile", resource=FILE)(read_query))
    return GuardMiddleware(app, guard=guard)


def fastapi_dependency(guard: Guard) -> Any:
    app = FastAPI(openapi_url=None)
    needs = dependency_of("GetFile", service=docs, resource=FILE)
    app.get("/files/{file_path:path}", dependencies=[Depends(needs)])(read_query)
    return GuardMiddleware(app, guard=guard)


def starlette(guard: Guard) -> Any:
    @docs.requires("GetFile", resource=FILE)
    async def read(file_path: Any) -> str:
        return content(file_path)

    async def by_query(request: Request) -> Response:
        return PlainTextResponse(await read(request.query_params["file_path"]))

    file = docs.requires("GetFile", resource=FILE)(starlette_file)
    routes = [Route("/files/{file_path:path}", file), Route("/query", by_query)]
    return GuardMiddleware(Starlette(routes=routes), guard=guard, check_routes=False)


def starlette_map(guard: Guard) -> Any:
    app = Starlette(routes=[Mount("/files", routes=[Route("/{file_path:path}", starlette_file)])])
    return GuardMiddleware(app, guard=guard, routes=file_map("/files/{file_path}"))


def litestar(guard: Guard, *, of_guard: bool = False, kind: Any = str) -> Any:
    async def read(file_path: FromPath[Any]) -> str:
        return content(file_path)

    read.__annotations__["file_path"] = FromPath[kind]
    if of_guard:
        route = get("/files/{file_path:path}", guards=[guarded("GetFile", service=docs, resource=FILE)])(read)
    else:
        route = get("/files/{file_path:path}")(docs.requires("GetFile", resource=FILE)(read))
    return Litestar([route], plugins=[GuardPlugin(guard)], openapi_config=None, logging_config=None)


def flask(guard: Guard, routes: RouteMap | None = None) -> Flask:
    app = Flask(__name__, static_folder=None)
    guarded_view = docs.requires("GetFile", resource=FILE)

    def file(file_path: str) -> str:
        return content(file_path)

    @public  # but for what it calls
    def query() -> str:
        return guarded_view(file)(flask_request.args["file_path"])

    app.add_url_rule("/files/<path:file_path>", view_func=file if routes else guarded_view(file))
    if routes is None:
        app.add_url_rule("/query", view_func=query)
    IamGuard(app, guard=guard, check_routes=False, routes=routes)
    return app


def sent_to_flask(app: Flask) -> Send:
    def send(target: str, headers: Mapping[str, str]) -> Answer:
        answer = app.test_client().get(target, headers={"host": "testserver", **headers})
        return answer.status_code, answer.text

    return send


def django_file(request: HttpRequest, file_path: str) -> HttpResponse:
    return HttpResponse(content(file_path))


urlpatterns = [
    django_path("files/<path:file_path>", docs.requires("GetFile", resource=FILE)(django_file)),
    django_path("mapped/<path:file_path>", django_file),
]


def sent_to_django(target: str, headers: Mapping[str, str]) -> Answer:
    answer = Client(headers={"host": "testserver", **headers}).get(target)
    return answer.status_code, answer.content.decode()


APPLICATIONS: dict[str, Callable[[Guard], Send]] = {
    "fastapi": lambda guard: sent_to(fastapi(guard)),
    "fastapi, a dependency": lambda guard: sent_to(fastapi_dependency(guard)),
    "starlette": lambda guard: sent_to(starlette(guard)),
    "starlette, a route map": lambda guard: sent_to(starlette_map(guard)),
    "litestar": lambda guard: sent_to(litestar(guard)),
    "litestar, a guard": lambda guard: sent_to(litestar(guard, of_guard=True)),
    "litestar, a Path": lambda guard: sent_to(litestar(guard, kind=Path)),
    "flask": lambda guard: sent_to_flask(flask(guard)),
    "flask, a route map": lambda guard: sent_to_flask(flask(guard, file_map("/files/<path:file_path>"))),
    "django": lambda guard: sent_to_django,
}

# --- the tests -------------------------------------------------------------------------------------------------------

ESCAPES = (
    "acme/../globex/secret.txt",
    "acme/%2e%2e/globex/secret.txt",
    "acme/.%2E/globex/secret.txt",
    "acme/..%2Fglobex/secret.txt",
    "acme%2F..%2Fglobex%2Fsecret.txt",
    "acme/./%2e./globex/secret.txt",
    "acme/x/../../globex/secret.txt",
    "acme/..%5Cglobex%5Csecret.txt",
    "acme%5C..%5C../globex/secret.txt",
    "acme/secret.txt/..",
    "acme/.",
)
NAMELESS = ("acme/secret.txt%00", "acme/%7F", "acme/%C2%85", "acme/%1B", "acme/.//secret.txt")
SAME_PATH = ("acme/.", "acme/.//secret.txt")
"""What is decided about without its dots, for the handler has a path without them."""


@pytest.mark.parametrize("name", APPLICATIONS)
def test_dot_segments_reach_no_other_folder(name: str, guard: Guard, sign: Sign, subtests: pytest.Subtests) -> None:
    """By API key; and by a signature, for which dot segments are rejected anyway."""
    with project(guard), override_settings(ROOT_URLCONF=__name__):
        send = APPLICATIONS[name](guard)
        assert send("/files/acme/secret.txt", API_KEY) == (200, "acme's")
        assert send("/files/globex/secret.txt", API_KEY)[0] == 403
        for target in ESCAPES + NAMELESS:
            path = f"/files/{target}"
            if "Path" in name and target in SAME_PATH:
                continue
            for credential in (API_KEY, sign(RITA, "GET", path)):
                with subtests.test(target, signed=credential is not API_KEY):
                    status, text = send(path, credential)
                    assert status in ((400,) if credential is API_KEY else (400, 401))
                    assert "globex's" not in text


SLASHES = (
    "/acme/secret.txt",
    "acme//secret.txt",
    "acme/secret.txt/",
    "acme/%2Fsecret.txt",
    "%2Facme/secret.txt",
)
"""A file system, or `pathlib`, reads them as `acme/secret.txt`."""


@pytest.mark.parametrize("name", APPLICATIONS)
def test_empty_segments_do_not_change_the_name(name: str, denying: Guard, subtests: pytest.Subtests) -> None:
    """A file is denied by its exact name. Routers that remove empty segments do so before the decision."""
    with project(denying), override_settings(ROOT_URLCONF=__name__):
        send = APPLICATIONS[name](denying)
        assert send("/files/globex/secret.txt", API_KEY) == (200, "globex's")
        assert send("/files/acme/secret.txt", API_KEY)[0] == 403
        for target in SLASHES:
            with subtests.test(target):
                status, text = send(f"/files/{target}", API_KEY)
                assert status in (308, 400, 403)
                assert "acme's" not in text


def test_route_map_of_django_rejects_dot_segments(guard: Guard) -> None:
    with project(guard, routes=file_map("/mapped/<path:file_path>")), override_settings(ROOT_URLCONF=__name__):
        assert sent_to_django("/mapped/acme/secret.txt", API_KEY) == (200, "acme's")
        assert sent_to_django("/mapped/globex/secret.txt", API_KEY)[0] == 403
        assert {sent_to_django(f"/mapped/{target}", API_KEY)[0] for target in ESCAPES} == {400}


@pytest.mark.parametrize("build", ["fastapi", "starlette", "flask"])
def test_query_parameter_with_dot_segment_is_rejected(build: str, guard: Guard, subtests: pytest.Subtests) -> None:
    send = APPLICATIONS[build](guard)
    assert send("/query?file_path=acme/secret.txt", API_KEY) == (200, "acme's")
    for text in (*ESCAPES, *NAMELESS, "acme//secret.txt", "/acme/secret.txt", "acme/secret.txt/", ""):
        with subtests.test(text):
            status, _ = send(f"/query?file_path={text}", API_KEY)
            assert status == 400


def test_websocket_with_dot_segment_is_rejected(guard: Guard) -> None:
    opened = []

    async def file(socket: WebSocket) -> None:
        opened.append(socket.path_params["file_path"])
        await socket.accept()
        await socket.close()

    routes = [WebSocketRoute("/files/{file_path:path}", docs.requires("GetFile", resource=FILE)(file))]
    client = TestClient(GuardMiddleware(Starlette(routes=routes), guard=guard))
    with client.websocket_connect("/files/acme/secret.txt", headers=API_KEY):
        pass
    with (
        pytest.raises((WebSocketDenialResponse, WebSocketDisconnect)),
        client.websocket_connect("/files/acme/%2e%2e/globex/secret.txt", headers=API_KEY),
    ):
        pass
    assert opened == ["acme/secret.txt"]


def test_loader_with_dot_segment_is_rejected(guard: Guard) -> None:
    """Its ARN contains the caller's text; with `raw`, such names are accepted."""

    def pasted(file_path: str) -> str:
        return f"arn:aws:docs:us-east-1:111122223333:file/{file_path}"

    def send(**more: Any) -> Send:
        file = docs.requires("GetFile", resource=pasted, **more)(starlette_file)
        return sent_to(GuardMiddleware(Starlette(routes=[Route("/files/{file_path:path}", file)]), guard=guard))

    target = "/files/acme/../globex/secret.txt"
    assert send()("/files/acme/secret.txt", API_KEY) == (200, "acme's")
    assert send()(target, API_KEY)[0] == 400
    assert send(raw=["file_path"])(target, API_KEY)[0] == 200


# --- names that are data ---------------------------------------------------------------------------------------------

RAW = ("file_path",)


async def key_in_starlette(request: Request) -> Response:
    return PlainTextResponse(request.path_params["file_path"])


async def key_in_fastapi(file_path: str) -> str:
    return file_path


def key_in_flask(file_path: str) -> str:
    return file_path


def key_in_django(request: HttpRequest, file_path: str) -> HttpResponse:
    return HttpResponse(file_path)


urlpatterns += [
    django_path("keys/<path:file_path>", docs.requires("GetFile", resource=FILE, raw=RAW)(key_in_django)),
]


def keys_of_starlette(guard: Guard) -> Send:
    key = docs.requires("GetFile", resource=FILE, raw=RAW)(key_in_starlette)
    return sent_to(GuardMiddleware(Starlette(routes=[Route("/keys/{file_path:path}", key)]), guard=guard))


def keys_of_a_map(guard: Guard) -> Send:
    routes = RouteMap()
    routes.requires("GET", "/keys/{file_path}", "docs:GetFile", resource=FILE, raw=RAW)
    app = Starlette(routes=[Route("/keys/{file_path:path}", key_in_starlette)])
    return sent_to(GuardMiddleware(app, guard=guard, routes=routes))


def keys_of_fastapi(guard: Guard) -> Send:
    app = FastAPI(openapi_url=None)
    needs = dependency_of("docs:GetFile", resource=FILE, raw=RAW)
    app.get("/keys/{file_path:path}", dependencies=[Depends(needs)])(key_in_fastapi)
    return sent_to(GuardMiddleware(app, guard=guard))


def keys_of_litestar(guard: Guard) -> Send:
    async def key(file_path: FromPath[str]) -> str:
        return file_path.removeprefix("/")

    route = get("/keys/{file_path:path}", guards=[guarded("docs:GetFile", resource=FILE, raw=RAW)])(key)
    return sent_to(Litestar([route], plugins=[GuardPlugin(guard)], openapi_config=None, logging_config=None))


def keys_of_flask(guard: Guard) -> Send:
    app = Flask(__name__, static_folder=None)
    key = docs.requires("GetFile", resource=FILE, raw=RAW)(key_in_flask)
    app.add_url_rule("/keys/<path:file_path>", view_func=key)
    IamGuard(app, guard=guard)
    return sent_to_flask(app)


@pytest.mark.parametrize(
    "build",
    [keys_of_starlette, keys_of_a_map, keys_of_fastapi, keys_of_litestar, keys_of_flask, lambda guard: sent_to_django],
)
def test_raw_parameter_is_decided_unchanged(build: Callable[[Guard], Send], guard: Guard) -> None:
    """An object key for example, which is not used as a path."""
    with project(guard), override_settings(ROOT_URLCONF=__name__):
        send = build(guard)
        assert send("/keys/acme/../globex/secret.txt", API_KEY) == (200, "acme/../globex/secret.txt")
        assert send("/keys/globex/../acme/secret.txt", API_KEY)[0] == 403
