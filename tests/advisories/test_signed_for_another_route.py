"""Advisory: a presigned URL for `/documents/8` was valid for `/files/../documents/8`.

The hole: AWS clients remove dot segments from the path that they sign, and send it with them: both paths have the same
signature. A router does not remove them, so the holder of a URL could run another handler in the signer's name, with a
parameter that leaves its folder. Now signed paths with dot segments are rejected. S3 clients sign the path as sent.
"""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import Any

import anyio
import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from iam_guard import Guard, GuardMiddleware, GuardWsgiMiddleware, Service, open_guard
from tests.conftest import ADA, SEED

docs = Service("docs")
objects = Service("s3")


@docs.requires("GetDocument", resource="document/{name}")
async def document(request: Request) -> Response:
    return PlainTextResponse(f"document {request.path_params['name']}")


@docs.requires("GetFile", resource="file/{name}", unsigned_payload=True)
async def file(request: Request) -> Response:
    return PlainTextResponse(f"file {request.path_params['name']}")


@objects.requires("GetObject", resource="file/{name}", unsigned_payload=True, raw=("name",))
async def stored(request: Request) -> Response:
    return PlainTextResponse(f"object {request.path_params['name']}")


APP = Starlette(
    routes=[
        Route("/documents/{name}", document),
        Route("/files/{name:path}", file),
        Route("/objects/{name:path}", stored),
    ]
)


def presigned(path: str, service: str = "docs") -> tuple[bytes, bytes]:
    """Return the query and the host."""
    request = AWSRequest("GET", f"http://testserver{path}")
    signer = botocore.auth.S3SigV4QueryAuth if service == "s3" else botocore.auth.SigV4QueryAuth
    signer(Credentials(*ADA), service, "us-east-1").add_auth(request)
    return request.url.partition("?")[2].encode(), b"testserver"


def send(guard: Guard, path: str, query: bytes, host: bytes) -> str:
    """Send a raw path; return the status and the body."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": query}
    headers = [(b"host", host)]
    anyio.run(functools.partial(GuardMiddleware(APP, guard=guard), {**scope, "headers": headers}, receive, send))
    return f"{sent[0]['status']} {sent[1]['body'].decode()}"


@pytest.mark.parametrize(
    "path", ["/files/../documents/8", "/files/./../documents/8", "/./documents/8", "/documents/8/."]
)
def test_presigned_url_is_valid_only_for_its_route(guard: Guard, path: str) -> None:
    query, host = presigned("/documents/8")
    assert send(guard, "/documents/8", query, host) == "200 document 8"
    answer = send(guard, path, query, host)
    assert answer.startswith("400 ")
    assert "without the segments" in answer


def test_presigned_url_over_wsgi_is_valid_only_for_its_route(guard: Guard) -> None:
    served: list[str] = []

    def app(environ: Any, start_response: Any) -> list[bytes]:
        served.append(environ["PATH_INFO"])
        docs.decide("GetFile")
        start_response("200 OK", [])
        return [b""]

    def ask(path: str) -> str:
        statuses: list[str] = []
        sent = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query.decode(), "HTTP_HOST": host.decode()}

        def start(status: str, *_: Any) -> Any:
            statuses.append(status)

        answer: Any = GuardWsgiMiddleware(app, guard=guard)({**sent, "wsgi.input": io.BytesIO()}, start)
        list(answer)
        return statuses[0][:3]

    query, host = presigned("/documents/8")
    assert [ask("/documents/8"), ask("/files/../documents/8")] == ["200", "400"]
    assert served == ["/documents/8"]


def test_names_starting_with_dots_are_accepted(guard: Guard) -> None:
    query, host = presigned("/files/.hidden/...")
    assert send(guard, "/files/.hidden/...", query, host) == "200 file .hidden/..."


def test_s3_signature_accepts_dot_segments(tmp_path: Path) -> None:
    """Its keys may have such segments, and the route gets them unchanged."""
    (tmp_path / "iam.yaml").write_text(SEED.replace("docs:*", "s3:*"))
    guard = open_guard(tmp_path / "iam.yaml")
    query, host = presigned("/objects/a/../b", "s3")
    assert send(guard, "/objects/a/../b", query, host) == "200 object a/../b"
    assert send(guard, "/objects/b", query, host).startswith("401 ")
    guard.close()
