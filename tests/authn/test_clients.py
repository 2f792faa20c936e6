"""Signatures of real clients are accepted, and requests that were changed in transit are refused."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.signatures.canonical import canonical_value
from iam_guard.errors import IamGuardError, SignatureDoesNotMatch
from tests.authn.signing import (
    ALICE,
    KEY_ID,
    NOW,
    SECRET,
    Received,
    authenticated,
    read,
    send,
    send_with_httpx,
    sign,
    with_header,
)
from tests.tables import table

methods = st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"])
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
segments = st.one_of(
    words.map(lambda text: quote(text, safe="~")),  # as the SDKs encode a path parameter
    words.map(lambda text: quote(text, safe="/~+:@!$&'()*,;=")),
    st.sampled_from(["", ".", "..", "...", ".a", "a%2Fb", "a+b", "a%20b", "%25", "%2E%2E", "*", "~"]),
)
paths = st.lists(segments, max_size=5).map(lambda parts: "/" + "/".join(parts))
pairs = st.lists(st.tuples(words, words), max_size=4) | st.lists(
    st.tuples(st.sampled_from(["a", "A", "a-", "b", "", "ü"]), st.sampled_from(["", "1", "2", " ", "+", "a b&c=d%"])),
    max_size=5,
)
queries = pairs.map(
    lambda items: "&".join(f"{quote(key, safe='-_.~')}={quote(value, safe='-_.~')}" for key, value in items)
)
raw_queries = st.lists(
    st.sampled_from(["a", "b=1", "a=b=c", "=", "x=1+2", "y=a/b:c@d", "z=a,b;c", "q=%2B%20", "a=", "t=~*'()!$", "B=?"]),
    max_size=5,
).map("&".join)
values = st.text(st.sampled_from('ab  ,;="/\t0'), max_size=12).map(str.strip)
headers = st.lists(
    st.tuples(st.sampled_from(["X-Custom", "X-Amz-Meta-A", "x-amz-target", "Content-Type", "Accept", "X-B"]), values),
    max_size=5,
)
bodies = st.binary(max_size=40)
services = st.sampled_from(["docs", "iam", "sts", "execute-api", "my_service.v2", "s3tables", "organizations"])
s3_services = st.sampled_from(["s3", "s3express", "s3-object-lambda", "s3-outposts"])
regions = st.sampled_from(["us-east-1", "eu-west-1", "cn-north-1", "us-gov-west-1", "aws-global", "local"])
origins = st.sampled_from(
    ["http://127.0.0.1:8000", "http://localhost", "http://docs.example.com:80", "http://[::1]:8000", "http://h:443"]
)


@settings(max_examples=400, deadline=None)
@given(methods, origins, paths, queries | raw_queries, headers, bodies, services, regions)
@example(
    "GET",
    "http://127.0.0.1:8000",
    "//a/./b/../c%20d//",
    "",
    [("X-Custom", "a   b"), ("X-Custom", "c")],
    b"",
    "docs",
    "x",
)
def test_botocore_signature_is_accepted(
    method: str,
    origin: str,
    path: str,
    query: str,
    given_headers: list[tuple[str, str]],
    body: bytes,
    service: str,
    region: str,
) -> None:
    """Any method, host, path, query, header, body, service and region (issue A)."""
    url = f"{origin}{path}?{query}" if query else origin + path
    signed = sign(method, url, headers=given_headers, body=body, service=service, region=region)
    received = send(signed)
    principal = authenticated(received)
    assert principal == ALICE
    assert principal.credential is not None
    assert (principal.credential.service, principal.credential.region) == (service, region)


@settings(max_examples=200, deadline=None)
@given(methods, paths, queries | raw_queries, headers, bodies, s3_services)
def test_botocore_s3_signature_is_accepted(
    method: str, path: str, query: str, given_headers: list[tuple[str, str]], body: bytes, service: str
) -> None:
    """S3's signer keeps the path and states the hash of the body."""
    url = f"http://127.0.0.1:8000{path}?{query}" if query else f"http://127.0.0.1:8000{path}"
    signed = sign(method, url, headers=given_headers, body=body, service=service, signer=S3SigV4Auth)
    assert signed.headers["X-Amz-Content-SHA256"]
    assert authenticated(send(signed)) == ALICE


@settings(max_examples=100, deadline=None)
@given(pairs.filter(bool), st.booleans())
def test_botocore_separate_parameters_are_accepted(items: list[tuple[str, str]], as_dict: bool) -> None:
    """They are signed with `%20` and sent with `+`."""
    params = dict(items) if as_dict else items
    assert authenticated(send(sign(params=params))) == ALICE


@settings(max_examples=100, deadline=None)
@given(methods, paths, queries, bodies)
def test_botocore_signature_sent_by_httpx_is_accepted(method: str, path: str, query: str, body: bytes) -> None:
    """Another client sends the same signed request in another form.

    Dot segments are excluded: httpx resolves them before sending, and differently from botocore.
    """
    assume(not {".", ".."} & set(path.split("/")))
    url = f"http://127.0.0.1:8000{path}?{query}" if query else f"http://127.0.0.1:8000{path}"
    assert authenticated(send_with_httpx(sign(method, url, body=body))) == ALICE


@table("seconds", [-299, 0, 299])
def test_botocore_date_header_is_accepted(seconds: int) -> None:
    """`Date` instead of `X-Amz-Date`, in botocore's format."""
    received = send(sign(headers=[("Date", "any")], now=NOW + timedelta(seconds=seconds)))
    assert not received.request.values(b"x-amz-date")
    assert authenticated(received) == ALICE


def test_s3_signer_for_other_service_with_plain_path() -> None:
    """The two encodings agree on paths of unreserved characters."""
    assert authenticated(send(sign("PUT", signer=S3SigV4Auth, service="docs", body=b"x"))) == ALICE


# --- changed on the way ------------------------------------------------------------------------------------------


def meaning(received: Received, service: str) -> object:
    """Return what an application can read from a request; requests that differ here must not share a signature."""
    request = received.request
    path: object = request.raw_path
    if service != "s3":
        kept: list[bytes] = []
        for segment in request.raw_path.split(b"/"):
            kept = kept[:-1] if segment == b".." else kept + [segment] * (segment not in (b"", b"."))
        path = kept, request.raw_path.endswith(b"/") and bool(kept)
    query = sorted(parse_qsl(request.query_string.decode("latin-1"), keep_blank_values=True))
    signed = {
        name: canonical_value(values)
        for name, values in request.by_name.items()
        if name in {b"host", b"x-amz-date", b"x-amz-target", b"x-custom", b"x-amz-content-sha256"}
    }
    return request.method, path, [pair for pair in query if pair != ("", "")], signed, received.body


def _in_method(received: Received, change: Callable[[bytes], bytes]) -> Received:
    method = change(received.request.method.encode()).decode("latin-1")
    return replace(received, request=replace(received.request, method=method))


def _in_path(received: Received, change: Callable[[bytes], bytes]) -> Received:
    return replace(received, request=replace(received.request, raw_path=change(received.request.raw_path)))


def _in_query(received: Received, change: Callable[[bytes], bytes]) -> Received:
    return replace(received, request=replace(received.request, query_string=change(received.request.query_string)))


def _in_body(received: Received, change: Callable[[bytes], bytes]) -> Received:
    return replace(received, body=change(received.body))


def _in_header(name: bytes) -> Callable[[Received, Callable[[bytes], bytes]], Received]:
    def changed(received: Received, change: Callable[[bytes], bytes]) -> Received:
        return with_header(received, name, change(received.request.values(name)[0]))

    return changed


PLACES: dict[str, Callable[[Received, Callable[[bytes], bytes]], Received]] = {
    "method": _in_method,
    "path": _in_path,
    "query": _in_query,
    "body": _in_body,
    "host": _in_header(b"host"),
    "time": _in_header(b"x-amz-date"),
    "target": _in_header(b"x-amz-target"),
    "custom header": _in_header(b"x-custom"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("service", "signer"), [("docs", SigV4Auth), ("s3", S3SigV4Auth)])
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_request_changed_in_one_byte_is_refused(
    place: str, service: str, signer: type[SigV4Auth], data: st.DataObject
) -> None:
    """A signed byte replaced, added or removed so that the meaning changes (issue A)."""
    signed = sign(
        "POST",
        "http://127.0.0.1:8000/documents/a%20b/c+d/%2E/x?name=a%20b&name=c+d&flag=&z=%2F%2B",
        headers=[("X-Amz-Target", "Docs.Get"), ("X-Custom", "a b, c")],
        body=b"name=a+b&value=1",
        service=service,
        signer=signer,
    )
    received = send(signed)
    changed = PLACES[place](received, lambda text: _one_byte_other(data, text))
    assume(meaning(changed, service) != meaning(received, service))
    assert authenticated(received) == ALICE
    with pytest.raises(IamGuardError) as caught:
        authenticated(changed)
    assert caught.value.code in {"SignatureDoesNotMatch", "IncompleteSignature"}


def _one_byte_other(data: st.DataObject, text: bytes) -> bytes:
    at = data.draw(st.integers(0, len(text) - 1))
    byte = data.draw(st.sampled_from(sorted(set(b"ab/.%+&=2 0;,\xff" + text))).map(lambda code: bytes([code])))
    match data.draw(st.sampled_from(["replace", "insert", "remove", "swap", "flip"])):
        case "replace":
            return text[:at] + byte + text[at + 1 :]
        case "insert":
            return text[:at] + byte + text[at:]
        case "remove":
            return text[:at] + text[at + 1 :]
        case "swap":
            return text[:at] + text[at : at + 2][::-1] + text[at + 2 :]
        case _:
            return text[:at] + bytes([text[at] ^ (1 << data.draw(st.integers(0, 7)))]) + text[at + 1 :]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_credential_changed_in_one_byte_is_refused(data: st.DataObject) -> None:
    """Key id, scope, list of signed headers and signature."""
    received = send(sign(headers=[("X-Custom", "a")]))
    [text] = received.request.values(b"authorization")
    changed = _one_byte_other(data, text)
    assume(b"".join(changed.split()) != b"".join(text.split()))
    with pytest.raises(IamGuardError) as caught:
        authenticated(with_header(received, b"authorization", changed))
    assert caught.value.status in {401, 413}


def test_removed_or_repeated_header_is_refused() -> None:
    """A signed header must occur as often as it was signed."""
    received = send(sign(headers=[("X-Custom", "a"), ("X-Custom", "b")]))
    assert authenticated(received) == ALICE
    for values in ([], [b"a"], [b"b", b"a"], [b"a", b"b", b"b"], [b"a", b"b", b""]):
        with pytest.raises(SignatureDoesNotMatch):
            authenticated(with_header(received, b"x-custom", *values))
    with pytest.raises(SignatureDoesNotMatch):
        authenticated(with_header(received, b"x-amz-added", b"a"))


def test_moved_query_is_refused() -> None:
    """The parts of a request are separated."""
    received = send(sign(url="http://127.0.0.1:8000/a?b=c"))
    for path, query in ((b"/a?b=c", b""), (b"/a", b""), (b"/a%3Fb=c", b""), (b"/a\nb=c", b"")):
        moved = HttpRequest("GET", path, query, received.request.headers)
        with pytest.raises(SignatureDoesNotMatch):
            authenticated(Received(moved))


# --- curl --------------------------------------------------------------------------------------------------------


def _curl_lacks_sigv4() -> bool:
    curl = shutil.which("curl")
    if curl is None:
        return True
    help = subprocess.run([curl, "--help", "all"], capture_output=True, text=True, check=False)
    return "--aws-sigv4" not in help.stdout


def curl(target: str, *arguments: str) -> Received:
    """Run curl against a socket and return what it sent."""
    sent = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(60)
                while not _is_complete(sent):
                    sent.extend(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}{target}"
        command = ["curl", "-sS", "--max-time", "60", "--globoff", "--aws-sigv4", "aws:amz:us-east-1:docs"]
        subprocess.run([*command, "--user", f"{KEY_ID}:{SECRET}", *arguments, url], check=True)
        thread.join(60)
    return read(bytes(sent))


def _is_complete(sent: bytearray) -> bool:
    head, found, body = bytes(sent).partition(b"\r\n\r\n")
    length = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return bool(found) and len(body) >= int(length[0] if length else 0)


@pytest.mark.skipif(_curl_lacks_sigv4(), reason="no curl with --aws-sigv4 on this machine")
@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ("/", []),
        ("/documents/a%20b//c+d/%2F~", []),
        ("/d?b=2&a=1&a=&c=x/y:z&d=1+2&e=%2f%7e&f", []),
        ("/d", ["-X", "DELETE", "-H", "X-Custom:  a   b", "-H", "X-Amz-Target: Docs.Get"]),
        ("/d?x=1", ["-d", "name=a+b&value=1"]),
        ("/d", ["-X", "PUT", "--data-binary", "{}", "-H", "Content-Type: application/json"]),
    ],
)
def test_curl_signature_is_accepted(target: str, arguments: list[str]) -> None:
    """The real binary, over a real socket."""
    received = curl(target, *arguments)
    now = datetime.now(UTC)
    assert authenticated(received, now=now) == ALICE
    with pytest.raises(SignatureDoesNotMatch):
        authenticated(replace(received, body=received.body + b"x"), now=now)
