"""Checked by mypy, never run: FastAPI handlers keep their types under decorators; dependencies return a principal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any, assert_type

from fastapi import APIRouter, Depends, FastAPI
from fastapi.requests import HTTPConnection
from iam_guard_fastapi import Caller, describe, guard_docs, guarded, public_access, public_docs

from iam_guard import Principal, Resource, Service

docs = Service("docs")
app = FastAPI()
may_read = guarded("docs:GetDocument", resource="document/{document_id}")
Reader = Annotated[Principal, Depends(may_read)]


@app.get("/documents/{document_id}")
@docs.requires("GetDocument", resource="document/{document_id}")
async def get_document(document_id: int, caller: Caller) -> list[str]:
    return [caller.arn] * document_id


@app.put("/documents/{document_id}", dependencies=[Depends(may_read)])
def put_document(document_id: str, reader: Reader) -> bytes:
    assert_type(reader, Principal)
    return reader.name.encode()


def load(document_id: str) -> Resource | None:
    return Resource(document_id)


async def load_later(document_id: str) -> Resource | None:
    return Resource(document_id)


guarded("GetDocument", service=docs, resource=load, context={"docs:Shape": "round"}, conceal=True)
guarded("docs:GetDocument", resource=load_later, context=lambda: {"docs:Shape": 1}, unsigned_payload=True)
router = APIRouter(dependencies=[Depends(may_read), Depends(public_access)])


def expect_same_type(caller: Caller) -> None:
    assert_type(caller, Principal)
    taken: Callable[[HTTPConnection], Awaitable[Principal]] = may_read
    assert_type(get_document(7, caller), Coroutine[Any, Any, list[str]])
    assert_type(put_document("7", caller), bytes)
    app.dependency_overrides[taken] = lambda: caller
    describe(app)
    public_docs(app)
    guard_docs(app, "docs:ReadApi")


def expect_errors(caller: Caller) -> None:
    get_document("7", caller)  # E: arg-type
    get_document(7)  # E: call-arg
    put_document(7, caller)  # E: arg-type
    guarded("docs:GetDocument", docs)  # E: call-arg
    guarded("docs:GetDocument", resource=7)  # E: arg-type
    guarded("docs:GetDocument", service="docs")  # E: arg-type
    guarded("docs:GetDocument", conceal="yes")  # E: arg-type
    describe(router)  # E: arg-type
    guard_docs(app)  # E: call-arg
    print(caller.nam)  # E: attr-defined
