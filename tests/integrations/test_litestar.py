"""The contract for Litestar: with decorators, with guards, and with a map for undecorated handlers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from tests.integrations.contract import Adapter, Answer, Contract, Send, Sent, needed

needed("litestar", "iam_guard_litestar", "openapi_spec_validator")

from iam_guard_litestar import Caller, GuardPlugin, caller, guarded  # noqa: E402
from litestar import Controller, Litestar, Request, Router, WebSocket, asgi, delete, get, post, put, websocket  # noqa: E402
from litestar.background_tasks import BackgroundTask  # noqa: E402
from litestar.config.cors import CORSConfig  # noqa: E402
from litestar.di import Provide  # noqa: E402
from litestar.exceptions import WebSocketDisconnect  # noqa: E402
from litestar.params import FromPath  # noqa: E402
from litestar.response import Response, Stream  # noqa: E402
from litestar.testing import TestClient  # noqa: E402

from iam_guard import Guard, RouteMap, current_principal, public  # noqa: E402
from tests.integrations.application import (  # noqa: E402
    ARN,
    DOCUMENT,
    ORIGIN,
    SECRET,
    STREAMED,
    answer,
    barrier,
    docs,
    load_document,
    received,
    record_background_call,
    scenario_map,
)
from tests.serving import serving  # noqa: E402

BASE = "http://testserver.local"
reads = docs.requires("GetDocument", resource=DOCUMENT)
writes = docs.requires("PutDocument", resource=DOCUMENT)


@contextlib.contextmanager
def through_litestar(app: Litestar) -> Iterator[Send]:
    """Call an application with Litestar's test client."""
    client = TestClient(app, base_url=BASE, raise_server_exceptions=False)

    def send(sent: Sent) -> Answer:
        if sent.method == "WEBSOCKET":
            return handshake(client, sent)
        answer = client.request(sent.method, sent.target, headers=dict(sent.headers), content=sent.body)
        return Answer(answer.status_code, dict(answer.headers), answer.content)

    with client:
        yield send


def handshake(client: TestClient[Litestar], sent: Sent) -> Answer:
    messages: list[str] = []
    try:
        with client.websocket_connect(sent.target, headers=dict(sent.headers)) as socket:
            with contextlib.suppress(WebSocketDisconnect):
                while True:
                    messages.append(socket.receive_text())
            return Answer(101, messages=tuple(messages))
    except WebSocketDisconnect as refused:
        return Answer(403, closed=refused.code)


async def streamed() -> AsyncIterator[bytes]:
    for part in STREAMED:
        yield part


# --- what both forms have in common ---------------------------------------------------------------------------------


@get("/health", media_type="text/plain")
@public
async def health() -> str:
    return "ok"


@get("/forgotten")
async def forgotten() -> str:
    return SECRET


@websocket("/forgotten-socket")
async def forgotten_socket(socket: WebSocket[Any, Any, Any]) -> None:
    await socket.accept()
    await socket.send_text(SECRET)
    await socket.close()


@get("/by-hand/{document_id:str}")
@public
async def by_hand(document_id: FromPath[str]) -> dict[str, str]:
    docs.authorize("PutDocument", ARN + document_id)
    return answer(document_id)


async def get_document(document_id: FromPath[str], caller: Caller) -> dict[str, str]:
    return {**answer(document_id), "caller": caller.arn}


def put_document(document_id: FromPath[str]) -> dict[str, str]:
    return answer(document_id)


async def delete_document(document_id: FromPath[str]) -> None: ...


async def get_file(path: FromPath[str]) -> dict[str, str]:
    return answer(path.removeprefix("/"))


async def get_shared(document_id: FromPath[str]) -> dict[str, str]:
    return answer(document_id)


async def raising(document_id: FromPath[str]) -> None:
    raise RuntimeError(SECRET)


async def upload(document_id: FromPath[str], request: Request[Any, Any, Any]) -> dict[str, Any]:
    return received(b"".join([part async for part in request.stream()]))


async def stream(document_id: FromPath[str]) -> Stream:
    return Stream(streamed())


async def background(document_id: FromPath[str]) -> Response[dict[str, str]]:
    return Response(answer(document_id), background=BackgroundTask(record_background_call))


async def watch(socket: WebSocket[Any, Any, Any], document_id: FromPath[str]) -> None:
    await socket.accept()
    await socket.send_text(current_principal().arn)
    await socket.close()


async def who(document_id: FromPath[str]) -> dict[str, str]:
    await barrier.wait_async()
    return answer(document_id)


def who_sync(document_id: FromPath[str]) -> dict[str, str]:
    barrier.wait()
    return answer(document_id)


def finished(guard: Guard | None, handlers: list[Any], mounted: Litestar, routes: RouteMap | None = None) -> Litestar:
    """Add the guard, and CORS outside of it."""
    mount = asgi("/mounted", is_mount=True, copy_scope=False)(mounted)
    opened = [] if routes is not None else [health, by_hand]
    return Litestar(
        [forgotten, forgotten_socket, mount, *opened, *handlers],
        dependencies={"caller": Provide(caller)},
        plugins=[] if guard is None else [GuardPlugin(guard, check_routes=False, routes=routes)],
        cors_config=CORSConfig(allow_origins=[ORIGIN]),
    )


# --- by decorators ---------------------------------------------------------------------------------------------------


class Documents(Controller):
    path = "/class/{document_id:str}"

    @get()
    @reads
    async def read(self, document_id: FromPath[str]) -> dict[str, str]:
        return answer(document_id)

    @put()
    @writes
    async def write(self, document_id: FromPath[str]) -> dict[str, str]:
        return answer(document_id)


def by_decorators(guard: Guard | None) -> Litestar:
    """Guard each handler with a decorator; half of them are in nested routers."""
    reading, watching = reads(get_document), reads(watch)
    mounted = Litestar(
        [get("/documents/{document_id:str}")(reading), websocket("/watch/{document_id:str}")(watching), forgotten],
        dependencies={"caller": Provide(caller)},
        openapi_config=None,
        logging_config=None,
    )
    nested = [
        get("/shared/{document_id:str}")(docs.requires("GetDocument", resource=load_document)(get_shared)),
        get("/raising/{document_id:str}")(reads(raising)),
        post("/uploads/{document_id:str}", status_code=200)(writes(upload)),
        get("/streams/{document_id:str}")(reads(stream)),
        get("/background/{document_id:str}")(reads(background)),
        get("/who/{document_id:str}")(reads(who)),
        get("/who-sync/{document_id:str}", sync_to_thread=True)(reads(who_sync)),
    ]
    handlers = [
        get("/documents/{document_id:str}")(reading),
        put("/documents/{document_id:str}", sync_to_thread=True)(writes(put_document)),
        delete("/documents/{document_id:str}")(
            docs.requires("DeleteDocument", resource=DOCUMENT, conceal=True)(delete_document)
        ),
        get("/files/{path:path}")(docs.requires("GetDocument", resource="file{path}")(get_file)),
        websocket("/watch/{document_id:str}")(watching),
        Documents,
        Router("/", route_handlers=[Router("/", route_handlers=nested)]),
    ]
    return finished(guard, handlers, mounted)


LACKS = {"head": "Litestar answers HEAD only where it is declared"}


class TestByDecorators(Contract):
    adapter = Adapter(by_decorators, through_litestar, serving, lacks=LACKS, base=BASE)


# --- by guards -------------------------------------------------------------------------------------------------------

may_read = guarded("docs:GetDocument", resource=DOCUMENT)
may_write = guarded("PutDocument", service=docs, resource=DOCUMENT)
may_delete = guarded("docs:DeleteDocument", resource=DOCUMENT, conceal=True)


class GuardedDocuments(Controller):
    path = "/class/{document_id:str}"

    @get(guards=[may_read])
    async def read(self, document_id: FromPath[str]) -> dict[str, str]:
        return answer(document_id)

    @put(guards=[may_write])
    async def write(self, document_id: FromPath[str]) -> dict[str, str]:
        return answer(document_id)


def by_guards(guard: Guard | None) -> Litestar:
    """Guard by Litestar's guards: those of a handler, of a controller's handlers, and of a router."""
    mounted = Litestar(
        [
            get("/documents/{document_id:str}", guards=[may_read])(get_document),
            websocket("/watch/{document_id:str}", guards=[may_read])(watch),
            forgotten,
        ],
        dependencies={"caller": Provide(caller)},
        openapi_config=None,
        logging_config=None,
    )
    reading = [
        get("/raising/{document_id:str}")(raising),
        get("/streams/{document_id:str}")(stream),
        get("/background/{document_id:str}")(background),
        websocket("/watch/{document_id:str}")(watch),
        get("/who/{document_id:str}")(who),
        get("/who-sync/{document_id:str}", sync_to_thread=True)(who_sync),
    ]
    writing = [
        post("/uploads/{document_id:str}", status_code=200)(upload),
    ]
    handlers = [
        get("/documents/{document_id:str}", guards=[may_read])(get_document),
        put("/documents/{document_id:str}", guards=[may_write], sync_to_thread=True)(put_document),
        delete("/documents/{document_id:str}", guards=[may_delete])(delete_document),
        get("/files/{path:path}", guards=[guarded("docs:GetDocument", resource="file{path}")])(get_file),
        get("/shared/{document_id:str}", guards=[guarded("docs:GetDocument", resource=load_document)])(get_shared),
        GuardedDocuments,
        Router("/", route_handlers=[Router("/", route_handlers=reading)], guards=[may_read]),
        Router("/", route_handlers=writing, guards=[may_write]),
    ]
    return finished(guard, handlers, mounted)


class TestByGuards(Contract):
    adapter = Adapter(by_guards, through_litestar, serving, lacks=LACKS, base=BASE)


# --- by a map --------------------------------------------------------------------------------------------------------


class UntouchedDocuments(Controller):
    path = "/class/{document_id:str}"

    @get()
    async def read(self, document_id: FromPath[str]) -> dict[str, str]:
        return answer(document_id)

    @put()
    async def write(self, document_id: FromPath[str]) -> dict[str, str]:
        return answer(document_id)


async def health_as_it_came() -> str:
    return "ok"


async def by_hand_as_it_came(document_id: FromPath[str]) -> dict[str, str]:
    docs.authorize("PutDocument", ARN + document_id)
    return answer(document_id)


def the_map() -> RouteMap:
    """Return the route map that replaces the decorators; templates include the mounts."""
    names = ("documents", "raising", "streams", "background", "who", "who-sync", "class", "mounted/documents")
    routes = scenario_map(*names, files="/files/{path:path}", file="file{path}")
    for path in ("/watch/{document_id:str}", "/mounted/watch/{document_id}"):
        routes.requires("WEBSOCKET", path, "docs:GetDocument", resource=DOCUMENT)
    return routes


def by_map(guard: Guard | None) -> Litestar:
    """Guard handlers as they came; half of them are in nested routers, and some in what is mounted."""
    mounted = Litestar(
        [get("/documents/{document_id:str}")(get_document), websocket("/watch/{document_id:str}")(watch), forgotten],
        dependencies={"caller": Provide(caller)},
        openapi_config=None,
        logging_config=None,
    )
    nested = [
        get("/shared/{document_id:str}")(get_shared),
        get("/raising/{document_id:str}")(raising),
        post("/uploads/{document_id:str}", status_code=200)(upload),
        get("/streams/{document_id:str}")(stream),
        get("/background/{document_id:str}")(background),
        get("/who/{document_id:str}")(who),
        get("/who-sync/{document_id:str}", sync_to_thread=True)(who_sync),
    ]
    handlers = [
        get("/health", media_type="text/plain")(health_as_it_came),
        get("/by-hand/{document_id:str}")(by_hand_as_it_came),
        get("/documents/{document_id:str}")(get_document),
        put("/documents/{document_id:str}", sync_to_thread=True)(put_document),
        delete("/documents/{document_id:str}")(delete_document),
        get("/files/{path:path}")(get_file),
        websocket("/watch/{document_id:str}")(watch),
        UntouchedDocuments,
        Router("/", route_handlers=[Router("/", route_handlers=nested)]),
    ]
    return finished(guard, handlers, mounted, the_map())


class TestByMap(Contract):
    adapter = Adapter(by_map, through_litestar, serving, lacks=LACKS, base=BASE)

    def test_missing_middleware_denies_every_caller(self) -> None:
        """Not with a map: the middleware enforces it, and the handlers are undecorated."""
