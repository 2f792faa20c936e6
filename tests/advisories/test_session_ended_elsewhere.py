"""Advisory: what a session has opened, or is about to become, must end with it.

The provider of a company ends the sessions of a person who has left (back-channel logout), or an administrator ends all
sessions of an account, or erases the person. A sign-in whose person is still choosing a role, a tool that was approved
in a session, and a code that no tool has redeemed must not survive that: the person would be back at once, for hours.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from iam_guard import Guard
from iam_guard.api.protocol.app import aws_api
from iam_guard.authn.people.sessions.federated_sessions import FederatedSessions
from iam_guard.console.sign_in_app import beside_api
from iam_guard.model.request import Call
from iam_guard.store.schema import tool_sessions
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.api.signin.tool import Tool
from tests.authn.people.oidc_provider import OidcProvider, serving_provider
from tests.console.federation_link import federation_link
from tests.console.oidc_site import ACCOUNT, PROVIDER, OidcSite
from tests.serving import serving

CALL = Call("request-1", "http", "POST", "/v1/authorize", "localhost", "192.0.2.7", "Firefox", None, False, "us-east-1")
End = Callable[[OidcSite], object]


def by_logout(site: OidcSite, **names: Any) -> None:
    """Let the provider end the sessions of its person."""
    token = site.provider.logout_token(**names)
    assert site.new_browser().post("/signin/oidc/logout", data={"logout_token": token}).status_code == 200


def by_administrator(site: OidcSite) -> None:
    site.guard.people.account_sessions.end_all(ACCOUNT)


def end_sessions_of_another_account(site: OidcSite) -> None:
    other = {"version": 1, "accounts": [{"id": "444455556666", "name": "globex"}]}
    apply_seed(site.store, load_seed_text(json.dumps(other)))
    site.guard.people.account_sessions.end_all("444455556666")


ENDS: dict[str, End] = {
    "session of the provider": lambda site: by_logout(site, sub=None),
    "person of the provider": lambda site: by_logout(site, sid=None),
    "both": by_logout,
    "all sessions of the account": by_administrator,
    "erasure of the person": lambda site: site.guard.people.personal_data.erase(PROVIDER, subject="ann-1"),
}
GO_ON: dict[str, End] = {
    "another person": lambda site: by_logout(site, sub="ann-2", sid=None),
    "another session": lambda site: by_logout(site, sid="sid-2"),
    "another account": end_sessions_of_another_account,
}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[OidcSite]:
    with serving_provider(OidcProvider()) as provider:
        made = OidcSite(tmp_path, provider)
        yield made
        made.guard.close()


def choose(site: OidcSite, page: Any, browser: Any) -> Any:
    """Choose a role on the page of a sign-in that waits for it."""
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None
    fields = {"csrf_token": token[1], "role": f"arn:aws:iam::{ACCOUNT}:role/reader"}
    return browser.post(str(page.request.url), data=fields, headers={"origin": "http://localhost"})


def test_choice_of_a_role_ends_with_the_sessions(site: OidcSite, subtests: pytest.Subtests) -> None:
    """A sign-in that waits for its person becomes no session any more."""
    site.provider.claims = {"groups": ["writers"]}
    for name, end in {**ENDS, **GO_ON}.items():
        with subtests.test(name):
            browser = site.new_browser()
            page = site.sign_on(browser)
            assert page.status_code == 200
            end(site)
            assert choose(site, page, browser).status_code == (400 if name in ENDS else 303)
            assert ("assumed-role" in site.caller(browser)) is (name in GO_ON)


@pytest.mark.parametrize("end", list(ENDS.values()), ids=list(ENDS))
def test_choice_at_the_same_time_becomes_no_session(site: OidcSite, monkeypatch: pytest.MonkeyPatch, end: End) -> None:
    """The end comes after the sign-in was verified, and before its session is stored."""
    site.provider.claims = {"groups": ["writers"]}
    browser = site.new_browser()
    page = site.sign_on(browser)
    verified, ended, sign_in = threading.Event(), threading.Event(), FederatedSessions.sign_in

    def late(*arguments: Any, **options: Any) -> Any:
        verified.set()
        assert ended.wait(60)
        return sign_in(*arguments, **options)

    monkeypatch.setattr(FederatedSessions, "sign_in", late)
    with ThreadPoolExecutor(1) as threads:
        chosen = threads.submit(choose, site, page, browser)
        assert verified.wait(60)
        end(site)
        ended.set()
        assert chosen.result().status_code == 400
    assert site.reasons()[-1] == "The sign-in has ended."
    assert "assumed-role" not in site.caller(browser)


class Office:
    """A site whose people have tools, on a server."""

    def __init__(self, site: OidcSite, url: str) -> None:
        self.site = site
        self.url = url

    def approved(self) -> tuple[Tool, str]:
        """Return a tool, and the code that a person of the provider has approved for it, in a new session."""
        browser = self.site.new_browser()
        assert self.site.sign_on(browser).status_code == 303
        session = self.site.guard.people.browser_sessions.find(browser.cookies["iam-guard-dev"])
        assert session is not None
        tool = Tool(self.url)
        return tool, self.site.guard.people.tool_sessions.approve(session, tool.request, CALL)

    def redeem(self, tool: Tool, code: str) -> Any:
        return tool.redeem(code, now=self.site.now.timestamp())

    def refresh(self, tool: Tool, token: str) -> Any:
        return tool.refresh(token, now=self.site.now.timestamp())


@pytest.fixture
def office(site: OidcSite) -> Iterator[Office]:
    with serving(beside_api(site.guard, aws_api(site.guard))) as url:
        yield Office(site, url)


def test_tools_and_codes_end_with_the_sessions(office: Office, subtests: pytest.Subtests) -> None:
    """Credentials that a tool has last at most 15 minutes; it gets no further ones."""
    for name, end in {**ENDS, **GO_ON}.items():
        with subtests.test(name):
            (tool, code), (other, unused) = office.approved(), office.approved()
            token = office.redeem(tool, code).json()["refreshToken"]
            end(office.site)
            answers = office.refresh(tool, token), office.redeem(other, unused)
            assert [answer.status_code == 200 for answer in answers] == [name in GO_ON] * 2


def test_logout_of_the_provider_after_that_of_the_person_ends_tools(office: Office) -> None:
    """A person signs out here first, which leaves tools, then at the provider."""
    tool, code = office.approved()
    token = office.redeem(tool, code).json()["refreshToken"]
    for session in office.site.guard.people.account_sessions.list(ACCOUNT).sessions:
        office.site.guard.people.browser_sessions.end_session(session)
    token = office.refresh(tool, token).json()["refreshToken"]
    by_logout(office.site, sub=None)
    assert office.refresh(tool, token).status_code == 401


def test_erasure_after_the_person_has_signed_out_ends_tools(office: Office) -> None:
    tool, code = office.approved()
    token = office.redeem(tool, code).json()["refreshToken"]
    for session in office.site.guard.people.account_sessions.list(ACCOUNT).sessions:
        office.site.guard.people.browser_sessions.end_session(session)
    assert office.site.guard.people.personal_data.erase(PROVIDER, subject="ann-1").rows == {"tool_sessions": 1}
    assert office.refresh(tool, token).status_code == 403


def test_trail_has_what_a_logout_has_ended(office: Office) -> None:
    office.approved()
    office.site.provider.claims = {"groups": ["writers"]}
    assert office.site.sign_on(office.site.new_browser()).status_code == 200
    by_logout(office.site)
    facts = office.site.records()[-1]["additionalEventData"]
    assert {name: facts[name] for name in facts if name.startswith("Ended")} == {
        "EndedSessions": 1,
        "EndedSignIns": 1,
        "EndedTools": 1,
    }


def test_session_ended_by_an_administrator_ends_its_tools(office: Office) -> None:
    """And those of no other session."""
    (tool, code), (other, unused) = office.approved(), office.approved()
    token = office.redeem(tool, code).json()["refreshToken"]
    guard: Guard = office.site.guard
    guard.people.account_sessions.end(ACCOUNT, approved_by(guard, tool))
    assert office.refresh(tool, token).status_code == 401
    assert office.redeem(other, unused).status_code == 200


def approved_by(guard: Guard, tool: Tool) -> str:
    """Return the id of the session in which a tool was approved."""
    with guard.store.read_transaction() as records:
        row = records.one(tool_sessions, code_challenge=tool.challenge)
    assert row is not None
    return str(row["approved_by"])


def test_link_with_credentials_ends_with_the_sessions(site: OidcSite) -> None:
    """Of the federation endpoint: one that was made before signs in no more, one that is made later does."""
    former = federation_link(site)
    by_administrator(site)
    site.now = site.now.replace(second=site.now.second + 1)
    for link, signs_in in ((former, False), (federation_link(site), True)):
        browser = site.new_browser()
        page = browser.get(link)
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        browser.post("/signin/federation", data=fields, headers={"origin": "http://localhost"})
        assert ("assumed-role" in site.caller(browser)) is signs_in
