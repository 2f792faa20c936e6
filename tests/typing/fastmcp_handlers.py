"""Checked by mypy, never run: functions of FastMCP keep their types under decorators."""

from __future__ import annotations

from fastmcp import FastMCP
from fastmcp.server.http import StarletteWithLifespan
from fastmcp.server.middleware import Middleware
from iam_guard_fastmcp import GuardTools, guarded_http_app

from iam_guard import Endpoint, Guard, Principal, Service

docs = Service("docs")


@docs.requires("GetDocument", resource="document/{number}")
async def get_document(number: int) -> str:
    return str(number)


async def use(guard: Guard, principal: Principal) -> None:
    tools = GuardTools(guard, service=docs, principal=principal, components={"tool/x": docs.requirement("X")})
    middleware: Middleware = tools
    server: FastMCP = FastMCP("x", middleware=[middleware])
    app: StarletteWithLifespan = guarded_http_app(server, guard, issuers=["https://id.example.com"])
    found: list[Endpoint] = await tools.inventory(server)
    GuardTools(guard, principal=principal.arn, components={"tool/x": "public"}, list_action="ListComponent")
    text: str = await get_document(7)
    del app, found, text
    await get_document("7")  # E: arg-type
    await get_document()  # E: call-arg
    GuardTools("guard")  # E: arg-type
    GuardTools()  # E: call-arg
    GuardTools(guard, service="docs")  # E: arg-type
    GuardTools(guard, principal=7)  # E: arg-type
    guarded_http_app(server)  # E: call-arg
    guarded_http_app(guard, guard)  # E: arg-type
    await tools.check()  # E: call-arg
