"""The recorded path of a request: complete over ASGI and WSGI, and without the query string."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from iam_guard import GuardMiddleware, GuardWsgiMiddleware, Service, open_guard
from tests.conftest import SEED
from tests.web.wsgi.application import application

docs = Service("docs")


@docs.requires("GetDocument", resource="document/{document_id}")
async def get(request: Request) -> PlainTextResponse:
    return PlainTextResponse("done")


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
def test_recorded_path_has_encoded_question_marks(kind: str, tmp_path: Path) -> None:
    """The path after an encoded question mark may identify the resource; a query string may contain a token."""
    (tmp_path / "iam.yaml").write_text(SEED)
    guard = open_guard(tmp_path / "iam.yaml", services=[docs], audit=str(tmp_path / "audit.jsonl"))
    target = "/documents/a%3Fb%3Ftoken?password=hunter2"
    if kind == "asgi":
        routes = [Route("/documents/{document_id:path}", get)]
        with TestClient(GuardMiddleware(Starlette(routes=routes), guard=guard)) as client:
            assert client.get(target).status_code == 401
    else:
        environ = {"PATH_INFO": "/documents/a?b?token", "QUERY_STRING": "password=hunter2", "REQUEST_METHOD": "GET"}
        app = GuardWsgiMiddleware(application, guard=guard)
        assert b"MissingAuthenticationToken" in b"".join(app(environ, lambda *_: None))
    guard.close()
    [line] = (tmp_path / "audit.jsonl").read_text().splitlines()
    assert json.loads(line)["requestParameters"]["path"] == "/documents/a%3Fb%3Ftoken"
    assert "hunter2" not in line
