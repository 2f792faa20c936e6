"""A browser gets a page for a guarded route that is denied or does not exist; other clients get problem documents."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from iam_guard import GuardMiddleware, GuardWsgiMiddleware, Resource
from iam_guard.authn.tokens.session_cookie import COOKIE
from iam_guard.console.languages import texts
from iam_guard.console.sign_in_app import sign_in_pages
from iam_guard.console.visit import HEADERS
from tests.signed_in import ACME, HOST, PAGE, SignedIn, docs, signed_in

ENGLISH, GERMAN = texts("en"), texts("de")
BROWSER = {**PAGE, "accept-language": "en"}
OLD_BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@docs.requires("Unlisted", resource="arn:aws:other:us-east-1:444455556666:thing/{name}")
async def denied(request: Request) -> Response:
    return PlainTextResponse("secret")


def load(name: str) -> Resource | None:
    return None if name == "none" else Resource(f"arn:aws:docs:us-east-1:444455556666:document/{name}")


@docs.requires("Unlisted", resource=load, conceal=True)
async def concealed(request: Request) -> Response:
    return PlainTextResponse("secret")


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[SignedIn]:
    with signed_in(tmp_path, sign_in_url="/signin") as made:
        yield made


def client_of(harness: SignedIn, base: str = f"https://{HOST}", **options: Any) -> TestClient:
    routes = [
        Route("/denied/{name}", denied, methods=["GET", "POST"]),
        Route("/concealed/{name}", concealed),
        Mount("/signin", sign_in_pages(harness.guard, **options)),
    ]
    app = Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=harness.guard)])
    client = TestClient(app, base_url=base, follow_redirects=False)
    client.headers.clear()
    return client


def test_browser_gets_a_page(harness: SignedIn) -> None:
    """With the request id, in its language, with the policy of the other pages, and without a script."""
    client = client_of(harness)
    for path, status, reason in (("/denied/7", 403, "no_access"), ("/concealed/7", 404, "not_found")):
        for language, text in (("en", ENGLISH), ("de-CH, en;q=0.5", GERMAN)):
            for headers in (PAGE, OLD_BROWSER):
                answer = client.get(path, headers={**harness.cookie, **headers, "accept-language": language})
                assert answer.status_code == status
                assert answer.headers["content-type"] == "text/html; charset=utf-8"
                assert f"<h1>{text[reason]}</h1>" in answer.text
                assert text[f"{reason}_hint"] in answer.text
                assert answer.headers["x-amzn-requestid"] in answer.text
                assert 'href="/signin/sessions"' in answer.text
                assert "<script" not in answer.text
                for name in ("Content-Security-Policy", "X-Frame-Options", "Cache-Control", "Referrer-Policy"):
                    assert answer.headers[name] == HEADERS[name]
                assert {"Accept", "Cookie"} <= {name.strip() for name in answer.headers["vary"].split(",")}
                assert ACME not in answer.text
                assert "Unlisted" not in answer.text


def test_missing_and_concealed_have_the_same_page(harness: SignedIn) -> None:
    """But for the request id; an anonymous browser gets it, too, with a link to sign in."""
    client = client_of(harness)
    for cookie, link in ((harness.cookie, "/signin/sessions"), ({}, "/signin/")):
        answers = [client.get(f"/concealed/{name}", headers={**cookie, **BROWSER}) for name in ("7", "none")]
        assert [answer.status_code for answer in answers] == [404, 404]
        pages = [answer.text.replace(answer.headers["x-amzn-requestid"], "ID") for answer in answers]
        assert pages[0] == pages[1]
        assert f'href="{link}"' in pages[0]


def test_other_clients_get_problems(harness: SignedIn) -> None:
    """Scripts of pages, clients with keys, and requests that prefer JSON."""
    client = client_of(harness)
    key = harness.guard.api_keys.create(f"arn:aws:iam::{ACME}:user/ada")
    requests: list[dict[str, str]] = [
        harness.cookie,
        {**harness.cookie, "accept": "application/json, text/html;q=0.9"},
        {**harness.cookie, "sec-fetch-mode": "cors", "accept": "text/html"},
        {**BROWSER, "authorization": f"Bearer {key.text}"},
    ]
    for headers in requests:
        answer = client.get("/denied/7", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "AccessDenied"), headers
        assert answer.headers["content-type"] == "application/problem+json"


def test_form_of_another_site_is_explained(harness: SignedIn) -> None:
    answer = client_of(harness).post("/denied/7", headers={**harness.cookie, **BROWSER, "sec-fetch-site": "same-site"})
    assert answer.status_code == 403
    assert ENGLISH["other_site_hint"] in answer.text


def test_page_has_the_looks_of_the_application(harness: SignedIn, tmp_path: Path) -> None:
    """Its templates replace ours, and its language is the one of the option."""
    (tmp_path / "templates").mkdir()
    frame = "<h1>Acme: {{ title }}</h1>{% block content %}{% endblock %}"
    (tmp_path / "templates" / "page.html").write_text(frame)
    client = client_of(harness, templates=tmp_path / "templates", language="de")
    page = client.get("/denied/7", headers={**harness.cookie, **BROWSER}).text
    assert f"<h1>Acme: {GERMAN['no_access']}</h1>" in page


def test_application_without_pages_answers_problems(tmp_path: Path) -> None:
    with signed_in(tmp_path, sign_in_url="/signin") as harness:
        routes = [Route("/denied/{name}", denied)]
        app = Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=harness.guard)])
        client = TestClient(app, base_url=f"https://{HOST}")
        answer = client.get("/denied/7", headers={**harness.cookie, **BROWSER})
        assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")


def test_wsgi_application_shows_the_page(harness: SignedIn) -> None:
    sign_in_pages(harness.guard)

    @docs.requires("Unlisted", resource="arn:aws:other:us-east-1:444455556666:thing/7")
    def view() -> bytes:
        return b"secret"

    started: list[Any] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "HTTP_HOST": HOST,
        "SERVER_NAME": HOST,
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "https",
        "HTTP_COOKIE": harness.cookie["cookie"],
        "HTTP_SEC_FETCH_MODE": "navigate",
        "HTTP_ACCEPT": "text/html",
    }
    guarded = GuardWsgiMiddleware(lambda environ, start_response: [view()], guard=harness.guard)
    body = b"".join(guarded(environ, lambda *arguments: started.append(arguments)))
    assert started[0][0] == "403 Forbidden"
    assert ENGLISH["no_access"] in body.decode()


def test_expired_session_says_so(harness: SignedIn) -> None:
    """In the problem, and on the sign-in page; the sentence is a known one, whatever the link says."""
    client = client_of(harness)
    cookie = {"cookie": f"{COOKIE}={'A' * 43}"}
    problem = client.get("/denied/7", headers=cookie)
    assert (problem.status_code, problem.json()["code"]) == (401, "ExpiredToken")
    assert "expired" in problem.json()["detail"]
    redirect = client.get("/denied/7", headers={**cookie, **BROWSER})
    assert (redirect.status_code, redirect.headers["location"]) == (303, "/signin?next=%2Fdenied%2F7&reason=expired")
    page = client.get("/signin/?next=%2Fdenied%2F7&reason=expired", headers={"accept-language": "en"}).text
    assert ENGLISH["session_over"] in page
    assert ENGLISH["session_over"] not in client.get("/signin/?reason=other", headers={"accept-language": "en"}).text
    malformed = client.get("/denied/7", headers={"cookie": f"{COOKIE}=x"})
    assert malformed.json()["code"] == "InvalidClientTokenId"


def test_page_without_tls_logs_what_to_set(harness: SignedIn, caplog: pytest.LogCaptureFixture) -> None:
    """Once, since any client can cause it; the address is that of the proxy, not what a header says."""
    client = client_of(harness, f"http://{HOST}")
    headers = {"x-forwarded-proto": "https", "x-forwarded-for": "203.0.113.9"}
    with caplog.at_level(logging.WARNING, "iam_guard.console"):
        for _ in range(3):
            assert client.get("/signin/", headers=headers).status_code == 400
    [message] = [record.getMessage() for record in caplog.records if record.name == "iam_guard.console"]
    assert "`trusted_proxies`" in message
    assert "203.0.113.9" not in message
