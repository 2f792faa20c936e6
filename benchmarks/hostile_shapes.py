"""Expensive requests of unauthenticated clients, as bytes: one table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks.apps import ACCESS_KEY, PATH

UNKNOWN = ("AKIAUNKNOWN000000001", "x" * 40)
LONG = 60_000
ANNOUNCED = 8_000_000
SENT = 1_000_000
SESSION = f"__Host-iam-guard={'A' * 43}"
FORM = "application/x-www-form-urlencoded"


class Shape(NamedTuple):
    """The sent part of a request. `waits`: the client sends no more, and waits until the server gives up."""

    request: bytes
    waits: bool = False


def _request(
    method: str,
    target: str,
    headers: Mapping[str, str],
    body: bytes = b"",
    *,
    more: str = "",
    length: int | None = None,
) -> bytes:
    size = f"Content-Length: {len(body) if length is None else length}\r\n" if body or length else ""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}{more}{size}\r\n".encode("latin-1") + body


def _signed(host: str, key: tuple[str, str], method: str = "GET", **more: str) -> dict[str, str]:
    request = AWSRequest(method, f"http://{host}{PATH}", data=b"", headers={"host": host, **more})
    botocore.auth.SigV4Auth(Credentials(*key), "docs", "us-east-1").add_auth(request)
    return {str(name): str(value) for name, value in request.headers.items()}


def _spaced(host: str, text: str) -> dict[str, str]:
    """Return the headers of a request with a wrong signature of a known key, one of which has many spaces."""
    return {**_signed(host, (ACCESS_KEY[0], "wrong"), **{"x-note": "a b"}), "x-note": f"a{text}b"}


def _presigned(parameters: str) -> str:
    return f"{PATH}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0&{parameters}"


SHAPES: Mapping[str, Callable[[str], Shape]] = {
    "large form, unsigned": lambda host: Shape(
        _request("POST", PATH, {"host": host, "content-type": FORM}, b"x" * SENT, length=ANNOUNCED)
    ),
    "large body, unknown key": lambda host: Shape(
        _request("POST", PATH, _signed(host, UNKNOWN, "POST"), b"x" * SENT, length=ANNOUNCED)
    ),
    "unknown key": lambda host: Shape(_request("GET", PATH, _signed(host, UNKNOWN))),
    "wrong signature": lambda host: Shape(_request("GET", PATH, _signed(host, (ACCESS_KEY[0], "wrong")))),
    "long header": lambda host: Shape(_request("GET", PATH, {"host": host, "user-agent": "x" * LONG})),
    "many headers": lambda host: Shape(_request("GET", PATH, {"host": host}, more="a: b\r\n" * 1_000)),
    "long query": lambda host: Shape(_request("GET", f"{PATH}?{'a&' * (LONG // 2)}", {"host": host})),
    "presigned junk": lambda host: Shape(_request("GET", _presigned("a=%41&" * (LONG // 6)), {"host": host})),
    "presigned at the limits": lambda host: Shape(_request("GET", _presigned("%41=%42&" * 240), {"host": host})),
    "form of escapes": lambda host: Shape(
        _request("POST", PATH, {"host": host, "content-type": FORM}, b"x=" + b"%41" * (LONG // 3))
    ),
    "deep JSON": lambda host: Shape(
        _request("POST", PATH, {"host": host, "content-type": "application/json"}, b"[" * LONG)
    ),
    "chunks of a byte": lambda host: Shape(
        _request("POST", PATH, _signed(host, UNKNOWN, "POST"), more="Transfer-Encoding: chunked\r\n")
        + b"1\r\nx\r\n" * 200
        + b"0\r\n\r\n"
    ),
    "junk token": lambda host: Shape(
        _request("GET", PATH, {"host": host, "authorization": f"Bearer {'e' * 5_000}.{'e' * 9_000}.{'e' * 900}"})
    ),
    "long API key": lambda host: Shape(_request("GET", PATH, {"host": host, "x-api-key": f"igk_{'a' * LONG}"})),
    "long Basic": lambda host: Shape(_request("GET", PATH, {"host": host, "authorization": f"Basic {'a' * LONG}"})),
    "long path": lambda host: Shape(_request("GET", f"/{'%41' * (LONG // 3)}", {"host": host})),
    "many cookies": lambda host: Shape(_request("GET", PATH, {"host": host, "cookie": "a=b; " * (LONG // 5)})),
    "session cookie among many": lambda host: Shape(
        _request("GET", PATH, {"host": host, "cookie": "a=b; " * (LONG // 5) + SESSION})
    ),
    "session cookie repeated": lambda host: Shape(
        _request("GET", PATH, {"host": host, "cookie": f"{SESSION}; " * (LONG // 64)})
    ),
    "session cookie after spaces": lambda host: Shape(
        _request("GET", PATH, {"host": host, "cookie": f";{' ' * LONG}{SESSION}"})
    ),
    "sign-in page, many cookies": lambda host: Shape(
        _request("GET", "/signin/", {"host": host, "cookie": "a=b; " * (LONG // 5) + SESSION})
    ),
    "sign-in page, long query": lambda host: Shape(_request("GET", f"/signin/?{'a&' * (LONG // 2)}", {"host": host})),
    "sign-in page, long path": lambda host: Shape(_request("GET", f"/signin/{'%41' * (LONG // 3)}", {"host": host})),
    "sign-in form of escapes": lambda host: Shape(
        _request("POST", "/signin/", {"host": host, "content-type": FORM}, b"x=" + b"%41" * (LONG // 3))
    ),
    "signed header of spaces": lambda host: Shape(_request("GET", PATH, _spaced(host, " " * (LONG // 2)))),
    "signed header of words": lambda host: Shape(_request("GET", PATH, _spaced(host, "a " * (LONG // 4)))),
    "signed headers, repeated": lambda host: Shape(
        _request("GET", PATH, _signed(host, (ACCESS_KEY[0], "wrong"), a="b"), more="a: b\r\n" * 200)
    ),
    "plain path": lambda host: Shape(_request("GET", f"/{'a' * LONG}", {"host": host})),
    "forwarding chain": lambda host: Shape(
        _request("GET", PATH, {"host": host, "x-forwarded-for": ",".join(["127.0.0.1"] * (LONG // 10))})
    ),
    "slow body": lambda host: Shape(
        _request("POST", PATH, _signed(host, UNKNOWN, "POST"), b"x" * 48_000, length=SENT), waits=True
    ),
    "WebSocket": lambda host: Shape(
        _request(
            "GET",
            PATH,
            {"host": host, "upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13"},
            more="Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        )
    ),
}
"""Name -> function that returns the request to a host."""
