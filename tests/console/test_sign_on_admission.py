"""Who gets a session by a company's sign-on: nothing that was ended while the person chose a role still gives one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from iam_guard.authn.people.sessions.federated_sessions import FederatedSessions
from iam_guard.store.schema import (
    accounts,
    federated_sessions,
    identities,
    oidc_providers,
    pending_sign_ins,
    saml_providers,
    sign_on_providers,
)
from tests.authn.people.oidc_provider import OidcProvider, serving_provider
from tests.console.company import Company, role_arn
from tests.console.oidc_site import ACCOUNT, WRITER, OidcSite
from tests.console.site import Site

NO_TRUST = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"sts:*"}]}'


class Choice(NamedTuple):
    """A person in front of the page with its roles; `press` chooses the writer's."""

    site: Site
    press: Callable[[], Any]


def by_oidc(folder: Path, provider: OidcProvider) -> Choice:
    site = OidcSite(folder, provider)
    provider.claims = {"groups": ["writers"]}
    page = site.sign_on()
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None, page.text
    fields, headers = {"csrf_token": token[1], "role": WRITER}, {"origin": "http://localhost"}
    return Choice(site, lambda: site.browser.post(str(page.request.url), data=fields, headers=headers))


def by_saml(folder: Path, *, began_here: bool) -> Choice:
    site = Site(folder, site_url="http://localhost")
    company = Company(site)
    request = company.start(site.browser) if began_here else ""
    text = company.response(role_arn("reader"), role_arn("writer"), in_response_to=request)
    page = company.post(site.browser, text)
    return Choice(site, lambda: company.press(site.browser, page, role_arn("writer")))


WAYS: dict[str, Callable[[Path, OidcProvider], Choice]] = {
    "oidc": by_oidc,
    "saml": lambda folder, _: by_saml(folder, began_here=True),
    "saml from the identity provider": lambda folder, _: by_saml(folder, began_here=False),
}
ENDS: dict[str, Callable[[Any], Any]] = {
    "role deleted": lambda records: records.delete(identities, account=ACCOUNT, name="writer"),
    "role does not trust it": lambda records: records.update(
        identities, {"trust_text": NO_TRUST}, account=ACCOUNT, name="writer"
    ),
    "sign-on provider removed": lambda records: records.delete(sign_on_providers, account=ACCOUNT),
    "identity provider deleted": lambda records: (
        records.delete(oidc_providers, account=ACCOUNT) + records.delete(saml_providers, account=ACCOUNT)
    ),
    "account deleted": lambda records: records.delete(accounts, id=ACCOUNT),
}
OF_OIDC: dict[str, Callable[[Any], Any]] = {
    "client removed from the identity provider": lambda records: records.update(
        oidc_providers, {"client_ids": ["other"]}, account=ACCOUNT
    ),
    "client replaced": lambda records: records.update(sign_on_providers, {"client_id": "other"}, account=ACCOUNT),
    "rules without the role": lambda records: records.update(
        sign_on_providers, {"roles": [WRITER.replace("team/writer", "reader")]}, account=ACCOUNT
    ),
}
CASES = [(way, end) for way in WAYS for end in (*ENDS, *(OF_OIDC if way == "oidc" else ()))]


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    with serving_provider(OidcProvider()) as made:
        yield made


def sessions(site: Site) -> int:
    with site.store.read_transaction() as records:
        return records.count(federated_sessions)


@pytest.mark.parametrize("way", WAYS)
def test_person_who_chose_gets_a_session(tmp_path: Path, provider: OidcProvider, way: str) -> None:
    """Once: the same form again gives no other one."""
    choice = WAYS[way](tmp_path, provider)
    with closing(choice.site.guard):
        assert choice.press().status_code == 303
        assert sessions(choice.site) == 1
        assert choice.press().status_code == 400
        assert sessions(choice.site) == 1


@pytest.mark.parametrize(("way", "end"), CASES)
def test_what_was_ended_meanwhile_gives_no_session(tmp_path: Path, provider: OidcProvider, way: str, end: str) -> None:
    choice = WAYS[way](tmp_path, provider)
    with closing(choice.site.guard):
        with choice.site.store.write_transaction() as records:
            assert (ENDS | OF_OIDC)[end](records)
        choice.site.guard.refresh()
        answer = choice.press()
        assert answer.status_code == 400, answer.headers
        assert "iam-guard-dev=" not in str(answer.headers.get_list("set-cookie"))
        assert sessions(choice.site) == 0
        assert choice.site.browser.get("/documents/7").status_code == 401


LATE: dict[str, Callable[[Any], Any]] = {
    **{name: ENDS[name] for name in ("role deleted", "sign-on provider removed", "identity provider deleted")},
    "ended by the provider": lambda records: records.delete(pending_sign_ins),
    "second factor not trusted any more": lambda records: records.update(
        sign_on_providers, {"trusts_mfa": True}, account=ACCOUNT
    ),
}
METADATA: dict[str, Callable[[Any], Any]] = {
    "metadata replaced": lambda records: records.update(saml_providers, {"document": "<other/>"}, account=ACCOUNT)
}
LATE_CASES = [(way, end) for way, more in (("oidc", OF_OIDC), ("saml", METADATA)) for end in (*LATE, *more)]


@pytest.mark.parametrize(("way", "end"), LATE_CASES)
def test_what_ended_after_the_decision_gives_no_session(
    tmp_path: Path, provider: OidcProvider, way: str, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The role was decided already: the transaction that issues the session finds what it stands on again."""
    choice, sign_in = WAYS[way](tmp_path, provider), FederatedSessions.sign_in

    def late(*arguments: Any, **more: Any) -> Any:
        with choice.site.store.write_transaction() as records:
            assert (LATE | OF_OIDC | METADATA)[end](records)
        return sign_in(*arguments, **more)

    monkeypatch.setattr(FederatedSessions, "sign_in", late)
    with closing(choice.site.guard):
        assert choice.press().status_code == 400
        assert sessions(choice.site) == 0
