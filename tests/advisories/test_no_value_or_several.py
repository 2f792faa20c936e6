"""Advisory: a decision about `document/['7']` gave access to document 7.

The hole: a handler that accepts any JSON, or several values of a query parameter, was decided by Python's text of the
value, which no policy names: a denied document was accessible as a list of one, and all of them if a missing parameter
means all. Now a missing or list-valued parameter returns 400.
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
def test_missing_or_list_valued_parameter_is_rejected(guard: Guard, sign: Sign, value: object) -> None:
    app = Starlette(routes=[Route("/delete", takes_anything, methods=["POST"])])
    client = TestClient(GuardMiddleware(app, guard=guard, check_routes=False))

    def ask(value: object) -> Any:
        body = json.dumps({"document_id": value}).encode()
        return client.post("/delete", content=body, headers=sign(ADA, "POST", "/delete", body=body))

    assert ask("7").text == "deleted 7"
    answer = ask(value)
    assert (answer.status_code, answer.json()["code"]) == (400, "InvalidInput")
