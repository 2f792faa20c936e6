"""Delete the rows of a closed account in batches, each in a transaction of its own, and then the account.

    closed ──> deleting ──> batches of rows, those before the rows that they depend on ──> the account's own row

A crash leaves an account that is being deleted, without some of its rows: the next call goes on. Several calls at the
same time share the work. The last transaction ends only if no row is left, whatever was added meanwhile.

While an account is being deleted, its credentials and resources are refused by its state, whatever is cached of them.
So a batch invalidates only what other accounts see, and the last transaction what depends on the account. Its id is
never given again: a policy of another account that names it gives nothing, so those that are cached may stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, Table, delete, select, tuple_

from iam_guard.errors import InvalidInput
from iam_guard.model.account import AccountState
from iam_guard.store import schema
from iam_guard.store.accounts.account_rows import is_deleted_id
from iam_guard.store.accounts.account_state_rows import account_state, change_state
from iam_guard.store.database.records import Records
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import accounts, attachments, deleted_accounts, resources, tool_sessions
from iam_guard.store.schema.facts import facts_of

MAX_BATCH: Final = 10_000
"""The largest batch; more rows would keep other writers waiting too long."""
_MAX_RESOURCES: Final = 200
"""Resources of a batch: each is invalidated by its name, and a change has a limited number of names."""
_SHARED_NAMES: Final = ("resource:{arn}", "certificates")
"""What rows of an account invalidate for other accounts, as their tables declare it."""


class _Child(NamedTuple):
    """A table whose rows depend on the rows of another one, by their column `column`."""

    table: Table
    column: Column[Any]


def _children(parent: Table) -> tuple[_Child, ...]:
    """Return the tables whose rows go with those of a table, or have to go before."""
    depends = (
        (table, key.parent)
        for table in schema.metadata.sorted_tables
        for key in sorted(table.foreign_keys, key=lambda key: key.parent.name)
        if key.column.table is parent and (key.ondelete == "CASCADE" or table is attachments)
    )
    return tuple(_Child(table, column) for table, column in depends)


_CHILDREN: Final = {table: _children(table) for table in schema.metadata.sorted_tables}
OWNED: Final = (
    (tool_sessions, tool_sessions.c.person_account),
    *((table, table.c.account) for table in reversed(schema.metadata.sorted_tables) if "account" in table.c),
)
"""The tables whose rows name their account, and the column; those that others depend on come last."""


class DeletedBatch(NamedTuple):
    """The number of rows that a transaction has deleted; the last one has deleted the account's own row."""

    rows: int
    is_last: bool


def begin_deletion(records: Records, id: str, now: int) -> AccountState | None:
    """Begin the deletion of a closed account; return its state before, None if it was deleted already.

    Raises `NoSuchEntity`, `AccountStateConflict`.
    """
    if is_deleted_id(records, id):
        return None
    before = account_state(records, id)
    change_state(records, id, "delete", now)
    return before


def checked_batch(batch: int) -> int:
    """Return the number of rows of a batch back. Raises `InvalidInput`."""
    if not isinstance(batch, int) or isinstance(batch, bool) or not 1 <= batch <= MAX_BATCH:
        raise InvalidInput(f"expected a batch of 1 to {MAX_BATCH} rows", place="batch")
    return batch


def deleted_batches(store: RecordStore, id: str, batch: int, now: Callable[[], int]) -> Iterator[DeletedBatch]:
    """Delete an account whose deletion has begun, one transaction for each batch.

    Ends without a last batch if another call deletes the account's own row. Raises `StoreIsReadOnly`,
    `StoreUnavailable`.
    """
    first, is_last = 0, False
    while not is_last:
        with store.write_transaction() as records:
            if account_state(records, id) is not AccountState.DELETING:
                return
            rows, reached = _delete_rows(records, id, batch, first)
            is_last = not rows and first == 0
            if is_last:
                _delete_own_row(records, id, now())
        first = reached if rows else 0  # from the beginning, until a whole round finds no rows
        yield DeletedBatch(rows + is_last, is_last)


def _delete_rows(records: Records, account: str, batch: int, first: int) -> tuple[int, int]:
    """Delete the next rows, from the table number `first` on; return how many, and the table that was reached."""
    deleted, reached = 0, first
    names: set[str] = set()
    for table, column in OWNED[first:]:
        limit = min(batch - deleted, _MAX_RESOURCES) if table is resources else batch - deleted
        found = _delete(records.connection, table, column == account, limit, names)
        deleted += found
        if found == limit:
            break
        reached += 1
    if deleted:
        records.add_change(names)
    return deleted, reached


def _delete(connection: Connection, table: Table, condition: ColumnElement[bool], limit: int, names: set[str]) -> int:
    """Delete at most `limit` rows that match, each after those that depend on it; return how many.

    Fewer than the limit: none is left.
    """
    key = list(table.primary_key)
    rows = connection.execute(select(*key).where(condition).limit(limit)).all()
    if not rows:
        return 0
    deleted = 0
    for child in _CHILDREN[table]:
        deleted += _delete(connection, child.table, child.column.in_([row[0] for row in rows]), limit - deleted, names)
        if deleted == limit:
            return deleted
    chosen = rows[: limit - deleted]
    is_chosen = key[0].in_([row[0] for row in chosen]) if len(key) == 1 else tuple_(*key).in_(map(tuple, chosen))
    connection.execute(delete(table).where(is_chosen))
    if (name := facts_of(table).on_delete) in _SHARED_NAMES:
        names.update(name.format_map(row._mapping) for row in chosen)
    return deleted + len(chosen)


def _delete_own_row(records: Records, id: str, now: int) -> None:
    records.connection.execute(delete(accounts).where(accounts.c.id == id))
    records.insert(deleted_accounts, id=id, deleted=now)
    of_account = (f"{kind}:{id}" for kind in ("account", "callers", "newcomers", "trust", "salts"))
    records.add_change((*of_account, "trust", "bound"))
