"""The browser of a person in the demo: Chromium if Playwright and Chromium are installed, else forms over HTTP.

Both keep cookies, follow redirects, and say in headers which page a request comes from, as every browser does.
"""

from __future__ import annotations

import base64
import contextlib
import html
import importlib
import json
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from http.cookiejar import CookieJar
from typing import Any, NamedTuple, Protocol

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SECONDS, MAX_REDIRECTS = 60, 10
_FORM_WITHOUT_FIELDS = "form:not(:has(input:not([type=hidden])))"
_FETCH = """async ([method, path, body]) => {
    const headers = body === null ? {} : {"content-type": "application/json"};
    const answer = await fetch(path, {method, headers, body});
    return [answer.status, Object.fromEntries(answer.headers)];
}"""


class Answer(NamedTuple):
    """The response to one request."""

    status_code: int
    headers: Mapping[str, str]


class Browser(Protocol):
    """What a person does with a browser. Each method returns the first answer, before redirects."""

    name: str

    def open(self, path: str) -> Answer:
        """Open a page."""

    def submit(self, fields: Mapping[str, str]) -> Answer:
        """Fill in the form with these fields on the present page, and send it."""

    def fetch(self, method: str, path: str, body: Any, *, own_page: bool) -> Answer:
        """Send a request: by a script of the site's own page, or with the cookie alone."""

    def content(self) -> str:
        """Return the present page."""


def add_second_factor(browser: Browser) -> Answer:
    """Add an authenticator app on the person's page, and be that app."""
    browser.open("/signin/factors")
    browser.submit({})
    seed = re.search(r"<code[^>]*>([A-Z2-7]+)</code>", browser.content())
    if seed is None:
        raise SystemExit("expected the key of an authenticator app on the page /signin/factors")
    app = TOTP(base64.b32decode(seed[1]), 6, SHA1(), 30)  # noqa: S303  of authenticator apps
    now = int(time.time())
    return browser.submit({"mfa_code": app.generate(now - 30).decode(), "mfa_code_2": app.generate(now).decode()})


@contextlib.contextmanager
def opened(address: str) -> Iterator[Browser]:
    """Open a browser for the site with this address until the block ends."""
    with contextlib.ExitStack() as stack:
        yield _chromium(address, stack) or HttpBrowser(address)


# --- without a browser -----------------------------------------------------------------------------------------------


class _FirstAnswer(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Follow no redirect."""


class HttpBrowser:
    """Fills in forms over HTTP."""

    name = "forms over HTTP"

    def __init__(self, address: str) -> None:
        self._address = address
        self._url, self._content = address, ""
        cookies = urllib.request.HTTPCookieProcessor(CookieJar())
        self._opener = urllib.request.build_opener(_FirstAnswer, cookies, urllib.request.ProxyHandler({}))

    def open(self, path: str) -> Answer:
        """Open a page."""
        return self._navigate("GET", self._address + path, {"sec-fetch-site": "none"})

    def submit(self, fields: Mapping[str, str]) -> Answer:
        """Fill in the form with these fields on the present page, and send it."""
        forms = re.findall(r"<form\b.*?</form>", self._content, re.DOTALL)
        form = next(form for form in forms if _has_fields(form, set(fields)))
        action = re.search(r'<form\b[^>]* action="([^"]*)"', form)
        hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
        sent = {name: html.unescape(value) for name, value in hidden.items()} | dict(fields)
        url = urllib.parse.urljoin(self._url, html.unescape(action[1])) if action else self._url
        return self._navigate("POST", url, self._own_page, urllib.parse.urlencode(sent).encode())

    def fetch(self, method: str, path: str, body: Any, *, own_page: bool) -> Answer:
        """Send a request: by a script of the site's own page, or with the cookie alone."""
        headers = {"content-type": "application/json", **(self._own_page if own_page else {})}
        data = None if body is None else json.dumps(body).encode()
        return self._send(method, self._address + path, headers, data)[0]

    def content(self) -> str:
        """Return the present page."""
        return self._content

    @property
    def _own_page(self) -> dict[str, str]:
        return {"sec-fetch-site": "same-origin", "origin": self._address}

    def _navigate(self, method: str, url: str, headers: Mapping[str, str], data: bytes | None = None) -> Answer:
        navigation = {**headers, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "accept": "text/html"}
        first, self._content = self._send(method, url, navigation, data)
        self._url, answer = url, first
        for _ in range(MAX_REDIRECTS):
            if "location" not in answer.headers:
                break
            self._url = urllib.parse.urljoin(self._url, answer.headers["location"])
            answer, self._content = self._send("GET", self._url, navigation)
        return first

    def _send(self, method: str, url: str, headers: Mapping[str, str], data: bytes | None = None) -> tuple[Answer, str]:
        request = urllib.request.Request(url, data, dict(headers), method=method)  # noqa: S310  our own address
        try:
            response = self._opener.open(request, timeout=SECONDS)
        except urllib.error.HTTPError as error:  # any status from 300 on
            response = error
        with response:
            lower = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, lower), response.read().decode()


def _has_fields(form: str, names: set[str]) -> bool:
    shown = set(re.findall(r'<input (?!type="hidden")[^>]*name="(\w+)"', form))
    return names <= shown if names else not shown


# --- Chromium --------------------------------------------------------------------------------------------------------


def _chromium(address: str, stack: contextlib.ExitStack) -> Browser | None:
    """Return Chromium, None if it is not installed or does not start."""
    try:
        playwright = importlib.import_module("playwright.sync_api")
    except ImportError:
        return None
    installed = next((path for name in CHROMIUM if (path := shutil.which(name))), None)  # else Playwright's own
    try:
        browser = stack.enter_context(playwright.sync_playwright()).chromium.launch(executable_path=installed)
    except playwright.Error:
        return None
    stack.callback(browser.close)
    return Chromium(browser.new_page(base_url=address))


class Chromium:
    """A tab of Chromium."""

    name = "Chromium"

    def __init__(self, page: Any) -> None:
        self._page = page

    def open(self, path: str) -> Answer:
        """Open a page."""
        return _first(self._page.goto(path))

    def submit(self, fields: Mapping[str, str]) -> Answer:
        """Fill in the form with these fields on the present page, and send it."""
        for name, value in fields.items():
            self._page.fill(f"[name={name}]", value)
        form = f"form:has([name={next(iter(fields))}])" if fields else _FORM_WITHOUT_FIELDS
        with self._page.expect_navigation() as navigation:
            self._page.locator(f"{form} button").first.click()
        return _first(navigation.value)

    def fetch(self, method: str, path: str, body: Any, *, own_page: bool) -> Answer:
        """Send a request: by a script of the site's own page, or with the cookie alone."""
        data = None if body is None else json.dumps(body)
        if own_page:
            self._page.goto("/health")  # the sign-in pages let no script run
            return Answer(*self._page.evaluate(_FETCH, [method, path, data]))
        answer = self._page.request.fetch(path, method=method, data=data, headers={"content-type": "application/json"})
        return Answer(answer.status, answer.headers)

    def content(self) -> str:
        """Return the present page."""
        return str(self._page.content())


def _first(response: Any) -> Answer:
    request = response.request
    while request.redirected_from is not None:
        request = request.redirected_from
    first = request.response()
    return Answer(first.status, first.headers)
