"""Attacks on an aiohttp application, byte by byte over a connection: targets, headers, bodies, and several requests."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integrations.contract import needed

needed("aiohttp", "iam_guard_aiohttp")

from aiohttp import web  # noqa: E402
from iam_guard_aiohttp import setup  # noqa: E402

from iam_guard import Guard, public  # noqa: E402
from iam_guard.audit.consumer.reader import read_records  # noqa: E402
from tests.aiohttp_serving import by_aiohttp  # noqa: E402
from tests.conftest import ADA, RITA, Sign  # noqa: E402
from tests.integrations.application import SECRET, answer, docs, ran, received  # noqa: E402
from tests.tables import table  # noqa: E402


@docs.requires("GetDocument", resource="document/{document_id}")
async def document(request: web.Request) -> web.Response:
    return web.json_response(answer(request.match_info["document_id"]))


@docs.requires("GetDocument", resource="file/{path}")
async def get_file(request: web.Request) -> web.Response:
    return web.json_response(answer(request.match_info["path"]))


@docs.requires("PutDocument", resource="document/{document_id}")
async def upload(request: web.Request) -> web.Response:
    return web.json_response(received(await request.read()))


@docs.requires("PutDocument", resource="document/{document_id}")
async def unread(request: web.Request) -> web.Response:
    return web.json_response(answer(request.match_info["document_id"]))


@public
async def host(request: web.Request) -> web.Response:
    return web.Response(text=request.host)


@pytest.fixture
def address(guard: Guard) -> Iterator[str]:
    app = web.Application(client_max_size=2**24)
    app.router.add_get("/documents/{document_id}", document)
    app.router.add_get("/files/{path:.+}", get_file)
    app.router.add_post("/uploads/{document_id}", upload)
    app.router.add_post("/unread/{document_id}", unread)
    app.router.add_get("/host", host)
    setup(app, guard=guard)
    with by_aiohttp(app) as at:
        yield at


class Wire:
    """A connection to which requests are written as bytes."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rb")

    def send(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"", *more: str
    ) -> None:
        fields = {"host": "testserver", **{name.lower(): value for name, value in (headers or {}).items()}}
        if body and "transfer-encoding" not in fields:
            fields.setdefault("content-length", str(len(body)))
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), *more, "", ""]
        self._connection.sendall("\r\n".join(lines).encode("latin-1") + body)

    def receive(self, method: str = "GET") -> tuple[int, bytes]:
        """Return the status and the body of the next response."""
        response = HTTPResponse(_Kept(self._file), method=method)  # type: ignore[arg-type]
        response.begin()
        return response.status, response.read()

    def line(self) -> bytes:
        return self._file.readline()


class _Kept:
    """A socket for `HTTPResponse`, which keeps the file for the next response."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def makefile(self, *_: object) -> Any:
        return _Uncloseable(self._file)


class _Uncloseable:
    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        """Keep the connection's file."""

    def flush(self) -> None:
        """Do nothing."""


@contextmanager
def connected(address: str) -> Iterator[Wire]:
    url = urlsplit(address)
    with socket.create_connection((url.hostname, url.port), timeout=60) as connection:
        yield Wire(connection)


def ask(address: str, *sent: Any) -> tuple[int, bytes]:
    with connected(address) as wire:
        wire.send(*sent)
        return wire.receive()


# --- targets ---------------------------------------------------------------------------------------------------------


@table(
    ("target", "status"),
    [
        ("/documents/7", 200),
        ("/documents/%37", 200),
        ("/documents/7?x=%2F..", 200),
        ("/documents/a%2Fb", 200),  # one segment for aiohttp, and two for the decision
        ("/files/a%252Fb", 200),  # both get `a%2Fb`
        ("//documents/7", 404),
        ("/documents//7", 404),
        ("/documents/7/", 404),
        ("/documents/../documents/7", 400),
        ("/documents/%2e%2e", 400),
        ("/files/a/../b", 400),
        ("/files/a/%2E%2e/b", 400),
        ("/files/a/..%2Fb", 400),
        ("/files/%ff", 400),
    ],
)
def test_signed_target_is_decided_as_it_was_sent(address: str, sign: Sign, target: str, status: int) -> None:
    """Never about another resource than the handler's."""
    found, body = ask(address, "GET", target, sign(RITA, "GET", target))
    assert found == status, body
    if found == 200:
        served = json.loads(body)
        assert served["resource"].partition("/")[2] == served["document"]


@table(
    ("signed", "sent"),
    [
        ("/documents/7", "/documents/8"),
        ("/documents/7", "/documents/7?a=1"),
        ("/documents/%41", "/documents/B"),
        ("/documents/a/b", "/documents/a%2Fb"),
        ("/documents/..", "/documents/7"),
    ],
)
def test_changed_target_does_not_match(address: str, sign: Sign, signed: str, sent: str) -> None:
    ran.clear()
    assert ask(address, "GET", sent, sign(RITA, "GET", signed))[0] in (400, 401)
    assert ran == []


@table(
    ("target", "status"),
    [
        ("http://testserver/documents/7", 200),
        ("http://evil.example/documents/7", 400),
        ("http://testserver.evil.example/documents/7", 400),
        ("http://testserver@evil.example/documents/7", 400),
        ("http://evil.example/host", 400),
        ("*", 400),
    ],
)
def test_url_as_target_has_the_host_of_the_header(
    address: str, sign: Sign, audit_file: Path, target: str, status: int
) -> None:
    """aiohttp believes the URL; the signature covers the header."""
    found, body = ask(address, "GET", target, sign(RITA, "GET", "/documents/7"))
    assert found == status, body
    assert [*read_records(audit_file)][-1]["requestID"]


def test_fragment_is_not_part_of_the_target(address: str, sign: Sign) -> None:
    """Neither of the route nor of the signature."""
    assert ask(address, "GET", "/documents/7#/../8", sign(RITA, "GET", "/documents/7"))[0] == 200


# --- headers ---------------------------------------------------------------------------------------------------------


def test_repeated_headers_are_not_merged(address: str, sign: Sign) -> None:
    """Two hosts are refused by aiohttp, two credentials by the guard, and repeated signed headers don't match."""
    headers = sign(RITA, "GET", "/documents/7", headers={"x-note": "one"})
    assert ask(address, "GET", "/documents/7", headers)[0] == 200
    assert ask(address, "GET", "/documents/7", headers, b"", "X-Note: two")[0] == 401
    assert ask(address, "GET", "/documents/7", headers, b"", "Authorization: Bearer igk_x")[0] == 401
    assert ask(address, "GET", "/documents/7", headers, b"", "X-Api-Key: igk_x")[0] == 401
    assert ask(address, "GET", "/documents/7", headers, b"", "Host: evil.example")[0] in (400, 401)  # 3.14.2 takes one


def test_expectation_is_answered_before_a_bad_signature(address: str, sign: Sign) -> None:
    """As aiohttp does before every middleware; the connection serves the next request."""
    with connected(address) as wire:
        headers = sign(ADA, "POST", "/uploads/7", body=b"signed") | {"expect": "100-continue"}
        wire.send("POST", "/uploads/7", headers, b"forged")
        assert (wire.line(), wire.line()) == (b"HTTP/1.1 100 Continue\r\n", b"\r\n")
        assert wire.receive()[0] == 401
        wire.send("POST", "/uploads/7", headers, b"signed")
        assert (wire.line(), wire.line()) == (b"HTTP/1.1 100 Continue\r\n", b"\r\n")
        assert wire.receive()[0] == 200
        wire.send("GET", "/documents/7", {"expect": "something"})
        assert wire.receive()[0] == 417


# --- bodies ----------------------------------------------------------------------------------------------------------


def chunks(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))


def test_chunked_transfer_is_verified(address: str, sign: Sign) -> None:
    """Its decoded content; a length beside it is refused by aiohttp."""
    headers = sign(ADA, "POST", "/uploads/7", body=b"two parts") | {"transfer-encoding": "chunked"}
    status, body = ask(address, "POST", "/uploads/7", headers, chunks(b"two ", b"parts"))
    assert (status, json.loads(body)["size"]) == (200, 9)
    assert ask(address, "POST", "/uploads/7", headers, chunks(b"two ", b"other"))[0] == 401
    assert ask(address, "POST", "/uploads/7", headers, chunks(b"two ", b"parts", b" more"))[0] == 401
    assert ask(address, "POST", "/uploads/7", headers | {"content-length": "9"}, chunks(b"two ", b"parts"))[0] == 400


def test_body_beside_a_handshake_is_verified(address: str, sign: Sign) -> None:
    """The header `Upgrade` does not turn a request with a body into a WebSocket without one."""
    upgrade = {"connection": "upgrade", "upgrade": "websocket", "content-length": "6"}
    ran.clear()
    status, body = ask(address, "GET", "/documents/7", sign(RITA, "GET", "/documents/7") | upgrade, b"forged")
    assert status == 401, body
    assert ran == []


def test_unread_body_leaves_the_connection_usable(address: str, sign: Sign) -> None:
    """Refused and allowed, shorter and longer than what is buffered."""
    with connected(address) as wire:
        for size in (10, 300_000):
            body = b"x" * size
            for key, status in ((ADA, 200), (RITA, 403)):
                wire.send("POST", "/unread/7", sign(key, "POST", "/unread/7", body=body), body)
                assert wire.receive()[0] == status
            wire.send("POST", "/unread/7", sign(ADA, "POST", "/unread/7", body=body), b"y" * size)
            assert wire.receive()[0] == 401
            wire.send("GET", "/documents/7", sign(RITA, "GET", "/documents/7"))
            assert wire.receive()[0] == 200


def test_body_that_ends_early_is_recorded(address: str, sign: Sign, audit_file: Path) -> None:
    """The client leaves; the handler does not run."""
    ran.clear()
    headers = sign(ADA, "POST", "/uploads/7", body=b"whole body") | {"content-length": "10"}
    with connected(address) as wire:
        wire.send("POST", "/uploads/7", headers, b"whole")
    with connected(address) as wire:  # the loop has handled the end of the first connection after some requests
        for _ in range(100):
            wire.send("GET", "/host")
            wire.receive()
            if audit_file.exists() and "MalformedRequest" in audit_file.read_text():
                break
        else:
            pytest.fail("the request was not recorded")
    assert ran == []


# --- several requests on a connection --------------------------------------------------------------------------------


def test_pipelined_requests_have_their_own_callers(address: str, sign: Sign) -> None:
    """Sent at once: allowed, anonymous, with a body, refused."""
    with connected(address) as wire:
        for _ in range(5):
            wire.send("POST", "/uploads/7", sign(ADA, "POST", "/uploads/7", body=b"ada"), b"ada")
            wire.send("GET", "/documents/7")
            wire.send("GET", "/documents/7", sign(RITA, "GET", "/documents/7"))
            wire.send("POST", "/uploads/7", sign(RITA, "POST", "/uploads/7", body=b"rita"), b"rita")
        answers = [wire.receive() for _ in range(20)]
    assert [status for status, _ in answers] == [200, 401, 200, 403] * 5
    callers = [json.loads(body)["caller"].partition("/")[2] for status, body in answers if status == 200]
    assert callers == ["ada", "rita"] * 5
    assert not any(SECRET.encode() in body for _, body in answers)
