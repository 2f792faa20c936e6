"""Chromium, what it complains about, axe, and an authenticator for passkeys.

`IAM_GUARD_TEST_CHROMIUM` is the program; the default is Debian's `chromium`. Playwright and axe are in the dependency
group `browser`, which the environment of the lowest versions does not have: they are imported when a test needs them.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.store.databases import do_without

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

VARIABLE = "IAM_GUARD_TEST_CHROMIUM"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60_000
"""How many milliseconds a page may take, since machines may be slow."""
OTHER_SITE = "app.example"
"""A host that is not this machine by its name, but is."""
EXPECTED = (
    (r"Failed to load resource: .* status of 400", r"/signin/(?!style)"),  # a form was refused
    (r"Failed to load resource: .* status of 403", r"/documents/"),  # a page was refused
    (r"Failed to load resource: .* status of 404", r"/concealed/"),
    (r"Failed to load resource: .* status of 404", r"/favicon\.ico$"),  # the application has no icon
    (r"Cross-Origin-Opener-Policy header has been ignored", rf"^http://{OTHER_SITE}"),  # where no one signs in
    (r"Password forms should have .* username fields", r"/signin/reset\b"),  # a link does not say whose it is
)
"""Messages of the console that are no faults, and the URLs of their pages."""
EXPECTED_ISSUES = ("NavigationEntryMarkedSkippable", "BounceTrackingIssue")
"""A script has sent a form after a passkey was used, so that "back" skips the page. A page of an identity provider
leads on at once, as trackers do."""
NOT_NEEDED = (
    "WebUIOmniboxPopup",  # pages of the address bar, rendered anew for each page: a third of the time
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxFullPopup",
    "HttpsUpgrades",  # of plain HTTP elsewhere
)
"""Features of Chromium that are turned off. They replace Playwright's list."""
AXE_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
PASSKEY = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
"""A platform's authenticator, whose user confirms everything."""
SECURITY_KEY = {"protocol": "u2f", "transport": "usb", "automaticPresenceSimulation": True}


@contextmanager
def launched() -> Iterator[Browser]:
    """Launch a Chromium; without one, skip the test, or fail it in CI."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        do_without("not installed: playwright, of the dependency group `browser`")
    program = os.environ.get(VARIABLE) or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        do_without(f"no Chromium for the tests: install the program `chromium`, or set {VARIABLE} to the path of one")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=[f"--host-resolver-rules=MAP {OTHER_SITE} 127.0.0.1", f"--disable-features={','.join(NOT_NEEDED)}"],
            ignore_default_args=["--disable-back-forward-cache"],  # people have this cache
        )
        try:
            yield browser
        finally:
            browser.close()


def open_tab(context: BrowserContext, complaints: list[str]) -> Page:
    """Open a page that adds to a list what the browser complains about: its console, errors of scripts, and issues.

    Issues are those of the developer tools: each violation of the content security policy, of inline styles without
    JavaScript too, and forms that a browser can't fill in, such as a label without its field.
    """
    page = context.new_page()
    page.on("console", lambda message: None if _is_expected(message) else complaints.append(_written(message)))
    page.on("pageerror", lambda error: complaints.append(f"error of a script: {error}"))
    session = context.new_cdp_session(page)
    session.on("Audits.issueAdded", lambda event: _add_issue(str(event["issue"]), complaints))
    session.send("Audits.enable")
    return page


def _add_issue(issue: str, complaints: list[str]) -> None:
    if not any(name in issue for name in EXPECTED_ISSUES):
        complaints.append(f"issue: {issue}")


def _is_expected(message: ConsoleMessage) -> bool:
    return any(re.search(text, message.text) and re.search(url, message.location["url"]) for text, url in EXPECTED)


def _written(message: ConsoleMessage) -> str:
    return f"console, {message.type}: {message.text} ({message.location['url']})"


class Authenticator:
    """Authenticators of a page for passkeys, one at a time."""

    def __init__(self, page: Page, options: Mapping[str, Any] = PASSKEY) -> None:
        self._session = page.context.new_cdp_session(page)
        self._session.send("WebAuthn.enable")
        self._id = ""
        self.plug_in(options)

    def plug_in(self, options: Mapping[str, Any]) -> None:
        """Have this authenticator, and no other."""
        if self._id:
            self._session.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": self._id})
        self._id = self._session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]

    def send(self, command: str, **parameters: Any) -> Any:
        """Send a command of Chromium's domain `WebAuthn`, and return its result."""
        return self._session.send(f"WebAuthn.{command}", {"authenticatorId": self._id, **parameters})

    def wait_for_its_person(self, waits: bool) -> None:
        """Answer requests only later, or at once: a platform's authenticator answers the one for autofill, too."""
        self.send("setAutomaticPresenceSimulation", enabled=not waits)


def accessibility_violations(page: Page) -> list[str]:
    """Return what axe finds on a page: rules, and the elements that break them."""
    from axe_playwright_python.sync_playwright import Axe

    found: dict[str, Any] = Axe().run(page, options={"runOnly": list(AXE_TAGS), "resultTypes": ["violations"]}).response
    assert "color-contrast" in {rule["id"] for kind in ("passes", "violations") for rule in found[kind]}
    return [f"{rule['id']}: {node['html']}" for rule in found["violations"] for node in rule["nodes"]]
