"""Advisory: another site must not use the session cookie that browsers add to the requests that it causes (CSRF).

`SameSite=Lax` alone leaves siblings of the domain, other ports at localhost, WebSockets of these, and old browsers. So
a cookie authorizes a change only if the browser says that a page of the same origin sent it, or with the session's
token.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.tokens.session_cookie import COOKIE, DEVELOPMENT_COOKIE, SessionCookie, csrf_token, token_digest
from iam_guard.model.request import Call
from iam_guard.web.browser.browser_caller import browser_caller
from tests.signed_in import CHANGES, HOST, PAGE, RITA, SAME_ORIGIN, SignedIn, signed_in
from tests.tables import table

OWN = f"https://{HOST}"
REFUSED: list[Mapping[str, str]] = [
    {},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "Same-Origin"},
    {"sec-fetch-site": "same-origin, cross-site"},
    {"sec-fetch-site": "cross-site", "origin": OWN},
    {"sec-fetch-site": "same-site", "origin": OWN},
    {"sec-fetch-site": "none", "origin": "null"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "https://evil.example"},
    {"origin": "https://evil.docs.example"},
    {"origin": "https://docs.example.evil.example"},
    {"origin": "https://example"},
    {"origin": "http://docs.example"},
    {"origin": "http://docs.example:443"},
    {"origin": "https://docs.example:80"},
    {"origin": "https://docs.example:8443"},
    {"origin": "https://docs.example."},
    {"origin": "https://docs.example/"},
    {"origin": "https://rita@docs.example"},
    {"origin": "https://docs.example https://docs.example"},
    {"origin": "docs.example"},
    {"origin": "https://evil.example", "host": "docs.example"},
    {"referer": f"{OWN}/documents/7"},
    {"x-csrf-token": ""},
    {"x-csrf-token": "0" * 64},
    {"x-csrf-token": csrf_token("A" * 43)},
    {"x-requested-with": "XMLHttpRequest"},
    {"x-forwarded-host": "evil.example", "origin": "https://evil.example"},
    {"x-forwarded-proto": "http", "origin": "http://docs.example"},
    PAGE,
]
ACCEPTED: list[Mapping[str, str]] = [
    SAME_ORIGIN,
    {**SAME_ORIGIN, "origin": "null"},
    {"origin": OWN},
    {"origin": "https://docs.example:443"},
    {"origin": "HTTPS://Docs.Example"},
    {"sec-fetch-site": "none", "origin": OWN},
]


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[SignedIn]:
    with signed_in(tmp_path, sign_in_url="/signin") as made:
        yield made


def test_change_of_another_site_is_refused(harness: SignedIn) -> None:
    """403 with a message that says what is expected; the record has the session's id."""
    session = harness.guard.people.browser_sessions.find(harness.token)
    assert session is not None
    for headers in REFUSED:
        for method in CHANGES if len(headers) < 2 else ("POST",):
            answer = harness.answer(method, "/documents/7", headers)
            assert answer.status_code == 403, (method, headers)
            assert answer.json()["code"] == "AccessDenied"
            assert "x-csrf-token" in answer.json()["detail"]
            assert answer.headers["vary"] == "Cookie"
            assert "set-cookie" not in answer.headers
    records = harness.records()
    assert {(record["eventName"], record["errorCode"]) for record in records} == {("Authenticate", "AccessDenied")}
    assert {record["userIdentity"]["credentialId"] for record in records} == {session.id}


def test_change_of_the_same_origin_is_accepted(harness: SignedIn) -> None:
    for headers in (*ACCEPTED, harness.csrf, {**harness.csrf, "sec-fetch-site": "cross-site"}):
        for method in CHANGES:
            answer = harness.answer(method, "/documents/7", headers)
            assert (answer.status_code, answer.json()) == (200, RITA), (method, headers)


def test_repeated_headers_are_refused(harness: SignedIn) -> None:
    """An intermediary may have joined the attacker's with the browser's."""
    for name, value in (
        ("sec-fetch-site", "same-origin"),
        ("origin", OWN),
        ("x-csrf-token", csrf_token(harness.token)),
    ):
        client = harness.client()
        for count, status in ((1, 200), (2, 403)):
            headers = [*harness.cookie.items(), *[(name, value)] * count]
            assert client.post("/documents/7", headers=headers).status_code == status, name


def test_unsafe_cookie_is_anonymous_on_public_endpoints(harness: SignedIn) -> None:
    """A public handler has no caller whose permissions it could use by hand."""
    assert harness.answer("POST", "/", {}).json() == "anonymous"
    assert harness.answer("POST", "/", SAME_ORIGIN).json() == RITA
    assert harness.answer("POST", "/by-hand", {"origin": "null"}).status_code == 401
    assert harness.answer("POST", "/by-hand", SAME_ORIGIN).json() == RITA


def test_reads_need_no_origin_unless_another_site_embeds_them(harness: SignedIn) -> None:
    """A link of another site works; an image, a script or a frame does not."""
    cross = {"sec-fetch-site": "cross-site"}
    accepted: list[Mapping[str, str]] = [
        {},
        SAME_ORIGIN,
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none", **PAGE},
        {**cross, **PAGE},
        {**cross, "sec-fetch-mode": "navigate"},
    ]
    refused: list[Mapping[str, str]] = [
        cross,
        {**cross, "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"},
        {**cross, "sec-fetch-mode": "cors"},
        {**cross, "sec-fetch-mode": "cors", **harness.csrf},
        {**cross, "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
        {**cross, "sec-fetch-mode": "websocket"},
    ]
    for method in ("GET", "HEAD", "OPTIONS"):
        for headers in accepted:
            assert harness.answer(method, "/documents/7", headers).status_code == 200, (method, headers)
        for headers in refused:
            assert harness.answer(method, "/documents/7", headers).status_code == 403, (method, headers)


def test_method_in_lower_case_is_a_change(harness: SignedIn) -> None:
    """Methods have a case; a router may not care. So is one that is not known."""
    cookie = SessionCookie(COOKIE, token_digest(harness.token))
    call = Call("1", kind="http", host=HOST, secure=True)
    for method, caller in (("GET", RITA), ("get", "anonymous"), ("TRACE", "anonymous"), ("PROPFIND", "anonymous")):
        request = HttpRequest(method, b"/", b"", ())
        assert browser_caller(harness.guard, request, cookie, call).principal.arn == caller


def _handshake(client: TestClient, headers: Mapping[str, str]) -> Any:
    try:
        with client.websocket_connect(f"{client.base_url}/watch/7", headers=dict(headers)) as socket:
            return socket.receive_text()
    except WebSocketDenialResponse as refused:
        return refused.status_code


def test_handshake_of_another_site_is_refused(harness: SignedIn) -> None:
    """WebSockets are not subject to CORS; browsers always send `Origin` with their handshake."""
    client = harness.client(f"wss://{HOST}")
    for headers in ({}, {"origin": "null"}, {"origin": "https://evil.example"}, {"origin": f"wss://{HOST}"}):
        assert _handshake(client, {**harness.cookie, **headers}) == 403, headers
    for headers in (SAME_ORIGIN, {"origin": OWN}, {"origin": OWN, "sec-fetch-site": "cross-site"}, harness.csrf):
        assert _handshake(client, {**harness.cookie, **headers}) == RITA, headers
    assert _handshake(client, {"origin": OWN}) == 401
    plain = harness.client(f"ws://{HOST}")
    assert _handshake(plain, {**harness.cookie, "origin": f"http://{HOST}"}) == 401


def test_handshake_through_plain_http_is_a_change(harness: SignedIn) -> None:
    """WSGI servers pass a handshake as a GET."""
    upgrade = {"upgrade": "WebSocket", "connection": "upgrade"}
    assert harness.answer("GET", "/documents/7", upgrade).status_code == 403
    assert harness.answer("GET", "/documents/7", {**upgrade, "origin": OWN}).status_code == 200


@table(
    ("base", "origin", "status"),
    [
        ("https://docs.example:8443", "https://docs.example:8443", 200),
        ("https://docs.example:8443", "https://docs.example", 403),
        ("https://docs.example:443", "https://docs.example", 200),
        ("https://[2001:db8::1]", "https://[2001:db8::1]", 200),
        ("https://[2001:db8::1]", "https://[2001:db8::1]:443", 200),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443", 200),
        ("https://[2001:db8::1]", "https://[2001:db8::2]", 403),
        ("https://[2001:DB8::1]", "https://[2001:db8::1]", 200),
        ("http://localhost:8000", "http://localhost:8000", 200),
        ("http://localhost:8000", "http://localhost:3000", 403),
        ("http://localhost:8000", "http://127.0.0.1:8000", 403),
        ("http://localhost", "http://localhost:80", 200),
        ("http://localhost:8000", "https://localhost:8000", 403),
        ("http://[::1]:8000", "http://[::1]:8000", 200),
    ],
)
def test_origin_has_scheme_host_and_port(base: str, origin: str, status: int, harness: SignedIn) -> None:
    cookie = harness.cookie if base.startswith("https") else {"cookie": f"{DEVELOPMENT_COOKIE}={harness.token}"}
    host = base.partition("://")[2]
    answer = harness.client(base).post("/documents/7", headers={**cookie, "origin": origin, "host": host})
    assert answer.status_code == status


def test_scheme_of_the_origin_follows_trusted_proxies(tmp_path: Path) -> None:
    with signed_in(tmp_path, trusted_proxies=("10.0.0.0/8",)) as harness:
        client = harness.client(f"http://{HOST}", address="10.0.0.1")
        for origin, status in ((OWN, 200), (f"http://{HOST}", 403)):
            headers = {**harness.cookie, "x-forwarded-proto": "https", "origin": origin}
            assert client.post("/documents/7", headers=headers).status_code == status
        untrusted = harness.client(OWN, address="192.0.2.7")
        headers = {**harness.cookie, "x-forwarded-proto": "http", "origin": f"http://{HOST}"}
        assert untrusted.post("/documents/7", headers=headers).status_code == 403
