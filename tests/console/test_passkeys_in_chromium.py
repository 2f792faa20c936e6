"""Passkeys and security keys in Chromium, with an authenticator of its own for tests."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.console.site import PASSWORD, START, Site
from tests.serving import serving

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),  # of playwright's own event loop
]
PASSKEY = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
SECURITY_KEY = {"protocol": "u2f", "transport": "usb", "automaticPresenceSimulation": True}


class Visitor:
    """A person with a browser and an authenticator. `faults` are errors of scripts and of the content policy."""

    def __init__(self, browser: Any, url: str, **options: Any) -> None:
        self.url = url
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._console)
        self.devtools = self.context.new_cdp_session(self.page)
        self.devtools.send("WebAuthn.enable")
        self.authenticator = ""

    def _console(self, message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:  # that is an answer 400
            self.faults.append(message.text)

    def plug_in(self, options: dict[str, Any]) -> None:
        """Have this authenticator, and no other."""
        if self.authenticator:
            self.devtools.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": self.authenticator})
        added = self.devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        self.authenticator = added["authenticatorId"]

    def set(self, command: str, **parameters: Any) -> Any:
        return self.devtools.send(f"WebAuthn.{command}", {"authenticatorId": self.authenticator, **parameters})

    def open(self, path: str) -> None:
        self.page.goto(f"{self.url}/signin{path}")

    def click(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def sign_in(self) -> None:
        """Type name and password. The authenticator waits meanwhile: it would answer the request for autofill."""
        self.open("/")
        for field, text in (("#account", "acme"), ("#username", "ada"), ("#password", PASSWORD)):
            self.page.fill(field, text)
        self.click("Sign in")

    def sign_out(self) -> None:
        self.open("/sessions")
        self.click("Sign out")
        self.page.get_by_text("You are signed out").wait_for()

    def add(self, name: str, button: str) -> None:
        """Add a key on the page of second factors."""
        self.open("/factors")
        form = self.page.locator("form[data-passkey]", has=self.page.get_by_role("button", name=button))
        form.get_by_label("Name").fill(name)
        self.click(button)

    def alert(self) -> str:
        """Return what the script reports."""
        shown = self.page.locator("form[data-passkey] [role=alert]:visible")
        shown.wait_for()
        return str(shown.inner_text())

    def arrive(self, path: str) -> None:
        self.page.wait_for_url(f"{self.url}/signin{path}")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    ticks = count()
    made.guard.clock = lambda: START + timedelta(milliseconds=next(ticks))
    yield made
    made.guard.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def url(site: Site) -> Iterator[str]:
    with serving(site.app) as address:
        yield address.replace("127.0.0.1", "localhost")


@pytest.fixture
def visitor(chromium: Any, url: str) -> Iterator[Visitor]:
    made = Visitor(chromium, url)
    yield made
    made.context.close()
    assert made.faults == []


def test_passkey_signs_in_alone_by_button_and_autofill(visitor: Visitor) -> None:
    """A person who is not verified, or cancels, stays on the page, and tries again."""
    visitor.sign_in()
    visitor.arrive("/sessions")
    visitor.plug_in(PASSKEY)
    visitor.add("laptop", "Add a passkey")
    visitor.page.get_by_text("Keep these recovery codes").wait_for()
    visitor.sign_out()
    visitor.set("setAutomaticPresenceSimulation", enabled=False)
    visitor.open("/?next=/documents/7")
    visitor.set("setUserVerified", isUserVerified=False)
    visitor.set("setAutomaticPresenceSimulation", enabled=True)
    visitor.click("Sign in with a passkey")
    assert visitor.alert().startswith("It was cancelled")
    visitor.set("setUserVerified", isUserVerified=True)
    visitor.click("Sign in with a passkey")
    visitor.page.wait_for_url(f"{visitor.url}/documents/7")
    assert visitor.page.locator("body").inner_text().endswith("user/ada true")
    visitor.sign_out()
    visitor.open("/")  # the authenticator answers as if its person had chosen the passkey from the list
    visitor.arrive("/sessions")


def test_security_key_is_a_second_factor(visitor: Visitor) -> None:
    """One with U2F, which knows neither its owner nor a counterpart on the same key twice."""
    visitor.sign_in()
    visitor.arrive("/sessions")
    visitor.plug_in(SECURITY_KEY)
    visitor.add("blue", "Add a security key")
    visitor.page.get_by_role("cell", name="blue", exact=True).wait_for()
    visitor.add("blue again", "Add a security key")
    assert visitor.alert() == "This device has a key of yours already."
    visitor.sign_out()
    visitor.sign_in()
    visitor.arrive("/mfa")
    visitor.click("Use a passkey or security key")
    visitor.arrive("/sessions")
    visitor.sign_out()
    visitor.plug_in({**SECURITY_KEY, "protocol": "ctap2"})  # another key
    visitor.sign_in()
    visitor.arrive("/mfa")
    visitor.click("Use a passkey or security key")
    assert visitor.alert().startswith("It was cancelled")


def test_removed_passkey_is_forgotten_by_the_browser(visitor: Visitor) -> None:
    """The browser is informed; one that keeps it gets the same answer as for any other."""
    visitor.sign_in()
    visitor.arrive("/sessions")
    visitor.plug_in(PASSKEY)
    visitor.add("laptop", "Add a passkey")
    visitor.page.get_by_role("cell", name="laptop", exact=True).wait_for()
    [kept] = visitor.set("getCredentials")["credentials"]
    visitor.click("Remove: laptop")
    visitor.page.get_by_text("It was removed").wait_for()
    visitor.page.locator("form[data-passkey]:visible").first.wait_for()  # the script has run
    assert visitor.set("getCredentials")["credentials"] == []
    visitor.sign_out()
    visitor.set("setAutomaticPresenceSimulation", enabled=False)
    visitor.open("/")
    visitor.set("addCredential", credential=kept)
    visitor.set("setAutomaticPresenceSimulation", enabled=True)
    visitor.click("Sign in with a passkey")
    visitor.page.get_by_text("That did not work. Try again").wait_for()


def test_pages_work_without_script(chromium: Any, url: str) -> None:
    """The forms for passkeys are hidden; the others are sent as before."""
    visitor = Visitor(chromium, url, java_script_enabled=False)
    visitor.open("/")
    assert visitor.page.get_by_role("button").all_inner_texts() == ["Sign in"]
    visitor.sign_in()
    visitor.arrive("/sessions")
    visitor.open("/factors")
    assert visitor.page.get_by_role("button").all_inner_texts() == ["Add an authenticator app"]
    visitor.context.close()
