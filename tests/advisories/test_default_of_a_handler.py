"""Advisory: the default of a handler's parameter was decided instead of the route's value.

The hole: Starlette passes only the request to a handler. A handler with `document_id="7"` in its signature, for tests
for example, was decided as `document/7` for every path, and read the path from the request. Such a request is answered
with 500 now, as only a request can show the mistake.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from iam_guard import GuardMiddleware, Service
from tests.advisories.denial_guard import KEY, open_guard_denying

docs = Service("docs")


@docs.requires("GetDocument", resource="document/{document_id}")
async def document(request: Request, document_id: str = "1") -> Response:
    return PlainTextResponse(f"document {request.path_params['document_id']}")


@docs.requires("GetDocument", resource="document/{document_id}")
async def document_by_keyword(request: Request, *, document_id: str = "1") -> Response:
    return PlainTextResponse(f"document {request.path_params['document_id']}")


def test_default_never_replaces_the_value_of_the_route(tmp_path: Path, subtests: pytest.Subtests) -> None:
    guard = open_guard_denying(tmp_path, "7")
    for handler in (document, document_by_keyword):
        app = Starlette(routes=[Route("/{document_id}", handler)])
        client = TestClient(GuardMiddleware(app, guard=guard), headers=KEY)
        for document_id, status in (("1", 200), ("7", 500), ("8", 500)):
            with subtests.test(handler=handler.__name__, document_id=document_id):
                answer = client.get(f"/{document_id}")
                assert answer.status_code == status
                assert "document 7" not in answer.text
    guard.close()
