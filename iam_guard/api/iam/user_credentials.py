"""Credentials of a user or the root user that are listed, deactivated and deleted alike: one row per kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.authorization_targets import USER
from iam_guard.api.iam.credential_owners import owner_id, owner_name
from iam_guard.api.iam.entities import require_row
from iam_guard.api.operation import Handler, KeySource, Operation
from iam_guard.api.paging import page_of_table
from iam_guard.errors import InvalidInput
from iam_guard.store.records import Row, Table


class CredentialKind(NamedTuple):
    """A kind of credential: table, member with the id, AWS's message for a missing one, and how to find the owner."""

    table: Table
    member: str
    missing: str
    find_owner: Callable[[ServiceCall, Input], Row | None]


def load_credential(call: ServiceCall, kind: CredentialKind, owner: Row | None, id: str) -> Row:
    """Find a credential of the owner. Raises `NoSuchEntity`."""
    row = call.records.one(kind.table, id=id, **_of_owner(call, kind, owner))
    return require_row(row, kind.missing.format(id))


def list_credentials(kind: CredentialKind, member: str, describe: Callable[[Row, str], Output]) -> Handler:
    """Return the handler that lists the credentials of one owner, sorted by id."""

    def list_credentials(call: ServiceCall, parameters: Input) -> Output:
        owner = kind.find_owner(call, parameters)
        page = page_of_table(call, parameters, kind.table, ("id",), **_of_owner(call, kind, owner))
        name = owner_name(call, owner)
        return {member: [describe(row, name) for row in page.rows], **page.members}

    return list_credentials


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
