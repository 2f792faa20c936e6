"""A person in front of the pages: knows fields, buttons and links by their texts only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from iam_guard.console.languages import texts
from tests.console.browser.chromium import PATIENCE, open_tab
from tests.console.site import PASSWORD, Site, code_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

NewVisitor = Callable[..., "Visitor"]
"""The fixture `new_visitor`: opens a browser window without cookies; its argument is a `BrowserOptions`, if any."""


@dataclass(frozen=True)
class BrowserOptions:
    """The settings of a browser."""

    javascript: bool = True
    scheme: Literal["light", "dark"] = "light"
    width: int = 1280
    language: str = "en"


BROWSERS = {
    "javascript-light-wide-en": BrowserOptions(),
    "plain-dark-narrow-de": BrowserOptions(javascript=False, scheme="dark", width=390, language="de"),
}
"""What every flow runs with: each value of each property once."""


class Visitor:
    """One person with a browser of its own. Texts are named by their keys in `texts/`."""

    def __init__(self, browser: Browser, url: str, options: BrowserOptions) -> None:
        self.text = texts(options.language)
        self.url = url
        self.complaints: list[str] = []
        self._context = browser.new_context(
            base_url=url,
            java_script_enabled=options.javascript,
            color_scheme=options.scheme,
            viewport={"width": options.width, "height": 800},
            locale=options.language,
        )
        self._context.set_default_timeout(PATIENCE)
        self.page = open_tab(self._context, self.complaints)

    def close(self) -> None:
        text = self.page.evaluate("document.body.innerText")  # when it is here, all complaints have arrived
        print(f"the last page: {self.page.url}\n{text}")  # shown with a failure
        self._context.close()

    def forget_cookies(self) -> None:
        self._context.clear_cookies()

    # --- acting ----------------------------------------------------------------------------------------------------

    def open(self, path: str) -> None:
        self.page.goto(path)

    def field(self, key: str) -> Locator:
        return self.page.get_by_label(self.text[key], exact=True)

    def fill(self, **values: str) -> None:
        """Type into the fields with these labels."""
        for key, value in values.items():
            self.field(key).fill(value)

    def press(self, key: str, **names: str) -> None:
        """Press the button of a form, and wait for the next page; `names` are what its text contains."""
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=self.text[key].format(**names), exact=True).click()

    def click(self, key: str) -> None:
        """Press the button of a form that a script sends."""
        self.page.get_by_role("button", name=self.text[key], exact=True).click()

    def add_key(self, name: str, key: str) -> None:
        """Add a passkey or a security key, by the button with this text."""
        self.open("/signin/factors")
        button = self.page.get_by_role("button", name=self.text[key], exact=True)
        form = self.page.locator("form[data-passkey]", has=button)
        form.get_by_label(self.text["key_name"], exact=True).fill(name)
        button.click()

    def follow(self, key: str) -> None:
        """Follow a link."""
        with self.page.expect_navigation():
            self.page.get_by_role("link", name=self.text[key], exact=True).click()

    def sign_in(self, name: str = "ada", password: str = PASSWORD) -> None:
        """Sign in as a user, on the page that is open."""
        self.fill(account="acme", username=name, password=password)
        self.press("sign_in")

    def enrol(self, site: Site) -> list[str]:
        """Add an authenticator app by what the page shows, and return the recovery codes."""
        self.open("/signin/factors")
        self.press("new_factor")
        seed = self.page.locator("code").inner_text()
        earlier, present = (code_of(seed, site.now + timedelta(seconds=30 * step)) for step in (-1, 0))
        self.fill(first_code=earlier, second_code=present)
        self.press("continue")
        assert self.status == self.text["added"], self.alert
        return self.page.locator("ul.codes li").all_inner_texts()

    # --- seeing ----------------------------------------------------------------------------------------------------

    @property
    def path(self) -> str:
        return urlsplit(self.page.url).path

    @property
    def heading(self) -> str:
        return self.page.get_by_role("heading", level=1).inner_text()

    @property
    def alert(self) -> str:
        """The problem that the page reports; empty for none."""
        return "\n".join(self.page.get_by_role("alert").all_inner_texts())

    @property
    def status(self) -> str:
        """What the page reports that is no problem; empty for nothing."""
        return "\n".join(self.page.get_by_role("status").all_inner_texts())

    def expect(self, path: str, heading: str) -> None:
        """Fail unless this page is open; the heading is the key of a text."""
        expected, shown = (path, self.text[heading]), (self.path, self.heading)
        assert shown == expected, f"expected {expected}, got {shown} {self.alert}"
