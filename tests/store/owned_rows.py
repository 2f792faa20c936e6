"""Rows of accounts in every table of the store, made from the schema: also in tables that are added later."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Column, Connection, Integer, LargeBinary, Table, select

from iam_guard.store import schema

SHARED = frozenset(
    "meta changes deleted_accounts used_tokens sign_in_failures organizations units control_policies".split()
)
"""Tables whose rows belong to no account."""
OWNED = [table for table in schema.metadata.sorted_tables if table.name not in SHARED]
_VALUES = {"status": "Active", "kind": "user", "type": "SCP", "state": "active"}
"""Values that check constraints demand."""


def insert_rows(connection: Connection, account: str) -> None:
    """Insert a row of the account into every table that has rows of accounts, and what these refer to."""
    rows: dict[str, dict[str, Any]] = {"accounts": {"id": account}}
    for table in schema.metadata.sorted_tables:
        if table.name in ("meta", "changes", "deleted_accounts", "used_tokens", "sign_in_failures"):
            continue
        row = {column.name: _value(table, column, account, rows) for column in table.columns}
        rows[table.name] = row
        connection.execute(table.insert().values(row))


def rows_of(connection: Connection, account: str) -> dict[str, int]:
    """Return the number of rows with a value of this account, in each table that has some."""
    found = {}
    for table in OWNED:
        rows = connection.execute(select(table)).all()
        count = sum(any(account in str(value) for value in row) for row in rows)
        found |= {table.name: count} if count else {}
    return found


def _value(table: Table, column: Column[Any], account: str, rows: dict[str, dict[str, Any]]) -> Any:
    if table.name == "accounts" and column.name == "id":
        return account
    if column.name in ("account", "person_account"):
        return account
    if column.name == "management_account":
        return f"9{account[1:]}"  # another one: it can't be closed
    for key in column.foreign_keys:
        if key.column.table is table or (column.name == "unit_id" and column.nullable):  # an attachment has one target
            return None
        return rows[key.column.table.name][key.column.name]
    if column.name in _VALUES:
        return _VALUES[column.name]
    match column.type:
        case Boolean():
            return False
        case Integer() | BigInteger():
            return 1
        case JSON():
            return {}
        case LargeBinary():
            return b"x"
    text = f"{account}-{table.name}-{column.name}"
    length = getattr(column.type, "length", None)
    return text if length is None else text[:length]
