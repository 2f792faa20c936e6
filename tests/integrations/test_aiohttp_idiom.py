"""What only aiohttp has: prepared responses, middlewares, sub-applications, views, static files, domains, signals."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.integrations.contract import needed

needed("aiohttp", "iam_guard_aiohttp")

from aiohttp import ServerDisconnectedError, test_utils, web  # noqa: E402
from iam_guard_aiohttp import check_routes, setup  # noqa: E402

from iam_guard import AccessDenied, Guard, RouteMap, current_principal, public  # noqa: E402
from iam_guard.errors import ConfigurationError, IamGuardError  # noqa: E402
from iam_guard.testing import as_principal  # noqa: E402
from tests.aiohttp_serving import ask, start  # noqa: E402
from tests.conftest import RITA, Sign  # noqa: E402
from tests.integrations.application import SECRET, answer, docs  # noqa: E402
from tests.tables import table  # noqa: E402

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
DOCUMENT = "document/{document_id}"


def one_route(guard: Guard, handler: Any, *, method: str = "GET", **options: Any) -> web.Application:
    app = web.Application()
    app.router.add_route(method, "/documents/{document_id}", handler)
    setup(app, guard=guard, check_routes=False, **options)
    return app


@docs.requires("GetDocument", resource=DOCUMENT)
async def document(request: web.Request) -> web.Response:
    return web.json_response(answer(request.match_info["document_id"]))


@docs.requires("GetDocument", resource="document/7")
async def document_seven(request: web.Request) -> web.Response:
    return web.json_response(answer("7"))


@docs.requires("PutDocument", resource="document/7")
async def put_document(request: web.Request) -> web.Response:
    return web.json_response(answer("7"))


@public
async def health(request: web.Request) -> web.Response:
    return web.Response(text="ok")


async def forgotten(request: web.Request) -> web.Response:
    return web.Response(text=SECRET)


# --- responses that start before a decision --------------------------------------------------------------------------


async def streams(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.enable_compression()
    await response.prepare(request)
    await response.write(SECRET.encode())
    return response


async def swallows(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    for step in (response.prepare(request), response.write(SECRET.encode()), response.write_eof()):
        try:
            await step
        except Exception:  # noqa: BLE001, S112  what a careless handler does
            continue
    return response


async def answers_otherwise(request: web.Request) -> web.StreamResponse:
    try:
        return await streams(request)
    except IamGuardError:
        return web.Response(text=SECRET)


async def starts_a_socket(request: web.Request) -> web.StreamResponse:
    response = web.WebSocketResponse()
    await response.prepare(request)
    await response.send_str(SECRET)
    return response


async def raises_success(request: web.Request) -> web.StreamResponse:
    raise web.HTTPOk(text=SECRET)


async def raises_redirect(request: web.Request) -> web.StreamResponse:
    raise web.HTTPFound(f"/?{SECRET}")


async def returns_a_file(request: web.Request) -> web.StreamResponse:
    return web.FileResponse(__file__)


async def says_not_found(request: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound(text=SECRET)


UNDECIDED = [streams, swallows, answers_otherwise, raises_success, raises_redirect, returns_a_file, says_not_found]


@table("handler", [*UNDECIDED, starts_a_socket], ids=lambda handler: handler.__name__)
def test_undecided_response_does_not_start(guard: Guard, sign: Sign, handler: Handler) -> None:
    """A 500 on a connection that still works, and nothing of the content."""
    headers = sign(RITA, "GET", "/documents/7")
    if handler is starts_a_socket:
        headers |= {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "13"}
        headers |= {"sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}

    async def exchange(app: web.Application) -> list[tuple[int, str, str]]:
        async with test_utils.TestClient(test_utils.TestServer(app)) as client:
            seen = []
            for _ in range(2):
                async with client.get("/documents/7", headers={"host": "testserver", **headers}) as response:
                    seen.append((response.status, await response.text(), response.headers["content-type"]))
            return seen

    for status, text, kind in asyncio.run(exchange(one_route(guard, handler))):
        assert (status, kind) == (500, "application/problem+json")
        assert SECRET not in text


def test_mark_without_a_decision_is_not_enough(guard: Guard, sign: Sign) -> None:
    """As after a decorator that copies attributes and does not call the handler."""

    async def wrapper(request: web.Request) -> web.StreamResponse:
        return await streams(request)

    wrapper.__dict__.update(vars(document))
    found = ask(one_route(guard, wrapper), "GET", "/documents/7", sign(RITA, "GET", "/documents/7"))
    assert (found.status, SECRET.encode() in found.body) == (500, False)


@docs.requires("GetDocument", resource=DOCUMENT)
async def fails(request: web.Request) -> web.StreamResponse:
    raise web.HTTPConflict(text="conflict") if "conflict" in request.query else ValueError(SECRET)


def test_errors_of_handlers_are_aiohttps(guard: Guard, sign: Sign, caplog: pytest.LogCaptureFixture) -> None:
    """With the request id; a handler that returns nothing is a 500."""
    app = one_route(guard, fails)
    found = ask(app, "GET", "/documents/7?conflict", sign(RITA, "GET", "/documents/7?conflict"))
    assert (found.status, found.body) == (409, b"conflict")
    assert found.headers["x-amzn-requestid"]

    @docs.requires("GetDocument", resource=DOCUMENT)
    async def returns_nothing(request: web.Request) -> Any:
        return None

    for handler in (fails, returns_nothing):
        found = ask(one_route(guard, handler), "GET", "/documents/7", sign(RITA, "GET", "/documents/7"))
        assert (found.status, SECRET.encode() in found.body) == (500, False)


def test_error_of_an_unguarded_handler_is_a_response(guard: Guard) -> None:
    """Not a broken connection."""

    async def fails_unguarded(request: web.Request) -> web.StreamResponse:
        raise ValueError(SECRET)

    found = ask(one_route(guard, fails_unguarded), "GET", "/documents/7")
    assert (found.status, SECRET.encode() in found.body) == (500, False)


def test_handler_of_an_expectation_can_not_answer(guard: Guard) -> None:
    """aiohttp calls it before every middleware."""

    async def expected(request: web.Request) -> web.StreamResponse:
        return web.Response(text=SECRET)

    app = web.Application()
    app.router.add_get("/documents/{document_id}", document, expect_handler=expected)
    setup(app, guard=guard)
    with pytest.raises(ServerDisconnectedError):
        ask(app, "GET", "/documents/7", {"expect": "100-continue"})


# --- middlewares -----------------------------------------------------------------------------------------------------


def test_middleware_before_the_guard_stops_the_start(guard: Guard) -> None:
    """So does a second guard, in the application or in a sub-application."""

    @web.middleware
    async def first(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await handler(request)

    app = web.Application()
    setup(app, guard=guard)
    with pytest.raises(ConfigurationError, match="without a guard"):
        setup(app, guard=guard)
    app.middlewares.insert(0, first)
    with pytest.raises(ConfigurationError, match=r"expected the guard as the first middleware, got `.*first`"):
        start(app)
    outer, inner = web.Application(), web.Application()
    setup(inner, guard=guard)
    outer.add_subapp("/inner", inner)
    setup(outer, guard=guard)
    with pytest.raises(ConfigurationError, match="one more in a sub-application"):
        check_routes(outer)
    with pytest.raises(ConfigurationError, match="got one without"):
        check_routes(web.Application())


@table(
    ("path", "status"),
    [
        ("/sub/documents/7", 500),
        ("/sub/nothing", 500),
        ("/sub/documents/7?status=429", 429),
        ("/sub/caught/7", 200),
        ("/sub/caught/refused", 403),
    ],
)
def test_middleware_of_a_sub_application_can_not_answer(guard: Guard, sign: Sign, path: str, status: int) -> None:
    """For a guarded handler, nor for a route that does not exist, nor after a denial; its errors pass."""

    @web.middleware
    async def answering(request: web.Request, handler: Handler) -> web.StreamResponse:
        if "caught" not in request.path:
            return web.Response(text=SECRET, status=int(request.query.get("status", "200")))
        try:
            return await handler(request)
        except AccessDenied:
            return web.Response(text=SECRET)

    sub = web.Application(middlewares=[answering])
    sub.router.add_get("/documents/{document_id}", document)
    sub.router.add_get("/caught/7", document_seven)
    sub.router.add_get("/caught/refused", put_document)
    app = web.Application()
    app.add_subapp("/sub", sub)
    setup(app, guard=guard, check_routes=False)
    found = ask(app, "GET", path, sign(RITA, "GET", path))
    assert (found.status, SECRET.encode() in found.body) == (status, status == 429)


def test_changed_parameter_changes_the_decision(guard: Guard, sign: Sign) -> None:
    """Of a decorator; a row of a map has decided before, so the response is refused."""

    @web.middleware
    async def changing(request: web.Request, handler: Handler) -> web.StreamResponse:
        request.match_info["document_id"] = "8"
        return await handler(request)

    async def undecorated(request: web.Request) -> web.StreamResponse:
        return web.Response(text=SECRET)

    app = web.Application(middlewares=[changing])
    app.router.add_get("/documents/{document_id}", document)
    setup(app, guard=guard)
    found = ask(app, "GET", "/documents/7", sign(RITA, "GET", "/documents/7"))
    assert b":document/8" in found.body
    routes = RouteMap(services=[docs])
    routes.requires("GET", "/documents/{document_id}", "docs:GetDocument", resource=DOCUMENT)
    mapped = web.Application(middlewares=[changing])
    mapped.router.add_get("/documents/{document_id}", undecorated)
    setup(mapped, guard=guard, routes=routes)
    found = ask(mapped, "GET", "/documents/7", sign(RITA, "GET", "/documents/7"))
    assert (found.status, SECRET.encode() in found.body) == (500, False)


def test_task_that_outlives_its_response_has_no_caller(guard: Guard, sign: Sign) -> None:
    outcomes: list[str] = []

    @docs.requires("GetDocument", resource=DOCUMENT)
    async def starting(request: web.Request) -> web.Response:
        async def later() -> None:
            await over.wait()
            try:
                outcomes.append(current_principal().name)
            except ConfigurationError as error:
                outcomes.append(str(error))

        tasks.append(asyncio.create_task(later()))
        return web.Response(text=current_principal().name)

    tasks: list[asyncio.Task[None]] = []
    over = asyncio.Event()

    async def finished(app: web.Application) -> None:
        over.set()
        await asyncio.gather(*tasks)

    app = web.Application()
    app.router.add_get("/documents/{document_id}", starting)
    app.on_cleanup.append(finished)
    setup(app, guard=guard)
    assert ask(app, "GET", "/documents/7", sign(RITA, "GET", "/documents/7")).body == b"rita"
    assert outcomes == ["the call is over: code that runs after the response has no caller"]


def test_caller_of_a_test_is_that_of_the_server(guard: Guard) -> None:
    """If the server starts inside of the block."""
    app = one_route(guard, document)
    with as_principal("arn:aws:iam::111122223333:user/rita"):
        assert b":user/rita" in ask(app, "GET", "/documents/7").body
    assert ask(one_route(guard, document), "GET", "/documents/7").status == 401


@table(
    ("path", "is_signed", "status"),
    [
        ("/forgotten", False, 200),
        ("/inner/documents/7", True, 200),
        ("/inner/documents/7", False, 401),
        ("/inner/nothing", False, 404),
    ],
)
def test_guard_of_a_sub_application_leaves_the_rest(
    guard: Guard, sign: Sign, path: str, is_signed: bool, status: int
) -> None:
    """The outer application answers as it did."""
    outer, inner = web.Application(), web.Application()
    inner.router.add_get("/documents/{document_id}", document)
    setup(inner, guard=guard)
    outer.add_subapp("/inner", inner)
    outer.router.add_get("/forgotten", forgotten)
    assert ask(outer, "GET", path, sign(RITA, "GET", path) if is_signed else {}).status == status
