"""The flow of `aws login` in a browser: a tool on the same device, and one on another, of which the code is pasted."""

from __future__ import annotations

import base64
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from iam_guard.authn.people.sessions.tool_sessions import CROSS_DEVICE, SAME_DEVICE
from tests.api.signin.conftest import ACME, PASSWORD, Office
from tests.api.signin.tool import Tool
from tests.console.browser.chromium import accessibility_violations
from tests.console.browser.visitor import BROWSERS, BrowserOptions, Visitor
from tests.serving import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ADA = f"arn:aws:iam::{ACME}:user/ada"


class Callback(HTTPServer):
    """Receives the redirect of the browser, as the CLI's server does; `results` has the parameters."""

    def __init__(self) -> None:
        results: queue.Queue[dict[str, str]] = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.startswith("/oauth/callback?"):
                    results.put(dict(parse_qsl(urlsplit(self.path).query)))
                self.send_response(200 if "callback" in self.path else 404)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(b"<!doctype html><html lang=en><title>Done</title><p>Done</p></html>")

            def log_message(self, *_: Any) -> None:
                """Write no log."""

        super().__init__(("127.0.0.1", 0), Handler)
        self.results = results
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/oauth/callback"


def address(tool: Tool) -> str:
    """Return what the CLI opens: the challenge is appended without its padding."""
    parameters = {
        "response_type": "code",
        "client_id": tool.client_id,
        "state": tool.state,
        "code_challenge_method": "SHA-256",
        "scope": "openid",
        "redirect_uri": tool.redirect,
    }
    return f"{tool.url}/v1/authorize?{urlencode(parameters)}&code_challenge={tool.challenge}"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    with serving(made.app) as url:
        made.url = url
        yield made
    made.guard.close()


@pytest.fixture
def open_browser(chromium: Browser, office: Office) -> Iterator[Callable[[BrowserOptions], Visitor]]:
    visitors: list[Visitor] = []
    with ExitStack() as windows:

        def open_window(options: BrowserOptions) -> Visitor:
            visitor = Visitor(chromium, office.url, options)
            windows.callback(visitor.close)
            visitors.append(visitor)
            return visitor

        yield open_window
    complaints = [complaint for visitor in visitors for complaint in visitor.complaints]
    assert not [complaint for complaint in complaints if "/favicon.ico" not in complaint]  # the API has no icon


@pytest.fixture(params=[pytest.param(options, id=name) for name, options in BROWSERS.items()])
def person(open_browser: Callable[[BrowserOptions], Visitor], request: pytest.FixtureRequest) -> Visitor:
    """Return a person with each kind of browser."""
    return open_browser(request.param)


@pytest.fixture
def callback() -> Iterator[Callback]:
    made = Callback()
    yield made
    made.shutdown()
    made.server_close()


def sign_in(person: Visitor) -> None:
    person.fill(account="acme", username="ada", password=PASSWORD)
    person.press("sign_in")


def test_tool_on_the_same_device_gets_credentials(office: Office, person: Visitor, callback: Callback) -> None:
    tool = office.tool(client_id=SAME_DEVICE, redirect=callback.url)
    person.open(address(tool))
    sign_in(person)
    assert person.heading == person.text["tool_access"]
    assert ADA in person.page.locator("main").inner_text()
    person.press("allow")
    answer = callback.results.get(timeout=30)
    assert answer["state"] == tool.state
    got = tool.redeem(answer["code"], redirectUri=callback.url)
    assert office.client("sts", got.json()).get_caller_identity()["Arn"] == ADA
    assert tool.refresh(got.json()["refreshToken"]).status_code == 200


def test_tool_on_the_same_device_is_denied(office: Office, person: Visitor, callback: Callback) -> None:
    tool = office.tool(client_id=SAME_DEVICE, redirect=callback.url)
    person.open(address(tool))
    sign_in(person)
    person.press("deny")
    assert callback.results.get(timeout=30) == {"error": "access_denied", "state": tool.state}


def test_tool_on_another_device_gets_credentials(office: Office, person: Visitor) -> None:
    """The CLI's own reading of the pasted code."""
    tool = office.tool(client_id=CROSS_DEVICE, redirect=f"{office.url}/v1/sessions/confirmation")
    person.open(address(tool))
    sign_in(person)
    assert person.text["tool_elsewhere"] in person.page.locator("main").inner_text()
    person.press("allow")
    assert person.heading == person.text["tool_code"]
    pasted = person.page.locator("#code").inner_text()
    given = dict(parse_qsl(base64.b64decode(pasted).decode("utf-8")))
    assert given["state"] == tool.state
    got = tool.redeem(given["code"])
    assert office.client("sts", got.json()).get_caller_identity()["Arn"] == ADA


def test_tool_is_listed_and_ended_on_the_page_of_sessions(office: Office, person: Visitor, callback: Callback) -> None:
    tool = office.tool(client_id=SAME_DEVICE, redirect=callback.url)
    person.open(address(tool))
    sign_in(person)
    person.press("allow")
    got = tool.redeem(callback.results.get(timeout=30)["code"], redirectUri=callback.url).json()
    person.open("/signin/sessions")
    table = person.page.get_by_role("region", name=person.text["tools"], exact=True)
    assert ADA in table.inner_text()
    with person.page.expect_navigation():
        table.get_by_role("button").click()
    assert person.page.get_by_role("region", name=person.text["tools"], exact=True).count() == 0
    assert tool.refresh(got["refreshToken"]).status_code == 401


def test_pages_of_tools_are_accessible(
    office: Office, open_browser: Callable[[BrowserOptions], Visitor], callback: Callback
) -> None:
    """The two forms, the code, and the list of sessions with tools."""
    person = open_browser(BrowserOptions())
    here = office.tool(client_id=SAME_DEVICE, redirect=callback.url)
    person.open(address(here))
    sign_in(person)
    assert accessibility_violations(person.page) == []
    person.press("allow")
    assert here.redeem(callback.results.get(timeout=30)["code"], redirectUri=callback.url).status_code == 200
    elsewhere = office.tool(client_id=CROSS_DEVICE, redirect=f"{office.url}/v1/sessions/confirmation")
    person.open(address(elsewhere))
    assert accessibility_violations(person.page) == []
    person.press("allow")
    assert accessibility_violations(person.page) == []
    person.open("/signin/sessions")
    assert accessibility_violations(person.page) == []


def test_tool_in_a_role_acts_as_the_role(office: Office, person: Visitor, callback: Callback) -> None:
    person.open("/signin/switchrole?account=acme&roleName=team/auditor")
    sign_in(person)
    person.press("switch_role")
    tool = office.tool(client_id=SAME_DEVICE, redirect=callback.url)
    person.open(address(tool))
    person.press("allow")
    got = tool.redeem(callback.results.get(timeout=30)["code"], redirectUri=callback.url).json()
    arn = office.client("sts", got).get_caller_identity()["Arn"]
    assert arn == f"arn:aws:sts::{ACME}:assumed-role/auditor/ada"
