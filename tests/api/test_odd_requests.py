"""Requests that no AWS client sends: broken forms, other methods, other services, wrong lengths.

Each gets an AWS error or the server's own rejection, changes nothing, and the next request succeeds. Hostile texts in
well-formed requests: `test_injection`.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pytest

from tests.api.raw import FORM, NAMESPACE, VERSION, Connection, RawAnswer, RawRequest, signed
from tests.api.sample_entities import key_of
from tests.api.sample_server import SampleServer, sample_server

ADMIN = key_of("admin")
STS = "https://sts.amazonaws.com/doc/2011-06-15/"
MAKE = f"Action=CreateUser&Version={VERSION}&UserName=zoe".encode()
GET = f"Action=GetUser&Version={VERSION}".encode()
LIMIT = 16 * 1024 * 1024
MULTIPART = b'--x\r\nContent-Disposition: form-data; name="Action"\r\n\r\nCreateUser\r\n--x--\r\n'


@pytest.fixture(scope="module")
def sample() -> Iterator[SampleServer]:
    """The server of all tests in this module; none of them changes it."""
    with sample_server() as sample:
        yield sample


@pytest.fixture
def connection(sample: SampleServer) -> Iterator[Connection]:
    """A connection; afterwards nothing has changed, and a valid request over another one succeeds."""
    before = sample.rows()
    opened = Connection(sample.url)
    yield opened
    opened.close()
    assert sample.rows() == before
    assert sample.admin.get_user()["User"]["UserName"] == "admin"


def error_of(answer: RawAnswer, namespace: str = NAMESPACE) -> tuple[str, int]:
    """Check the format of an error, and return its code and status."""
    assert answer.headers["content-type"] == "text/xml"
    assert answer.root.tag == f"{{{namespace}}}ErrorResponse"
    assert [each.tag for each in answer.root] == [f"{{{namespace}}}Error", f"{{{namespace}}}RequestId"]
    members = {each.tag.removeprefix(f"{{{namespace}}}"): each.text for each in answer.root[0]}
    assert members["Type"] == "Sender"
    assert answer.root[1].text == answer.headers["x-amzn-requestid"]
    return str(members["Code"]), answer.status


MALFORMED = ("MalformedQueryString", 404)
BODIES: Mapping[str, tuple[bytes, tuple[str, int]]] = {
    "nothing": (b"", ("MissingAction", 400)),
    "no action": (b"Version=2010-05-08&UserName=zoe", ("MissingAction", 400)),
    "an empty action": (b"Action=&Version=2010-05-08", ("MissingAction", 400)),
    "an action alone": (b"Action", ("MissingAction", 400)),
    "ampersands": (b"&&&&=&&=&", MALFORMED),
    "no version": (b"Action=CreateUser&UserName=zoe", ("InvalidAction", 400)),
    "another version": (b"Action=CreateUser&Version=2011-06-15&UserName=zoe", ("InvalidAction", 400)),
    "another case": (b"Action=createUser&Version=2010-05-08&UserName=zoe", ("InvalidAction", 400)),
    "an action of another service": (b"Action=AssumeRole&Version=2010-05-08", ("InvalidAction", 400)),
    "a long action": (b"Version=2010-05-08&Action=" + b"x" * 10**6, ("InvalidAction", 400)),
    "an attribute of Python": (b"Action=__class__&Version=2010-05-08", ("InvalidAction", 400)),
    "the action twice": (MAKE + b"&Action=GetUser", MALFORMED),
    "a parameter twice": (MAKE + b"&UserName=ada", MALFORMED),
    "the version twice": (MAKE + b"&Version=2010-05-08", MALFORMED),
    "bad escapes": (MAKE + b"&Path=%zz", MALFORMED),
    "half an escape": (MAKE + b"&Path=/%2", MALFORMED),
    "a bare percent sign": (MAKE + b"%", MALFORMED),
    "a percent sign in a name": (MAKE + b"&%=x", MALFORMED),
    "no UTF-8": (MAKE + b"&Path=/%ff%fe/", MALFORMED),
    "overlong UTF-8": (MAKE + b"&Path=/%c0%af/", MALFORMED),
    "a surrogate": (MAKE + b"&Path=/%ed%a0%80/", MALFORMED),
    "raw bytes": (MAKE + b"&Path=/\xff\xfe/", MALFORMED),
    "binary": (bytes(range(256)) * 16, MALFORMED),
    "a hundred thousand fields": (MAKE + b"".join(b"&f%d=x" % each for each in range(10**5)), MALFORMED),
    "a hundred thousand ampersands": (MAKE + b"&" * 10**5, MALFORMED),
    "a NUL": (MAKE + b"%00", ("MalformedInput", 400)),
    "a NUL in a name": (MAKE + b"&Tags.member.1.Key=a%00&Tags.member.1.Value=b", ("MalformedInput", 400)),
    "a list with gaps": (MAKE + b"&Tags.member.2.Key=a&Tags.member.2.Value=b", ("MalformedInput", 400)),
    "a list from 0": (MAKE + b"&Tags.member.0.Key=a&Tags.member.0.Value=b", ("MalformedInput", 400)),
    "a huge index": (MAKE + b"&Tags.member.999999999999.Key=a", ("MalformedInput", 400)),
    "a negative index": (MAKE + b"&Tags.member.-1.Key=a", ("MalformedInput", 400)),
    "a text for a list": (MAKE + b"&Tags=a", ("MalformedInput", 400)),
    "a structure for a text": (MAKE + b"&UserName.member.1=a", ("MalformedInput", 400)),
    "a text and its parts": (MAKE + b"&Tags=&Tags.member.1.Key=a", ("MalformedInput", 400)),
    "deep names": (MAKE + b"&Tags" + b".member.1" * 1000 + b"=a", ("MalformedInput", 400)),
    "dots": (MAKE + b"&Tags....=a", ("MalformedInput", 400)),
    "no number": (b"Action=ListUsers&Version=2010-05-08&MaxItems=ten", ("MalformedInput", 400)),
    "a huge number": (b"Action=ListUsers&Version=2010-05-08&MaxItems=" + b"9" * 5000, ("MalformedInput", 400)),
    "a number out of range": (b"Action=ListUsers&Version=2010-05-08&MaxItems=0", ("ValidationError", 400)),
    "JSON": (b'{"Action": "CreateUser", "UserName": "zoe"}', ("MissingAction", 400)),
    "XML": (b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e "x">]><CreateUser>&e;</CreateUser>', ("MissingAction", 400)),
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("key", [ADMIN, None], ids=["signed", "unsigned"])
def test_broken_form_is_a_client_error(connection: Connection, body: str, key: tuple[str, str] | None) -> None:
    """Unsigned callers get the missing signature, or the parse error."""
    content, expected = BODIES[body]
    if key is None:
        headers = {"Content-Type": FORM}
        namespace = STS if b"Version=2011-06-15" in content else NAMESPACE  # all that says which service is meant
        error = error_of(connection.send(RawRequest("POST", "/", headers, content)), namespace)
        assert error in (expected, ("MissingAuthenticationToken", 403))
    else:
        assert error_of(connection.send(signed(connection.url, key, content))) == expected


WRONG_FORM = ("MalformedInput", 400)
HEADERS: Mapping[str, tuple[dict[str, str], bytes, tuple[str, int]]] = {
    "JSON": ({"Content-Type": "application/json"}, b'{"UserName":"zoe"}', WRONG_FORM),
    "multipart": ({"Content-Type": "multipart/form-data; boundary=x"}, MULTIPART, WRONG_FORM),
    "a form called text": ({"Content-Type": "text/plain"}, MAKE, WRONG_FORM),
    "a form called XML": ({"Content-Type": "text/xml"}, MAKE, WRONG_FORM),
    "nonsense": ({"Content-Type": ";;;=/"}, MAKE, WRONG_FORM),
    "an unknown target": (
        {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Nobody_20300101.CreateUser"},
        b'{"UserName":"zoe"}',
        WRONG_FORM,
    ),
    "a target of another service": (
        {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AWSOrganizationsV20161128.CloseAccount"},
        b'{"AccountId":"444455556666"}',
        WRONG_FORM,
    ),
}


@pytest.mark.parametrize("case", HEADERS)
def test_other_content_types_are_rejected(connection: Connection, case: str) -> None:
    """JSON and others at the query endpoint."""
    headers, body, expected = HEADERS[case]
    assert error_of(connection.send(signed(connection.url, ADMIN, body, headers=headers))) == expected


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "PROPFIND", "X"])
@pytest.mark.parametrize("where", ["body", "query"])
def test_other_methods_do_nothing(connection: Connection, method: str, where: str) -> None:
    """Signed or not, with parameters in the body or in the query string."""
    target, body = ("/", MAKE) if where == "body" else (f"/?{MAKE.decode()}", b"")
    for key in (ADMIN, None):
        request = RawRequest(method, target, {"Content-Type": FORM}, body)
        if key is not None:
            request = signed(connection.url, key, body, method=method, target=target)
        answer = connection.send(request)
        assert 400 <= answer.status < 500
        if answer.body and answer.headers["content-type"] == "text/xml":
            assert error_of(answer)[0] in ("InvalidAction", "MissingAuthenticationToken", "MissingAction")


def test_query_string_is_a_form(connection: Connection) -> None:
    """GET with the same parameters; a parameter is in one of both places."""
    target = f"/?{GET.decode()}&UserName=given"
    answer = connection.send(signed(connection.url, ADMIN, method="GET", target=target, headers={}))
    assert (answer.status, answer.text("UserName")) == (200, "given")
    answer = connection.send(signed(connection.url, ADMIN, b"UserName=given", target=f"/?{GET.decode()}"))
    assert (answer.status, answer.text("UserName")) == (200, "given")
    answer = connection.send(signed(connection.url, ADMIN, GET, target="/?Action=DeleteUser"))
    assert error_of(answer) == MALFORMED
    answer = connection.send(signed(connection.url, ADMIN, GET, target="/?UserName=%zz"))
    assert error_of(answer) == MALFORMED
    answer = connection.send(signed(connection.url, ADMIN, MAKE, method="GET", target=f"/?{GET.decode()}"))
    assert answer.status in (200, 404)


def test_too_large_body_is_not_read(sample: SampleServer, connection: Connection) -> None:
    """With a length or chunked; the server may close the connection meanwhile."""
    for chunked in (False, True):
        with raw(sample) as stream:
            size = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (LIMIT + 1)
            stream.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\n%s\r\n\r\n" % (FORM.encode(), size))
            block = b"A" * 65536
            chunk = b"%x\r\n%s\r\n" % (len(block), block) if chunked else block
            end = chunk if chunked else b"A"
            answer = sent_until_answered(stream, [chunk] * (LIMIT // len(block)) + [end])
        if chunked:  # no call that needs no signature is so long
            assert b"<Code>MissingAuthenticationToken</Code>" in answer
        else:
            assert b" 413 " in answer.splitlines()[0], answer
            assert b"<Code>RequestEntityTooLarge</Code>" in answer


def sent_until_answered(stream: Stream, parts: list[bytes]) -> bytes:
    try:
        for part in parts:
            stream.write(part)
    except OSError:
        pass
    return stream.read()


@pytest.mark.parametrize(
    ("service", "body", "namespace", "expected"),
    [
        ("s3", MAKE, NAMESPACE, ("SignatureDoesNotMatch", 403)),
        ("organizations", MAKE, NAMESPACE, ("SignatureDoesNotMatch", 403)),
        ("IAM", MAKE, NAMESPACE, ("SignatureDoesNotMatch", 403)),
        ("../iam", MAKE, NAMESPACE, None),
        ("sts", MAKE, STS, ("InvalidAction", 400)),
        ("iam", b"Action=GetCallerIdentity&Version=2011-06-15", NAMESPACE, ("InvalidAction", 400)),
    ],
)
def test_signature_for_another_service_is_rejected(
    connection: Connection, service: str, body: bytes, namespace: str, expected: tuple[str, int] | None
) -> None:
    """By its credential scope."""
    error = error_of(connection.send(signed(connection.url, ADMIN, body, service=service)), namespace)
    assert error == expected or (expected is None and error[1] in (400, 403))


def test_signed_request_cannot_be_changed(connection: Connection) -> None:
    """Body, path, query or method."""
    good = signed(connection.url, ADMIN, GET)
    changed = [
        RawRequest("POST", "/", good.headers, MAKE),
        RawRequest("POST", "/?UserName=zoe", good.headers, GET),
        RawRequest("POST", "/zoe", good.headers, GET),
        RawRequest("PUT", "/", good.headers, GET),
        RawRequest("POST", "/", {**good.headers, "Content-Type": "application/x-www-form-urlencoded"}, GET),
        RawRequest("POST", "/", {**good.headers, "X-Amz-Target": "x"}, GET),
    ]
    for request in changed:
        assert error_of(connection.send(request)) == ("SignatureDoesNotMatch", 403), request


# --- below HTTP --------------------------------------------------------------------------------------------------


class Stream:
    """A raw connection."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._socket = socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=60)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)

    def end(self) -> None:
        self._socket.shutdown(socket.SHUT_WR)

    def read(self) -> bytes:
        """Read until the server closes the connection, or pauses."""
        parts = []
        try:
            while part := self._socket.recv(65536):
                parts.append(part)
                self._socket.settimeout(0.5)
        except OSError:
            pass
        return b"".join(parts)


def raw(sample: SampleServer) -> Stream:
    return Stream(sample.url)


def in_bytes(request: RawRequest, *more: bytes, without: tuple[str, ...] = ()) -> bytes:
    """Return the head of a request, with further lines."""
    lines = [f"{name}: {value}".encode() for name, value in request.headers.items() if name not in without]
    return b"\r\n".join([f"{request.method} {request.target} HTTP/1.1".encode(), *lines, *more, b"", b""])


def statuses(answer: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"^HTTP/1\.1 (\d{3})", answer, re.MULTILINE)]


SMUGGLED = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
LENGTHS: Mapping[str, tuple[tuple[bytes, ...], bytes]] = {
    "shorter than the body": ((b"Content-Length: 10",), GET),
    "longer than the body": ((b"Content-Length: 1000",), GET),
    "negative": ((b"Content-Length: -1",), GET),
    "no number": ((b"Content-Length: many",), GET),
    "with a plus": ((b"Content-Length: +%d" % len(GET),), GET),
    "enormous": ((b"Content-Length: 99999999999999999999999",), GET),
    "twice": ((b"Content-Length: %d" % len(GET), b"Content-Length: 3"), GET),
    "and chunked": ((b"Content-Length: %d" % len(GET), b"Transfer-Encoding: chunked"), b"0\r\n\r\n" + SMUGGLED),
    "chunked in another way": ((b"Transfer-Encoding: xchunked",), GET),
    "chunked twice": ((b"Transfer-Encoding: chunked, identity",), b"0\r\n\r\n"),
    "bad chunks": ((b"Transfer-Encoding: chunked",), b"zz\r\nGET\r\n0\r\n\r\n"),
    "chunks that end early": ((b"Transfer-Encoding: chunked",), b"%x\r\n%s" % (len(GET) + 5, GET)),
}


@pytest.mark.parametrize("case", LENGTHS)
def test_wrong_content_length_does_nothing(sample: SampleServer, connection: Connection, case: str) -> None:
    """Neither an unsigned body nor a smuggled request is executed."""
    lines, body = LENGTHS[case]
    request = signed(sample.url, ADMIN, MAKE)
    with raw(sample) as stream:
        stream.write(in_bytes(request, *lines) + body)
        stream.end()
        answer = stream.read()
    assert all(400 <= status < 500 for status in statuses(answer)), answer


def test_chunked_body_is_read(sample: SampleServer, connection: Connection) -> None:
    """Its hash is signed."""
    request = signed(sample.url, ADMIN, GET)
    with raw(sample) as stream:
        head = in_bytes(request, b"Transfer-Encoding: chunked", b"Connection: close")
        stream.write(head + b"".join(b"1\r\n%c\r\n" % each for each in GET) + b"0\r\n\r\n")
        answer = stream.read()
    assert statuses(answer) == [200]


ODD_HEADS: Mapping[str, bytes] = {
    "two hosts": b"Host: y",
    "two content types": b"Content-Type: text/plain",
    "two signatures": b"Authorization: AWS4-HMAC-SHA256 x",
    "a compressed body": b"Content-Encoding: gzip",
    "a huge header": b"X-Amz-Huge: " + b"x" * 70_000,
    "many headers": b"\r\n".join(b"X-H%d: x" % each for each in range(2000)),
    "no colon": b"nonsense",
    "a folded header": b"X-A: b\r\n c",
    "a NUL": b"X-A: \0",
    "latin": b"X-Amz-A: \xff",
    "a target": b"X-Amz-Target: IAM.CreateUser",
    "another method": b"X-HTTP-Method-Override: DELETE",
}


@pytest.mark.parametrize("case", ODD_HEADS)
def test_odd_headers_are_no_server_error(sample: SampleServer, connection: Connection, case: str) -> None:
    """No status of 500 or more."""
    request = signed(sample.url, ADMIN, GET)
    with raw(sample) as stream:
        length = b"Content-Length: %d" % len(GET)
        stream.write(in_bytes(request, length, b"Connection: close", ODD_HEADS[case]) + GET)
        answer = stream.read()
    assert statuses(answer), answer
    assert all(status < 500 for status in statuses(answer)), answer


@pytest.mark.parametrize(
    "line",
    [
        b"GET /%s HTTP/1.1" % (b"x" * 70_000),
        b"GET /%ff%fe HTTP/1.1",
        b"GET /%zz HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"GET * HTTP/1.1",
        b"GET http://other.example/?Action=GetUser HTTP/1.1",
        b"GET //other.example/ HTTP/1.1",
        b"GET /?%zz HTTP/1.1",
        b"GET /?" + b"&" * 20_000 + b" HTTP/1.1",
        b"GET /../../etc/passwd HTTP/1.1",
        b"POST /?Action=CreateUser&Version=2010-05-08&UserName=zoe#x HTTP/1.1",
        b"GET / HTTP/9.9",
        b"GET /",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"CONNECT x:80 HTTP/1.1",
    ],
    ids=lambda line: repr(line[:24]),
)
def test_odd_request_line_is_no_server_error(sample: SampleServer, connection: Connection, line: bytes) -> None:
    """Unknown paths, targets and versions."""
    with raw(sample) as stream:
        stream.write(line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
        stream.end()
        answer = stream.read()
    assert all(status < 500 for status in statuses(answer)), answer
