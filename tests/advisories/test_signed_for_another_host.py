"""Advisory: with `public_hosts`, a URL signed for `api.example.com` was valid for a route of `admin.example.com`.

The hole: behind a proxy that rewrites `Host`, the hosts of the setting were tried instead of the received one, and the
application still routed by the received one, which the holder of the URL could choose. Now the application sees the
signed host.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Route, Router, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from iam_guard import Guard, GuardMiddleware, GuardWsgiMiddleware, Service, open_guard
from tests.conftest import ADA, SEED

docs = Service("docs")
API, ADMIN, BEHIND = "api.example.com", "admin.example.com", "10.0.0.7:8000"


@docs.requires("GetDocument", resource="document/{name}")
async def document(request: Request) -> Response:
    return PlainTextResponse(f"document at {request.url.hostname}")


@docs.requires("PurgeDocument", resource="document/{name}", unsigned_payload=True)
async def purge(request: Request) -> Response:
    return PlainTextResponse(f"purged at {request.url.hostname}, {request.headers.get('x-forwarded-host')}")


@docs.requires("WatchDocument", resource="document/{name}")
async def watch(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text(str(socket.url.hostname))
    await socket.close()


APP = Starlette(
    routes=[
        Host(ADMIN, Router([Route("/documents/{name}", purge), WebSocketRoute("/watch/{name}", watch)])),
        Route("/documents/{name}", document),
        WebSocketRoute("/watch/{name}", watch),
    ]
)


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    (tmp_path / "iam.yaml").write_text(SEED)
    opened = open_guard(
        tmp_path / "iam.yaml", services=[docs], public_hosts=[API, ADMIN], audit=str(tmp_path / "audit.jsonl")
    )
    yield opened
    opened.close()


def signed(host: str, target: str, signer: type[botocore.auth.SigV4Auth]) -> tuple[str, dict[str, str]]:
    request = AWSRequest("GET", f"https://{host}{target}")
    signer(Credentials(*ADA), "docs", "us-east-1").add_auth(request)
    return request.url.removeprefix(f"https://{host}"), dict(request.headers.items())


SIGNERS = (botocore.auth.SigV4Auth, botocore.auth.SigV4QueryAuth)
SIGNED_AND_SENT = (  # the name that was signed, the one that comes in, and the one that the application has to see
    (API, API, API),
    (API, BEHIND, API),
    (API, ADMIN, API),
    (ADMIN, ADMIN, ADMIN),
    (ADMIN, API, ADMIN),
    (ADMIN, BEHIND, ADMIN),
    (API, f"{API}:443", API),
)


def test_request_is_routed_by_the_signed_host(guard: Guard, subtests: pytest.Subtests) -> None:
    """Over ASGI, signed in the header and in the query, with any forwarding header."""
    client = TestClient(GuardMiddleware(APP, guard=guard))
    for host, sent, seen in SIGNED_AND_SENT:
        for signer in SIGNERS:
            with subtests.test(signed=host, sent=sent, signer=signer.__name__):
                target, headers = signed(host, "/documents/7", signer)
                forwarded = {} if host == sent else {"x-forwarded-host": ADMIN if host == API else API}
                answer = client.get(target, headers={**headers, **forwarded, "host": sent})
                expected = "document at api.example.com" if seen == API else "purged at admin.example.com, None"
                assert (answer.status_code, answer.text) == (200, expected)


def test_unsigned_body_is_accepted_by_the_signed_host(guard: Guard, subtests: pytest.Subtests) -> None:
    """The route of the received host does not accept one, and does not run."""
    client = TestClient(GuardMiddleware(APP, guard=guard))
    for host, sent, status in ((ADMIN, ADMIN, 200), (ADMIN, BEHIND, 200), (ADMIN, API, 200), (API, ADMIN, 401)):
        with subtests.test(signed=host, sent=sent):
            request = AWSRequest("GET", f"https://{host}/documents/7")
            request.headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD"
            botocore.auth.SigV4Auth(Credentials(*ADA), "docs", "us-east-1").add_auth(request)
            answer = client.get("/documents/7", headers={**dict(request.headers.items()), "host": sent})
            assert answer.status_code == status


def test_audit_record_has_the_signed_host(guard: Guard, tmp_path: Path) -> None:
    target, headers = signed(API, "/documents/7", botocore.auth.SigV4Auth)
    TestClient(GuardMiddleware(APP, guard=guard)).get(target, headers={**headers, "host": ADMIN})
    record = (tmp_path / "audit.jsonl").read_text()
    assert f'"host":"{API}"' in record
    assert ADMIN not in record


def test_other_host_is_rejected(guard: Guard) -> None:
    target, headers = signed("evil.example.com", "/documents/7", botocore.auth.SigV4Auth)
    for sent in (API, ADMIN, BEHIND):
        answer = TestClient(GuardMiddleware(APP, guard=guard)).get(target, headers={**headers, "host": sent})
        assert answer.status_code == 401


def test_websocket_is_routed_by_the_signed_host(guard: Guard) -> None:
    client = TestClient(GuardMiddleware(APP, guard=guard))
    target, headers = signed(API, "/watch/7", botocore.auth.SigV4Auth)
    with client.websocket_connect(target, headers={**headers, "host": ADMIN}) as socket:
        assert socket.receive_text() == API


def test_wsgi_application_sees_the_signed_host(guard: Guard, subtests: pytest.Subtests) -> None:
    """In the environ, by which Flask, Django and others route."""

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        docs.authorize("GetDocument")
        start_response("200 OK", [])
        return [f"{environ['HTTP_HOST']} {environ.get('HTTP_X_FORWARDED_HOST')}".encode()]

    for host, sent, seen in SIGNED_AND_SENT:
        for signer in SIGNERS:
            with subtests.test(signed=host, sent=sent, signer=signer.__name__):
                target, headers = signed(host, "/documents/7", signer)
                path, _, query = target.partition("?")
                variables = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in headers.items()}
                if host != sent:
                    variables["HTTP_X_FORWARDED_HOST"] = sent
                environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "QUERY_STRING": query, "HTTP_HOST": sent}
                parts: Any = GuardWsgiMiddleware(app, guard=guard)(
                    {**environ, **variables, "wsgi.input": io.BytesIO(), "wsgi.url_scheme": "https"}, lambda *_: None
                )
                found = b"".join(parts).decode()
                is_same_name = sent == f"{host}:443"  # as received: the port goes without saying
                assert found == (f"{sent} {sent}" if is_same_name else f"{seen} None")
