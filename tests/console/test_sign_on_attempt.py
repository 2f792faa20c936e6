"""The cookie of a browser that has left for its identity provider: sealed, of the host alone, for ten minutes."""

from __future__ import annotations

import base64
from http.cookies import SimpleCookie

import pytest
from starlette.requests import Request

from iam_guard.console.forms import MAX_NEXT
from iam_guard.console.sign_on_attempt import MAX_COOKIE, SECONDS, SignOnAttempt, end_cookie, read_attempt, start_cookie
from iam_guard.errors import StoreUnavailable
from iam_guard.model.request import Call
from iam_guard.store.sealing import Sealer
from tests.tables import table

SEALER = Sealer([b"k" * 32])
SECURE, LOCAL = Call("1", secure=True, host="app.example"), Call("1", secure=False, host="localhost")
NOW = 1_772_366_400
ATTEMPT = SignOnAttempt("oidc", "so-1", "s" * 43, "n" * 43, "v" * 64, "/documents/7?a=b&c=%20", NOW)


def request(cookies: str) -> Request:
    return Request({"type": "http", "headers": [(b"cookie", cookies.encode())]})


def cookie(call: Call, attempt: SignOnAttempt = ATTEMPT) -> str:
    """Return the cookie as a browser sends it."""
    return start_cookie(SEALER, attempt, call).partition(";")[0]


def test_attempt_is_read_as_it_was_written() -> None:
    longest = SignOnAttempt("saml", "so-" + "x" * 17, "_" + "a" * 128, "", "", "/" + "n" * (MAX_NEXT - 1), NOW)
    for call in (SECURE, LOCAL):
        for attempt in (ATTEMPT, longest):
            assert read_attempt(SEALER, request(f"a=b; {cookie(call, attempt)}"), call, NOW) == attempt
            assert len(start_cookie(SEALER, attempt, call)) < MAX_COOKIE


def test_attempt_ends_after_ten_minutes() -> None:
    assert read_attempt(SEALER, request(cookie(SECURE)), SECURE, NOW + SECONDS - 1) == ATTEMPT
    assert read_attempt(SEALER, request(cookie(SECURE)), SECURE, NOW + SECONDS) is None


def test_attempt_is_of_the_host_alone() -> None:
    """Over TLS: no sibling domain can plant it, and the one of plain HTTP is not read there."""
    for header, age in ((start_cookie(SEALER, ATTEMPT, SECURE), SECONDS), (end_cookie(SECURE), 0)):
        [(name, morsel)] = SimpleCookie(header).items()
        assert name == "__Host-iam-guard-sign-on"
        attributes = {key: value for key, value in morsel.items() if value}
        expected = {"path": "/", "httponly": True, "samesite": "Lax", "secure": True, "max-age": str(age)}
        assert attributes == expected
    assert start_cookie(SEALER, ATTEMPT, LOCAL).startswith("iam-guard-dev-sign-on=")
    assert "Secure" not in start_cookie(SEALER, ATTEMPT, LOCAL)
    assert read_attempt(SEALER, request(cookie(LOCAL)), SECURE, NOW) is None
    assert read_attempt(SEALER, request(cookie(SECURE)), LOCAL, NOW) is None


def test_cookie_contains_no_readable_secret() -> None:
    value = cookie(SECURE).partition("=")[2]
    content = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
    assert not any(text.encode() in content for text in (ATTEMPT.state, ATTEMPT.nonce, ATTEMPT.verifier))
    assert not any(text in repr(ATTEMPT) for text in (ATTEMPT.state, ATTEMPT.nonce, ATTEMPT.verifier))


@table(
    "value",
    [
        "",
        "x",
        "A" * (MAX_COOKIE + 1),
        "####",
        "%22",
        base64.urlsafe_b64encode(SEALER.seal(b'["oidc"]', b"known-browser:1")).decode().rstrip("="),
        cookie(SECURE).partition("=")[2][:-4] + "AAAA",
    ],
)
def test_other_value_is_no_attempt(value: str) -> None:
    assert read_attempt(SEALER, request(f"__Host-iam-guard-sign-on={value}"), SECURE, NOW) is None


def test_attempt_of_an_unknown_key_is_an_outage() -> None:
    """Perhaps another process has got a new key earlier."""
    value = Sealer([b"o" * 32]).seal_text(b"[]", b"sign-on-attempt:1")
    with pytest.raises(StoreUnavailable):
        read_attempt(SEALER, request(f"__Host-iam-guard-sign-on={value}"), SECURE, NOW)
