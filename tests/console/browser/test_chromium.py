"""The tests of this folder can fail: what is planted in a page is reported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tests.console.browser.chromium import Authenticator, accessibility_violations
from tests.console.browser.visitor import BrowserOptions, NewVisitor, Visitor
from tests.console.site import Site
from tests.serving import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PLANTED = {
    "<script>document.title = 'other'</script>": "inline script",
    "<button onclick='go()'>Go</button>": "inline event handler",
    "<p style='color: red'>Text</p>": "inline style",
    "<img alt='' src='http://elsewhere.example/'>": "Loading the image",
    "<base href='/other/'>": "base URI",
    "<link rel='stylesheet' href='/signin/missing.css'>": "404",
    "<label for='nothing'>Name</label><input id='name' name='name'>": "FormLabelForMatchesNonExistingIdError",
}
"""Markup -> what the browser says about it."""
CREATE_PASSKEY = """async () => {
    const text = new TextEncoder();
    const created = await navigator.credentials.create({publicKey: {
        challenge: text.encode("challenge"),
        rp: {name: "acme"},
        user: {id: text.encode("1"), name: "ada", displayName: "Ada"},
        pubKeyCredParams: [-7, -257].map(alg => ({type: "public-key", alg})),
        authenticatorSelection: {residentKey: "required", userVerification: "required"},
    }});
    return created.id;
}"""


@pytest.fixture
def planted_url(site: Site) -> Iterator[str]:
    """Serve a page with the headers of a page for signing in; its query is its body."""
    headers = site.browser.get("/signin/").headers

    async def page(request: Request) -> Response:
        body = f"<!doctype html><html lang=en><title>Page</title>{request.query_params['body']}"
        return HTMLResponse(body, headers={"content-security-policy": headers["content-security-policy"]})

    with serving(Starlette(routes=[Route("/", page)])) as url:
        yield url.replace("127.0.0.1", "localhost")


def complaints_about(chromium: Browser, url: str, body: str, *, javascript: bool = True) -> list[str]:
    visitor = Visitor(chromium, url, BrowserOptions(javascript=javascript))
    visitor.open(f"/?{urlencode({'body': body})}")
    visitor.close()
    return visitor.complaints


def test_planted_faults_are_reported(chromium: Browser, planted_url: str) -> None:
    """And a page without one is not."""
    assert complaints_about(chromium, planted_url, "<p>Text</p>") == []
    found = {body: complaints_about(chromium, planted_url, body) for body in PLANTED}
    assert [body for body, expected in PLANTED.items() if expected not in "\n".join(found[body])] == []


def test_planted_style_is_reported_without_javascript(chromium: Browser, planted_url: str) -> None:
    found = complaints_about(chromium, planted_url, "<p style='color: red'>Text</p>", javascript=False)
    assert "inline style" in "\n".join(found)


def test_csp_violation_is_reported_as_an_issue(chromium: Browser, planted_url: str) -> None:
    """Not only as a text of the console, which may change."""
    found = complaints_about(chromium, planted_url, "<script>document.title = 'other'</script>")
    assert [line for line in found if "ContentSecurityPolicyIssue" in line and "script-src-elem" in line]


def test_error_of_a_script_is_reported(chromium: Browser, planted_url: str) -> None:
    visitor = Visitor(chromium, planted_url, BrowserOptions())
    visitor.open("/?body=")
    with visitor.page.expect_event("pageerror"):
        visitor.page.evaluate("setTimeout(() => { throw new Error('planted') })")
    visitor.close()
    assert visitor.complaints == ["error of a script: planted"]


def test_planted_barriers_are_found(chromium: Browser, planted_url: str) -> None:
    """By axe, under the policy of the pages."""
    visitor = Visitor(chromium, planted_url, BrowserOptions())
    visitor.open("/?body=<h1>Title</h1><main><font color=%23bbb>pale</font><input></main>")
    rules = {found.partition(":")[0] for found in accessibility_violations(visitor.page)}
    visitor.close()
    assert {"color-contrast", "label"} <= rules


def test_authenticator_holds_a_passkey_of_a_page(new_visitor: NewVisitor) -> None:
    """The policy of the pages for passkeys admits it."""
    visitor = new_visitor()
    visitor.open("/signin/forgot")  # the page for signing in has a request of its own
    authenticator = Authenticator(visitor.page)
    created = visitor.page.evaluate(CREATE_PASSKEY)
    held = authenticator.send("getCredentials")["credentials"]
    assert [credential["rpId"] for credential in held] == ["localhost"]
    assert created
