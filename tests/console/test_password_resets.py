"""Links that set a new password: by an administrator, and by e-mail for root users."""

from __future__ import annotations

import queue
from datetime import timedelta

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.person import PersonRef
from iam_guard.console.languages import LANGUAGES, choose_language, texts
from iam_guard.console.sign_in_app import sign_in_pages
from iam_guard.model.request import Call
from iam_guard.store.schema import accounts, password_policies, password_resets
from tests.console.site import ACCOUNT, NEW_PASSWORD, PASSWORD, Site
from tests.passwords import set_password
from tests.tables import table

ADMIN = f"arn:aws:iam::{ACCOUNT}:user/ada"


def link_of(site: Site, name: str = "bob") -> str:
    person = PersonRef(ACCOUNT, is_root=True) if name == "root" else PersonRef(ACCOUNT, name)
    return f"/signin/reset?token={site.guard.people.own_credentials.make_reset(person, ADMIN)}"


def test_link_of_an_administrator_is_used_once(site: Site) -> None:
    link = link_of(site)
    assert site.send(link, new_password="short").status_code == 400  # and the link stays
    assert site.send(link, new_password=NEW_PASSWORD).status_code == 303
    assert site.sign_in("bob", NEW_PASSWORD).status_code == 303
    again = site.send(link, new_password=PASSWORD)
    assert (again.status_code, "no longer valid" in again.text) == (400, True)


def test_link_ends_after_an_hour_and_with_the_next_one(site: Site) -> None:
    first, second = link_of(site), link_of(site)
    assert site.send(first, new_password=NEW_PASSWORD).status_code == 400
    site.now += timedelta(hours=1)
    assert site.send(second, new_password=NEW_PASSWORD).status_code == 400
    assert site.send("/signin/reset?token=made-up", new_password=NEW_PASSWORD).status_code == 400


def test_refused_password_does_not_end_the_link(site: Site) -> None:
    """Nor the sessions, if the password was used before."""
    with site.store.write_transaction() as records:
        kinds = ("Symbols", "Numbers", "UppercaseCharacters", "LowercaseCharacters")
        policy = {f"Require{kind}": False for kind in kinds}
        policy |= {"MinimumPasswordLength": 8, "AllowUsersToChangePassword": True, "PasswordReusePrevention": 1}
        records.insert(password_policies, account=ACCOUNT, policy=policy)
    link = link_of(site)
    site.sign_in("bob")
    assert site.send(link, new_password=PASSWORD).status_code == 400
    assert site.browser.get("/signin/sessions").status_code == 200
    assert site.send(link, new_password=NEW_PASSWORD).status_code == 303


def test_other_new_password_ends_the_link(site: Site) -> None:
    """Otherwise an attacker with access to the mailbox could use it after the person has reacted."""
    link = link_of(site)
    with site.store.write_transaction() as records:
        assert set_password(records, PasswordHasher(8, 1), site.person("bob"), NEW_PASSWORD, 0) is None
    assert site.send(link, new_password=PASSWORD).status_code == 400
    assert site.sign_in("bob", NEW_PASSWORD).status_code == 303


def test_link_does_not_replace_the_second_factor(site: Site) -> None:
    site.sign_in()
    site.enrol()
    site.browser = site.new_browser()
    site.now += timedelta(minutes=2)
    assert site.send(link_of(site, "ada"), new_password=NEW_PASSWORD).status_code == 303
    assert site.sign_in(password=NEW_PASSWORD).headers["location"] == "/signin/mfa"


def test_token_is_stored_as_a_hash(site: Site) -> None:
    token = link_of(site).partition("=")[2]
    with site.store.read_transaction() as records:
        assert token not in str(records.all(password_resets))


# --- by e-mail ---------------------------------------------------------------------------------------------------

Sent = queue.Queue[tuple[str, str]]


@pytest.fixture
def sent(site: Site) -> Sent:
    """Make the browser one of pages that send links, and return what they send."""
    sent: Sent = queue.Queue()
    pages = sign_in_pages(site.guard, send_reset=lambda email, link: sent.put((email, link)))
    app = Starlette(routes=[Mount("/signin", pages)])
    site.browser = TestClient(app, base_url="http://localhost", follow_redirects=False)
    return sent


def test_forgotten_password_of_a_root_user(site: Site, sent: Sent) -> None:
    """The answer is the same for every address; a second link is sent only after some minutes."""
    assert "I have forgotten my password" in site.browser.get("/signin/?type=root").text
    answers = {
        site.send("/signin/forgot", email=email).text
        for email in ("root@acme.example", "root@acme.example", "eve@acme.example", "")
    }
    assert len(answers) == 1
    email, link = sent.get(timeout=60)
    assert email == "root@acme.example"
    assert site.send(link, new_password=NEW_PASSWORD).status_code == 303
    assert sent.empty()
    site.now += timedelta(minutes=6)
    site.send("/signin/forgot", email="root@acme.example")
    assert sent.get(timeout=60)[0] == "root@acme.example"
    site.guard.close()
    requested = [record for record in site.records() if record["eventName"] == "PasswordRecoveryRequested"]
    assert [record["userIdentity"]["arn"] for record in requested] == [f"arn:aws:iam::{ACCOUNT}:root"] * 2


def test_link_goes_to_the_stored_address(site: Site, sent: Sent) -> None:
    """Not to what was typed: another address may be the same in lower case, as one with the Kelvin sign."""
    with site.store.write_transaction() as records:
        records.update(accounts, {"email": "root@kite.example"}, id=ACCOUNT)
    for typed in (" Root@\N{KELVIN SIGN}ite.example ", "ROOT@KITE.EXAMPLE"):
        site.send("/signin/forgot", email=typed)
        assert sent.get(timeout=60)[0] == "root@kite.example"
        site.now += timedelta(minutes=6)


def test_request_of_an_outsider_ends_no_link(site: Site) -> None:
    """Neither an administrator's, nor one that was sent before; an administrator's ends all."""
    links = [link_of(site, "root")]
    for _ in range(2):
        mail = site.guard.people.own_credentials.request_reset("root@acme.example", Call("1"))
        assert mail is not None
        links.append(f"/signin/reset?token={mail.token}")
        site.now += timedelta(minutes=6)
    for link in links:
        refused = site.send(link, new_password="short")
        assert "no longer valid" not in refused.text
    link_of(site, "root")
    for link in links:
        assert "no longer valid" in site.send(link, new_password=NEW_PASSWORD).text


def test_links_are_limited_by_person(site: Site) -> None:
    """However many clients ask: one in five minutes, five a day."""
    start, sent = site.now, 0
    for number in range(200):
        site.now = start + timedelta(minutes=number)
        call = Call("1", source_ip=f"192.0.2.{number}")
        sent += site.guard.people.own_credentials.request_reset("root@acme.example", call) is not None
    assert sent == 5
    site.now = start + timedelta(days=1)
    assert site.guard.people.own_credentials.request_reset("root@acme.example", Call("1", source_ip="192.0.2.255"))


@pytest.mark.parametrize(
    ("other", "is_same"),
    [
        ("192.0.2.7", True),
        ("::ffff:192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8:0:1::1", False),
    ],
)
def test_links_are_limited_by_address(site: Site, other: str, is_same: bool) -> None:
    """Requests of one client for any addresses, known or not, in an hour."""

    def request(email: str, address: str) -> bool:
        return site.guard.people.own_credentials.request_reset(email, Call("1", source_ip=address)) is not None

    for number in range(20):
        assert not request(f"eve{number}@acme.example", "192.0.2.7")
    assert not request("root@acme.example", "192.0.2.7")
    assert request("root@acme.example", other) is not is_same
    site.now += timedelta(hours=1)
    assert request("root@acme.example", "192.0.2.7")


def test_without_a_sender_there_is_no_such_page(site: Site) -> None:
    assert site.browser.get("/signin/forgot").headers["location"] == "/signin/"
    assert "forgotten" not in site.browser.get("/signin/?type=root").text


# --- languages ---------------------------------------------------------------------------------------------------


def test_languages_have_the_same_texts() -> None:
    keys = {language: list(texts(language)) for language in LANGUAGES}
    assert keys["en"] == keys["de"]
    assert all(all(texts(language).values()) for language in LANGUAGES)


@table(
    ("accepted", "preferred", "language"),
    [
        ("", "", "en"),
        ("de", "", "de"),
        ("de-AT, en;q=0.5", "", "de"),
        ("fr, de;q=0.2, en;q=0.1", "", "de"),
        ("en, de", "", "en"),
        ("de;q=0, en", "", "en"),
        ("de;q=x", "", "en"),
        ("*", "", "en"),
        ("en", "de", "de"),
        ("en", "xx", "en"),
    ],
)
def test_language_is_chosen(accepted: str, preferred: str, language: str) -> None:
    assert choose_language(accepted, preferred) == language
