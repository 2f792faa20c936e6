"""The redirect to the sign-in page: for navigations without a credential, back to where they were going."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from iam_guard.authn.credential_verifier import ANONYMOUS
from iam_guard.authn.tokens.session_cookie import SessionCookie
from iam_guard.errors import AccessDenied, ConfigurationError, MissingAuthenticationToken, SignatureDoesNotMatch
from iam_guard.model.request import Call
from iam_guard.settings import Settings
from iam_guard.store.schema import inline_policies
from iam_guard.web.browser.browser_caller import BrowserCaller
from iam_guard.web.browser.sign_in_redirect import STEP_UP, sign_in_redirect
from iam_guard.web.call_context import CurrentCall
from iam_guard.web.refusal import REALM
from tests.signed_in import ACME, PAGE, SAME_ORIGIN, SignedIn, signed_in
from tests.tables import table

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[SignedIn]:
    with signed_in(tmp_path, sign_in_url="/signin") as made:
        yield made


@table(
    ("headers", "status"),
    [
        (PAGE, 303),
        ({"sec-fetch-mode": "navigate"}, 303),
        ({"sec-fetch-mode": "cors", "accept": BROWSER}, 401),
        ({"sec-fetch-mode": "websocket", "accept": BROWSER}, 401),
        ({"accept": BROWSER}, 303),
        ({"accept": "TEXT/HTML"}, 303),
        ({"accept": "application/json;q=0.9, text/html"}, 303),
        ({"accept": "text/html;q=0.8, application/json;q=0.9"}, 401),
        ({"accept": "text/html;q=x, */*;q=0.1"}, 401),
        ({"accept": "application/json, text/html"}, 401),
        ({"accept": "text/html;q=0"}, 401),
        ({"accept": "*/*"}, 401),
        ({"accept": ""}, 401),
        ({"accept": "," * 50_000}, 401),
        ({}, 401),
    ],
)
def test_navigation_is_redirected(headers: Mapping[str, str], status: int, harness: SignedIn) -> None:
    answer = harness.client().get("/documents/7", headers=headers)
    assert answer.status_code == status
    if status == 303:
        assert answer.headers["location"] == "/signin?next=%2Fdocuments%2F7"
        assert (answer.headers["vary"], answer.headers["cache-control"]) == ("Cookie", "no-store")
        assert (answer.content, answer.headers["content-length"]) == (b"", "0")
        assert answer.headers["x-amzn-requestid"] == harness.records()[-1]["requestID"]


def test_only_denied_navigations_are_redirected(harness: SignedIn) -> None:
    """Not changes, public and allowed pages, missing ones, and those that must not be seen to exist."""
    client = harness.client()
    for method, path, status in (
        ("HEAD", "/documents/7", 401),
        ("PUT", "/documents/7", 401),
        ("POST", "/by-hand", 401),
        ("GET", "/by-hand", 303),
        ("GET", "/", 200),
        ("GET", "/open/7", 200),
        ("GET", "/concealed/7", 404),
        ("GET", "/nothing", 404),
    ):
        assert client.request(method, path, headers=PAGE).status_code == status, path


def test_denied_user_is_not_redirected(harness: SignedIn) -> None:
    """A sign-in would not help."""
    with signed_in(_folder(harness, "other"), sign_in_url="/signin") as other:
        with other.guard.store.write_transaction() as records:
            records.delete(inline_policies, identity_id=other.person.user_id)
        answer = other.answer("GET", "/documents/7", PAGE)
        assert (answer.status_code, answer.json()["code"]) == (403, "AccessDenied")


@table(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/documents/7", PAGE, 303),
        ("GET", "/documents/7", {}, 403),
        ("GET", "/documents/7", {"sec-fetch-mode": "cors"}, 403),
        ("PUT", "/documents/7", {**PAGE, **SAME_ORIGIN}, 403),
        ("POST", "/by-hand", SAME_ORIGIN, 403),
        ("GET", "/by-hand", PAGE, 303),
        ("GET", "/open/7", PAGE, 200),
        ("GET", "/concealed/7", PAGE, 404),
        ("GET", "/nothing", PAGE, 404),
        ("GET", "/", PAGE, 200),
    ],
)
def test_denial_for_want_of_a_second_factor(
    method: str, path: str, headers: Mapping[str, str], status: int, harness: SignedIn
) -> None:
    """It leads to the page for one, or says so; what is concealed stays so. Each request is recorded as before."""
    harness.require_mfa()
    before = len(harness.records())
    answer = harness.answer(method, path, headers)
    assert answer.status_code == status
    location = f"/signin/mfa?next=%2F{path[1:].replace('/', '%2F')}" if status == 303 else None
    assert answer.headers.get("location") == location
    assert answer.headers.get("www-authenticate") == (STEP_UP if status == 403 else None)
    assert answer.headers["vary"] == "Cookie"
    if status in (303, 403):
        assert [record["errorCode"] for record in harness.records()[before:]] == ["AccessDenied"] * (
            1 + (path == "/by-hand")
        )
    if status == 403:
        assert answer.json()["code"] == "AccessDenied"


@table(
    ("referer", "page"),
    [
        ("https://docs.example/team?page=2", "/team?page=2"),
        ("HTTPS://Docs.Example:443/team", "/team"),
        ("https://docs.example/", "/"),
        ("http://docs.example/team", None),
        ("https://docs.example:8080/team", None),
        ("https://other.docs.example/team", None),
        ("https://docs.example.example/team", None),
        ("https://docs.example@evil.example/team", None),
        ("https://docs.example:443@evil.example/team", None),
        ("https://evil.example/https://docs.example/team", None),
        ("https://docs.example//evil.example", None),
        ("https://docs.example/\\evil.example", None),
        ("https://docs.example", None),
        ("https://docs.example?/team", None),
        ("//docs.example/team", None),
        ("/team", None),
        ("http://[", None),
        ("https://docs.example/" + "a" * 2000, None),
        ("", None),
        (None, None),
    ],
)
def test_form_leads_back_to_its_page(referer: str | None, page: str | None, harness: SignedIn) -> None:
    """If that is one of the same origin. The page for a second factor says that the form saved nothing."""
    harness.require_mfa()
    sent = {} if referer is None else {"referer": referer}
    answer = harness.answer("POST", "/by-hand", {**PAGE, **SAME_ORIGIN, **sent})
    assert answer.status_code == 303
    location = urlsplit(answer.headers["location"])
    assert location.path == "/signin/mfa"
    assert parse_qs(location.query) == {"reason": ["not-saved"]} | ({} if page is None else {"next": [page]})
    assert "www-authenticate" not in answer.headers


def test_form_of_another_site_is_not_sent_on(harness: SignedIn) -> None:
    """Nor one without a session."""
    harness.require_mfa()
    for headers in (
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://evil.example"},
    ):
        answer = harness.answer("POST", "/by-hand", {**PAGE, **headers, "referer": "https://docs.example/team"})
        assert (answer.status_code, answer.headers.get("location")) == (401, None)
    assert harness.client().post("/by-hand", headers={**PAGE, **SAME_ORIGIN}).status_code == 401


def test_denial_of_another_caller_asks_for_nothing(harness: SignedIn) -> None:
    """Of an access key, a session with a task, a person about whom a handler asks, or where a format conceals."""
    harness.require_mfa()
    harness.guard.refresh()
    call = CurrentCall(harness.guard, harness.person.principal(), Call("1"), {"type": "http", "headers": []})
    session = harness.guard.people.browser_sessions.find(harness.token)
    assert session is not None
    decision = harness.guard.decide(session.principal, "docs:GetDocument", f"arn:aws:docs:us-east-1:{ACME}:document/7")
    error = AccessDenied("", decision=decision)
    other = harness.guard.people.browser_sessions.find(harness.issue())
    assert other is not None
    cookie = SessionCookie("name", "digest")
    rows = [(session, 403, STEP_UP), (session, 404, None), (other, 403, None)]
    for found, status, challenge in rows:
        call = CurrentCall(harness.guard, found.principal, Call("1"), {"type": "http", "headers": [], "path": "/"})
        call.browser = BrowserCaller(found.principal, cookie, found)
        assert sign_in_redirect(call, error, status) is None
        assert call.challenge == challenge
    call.browser = None
    assert sign_in_redirect(call, error, 403) is None
    assert call.challenge is None
    harness.token = harness.issue(task="enrol")
    answer = harness.answer("GET", "/documents/7", {})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, REALM)


def test_second_factor_is_not_asked_for_without_the_setting(tmp_path: Path) -> None:
    with signed_in(tmp_path) as harness:
        harness.require_mfa()
        answer = harness.answer("GET", "/documents/7", PAGE)
        assert (answer.status_code, "www-authenticate" in answer.headers) == (403, False)


def test_setting_with_a_slash_has_the_same_page(tmp_path: Path) -> None:
    with signed_in(tmp_path, sign_in_url="/signin/") as harness:
        harness.require_mfa()
        answer = harness.answer("GET", "/documents/7", PAGE)
        assert answer.headers["location"] == "/signin/mfa?next=%2Fdocuments%2F7"


def _folder(harness: SignedIn, name: str) -> Path:
    (folder := harness.folder / name).mkdir()
    return folder


@table(
    ("target", "next"),
    [
        ("/documents/7", "/documents/7"),
        ("/documents/7?a=b&next=//evil.example", "/documents/7?a=b&next=//evil.example"),
        ("/documents/a%20b?c=%26", "/documents/a%20b?c=%26"),
        ("/documents/7?%0D%0Ax:y", "/documents/7?%0D%0Ax:y"),
        ("/documents/7?" + "x" * 1900, "/documents/7?" + "x" * 1900),
        ("/documents/7?" + "x" * 2000, None),
        ("/documents/7?" + "%20" * 650, None),
    ],
)
def test_next_is_the_requested_page(target: str, next: str | None, harness: SignedIn) -> None:
    """A path with its query; none if it is too long."""
    answer = harness.client().get(target, headers=PAGE)
    assert answer.status_code == 303
    location = urlsplit(answer.headers["location"])
    assert (location.scheme, location.netloc, location.path) == ("", "", "/signin")
    assert parse_qs(location.query).get("next") == (None if next is None else [next])


def test_next_is_never_another_host(harness: SignedIn) -> None:
    """A path with two slashes would be one."""
    for path in (b"//evil.example", b"/\\evil.example", b"https://evil.example/", b""):
        scope = {"type": "http", "method": "GET", "path": "/", "raw_path": path}
        scope["headers"] = [(name.encode(), value.encode()) for name, value in PAGE.items()]
        call = CurrentCall(harness.guard, ANONYMOUS, Call("1"), scope)
        refusal = sign_in_redirect(call, MissingAuthenticationToken("x"), 401)
        assert refusal is not None
        assert dict(refusal.headers)["location"] == "/signin"


def test_known_caller_is_not_redirected(harness: SignedIn) -> None:
    """One whose signature is for another service is known, but gets 401."""
    headers = [(name.encode(), value.encode()) for name, value in PAGE.items()]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    for caller, is_redirected in ((ANONYMOUS, True), (harness.person.principal(), False)):
        call = CurrentCall(harness.guard, caller, Call("1"), scope)
        assert (sign_in_redirect(call, SignatureDoesNotMatch(), 401) is not None) is is_redirected


def test_sign_in_page_does_not_redirect_to_itself(tmp_path: Path) -> None:
    with signed_in(tmp_path, sign_in_url="/documents/7") as harness:
        client = harness.client()
        assert client.get("/documents/7?next=x", headers=PAGE).status_code == 401
        assert client.get("/documents/8", headers=PAGE).status_code == 303


def test_without_the_setting_it_is_a_401(tmp_path: Path) -> None:
    with signed_in(tmp_path) as harness:
        answer = harness.client().get("/documents/7", headers=PAGE)
        assert (answer.status_code, answer.headers["www-authenticate"][:6]) == (401, "Bearer")


def test_sign_in_url_is_a_path() -> None:
    for url in ("signin", "//evil.example/signin", "https://evil.example", "/a?b", "/a#b", "/", "/a b", "/a\n"):
        with pytest.raises(ConfigurationError, match="expected a path such as /signin"):
            Settings(sign_in_url=url)
    for url in ("", "/signin", "/a/b/", "/-/sign_in.html"):
        assert Settings(sign_in_url=url).sign_in_url == url


def test_session_settings_have_limits() -> None:
    for name, value in (("session_idle", 119.0), ("session_duration", 0.0), ("session_duration", 1e9)):
        with pytest.raises(ConfigurationError, match="seconds"):
            Settings(**{name: value})
