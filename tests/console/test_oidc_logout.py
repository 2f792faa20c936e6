"""Back-channel logout: tokens with which a provider ends sessions, and all that are refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from iam_guard.authn.people.sign_on.oidc_logout import LOGOUT_EVENT, MAX_AUDIENCES
from iam_guard.store.schema import accounts, oidc_providers, sign_on_providers
from iam_guard.store.sql_store import SqlStore
from tests.authn.issuer import SigningKey, signed
from tests.authn.people.oidc_provider import CLIENT, ISSUER, OidcProvider, serving_provider
from tests.console.oidc_site import ACCOUNT, PROVIDER, OidcSite
from tests.effort import effort
from tests.tables import table

EVIL = "https://id.evil.example/tenant"
PATH = "/signin/oidc/logout"


@pytest.fixture
def evil() -> Iterator[OidcProvider]:
    with serving_provider(OidcProvider(EVIL)) as made:
        yield made


@pytest.fixture
def site(tmp_path: Path, evil: OidcProvider) -> Iterator[OidcSite]:
    with serving_provider(OidcProvider()) as provider:
        made = OidcSite(tmp_path, provider, evil)
        yield made
        made.guard.close()


def send(site: OidcSite, token: str) -> Any:
    return site.new_browser().post(PATH, data={"logout_token": token})


def is_signed_in(site: OidcSite, browser: Any = None) -> bool:
    return "assumed-role" in site.caller(browser)


@table(
    "names, ended",
    [
        ({"sub": "ann-1", "sid": "sid-1"}, 1),
        ({"sub": "ann-1", "sid": None}, 2),
        ({"sub": None, "sid": "sid-2"}, 1),
        ({"sub": "ann-2", "sid": None}, 0),
        ({"sub": "ann-2", "sid": "sid-1"}, 0),
        ({"sub": None, "sid": "sid-3"}, 0),
    ],
)
def test_logout_token_ends_what_it_names(
    tmp_path_factory: pytest.TempPathFactory, names: Mapping[str, Any], ended: int
) -> None:
    """All sessions of a subject, or one session; the answer is the same, and the trail has their number."""
    with serving_provider(OidcProvider()) as provider:
        site = OidcSite(tmp_path_factory.mktemp("site"), provider)
        browsers = []
        for sid in ("sid-1", "sid-2"):
            provider.sid = sid
            browsers.append(site.new_browser())
            assert site.sign_on(browsers[-1]).status_code == 303
        answer = send(site, provider.logout_token(**names))
        assert (answer.status_code, answer.headers["cache-control"], answer.content) == (200, "no-store", b"")
        assert sum(not is_signed_in(site, browser) for browser in browsers) == ended
        record = site.records()[-1]
        assert (record["eventName"], record["recipientAccountId"]) == ("ExitSession", ACCOUNT)
        assert record["additionalEventData"] == {"OidcProviderArn": PROVIDER, "EndedSessions": ended}
        site.guard.close()


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "an ID token": ({}, {"events": None, "nonce": "n", "jti": None}, "the event of a logout"),
    "another event": ({}, {"events": {"http://example.com/event": {}}}, "the event of a logout"),
    "event without an object": ({}, {"events": {LOGOUT_EVENT: True}}, "the event of a logout"),
    "events in a list": ({}, {"events": [LOGOUT_EVENT]}, "the event of a logout"),
    "a nonce": ({}, {"nonce": "n"}, "without a nonce"),
    "no id": ({}, {"jti": None}, "an id (`jti`)"),
    "id is a number": ({}, {"jti": 7}, "an id (`jti`)"),
    "neither subject nor session": ({}, {"sub": None, "sid": None}, "a subject or a session"),
    "empty session": ({}, {"sid": ""}, "strings as subject"),
    "session in a list": ({}, {"sub": None, "sid": ["sid-1"]}, "strings as subject"),
    "empty subject": ({}, {"sub": ""}, "required claim: sub"),
    "no expiry": ({}, {"exp": None}, "the claim `exp`"),
    "no issue time": ({}, {"iat": None}, "the claim `iat`"),
    "expired": ({}, {"iat": -400, "exp": -300}, "Token expired"),
    "issued later": ({}, {"iat": 300, "exp": 600}, "not valid yet"),
    "old": ({}, {"iat": -700, "exp": 600}, "of the last 600 seconds"),
    "another client": ({}, {"aud": "another"}, "client of a sign-on provider"),
    "no client": ({}, {"aud": None}, "required claim: aud"),
    "many audiences": ({}, {"aud": [CLIENT] * (MAX_AUDIENCES + 1)}, "at most 20 audiences"),
    "unknown issuer": ({}, {"iss": "https://id.example.org"}, "client of a sign-on provider"),
    "issuer without TLS": ({}, {"iss": ISSUER.replace("https:", "http:")}, "client of a sign-on provider"),
    "another provider's issuer": ({}, {"iss": EVIL}, "not that of its issuer"),
    "an access token": ({"typ": "at+jwt"}, {}, "type JWT"),
    "a proof": ({"typ": "dpop+jwt"}, {}, "type JWT"),
    "a key in its header": ({"jwk": {}}, {}, "without `jwk`"),
    "unsigned": ({"alg": "none"}, {}, "signed with one of"),
    "symmetric": ({"alg": "HS256"}, {}, "signed with one of"),
}


def test_logout_token_is_refused_with_a_reason(site: OidcSite, subtests: pytest.Subtests) -> None:
    """With 400, and no session ends."""
    site.sign_on()
    for name, (header, changes, reason) in REFUSED.items():
        with subtests.test(name):
            now = int(site.now.timestamp())
            times = {key: now + value for key, value in changes.items() if key in ("iat", "exp") and value is not None}
            answer = send(site, site.provider.logout_token(header, **{**changes, **times}))
            assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request"})
            assert answer.headers["cache-control"] == "no-store"
            assert reason in site.reasons()[-1]
            assert is_signed_in(site)


def test_logout_token_of_another_key_is_refused(site: OidcSite) -> None:
    site.sign_on()
    claims = {"iss": ISSUER, "aud": CLIENT, "sub": "ann-1", "jti": "a", "events": {LOGOUT_EVENT: {}}}
    now = int(site.now.timestamp())
    forged = signed(SigningKey("ES256"), {**claims, "iat": now, "exp": now + 60}, {"typ": "logout+jwt"})
    assert send(site, forged).status_code == 400
    assert is_signed_in(site)


def test_logout_token_counts_once(site: OidcSite) -> None:
    """A copy must not end a later session of the same person."""
    site.sign_on()
    token = site.provider.logout_token(sid=None)
    assert send(site, token).status_code == 200
    site.sign_on()
    assert send(site, token).status_code == 400
    assert site.reasons()[-1] == "the logout token was used before"
    assert is_signed_in(site)
    site.now += timedelta(minutes=11)
    assert send(site, token).status_code == 400
    assert is_signed_in(site)


def test_logout_token_ends_no_session_of_another_provider(site: OidcSite, evil: OidcProvider) -> None:
    """The provider of another account has a person with the same subject and session."""
    site.sign_on()
    assert send(site, evil.logout_token()).status_code == 200
    assert is_signed_in(site)


@table(
    "body, kind", [(b"logout_token=a&logout_token=b", ""), (b"", ""), (b"{}", "application/json"), (b"a" * 99_999, "")]
)
def test_unreadable_logout_form_is_refused(tmp_path_factory: pytest.TempPathFactory, body: bytes, kind: str) -> None:
    with serving_provider(OidcProvider()) as provider:
        site = OidcSite(tmp_path_factory.mktemp("site"), provider)
        headers = {"content-type": kind or "application/x-www-form-urlencoded"}
        assert site.browser.post(PATH, content=body, headers=headers).status_code == 400
        assert site.browser.get(PATH).status_code == 405
        site.guard.close()


def test_id_token_is_no_logout_token(site: OidcSite) -> None:
    """Nor is a logout token an ID token (`test_oidc_refusals`)."""
    site.sign_on()
    facts = {"user": "ann", "client_id": CLIENT, "nonce": "n"}
    assert send(site, site.provider.id_token(facts)).status_code == 400
    assert is_signed_in(site)


# --- an issuer of many accounts ----------------------------------------------------------------------------------

MANY = 400


def add_accounts(site: OidcSite, issuer: str, count: int = MANY) -> list[str]:
    """Store accounts that sign people in with an issuer, all with one client; return their ids."""
    ids = [str(500_000_000_000 + number) for number in range(count)]
    common = {"thumbprints": [], "tags": {}, "created": 0}
    terms = {"client_id": CLIENT, "scopes": ["openid"], "roles": ["role"], "trusts_mfa": False, "created": 0}
    url = issuer.removeprefix("https://")
    with site.store.write_transaction() as records:
        records.insert_all(accounts, [{"id": id, "name": id, "created": 0} for id in ids], ())
        providers = [{"id": f"P{id}", "account": id, "url": url, "client_ids": [CLIENT], **common} for id in ids]
        records.insert_all(oidc_providers, providers, ())
        names = {"name": "Corp", "folded": "corp"}
        sign_ons = [{"id": f"so-{id}", "account": id, "oidc_provider_id": f"P{id}", **names, **terms} for id in ids]
        records.insert_all(sign_on_providers, sign_ons, ())
    site.guard.refresh()
    return ids


@contextmanager
def statements(site: OidcSite) -> Iterator[list[str]]:
    """Record the statements that are sent to the store."""
    store, found = site.guard.store.behind, list[str]()
    assert isinstance(store, SqlStore)
    listener = lambda *arguments: found.append(arguments[2])  # noqa: E731
    event.listen(store.engine, "before_cursor_execute", listener)
    try:
        yield found
    finally:
        event.remove(store.engine, "before_cursor_execute", listener)


@table("issuer", [ISSUER, EVIL])
def test_unsigned_token_costs_the_same_for_any_number_of_accounts(
    tmp_path_factory: pytest.TempPathFactory, issuer: str
) -> None:
    """Of the issuer that it names, or of another one whose accounts have the same client."""
    with serving_provider(OidcProvider()) as provider:
        site = OidcSite(tmp_path_factory.mktemp("site"), provider)
        site.sign_on()  # its keys are cached
        logout = site.guard.people.oidc_logout

        def forged() -> str:
            return provider.logout_token().rpartition(".")[0] + "." + "A" * 86

        def counted() -> tuple[int, float]:
            token = forged()
            with statements(site) as found:
                assert send(site, token).status_code == 400
            return len(found), effort(lambda: logout.read(token))

        send(site, forged())
        few, before = counted()
        add_accounts(site, issuer)
        many, after = counted()
        assert (many, after < 3 * before + 0.5) == (few, True)
        site.guard.close()


def test_logout_ends_sessions_in_all_accounts_of_the_client(site: OidcSite) -> None:
    """With as many statements as for one account, and a record only where something has ended."""
    site.sign_on()
    add_accounts(site, ISSUER)
    with statements(site) as found:
        assert send(site, site.provider.logout_token(sid=None)).status_code == 200
    assert len(found) < 40
    assert not is_signed_in(site)
    ends = [record for record in site.records() if record["eventName"] == "ExitSession"]
    assert [(end["recipientAccountId"], end["additionalEventData"]["EndedSessions"]) for end in ends] == [(ACCOUNT, 1)]
    assert site.provider.count("jwks") == 1
