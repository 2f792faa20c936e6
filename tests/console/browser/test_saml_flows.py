"""Sign-on by SAML in a browser, with an identity provider at another site: with JavaScript and without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from tests.authn.saml.xml_signer import Encryption, key_pair
from tests.console.browser.identity_server import PASSWORD, IdentityServer, LateApp, identity_server, signer_of
from tests.console.browser.visitor import BROWSERS, BrowserOptions, NewVisitor, Visitor
from tests.console.company import OTHER, Company, request_of, role_arn, session_arn
from tests.console.site import Site
from tests.serving import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture
def idp() -> Iterator[IdentityServer]:
    with identity_server() as server:
        yield server


@pytest.fixture
def new_visitor(chromium: Browser, idp: IdentityServer, tmp_path: Path) -> Iterator[NewVisitor]:
    """Return a function that opens a browser window at a site with a company; Chromium must not complain."""
    visitors: list[Visitor] = []
    late = LateApp()
    with serving(late) as url, ExitStack() as windows:
        site_url = url.replace("127.0.0.1", "localhost")
        site = Site(tmp_path, site_url=site_url)
        windows.callback(site.guard.close)
        late.app = site.app
        idp.company = Company(site, signer_of(idp))

        def open_window(options: BrowserOptions = BrowserOptions()) -> Visitor:
            visitor = Visitor(chromium, site_url, options)
            windows.callback(visitor.close)
            visitors.append(visitor)
            return visitor

        yield open_window
    complaints = [complaint for visitor in visitors for complaint in visitor.complaints]
    assert not complaints, "\n".join(complaints)


@pytest.fixture(params=[pytest.param(options, id=name) for name, options in BROWSERS.items()])
def visitor(new_visitor: NewVisitor, request: pytest.FixtureRequest) -> Visitor:
    return new_visitor(request.param)


@pytest.fixture
def company(visitor: Visitor, idp: IdentityServer) -> Company:
    assert idp.company is not None
    return idp.company


def begin(visitor: Visitor, company: Company, next: str = "/documents/7") -> None:
    """Go to the identity provider from here."""
    visitor.open(f"/signin/saml/start?{urlencode({'provider': company.sign_on.id, 'next': next})}")


def log_in(visitor: Visitor) -> None:
    """Log in at the identity provider, and press the button of the page with the response."""
    visitor.page.get_by_label("Name").fill("ada")
    visitor.page.get_by_label("Password").fill(PASSWORD)
    for button in ("Log in", "Go on"):
        with visitor.page.expect_navigation():
            visitor.page.get_by_role("button", name=button).click()


def press(visitor: Visitor, key: str, name: str = "ada@example.com") -> None:
    with visitor.page.expect_navigation():
        visitor.page.get_by_role("button", name=visitor.text[key].format(name=name), exact=True).click()


def caller(visitor: Visitor) -> str:
    """Return who the application says that the person is; empty if it sends it to sign in."""
    visitor.open("/documents/7")
    return visitor.page.locator("body").inner_text().split()[0] if visitor.path == "/documents/7" else ""


def test_person_signs_in_from_here(visitor: Visitor, company: Company, idp: IdentityServer) -> None:
    """By the page for the account, which goes on to its only identity provider; then to the page that was asked for."""
    visitor.open("/signin/company?account=acme&next=%2Fdocuments%2F7%3Fa%3Db")
    visitor.page.wait_for_url(f"{idp.url}/sso?**")
    log_in(visitor)
    assert visitor.page.url == f"{visitor.url}/documents/7?a=b"
    assert caller(visitor) == session_arn()


def test_person_chooses_a_role_of_an_encrypted_response(
    visitor: Visitor, company: Company, idp: IdentityServer
) -> None:
    receiver = key_pair("rsa", "receiver")
    company.add_key(receiver.pem)
    company.add_key(receiver.pem, OTHER)
    idp.roles = (role_arn(), role_arn("writer"), role_arn(account=OTHER))
    idp.changes = {"encryption": Encryption(key=receiver)}
    begin(visitor, company)
    log_in(visitor)
    visitor.expect("/signin/continue", "sign_in")
    group = visitor.page.get_by_role("group", name=visitor.text["account_of"].format(account=OTHER))
    with visitor.page.expect_navigation():
        group.get_by_role("button", name="reader").click()
    assert visitor.page.url == f"{visitor.url}/documents/7"
    assert caller(visitor) == session_arn(account=OTHER)


def test_person_confirms_what_began_elsewhere(visitor: Visitor, company: Company, idp: IdentityServer) -> None:
    """A link of the company's portal can lead on to a page of this site."""
    idp.relay_state = "/documents/7?a=b"
    visitor.open(f"{idp.url}/portal")
    log_in(visitor)
    visitor.expect("/signin/continue", "sign_in")
    shown = visitor.page.locator("main").inner_text()
    assert visitor.text["continue_unasked"] in shown
    press(visitor, "continue_as")
    assert visitor.page.url == f"{visitor.url}/documents/7?a=b"
    assert caller(visitor) == session_arn()


def test_response_to_another_browser_is_refused(
    visitor: Visitor, new_visitor: NewVisitor, company: Company, idp: IdentityServer
) -> None:
    """The page of an attacker posts the response to the attacker's own request; the victim is not signed in."""
    attacker = new_visitor()
    begin(attacker, company)
    request = attacker.page.url
    begin(visitor, company)
    visitor.open(f"{idp.url}/response?request={request_of(request).attributes['ID']}")
    with visitor.page.expect_navigation():
        visitor.page.get_by_role("button", name="Go on").click()
    assert visitor.alert == visitor.text["sign_on_refused"]
    assert caller(visitor) == ""
    assert "of this browser" in company.refusals()[-1]


def test_copy_of_a_response_is_refused(visitor: Visitor, company: Company, idp: IdentityServer) -> None:
    """By the button "back", at the page of the identity provider; the session stays."""
    idp.relay_state = "/documents/7"
    visitor.open(f"{idp.url}/portal")
    log_in(visitor)
    press(visitor, "continue_as")
    assert visitor.path == "/documents/7"
    visitor.page.go_back()
    visitor.expect("/signin/continue", "sign_in")
    assert visitor.alert == visitor.text["sign_on_refused"]
    visitor.page.go_back(wait_until="commit")
    with visitor.page.expect_navigation():
        visitor.page.get_by_role("button", name="Go on").click()
    press(visitor, "continue_as")
    assert visitor.alert == visitor.text["sign_on_refused"]
    assert company.refusals() == ["The sign-in has been used before."]
    assert caller(visitor) == session_arn()


def test_second_tab_signs_in_and_the_first_does_not(visitor: Visitor, company: Company) -> None:
    begin(visitor, company)
    first = visitor.page
    second = first.context.new_page()
    visitor.page = second
    begin(visitor, company)
    visitor.page = first
    log_in(visitor)
    assert visitor.alert == visitor.text["sign_on_refused"]
    visitor.page = second
    log_in(visitor)
    assert visitor.path == "/documents/7"
    assert caller(visitor) == session_arn()


def test_session_has_a_new_cookie(visitor: Visitor, company: Company) -> None:
    """Not the one that an attacker may have set before."""
    visitor.page.context.add_cookies([{"name": "iam-guard-dev", "value": "A" * 43, "url": visitor.url}])
    begin(visitor, company)
    log_in(visitor)
    values = [cookie["value"] for cookie in visitor.page.context.cookies() if cookie["name"] == "iam-guard-dev"]
    assert len(values) == 1
    assert values[0] != "A" * 43
    assert caller(visitor) == session_arn()
