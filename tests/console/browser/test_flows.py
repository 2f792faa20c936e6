"""Each flow of the sign-in pages in a browser: with JavaScript and without, in each language."""

from __future__ import annotations

import queue
from datetime import timedelta

import pytest
from starlette.responses import HTMLResponse

from tests.console.browser.chromium import OTHER_SITE
from tests.console.browser.visitor import NewVisitor, Visitor
from tests.console.site import ACCOUNT, NEW_PASSWORD, PASSWORD, Site
from tests.serving import serving

SESSIONS = ("/signin/sessions", "sessions")
ADA, ROOT = f"arn:aws:iam::{ACCOUNT}:user/ada", f"arn:aws:iam::{ACCOUNT}:root"


def document(visitor: Visitor) -> str:
    """Return what the application says to a person: the ARN, and whether a second factor was used."""
    visitor.open("/documents/7")
    return visitor.page.locator("body").inner_text()


# --- a password --------------------------------------------------------------------------------------------------


def test_user_signs_in_and_out(visitor: Visitor) -> None:
    """The browser then shows no page of the session again, with its button to go back neither."""
    visitor.open("/signin/")
    visitor.sign_in()
    visitor.expect(*SESSIONS)
    assert visitor.text["signed_in_as"].format(name="ada") in visitor.page.locator("main").inner_text()
    assert document(visitor) == f"{ADA} false"
    visitor.open("/signin/sessions")
    visitor.press("sign_out")
    assert visitor.status == visitor.text["signed_out"]
    visitor.page.go_back(wait_until="commit")  # a page from a cache does not load
    visitor.expect("/signin/", "as_user")
    document(visitor)
    visitor.expect("/signin/", "as_user")


def test_root_user_signs_in(visitor: Visitor) -> None:
    visitor.open("/signin/")
    visitor.follow("as_root")
    assert visitor.heading == visitor.text["as_root"]
    visitor.fill(email="root@acme.example", password=PASSWORD)
    visitor.press("sign_in")
    visitor.expect(*SESSIONS)
    assert document(visitor) == f"{ROOT} false"


def test_wrong_password_is_refused(visitor: Visitor) -> None:
    """What was typed is still there, but for the password."""
    visitor.open("/signin/")
    visitor.sign_in(password="wrong")
    assert visitor.alert == visitor.text["refused"]
    assert [visitor.field(key).input_value() for key in ("account", "username", "password")] == ["acme", "ada", ""]
    visitor.fill(password=PASSWORD)
    visitor.press("sign_in")
    visitor.expect(*SESSIONS)


def test_expired_form_is_shown_again(visitor: Visitor) -> None:
    """A second try works."""
    visitor.open("/signin/")
    visitor.forget_cookies()
    visitor.sign_in()
    assert visitor.alert == visitor.text["expired_form"]
    visitor.sign_in()
    visitor.expect(*SESSIONS)


@pytest.mark.parametrize("name", ["ada", "root"])
def test_browser_returns_to_the_requested_page(visitor: Visitor, site: Site, name: str) -> None:
    """Through each page of a sign-in."""
    visitor.open("/documents/7?a=b")
    visitor.expect("/signin/", "as_user")
    if name == "root":
        visitor.follow("as_root")
        visitor.fill(email="root@acme.example", password=PASSWORD)
        visitor.press("sign_in")
        assert visitor.page.url == f"{visitor.url}/documents/7?a=b"
        return
    visitor.sign_in()
    assert visitor.page.url == f"{visitor.url}/documents/7?a=b"
    recovery = visitor.enrol(site)
    site.require_new_password("ada")
    visitor.forget_cookies()
    visitor.open("/documents/7?a=b")
    visitor.sign_in()
    visitor.follow("use_recovery")
    visitor.fill(recovery=recovery[0])
    visitor.press("continue")
    visitor.fill(current_password=PASSWORD, new_password=NEW_PASSWORD)
    visitor.press("change_password")
    assert visitor.page.url == f"{visitor.url}/documents/7?a=b"


# --- a second factor ---------------------------------------------------------------------------------------------


def test_second_factor_is_added_and_asked_for(visitor: Visitor, site: Site) -> None:
    visitor.open("/signin/")
    visitor.sign_in()
    visitor.follow("factors")
    assert visitor.text["no_factors"] in visitor.page.locator("main").inner_text()
    visitor.press("new_factor")
    assert visitor.page.get_by_role("img", name=visitor.text["scan"]).is_visible()
    visitor.fill(first_code="000000", second_code="000001")
    visitor.press("continue")
    assert visitor.alert == visitor.text["wrong_codes"]
    recovery = visitor.enrol(site)
    assert len(set(recovery)) == 10
    assert document(visitor) == f"{ADA} true"
    visitor.open("/signin/sessions")
    visitor.press("sign_out")
    site.now += timedelta(minutes=2)
    visitor.open("/signin/")
    visitor.sign_in()
    visitor.expect("/signin/mfa", "second_factor")
    visitor.fill(mfa_code="000000")
    visitor.press("continue")
    assert visitor.alert == visitor.text["refused"]
    visitor.fill(mfa_code=site.code("ada"))
    visitor.press("continue")
    visitor.expect(*SESSIONS)
    assert document(visitor) == f"{ADA} true"


def test_recovery_code_is_used_once(visitor: Visitor, site: Site) -> None:
    """Typed in small letters, too."""
    visitor.open("/signin/")
    visitor.sign_in()
    recovery = visitor.enrol(site)
    visitor.forget_cookies()
    visitor.open("/signin/")
    visitor.sign_in()
    visitor.follow("use_recovery")
    visitor.expect("/signin/recovery", "use_recovery")
    visitor.fill(recovery=recovery[0].lower())
    visitor.press("continue")
    visitor.expect(*SESSIONS)
    visitor.forget_cookies()
    visitor.open("/signin/")
    visitor.sign_in()
    visitor.follow("use_recovery")
    visitor.fill(recovery=recovery[0])
    visitor.press("continue")
    assert visitor.alert == visitor.text["refused"]
    visitor.follow("second_factor")
    visitor.expect("/signin/mfa", "second_factor")


def test_factor_needs_permission(visitor: Visitor) -> None:
    visitor.open("/signin/")
    visitor.sign_in("bob")
    visitor.follow("factors")
    visitor.press("new_factor")
    assert visitor.alert == visitor.text["not_allowed"]


# --- a new password ----------------------------------------------------------------------------------------------


def test_password_is_changed_and_other_sessions_end(visitor: Visitor, new_visitor: NewVisitor) -> None:
    other = new_visitor()
    other.open("/signin/")
    other.sign_in()
    visitor.open("/signin/")
    visitor.sign_in()
    visitor.follow("change_password")
    visitor.fill(current_password="wrong", new_password=NEW_PASSWORD)
    visitor.press("change_password")
    assert visitor.alert == visitor.text["refused"]
    visitor.fill(current_password=PASSWORD, new_password=NEW_PASSWORD)
    visitor.press("change_password")
    visitor.expect(*SESSIONS)
    assert document(visitor) == f"{ADA} false"
    other.open("/signin/sessions")
    other.expect("/signin/", "as_user")
    other.sign_in(password=NEW_PASSWORD)
    other.expect(*SESSIONS)


def test_reset_password_must_be_changed_first(visitor: Visitor, site: Site) -> None:
    site.require_new_password("bob")
    visitor.open("/signin/")
    visitor.sign_in("bob")
    visitor.expect("/signin/password", "change_password")
    assert visitor.status == visitor.text["must_change"]
    visitor.open("/signin/sessions")
    visitor.expect("/signin/", "as_user")
    visitor.open("/signin/password")
    visitor.fill(current_password=PASSWORD, new_password="short")
    visitor.press("change_password")
    assert "length" in visitor.alert
    visitor.fill(current_password=PASSWORD, new_password=NEW_PASSWORD)
    visitor.press("change_password")
    visitor.expect(*SESSIONS)


def test_password_change_needs_permission(visitor: Visitor) -> None:
    visitor.open("/signin/")
    visitor.sign_in("bob")
    visitor.follow("change_password")
    assert visitor.alert == visitor.text["not_allowed"]


def test_forgotten_password_is_replaced(visitor: Visitor, sent: queue.Queue[str]) -> None:
    visitor.open("/signin/")
    visitor.follow("as_root")
    visitor.follow("forgot")
    visitor.fill(email="root@acme.example")
    visitor.press("continue")
    assert visitor.status == visitor.text["reset_sent"]
    link = sent.get(timeout=60)
    visitor.open(link)
    visitor.fill(new_password=NEW_PASSWORD)
    visitor.press("change_password")
    visitor.expect("/signin/", "as_user")
    visitor.follow("as_root")
    visitor.fill(email="root@acme.example", password=NEW_PASSWORD)
    visitor.press("sign_in")
    assert document(visitor) == f"{ROOT} false"
    visitor.open(link)
    visitor.fill(new_password=PASSWORD)
    visitor.press("change_password")
    assert visitor.alert == visitor.text["reset_over"]


# --- sessions ----------------------------------------------------------------------------------------------------


def test_other_session_is_ended(visitor: Visitor, new_visitor: NewVisitor, site: Site) -> None:
    """The list has the latest session first."""
    other = new_visitor()
    other.open("/signin/")
    other.sign_in()
    site.now += timedelta(minutes=1)
    visitor.open("/signin/")
    visitor.sign_in()
    rows = visitor.page.locator("tbody tr")
    assert rows.count() == 2
    foreign = rows.filter(has_not_text=visitor.text["this_session"])
    with visitor.page.expect_navigation():
        foreign.get_by_role("button").click()
    assert rows.count() == 1
    other.open("/signin/sessions")
    other.expect("/signin/", "as_user")
    assert document(visitor) == f"{ADA} false"


# --- other sites -------------------------------------------------------------------------------------------------


def test_plain_http_elsewhere_has_no_form(visitor: Visitor) -> None:
    visitor.open(f"{visitor.url.replace('localhost', OTHER_SITE)}/signin/")
    assert visitor.alert == visitor.text["needs_https"]
    assert visitor.page.locator("form").count() == 0


def test_form_of_another_site_is_refused(new_visitor: NewVisitor) -> None:
    """With the token of this browser's form, too: the browser sends no cookie with it, and says where it is from."""
    visitor = new_visitor()
    visitor.open("/signin/")
    token = visitor.page.locator("form input[name=csrf_token]").first.input_value()
    fields = {"csrf_token": token, "account": "acme", "username": "ada", "password": PASSWORD}
    inputs = "".join(f"<input type=hidden name='{name}' value='{value}'>" for name, value in fields.items())
    form = f"<form method=post action='{visitor.url}/signin/'>{inputs}<button>Win</button></form>"
    with serving(HTMLResponse(f"<!doctype html><html lang=en><title>Other</title>{form}")) as other:
        visitor.open(other.replace("127.0.0.1", OTHER_SITE))
        visitor.page.get_by_role("button").click()
        visitor.expect("/signin/", "as_user")
        assert visitor.alert == visitor.text["expired_form"]
