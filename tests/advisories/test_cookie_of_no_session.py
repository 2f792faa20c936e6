"""Advisory: a cookie of no session must neither be adopted nor count as no cookie where a caller is required.

Session fixation: an attacker plants a cookie, and waits until its victim signs in with it. So a token that the store
did not issue never becomes a session, and the response removes the cookie.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from iam_guard.authn.tokens.session_cookie import COOKIE, DEVELOPMENT_COOKIE, clear_cookie
from tests.signed_in import HOST, PAGE, RITA, SAME_ORIGIN, SignedIn, signed_in

BAD = ("A" * 43, "x", "", "x" * 65, '"' + "A" * 43 + '"')
CLEARED = clear_cookie(COOKIE)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[SignedIn]:
    with signed_in(tmp_path, sign_in_url="/signin") as made:
        yield made


def ask(harness: SignedIn, method: str, path: str, value: str, **headers: str) -> Any:
    return harness.client().request(method, path, headers={"cookie": f"{COOKIE}={value}", **headers})


def test_bad_cookie_is_anonymous_on_public_endpoints(harness: SignedIn) -> None:
    """And is removed; changes too."""
    for value in (*BAD, f"{harness.token}; {COOKIE}={harness.token}"):
        for method in ("GET", "POST"):
            answer = ask(harness, method, "/", value)
            assert (answer.status_code, answer.json()) == (200, "anonymous"), value
            assert (answer.headers["set-cookie"], answer.headers["vary"]) == (CLEARED, "Cookie")


def test_bad_cookie_is_refused_on_guarded_endpoints(harness: SignedIn) -> None:
    """401, though an anonymous caller would be allowed; it is recorded without its value."""
    anonymous = harness.client().get("/open/7")
    assert (anonymous.status_code, anonymous.json()) == (200, "anonymous")
    for value in BAD:
        for method, path in (("GET", "/documents/7"), ("PUT", "/documents/7"), ("GET", "/open/7")):
            answer = ask(harness, method, path, value)
            code = "ExpiredToken" if value == BAD[0] else "InvalidClientTokenId"
            assert (answer.status_code, answer.json()["code"]) == (401, code)
            assert (answer.headers["set-cookie"], answer.headers["vary"]) == (CLEARED, "Cookie")
    [*_, record] = harness.records()
    assert (record["eventName"], record["errorCode"]) == ("Authenticate", "InvalidClientTokenId")
    assert record["iamGuard"]["credentialKind"] == "session"
    assert "A" * 43 not in (harness.folder / "audit.jsonl").read_text()


def test_ended_and_expired_cookies_are_bad(harness: SignedIn) -> None:
    cookies = [harness.issue() for _ in range(3)]
    client = harness.client()
    for token in cookies:
        assert client.get("/documents/7", headers={"cookie": f"{COOKIE}={token}"}).json() == RITA
    ended, *_ = harness.guard.people.browser_sessions.of(harness.person)
    harness.guard.people.browser_sessions.end(ended.id, harness.person)
    kept = [token for token in cookies if harness.guard.people.browser_sessions.find(token)]
    now = harness.guard.clock()
    for later, valid in ((timedelta(), kept), (timedelta(minutes=59), kept), (timedelta(hours=13), [])):
        harness.guard.clock = lambda later=later: now + later
        for token in cookies:
            answer = client.get("/documents/7", headers={"cookie": f"{COOKIE}={token}"})
            assert answer.status_code == (200 if token in valid else 401)
            assert answer.headers.get("set-cookie") == (None if token in valid else CLEARED)


def test_bad_cookie_opens_the_sign_in_page(harness: SignedIn) -> None:
    """A navigation is redirected, and the cookie removed; no other request is."""
    answer = ask(harness, "GET", "/documents/7?a=b", BAD[0], **PAGE)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/signin?next=%2Fdocuments%2F7%3Fa%3Db&reason=expired",
    )
    assert (answer.headers["set-cookie"], answer.headers["vary"]) == (CLEARED, "Cookie")
    assert ask(harness, "PUT", "/documents/7", BAD[0], **PAGE).status_code == 401


def test_page_that_signs_in_keeps_its_cookie(harness: SignedIn) -> None:
    """A response that sets the cookie of a new session does not remove it at once."""
    answer = ask(harness, "POST", "/signin", BAD[0])
    assert [value for name, value in answer.headers.multi_items() if name == "set-cookie"] == [
        f"{COOKIE}=new; Path=/; SameSite=lax; Secure"
    ]


def test_planted_cookie_is_never_adopted(harness: SignedIn) -> None:
    """Whatever is issued has a token of its own."""
    planted = BAD[0]
    assert ask(harness, "POST", "/signin", planted).json() == "anonymous"
    assert harness.issue() != planted
    assert harness.guard.people.browser_sessions.find(planted) is None
    assert ask(harness, "GET", "/documents/7", planted).status_code == 401


def test_session_with_a_task_authorizes_nothing(harness: SignedIn) -> None:
    """It is like no cookie: anonymous, and not removed."""
    token = harness.issue(task="password")
    for method, path, status, body in (
        ("GET", "/documents/7", 401, None),
        ("PUT", "/documents/7", 401, None),
        ("GET", "/open/7", 200, "anonymous"),
        ("GET", "/", 200, "anonymous"),
    ):
        answer = ask(harness, method, path, token, **SAME_ORIGIN)
        assert answer.status_code == status
        assert body is None or answer.json() == body
        assert "set-cookie" not in answer.headers
        assert answer.headers["vary"] == "Cookie"
    answer = ask(harness, "GET", "/documents/7", token, **PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/signin?next=%2Fdocuments%2F7")


def test_cookie_needs_tls_or_loopback(harness: SignedIn) -> None:
    """On plain HTTP beyond loopback no cookie is one; at loopback the one without the prefix is."""
    both = {"cookie": f"{COOKIE}={harness.token}; {DEVELOPMENT_COOKIE}={harness.token}"}
    for base, names in (
        (f"https://{HOST}", {COOKIE}),
        ("https://localhost", {COOKIE}),
        ("http://localhost:8000", {DEVELOPMENT_COOKIE}),
        ("http://127.0.0.1:8000", {DEVELOPMENT_COOKIE}),
        ("http://[::1]:8000", {DEVELOPMENT_COOKIE}),
        (f"http://{HOST}", set()),
        ("http://192.168.0.7", set()),
        ("http://localhost.docs.example", set()),
    ):
        client = harness.client(base)
        accepted = {
            name
            for name in (COOKIE, DEVELOPMENT_COOKIE)
            if client.get("/documents/7", headers={"cookie": f"{name}={harness.token}"}).status_code == 200
        }
        assert accepted == names, base
        assert (client.get("/documents/7", headers=both).status_code == 200) is bool(names)


def test_tls_of_a_proxy_counts_if_the_proxy_is_trusted(tmp_path: Path) -> None:
    with signed_in(tmp_path, trusted_proxies=("10.0.0.0/8",)) as harness:
        for address, protocol, status in (
            ("10.0.0.1", "https", 200),
            ("10.0.0.1", "http", 401),
            ("10.0.0.1", "https, http", 401),
            ("192.0.2.7", "https", 401),
        ):
            client = harness.client(f"http://{HOST}", address=address)
            answer = client.get("/documents/7", headers={**harness.cookie, "x-forwarded-proto": protocol})
            assert answer.status_code == status, (address, protocol)
        spoofed = harness.client(f"http://{HOST}").get(
            "/documents/7",
            headers={"cookie": f"{DEVELOPMENT_COOKIE}={harness.token}", "x-forwarded-host": "localhost"},
        )
        assert spoofed.status_code == 401


def test_split_cookie_headers_are_one(harness: SignedIn) -> None:
    """HTTP/2 splits them; a second cookie in another header is still a second one."""
    pair = f"{COOKIE}={harness.token}"
    for headers, status in (
        ([("cookie", "a=b"), ("cookie", pair), ("cookie", "c=d")], 200),
        ([("cookie", pair), ("cookie", pair)], 401),
        ([("cookie", pair), ("cookie", f"{COOKIE}=x")], 401),
        ([("cookie", f"a={pair}")], 401),
    ):
        assert harness.client().get("/documents/7", headers=headers).status_code == status
