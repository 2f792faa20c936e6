"""Every page, in each of its states, as people see it: contrast, labels, keyboard, narrow windows, forced colours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

import pytest
from starlette.routing import Route

from iam_guard.authn.people.sessions.tool_sessions import SAME_DEVICE
from iam_guard.authn.tokens.session_cookie import DEVELOPMENT_COOKIE
from iam_guard.console.continue_pages import received_cookie
from iam_guard.model.request import Call
from tests.authn.people.sign_on_world import SAML, add_identity_providers
from tests.console.browser.chromium import OTHER_SITE, Authenticator, accessibility_violations
from tests.console.browser.visitor import NewVisitor, Visitor
from tests.console.company import OTHER, Company, attributes, role_arn
from tests.console.federation_link import federation_link
from tests.console.site import ACCOUNT, NEW_PASSWORD, PASSWORD, Site

if TYPE_CHECKING:
    from playwright.sync_api import Page


# --- the states of the pages -------------------------------------------------------------------------------------


def user_form(visitor: Visitor, site: Site) -> None:
    visitor.open("/signin/")


def root_form(visitor: Visitor, site: Site) -> None:
    visitor.open("/signin/?type=root")


def refused(visitor: Visitor, site: Site) -> None:
    visitor.open("/signin/")
    visitor.sign_in(password="wrong")


def unencrypted(visitor: Visitor, site: Site) -> None:
    visitor.open(f"{visitor.url.replace('localhost', OTHER_SITE)}/signin/")


def code_form(visitor: Visitor, site: Site) -> None:
    recovery_codes(visitor, site)
    visitor.open("/signin/mfa")


def refused_code(visitor: Visitor, site: Site) -> None:
    code_form(visitor, site)
    visitor.fill(mfa_code="000000")
    visitor.press("continue")


def recovery_form(visitor: Visitor, site: Site) -> None:
    signed_in(visitor, site)
    visitor.open("/signin/recovery")


def password_form(visitor: Visitor, site: Site) -> None:
    signed_in(visitor, site)
    visitor.open("/signin/password")


def forced_change(visitor: Visitor, site: Site) -> None:
    site.require_new_password("ada")
    signed_in(visitor, site)


def weak_password(visitor: Visitor, site: Site) -> None:
    password_form(visitor, site)
    visitor.fill(current_password=PASSWORD, new_password="short")
    visitor.press("change_password")


def not_allowed(visitor: Visitor, site: Site) -> None:
    signed_in(visitor, site, "bob")
    visitor.open("/signin/password")


def signed_in(visitor: Visitor, site: Site, name: str = "ada") -> None:
    visitor.open("/signin/")
    visitor.sign_in(name)


def several_sessions(visitor: Visitor, site: Site) -> None:
    """With the longest name of a browser, without a space."""
    site.browser.headers["user-agent"] = "Mozilla/5.0" * 60
    site.sign_in()
    signed_in(visitor, site)


def no_factors(visitor: Visitor, site: Site) -> None:
    signed_in(visitor, site)
    visitor.open("/signin/factors")


def new_device(visitor: Visitor, site: Site) -> None:
    no_factors(visitor, site)
    visitor.press("new_factor")


def wrong_codes(visitor: Visitor, site: Site) -> None:
    new_device(visitor, site)
    visitor.fill(first_code="000000", second_code="000001")
    visitor.press("continue")


def recovery_codes(visitor: Visitor, site: Site) -> None:
    signed_in(visitor, site)
    visitor.enrol(site)


def registered_keys(visitor: Visitor, site: Site) -> None:
    """With the longest name of a key."""
    signed_in(visitor, site)
    Authenticator(visitor.page)
    visitor.add_key("K" * 64, "new_passkey")
    visitor.page.get_by_role("cell", name="K" * 64, exact=True).wait_for()
    visitor.open("/signin/factors")


def key_prompt(visitor: Visitor, site: Site) -> None:
    registered_keys(visitor, site)
    visitor.open("/signin/mfa")


def role_form(visitor: Visitor, site: Site) -> None:
    signed_in(visitor, site)
    visitor.open("/signin/switchrole?account=acme&roleName=other")


def refused_role(visitor: Visitor, site: Site) -> None:
    role_form(visitor, site)
    visitor.press("switch_role")


def in_role(visitor: Visitor, site: Site) -> None:
    role_form(visitor, site)
    visitor.fill(role="auditor")
    visitor.press("switch_role")


def page_not_for_a_role(visitor: Visitor, site: Site) -> None:
    in_role(visitor, site)
    visitor.open("/signin/password")


def no_role_for_root(visitor: Visitor, site: Site) -> None:
    visitor.open("/signin/?type=root")
    visitor.fill(email="root@acme.example", password=PASSWORD)
    visitor.press("sign_in")
    visitor.open("/signin/switchrole")


def link_page(visitor: Visitor, site: Site) -> None:
    visitor.open(federation_link(site, ""))


def refused_link(visitor: Visitor, site: Site) -> None:
    visitor.open("/signin/federation?Action=login&SigninToken=x")


def by_link(visitor: Visitor, site: Site) -> None:
    link_page(visitor, site)
    visitor.press("continue_as", name="ada@acme")


def sign_out_link(visitor: Visitor, site: Site) -> None:
    by_link(visitor, site)
    visitor.open("/signin/federation?Action=logout")


def page_for_people(visitor: Visitor, site: Site) -> None:
    by_link(visitor, site)
    visitor.open("/signin/mfa?next=/documents/7")


def no_role_for_federated(visitor: Visitor, site: Site) -> None:
    by_link(visitor, site)
    visitor.open("/signin/switchrole")


def reset_form(visitor: Visitor, site: Site) -> None:
    visitor.open(site.reset_link("bob"))


def reset_over(visitor: Visitor, site: Site) -> None:
    visitor.open("/signin/reset?token=over")
    visitor.fill(new_password=NEW_PASSWORD)
    visitor.press("change_password")


def forgot_form(visitor: Visitor, site: Site) -> None:
    visitor.open("/signin/forgot")


def reset_sent(visitor: Visitor, site: Site) -> None:
    forgot_form(visitor, site)
    visitor.fill(email="eve@acme.example")
    visitor.press("continue")


def company_form(visitor: Visitor, site: Site) -> None:
    company(visitor, site)
    visitor.follow("as_company")


def company_choice(visitor: Visitor, site: Site) -> None:
    """With the longest name, without a space."""
    company(visitor, site)
    add_identity_providers(site.store)
    for name in ("Acme Staff", "W" * 64):
        site.guard.people.sign_on_providers.add(ACCOUNT, name, SAML)
    company_form(visitor, site)
    visitor.fill(account="acme")
    visitor.press("continue")


def no_company(visitor: Visitor, site: Site) -> None:
    company_form(visitor, site)
    visitor.fill(account="acme")
    visitor.press("continue")


def company(visitor: Visitor, site: Site) -> None:
    """Let the site that is open be the one of the settings."""
    site.guard.settings = replace(site.guard.settings, site_url=visitor.url)
    visitor.open("/signin/")


def signed_out(visitor: Visitor, site: Site) -> None:
    signed_in(visitor, site)
    visitor.press("sign_out")


def unasked_response(visitor: Visitor, site: Site) -> None:
    """Of the person with the longest name, for one role."""
    received_response(visitor, site, attributes(role_arn(), RoleSessionName="n" * 64))


def choice_of_roles(visitor: Visitor, site: Site) -> None:
    """In two accounts, and in place of a session."""
    signed_in(visitor, site)
    roles = [role_arn(), role_arn("r" * 64), role_arn(account=OTHER)]
    received_response(visitor, site, attributes(*roles))


def received_response(visitor: Visitor, site: Site, values: dict[str, tuple[str, ...]]) -> None:
    company = Company(site)
    token = site.guard.people.saml_sign_on.receive(company.response(attributes=values)).token
    assert token is not None
    name, value = received_cookie(Call("1"), token).partition(";")[0].split("=")
    visitor.page.context.add_cookies([{"name": name, "value": value, "url": visitor.url}])
    visitor.open(f"/signin/continue?pending={token}")


def tool_form(visitor: Visitor, site: Site) -> None:
    signed_in(visitor, site)
    terms = {
        "client_id": SAME_DEVICE,
        "redirect_uri": "http://127.0.0.1:7777/oauth/callback",
        "code_challenge": "c" * 43,
    }
    terms |= {"response_type": "code", "state": "s", "scope": "openid", "code_challenge_method": "SHA-256"}
    visitor.open(f"/signin/v1/authorize?{urlencode(terms)}")


def no_tool(visitor: Visitor, site: Site) -> None:
    visitor.open("/signin/v1/authorize")


def tool_code(visitor: Visitor, site: Site) -> None:
    """With the longest code."""
    visitor.open(f"/signin/v1/sessions/confirmation?state=s&code={'c' * 512}")


def sign_on_over(visitor: Visitor, site: Site) -> None:
    visitor.open("/signin/continue?pending=over")


def session_over(visitor: Visitor, site: Site) -> None:
    """A cookie whose session has ended."""
    visitor.page.context.add_cookies([{"name": DEVELOPMENT_COOKIE, "value": "A" * 43, "url": visitor.url}])
    visitor.open("/documents/7")


def no_access(visitor: Visitor, site: Site) -> None:
    signed_in(visitor, site, "bob")
    visitor.open("/documents/7")


def not_found(visitor: Visitor, site: Site) -> None:
    visitor.open("/concealed/7")


PAGES = {
    "/": (user_form, root_form, refused, unencrypted, session_over),
    "/mfa": (code_form, refused_code, key_prompt),
    "/recovery": (recovery_form,),
    "/password": (password_form, forced_change, weak_password, not_allowed),
    "/federation": (link_page, refused_link, sign_out_link),
    "/sessions": (signed_in, several_sessions, in_role, by_link, page_for_people),
    "/factors": (no_factors, new_device, wrong_codes, recovery_codes, registered_keys),
    "/switchrole": (role_form, refused_role, no_role_for_root, no_role_for_federated),
    "/exit": (page_not_for_a_role,),
    "/reset": (reset_form, reset_over),
    "/forgot": (forgot_form, reset_sent),
    "/out": (signed_out,),
    "/company": (company_form, company_choice, no_company),
    "/v1/authorize": (tool_form, no_tool),
    "/v1/sessions/confirmation": (tool_code,),
    "/continue": (unasked_response, choice_of_roles, sign_on_over),
}
"""Path of a page -> what leads to each of its states."""
NO_PAGES = {"/style.css", "/passkeys.js", "/passkey", "/mfa/passkey", "/factors/passkey", "/factors/remove"} | {
    "/saml/start",
    "/saml/metadata",
}
"""Files, and paths of forms that answer with the pages above: `test_passkeys` has their flows."""
REFUSALS = {"/documents/7": no_access, "/concealed/7": not_found}
"""Path of a guarded route -> what leads to the page that a browser gets instead of a problem document."""
LEADS_TO = [(f"/signin{path}", state) for path, states in PAGES.items() for state in states]
STATES = [pytest.param(path, state, id=state.__name__) for path, state in (*LEADS_TO, *REFUSALS.items())]


def test_every_page_is_known(site: Site) -> None:
    """A new page gets its states in the table above."""
    routes = [route for route in site.pages.routes if isinstance(route, Route)]
    assert len(routes) == len(site.pages.routes)
    assert {route.path for route in routes if "GET" in (route.methods or ())} - NO_PAGES == set(PAGES)


# --- what holds for each -----------------------------------------------------------------------------------------

SCHEMES: tuple[tuple[Literal["light", "dark"], int], ...] = (("light", 1280), ("dark", 390))
"""Colour schemes, and the widths of their windows."""
FOCUSABLE = "input:not([type=hidden]):not([hidden]), button, a[href], [tabindex='0']"
FOCUSED = """() => {
    const element = document.activeElement, style = getComputedStyle(element), box = element.getBoundingClientRect();
    return {
        element: element.outerHTML,
        outlined: style.outlineStyle === "solid" && parseFloat(style.outlineWidth) >= 2,
        visible: box.top < innerHeight - 1 && box.bottom > 1 && box.width > 0,
    };
}"""
OVERFLOWING = "all => all.filter(element => element.scrollWidth > element.clientWidth).map(element => element.tagName)"
UNBORDERED = """elements => elements.filter(element => {
    const style = getComputedStyle(element);
    return style.borderTopStyle === "none" || style.borderTopColor === style.backgroundColor;
}).map(element => element.outerHTML)"""


def keyboard_walk(page: Page) -> list[dict[str, Any]]:
    """Press the Tab key once for each element that takes input, and return what had the focus."""
    page.evaluate("document.activeElement.blur()")
    walk = []
    for _ in range(page.locator(FOCUSABLE).count()):
        page.keyboard.press("Tab")
        walk.append(page.evaluate(FOCUSED))
    return walk


@pytest.mark.parametrize(("path", "state"), STATES)
def test_page_is_accessible(new_visitor: NewVisitor, site: Site, path: str, state: Any) -> None:
    visitor = new_visitor()
    page = visitor.page
    state(visitor, site)
    assert visitor.path == path
    for scheme, width in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 800})
        assert accessibility_violations(page) == [], (scheme, width)
        assert page.locator("html, main").evaluate_all(OVERFLOWING) == [], (scheme, width)

    page.set_viewport_size({"width": 320, "height": 480})
    assert page.locator("html, main").evaluate_all(OVERFLOWING) == []
    walk = keyboard_walk(page)
    assert [step["element"] for step in walk] == page.locator(FOCUSABLE).evaluate_all(
        "all => all.map(e => e.outerHTML)"
    )
    assert [step for step in walk if not step["outlined"] or not step["visible"]] == []

    page.emulate_media(forced_colors="active", reduced_motion="reduce")
    assert page.evaluate("matchMedia('(forced-colors: active)').matches")
    assert (
        page.locator("input:not([type=checkbox]):visible, button:visible, .wrong:visible").evaluate_all(UNBORDERED)
        == []
    )
    assert page.evaluate("document.getAnimations().length") == 0


def test_sign_in_by_keyboard_alone(new_visitor: NewVisitor) -> None:
    """The Tab key, text and the Enter key."""
    visitor = new_visitor()
    visitor.open("/signin/")
    keyboard = visitor.page.keyboard
    for typed in ("acme", "ada", PASSWORD):
        keyboard.press("Tab")
        keyboard.type(typed)
    with visitor.page.expect_navigation():
        keyboard.press("Enter")
    visitor.expect("/signin/sessions", "sessions")
