"""Checked by mypy, never run: the decorators keep the type of a handler."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, assert_type

from iam_guard import (
    Decision,
    Guard,
    Principal,
    Resource,
    Service,
    current_decision,
    current_principal,
    public,
    requires,
)

docs = Service("docs")


@docs.requires("GetDocument", resource="document/{document_id}")
async def get_document(document_id: str, *, verbose: bool = False) -> list[int]:
    return [len(document_id), verbose]


@requires("docs:PutDocument")
def put_document(document_id: int) -> bytes:
    return bytes(document_id)


@public
def health() -> str:
    return "ok"


@public
class Page:
    title: str


def load(document_id: str) -> Resource | None:
    return Resource(document_id)


async def load_later(document_id: str) -> str:
    return document_id


class View:
    @docs.requires("GetDocument", resource=load_later, context={"docs:Shape": lambda: "round"})
    async def get(self, number: int) -> float:
        return number / 2

    @docs.requires("PutDocument", resource=load)
    def put(self) -> None: ...


def expect_same_type(view: View, guard: Guard, principal: Principal) -> None:
    assert_type(get_document("7", verbose=True), Coroutine[Any, Any, list[int]])
    assert_type(put_document(7), bytes)
    assert_type(health(), str)
    assert_type(Page().title, str)
    assert_type(view.get(1), Coroutine[Any, Any, float])
    taken: Callable[[int], bytes] = put_document
    assert_type(taken(1), bytes)
    assert_type(current_principal(), Principal)
    assert_type(current_decision(), Decision | None)
    assert_type(guard.decide_many(principal, [("docs:Get", "*")]), list[Decision])


def expect_errors(view: View) -> None:
    get_document(7)  # E: arg-type
    get_document("7", True)  # E: call-arg
    get_document("7", verbos=True)  # E: call-arg
    put_document("7")  # E: arg-type
    view.get("x")  # E: arg-type
    health(1)  # E: call-arg
    docs.requires("GetDocument", resource=7)  # E: arg-type
    docs.requires("GetDocument", "document/7")  # E: call-arg
    docs.requires("GetDocument")(7)  # E: arg-type
