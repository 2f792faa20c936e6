"""Bodies that are verified while they are read: what the handler gets, and how invalid ones end."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Match, Mount, Route, Router

from iam_guard import Guard, GuardMiddleware, Service, aws_api, current_principal, open_guard, public
from iam_guard.audit.consumer.reader import read_records
from iam_guard.authn.signatures.chunked import MIN_CHUNK_SIZE
from tests.authn.chunking import Chunker, by_hmac, crc32
from tests.conftest import ADA, RITA, SEED

docs = Service("docs")
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
CONTENT = [b"x" * MIN_CHUNK_SIZE, b"y" * MIN_CHUNK_SIZE, b"z" * 10]
SEEN: list[bytes] = []
ENDED: list[bool] = []


async def _store(request: Request) -> Response:
    """Record every part as it comes, and whether the end came."""
    SEEN.clear()
    ENDED.clear()
    async for part in request.stream():
        SEEN.extend([part] if part else [])
    ENDED.append(True)
    headers = {name: value for name, value in request.headers.items() if name.startswith("content-")}
    return JSONResponse({"sha256": hashlib.sha256(b"".join(SEEN)).hexdigest(), **headers})


signed_only = docs.requires("PutDocument", resource="document/{document_id}")(_store)
unsigned_too = docs.requires("PutDocument", resource="document/{document_id}", unsigned_payload=True)(_store)


@docs.requires("PutDocument", resource="document/{document_id}")
async def echo_as_it_comes(request: Request) -> Response:
    return StreamingResponse(request.stream())


@docs.requires("PutDocument", resource="document/{document_id}")
async def swallowing(request: Request) -> Response:
    try:
        await request.body()
    except Exception:  # noqa: BLE001  what a careless handler does
        return JSONResponse({"stored": True})
    return JSONResponse({"stored": True})


@public
async def open_to_all(request: Request) -> Response:
    return JSONResponse({"length": len(await request.body())})


@public
async def asks(request: Request) -> Response:
    return JSONResponse({"caller": current_principal().arn})


async def by_hand(request: Request) -> Response:
    docs.authorize("PutDocument", "arn:aws:docs:us-east-1:111122223333:document/7")
    return JSONResponse({"length": len(await request.body())})


ROUTES = [
    Route("/signed/{document_id}", signed_only, methods=["PUT", "POST"]),
    Route("/unsigned/{document_id}", unsigned_too, methods=["PUT"]),
    Mount("/inner", routes=[Route("/unsigned/{document_id}", unsigned_too, methods=["PUT"])]),
    Route("/echo/{document_id}", echo_as_it_comes, methods=["PUT"]),
    Route("/swallowing/{document_id}", swallowing, methods=["PUT"]),
    Route("/public", open_to_all, methods=["PUT"]),
    Route("/asks", asks, methods=["PUT"]),
    Route("/by-hand", by_hand, methods=["PUT"]),
]


@pytest.fixture
def small(tmp_path: Path, audit_file: Path) -> Any:
    """A guard that holds little of a body."""
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED)
    opened = open_guard(str(seed), audit=str(audit_file), max_body=MIN_CHUNK_SIZE, max_stream=8 * MIN_CHUNK_SIZE)
    yield opened
    opened.close()


def application(guard: Guard) -> Starlette:
    return Starlette(routes=ROUTES, middleware=[Middleware(GuardMiddleware, guard=guard, check_routes=False)])


# --- a client with arbitrary messages --------------------------------------------------------------------------------


class Answer:
    """What came back: status and body of the answer, and whether the connection broke."""

    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.error: Exception | None = None

    @property
    def text(self) -> str:
        return self.body.decode()


def call(app: Any, path: str, headers: Mapping[str, str], parts: Iterable[bytes], *, leaves: bool = False) -> Answer:
    """Send one PUT, its body in these parts; `leaves` goes away in place of the end."""
    answer = Answer()
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if messages and not leaves:
        messages[-1]["more_body"] = False
    pending = iter(messages)

    async def receive() -> Any:
        return next(pending, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        answer.status = message.get("status", answer.status)
        answer.body += message.get("body", b"")

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "PUT",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }

    async def run() -> None:
        try:
            await app(scope, receive, send)
        except Exception as error:  # noqa: BLE001  the server would close the connection
            answer.error = error

    asyncio.run(run())
    return answer


class _Stating(botocore.auth.SigV4Auth):
    """Signs whatever `x-amz-content-sha256` states."""

    def payload(self, request: AWSRequest) -> str:
        return str(request.headers["X-Amz-Content-SHA256"])


def headers_of(path: str, stated: str, *, key: tuple[str, str] = ADA, **further: str) -> dict[str, str]:
    """Let botocore sign the headers of an upload."""
    named = {name.replace("_", "-"): value for name, value in further.items()}
    request = AWSRequest("PUT", f"http://testserver{path}", headers={"X-Amz-Content-SHA256": stated, **named})
    _Stating(Credentials(*key), "docs", "us-east-1").add_auth(request)
    return {"Host": "testserver", **{str(name): str(value) for name, value in request.headers.items()}}


def chunker_of(headers: Mapping[str, str], *, key: tuple[str, str] = ADA, signs: bool = True) -> Chunker:
    stamp = headers["X-Amz-Date"]
    day, seed = stamp[:8], headers["Authorization"].rpartition("=")[2]
    sign = by_hmac(key[1], day, "us-east-1", "docs", "aws4_request") if signs else None
    return Chunker(stamp, f"{day}/us-east-1/docs/aws4_request", seed, sign)


def chunked(
    path: str, stated: str = SIGNED, *, key: tuple[str, str] = ADA, **further: str
) -> tuple[dict[str, str], list[bytes]]:
    """The headers of an upload in chunks, and its pieces."""
    content = b"".join(CONTENT)
    has_trailer = stated.endswith("TRAILER")
    trailer = [("x-amz-checksum-crc32", crc32(content))] if has_trailer else []
    announced = {"X_Amz_Trailer": "x-amz-checksum-crc32"} if has_trailer else {}
    extra = {
        "X_Amz_Decoded_Content_Length": str(len(content)),
        "Content_Encoding": "aws-chunked",
        "Transfer_Encoding": "chunked",
        **announced,
        **further,
    }
    headers = headers_of(path, stated, key=key, **extra)
    chunker = chunker_of(headers, key=key, signs=stated != UNSIGNED_TRAILER)
    pieces = chunker.pieces(CONTENT)
    return headers, [*pieces, chunker.ending(trailer)]


# --- chunks ------------------------------------------------------------------------------------------------------

WHOLE = hashlib.sha256(b"".join(CONTENT)).hexdigest()


@pytest.mark.parametrize(
    ("path", "stated"),
    [
        ("/signed/7", SIGNED),
        ("/signed/7", f"{SIGNED}-TRAILER"),
        ("/unsigned/7", SIGNED),
        ("/unsigned/7", UNSIGNED_TRAILER),
        ("/inner/unsigned/7", UNSIGNED_TRAILER),
    ],
)
def test_handler_gets_decoded_chunks(small: Guard, path: str, stated: str) -> None:
    """With the headers of the content, without those of the coding."""
    headers, parts = chunked(path, stated)
    answer = call(application(small), path, headers, parts)
    assert answer.status == 200, answer.text
    assert f'"sha256":"{WHOLE}"' in answer.text
    assert f'"content-length":"{len(b"".join(CONTENT))}"' in answer.text
    assert "content-encoding" not in answer.text


def test_other_content_codings_are_kept(small: Guard) -> None:
    """Only `aws-chunked` is removed."""
    headers, parts = chunked("/signed/7", Content_Encoding="aws-chunked, gzip")
    assert '"content-encoding":"gzip"' in call(application(small), "/signed/7", headers, parts).text


def test_invalid_chunk_ends_the_request(small: Guard, audit_file: Path) -> None:
    """The handler gets the chunks before it, and no end of the body; the answer is an error, and it is recorded."""
    headers, parts = chunked("/signed/7")
    parts[1] = parts[1].replace(b"yyyy", b"yyyz", 1)
    answer = call(application(small), "/signed/7", headers, parts)
    assert answer.status == 401
    assert "SignatureDoesNotMatch" in answer.text
    assert (SEEN, ENDED) == ([b"x" * MIN_CHUNK_SIZE], [])
    last = list(read_records(audit_file))[-1]
    assert (last["errorCode"], last["userIdentity"]["accessKeyId"]) == ("SignatureDoesNotMatch", ADA[0])


@pytest.mark.parametrize("stated", [SIGNED, f"{SIGNED}-TRAILER", UNSIGNED_TRAILER])
def test_truncated_chunked_body_is_rejected(small: Guard, stated: str) -> None:
    """The end is the empty chunk with the trailer, not the end of the connection."""
    headers, parts = chunked("/unsigned/7", stated)
    for cut in (1, 2, 3, 4):
        answer = call(application(small), "/unsigned/7", headers, parts[:cut])
        assert (answer.status, ENDED) == (400, [])
        assert "ended before it was complete" in answer.text


def test_disconnect_does_not_end_the_body(small: Guard) -> None:
    """The handler gets the disconnect message."""
    headers, parts = chunked("/signed/7")
    answer = call(application(small), "/signed/7", headers, parts[:2], leaves=True)
    assert ENDED == []
    assert type(answer.error).__name__ == "ClientDisconnect"


def test_handler_catching_the_error_cannot_answer(small: Guard) -> None:
    """The client gets the error, whatever the application does."""
    headers, parts = chunked("/swallowing/7")
    parts[0] = parts[0].replace(b"xxxx", b"xxxy", 1)
    answer = call(application(small), "/swallowing/7", headers, parts)
    assert answer.status == 401
    assert "stored" not in answer.text


def test_started_response_is_broken_off(small: Guard) -> None:
    """It never looks complete to the client."""
    headers, parts = chunked("/echo/7")
    parts[1] = parts[1].replace(b"yyyy", b"yyyz", 1)
    answer = call(application(small), "/echo/7", headers, parts)
    assert (answer.status, answer.body) == (200, b"x" * MIN_CHUNK_SIZE)
    assert type(answer.error).__name__ == "SignatureDoesNotMatch"


def test_wrong_checksum_is_rejected(small: Guard) -> None:
    """It is the only protection of an unsigned body."""
    headers, parts = chunked("/unsigned/7", UNSIGNED_TRAILER)
    parts[0] = parts[0].replace(b"xxxx", b"xxxy", 1)
    answer = call(application(small), "/unsigned/7", headers, parts)
    assert (answer.status, ENDED) == (400, [])
    assert "The CRC32 you specified did not match" in answer.text


def test_denied_upload_is_rejected_before_its_chunks(small: Guard) -> None:
    headers, parts = chunked("/signed/7", key=RITA)
    SEEN.clear()
    assert call(application(small), "/signed/7", headers, parts).status == 403
    assert SEEN == []


def test_announced_body_over_max_stream_is_rejected(small: Guard) -> None:
    """The setting `max_stream`."""
    headers, parts = chunked("/signed/7", X_Amz_Decoded_Content_Length=str(8 * MIN_CHUNK_SIZE + 1))
    assert call(application(small), "/signed/7", headers, parts).status == 413


def test_chunk_over_max_body_is_rejected(small: Guard) -> None:
    """The setting `max_body`."""
    length = str(MIN_CHUNK_SIZE + 1)
    headers = headers_of("/signed/7", SIGNED, X_Amz_Decoded_Content_Length=length)
    body = chunker_of(headers).encode([b"x" * (MIN_CHUNK_SIZE + 1)])
    assert call(application(small), "/signed/7", headers, [body]).status == 413


# --- unsigned ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stated", ["UNSIGNED-PAYLOAD", UNSIGNED_TRAILER])
@pytest.mark.parametrize("path", ["/signed/7", "/public", "/by-hand", "/nowhere", "/echo/7"])
def test_unsigned_body_is_rejected_by_default(small: Guard, path: str, stated: str) -> None:
    """By all routes, also public ones and those that decide in the handler."""
    headers, parts = chunked(path, stated)
    answer = call(application(small), path, headers, parts)
    assert answer.status == 401
    assert "not accepted here" in answer.text


def test_unsigned_body_is_accepted_by_its_route(small: Guard) -> None:
    """Of any length: it is not buffered."""
    headers = headers_of("/unsigned/7", "UNSIGNED-PAYLOAD")
    answer = call(application(small), "/unsigned/7", headers, [b"any", b"thing" * 5 * MIN_CHUNK_SIZE])
    assert answer.status == 200
    assert SEEN[0] == b"any"


def test_rerouted_unsigned_body_is_rejected(small: Guard) -> None:
    """A middleware that changes the route does not transfer the acceptance."""
    inner = Starlette(routes=ROUTES)

    async def sends_elsewhere(scope: Any, receive: Any, send: Any) -> None:
        await inner({**scope, "path": "/signed/7", "raw_path": b"/signed/7"}, receive, send)

    sends_elsewhere.routes = ROUTES  # type: ignore[attr-defined]
    app = GuardMiddleware(sends_elsewhere, guard=small, check_routes=False)
    headers = headers_of("/unsigned/7", "UNSIGNED-PAYLOAD")
    answer = call(app, "/unsigned/7", headers, [b"anything"])
    assert answer.status == 401
    assert "unsigned payloads are not accepted here" in answer.text


class HidingRouter(BaseRoute):
    """Takes every request and does not say what is behind it, as FastAPI's included routers do."""

    def __init__(self) -> None:
        self.original_router = Router(ROUTES)
        self.include_context = None

    def matches(self, scope: Any) -> tuple[Match, dict[str, Any]]:
        return Match.FULL, {}

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        await self.original_router(scope, receive, send)


def hiding(guard: Guard) -> Starlette:
    return Starlette(routes=[HidingRouter()], middleware=[Middleware(GuardMiddleware, guard=guard, check_routes=False)])


@pytest.mark.parametrize("stated", ["UNSIGNED-PAYLOAD", UNSIGNED_TRAILER])
def test_unresolved_route_accepts_unsigned_body(small: Guard, stated: str) -> None:
    """The requirement accepts it when it runs."""
    headers, parts = chunked("/unsigned/7", stated)
    assert call(hiding(small), "/unsigned/7", headers, parts).status == 200


@pytest.mark.parametrize("stated", ["UNSIGNED-PAYLOAD", UNSIGNED_TRAILER])
@pytest.mark.parametrize("path", ["/signed/7", "/by-hand", "/echo/7", "/asks"])
def test_unresolved_route_without_acceptance_has_no_caller(small: Guard, path: str, stated: str) -> None:
    """Neither decisions nor `current_principal` work; an endpoint that needs neither is public."""
    headers, parts = chunked(path, stated)
    answer = call(hiding(small), path, headers, parts)
    assert answer.status == 401
    assert "unsigned payloads are not accepted here" in answer.text
    headers, parts = chunked("/public", stated)
    assert call(hiding(small), "/public", headers, parts).status == 200


@pytest.mark.parametrize("stated", ["UNSIGNED-PAYLOAD", SIGNED, f"{SIGNED}-TRAILER", UNSIGNED_TRAILER])
def test_own_api_accepts_only_signed_bodies(small: Guard, stated: str) -> None:
    """As IAM and STS do."""
    headers = headers_of("/", stated, X_Amz_Decoded_Content_Length="3", X_Amz_Trailer="x-amz-checksum-crc32")
    headers["Authorization"] = headers["Authorization"].replace("/docs/", "/iam/")
    answer = call(aws_api(small), "/", headers, [b"abc"])
    assert answer.status == 400
    assert "unsigned and streaming payloads are not accepted here" in answer.text


# --- long ones whose hash is stated --------------------------------------------------------------------------------

LONG = [b"a" * MIN_CHUNK_SIZE, b"b" * MIN_CHUNK_SIZE, b"c" * MIN_CHUNK_SIZE, b"e" * 10]
STATED = hashlib.sha256(b"".join(LONG)).hexdigest()


def test_end_of_long_body_waits_for_the_hash(small: Guard) -> None:
    """At most `max_body` bytes are buffered."""
    answer = call(application(small), "/signed/7", headers_of("/signed/7", STATED), LONG)
    assert f'"sha256":"{STATED}"' in answer.text
    assert [*LONG[:2], b"".join(LONG[2:])] == SEEN


def test_long_body_with_another_hash_never_ends(small: Guard, audit_file: Path) -> None:
    """Its last part is withheld, and the answer is an error."""
    answer = call(application(small), "/signed/7", headers_of("/signed/7", STATED), [*LONG[:3], b"d" * 10])
    assert answer.status == 401
    assert "does not match what was computed" in answer.text
    assert ENDED == []
    assert b"d" not in b"".join(SEEN)
    assert list(read_records(audit_file))[-1]["errorCode"] == "SignatureDoesNotMatch"


def test_long_body_with_wrong_signature_is_not_read(small: Guard) -> None:
    """The signature covers the stated hash, and is verified before the handler runs."""
    SEEN.clear()
    headers = headers_of("/signed/7", STATED, key=(ADA[0], "another"))
    assert call(application(small), "/signed/7", headers, LONG).status == 401
    assert SEEN == []


def test_streamed_body_over_max_stream_is_rejected(small: Guard) -> None:
    """The setting `max_stream`."""
    parts = [b"x" * MIN_CHUNK_SIZE] * 9
    headers = headers_of("/signed/7", hashlib.sha256(b"".join(parts)).hexdigest())
    answer = call(application(small), "/signed/7", headers, parts)
    assert (answer.status, ENDED) == (413, [])


def test_short_body_is_verified_before_the_handler(small: Guard) -> None:
    SEEN.clear()
    headers = headers_of("/signed/7", hashlib.sha256(b"abc").hexdigest())
    assert call(application(small), "/signed/7", headers, [b"ab", b"d"]).status == 401
    assert SEEN == []
    assert call(application(small), "/signed/7", headers, [b"ab", b"c"]).status == 200


def test_long_body_without_stated_hash_is_rejected(small: Guard) -> None:
    """Its signature could be verified only after reading all of it."""
    request = AWSRequest("PUT", "http://testserver/signed/7", data=b"".join(LONG))
    botocore.auth.SigV4Auth(Credentials(*ADA), "docs", "us-east-1").add_auth(request)
    headers = {"Host": "testserver", **{str(name): str(value) for name, value in request.headers.items()}}
    assert call(application(small), "/signed/7", headers, LONG).status == 413


def test_replay_is_rejected_with_replay_memory(tmp_path: Path) -> None:
    """The setting `replay_memory`; without it AWS's time window applies."""
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED)
    headers = headers_of("/signed/7", hashlib.sha256(b"abc").hexdigest())
    for size, second in ((0, 200), (100, 401)):
        guard = open_guard(str(seed), replay_memory=size)
        app = application(guard)
        assert call(app, "/signed/7", headers, [b"abc"]).status == 200
        assert call(app, "/signed/7", headers, [b"abc"]).status == second
        guard.close()
