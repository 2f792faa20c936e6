"""The contract for Starlette, which needs no adapter."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from iam_guard import Guard, GuardMiddleware, current_principal, public
from tests.integrations.application import (
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
from tests.integrations.contract import Adapter, Contract, through_starlette
from tests.serving import serving

DOCUMENT = "document/{document_id}"


def document_of(request: Request) -> str:
    document_id: str = request.path_params["document_id"]
    return document_id


@public
async def health(request: Request) -> Response:
    return PlainTextResponse("ok")


async def forgotten(request: Request) -> Response:
    return PlainTextResponse(SECRET)


async def forgotten_socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(SECRET)
    await websocket.close()


@docs.requires("GetDocument", resource=DOCUMENT)
async def get_document(request: Request) -> Response:
    return JSONResponse(answer(document_of(request)))


@docs.requires("PutDocument", resource=DOCUMENT)
def put_document(request: Request) -> Response:
    return JSONResponse(answer(document_of(request)))


@docs.requires("DeleteDocument", resource=DOCUMENT, conceal=True)
async def delete_document(request: Request) -> Response:
    return Response(status_code=204)


@docs.requires("GetDocument", resource="file/{path}")
async def get_file(request: Request) -> Response:
    return JSONResponse(answer(request.path_params["path"]))


@docs.requires("GetDocument", resource=load_document)
async def get_shared(request: Request) -> Response:
    return JSONResponse(answer(document_of(request)))


@public
async def by_hand(request: Request) -> Response:
    docs.authorize("PutDocument", ARN + document_of(request))
    return JSONResponse(answer(document_of(request)))


@docs.requires("GetDocument", resource=DOCUMENT)
async def raising(request: Request) -> Response:
    raise RuntimeError(SECRET)


class Document(HTTPEndpoint):
    @docs.requires("GetDocument", resource=DOCUMENT)
    async def get(self, request: Request) -> Response:
        return JSONResponse(answer(document_of(request)))

    @docs.requires("PutDocument", resource=DOCUMENT)
    async def put(self, request: Request) -> Response:
        return JSONResponse(answer(document_of(request)))


@docs.requires("PutDocument", resource=DOCUMENT)
async def upload(request: Request) -> Response:
    return JSONResponse(received(b"".join([part async for part in request.stream()])))


@docs.requires("GetDocument", resource=DOCUMENT)
async def stream(request: Request) -> Response:
    async def parts() -> Any:
        for part in STREAMED:
            yield part

    return StreamingResponse(parts())


@docs.requires("GetDocument", resource=DOCUMENT)
async def background(request: Request) -> Response:
    return JSONResponse(answer(document_of(request)), background=BackgroundTask(record_background_call))


@docs.requires("GetDocument", resource=DOCUMENT)
async def watch(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(current_principal().arn)
    await websocket.close()


@docs.requires("GetDocument", resource=DOCUMENT)
async def who(request: Request) -> Response:
    await barrier.wait_async()
    return JSONResponse(answer(document_of(request)))


@docs.requires("GetDocument", resource=DOCUMENT)
def who_sync(request: Request) -> Response:
    barrier.wait()
    return JSONResponse(answer(document_of(request)))


MOUNTED: list[BaseRoute] = [
    Route("/documents/{document_id}", get_document),
    Route("/forgotten", forgotten),
    WebSocketRoute("/watch/{document_id}", watch),
]
ROUTES: list[BaseRoute] = [
    Route("/health", health),
    Route("/forgotten", forgotten),
    WebSocketRoute("/forgotten-socket", forgotten_socket),
    Route("/documents/{document_id}", get_document),
    Route("/documents/{document_id}", put_document, methods=["PUT"]),
    Route("/documents/{document_id}", delete_document, methods=["DELETE"]),
    Route("/files/{path:path}", get_file),
    Route("/shared/{document_id}", get_shared),
    Route("/by-hand/{document_id}", by_hand),
    Route("/raising/{document_id}", raising),
    Route("/class/{document_id}", Document),
    Route("/uploads/{document_id}", upload, methods=["POST"]),
    Route("/streams/{document_id}", stream),
    Route("/background/{document_id}", background),
    WebSocketRoute("/watch/{document_id}", watch),
    Route("/who/{document_id}", who),
    Route("/who-sync/{document_id}", who_sync),
    Mount("/mounted", Starlette(routes=MOUNTED)),
]


def build(guard: Guard | None) -> Starlette:
    """Make the application, with CORS outside of the guard."""
    middleware = [Middleware(CORSMiddleware, allow_origins=[ORIGIN], allow_methods=["*"], allow_headers=["*"])]
    if guard is not None:
        middleware.append(Middleware(GuardMiddleware, guard=guard, check_routes=False))
    return Starlette(routes=ROUTES, middleware=middleware)


class TestStarlette(Contract):
    adapter = Adapter(build, through_starlette, serving)
