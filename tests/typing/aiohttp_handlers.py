"""Checked by mypy, never run: aiohttp handlers and views keep their types under decorators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import assert_type

from aiohttp import web
from iam_guard_aiohttp import check_routes, inventory, setup

from iam_guard import Endpoint, Guard, RouteMap, Service, public

docs = Service("docs")
routes = web.RouteTableDef()


@docs.requires("GetDocument", resource="document/{document_id}")
async def get_document(request: web.Request) -> web.Response:
    return web.Response(text=request.match_info["document_id"])


@routes.view("/drafts/{number}")
class Draft(web.View):
    @docs.requires("PutDraft", resource="draft/{number}")
    async def put(self) -> web.StreamResponse:
        return web.StreamResponse()


@public
async def health(request: web.Request) -> web.Response:
    return web.Response(text="ok")


handler: Callable[[web.Request], Awaitable[web.StreamResponse]] = get_document
routes.get("/documents/{document_id}")(get_document)


async def expect_same_type(app: web.Application, guard: Guard, request: web.Request) -> None:
    assert_type(await get_document(request), web.Response)
    assert_type(await Draft(request).put(), web.StreamResponse)
    assert_type(await health(request), web.Response)
    assert_type(inventory(app), list[Endpoint])
    setup(app, guard=guard, routes=RouteMap(), check_routes=False)
    check_routes(app)


async def expect_errors(app: web.Application, guard: Guard, request: web.Request) -> int:
    await get_document("7")  # E: arg-type
    await health()  # E: call-arg
    setup(app)  # E: call-arg
    setup(app, guard="iam.yaml")  # E: arg-type
    setup(app, guard=guard, routes={})  # E: arg-type
    check_routes(guard)  # E: arg-type
    await Draft(request).put(request)  # E: call-arg
    number: int = await get_document(request)  # E: assignment
    return number
