"""What sign-on by SAML refuses: other sites, other browsers, other accounts, copies, and hostile documents.

The page is the same for all; the trail has the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from iam_guard.authn.people.sign_on import saml_sign_on
from iam_guard.authn.people.sign_on.saml_sign_on import MAX_COPIES, MAX_VERIFICATIONS
from iam_guard.authn.saml.assertion import SamlAssertion, SamlIdentityProvider
from iam_guard.authn.saml.response import read_response
from iam_guard.console.saml_pages import MAX_RESPONSE_FORM
from iam_guard.store.schema import federated_sessions, pending_sign_ins, saml_providers
from tests.authn.saml.identity_provider import IdentityProvider
from tests.authn.saml.xml_signer import KeyPair
from tests.console.company import (
    AWS,
    OTHER,
    Company,
    attributes,
    pairs,
    provider_arn,
    role_arn,
    session_arn,
)
from tests.console.site import ACCOUNT
from tests.tables import table

REFUSED = "The sign-in was refused, or has expired."


def assert_refused(company: Company, page: Any, reason: str) -> None:
    """Check the page, that there is no session, and the last reason in the trail."""
    assert (page.status_code, REFUSED in page.text) == (400, True), page.text
    assert reason in company.refusals()[-1]
    with company.site.store.read_transaction() as records:
        assert records.all(federated_sessions) == []


# --- which browser -----------------------------------------------------------------------------------------------


@table("began", [False, True])
def test_answer_to_another_browser_is_refused(company: Company, began: bool) -> None:
    """An attacker posts its own response through the browser of a victim, who may be signing in at the same time."""
    victim, attacker = company.site.new_browser(), company.site.new_browser()
    if began:
        company.start(victim)
    text = company.response(in_response_to=company.start(attacker), assertion_id=f"_{began}")
    assert_refused(company, company.post(victim, text), "a response to the present request of this browser")


def test_second_tab_replaces_the_first(company: Company) -> None:
    """The response to the first one is refused; that to the second signs in."""
    browser = company.site.browser
    first, second = company.start(browser), company.start(browser)
    page = company.post(browser, company.response(in_response_to=first))
    assert_refused(company, page, "a response to the present request of this browser")
    answer = company.post(browser, company.response(in_response_to=second, assertion_id="_2"))
    assert answer.status_code == 303


def test_late_answer_is_refused(company: Company) -> None:
    browser = company.site.browser
    request = company.start(browser)
    company.site.now += timedelta(minutes=10)
    page = company.post(browser, company.response(in_response_to=request))
    assert_refused(company, page, "a response to the present request of this browser")


def test_url_of_another_browser_is_refused(company: Company) -> None:
    """One that was seen in a log, or sent by an attacker whose response it is."""
    page = company.post(company.site.browser, company.response())
    assert page.status_code == 200
    other = company.site.new_browser().get(str(page.url))
    assert_refused(company, other, "expected the browser that has received the response")


def test_form_of_another_site_is_refused(company: Company) -> None:
    """It is shown again, and takes the button in our own page."""
    browser = company.site.browser
    page = company.post(browser, company.response())
    for headers in ({"origin": "https://attacker.example"}, {"sec-fetch-site": "cross-site"}):
        token = re.findall(r'name="csrf_token" value="([^"]+)"', page.text)[0]
        fields = {"csrf_token": token, "role": role_arn()}
        answer = browser.post(str(page.url), data=fields, headers=headers)
        assert (answer.status_code, "Continue as" in answer.text) == (400, True)
    assert company.press(browser, page, csrf_token="0" * 64).status_code == 400
    assert company.caller(browser) == "401"
    assert company.press(browser, page).status_code == 303


def test_choice_is_limited_to_roles_of_the_page(company: Company) -> None:
    browser = company.site.browser
    page = company.post(browser, company.response())
    for role in ("", role_arn("writer"), role_arn(account=OTHER), "*"):
        assert company.press(browser, page, role or "x").status_code == 400
    assert company.caller(browser) == "401"


def test_pending_sign_in_expires(company: Company) -> None:
    """After five minutes; one that never was looks the same."""
    browser = company.site.browser
    page = company.post(browser, company.response())
    company.site.now += timedelta(minutes=5)
    late, unknown = company.press(browser, page), browser.get(f"/signin/continue?pending={'x' * 43}")
    assert [(answer.status_code, REFUSED in answer.text) for answer in (late, unknown)] == [(400, True)] * 2


@table(
    "target",
    ["https://attacker.example/", "//attacker.example", "/\\attacker.example", "javascript:alert(1)", "x", "/a\r\nb:c"],
)
def test_relay_state_leads_to_this_site_only(company: Company, target: str) -> None:
    browser = company.site.new_browser()
    page = company.post(browser, company.response(assertion_id=f"_{target.encode().hex()}"), target)
    assert company.press(browser, page).headers["location"] == "/signin/sessions"


# --- once --------------------------------------------------------------------------------------------------------


def test_copy_of_a_used_response_is_refused(company: Company) -> None:
    """For the same role; the other role of the same response is another sign-in."""
    browser = company.site.browser
    text = company.response(role_arn(), role_arn("writer"))
    company.press(browser, company.post(browser, text), role_arn())
    assert company.caller(browser) == session_arn()
    again = company.site.new_browser()
    page = company.post(again, text)
    refused = company.press(again, page, role_arn())
    assert (refused.status_code, company.refusals()[-1]) == (400, "The sign-in has been used before.")
    assert company.press(again, page, role_arn("writer")).status_code == 303


def test_copy_received_in_time_is_refused_later(company: Company) -> None:
    """It waits for its browser until after the assertion itself has expired."""
    first, second = company.site.browser, company.site.new_browser()
    text = company.response()
    company.site.now += timedelta(minutes=4)
    pages = [company.post(browser, text) for browser in (first, second)]
    assert company.press(first, pages[0]).status_code == 303
    company.site.now += timedelta(minutes=4)
    assert company.press(second, pages[1]).status_code == 400
    assert company.refusals() == ["The sign-in has been used before."]


def test_copies_that_wait_are_limited(company: Company) -> None:
    """A client with one response must not fill the store, or be in the way of others."""
    text = company.response()
    for _ in range(MAX_COPIES):
        assert company.post(company.site.new_browser(), text).status_code == 200
    page = company.post(company.site.new_browser(), text)
    assert_refused(company, page, f"the assertion was received more than {MAX_COPIES} times")
    with company.site.store.read_transaction() as records:
        assert records.count(pending_sign_ins) == MAX_COPIES


def test_copies_of_another_account_are_counted_apart(company: Company) -> None:
    """Its own identity provider has the same entity id, and writes the id of an assertion that it has seen."""
    attacker = IdentityProvider(company.idp.entity_id, KeyPair(name="attacker"))
    company.add_provider(OTHER, "mine", attacker)
    values = attributes() | {f"{AWS}Role": (f"{role_arn(account=OTHER)},{provider_arn(OTHER, 'mine')}",)}
    genuine = company.response(assertion_id="_seen")
    company.idp = attacker
    for _ in range(MAX_COPIES):
        page = company.post(company.site.new_browser(), company.response(attributes=values, assertion_id="_seen"))
        assert page.status_code == 200, company.refusals()
    assert company.post(company.site.browser, genuine).status_code == 200, company.refusals()


# --- which account -----------------------------------------------------------------------------------------------


def test_provider_of_another_account_gives_its_own_roles_only(company: Company) -> None:
    """Although it has the same entity id, and signs what it likes."""
    attacker = IdentityProvider(company.idp.entity_id, KeyPair(name="attacker"))
    company.add_provider(OTHER, "mine", attacker)
    company.idp = attacker
    stolen = (role_arn(), f"{role_arn()},{provider_arn(OTHER, 'mine')}", f"{role_arn(account=OTHER)},{provider_arn()}")
    values = {f"{AWS}Role": (pairs(stolen[0])[0], *stolen[1:]), f"{AWS}RoleSessionName": ("ada",)}
    page = company.post(company.site.browser, company.response(attributes=values))
    assert_refused(company, page, "expected a role of an account whose provider has signed the response")


def test_providers_of_another_account_are_not_in_the_way(company: Company) -> None:
    """More of them than are tried, all with this entity id, and older."""
    with company.site.store.write_transaction() as records:
        records.delete(saml_providers, account=ACCOUNT)
    for number in range(MAX_VERIFICATIONS + 2):
        company.add_provider(OTHER, f"p{number}", IdentityProvider(company.idp.entity_id, KeyPair(bits=1024)))
    company.site.now += timedelta(days=1)
    company.sign_on = company.add_provider(ACCOUNT)
    assert company.post(company.site.browser, company.response()).status_code == 200, company.refusals()


def test_assertion_is_the_same_for_all_providers(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encrypted one could be made to differ for two keys, one of them an attacker's."""
    company.add_provider(OTHER, "mine", IdentityProvider(company.idp.entity_id, KeyPair(name="attacker")))
    values = attributes() | {f"{AWS}Role": (*pairs(), f"{role_arn(account=OTHER)},{provider_arn(OTHER, 'mine')}")}
    genuine = company.response(assertion_id="_genuine", attributes=values)

    def read(text: str, provider: SamlIdentityProvider, *more: Any) -> SamlAssertion:
        mine = read_response(text, SamlIdentityProvider(provider.entity_id, (company.idp.key.certificate,)), *more)
        return mine if company.idp.key.certificate in provider.certificates else replace(mine, subject="mallory")

    monkeypatch.setattr(saml_sign_on, "read_response", read)
    page = company.post(company.site.browser, genuine)
    assert_refused(company, page, "expected an assertion that is the same for all providers")


def test_long_metadata_is_not_used_for_sign_on(company: Company) -> None:
    """It would be read for each response that any client sends."""
    for account in (ACCOUNT, OTHER):
        company.change_provider(account, document=company.idp.metadata().ljust(500_001))
    page = company.post(company.site.browser, company.response())
    assert_refused(company, page, "no account uses an identity provider")


def test_account_without_sign_on_is_not_signed_in_to(company: Company) -> None:
    """Its identity provider may still be one for the API."""
    for provider in company.site.guard.people.sign_on_providers.list(ACCOUNT):
        company.site.guard.people.sign_on_providers.remove(ACCOUNT, provider.name)
    page = company.post(company.site.browser, company.response())
    assert_refused(company, page, "expected a role of an account whose provider has signed the response")


def test_answer_to_a_request_to_another_provider_is_refused(company: Company) -> None:
    """The identity provider that was asked has passed the request on to the one of another account."""
    browser = company.site.browser
    other = company.add_provider(ACCOUNT, "other", IdentityProvider("https://other.example.com", KeyPair()))
    request = company.start(browser, sign_on=other)
    page = company.post(browser, company.response(in_response_to=request))
    assert_refused(company, page, "expected InResponseTo to be a request to a provider that has signed the response")


# --- what changes meanwhile --------------------------------------------------------------------------------------


@table(
    ("change", "reason"),
    [
        (lambda company: company.change_provider(valid_until=1), "The metadata of the provider has expired"),
        (
            lambda company: company.change_provider(encryption_mode="Required"),
            "expected a role of an account whose provider",
        ),
        (
            lambda company: company.change_provider(
                document=IdentityProvider(company.idp.entity_id, KeyPair()).metadata()
            ),
            "expected a role of an account whose provider",
        ),
    ],
    ids=["expired", "encryption required", "other key"],
)
def test_change_of_the_provider_counts_at_once(
    company: Company, change: Callable[[Company], None], reason: str
) -> None:
    """Between the response and the button."""
    browser = company.site.new_browser()
    original = {"valid_until": 4_000_000_000, "encryption_mode": None, "document": company.idp.metadata()}
    page = company.post(browser, company.response(assertion_id=f"_{len(company.refusals())}"))
    change(company)
    assert_refused(company, company.press(browser, page), reason)
    company.change_provider(**original)


def test_removed_sign_on_ends_what_waits(company: Company) -> None:
    browser = company.site.browser
    page = company.post(browser, company.response())
    with company.site.store.write_transaction() as records:
        records.delete(saml_providers, account=ACCOUNT)
    assert company.press(browser, page).status_code == 400
    assert company.caller(browser) == "401"


@table(
    ("role", "more", "reason"),
    [
        ("untrusting", {}, "Not authorized to perform sts:AssumeRoleWithSAML"),
        ("missing", {}, "Not authorized to perform sts:AssumeRoleWithSAML"),
        ("AWSReservedSSO_x", {}, "Not authorized to perform sts:AssumeRoleWithSAML"),
        ("reader", {"RoleSessionName": "a b"}, "RoleSessionName in AuthnResponse must match"),
        ("reader", {"SessionDuration": "1"}, "SessionDuration"),
        ("reader", {"SourceIdentity": "aws:x"}, "Source Identity must match"),
    ],
)
def test_role_that_can_not_be_assumed_is_refused(
    company: Company, role: str, more: dict[str, str], reason: str
) -> None:
    """By its trust policy, or for what the assertion says. Pages of roles that don't exist are the same."""
    browser = company.site.new_browser()
    values = attributes(role_arn(role), **more)
    page = company.post(browser, company.response(attributes=values, assertion_id=f"_{role}{''.join(more)}"))
    assert_refused(company, company.press(browser, page), reason)


# --- hostile clients ---------------------------------------------------------------------------------------------


@table(
    ("content", "type"),
    [
        (b"SAMLResponse=" + b"A" * MAX_RESPONSE_FORM, "application/x-www-form-urlencoded"),
        (b"SAMLResponse=AA&SAMLResponse=AA", "application/x-www-form-urlencoded"),
        (b"SAMLResponse=%FF%FE", "application/x-www-form-urlencoded"),
        (b"SAMLResponse=%00", "application/x-www-form-urlencoded"),
        ("SAMLResponse=ü".encode(), "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=" % number for number in range(50)), "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"", "application/x-www-form-urlencoded"),
    ],
    ids=["long", "twice", "not UTF-8", "zero", "not ASCII", "many", "JSON", "empty"],
)
def test_malformed_form_is_refused(company: Company, content: bytes, type: str) -> None:
    answer = company.site.browser.post("/signin/saml/acs", content=content, headers={"content-type": type})
    assert (answer.status_code, answer.headers["location"]) == (303, "/signin/continue")


def test_other_methods_and_addresses_are_refused(company: Company) -> None:
    """People would not come back to another address with their cookies."""
    assert company.site.browser.get("/signin/saml/acs").status_code == 405
    elsewhere = company.site.new_browser("http://127.0.0.1")
    assert elsewhere.post("/signin/saml/acs", data={"SAMLResponse": company.response()}).status_code == 404
    assert elsewhere.get(f"/signin/saml/start?provider={company.sign_on.id}").status_code == 404


@pytest.mark.parametrize(
    ("url", "leaves"),
    [
        ("https://idp.example.com/sso", True),
        ("http://127.0.0.1:8080/sso", True),
        ("http://idp.example.com/sso", False),
        ("http://localhost.attacker.example/sso", False),
        ("", False),
    ],
)
def test_request_goes_to_a_safe_address_only(company: Company, url: str, leaves: bool) -> None:
    """HTTPS, or a development server at loopback while this one is there, too."""
    company.change_provider(document=company.idp.metadata().replace(f"{company.idp.entity_id}/sso", url))
    answer = company.site.browser.get(f"/signin/saml/start?provider={company.sign_on.id}")
    assert (answer.status_code == 303) is leaves
    assert bool(company.refusals()) is not leaves


def test_unknown_sign_on_provider_is_refused(company: Company) -> None:
    for id in ("", "so-unknown", "x" * 5000, "%00"):
        answer = company.site.browser.get("/signin/saml/start", params={"provider": id})
        assert (answer.status_code, REFUSED in answer.text) == (400, True)
