"""The guard before a WSGI application: who gets in, how others are refused, what is recorded (design 4.5, 5)."""

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
from iam_guard.audit.consumer.reader import read
from iam_guard.authn.chunked import SMALLEST
from iam_guard.errors import ConfigurationError
from iam_guard.web.refusal import Refusal
from tests.conftest import ADA, RITA, SEED, Sign
from tests.web.asgi.test_streaming_body import CONTENT, SIGNED, UNSIGNED_TRAILER, chunked, headers_of
from tests.web.wsgi.application import application, closed, docs

HELD = SMALLEST
LONG = bytes(range(256)) * (HELD // 64)
HASH = hashlib.sha256(LONG).hexdigest()
WHOLE = b"".join(CONTENT)


@pytest.fixture
def small(tmp_path: Path, audit_file: Path) -> Iterator[Guard]:
    """A guard that holds little of a body."""
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED)
    with closing(open_guard(str(seed), audit=str(audit_file), max_body=HELD, max_stream=8 * SMALLEST)) as opened:
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

    def start_response(status: str, given: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        answer.status = int(status[:3])
        assert len({name.lower() for name, _ in given}) == len(given)
        answer.headers = {name.lower(): value for name, value in given}
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


def noted(path: Path) -> list[str]:
    records = list(read(path)) if path.exists() else []
    return [f"{record['eventName']} {record.get('errorCode') or record['iamGuard']['outcome']}" for record in records]


# --- who gets in ---


def test_lets_an_allowed_caller_in(guard: Guard, sign: Sign, audit_file: Path) -> None:
    """The caller is known in the handler; the answer has the id under which it was recorded."""
    answer = call(guarded(guard), "/documents/7", sign(RITA, "GET", "/documents/7"))
    assert (answer.status, json.loads(answer.body)["caller"]) == (200, "rita")
    (record,) = read(audit_file)
    assert record["requestID"] == answer.headers["x-amzn-requestid"]
    assert record["sourceIPAddress"] == "203.0.113.7"


def test_refuses_as_over_asgi(guard: Guard, audit_file: Path) -> None:
    """RFC 9457, `WWW-Authenticate`, no store; the body has the length that is told."""
    answer = call(guarded(guard), "/documents/7")
    assert (answer.status, answer.code) == (401, "MissingAuthenticationToken")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["content-length"] == str(len(answer.body))
    assert "Bearer" in answer.headers["www-authenticate"]
    assert noted(audit_file) == ["GetDocument AccessDenied"]


def test_a_refusal_to_head_has_no_body(guard: Guard) -> None:
    """HTTP has none there."""
    answer = call(guarded(guard), "/documents/7", method="HEAD")
    assert (answer.status, answer.body) == (401, b"")


def test_bad_credentials_are_refused_before_the_application(guard: Guard, sign: Sign, audit_file: Path) -> None:
    """Also where anybody may call."""
    answer = call(guarded(guard), "/health", sign((ADA[0], "wrong" * 8), "GET", "/health"))
    assert (answer.status, answer.code) == (401, "SignatureDoesNotMatch")
    assert noted(audit_file) == ["Authenticate SignatureDoesNotMatch"]


def test_an_undecided_endpoint_gives_nothing_away(guard: Guard, audit_file: Path) -> None:
    """Design 5: 500, and reported."""
    answer = call(guarded(guard), "/forgotten")
    assert (answer.status, b"nobody" in answer.body) == (500, False)
    assert noted(audit_file) == ["UndecidedEndpoint InternalFailure"]


def test_what_nobody_takes_is_the_routers_to_answer(guard: Guard) -> None:
    """A 404 gave nothing away."""
    assert call(guarded(guard), "/nothing").body == b"nothing here"


@pytest.mark.parametrize(
    ("status", "answered"), [(200, 500), (302, 500), (403, 500), (404, 404), (405, 405), (308, 308)]
)
def test_of_an_application_that_never_tells_only_the_routers_answers_pass(
    guard: Guard, status: int, answered: int
) -> None:
    """Whatever it may have done, nobody decided about it."""

    def untold(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response(f"{status} As it is", [("location", "/x/")])
        return [b"for nobody's eyes"]

    answer = call(guarded(guard, untold), "/x")
    assert (answer.status, b"eyes" in answer.body) == (answered, False)


def test_a_refusal_format_of_ones_own(guard: Guard) -> None:
    """`refusal=` swaps the form, not the decision."""

    def terse(error: Any, request_id: str) -> Refusal:
        return Refusal(418, (("x-code", error.code),), b"no")

    answer = call(guarded(guard, refusal=terse), "/documents/7")
    assert (answer.status, answer.body, answer.headers["x-code"]) == (418, b"no", "AccessDenied")


def test_an_application_cannot_choose_the_request_id(guard: Guard) -> None:
    """Ours stands in its place."""

    def choosing(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("404 Not Found", [("X-Amzn-RequestId", "chosen")])
        return []

    assert call(guarded(guard, choosing), "/").headers["x-amzn-requestid"] != "chosen"


# --- bodies ---


def test_the_application_reads_what_was_signed(small: Guard, sign: Sign) -> None:
    """Read for its hash, and handed on as it came."""
    answer = call(guarded(small), "/uploads/7", sign(ADA, "GET", "/uploads/7", body=b"\0short"), b"\0short")
    assert json.loads(answer.body) == {
        "size": 6,
        "sha256": hashlib.sha256(b"\0short").hexdigest(),
        "CONTENT_LENGTH": "6",
    }


def test_a_long_body_passes_through(small: Guard) -> None:
    """Its hash is stated, and checked at its end."""
    headers = headers_of("/uploads/7", HASH)
    answer = call(guarded(small), "/uploads/7", headers, LONG, "PUT")
    assert json.loads(answer.body)["sha256"] == HASH


def test_a_long_body_without_its_hash_is_refused(small: Guard, sign: Sign, audit_file: Path) -> None:
    """It would have to be held."""
    answer = call(guarded(small), "/uploads/7", sign(ADA, "PUT", "/uploads/7", body=LONG), LONG, "PUT")
    assert (answer.status, answer.code) == (413, "RequestEntityTooLarge")
    assert noted(audit_file) == ["Authenticate RequestEntityTooLarge"]


@pytest.mark.parametrize("path", ["/uploads/7", "/swallowing/7"])
@pytest.mark.parametrize("sent", [LONG[:-1] + b"!", LONG + b"more", b"!" + LONG[1:]])
def test_a_long_body_that_was_changed_gives_no_answer(small: Guard, audit_file: Path, path: str, sent: bytes) -> None:
    """Whatever the application makes of the error."""
    answer = call(guarded(small), path, headers_of(path, HASH), sent, "PUT")
    assert (answer.status, answer.code) == (401, "SignatureDoesNotMatch")
    assert noted(audit_file) == ["PutDocument Allowed", "Authenticate SignatureDoesNotMatch"]


def test_an_answer_that_has_begun_breaks_off(small: Guard) -> None:
    """What the client has of it never looks whole."""
    sent = LONG[:-1] + b"!"
    answer = call(guarded(small), "/echo/7", headers_of("/echo/7", HASH), sent, "PUT")
    assert (answer.status, type(answer.error).__name__) == (200, "SignatureDoesNotMatch")
    assert len(answer.body) < len(LONG)


def test_a_body_that_ends_early_is_refused(small: Guard) -> None:
    """A client that went away."""
    headers = headers_of("/uploads/7", hashlib.sha256(b"whole").hexdigest())
    answer = call(guarded(small), "/uploads/7", headers, b"who", "PUT", CONTENT_LENGTH="5")
    assert (answer.status, answer.code) == (400, "MalformedRequest")


def test_a_body_whose_end_nobody_tells_is_refused(small: Guard, audit_file: Path) -> None:
    """A server that hands over chunks without an end would let the guard wait for ever."""
    headers, parts = chunked("/uploads/7")
    answer = call(guarded(small), "/uploads/7", headers, b"".join(parts), "PUT")
    assert (answer.status, answer.code) == (400, "MalformedRequest")
    assert noted(audit_file) == ["Authenticate MalformedRequest"]


@pytest.mark.parametrize("stated", [SIGNED, f"{SIGNED}-TRAILER"])
def test_the_application_reads_what_was_in_the_chunks(small: Guard, stated: str) -> None:
    """Decoded, with the headers of the content."""
    headers, parts = chunked("/uploads/7", stated)
    answer = call(guarded(small), "/uploads/7", headers, b"".join(parts), "PUT", **{"wsgi.input_terminated": True})
    assert json.loads(answer.body) == {
        "size": len(WHOLE),
        "sha256": hashlib.sha256(WHOLE).hexdigest(),
        "CONTENT_LENGTH": str(len(WHOLE)),
    }


def test_another_coding_stays(small: Guard) -> None:
    """`aws-chunked` alone is taken off."""
    headers, parts = chunked("/uploads/7", Content_Encoding="aws-chunked, gzip")
    answer = call(guarded(small), "/uploads/7", headers, b"".join(parts), "PUT", **{"wsgi.input_terminated": True})
    assert json.loads(answer.body)["HTTP_CONTENT_ENCODING"] == "gzip"


@pytest.mark.parametrize("path", ["/uploads/7", "/swallowing/7"])
def test_a_chunk_that_does_not_verify_ends_the_request(small: Guard, path: str) -> None:
    """The application has read no byte of it."""
    headers, parts = chunked(path)
    changed = b"".join(parts).replace(b"zzz", b"zz!")
    answer = call(guarded(small), path, headers, changed, "PUT", **{"wsgi.input_terminated": True})
    assert (answer.status, answer.code) == (401, "SignatureDoesNotMatch")


def test_a_body_that_the_signature_leaves_out_needs_a_route_that_takes_it(small: Guard) -> None:
    """`unsigned_payload=True` takes it; elsewhere such a call has no caller."""
    app = guarded(small)
    environ = environ_of("PUT", "/unsigned/7", headers_of("/unsigned/7", "UNSIGNED-PAYLOAD"), b"body")
    assert b"".join(app(environ, lambda status, headers, exc_info=None: print)) == b"body"
    assert "wsgi.input_terminated" not in environ  # a framework would read past the end
    refused = call(app, "/uploads/7", headers_of("/uploads/7", "UNSIGNED-PAYLOAD"), b"body", "PUT")
    assert (refused.status, refused.code) == (401, "IncompleteSignature")
    asked = call(app, "/asks", headers_of("/asks", "UNSIGNED-PAYLOAD"), b"body", "PUT")
    assert (asked.status, asked.code) == (401, "IncompleteSignature")


def test_unsigned_chunks_are_read_where_they_are_taken(small: Guard) -> None:
    """As S3's clients send them over TLS."""
    headers, parts = chunked("/unsigned/7", UNSIGNED_TRAILER)
    answer = call(guarded(small), "/unsigned/7", headers, b"".join(parts), "PUT", **{"wsgi.input_terminated": True})
    assert answer.body == WHOLE


def test_the_body_of_others_is_not_touched(guard: Guard) -> None:
    """Without a signature nothing covers it."""

    class Untouched:
        def read(self, size: int = -1) -> bytes:
            raise AssertionError("nobody needs it")

    assert call(guarded(guard), "/health", **{"wsgi.input": Untouched()}).body == b"ok"


# --- answers ---


def test_an_answer_is_made_for_its_caller_to_the_end(guard: Guard, sign: Sign) -> None:
    """Parts are made after the application returned, and so is the end."""
    closed.clear()
    answer = call(guarded(guard), "/streams/7", sign(RITA, "GET", "/streams/7"))
    assert answer.body == b"rita 0\nrita 1\nrita 2\n"
    assert closed == ["rita"]


@pytest.mark.parametrize("number", [0, 1])
def test_a_generator_that_begins_late_is_watched_alike(guard: Guard, sign: Sign, number: int) -> None:
    """It says how it begins when its first part is asked for, or at its end where it has none."""

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


def test_a_refused_answer_is_closed(guard: Guard) -> None:
    """What it holds open is let go."""
    ended: list[bool] = []

    class Held(list[bytes]):
        def close(self) -> None:
            ended.append(True)

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return Held([b"for nobody's eyes"])

    assert (call(guarded(guard, app), "/").status, ended) == (500, [True])


def test_the_old_way_to_write_is_watched_too(guard: Guard, sign: Sign) -> None:
    """`start_response` gives a function that writes at once."""

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        write = start_response("200 OK", [])
        if environ["PATH_INFO"] == "/decided":
            docs.authorize("GetDocument", "arn:aws:docs:us-east-1:111122223333:document/7")
        write(b"for rita's eyes")
        return []

    assert call(guarded(guard, app), "/decided", sign(RITA, "GET", "/decided")).body == b"for rita's eyes"
    refused = call(guarded(guard, app), "/", sign(RITA, "GET", "/"))
    assert (refused.status, b"eyes" in refused.body) == (500, False)


def test_an_application_may_begin_anew_with_an_error(guard: Guard, sign: Sign) -> None:
    """PEP 3333: `exc_info` replaces what nobody has seen yet."""

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        docs.authorize("GetDocument", "arn:aws:docs:us-east-1:111122223333:document/7")
        start_response("200 OK", [])
        start_response("500 Sorry", [], (RuntimeError, RuntimeError("x"), None))
        return [b"sorry"]

    assert call(guarded(guard, app), "/", sign(RITA, "GET", "/")).status == 500


def test_an_application_that_never_begins_is_a_mistake(guard: Guard) -> None:
    """Nothing of it reaches the server."""
    answer = call(guarded(guard, lambda environ, start_response: [b"for nobody's eyes"]), "/")
    assert (answer.status, b"eyes" in answer.body) == (500, False)


def test_errors_of_the_application_are_its_own(guard: Guard) -> None:
    """They reach the server, or the framework outside."""

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        raise RuntimeError("its own")

    assert str(call(guarded(guard, app), "/").error) == "its own"


@pytest.mark.filterwarnings("ignore::wsgiref.validate.WSGIWarning")  # of unusual status lines and the like
def test_both_sides_speak_wsgi(guard: Guard, sign: Sign) -> None:
    """The validator of the standard library, outside and inside."""
    app = wsgiref.validate.validator(GuardWsgiMiddleware(wsgiref.validate.validator(application), guard=guard))
    for target in ("/documents/7", "/streams/7", "/forgotten", "/nothing"):
        answer = call(app, target, sign(RITA, "GET", target))
        assert answer.error is None


# --- set-up ---


@pytest.mark.parametrize(
    "option",
    [{"trusted_proxies": ("10.0.0.0/8",)}, {"client_certificates": ("client-cert",), "trusted_proxies": ("::1",)}],
)
def test_headers_of_proxies_need_a_server_that_drops_their_doubles(tmp_path: Path, option: dict[str, Any]) -> None:
    """`X_Forwarded_For` arrives as `X-Forwarded-For`, and a caller may write the first."""
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED)
    with closing(open_guard(str(seed), audit=str(tmp_path / "audit.jsonl"), **option)) as guard:
        with pytest.raises(ConfigurationError, match="drops_underscores"):
            guarded(guard)
        app = guarded(guard, drops_underscores=True)
        assert call(app, "/health").status == 200


def test_a_certificate_of_the_connection_needs_no_header(tmp_path: Path) -> None:
    """So nothing has to be said about headers."""
    seed = tmp_path / "iam.yaml"
    seed.write_text(SEED)
    with closing(open_guard(str(seed), audit=str(tmp_path / "audit.jsonl"), client_certificates=("tls",))) as guard:
        assert call(guarded(guard), "/health").status == 200
        answer = call(guarded(guard), "/health", SSL_CLIENT_CERT="nonsense")
        assert answer.status == 401
