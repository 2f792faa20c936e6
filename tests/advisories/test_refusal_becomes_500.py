"""Advisory: with the guard around an application instead of among its middlewares, each denial answered 500.

The fault: Starlette's outermost layer, and other frameworks at every layer, turn unknown exceptions into a 500. Now a
denial is stored when it is raised, and replaces such a 500.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from iam_guard import AccessDenied, Guard, GuardMiddleware, Service
from iam_guard.audit.consumer.reader import read_records
from tests.conftest import RITA, Sign

ARN = "arn:aws:docs:us-east-1:111122223333:document/"

docs = Service("docs")


@docs.requires("GetDocument", resource="document/{document_id}")
async def get(request: Request) -> Response:
    if request.query_params.get("break"):
        raise RuntimeError("secret")
    return PlainTextResponse("read")


@docs.requires("PutDocument", resource="document/{document_id}")
def put(request: Request) -> Response:
    return PlainTextResponse("written")


@docs.requires("DeleteDocument", resource="document/{document_id}", conceal=True)
async def delete(request: Request) -> Response:
    return PlainTextResponse("deleted")


@docs.requires("GetDocument", resource="document/{document_id}")
async def by_hand(request: Request) -> Response:
    try:
        docs.authorize("PutDocument", ARN + "7")
    except AccessDenied:
        if not request.query_params.get("catch"):
            raise
    return PlainTextResponse("read only")


async def forgotten(request: Request) -> Response:
    return PlainTextResponse("secret content")


ROUTES = [
    Route("/forgotten", forgotten),
    Route("/by-hand/{document_id}", by_hand),
    Route("/{document_id}", get),
    Route("/{document_id}", put, methods=["PUT"]),
    Route("/{document_id}", delete, methods=["DELETE"]),
]


class Swallowing:
    """A framework layer that answers every exception with 500."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.app(scope, receive, send)
        except Exception as error:  # noqa: BLE001  as such frameworks do
            await PlainTextResponse(str(error), 500)(scope, receive, send)


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("swallow", [False, True])
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/7", 200),
        ("PUT", "/7", 403),
        ("DELETE", "/7", 404),
        ("GET", "/by-hand/7", 403),
        ("GET", "/by-hand/7?catch=1", 200),
        ("GET", "/7?break=1", 500),
        ("GET", "/forgotten", 500),
    ],
)
def test_denial_is_answered_with_the_guard_outermost(
    guard: Guard, sign: Sign, audit_file: Path, debug: bool, swallow: bool, method: str, path: str, status: int
) -> None:
    """`GuardMiddleware(app, guard=guard)`: the format of the response, and one record per decision."""
    app: Any = Starlette(debug=debug, routes=ROUTES)
    client = TestClient(
        GuardMiddleware(Swallowing(app) if swallow else app, guard=guard, check_routes=False),
        raise_server_exceptions=False,
    )
    answer = client.request(method, path, headers=sign(RITA, method, path))
    assert answer.status_code == status
    assert "eyes" not in answer.text
    if status in (403, 404):
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["requestId"] == answer.headers["x-amzn-requestid"]
    assert len(list(read_records(audit_file))) == (2 if "by-hand" in path else 1)
    anonymous = client.request(method, path)
    assert anonymous.status_code == {404: 404, 500: anonymous.status_code}.get(status, 401)
