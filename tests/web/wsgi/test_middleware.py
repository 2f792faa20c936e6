"""The guard of a WSGI application: who is allowed, how others are denied, what is recorded."""

from __future__ import annotations

import hashlib
import io
import json
import wsgiref.validate
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from iam_guard import Guard, GuardWsgiMiddleware, current_principal, open_guard
from iam_guard.audit.consumer.reader import read_records
from iam_guard.authn.signatures.chunked import MIN_CHUNK_SIZE
from iam_guard.errors import ConfigurationError
from iam_guard.web.refusal import Refusal
from tests.conftest import ADA, RITA, SEED, Sign
from tests.web.asgi.test_streaming_body import CONTENT, SIGNED, UNSIGNED_TRAILER, chunked, headers_of
from tests.web.wsgi.application import application, closed, docs

MAX_BODY = MIN_CHUNK_SIZE
LONG = bytes(range(256)) * (MAX_BODY // 64)
HASH = hashlib.sha256(LONG).hexdigest()
WHOLE = b"".join(CONTENT)


@pytest.fixture
def small(tmp_path: Path, audit_file: Path) -> Iterator[Guard]:
    """A guard that holds little of a body."""
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED)
    with closing(
        open_guard(str(seed), audit=str(audit_file), max_body=MAX_BODY, max_stream=8 * MIN_CHUNK_SIZE)
    ) as opened:
        yield opened


class Answer:
    """What a server would send, and whether it would break off."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.error: Exception | None = None

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["code"])


def environ_of(method: str, target: str, headers: Mapping[str, str], body: bytes, **more: Any) -> dict[str, Any]:
    path, _, query = target.partition("?")
    named = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if f"HTTP_{name}" in named:
            named[name] = named.pop(f"HTTP_{name}")
    named.setdefault("CONTENT_LENGTH", str(len(body)))
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.7",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **named,
        **more,
    }


def call(
    app: Any, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"", method: str = "GET", **more: Any
) -> Answer:
    answer = Answer()
    parts: Iterable[bytes] = ()

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        answer.status = int(status[:3])
        assert len({name.lower() for name, _ in headers}) == len(headers)
        answer.headers = {name.lower(): value for name, value in headers}
        return lambda data: setattr(answer, "body", answer.body + data)

    try:
        parts = app(environ_of(method, target, headers or {}, body, **more), start_response)
        for part in parts:
            answer.body += part
    except Exception as error:  # noqa: BLE001  the server would close the connection
        answer.error = error
    finally:
        getattr(parts, "close", lambda: None)()
    return answer


def guarded(guard: Guard, app: Any = application, **options: Any) -> Any:
    return GuardWsgiMiddleware(app, guard=guard, **options)


def recorded(path: Path) -> list[str]:
    records = list(read_records(path)) if path.exists() else []
    return [f"{record['eventName']} {record.get('errorCode') or record['iamGuard']['outcome']}" for record in records]


# --- access ---


def test_allowed_caller_is_accepted(guard: Guard, sign: Sign, audit_file: Path) -> None:
    """The handler has the caller; the response has the id of its record."""
    answer = call(guarded(guard), "/documents/7", sign(RITA, "GET", "/documents/7"))
    assert (answer.status, json.loads(answer.body)["caller"]) == (200, "rita")
    (record,) = read_records(audit_file)
    assert record["requestID"] == answer.headers["x-amzn-requestid"]
    assert record["sourceIPAddress"] == "203.0.113.7"


def test_errors_equal_those_over_asgi(guard: Guard, audit_file: Path) -> None:
    """RFC 9457, `WWW-Authenticate`, `no-store`; the body has the stated length."""
    answer = call(guarded(guard), "/documents/7")
    assert (answer.status, answer.code) == (401, "MissingAuthenticationToken")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert "Bearer" in answer.headers["www-authenticate"]
    assert recorded(audit_file) == ["GetDocument AccessDenied"]


def test_error_to_head_has_no_body(guard: Guard) -> None:
    answer = call(guarded(guard), "/documents/7", method="HEAD")
    assert (answer.status, answer.body) == (401, b"")


def test_bad_credentials_are_rejected_before_the_app(guard: Guard, sign: Sign, audit_file: Path) -> None:
    """Also for public endpoints."""
    answer = call(guarded(guard), "/health", sign((ADA[0], "wrong" * 8), "GET", "/health"))
    assert (answer.status, answer.code) == (401, "SignatureDoesNotMatch")
    assert recorded(audit_file) == ["Authenticate SignatureDoesNotMatch"]


def test_undecided_endpoint_answers_500_and_is_logged(guard: Guard, audit_file: Path) -> None:
    """Design 5."""
    answer = call(guarded(guard), "/forgotten")
    assert (answer.status, b"secret content" in answer.body) == (500, False)
    assert recorded(audit_file) == ["UndecidedEndpoint InternalFailure"]


def test_router_answers_unknown_paths(guard: Guard) -> None:
    """A 404 needs no decision."""
    assert call(guarded(guard), "/nothing").body == b"nothing here"


@pytest.mark.parametrize(
    ("status", "answered"), [(200, 500), (302, 500), (403, 500), (404, 404), (405, 405), (308, 308)]
)
def test_unreported_endpoint_sends_only_router_responses(guard: Guard, status: int, answered: int) -> None:
    """Without a report, no endpoint is known to have decided."""

    def untold(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response(f"{status} As it is", [("location", "/x/")])
        return [b"secret content"]

    answer = call(guarded(guard, untold), "/x")
    assert (answer.status, b"eyes" in answer.body) == (answered, False)


def test_custom_error_format_is_used(guard: Guard) -> None:
    """`refusal=` changes the response, not the decision."""

    def terse(error: Any, request_id: str) -> Refusal:
        return Refusal(418, (("x-code", error.code),), b"no")

    answer = call(guarded(guard, refusal=terse), "/documents/7")
    assert (answer.status, answer.body, answer.headers["x-code"]) == (418, b"no", "AccessDenied")


def test_application_cannot_choose_the_request_id(guard: Guard) -> None:
    """Ours replaces it."""

    def choosing(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("404 Not Found", [("X-Amzn-RequestId", "chosen")])
        return []

    assert call(guarded(guard, choosing), "/").headers["x-amzn-requestid"] != "chosen"


# --- bodies ---


def test_application_reads_the_signed_body(small: Guard, sign: Sign) -> None:
    """It is read for its hash, and replayed unchanged."""
    answer = call(guarded(small), "/uploads/7", sign(ADA, "GET", "/uploads/7", body=b"\0short"), b"\0short")
    assert json.loads(answer.body) == {
        "size": 6,
        "sha256": hashlib.sha256(b"\0short").hexdigest(),
        "CONTENT_LENGTH": "6",
    }


def test_long_body_is_streamed(small: Guard) -> None:
    """Its hash is stated, and verified at its end."""
    headers = headers_of("/uploads/7", HASH)
    answer = call(guarded(small), "/uploads/7", headers, LONG, "PUT")
    assert json.loads(answer.body)["sha256"] == HASH


def test_long_body_without_stated_hash_is_rejected(small: Guard, sign: Sign, audit_file: Path) -> None:
    """It would have to be buffered."""
    answer = call(guarded(small), "/uploads/7", sign(ADA, "PUT", "/uploads/7", body=LONG), LONG, "PUT")
    assert (answer.status, answer.code) == (413, "RequestEntityTooLarge")
    assert recorded(audit_file) == ["Authenticate RequestEntityTooLarge"]


@pytest.mark.parametrize("path", ["/uploads/7", "/swallowing/7"])
@pytest.mark.parametrize("sent", [LONG[:-1] + b"!", LONG + b"more", b"!" + LONG[1:]])
def test_changed_long_body_gets_an_error(small: Guard, audit_file: Path, path: str, sent: bytes) -> None:
    """Also if the application catches the error."""
    answer = call(guarded(small), path, headers_of(path, HASH), sent, "PUT")
    assert (answer.status, answer.code) == (401, "SignatureDoesNotMatch")
    assert recorded(audit_file) == ["PutDocument Allowed", "Authenticate SignatureDoesNotMatch"]


def test_started_response_is_broken_off(small: Guard) -> None:
    """It never looks complete to the client."""
    sent = LONG[:-1] + b"!"
    answer = call(guarded(small), "/echo/7", headers_of("/echo/7", HASH), sent, "PUT")
    assert (answer.status, type(answer.error).__name__) == (200, "SignatureDoesNotMatch")
    assert len(answer.body) < len(LONG)


def test_truncated_body_is_rejected(small: Guard) -> None:
    """A client that disconnected."""
    headers = headers_of("/uploads/7", hashlib.sha256(b"whole").hexdigest())
    answer = call(guarded(small), "/uploads/7", headers, b"who", "PUT", CONTENT_LENGTH="5")
    assert (answer.status, answer.code) == (400, "MalformedRequest")


def test_unterminated_chunked_body_is_rejected(small: Guard, audit_file: Path) -> None:
    """A server that doesn't mark the end of chunks would block the guard forever."""
    headers, parts = chunked("/uploads/7")
    answer = call(guarded(small), "/uploads/7", headers, b"".join(parts), "PUT")
    assert (answer.status, answer.code) == (400, "MalformedRequest")
    assert recorded(audit_file) == ["Authenticate MalformedRequest"]


@pytest.mark.parametrize("stated", [SIGNED, f"{SIGNED}-TRAILER"])
def test_application_reads_decoded_chunks(small: Guard, stated: str) -> None:
    """With the headers of the content."""
    headers, parts = chunked("/uploads/7", stated)
    answer = call(guarded(small), "/uploads/7", headers, b"".join(parts), "PUT", **{"wsgi.input_terminated": True})
    assert json.loads(answer.body) == {
        "size": len(WHOLE),
        "sha256": hashlib.sha256(WHOLE).hexdigest(),
        "CONTENT_LENGTH": str(len(WHOLE)),
    }


def test_other_content_codings_are_kept(small: Guard) -> None:
    """Only `aws-chunked` is removed."""
    headers, parts = chunked("/uploads/7", Content_Encoding="aws-chunked, gzip")
    answer = call(guarded(small), "/uploads/7", headers, b"".join(parts), "PUT", **{"wsgi.input_terminated": True})
    assert json.loads(answer.body)["HTTP_CONTENT_ENCODING"] == "gzip"


@pytest.mark.parametrize("path", ["/uploads/7", "/swallowing/7"])
def test_invalid_chunk_ends_the_request(small: Guard, path: str) -> None:
    """The application has not read any of it."""
    headers, parts = chunked(path)
    changed = b"".join(parts).replace(b"zzz", b"zz!")
    answer = call(guarded(small), path, headers, changed, "PUT", **{"wsgi.input_terminated": True})
    assert (answer.status, answer.code) == (401, "SignatureDoesNotMatch")


def test_unsigned_body_needs_a_route_that_accepts_it(small: Guard) -> None:
    """`unsigned_payload=True`; on other routes the call has no caller."""
    app = guarded(small)
    environ = environ_of("PUT", "/unsigned/7", headers_of("/unsigned/7", "UNSIGNED-PAYLOAD"), b"body")
    assert b"".join(app(environ, lambda status, headers, exc_info=None: print)) == b"body"
    assert "wsgi.input_terminated" not in environ  # a framework would read past the end
    refused = call(app, "/uploads/7", headers_of("/uploads/7", "UNSIGNED-PAYLOAD"), b"body", "PUT")
    assert (refused.status, refused.code) == (401, "IncompleteSignature")
    rejected = call(app, "/asks", headers_of("/asks", "UNSIGNED-PAYLOAD"), b"body", "PUT")
    assert (rejected.status, rejected.code) == (401, "IncompleteSignature")


def test_unsigned_chunks_are_accepted_by_their_route(small: Guard) -> None:
    """As S3 clients send them over TLS."""
    headers, parts = chunked("/unsigned/7", UNSIGNED_TRAILER)
    answer = call(guarded(small), "/unsigned/7", headers, b"".join(parts), "PUT", **{"wsgi.input_terminated": True})
    assert answer.body == WHOLE


def test_body_of_unsigned_request_is_unchanged(guard: Guard) -> None:
    """Without a signature nothing covers it."""

    class Untouched:
        def read(self, size: int = -1) -> bytes:
            raise AssertionError("the body must not be read")

    assert call(guarded(guard), "/health", **{"wsgi.input": Untouched()}).body == b"ok"


# --- responses ---


def test_response_parts_have_the_caller(guard: Guard, sign: Sign) -> None:
    """Parts are generated after the application has returned, and so is `close`."""
    closed.clear()
    answer = call(guarded(guard), "/streams/7", sign(RITA, "GET", "/streams/7"))
    assert answer.body == b"rita 0\nrita 1\nrita 2\n"
    assert closed == ["rita"]


@pytest.mark.parametrize("number", [0, 1])
def test_late_start_of_a_generator_is_checked(guard: Guard, sign: Sign, number: int) -> None:
    """It calls `start_response` with its first part, or at its end."""

    def late(decides: bool) -> Any:
        def app(environ: Any, start_response: Any) -> Iterator[bytes]:
            if decides:
                docs.authorize("GetDocument", "arn:aws:docs:us-east-1:111122223333:document/7")
            start_response("200 OK", [])
            yield from [current_principal().name.encode()] * number

        return app

    allowed = call(guarded(guard, late(True)), "/", sign(RITA, "GET", "/"))
    assert (allowed.status, allowed.body) == (200, b"rita" * number)
    assert call(guarded(guard, late(True)), "/").status == 401
    undecided = call(guarded(guard, late(False)), "/", sign(RITA, "GET", "/"))
    assert (undecided.status, undecided.code) == (500, "InternalFailure")


def test_replaced_response_is_closed(guard: Guard) -> None:
    """Its resources are released."""
    ended: list[bool] = []

    class ClosableParts(list[bytes]):
        def close(self) -> None:
            ended.append(True)

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return ClosableParts([b"secret content"])

    assert (call(guarded(guard, app), "/").status, ended) == (500, [True])


def test_write_callable_is_checked(guard: Guard, sign: Sign) -> None:
    """`start_response` returns a function that writes at once."""

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        if environ["PATH_INFO"] == "/decided":
            docs.authorize("GetDocument", "arn:aws:docs:us-east-1:111122223333:document/7")
        write(b"for rita's eyes")
        return []

    assert call(guarded(guard, app), "/decided", sign(RITA, "GET", "/decided")).body == b"for rita's eyes"
    refused = call(guarded(guard, app), "/", sign(RITA, "GET", "/"))
    assert (refused.status, b"eyes" in refused.body) == (500, False)


def test_exc_info_restarts_the_response(guard: Guard, sign: Sign) -> None:
    """PEP 3333: `exc_info` replaces a response that was not sent yet."""

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        docs.authorize("GetDocument", "arn:aws:docs:us-east-1:111122223333:document/7")
        start_response("200 OK", [])
        start_response("500 Sorry", [], (RuntimeError, RuntimeError("x"), None))
        return [b"sorry"]

    assert call(guarded(guard, app), "/", sign(RITA, "GET", "/")).status == 500


def test_missing_start_response_is_an_error(guard: Guard) -> None:
    """Nothing of it reaches the server."""
    answer = call(guarded(guard, lambda environ, start_response: [b"secret content"]), "/")
    assert (answer.status, b"eyes" in answer.body) == (500, False)


def test_application_exceptions_are_passed_on(guard: Guard) -> None:
    """To the server, or to an outer framework."""

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        raise RuntimeError("its own")

    assert str(call(guarded(guard, app), "/").error) == "its own"


@pytest.mark.filterwarnings("ignore::wsgiref.validate.WSGIWarning")  # of unusual status lines and the like
def test_both_sides_conform_to_wsgi(guard: Guard, sign: Sign) -> None:
    """The validator of the standard library, outside and inside."""
    app = wsgiref.validate.validator(GuardWsgiMiddleware(wsgiref.validate.validator(application), guard=guard))
    for target in ("/documents/7", "/streams/7", "/forgotten", "/nothing"):
        answer = call(app, target, sign(RITA, "GET", target))
        assert answer.error is None


# --- configuration ---


@pytest.mark.parametrize(
    "option",
    [{"trusted_proxies": ("10.0.0.0/8",)}, {"client_certificates": ("client-cert",), "trusted_proxies": ("::1",)}],
)
def test_trusted_proxy_headers_need_drops_underscores(tmp_path: Path, option: dict[str, Any]) -> None:
    """`X_Forwarded_For` arrives as `X-Forwarded-For`, and a caller may send the first."""
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED)
    with closing(open_guard(str(seed), audit=str(tmp_path / "audit.jsonl"), **option)) as guard:
        with pytest.raises(ConfigurationError, match="drops_underscores"):
            guarded(guard)
        app = guarded(guard, drops_underscores=True)
        assert call(app, "/health").status == 200


def test_tls_certificate_needs_no_drops_underscores(tmp_path: Path) -> None:
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED)
    with closing(open_guard(str(seed), audit=str(tmp_path / "audit.jsonl"), client_certificates=("tls",))) as guard:
        assert call(guarded(guard), "/health").status == 200
        answer = call(guarded(guard), "/health", SSL_CLIENT_CERT="nonsense")
        assert answer.status == 401
