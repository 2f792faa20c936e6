"""Sign-on by OIDC in a browser, with a provider on another site: with JavaScript and without, in each language."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.authn.people.oidc_provider import CLIENT, Answer, OidcProvider, serving_provider
from tests.console.browser.chromium import accessibility_violations
from tests.console.browser.visitor import BROWSERS, BrowserOptions, Visitor
from tests.console.oidc_site import ACCOUNT, OidcSite
from tests.serving import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser

READER = f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/ann-1"
WRITER = f"arn:aws:sts::{ACCOUNT}:assumed-role/writer/ann-1"


class Company:
    """A site, the provider of a company, and a visitor's browser."""

    def __init__(self, folder: Path, chromium: Browser, options: BrowserOptions, stack: ExitStack) -> None:
        self.options = options
        self.provider = stack.enter_context(serving_provider(OidcProvider()))
        self.url = stack.enter_context(serving(self._answer, interface="asgi3")).replace("127.0.0.1", "localhost")
        self.site = OidcSite(folder, self.provider, site_url=self.url)
        stack.callback(self.site.guard.close)
        self.provider.clients[CLIENT].logout_uri = f"{self.url}/signin/oidc/logout"
        self.visitor = Visitor(chromium, self.url, options)
        stack.callback(self.visitor.close)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        await self.site.app(scope, receive, send)

    def go_to_provider(self, path: str) -> None:
        """Begin on the page of the site for companies."""
        self.visitor.open(path)
        self.visitor.follow("as_company")
        self.visitor.fill(account="acme")
        self.visitor.press("continue")
        self.visitor.page.wait_for_url(f"{self.provider.address}/**")

    def sign_in_there(self, name: str = "ann") -> None:
        """Fill in the form of the provider."""
        assert self.visitor.heading == "Example Corp"
        self.visitor.page.get_by_label("Name").fill(name)
        with self.visitor.page.expect_navigation(url=f"{self.url}/**"):
            self.visitor.page.get_by_role("button", name="Sign in").click()

    def check_accessibility(self) -> None:
        """Check the page that is open; axe is a script."""
        if self.options.javascript:
            assert accessibility_violations(self.visitor.page) == []

    def caller(self) -> str:
        self.visitor.open("/documents/7")
        return self.visitor.page.locator("body").inner_text()


@pytest.fixture(params=[pytest.param(options, id=name) for name, options in BROWSERS.items()])
def company(tmp_path: Path, chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Company]:
    with ExitStack() as stack:
        made = Company(tmp_path, chromium, request.param, stack)
        yield made
        made.visitor.page.evaluate("null")
        assert not made.visitor.complaints, "\n".join(made.visitor.complaints)


def test_person_signs_in_with_the_company_and_out(company: Company) -> None:
    """From a page of the application, to the provider and back to that page; then out, there too, and back."""
    visitor = company.visitor
    company.go_to_provider("/documents/7")
    company.sign_in_there()
    assert visitor.path == "/documents/7"
    assert company.caller() == f"{READER} None"
    visitor.open("/signin/sessions")
    visitor.press("sign_out")
    visitor.follow("sign_out_at_provider")
    assert visitor.path == "/signin/"
    assert company.provider.signed_in == ""
    assert company.provider.last("logout").params["id_token_hint"].count(".") == 2
    assert "assumed-role" not in company.caller()


def test_person_chooses_one_of_several_roles(company: Company) -> None:
    company.provider.claims = {"groups": ["writers"]}
    visitor = company.visitor
    company.go_to_provider("/signin/")
    company.sign_in_there()
    assert visitor.path == "/signin/continue"
    assert "ann@corp.example" in visitor.page.locator("main").inner_text()
    with visitor.page.expect_navigation():
        visitor.page.get_by_role("button", name="team/writer").click()
    visitor.expect("/signin/sessions", "sessions")
    assert company.caller() == f"{WRITER} None"


def test_provider_ends_the_session(company: Company) -> None:
    """By a logout token, whether the browser does anything or not."""
    company.go_to_provider("/signin/")
    company.sign_in_there()
    assert company.caller() == f"{READER} None"
    assert company.provider.send_logout(company.provider.logout_token()) == 200
    assert "assumed-role" not in company.caller()


def test_refusal_shows_no_reason(company: Company) -> None:
    """The person who is refused by the provider comes back to a page from which it can start again."""
    visitor = company.visitor
    company.go_to_provider("/signin/")
    company.sign_in_there("mallory")
    assert visitor.alert == visitor.text["sign_on_refused"]
    assert company.site.reasons() == ["the provider answered with `access_denied`"]
    company.check_accessibility()


def test_address_to_register_is_shown(company: Company) -> None:
    """Of a sign-on provider of an earlier store, whose provider does not name itself in its answers."""
    visitor, entry = company.visitor, company.site.entry
    company.site.share_redirect(entry)
    company.provider.document = {"authorization_response_iss_parameter_supported": None}
    visitor.open(f"/signin/oidc/start?provider={entry.id}")
    assert visitor.alert == visitor.text["own_redirect"]
    assert f"{company.url}/signin/oidc/callback/{entry.id}" in visitor.page.locator("main").inner_text()
    company.check_accessibility()


def test_link_of_another_site_needs_a_click(company: Company) -> None:
    """The page says where it leads; without it, a link could sign a browser in to an account of an attacker."""
    visitor, url = (
        company.visitor,
        f"{company.url}/signin/oidc/start?provider={company.site.entry.id}&next=/documents/7",
    )
    links = f'<!doctype html><html lang="en"><title>Portal</title><a href="{url}">Portal</a></html>'
    company.provider.bodies["portal"] = Answer(200, links.encode(), {"content-type": "text/html"})
    company.provider.signed_in = "ann"  # whose provider asks for nothing
    visitor.open(f"{company.provider.address}/portal")
    with visitor.page.expect_navigation():
        visitor.page.get_by_role("link", name="Portal").click()
    assert visitor.path == "/signin/oidc/start"
    assert urlsplit(company.provider.issuer).hostname in visitor.page.locator("main").inner_text()
    company.check_accessibility()
    visitor.follow("continue")
    assert visitor.path == "/documents/7"
    assert company.caller() == f"{READER} None"
