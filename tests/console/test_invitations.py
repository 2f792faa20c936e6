"""Links with which invited users choose their first password."""

from __future__ import annotations

from datetime import timedelta

import pytest

from iam_guard.authn.people.passwords.stored_passwords import delete_password
from iam_guard.authn.people.person import PersonRef
from iam_guard.errors import EntityAlreadyExists, InvalidInput
from iam_guard.store.accounts.account_state_rows import change_state
from iam_guard.store.schema import login_profiles, password_resets
from tests.console.site import ACCOUNT, NEW_PASSWORD, PASSWORD, Site
from tests.passwords import ref_of
from tests.tables import table

ADMIN = f"arn:aws:iam::{ACCOUNT}:user/ada"


def link_of(site: Site, name: str) -> str:
    return f"/signin/reset?token={site.guard.people.own_credentials.make_invitation(PersonRef(ACCOUNT, name), ADMIN)}"


@pytest.fixture
def site(site: Site) -> Site:
    """Return the site, with a user who has no password."""
    with site.store.write_transaction() as records:
        delete_password(records, site.person("bob"))
    return site


def test_invited_user_chooses_the_first_password_once(site: Site) -> None:
    link = link_of(site, "bob")
    page = site.browser.get(link)
    assert "Choose your password" in page.text
    assert f"as bob, in the account {ACCOUNT}" in page.text
    assert site.send(link, new_password="short").status_code == 400  # and the link stays
    answer = site.send(link, new_password=NEW_PASSWORD)
    assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/signin/")
    form = site.browser.get(answer.headers["location"]).text
    assert f'value="{ACCOUNT}"' in form
    assert 'value="bob"' in form
    assert site.sign_in("bob", NEW_PASSWORD).status_code == 303
    again = site.send(link, new_password=PASSWORD)
    assert (again.status_code, "no longer valid" in again.text) == (400, True)


def test_invitation_ends_after_a_week_and_with_the_next_one(site: Site) -> None:
    first, second = link_of(site, "bob"), link_of(site, "bob")
    assert site.send(first, new_password=NEW_PASSWORD).status_code == 400
    site.now += timedelta(days=7) - timedelta(seconds=1)
    assert "as bob" in site.browser.get(second).text
    site.now += timedelta(seconds=1)
    assert site.send(second, new_password=NEW_PASSWORD).status_code == 400


def test_invitation_is_recorded_without_its_link(site: Site) -> None:
    token = link_of(site, "bob").rpartition("=")[2]
    trail = (site.folder / "audit.jsonl").read_text(encoding="utf-8")
    assert '"CreateInvitationLink"' in trail
    assert token not in trail
    with site.store.read_transaction() as records:
        assert token not in str(records.all(password_resets))


@table("name, error", [("ada", EntityAlreadyExists), ("root", InvalidInput)])
def test_only_users_without_a_password_are_invited(site: Site, name: str, error: type[Exception]) -> None:
    person = site.root() if name == "root" else site.person(name)
    with pytest.raises(error):
        site.guard.people.own_credentials.make_invitation(ref_of(person), ADMIN)


def test_root_user_without_a_password_is_not_invited(site: Site) -> None:
    with site.store.write_transaction() as records:
        delete_password(records, site.root())
    with pytest.raises(InvalidInput):
        site.guard.people.own_credentials.make_invitation(PersonRef(ACCOUNT, is_root=True), ADMIN)


def test_invitation_is_void_for_a_user_with_a_password(site: Site) -> None:
    """Whatever gave it to the user: the link must not replace it."""
    link = link_of(site, "bob")
    with site.store.write_transaction() as records:
        values = {"digest": "x", "is_long": True, "changed": 1, "created": 1, "reset_required": False}
        records.insert(login_profiles, owner=site.person("bob").owner, **site.person("bob").where, **values)
    assert site.send(link, new_password=NEW_PASSWORD).status_code == 400


def test_reset_link_does_not_become_an_invitation(site: Site) -> None:
    link = site.reset_link("ada")
    with site.store.write_transaction() as records:
        records.delete(login_profiles, owner=site.person("ada").owner)  # as an older process might, links stay
    assert site.send(link, new_password=NEW_PASSWORD).status_code == 400


def test_invitation_is_void_while_the_account_is_suspended(site: Site) -> None:
    link = link_of(site, "bob")
    with site.store.write_transaction() as records:
        change_state(records, ACCOUNT, "suspend", int(site.now.timestamp()))
    assert site.send(link, new_password=NEW_PASSWORD).status_code == 400
