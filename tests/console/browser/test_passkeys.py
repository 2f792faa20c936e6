"""Passkeys and security keys in Chromium, with an authenticator of its own for tests."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest

from tests.console.browser.chromium import PASSKEY, SECURITY_KEY, Authenticator
from tests.console.browser.visitor import BrowserOptions, NewVisitor, Visitor
from tests.console.site import START, Site


@pytest.fixture
def site(tmp_path: Path, sent: queue.Queue[str]) -> Iterator[Site]:
    """The time passes: a key accepts only challenges that are later than its last."""
    made = Site(tmp_path, lambda email, link: sent.put(link))
    ticks = count()
    made.guard.clock = lambda: START + timedelta(milliseconds=next(ticks))
    yield made
    made.guard.close()


@pytest.fixture
def visitor(new_visitor: NewVisitor) -> Visitor:
    made = new_visitor()
    made.open("/signin/")
    made.sign_in()
    return made


def sign_out(visitor: Visitor) -> None:
    visitor.open("/signin/sessions")
    visitor.press("sign_out")


def script_message(visitor: Visitor) -> str:
    """Wait for what the script reports."""
    shown = visitor.page.locator("form[data-passkey] [role=alert]:visible")
    shown.wait_for()
    return shown.inner_text()


def test_passkey_signs_in_alone_by_button_and_autofill(visitor: Visitor) -> None:
    """A person who is not verified, or cancels, stays on the page, and tries again."""
    authenticator, page = Authenticator(visitor.page), visitor.page
    visitor.add_key("laptop", "new_passkey")
    page.get_by_text(visitor.text["added"]).wait_for()
    sign_out(visitor)
    authenticator.wait_for_its_person(True)
    with page.expect_response("**/signin/passkey"):  # autofill has its options, and waits for the person
        visitor.open("/signin/?next=/documents/7")
    authenticator.send("setUserVerified", isUserVerified=False)
    authenticator.wait_for_its_person(False)
    visitor.click("passkey_sign_in")
    assert script_message(visitor) == visitor.text["passkey_cancelled"]
    authenticator.send("setUserVerified", isUserVerified=True)
    visitor.click("passkey_sign_in")
    page.wait_for_url(f"{visitor.url}/documents/7")
    assert page.locator("body").inner_text().endswith("user/ada true")
    sign_out(visitor)
    visitor.open("/signin/")  # the authenticator answers as if its person had chosen the passkey from the list
    page.wait_for_url(f"{visitor.url}/signin/sessions")


def test_security_key_is_a_second_factor(visitor: Visitor) -> None:
    """One with U2F, which can't be added twice."""
    authenticator, page = Authenticator(visitor.page, SECURITY_KEY), visitor.page
    visitor.add_key("blue", "new_key")
    page.get_by_role("cell", name="blue", exact=True).wait_for()
    visitor.add_key("blue again", "new_key")
    assert script_message(visitor) == visitor.text["passkey_known"]
    sign_out(visitor)
    visitor.open("/signin/")
    visitor.sign_in()
    visitor.click("use_passkey")
    page.wait_for_url(f"{visitor.url}/signin/sessions")
    sign_out(visitor)
    authenticator.plug_in({**SECURITY_KEY, "protocol": "ctap2"})  # another key
    visitor.open("/signin/")
    visitor.sign_in()
    visitor.click("use_passkey")
    assert script_message(visitor) == visitor.text["passkey_cancelled"]


def test_removed_passkey_is_forgotten_by_the_browser(visitor: Visitor) -> None:
    """The browser is informed; one that keeps it gets the same answer as for any other."""
    authenticator, page = Authenticator(visitor.page, PASSKEY), visitor.page
    visitor.add_key("laptop", "new_passkey")
    page.get_by_role("cell", name="laptop", exact=True).wait_for()
    [kept] = authenticator.send("getCredentials")["credentials"]
    page.get_by_role("button", name=f"{visitor.text['remove']}: laptop").click()
    page.get_by_text(visitor.text["key_removed"]).wait_for()
    page.locator("form[data-passkey]:visible").first.wait_for()  # the script has run
    assert authenticator.send("getCredentials")["credentials"] == []
    sign_out(visitor)
    authenticator.send("addCredential", credential=kept)
    visitor.open("/signin/")  # the authenticator answers as if its person had chosen the passkey from the list, once
    page.get_by_text(visitor.text["passkey_refused"]).wait_for()
    page.locator("form[data-passkey=get]:visible").wait_for()


def test_pages_work_without_script(new_visitor: NewVisitor) -> None:
    """The forms for passkeys are hidden; the others are sent as before."""
    visitor = new_visitor(BrowserOptions(javascript=False))
    visitor.open("/signin/")
    assert visitor.page.get_by_role("button").all_inner_texts() == [visitor.text["sign_in"]]
    visitor.sign_in()
    visitor.open("/signin/factors")
    assert visitor.page.get_by_role("button").all_inner_texts() == [visitor.text["new_factor"]]
