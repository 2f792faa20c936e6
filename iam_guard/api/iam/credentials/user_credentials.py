"""Credentials that are created, listed, deactivated and deleted alike: one row per kind (R-3, R-10).

Their owner is a user, or the root user, which is None here: it has no row among the identities, so its credentials have
NULL as user id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.authorization_targets import USER
from iam_guard.api.iam.entities import identity_arn, require_row
from iam_guard.api.operation import KeySource, Operation
from iam_guard.api.paging import page_of_table
from iam_guard.authn.people.person import Person
from iam_guard.errors import InvalidInput
from iam_guard.store.database.records import Row, Table


def owner_id(owner: Row | None) -> str | None:
    """Return the value for `user_id`: the user's unique id, None for the root user."""
    return None if owner is None else owner["id"]


def owner_name(call: ServiceCall, owner: Row | None) -> str:
    """Return the output's `UserName`; for the root user, the account's name."""
    name: str = (call.account_value("name") or "") if owner is None else owner["name"]
    return name


def owner_person(call: ServiceCall, owner: Row | None) -> Person:
    """Return the owner as a person who can sign in."""
    if owner is None:
        return Person(call.account, call.root_arn)
    return Person(call.account, identity_arn(call, owner), owner["id"], owner["name"])


class CredentialKind(NamedTuple):
    """A kind of credential: its table, how to find its owner, AWS's message for a missing one, and its output members.

    Those are the members with the id and with the time of creation, and further ones with their columns.
    """

    table: Table
    find_owner: Callable[[ServiceCall, Input], Row | None]
    missing: str
    member: str
    created: str
    columns: Mapping[str, str] = {}


def insert_credential(call: ServiceCall, kind: CredentialKind, owner: Row | None, id: str, **columns: Any) -> Row:
    """Insert an active credential, and return its row."""
    common = {**_of_owner(call, kind, owner), "status": "Active", "created": call.now}
    call.records.insert(kind.table, id=id, **common, **columns)
    return load_credential(call, kind, owner, id)


def describe_credential(kind: CredentialKind, row: Row, name: str) -> Output:
    """Describe a credential as lists do; `name` is its owner's."""
    common = {"UserName": name, kind.member: row["id"], "Status": row["status"], kind.created: instant(row["created"])}
    return common | {member: row[column] for member, column in kind.columns.items()}


def load_credential(call: ServiceCall, kind: CredentialKind, owner: Row | None, id: str) -> Row:
    """Find a credential of the owner. Raises `NoSuchEntity`."""
    row = call.records.one(kind.table, id=id, **_of_owner(call, kind, owner))
    return require_row(row, kind.missing.format(id))


def list_operation(kind: CredentialKind, member: str) -> Operation:
    """Return the operation that lists the credentials of one owner, sorted by id."""

    def list_credentials(call: ServiceCall, parameters: Input) -> Output:
        owner = kind.find_owner(call, parameters)
        page = page_of_table(call, parameters, kind.table, ("id",), **_of_owner(call, kind, owner))
        name = owner_name(call, owner)
        return {member: [describe_credential(kind, row, name) for row in page.rows], **page.members}

    return Operation(list_credentials, USER, reads=True)


def change_operations(entity: str, kind: CredentialKind, *keys: KeySource) -> dict[str, Operation]:
    """Return the operations that activate or deactivate a credential, and delete it; both take effect at once."""

    def update_status(call: ServiceCall, parameters: Input) -> None:
        row = load_credential(call, kind, kind.find_owner(call, parameters), parameters[kind.member])
        if parameters["Status"] == "Expired":
            raise InvalidInput("The status Expired cannot be set.", place="Status")
        call.records.update(kind.table, {"status": parameters["Status"]}, id=row["id"])

    def delete(call: ServiceCall, parameters: Input) -> None:
        row = load_credential(call, kind, kind.find_owner(call, parameters), parameters[kind.member])
        call.records.delete(kind.table, id=row["id"])

    return {f"Update{entity}": Operation(update_status, USER, keys), f"Delete{entity}": Operation(delete, USER, keys)}


def _of_owner(call: ServiceCall, kind: CredentialKind, owner: Row | None) -> dict[str, Any]:
    """Return the conditions on the owner's rows; the table of SSH keys, which only users have, has no account."""
    account = {"account": call.account} if "account" in kind.table.c else {}
    return {**account, "user_id": owner_id(owner)}
