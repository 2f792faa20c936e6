"""Which rows of the store are a person's.

Each table declares whose its rows are, and what of them the person may see (`schema.facts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from iam_guard.store import schema
from iam_guard.store.database.records import Records, Row, Table, row_arn
from iam_guard.store.identifiers import root_arn
from iam_guard.store.schema.facts import facts_of


@dataclass(frozen=True, slots=True)
class StoredPerson:
    """A user, or the root user of an account, for whom `id` and `name` are None."""

    account: str
    arn: str
    id: str | None = None
    name: str | None = None

    @classmethod
    def of_user(cls, partition: str, row: Row) -> StoredPerson:
        """Return the user in a row of `identities`."""
        return cls(row["account"], row_arn(partition, row), row["id"], row["name"])

    @classmethod
    def of_root(cls, partition: str, account: str) -> StoredPerson:
        return cls(account, root_arn(partition, account))


PERSONAL_TABLES: Final[Mapping[str, Table]] = {
    name: schema.metadata.tables[name]
    for name in """
        access_key_uses federated_sessions access_keys api_keys former_passwords login_profiles mfa_devices passkeys
        recovery_codes password_resets browser_sessions tool_sessions signing_certificates ssh_keys service_credentials
        service_uses memberships inline_policies attachments identities
    """.split()
}
"""The tables with an owner, in the order in which their rows are exported and erased."""


def conditions_of(records: Records, person: StoredPerson, table: Table) -> list[dict[str, Any]]:
    """Return the conditions of a person's rows in a table with an owner; a row matches one of them."""
    of_person = {"account": person.account, "user_id": person.id}
    match facts_of(table).owner:
        case "person":
            return [of_person]
        case "access key":
            [column] = (key.parent.name for key in table.foreign_keys if key.column.table is schema.access_keys)
            return [{column: records.values_of(schema.access_keys, "id", **of_person)}]
        case "device":
            return [of_person if person.id is not None else {"account": person.account, "for_root": True}]
        case "password":
            return [{"owner": person.id or person.account}]
        case "tool":  # the sessions of the person, and those of roles that it approved
            approved = {"person_account": person.account, "person_id": person.id}
            return [approved] if person.id is None else [approved, {"identity_id": person.id}]
        case column:
            return [] if person.id is None else [{str(column): person.id}]
