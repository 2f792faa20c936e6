"""The people who can sign in: the root user of an account, by its e-mail address, and users, by account and name.

A person whose user or account is gone is found by neither `find_person` nor `load_person`. `session_admission` alone
decides who gets a session.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

from iam_guard.errors import AccessDenied, InvalidInput, NoSuchEntity
from iam_guard.model.arn import Arn, is_account_id
from iam_guard.model.credential import BrowserSession
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.store.database.records import PRESENT, Records, Row, row_arn
from iam_guard.store.identifiers import PREFIXES, derived_id, fold, iam_arn, root_arn
from iam_guard.store.schema import accounts, identities, login_profiles

_IDENTITY: Final = ("id", "account", "kind", "path", "name")


@dataclass(frozen=True, slots=True)
class PersonRef:
    """Names a person who signs in: a user of an account (12 digits), by its name, or with `is_root` the root user.

    Raises `InvalidInput` unless it is either of them, so that a missing name never names the root user.
    """

    account: str
    user: str | None = None
    is_root: bool = False

    def __post_init__(self) -> None:
        if self.is_root == (self.user is not None):
            raise InvalidInput("expected either the name of a user or `is_root`")


@dataclass(frozen=True, slots=True)
class Person:
    """A root user or a user. `user_id` and `name` are None for a root user.

    Raises `InvalidInput` for parts that contradict each other, such as the ARN of a user without its id.
    """

    account: str
    arn: str
    user_id: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        arn = Arn.parse(self.arn)
        if self.user_id is None and self.name is None:
            is_named = arn.resource == "root"
        else:
            kind, _, path = arn.resource.partition("/")
            is_named = bool(self.user_id and self.name) and (kind, path.rpartition("/")[2]) == ("user", self.name)
        if not is_named or (arn.service, arn.region, arn.account) != ("iam", "", self.account):
            message = "expected the ARN of a root user, or that of a user with its id and name, in its account"
            raise InvalidInput(f"{message}, got `{self.arn[:200]}`")

    @property
    def owner(self) -> str:
        """What the person's login profile is stored under: the unique id of the user, or the account."""
        return self.user_id or self.account

    @property
    def where(self) -> dict[str, Any]:
        """The condition of the rows of what the person has, such as sessions."""
        return {"account": self.account, "user_id": self.user_id}

    def principal(self) -> Principal:
        """Return the person as a caller, without credential and session keys."""
        if self.user_id is None:
            return Principal(PrincipalType.ROOT, self.arn, self.account, userid=self.account)
        return Principal(PrincipalType.USER, self.arn, self.account, userid=self.user_id)


def find_person(
    records: Records, partition: str, *, email: str | None = None, account: str = "", name: str = ""
) -> Person | None:
    """Return the root user with an e-mail address, or the user of an account, by its id or alias, with a name.

    Names are compared with their case; an e-mail address or alias is found in any. None if no person has it, or several
    accounts have the address.
    """
    if email is not None:
        found = records.all(accounts, columns=("id",), email=email.strip().lower())
        return root_of(partition, found[0]["id"]) if len(found) == 1 else None
    owner = account_named(records, account)
    owner_id = "" if owner is None else owner["id"]  # an unknown account takes the same statements
    found = records.all(identities, columns=_IDENTITY, account=owner_id, kind="user", folded=fold(name))
    return user_of(partition, found[0]) if found and found[0]["name"] == name else None


def stand_in(records: Records, partition: str, *, email: str | None, account: str) -> Person:
    """Return a person that does not exist, in the account that was named, if it exists.

    Its rows are looked for like those of a person, so that an unknown name takes the same statements as a known one.
    """
    if email is not None:
        return root_of(partition, "")
    owner = account_named(records, account)
    owner_id = "" if owner is None else owner["id"]
    return Person(owner_id, iam_arn(partition, owner_id, "user", "/", "unknown"), "unknown", "unknown")


def similar_digest(records: Records, *, email: str | None, account: str, name: str) -> str | None:
    """Return the password digest of a person whom a typed name selects, for its cost; None without a password.

    A name that no person has must cost what names of people do, and these differ where digests were imported, or the
    settings have changed. So each name selects a person of the account that was named, or of one that it selects, too,
    and has its cost: as often a high one as those of people.
    """
    selected = records.sample(accounts, "id", _selected_number(account if email is None else email.strip().lower()))
    owner = selected if email is not None else account_named(records, account) or selected
    owner_id = "" if owner is None else owner["id"]
    if email is not None:
        rows = records.all(login_profiles, owner=owner_id)  # not `one`, which is cached for some names
        return str(rows[0]["digest"]) if rows else None
    least = derived_id(PREFIXES["user"], f"{account}/{name}")
    found = records.sample(login_profiles, "owner", least, account=owner_id, user_id=PRESENT)
    return None if found is None else str(found["digest"])


def _selected_number(text: str) -> str:
    """Return twelve digits for a text, as an account has."""
    return f"{int.from_bytes(hashlib.sha256(text.encode('utf-8', 'replace')).digest()) % 10**12:012}"


def account_named(records: Records, named: str) -> Row | None:
    """Return the row of an account that is named by its id or alias."""
    name = named.strip().lower()
    return records.one(accounts, **{"id" if is_account_id(name) else "alias": name})


def load_person(records: Records, partition: str, account: str, user_id: str | None) -> Person | None:
    """Return the person of a stored row; None if it was deleted."""
    if user_id is None:
        row = records.one(accounts, id=account)
        return None if row is None else root_of(partition, account)
    row = records.one(identities, id=user_id, account=account, kind="user")
    return None if row is None else user_of(partition, row)


def person_named(records: Records, partition: str, named: PersonRef) -> Person:
    """Return the person with a name; names are compared with their case. Raises `NoSuchEntity`."""
    found = load_person(records, partition, named.account, None)
    if found is None:
        raise NoSuchEntity(f"the account {named.account[:64]} does not exist")
    if named.user is not None:
        found = find_person(records, partition, account=named.account, name=named.user)
    if found is None:
        raise NoSuchEntity(f"the user `{(named.user or '')[:64]}` does not exist in the account {named.account}")
    return found


def person_of(session: BrowserSession) -> Person:
    """Return the person who acts in a session.

    Raises `AccessDenied` if it has switched to a role, which can't change what belongs to the person.
    """
    if session.role is not None:
        raise AccessDenied("A role can't do this for the person who switched to it.")
    return owner_of(session)


def owner_of(session: BrowserSession) -> Person:
    """Return the person who signed in to a session, whatever role it has switched to.

    Raises `AccessDenied` if no stored person did, but a role or federated user.
    """
    if session.federation is not None:
        raise AccessDenied("The session belongs to no user of an account.")
    return person_of_caller(session.person)


def person_of_caller(principal: Principal) -> Person:
    """Return the person that a user or root user is. Raises `AccessDenied` for any other principal."""
    if principal.type not in (PrincipalType.ROOT, PrincipalType.USER):
        raise AccessDenied("The caller is no user of an account.")
    account = principal.account or ""
    if principal.type is PrincipalType.ROOT:
        return Person(account, principal.arn)
    return Person(account, principal.arn, principal.userid, principal.name)


def root_of(partition: str, account: str) -> Person:
    """Return the root user of an account."""
    return Person(account, root_arn(partition, account))


def user_of(partition: str, row: Row) -> Person:
    """Return the user in a row of `identities`."""
    return Person(row["account"], row_arn(partition, row), row["id"], row["name"])
