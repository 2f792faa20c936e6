"""Checked by mypy, never run: Litestar handlers keep their types under decorators, and guards are Litestar's."""

from __future__ import annotations

from typing import Any

from iam_guard_litestar import Caller, GuardPlugin, caller, guarded, public_access
from litestar import Controller, Litestar, Router, get
from litestar.di import Provide
from litestar.params import FromPath
from litestar.types import Guard as LitestarGuard

from iam_guard import Guard, Principal, Resource, Service

docs = Service("docs")
may_read = guarded("docs:GetDocument", resource="document/{document_id}")
given: LitestarGuard = may_read
opened: LitestarGuard = public_access


@docs.requires("GetDocument", resource="document/{document_id}")
async def read_document(document_id: FromPath[int], caller: Caller) -> list[str]:
    taken: Principal = caller
    return [taken.arn] * document_id


class Documents(Controller):
    guards = (may_read,)

    @get("/{document_id:str}", guards=[may_read])
    async def get_document(self, document_id: FromPath[str]) -> str:
        return document_id


def load(document_id: str) -> Resource | None:
    return Resource(document_id)


guarded("GetDocument", service=docs, resource=load, context={"docs:Shape": "round"}, conceal=True)


def build(guard: Guard) -> Litestar:
    router = Router("/", route_handlers=[Documents, get("/x")(read_document)], guards=[public_access])
    return Litestar([router], dependencies={"caller": Provide(caller)}, plugins=[GuardPlugin(guard)])


async def expect_errors(guard: Guard, principal: Principal) -> Any:
    await read_document("7", principal)  # E: arg-type
    await read_document(7)  # E: call-arg
    guarded("docs:GetDocument", resource=7)  # E: arg-type
    guarded("docs:GetDocument", service="docs")  # E: arg-type
    GuardPlugin("guard")  # E: arg-type
    GuardPlugin()  # E: call-arg
    GuardPlugin(guard, check_routes="no")  # E: arg-type
    number: int = await read_document(7, principal)  # E: assignment
    return number
