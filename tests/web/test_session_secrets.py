"""The token of a session, its digest and its CSRF token are in no log, repr, error or record."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from iam_guard.authn.http_request import HttpRequest
from iam_guard.authn.tokens.session_cookie import COOKIE, SessionCookie, csrf_token, token_digest
from iam_guard.errors import IamGuardError, StoreUnavailable
from iam_guard.model.request import Call
from iam_guard.web.browser.browser_caller import browser_caller, session_cookie
from iam_guard.web.call_context import CurrentCall
from tests.signed_in import HOST, PAGE, SAME_ORIGIN, SignedIn, signed_in


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[SignedIn]:
    with signed_in(tmp_path, sign_in_url="/signin") as made:
        yield made


def _secrets(token: str) -> list[str]:
    return [token, token_digest(token), csrf_token(token)]


def test_secrets_are_not_shown(
    harness: SignedIn, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the request, with the store up and down."""
    shown: list[str] = []
    headers = {**harness.cookie, **harness.csrf}
    unknown = {"cookie": f"{COOKIE}={'Z' * 43}"}
    with caplog.at_level(logging.DEBUG):
        for sent in (headers, unknown, {**headers, **SAME_ORIGIN}, {**harness.cookie, **PAGE}):
            for method, path in (("GET", "/"), ("GET", "/documents/7"), ("POST", "/documents/7"), ("POST", "/by-hand")):
                answer = harness.client().request(method, path, headers=sent)
                shown += [answer.text, repr(answer.headers)]
        shown += _reprs(harness)
        now = harness.guard.clock()
        harness.guard.clock = lambda: now + timedelta(hours=13)
        assert harness.client().get("/documents/7", headers=headers).status_code == 401

        def down(_: str) -> Any:
            raise StoreUnavailable("the store cannot be reached")

        monkeypatch.setattr(harness.guard._store.behind, "browser_session", down)
        answer = harness.client().get("/documents/7", headers={"cookie": f"{COOKIE}={'Y' * 43}"})
        assert answer.status_code == 503
        shown.append(answer.text)
    shown += [caplog.text, (harness.folder / "audit.jsonl").read_text()]
    for secret in (*_secrets(harness.token), *_secrets("Z" * 43), *_secrets("Y" * 43)):
        assert [text for text in shown if secret in text] == []


def _reprs(harness: SignedIn) -> list[str]:
    sent = tuple((name.encode(), value.encode()) for name, value in {**harness.cookie, **harness.csrf}.items())
    request, call = HttpRequest("POST", b"/", b"", sent), Call("1", kind="http", host=HOST, secure=True)
    cookie = session_cookie(request, call)
    assert cookie == SessionCookie(COOKIE, token_digest(harness.token))
    browser = browser_caller(harness.guard, request, cookie, call)
    current = CurrentCall(harness.guard, browser.principal, call, {})
    current.browser = browser
    found = harness.guard.people.browser_sessions.find(harness.token)
    parts = (request, cookie, browser, current, found, found and found.principal)
    return [repr(parts), str(parts)]


def test_secrets_are_not_in_tracebacks(harness: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the store is raised without them."""

    def down(_: str) -> Any:
        raise StoreUnavailable("the store cannot be reached")

    monkeypatch.setattr(harness.guard._store.behind, "browser_session", down)
    with pytest.raises(IamGuardError) as caught:
        harness.guard.people.browser_sessions.find(harness.token)
    text = "".join(traceback.format_exception(caught.value))
    assert [secret for secret in _secrets(harness.token) if secret in text] == []
