"""The session cookie behind `GuardWsgiMiddleware`, for an application without a framework."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from iam_guard import GuardWsgiMiddleware, current_principal, public
from iam_guard.authn.tokens.session_cookie import COOKIE, clear_cookie
from iam_guard.web.browser.sign_in_redirect import STEP_UP
from iam_guard.web.call_context import current_call
from iam_guard.web.wsgi.bridge import WsgiBridge
from tests.signed_in import HOST, PAGE, RITA, SAME_ORIGIN, SignedIn, docs, signed_in


@docs.requires("GetDocument", resource="document/7")
def guarded() -> bytes:
    return current_principal().arn.encode()


@public
def front() -> bytes:
    return current_principal().arn.encode()


def application(environ: Any, start_response: Any) -> Iterator[bytes]:
    handler = front if environ["PATH_INFO"] == "/" else guarded
    current_call().matched(handler, {})
    body = handler()
    start_response("200 OK", [("content-type", "text/plain"), ("vary", "Accept")])
    yield body


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[SignedIn]:
    with signed_in(tmp_path, sign_in_url="/signin") as made:
        yield made


def ask(
    harness: SignedIn, method: str, path: str, headers: Mapping[str, str], **environ: str
) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return status, headers and body of a request over TLS."""
    sent: dict[str, Any] = {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.url_scheme": "https", "HTTP_HOST": HOST}
    sent |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    sent |= {"wsgi.input": io.BytesIO(), **environ}
    setup_testing_defaults(sent)
    started: list[Any] = []

    def start_response(status: str, answered: list[tuple[str, str]]) -> Any:
        started.append((status, answered))
        return len  # stands for the server's `write`

    parts = GuardWsgiMiddleware(application, guard=harness.guard)(sent, start_response)
    body = b"".join(parts)
    getattr(parts, "close", lambda: None)()
    [(status, answered)] = started
    return int(status[:3]), answered, body


def test_signed_in_user_is_the_caller(harness: SignedIn) -> None:
    status, headers, body = ask(harness, "GET", "/documents/7", harness.cookie)
    assert (status, body) == (200, RITA.encode())
    assert [value for name, value in headers if name == "vary"] == ["Accept", "Cookie"]
    assert ask(harness, "POST", "/documents/7", {**harness.cookie, **SAME_ORIGIN})[::2] == (200, RITA.encode())
    assert ask(harness, "POST", "/documents/7", {**harness.cookie, "origin": f"https://{HOST}"})[0] == 200


def test_change_of_another_site_is_refused(harness: SignedIn) -> None:
    for headers in ({}, {"origin": "null"}, {"sec-fetch-site": "none"}):
        assert ask(harness, "POST", "/documents/7", {**harness.cookie, **headers})[0] == 403
        assert ask(harness, "POST", "/", {**harness.cookie, **headers})[2] == b"anonymous"
    assert ask(harness, "GET", "/documents/7", {**harness.cookie, "upgrade": "websocket"})[0] == 403


def test_bad_cookie_is_removed(harness: SignedIn) -> None:
    bad = {"cookie": f"{COOKIE}=x"}
    for path, more, status in (("/", {}, 200), ("/documents/7", {}, 401), ("/documents/7", PAGE, 303)):
        answered = ask(harness, "GET", path, {**bad, **more})
        assert answered[0] == status
        assert ("set-cookie", clear_cookie(COOKIE)) in answered[1]
        assert ("vary", "Cookie") in answered[1]


def test_redirect_keeps_the_mounted_path(harness: SignedIn) -> None:
    status, headers, body = ask(harness, "GET", "/documents/7", PAGE, SCRIPT_NAME="/app", QUERY_STRING="a=%20")
    assert (status, body) == (303, b"")
    assert dict(headers)["location"] == "/signin?next=%2Fapp%2Fdocuments%2F7%3Fa%3D%2520"
    assert dict(headers)["content-length"] == "0"


def test_denial_for_want_of_a_second_factor(harness: SignedIn) -> None:
    """A navigation goes to its page, another request is challenged."""
    harness.require_mfa()
    status, headers, body = ask(harness, "GET", "/documents/7", {**harness.cookie, **PAGE})
    assert (status, body, dict(headers)["location"]) == (303, b"", "/signin/mfa?next=%2Fdocuments%2F7")
    status, headers, body = ask(harness, "GET", "/documents/7", harness.cookie)
    assert (status, dict(headers)["www-authenticate"], json.loads(body)["code"]) == (403, STEP_UP, "AccessDenied")


def test_headers_are_added_to_a_mapping(harness: SignedIn) -> None:
    """For frameworks with such headers; a cookie that the response sets is not removed."""
    scope = {"type": "http", "method": "GET", "scheme": "https", "path": "/", "query_string": b""}
    for cookies in ((), ("other",), (COOKIE,)):
        for vary, expected in (({"vary": "Accept"}, "Accept, Cookie"), ({}, "Cookie")):
            sent = [(b"host", HOST.encode()), (b"cookie", f"{COOKIE}=x".encode())]
            guarded = WsgiBridge(harness.guard).begin({**scope, "headers": sent})
            guarded.read({})
            guarded.authenticate()
            headers: dict[str, str] = dict(vary)
            guarded.add_headers(headers, cookies)
            removed = {} if COOKIE in cookies else {"set-cookie": clear_cookie(COOKIE)}
            assert headers == {"vary": expected, **removed}
            guarded.end()
