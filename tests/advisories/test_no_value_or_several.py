"""Advisory: a decision about `document/['7']` let a caller at document 7.

A handler that takes whatever JSON brings, or several values of a query, was decided about under the text that Python
makes of them, which no policy names: what was denied by name could be had as a list of one, and everything where a
parameter that is left out means all. What is not one value names no resource now, and is refused.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from iam_guard import Guard, GuardMiddleware, Service
from tests.conftest import ADA, Sign

docs = Service("docs")


@docs.requires("DeleteDocument", resource="document/{document_id}")
async def delete(document_id: Any) -> Response:
    return PlainTextResponse(f"deleted {document_id}")


async def takes_anything(request: Request) -> Response:
    return await delete(json.loads(await request.body())["document_id"])


@pytest.mark.parametrize("value", [["7"], [], {"$ne": None}, {}, None, ["7", "8"]])
def test_what_is_not_one_value_names_no_resource(guard: Guard, sign: Sign, value: object) -> None:
    app = Starlette(routes=[Route("/delete", takes_anything, methods=["POST"])])
    client = TestClient(GuardMiddleware(app, guard=guard, check_routes=False))

    def ask(given: object) -> Any:
        body = json.dumps({"document_id": given}).encode()
        return client.post("/delete", content=body, headers=sign(ADA, "POST", "/delete", body=body))

    assert ask("7").text == "deleted 7"
    answer = ask(value)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidInput")
