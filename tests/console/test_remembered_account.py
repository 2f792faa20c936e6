"""The account that a browser remembers: chosen by a checkbox, filled in at the next visit, and trusted with nothing."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iam_guard.authn.people.sign_in import TypedName
from iam_guard.console.remembered_account import remembered_fields, remembered_value
from tests.console.site import ACCOUNT, PASSWORD, Site
from tests.tables import table

COOKIE = "iam-guard-dev-account"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.guard.close()


def filled_in(page: Any) -> dict[str, str]:
    """Return the values of the visible fields of a form, and whether the box is ticked."""
    fields = dict(re.findall(r'<input id="(\w+)"[^>]* value="([^"]+)"', page.text))
    return fields | ({"remember": "on"} if re.search(r'name="remember"[^>]* checked', page.text) else {})


def encoded(text: str | bytes) -> str:
    raw = text.encode() if isinstance(text, str) else text
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def test_account_is_filled_in_until_it_is_forgotten(site: Site) -> None:
    assert filled_in(site.browser.get("/signin/")) == {}
    site.sign_in()
    assert COOKIE not in site.browser.cookies
    site.sign_in(remember="on")
    site.send("/signin/out")
    assert filled_in(site.browser.get("/signin/")) == {"account": "acme", "username": "ada", "remember": "on"}
    site.sign_in()  # without the tick
    assert COOKIE not in site.browser.cookies
    assert filled_in(site.browser.get("/signin/")) == {}


def test_root_user_is_remembered_with_its_page(site: Site) -> None:
    """The other page is a link away, and empty."""
    fields = {"email": "Root@acme.example", "password": PASSWORD, "remember": "on"}
    assert site.send("/signin/?type=root", **fields).status_code == 303
    for path in ("/signin/", "/signin/?type=root"):
        assert filled_in(site.browser.get(path)) == {"email": "Root@acme.example", "remember": "on"}
    page = site.browser.get("/signin/?next=/documents/7")
    assert 'href="/signin/?type=user&amp;next=%2Fdocuments%2F7"' in page.text
    assert 'action="/signin/?type=root"' in page.text
    other = site.browser.get("/signin/?type=user")
    assert 'name="username"' in other.text
    assert filled_in(other) == {}
    assert site.sign_in(path="/signin/?type=user").status_code == 303


def test_cookie_does_not_choose_who_signs_in(site: Site) -> None:
    """The form does: a planted cookie does not turn it into another one."""
    site.browser.cookies.set(COOKIE, encoded("root:root@acme.example"), domain="localhost.local")
    page = site.browser.get("/signin/?type=user")
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    fields = {"csrf_token": token, "account": "acme", "username": "ada", "password": PASSWORD}
    assert site.browser.post("/signin/", data=fields).status_code == 303
    assert site.browser.get("/documents/7").text.startswith(f"arn:aws:iam::{ACCOUNT}:user/ada")


def test_refused_sign_in_remembers_nothing(site: Site) -> None:
    """Else the cookie would tell a right name from a wrong one; what was typed stays in the form."""
    for name in ("ada", "eve"):
        page = site.sign_in(name, "wrong", remember="on")
        assert COOKIE not in page.headers.get("set-cookie", "")
        assert filled_in(page) == {"account": "acme", "username": name, "remember": "on"}


def test_expired_form_is_filled_in(site: Site) -> None:
    site.sign_in(remember="on")
    site.send("/signin/out")
    page = site.browser.post("/signin/", data={"account": "other"})
    assert (page.status_code, filled_in(page)["account"]) == (400, "acme")


def test_cookie_is_of_the_host_alone(site: Site) -> None:
    """Over TLS: no sibling domain can plant it, and no script reads it."""
    browser = site.new_browser("https://app.example")
    answer = site.send("/signin/", browser, account="acme", username="ada", password=PASSWORD, remember="on")
    [header] = [value for value in answer.headers.get_list("set-cookie") if "-account=" in value]
    name, _, rest = header.partition("=")
    assert name == "__Host-iam-guard-account"
    attributes = {part.strip() for part in rest.split(";")[1:]}
    assert attributes == {"Path=/", "HttpOnly", "SameSite=Lax", "Secure", "Max-Age=34560000"}
    planted = site.new_browser("https://app.example")
    planted.cookies.set(COOKIE, encoded("user:acme:eve"))
    planted.cookies.set("iam-guard-account", encoded("user:acme:eve"))
    assert filled_in(planted.get("/signin/")) == {}


@table(
    "value",
    [
        "",
        "x",
        "=",
        "####",
        "A" * 5_000,
        encoded("user:acme:" + "a" * 129),
        encoded("root:" + "a" * 250 + "@acme.example"),
        encoded('user:acme:"><script>alert(1)</script>'),
        encoded("user:ac me:ada"),
        encoded("user:acme:ada\n"),
        encoded("user:ACME:ada"),
        encoded("user:acme:"),
        encoded("user:acme"),
        encoded("user::ada"),
        encoded("user:acme:ada:more"),
        encoded("root:acme.example"),
        encoded("root:a@b\x00"),
        encoded("root:a@b\x1b[0m"),
        encoded("admin:acme:ada"),
        encoded(b"user:acme:\xff"),
        encoded("user:acme:ada") + "!",
        encoded("user:acme:ada")[:8] + "!!!!" + encoded("user:acme:ada")[8:],
        encoded("user:acme:ada") + "\n",
        "%22%3E",
    ],
)
def test_value_of_another_form_fills_in_nothing(value: str) -> None:
    assert remembered_fields(value) == {}


def test_address_with_markup_is_escaped(site: Site) -> None:
    """It may be one of an account: only its form is checked."""
    site.browser.cookies.set(COOKIE, encoded('root:"><script>@acme.example'), domain="localhost.local")
    assert "<script>" not in site.browser.get("/signin/").text


@table(
    ("typed", "fields"),
    [
        (TypedName(account=" Acme ", username="ada"), {"account": "acme", "username": "ada"}),
        (TypedName(account=ACCOUNT, username="a+b=c,d.e@f-g_h"), {"account": ACCOUNT, "username": "a+b=c,d.e@f-g_h"}),
        (TypedName(email=" a:b/c@acme.example "), {"email": "a:b/c@acme.example"}),
        (TypedName(email="ü@acme.example"), {"email": "ü@acme.example"}),
        (TypedName(account="acme", username="a b"), {}),
        (TypedName(email="x" * 300 + "@acme.example"), {}),
    ],
)
def test_name_is_read_as_it_was_written(typed: TypedName, fields: dict[str, str]) -> None:
    assert remembered_fields(remembered_value(typed)) == fields
