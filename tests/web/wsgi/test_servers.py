"""Real servers with different WSGI environs: signed requests arrive as they were signed."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from iam_guard import GuardWsgiMiddleware, open_guard
from tests.conftest import ADA, RITA, SEED
from tests.web.asgi.test_streaming_body import CONTENT, SIGNED, _Stating, chunker_of
from tests.web.wsgi.application import application
from tests.wsgi_serving import by_gunicorn, by_waitress, by_werkzeug, by_wsgiref

SECONDS = 60
IN_THREADS = {"waitress": by_waitress, "werkzeug": by_werkzeug, "wsgiref": by_wsgiref}
TELLS_THE_PATH = {"waitress", "werkzeug", "gunicorn"}
READS_CHUNKS = {"waitress", "werkzeug", "gunicorn"}
DROPS_UNDERSCORES = {"waitress", "werkzeug", "gunicorn"}


class Server:
    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        where = urlsplit(address)
        self.host, self.port = where.hostname or "", where.port or 0

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: object = None) -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection(self.host, self.port, timeout=SECONDS)) as connection:
            chunks = iter(body) if isinstance(body, list) else body
            connection.request(
                method, target, body=chunks, headers=dict(headers), encode_chunked=isinstance(body, list)
            )  # type: ignore[arg-type]
            answer = connection.getresponse()
            return answer.status, answer.read()

    def signed(self, target: str, headers: Mapping[str, str] | None = None) -> dict[str, str]:
        request = AWSRequest("GET", self.address + target, headers=dict(headers or {}))
        botocore.auth.SigV4Auth(Credentials(*RITA), "docs", "us-east-1").add_auth(request)
        return {str(name): str(value) for name, value in request.headers.items()}


@pytest.fixture(scope="module", params=[*IN_THREADS, "gunicorn"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    name = request.param
    if name != "wsgiref" and importlib.util.find_spec(name) is None:
        assert "CI" not in os.environ, f"not installed: {name}"
        pytest.skip(f"not installed: {name}")
    folder: Path = tmp_path_factory.mktemp(name)
    seed = folder / "iam.yaml"
    seed.write_text(SEED)
    with ExitStack() as until_the_end:
        if name == "gunicorn":
            environment = {"IAM_GUARD_TEST_SEED": str(seed), "IAM_GUARD_AUDIT": str(folder / "audit.jsonl")}
            serving = by_gunicorn("tests.web.wsgi.application:served()", environment)
        else:
            guard = until_the_end.enter_context(closing(open_guard(str(seed), audit=str(folder / "audit.jsonl"))))
            serving = IN_THREADS[name](GuardWsgiMiddleware(application, guard=guard))
        yield Server(name, until_the_end.enter_context(serving))


@pytest.mark.parametrize(
    ("target", "document"),
    [
        ("/documents/7", "7"),
        ("/documents/7?version=2&a=%20b", "7"),
        ("/documents/%C3%A9%20a", "é a"),
        ("/documents/%2A", "*"),
        ("/documents/%41", "A"),
        ("/documents/a%2Fb", "a/b"),
        ("/documents/a:b@c", "a:b@c"),
    ],
)
def test_signed_path_arrives_unchanged(server: Server, target: str, document: str) -> None:
    """Without a raw path, a path that AWS clients would encode differently is rejected."""
    status, body = server.ask("GET", target, server.signed(target))
    is_usual = document in ("7", "é a", "*")
    if server.name in TELLS_THE_PATH or is_usual:
        assert (status, json.loads(body).get("document")) == (200, document)
    else:
        assert (status, json.loads(body)["code"]) == (401, "SignatureDoesNotMatch")


def test_path_other_than_signed_is_rejected(server: Server) -> None:
    """In any encoding."""
    headers = server.signed("/documents/7")
    for target in ("/documents/8", "/documents/%38", "/documents/../documents/8"):
        status, _ = server.ask("GET", target, headers)
        assert status in (400, 401, 404), target


def test_absolute_url_target_is_read(server: Server) -> None:
    """HTTP has it for proxies, and servers accept it too."""
    headers = server.signed("/documents/7")
    with socket.create_connection((server.host, server.port), timeout=SECONDS) as connection:
        lines = [f"GET {server.address}/documents/7 HTTP/1.1", f"Host: {server.host}:{server.port}"]
        lines += [*(f"{name}: {value}" for name, value in headers.items()), "Connection: close", "", ""]
        connection.sendall("\r\n".join(lines).encode())
        answer = b""
        while part := connection.recv(4096):
            answer += part
    if server.name == "wsgiref":
        assert b" 200 " not in answer.partition(b"\r\n")[0]  # it takes the URL for a path
    else:
        assert b'"document": "7"' in answer


def test_signed_repeated_header_is_verified(server: Server) -> None:
    """Joined by a comma, as it is signed; waitress adds a space, so it is rejected there."""
    headers = server.signed("/documents/7", {"x-twice": "one,two"})
    del headers["x-twice"]
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=SECONDS)) as connection:
        connection.putrequest("GET", "/documents/7")
        for name, value in [*headers.items(), ("x-twice", "one"), ("x-twice", "two")]:
            connection.putheader(name, value)
        connection.endheaders()
        status = connection.getresponse().status
    assert status == (401 if server.name == "waitress" else 200)


def test_two_authorization_headers_are_rejected(server: Server) -> None:
    authorization = server.signed("/documents/7")["Authorization"]
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=SECONDS)) as connection:
        connection.putrequest("GET", "/health")
        for _ in range(2):
            connection.putheader("Authorization", authorization)
        connection.endheaders()
        assert connection.getresponse().status in (400, 401)


def test_underscore_headers_of_each_server(server: Server) -> None:
    """For `drops_underscores`: wsgiref merges both names, the others drop the second."""
    status, body = server.ask("GET", "/documents/7", {**server.signed("/documents/7"), "X_Proxy": "spoofed"})
    assert status == 200
    assert (json.loads(body)["names"] == []) is (server.name in DROPS_UNDERSCORES)


def test_chunked_body_is_read_if_the_server_terminates_it(server: Server) -> None:
    """AWS chunks in HTTP chunks, as SDKs send them; rejected by other servers, without blocking."""
    stated = {
        "X-Amz-Content-SHA256": SIGNED,
        "X-Amz-Decoded-Content-Length": str(len(b"".join(CONTENT))),
        "Content-Encoding": "aws-chunked",
        "Transfer-Encoding": "chunked",
    }
    request = AWSRequest("PUT", f"{server.address}/uploads/7", headers=stated)
    _Stating(Credentials(*ADA), "docs", "us-east-1").add_auth(request)
    headers = {str(name): str(value) for name, value in request.headers.items()}
    chunker = chunker_of(headers)
    pieces = [*chunker.pieces(CONTENT), chunker.ending([])]
    try:
        status, body = server.ask("PUT", "/uploads/7", headers, pieces)
    except ConnectionError:  # the answer came, and the end, while we were sending
        assert server.name not in READS_CHUNKS
        return
    if server.name in READS_CHUNKS:
        assert (status, json.loads(body).get("size")) == (200, len(b"".join(CONTENT)))
    else:
        assert (status, json.loads(body)["code"]) == (400, "MalformedRequest")


def test_signed_body_arrives(server: Server) -> None:
    """With its length."""
    request = AWSRequest("PUT", f"{server.address}/uploads/7", data=b"\0short")
    botocore.auth.SigV4Auth(Credentials(*ADA), "docs", "us-east-1").add_auth(request)
    headers = {str(name): str(value) for name, value in request.headers.items()}
    assert json.loads(server.ask("PUT", "/uploads/7", headers, b"\0short")[1])["size"] == 6
    assert server.ask("PUT", "/uploads/7", headers, b"\0other")[0] == 401


def test_response_is_streamed(server: Server) -> None:
    """Each part has the caller."""
    status, body = server.ask("GET", "/streams/7", server.signed("/streams/7"))
    assert (status, body) == (200, b"rita 0\nrita 1\nrita 2\n")
