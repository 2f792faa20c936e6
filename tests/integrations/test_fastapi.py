"""The contract for FastAPI, with decorators and with dependencies; and its OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from tests.integrations.contract import Adapter, Contract, needed, through_starlette

needed("fastapi", "iam_guard_fastapi", "openapi_spec_validator")

from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, Request, WebSocket  # noqa: E402
from fastapi.middleware.cors import CORSMiddleware  # noqa: E402
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse  # noqa: E402
from iam_guard_fastapi import Caller, describe, guarded  # noqa: E402
from starlette.endpoints import HTTPEndpoint  # noqa: E402

from iam_guard import Guard, GuardMiddleware, public  # noqa: E402
from tests.integrations.application import (  # noqa: E402
    ARN,
    ORIGIN,
    SECRET,
    STREAMED,
    answer,
    barrier,
    docs,
    load_document,
    received,
    record_background_call,
)
from tests.serving import serving  # noqa: E402

DOCUMENT = "document/{document_id}"
reads = docs.requires("GetDocument", resource=DOCUMENT)
writes = docs.requires("PutDocument", resource=DOCUMENT)


class Document(HTTPEndpoint):
    """An endpoint class of Starlette, as FastAPI has none."""

    @reads
    async def get(self, request: Request) -> Response:
        return JSONResponse(answer(request.path_params["document_id"]))

    @writes
    async def put(self, request: Request) -> Response:
        return JSONResponse(answer(request.path_params["document_id"]))


async def streamed() -> Any:
    for part in STREAMED:
        yield part


def unguarded_routes(app: FastAPI | APIRouter) -> None:
    """Routes of both forms: public endpoints, and unguarded ones."""

    @app.get("/health")
    @public
    async def health() -> PlainTextResponse:
        return PlainTextResponse("ok")

    @app.get("/forgotten")
    async def forgotten() -> str:
        return SECRET

    @app.websocket("/forgotten-socket")
    async def forgotten_socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(SECRET)
        await websocket.close()

    @app.get("/by-hand/{document_id}")
    @public
    async def by_hand(document_id: str) -> dict[str, str]:
        docs.authorize("PutDocument", ARN + document_id)
        return answer(document_id)


# --- by decorators ---------------------------------------------------------------------------------------------------


def by_decorators(guard: Guard | None) -> FastAPI:
    """Guard each handler with a decorator; half of them are in nested routers."""
    app, outer, inner, mounted = FastAPI(), APIRouter(), APIRouter(), FastAPI()
    unguarded_routes(app)

    @reads
    async def get_document(document_id: str, caller: Caller) -> dict[str, str]:
        return {**answer(document_id), "caller": caller.arn}

    @reads
    async def watch(websocket: WebSocket, document_id: str, caller: Caller) -> None:
        await websocket.accept()
        await websocket.send_text(caller.arn)
        await websocket.close()

    app.get("/documents/{document_id}")(get_document)
    mounted.get("/documents/{document_id}")(get_document)
    app.websocket("/watch/{document_id}")(watch)
    mounted.websocket("/watch/{document_id}")(watch)

    @mounted.get("/forgotten")
    async def forgotten() -> str:
        return SECRET

    @app.put("/documents/{document_id}")
    @writes
    def put_document(document_id: str) -> dict[str, str]:
        return answer(document_id)

    @app.delete("/documents/{document_id}", status_code=204)
    @docs.requires("DeleteDocument", resource=DOCUMENT, conceal=True)
    async def delete_document(document_id: str) -> None: ...

    @inner.get("/{path:path}")
    @docs.requires("GetDocument", resource="file/{path}")
    async def get_file(path: str) -> dict[str, str]:
        return answer(path)

    @outer.get("/shared/{document_id}")
    @docs.requires("GetDocument", resource=load_document)
    async def get_shared(document_id: str) -> dict[str, str]:
        return answer(document_id)

    @outer.get("/raising/{document_id}")
    @reads
    async def raising(document_id: str) -> None:
        raise RuntimeError(SECRET)

    @outer.post("/uploads/{document_id}")
    @writes
    async def upload(document_id: str, request: Request) -> dict[str, Any]:
        return received(b"".join([part async for part in request.stream()]))

    @outer.get("/streams/{document_id}")
    @reads
    async def stream(document_id: str) -> StreamingResponse:
        return StreamingResponse(streamed())

    @outer.get("/background/{document_id}")
    @reads
    async def background(document_id: str, tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(record_background_call)
        return answer(document_id)

    @outer.get("/who/{document_id}")
    @reads
    async def who(document_id: str) -> dict[str, str]:
        await barrier.wait_async()
        return answer(document_id)

    @outer.get("/who-sync/{document_id}")
    @reads
    def who_sync(document_id: str) -> dict[str, str]:
        barrier.wait()
        return answer(document_id)

    outer.include_router(inner, prefix="/files")
    app.include_router(outer)
    app.mount("/mounted", mounted)
    app.add_route("/class/{document_id}", Document)
    return finished(app, guard)


def finished(app: FastAPI, guard: Guard | None) -> FastAPI:
    """Add the guard, and CORS outside of it."""
    describe(app)
    if guard is not None:
        app.add_middleware(GuardMiddleware, guard=guard, check_routes=False)
    app.add_middleware(CORSMiddleware, allow_origins=[ORIGIN], allow_methods=["*"], allow_headers=["*"])
    return app


LACKS = {"head": "FastAPI answers HEAD only where it is declared"}


class TestByDecorators(Contract):
    adapter = Adapter(by_decorators, through_starlette, serving, lacks=LACKS)


# --- by dependencies -------------------------------------------------------------------------------------------------

may_read = guarded("docs:GetDocument", resource=DOCUMENT)
may_write = guarded("PutDocument", service=docs, resource=DOCUMENT)
may_delete = guarded("docs:DeleteDocument", resource=DOCUMENT, conceal=True)
Reader = Annotated[Any, Depends(may_read)]


def by_dependencies(guard: Guard | None) -> FastAPI:
    """Guard with dependencies: parameters, those of a route, of a router, and of an included router."""
    app = FastAPI()
    unguarded_routes(app)
    reading = APIRouter(dependencies=[Depends(may_read)])
    writing, including, mounted = APIRouter(), APIRouter(), FastAPI()

    async def get_document(document_id: str, caller: Reader) -> dict[str, str]:
        return {**answer(document_id), "caller": caller.arn}

    async def watch(websocket: WebSocket, caller: Reader) -> None:
        await websocket.accept()
        await websocket.send_text(caller.arn)
        await websocket.close()

    app.get("/documents/{document_id}")(get_document)
    mounted.get("/documents/{document_id}")(get_document)
    reading.websocket("/watch/{document_id}")(watch)
    mounted.websocket("/watch/{document_id}")(watch)

    @mounted.get("/forgotten")
    async def forgotten() -> str:
        return SECRET

    @writing.put("/documents/{document_id}")
    def put_document(document_id: str) -> dict[str, str]:
        return answer(document_id)

    @writing.post("/uploads/{document_id}")
    async def upload(document_id: str, request: Request) -> dict[str, Any]:
        return received(b"".join([part async for part in request.stream()]))

    @app.delete("/documents/{document_id}", status_code=204, dependencies=[Depends(may_delete)])
    async def delete_document(document_id: str) -> None: ...

    @app.get("/files/{path:path}", dependencies=[Depends(guarded("docs:GetDocument", resource="file/{path}"))])
    async def get_file(path: str) -> dict[str, str]:
        return answer(path)

    @app.get("/shared/{document_id}", dependencies=[Depends(guarded("docs:GetDocument", resource=load_document))])
    async def get_shared(document_id: str) -> dict[str, str]:
        return answer(document_id)

    @reading.get("/raising/{document_id}")
    async def raising(document_id: str) -> None:
        raise RuntimeError(SECRET)

    @reading.get("/streams/{document_id}")
    async def stream(document_id: str) -> StreamingResponse:
        return StreamingResponse(streamed())

    @reading.get("/background/{document_id}")
    async def background(document_id: str, tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(record_background_call)
        return answer(document_id)

    @reading.get("/who/{document_id}")
    async def who(document_id: str) -> dict[str, str]:
        await barrier.wait_async()
        return answer(document_id)

    @reading.get("/who-sync/{document_id}")
    def who_sync(document_id: str) -> dict[str, str]:
        barrier.wait()
        return answer(document_id)

    including.include_router(reading)
    app.include_router(including)
    app.include_router(writing, dependencies=[Depends(may_write)])
    app.mount("/mounted", mounted)
    app.add_route("/class/{document_id}", Document)
    return finished(app, guard)


class TestByDependencies(Contract):
    adapter = Adapter(by_dependencies, through_starlette, serving, lacks=LACKS)
