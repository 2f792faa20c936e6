"""Checked by mypy, never run: Flask and Django views keep their types under decorators and adapters."""

from __future__ import annotations

from typing import Any, assert_type

from flask import Flask, Response
from flask.views import MethodView
from iam_guard_django import GuardMiddleware
from iam_guard_django.rest_framework import PrincipalUser
from iam_guard_django.views import inventory as inventory_of_project
from iam_guard_flask import IamGuard, inventory

from iam_guard import Endpoint, Guard, GuardWsgiMiddleware, Principal, Service, public

docs = Service("docs")
app = Flask(__name__)


@app.get("/documents/<int:number>")
@docs.requires("GetDocument", resource="document/{number}")
def get_document(number: int) -> Response:
    return Response(str(number))


@app.get("/health")
@public
def health() -> str:
    return "ok"


class Document(MethodView):
    @docs.requires("PutDocument", resource="document/{number}")
    def put(self, number: int) -> dict[str, int]:
        return {"number": number}


@docs.requires("GetDocument", resource="document/{number}")
def django_view(request: object, number: int) -> bytes:
    return bytes(number)


def expect_same_type(guard: Guard, principal: Principal, environ: dict[str, Any]) -> None:
    assert_type(get_document(7), Response)
    assert_type(health(), str)
    assert_type(Document().put(7), dict[str, int])
    assert_type(django_view(object(), number=7), bytes)
    assert_type(inventory(app), list[Endpoint])
    assert_type(inventory_of_project(), list[Endpoint])
    assert_type(PrincipalUser(principal).username, str)
    IamGuard(app, guard=guard).check(app)
    app.wsgi_app = GuardWsgiMiddleware(app.wsgi_app, guard=guard)  # type: ignore[method-assign]


def expect_errors(guard: Guard) -> None:
    get_document("7")  # E: arg-type
    Document().put(number="7")  # E: arg-type
    django_view(number=7)  # E: call-arg
    health(1)  # E: call-arg
    IamGuard(app, guards=guard)  # E: call-arg
    IamGuard(app, guard="iam.yaml")  # E: arg-type
    GuardWsgiMiddleware(app.wsgi_app)  # E: call-arg
    GuardMiddleware(7)  # E: arg-type
