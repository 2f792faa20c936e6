"""What rows of an import are compared with and refer to: users, groups and managed policies of the store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from iam_guard.administration.user_rows import UserRow
from iam_guard.store.database.records import Records, Row
from iam_guard.store.identifiers import AWS_MANAGED, Kind, fold, iam_arn
from iam_guard.store.schema import api_keys, attachments, identities, login_profiles, memberships, policies


class ExistingUser(NamedTuple):
    """A user of the store, with what is compared."""

    row: Row
    groups: set[str]
    policies: set[str]
    keys: dict[str, bytes]
    has_password: bool


class References:
    """The groups and managed policies that rows refer to, as far as they exist.

    `groups` maps folded names to ids, `policies` names and ARNs as written; a name is one of the account's own policy
    before one of AWS's.
    """

    def __init__(self, records: Records, partition: str, account: str, users: Iterable[UserRow]) -> None:
        groups = {fold(name) for user in users for name in user.groups}
        texts = {text for user in users for text in (*user.attached, user.boundary) if text is not None}
        where = {"account": account, "kind": Kind.GROUP.value, "folded": sorted(groups)}
        found = records.all(identities, columns=("id", "folded"), **where) if groups else []
        self.groups: dict[str, str] = {row["folded"]: row["id"] for row in found}
        self.policies: dict[str, str] = {}
        folded = sorted({fold(text.rpartition("/")[2]) for text in texts})
        columns = ("id", "account", "path", "name", "folded")
        for owner in (AWS_MANAGED, account) if texts else ():
            for row in records.all(policies, columns=columns, account=owner, folded=folded):
                arn = iam_arn(partition, owner, "policy", row["path"], row["name"])
                for text in texts:
                    if text == arn or ("/" not in text and fold(text) == row["folded"]):
                        self.policies[text] = row["id"]


def users_named(records: Records, account: str, names: Sequence[str], columns: Sequence[str]) -> list[Row]:
    return records.all(identities, columns=columns, account=account, kind=Kind.USER.value, folded=names)


def load_existing(records: Records, account: str, users: Sequence[UserRow]) -> dict[str, ExistingUser]:
    """Return the users of the rows that exist, by folded name."""
    columns = ("id", "name", "folded", "path", "tags", "boundary_id")
    found = users_named(records, account, [user.folded for user in users], columns)
    if not found:
        return {}
    ids = [row["id"] for row in found]
    existing = {row["id"]: ExistingUser(row, set(), set(), {}, False) for row in found}
    for row in records.all(memberships, user_id=ids):
        existing[row["user_id"]].groups.add(row["group_id"])
    for row in records.all(attachments, identity_id=ids):
        existing[row["identity_id"]].policies.add(row["policy_id"])
    if any(user.needs_key or user.key is not None for user in users):
        for row in records.all(api_keys, columns=("id", "identity_id", "digest"), identity_id=ids):
            existing[row["identity_id"]].keys[row["id"]] = bytes(row["digest"])
    if any(user.password_digest is not None for user in users):
        for row in records.all(login_profiles, columns=("owner",), owner=ids):
            existing[row["owner"]] = existing[row["owner"]]._replace(has_password=True)
    return {found.row["folded"]: found for found in existing.values()}


def differences_of(user: UserRow, found: ExistingUser, references: References) -> Iterator[str]:
    """Yield the keys of a row in which the user differs."""
    row = found.row
    for key, value in (("name", user.name), ("path", user.path), ("tags", user.tags)):
        if row[key] != value:
            yield key
    if {references.groups.get(fold(name)) for name in user.groups} != found.groups:
        yield "groups"
    if {references.policies.get(text) for text in user.attached} != found.policies:
        yield "attached"
    if (user.boundary and references.policies.get(user.boundary, "")) != row["boundary_id"]:
        yield "boundary"
    if (user.needs_key and not found.keys) or (user.key and found.keys.get(user.key.id) != user.key.digest):
        yield "api_key"
    if user.password_digest is not None and not found.has_password:
        yield "password_digest"


def invalid_reference(user: UserRow, groups: Collection[str], policies: Collection[str]) -> list[str]:
    """Return what a row refers to that does not exist, given what does."""
    missing = [f"the group `{name[:200]}` does not exist" for name in user.groups if fold(name) not in groups]
    references = [*user.attached, *([] if user.boundary is None else [user.boundary])]
    return missing + [f"no managed policy `{text[:200]}`" for text in references if text not in policies]
