"""Advisory: a page that made a reset link for a user handed out the root user's.

`own_credentials.make_reset` took a `Person`, and one without `user_id` was the root user, whatever its ARN said. So a
page that built it from a user's ARN gave that user a link to the password of the root user. A person whose parts
contradict each other can't be made now, and what an application calls takes the name of a person: a `PersonRef`, which
names the root user only with `is_root`.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from iam_guard.authn.people.person import Person, PersonRef
from iam_guard.errors import InvalidInput, NoSuchEntity
from iam_guard.store.schema import browser_sessions, identities, password_resets
from tests.console.conftest import site as site  # a fixture
from tests.console.site import ACCOUNT, Site
from tests.tables import table

OTHER = "444455556666"
BOB = f"arn:aws:iam::{ACCOUNT}:user/bob"
ADMIN = f"arn:aws:iam::{ACCOUNT}:user/ada"


@table(
    "parts",
    [
        (ACCOUNT, BOB),
        (ACCOUNT, BOB, None, "bob"),
        (ACCOUNT, BOB, "AIDABOB"),
        (ACCOUNT, BOB, "AIDABOB", "ada"),
        (ACCOUNT, BOB, "", "bob"),
        (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:user/team/bob", "AIDABOB", "team/bob"),
        (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "AIDABOB", "bob"),
        (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", None, "bob"),
        (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "AIDABOB"),
        (OTHER, f"arn:aws:iam::{ACCOUNT}:root"),
        (OTHER, BOB, "AIDABOB", "bob"),
        (ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/bob", "AIDABOB", "bob"),
        (ACCOUNT, f"arn:aws:sts::{ACCOUNT}:user/bob", "AIDABOB", "bob"),
        (ACCOUNT, f"arn:aws:iam:us-east-1:{ACCOUNT}:user/bob", "AIDABOB", "bob"),
        (ACCOUNT, "bob", "AIDABOB", "bob"),
        (ACCOUNT, ""),
    ],
)
def test_person_that_contradicts_itself_is_refused(parts: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInput):
        Person(*parts)


@pytest.mark.parametrize("partition", ["aws", "aws-cn"])
def test_person_whose_parts_agree_is_accepted(partition: str) -> None:
    Person(ACCOUNT, f"arn:{partition}:iam::{ACCOUNT}:root")
    Person(ACCOUNT, f"arn:{partition}:iam::{ACCOUNT}:user/team/bob", "AIDABOB", "bob")


USES: dict[str, Callable[[Site, PersonRef], object]] = {
    "make_reset": lambda site, person: site.guard.people.own_credentials.make_reset(person, ADMIN),
    "make_invitation": lambda site, person: site.guard.people.own_credentials.make_invitation(person, ADMIN),
    "list": lambda site, person: site.guard.people.account_sessions.list(person),
    "end_all": lambda site, person: site.guard.people.account_sessions.end_all(person),
}


@pytest.mark.parametrize("use", USES)
def test_person_that_the_store_does_not_have_is_refused(site: Site, use: str) -> None:
    """In another letter case, by an ARN or an alias, deleted, or of another account than the one that is named."""
    site.sign_in("ada")
    site.sign_in("bob")
    with site.store.write_transaction() as records:
        records.delete(identities, id=site.person("bob").user_id)
    names = ["BOB", "Ada", "bob", ADMIN, "", "root", ACCOUNT, "unknown"]
    unknown = [*(PersonRef(ACCOUNT, name) for name in names), PersonRef(OTHER, "ada"), PersonRef(OTHER, is_root=True)]
    unknown += [PersonRef(account, "ada") for account in ("acme", "", f"{ACCOUNT} ", "AIDABOB")]
    for person in unknown:
        with pytest.raises(NoSuchEntity):
            USES[use](site, person)
    with site.store.read_transaction() as records:
        assert (records.count(browser_sessions), records.count(password_resets)) == (1, 0)


def test_missing_name_does_not_name_the_root_user() -> None:
    """As a page passes the name of a role session, which is None."""
    for options in ({}, {"user": None}, {"user": "bob", "is_root": True}, {"user": "", "is_root": True}):
        with pytest.raises(InvalidInput, match="expected either the name of a user or `is_root`"):
            PersonRef(ACCOUNT, **options)


def test_link_that_is_made_in_python_is_recorded(site: Site) -> None:
    """As the command records it: without the link, and with who asked for it."""
    token = site.guard.people.own_credentials.make_reset(PersonRef(ACCOUNT, "bob"), ADMIN)
    site.guard.close()
    text = (site.folder / "audit.jsonl").read_text()
    [event] = [record for record in map(json.loads, text.splitlines()) if record["eventName"] == "CreateResetLink"]
    assert event["requestParameters"] == {"accountId": ACCOUNT, "userName": "bob", "madeBy": ADMIN}
    assert event["recipientAccountId"] == ACCOUNT
    assert token not in text
