"""Advisory: a root password that was deleted centrally came back by e-mail.

An organization deletes the root passwords of its accounts, so that only its management account acts there as root. But
`/signin/forgot` mailed a link to the root user's address all the same, and the link made a new login profile. Now a
link replaces a password: a person without one gets no link, on any path, and a link ends with its password.
"""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from iam_guard.authn.people.passwords.passwords import PasswordHasher
from iam_guard.authn.people.passwords.stored_passwords import delete_password
from iam_guard.authn.people.person import Person
from iam_guard.cli import main
from iam_guard.errors import NoSuchEntity
from iam_guard.model.request import Call
from iam_guard.store.schema import login_profiles, password_resets
from tests.console.conftest import site as site  # a fixture
from tests.console.site import ACCOUNT, NEW_PASSWORD, PASSWORD, Site
from tests.passwords import ref_of, set_password

ADMIN, ROOT_EMAIL = f"arn:aws:iam::{ACCOUNT}:user/ada", "root@acme.example"


def without_password(site: Site, person: Person) -> None:
    with site.store.write_transaction() as records:
        delete_password(records, person)


def links(site: Site) -> int:
    with site.store.read_transaction() as records:
        return records.count(password_resets)


def test_address_of_a_root_user_without_a_password_gets_no_link(site: Site) -> None:
    without_password(site, site.root())
    own = site.guard.people.own_credentials
    assert own.request_reset(ROOT_EMAIL, Call("1")) is None
    assert links(site) == 0
    with site.store.write_transaction() as records:
        assert set_password(records, PasswordHasher(8, 1), site.root(), PASSWORD, 0) is None
    assert own.request_reset(ROOT_EMAIL, Call("1")) is not None


@pytest.mark.parametrize("name", ["root", "bob"])
def test_person_without_a_password_gets_no_link(site: Site, name: str) -> None:
    """In Python, and by the command."""
    person = site.root() if name == "root" else site.person(name)
    without_password(site, person)
    with pytest.raises(NoSuchEntity, match="has no password"):
        site.guard.people.own_credentials.make_reset(ref_of(person), ADMIN)
    options = ["--root"] if name == "root" else ["--user", name]
    store = ["--store", f"sqlite:///{site.folder}/iam.db"]
    assert CliRunner().invoke(main, ["account", "reset-link", ACCOUNT, *options, *store]).exit_code == 2
    assert links(site) == 0


@pytest.mark.parametrize("name", ["root", "bob"])
def test_link_makes_no_password_for_a_person_without_one(site: Site, name: str) -> None:
    """Not even one whose row is left: it must not depend on that the row was deleted."""
    person, own = site.root() if name == "root" else site.person(name), site.guard.people.own_credentials
    token = own.make_reset(ref_of(person), ADMIN)
    with site.store.write_transaction() as records:
        records.delete(login_profiles, owner=person.owner)
    assert links(site) == 1
    assert own.reset_password(token, NEW_PASSWORD, Call("1")) == "reset_over"
    with site.store.read_transaction() as records:
        assert records.one(login_profiles, owner=person.owner) is None
