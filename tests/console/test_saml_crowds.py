"""Accounts that register the entity id of a company's identity provider, and what a response costs then."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.to_thread
import pytest

from iam_guard.authn.people.sign_on import saml_sign_on
from iam_guard.authn.people.sign_on.saml_sign_on import MAX_VERIFICATIONS
from iam_guard.authn.saml import xml_tree
from iam_guard.authn.saml.response import read_response
from iam_guard.store.schema import accounts, saml_providers, sign_on_providers
from iam_guard.web.shared_workers import in_saml_worker
from tests.authn.saml.identity_provider import IdentityProvider
from tests.authn.saml.xml_signer import Encryption, KeyPair, key_pair
from tests.console.company import AWS, OTHER, Company, attributes, provider_arn, role_arn, session_arn
from tests.console.site import ACCOUNT

CROWD = [f"8888{number:08}" for number in range(MAX_VERIFICATIONS + 4)]
KEYS = {account: KeyPair("P-256", account) for account in CROWD}
UNRELATED = key_pair("rsa", "unrelated")
RECEIVER = key_pair("rsa", "receiver")


@dataclass
class Work:
    """What was verified since the last `take`."""

    verified: list[str] = field(default_factory=list)
    parsed: int = 0

    def take(self) -> int:
        """Return the number of verifications."""
        number = len(self.verified)
        self.verified.clear()
        return number


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    done = Work()

    def read(response: Any, provider: Any, *more: Any) -> Any:
        done.verified.append(provider.entity_id)
        return read_response(response, provider, *more)

    monkeypatch.setattr(saml_sign_on, "read_response", read)
    builder = xml_tree._TreeBuilder

    def counting() -> Any:
        done.parsed += 1
        return builder()

    monkeypatch.setattr(xml_tree, "_TreeBuilder", counting)
    return done


def add_crowd(company: Company, *, has_keys: bool = False) -> None:
    """Let more accounts than providers are tried register the company's entity id, before the company does."""
    for number, account in enumerate(CROWD):
        idp = IdentityProvider(company.idp.entity_id, KEYS[account])
        with company.site.store.write_transaction() as records:
            records.insert(accounts, id=account, name=f"crowd {number}", created=0)
        company.add_provider(account, "company", idp)
        if has_keys:
            company.add_key(UNRELATED.pem, account)
    with company.site.store.write_transaction() as records:
        records.update(sign_on_providers, {"created": 2**31}, account=[ACCOUNT, OTHER])


def forged(company: Company, **changes: Any) -> str:
    """Return a response that no provider has signed."""
    genuine, company.idp = company.idp, IdentityProvider(company.idp.entity_id, key_pair("rsa", "forger"))
    text = company.response(**changes)
    company.idp = genuine
    return text


def signed_in(company: Company, **changes: Any) -> str:
    """Sign in from here, and return who the application says that this is."""
    browser = company.site.browser
    company.post(browser, company.response(in_response_to=company.start(browser), **changes))
    return company.caller(browser)


def test_crowd_does_not_lock_out_a_company(company: Company, work: Work) -> None:
    """The response names the company's provider: only that one is tried, when it is received and continued."""
    add_crowd(company)
    assert signed_in(company) == session_arn(), company.refusals()
    assert work.take() == 2
    page = company.post(company.site.new_browser(), company.response(assertion_id="_unsolicited"))
    assert (page.status_code, work.take()) == (200, 2), company.refusals()


def test_crowd_does_not_lock_out_encrypted_responses(company: Company, work: Work) -> None:
    """Its roles can't be read before it is decrypted, but which request it answers can."""
    company.add_key(RECEIVER.pem)
    add_crowd(company, has_keys=True)
    assert signed_in(company, encryption=Encryption(key=RECEIVER)) == session_arn(), company.refusals()
    assert work.take() == 2


def test_keyless_crowd_does_not_lock_out_encrypted_responses(company: Company, work: Work) -> None:
    """From the identity provider's page: only a provider with a private key can decrypt it."""
    company.add_key(RECEIVER.pem)
    add_crowd(company)
    page = company.post(company.site.browser, company.response(encryption=Encryption(key=RECEIVER)))
    assert (page.status_code, work.take()) == (200, 2), company.refusals()


def test_account_has_one_turn_before_the_second_of_any(company: Company) -> None:
    """Of providers with private keys and this entity id, when nothing says whose response it is."""
    company.add_key(RECEIVER.pem)
    for number in range(MAX_VERIFICATIONS + 2):
        company.add_provider(OTHER, f"p{number:02}", IdentityProvider(company.idp.entity_id, UNRELATED))
        company.add_key(UNRELATED.pem, OTHER, f"p{number:02}")
    with company.site.store.write_transaction() as records:
        records.update(sign_on_providers, {"created": 2**31}, account=ACCOUNT)
    page = company.post(company.site.browser, company.response(encryption=Encryption(key=RECEIVER)))
    assert page.status_code == 200, company.refusals()


def test_forged_response_costs_few_verifications(company: Company, work: Work) -> None:
    """Whatever it names, it is parsed once; without a hint one provider is tried, for the reason in the trail."""
    add_crowd(company)
    for named, answers, most in [
        ((), False, 1),
        ((), True, 1),
        (CROWD[:1], False, 1),
        (CROWD[:3], True, 4),
        (CROWD, False, MAX_VERIFICATIONS),
        (CROWD, True, MAX_VERIFICATIONS),
    ]:
        roles = tuple(f"{role_arn(account=account)},{provider_arn(account)}" for account in named)
        request = company.start(company.site.browser) if answers else ""
        values = attributes() | {f"{AWS}Role": roles}
        work.parsed = 0
        page = company.post(company.site.browser, forged(company, attributes=values, in_response_to=request))
        assert (page.status_code, work.take(), work.parsed) == (400, most, 1), (named, answers)


def test_names_in_a_forged_response_grant_nothing(company: Company, work: Work) -> None:
    """The crowd signs what it likes, and names the company's provider and its request."""
    add_crowd(company)
    genuine, company.idp = company.idp, IdentityProvider(company.idp.entity_id, KEYS[CROWD[0]])
    both = (f"{role_arn()},{provider_arn()}", f"{role_arn(account=CROWD[0])},{provider_arn(CROWD[0])}")
    browser = company.site.browser
    for number, roles in enumerate((both[:1], both)):
        request = company.start(browser)
        values = attributes() | {f"{AWS}Role": roles}
        text = company.response(attributes=values, in_response_to=request, assertion_id=f"_{number}")
        assert company.post(browser, text).status_code == 400
        assert company.caller(browser) == "401"
    company.idp = genuine


def test_roles_of_many_accounts_take_one_verification(company: Company, work: Work) -> None:
    """Accounts with the same metadata, or with other metadata of the same certificate."""
    add_crowd(company)
    document = company.idp.metadata()
    for account in CROWD:
        company.change_provider(account, document=document)
    company.change_provider(OTHER, document=document + " ")
    roles = tuple(role_arn(account=account) for account in (ACCOUNT, OTHER, *CROWD))
    page = company.post(company.site.browser, company.response(*roles))
    assert [role for role in roles if role not in page.text] == [], company.refusals()
    assert work.take() == 2  # when it is received, and when it is continued


def test_old_metadata_of_many_accounts_is_tried_once(company: Company, work: Work) -> None:
    """Accounts that have not followed a new key of their identity provider leave the turns to the others."""
    add_crowd(company)
    old = IdentityProvider(company.idp.entity_id, UNRELATED).metadata()
    with company.site.store.write_transaction() as records:
        records.update(saml_providers, {"document": old}, account=CROWD)
    roles = tuple(role_arn(account=account) for account in (*CROWD, ACCOUNT))
    page = company.post(company.site.browser, company.response(*roles))
    assert (page.status_code, work.take()) == (200, 4), company.refusals()


def test_crowd_of_responses_waits_behind_other_clients() -> None:
    """A client that sends many of them has one in the queue: that of another client comes next."""
    order: list[str] = []
    running, finish = threading.Event(), threading.Event()

    def receive(name: str) -> None:
        order.append(name)
        running.set()
        finish.wait()

    async def crowd() -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(in_saml_worker, "10.0.0.1", receive, f"crowd {number}")
            await anyio.to_thread.run_sync(running.wait)
            await anyio.wait_all_tasks_blocked()
            tasks.start_soon(in_saml_worker, "10.0.0.2", receive, "person")
            await anyio.wait_all_tasks_blocked()
            finish.set()

    anyio.run(crowd)
    assert (len(order), order.index("person")) == (11, 1)
