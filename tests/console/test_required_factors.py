"""Second factors that an account requires, and those that a page asks for again: by forms alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from iam_guard.authn.people.passwords.stored_passwords import require_second_factor
from iam_guard.model.request import Call
from iam_guard.store.schema import accounts, inline_policies, login_profiles, mfa_devices
from tests.console.site import ACCOUNT, NEW_PASSWORD, PASSWORD, Site

PAGE = {"sec-fetch-mode": "navigate", "accept": "text/html"}
RECENT = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "docs:*",
            "Resource": "*",
            "Condition": {"NumericLessThan": {"aws:MultiFactorAuthAge": "300"}},
        },
        {"Effect": "Allow", "Action": "iam:EnableMFADevice", "Resource": "*"},
    ],
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.guard.close()


def require(site: Site) -> None:
    with site.store.write_transaction() as records:
        require_second_factor(records, ACCOUNT, is_required=True)


def has_session(site: Site) -> bool:
    return site.browser.get("/documents/7").status_code in (200, 403)


# --- required by the account -------------------------------------------------------------------------------------


def test_person_without_a_factor_adds_one_first(site: Site) -> None:
    """Also one whose policies don't allow it; then it goes on to where it wanted."""
    require(site)
    answer = site.sign_in("bob", path="/signin/?next=/documents/7")
    assert answer.headers["location"] == "/signin/factors?next=%2Fdocuments%2F7"
    page = site.browser.get(answer.headers["location"])
    assert "Your account requires a second factor" in page.text
    assert "/signin/sessions" not in page.text
    assert not has_session(site)
    for path in ("/signin/sessions", "/signin/password"):
        assert site.browser.get(path).headers["location"].startswith("/signin/")
    assert len(site.enrol("/signin/factors?next=/documents/7")) == 10
    assert has_session(site)
    site.guard.close()
    events = [(record["eventName"], *record["responseElements"].values()) for record in site.records()]
    assert events == [("MfaEnrolled", "Success"), ("ConsoleLogin", "Success")]


def test_page_after_the_first_factor_leads_on(site: Site) -> None:
    require(site)
    site.sign_in("bob")
    site.enrol("/signin/factors?next=/documents/7")
    assert '<a href="/documents/7">Continue</a>' in site.page


def test_root_user_needs_a_factor_too(site: Site) -> None:
    require(site)
    answer = site.send("/signin/?type=root", email="root@acme.example", password=PASSWORD)
    assert answer.headers["location"] == "/signin/factors"


def test_new_password_comes_before_the_factor(site: Site) -> None:
    require(site)
    with site.store.write_transaction() as records:
        records.update(login_profiles, {"reset_required": True}, owner=site.person("bob").owner)
    assert site.sign_in("bob").headers["location"] == "/signin/password"
    answer = site.send("/signin/password", password=PASSWORD, new_password=NEW_PASSWORD)
    assert answer.headers["location"] == "/signin/factors"
    assert not has_session(site)
    site.enrol()
    assert has_session(site)


def test_person_with_a_factor_uses_it(site: Site) -> None:
    site.sign_in()
    site.enrol()
    require(site)
    site.now += timedelta(minutes=2)
    assert site.sign_in().headers["location"] == "/signin/mfa"
    assert site.send("/signin/mfa", mfa_code=site.code("ada")).headers["location"] == "/signin/sessions"


def test_password_alone_never_adds_a_second_device(site: Site) -> None:
    """Of two browsers that are asked for the first one, the slower can only use that of the other."""
    require(site)
    slow = site.new_browser()
    site.send("/signin/", slow, account="acme", username="ada", password=PASSWORD)
    page = site.send("/signin/factors", slow)
    assert "Scan this code" in page.text
    site.sign_in()
    site.enrol()
    site.now += timedelta(minutes=2)
    answer = slow.get("/signin/factors?next=/documents/7")
    assert answer.headers["location"] == "/signin/mfa?next=%2Fdocuments%2F7"
    quick, site.browser = site.browser, slow
    session = site.guard.people.browser_sessions.find(str(slow.cookies["iam-guard-dev"]))
    assert session is not None
    new = site.guard.people.own_credentials.new_device(session)
    codes = site.codes(new.seed)
    assert site.guard.people.own_credentials.enable_device(session, new.serial, codes, Call("1")) == "needs_factor"
    assert site.send("/signin/mfa", mfa_code=site.code("ada")).status_code == 303
    assert slow.get("/documents/7").text.endswith("true")
    assert quick.get("/documents/7").status_code == 200


def test_removed_factor_is_asked_for_again(site: Site) -> None:
    """By the IAM API, as an administrator does; recovery codes are no factor."""
    require(site)
    site.sign_in()
    recovery = site.enrol()
    with site.store.write_transaction() as records:
        records.delete(mfa_devices, account=ACCOUNT)
    assert has_session(site)
    site.browser = site.new_browser()
    assert site.sign_in().headers["location"] == "/signin/factors"
    answer = site.send("/signin/recovery", recovery_code=recovery[0])
    assert answer.headers["location"] == "/signin/factors"
    assert not has_session(site)


def test_sessions_from_before_go_on(site: Site) -> None:
    site.sign_in()
    require(site)
    assert site.browser.get("/documents/7").status_code == 200
    with site.store.write_transaction() as records:
        require_second_factor(records, ACCOUNT, is_required=False)
    assert site.sign_in("bob").headers["location"] == "/signin/sessions"


def test_requirement_of_one_account_is_not_of_others(site: Site) -> None:
    with site.store.write_transaction() as records:
        records.insert(accounts, id="444455556666", name="globex", created=0, requires_mfa=True)
    assert site.sign_in().headers["location"] == "/signin/sessions"


# --- asked for by a route ----------------------------------------------------------------------------------------


def limit(site: Site, policy: dict[str, Any] = RECENT) -> None:
    with site.store.write_transaction() as records:
        text = json.dumps(policy)
        changed = {"text": text, "digest": hashlib.sha256(text.encode()).hexdigest()}
        records.update(inline_policies, changed, identity_id=site.person("ada").user_id)
    site.guard.refresh()


def test_navigation_comes_back_with_a_fresh_factor(site: Site) -> None:
    """The policy limits its age; each time it is too old, the page for it is in between."""
    site.sign_in()
    site.enrol()
    limit(site)
    for _ in range(2):
        assert site.browser.get("/documents/7", headers=PAGE).status_code == 200
        site.now += timedelta(seconds=300)
        answer = site.browser.get("/documents/7?a=b", headers=PAGE)
        assert answer.headers["location"] == "/signin/mfa?next=%2Fdocuments%2F7%3Fa%3Db"
        answer = site.send(answer.headers["location"], mfa_code=site.code("ada"))
        assert answer.headers["location"] == "/documents/7?a=b"
    site.guard.close()
    written = (site.folder / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    decisions = [record for line in written if (record := json.loads(line))["eventName"] == "GetDocument"]
    assert [record.get("errorCode") for record in decisions] == [None, "AccessDenied"] * 2


def test_fresh_factor_does_not_extend_the_session(site: Site) -> None:
    """But that of a sign-in starts its time."""
    site.sign_in()
    site.enrol()
    site.now += timedelta(minutes=2)
    site.sign_in()
    lasting = []
    for _ in range(3):
        site.now += timedelta(minutes=30)
        assert site.send("/signin/mfa", mfa_code=site.code("ada")).status_code == 303
        session = site.guard.people.browser_sessions.find(str(site.browser.cookies["iam-guard-dev"]))
        assert session is not None
        lasting.append(session.expires - site.now)
    assert lasting == [timedelta(hours=hours) for hours in (12, 11.5, 11)]


def test_person_without_a_factor_is_led_to_add_one(site: Site) -> None:
    site.sign_in()
    limit(site)
    location = site.browser.get("/documents/7", headers=PAGE).headers["location"]
    page = site.browser.get(location)
    assert "You have no second factor." in page.text
    assert 'name="mfa_code"' not in page.text
    assert 'href="/signin/factors?next=%2Fdocuments%2F7"' in page.text
    site.enrol("/signin/factors?next=/documents/7")
    assert '<a href="/documents/7">Continue</a>' in site.page
    assert site.browser.get("/documents/7", headers=PAGE).status_code == 200
