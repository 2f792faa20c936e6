"""The change feed: each transaction that changes the store records its epoch and what it invalidates (rule T-9).

A process reads the changes since its last known state, and invalidates only what they name (`invalidation`). It must
invalidate everything if the feed does not lead from that state to the present one: rows are missing (the feed is
trimmed), or the store has another history (a restored backup, another file, a replica that is behind). Each change has
a random mark, so that an epoch that occurs in both histories is not mistaken for the same state.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

from sqlalchemy import BigInteger, ColumnElement, Connection, bindparam, case, extract, func, select
from sqlalchemy import cast as cast_to

from iam_guard.store.database.sqlite import FILE
from iam_guard.store.schema import changes, meta

KEPT: Final = 5_000
"""Number of latest changes that the feed keeps; a process that is further behind invalidates everything."""
_TRIM_EVERY: Final = 256
CHANNEL: Final = "iam_guard_changes"
"""PostgreSQL's channel for notifications: each transaction that changes a store of the database sends one."""
EVERYTHING: Final = "*"
"""The name of everything that can be cached."""

DropReason: TypeAlias = Literal["first", "change", "gap", "history"]
"""Why everything is invalid: no state was known before, a change affects everything, rows of the feed are missing, or
the store has another history than the known state."""


class State(NamedTuple):
    """A state of the store. `mark` is that of the change that led to it; None if the feed has no row for it.

    `file` numbers the files that an SQLite store was opened from; None if it is unknown, or there is none.
    """

    epoch: int
    mark: str | None = None
    file: int | None = None


class ChangesSince(NamedTuple):
    """The changes since a known state: the present state, and the names of what they invalidate.

    `names` is None if everything is invalid; `reason` is why. `committed` is the time of the first of these changes, in
    seconds since 1970 by the clock of PostgreSQL, or of the process that changed an SQLite file; None without changes.
    """

    state: State
    names: frozenset[str] | None = frozenset()
    reason: DropReason | None = None
    committed: float | None = None


_RAISED = meta.update().values(epoch=meta.c.epoch + 1).returning(meta.c.epoch)
_EARLIER = changes.alias()
_MARK = select(_EARLIER.c.mark).where(_EARLIER.c.epoch == bindparam("before", type_=BigInteger)).scalar_subquery()
NOTIFY_MILLISECONDS: Final = 25
"""One notification is sent for the changes in each such interval of the server's clock; a notified process reads the
feed after the interval is over (`change_listener`).

PostgreSQL takes a lock of the whole instance for a notification, and wakes each connection that listens.
"""
_MILLISECONDS = cast_to(func.floor(extract("epoch", func.clock_timestamp()) * 1000), BigInteger)
_INTERVAL_BEFORE = (
    select(_EARLIER.c.time // NOTIFY_MILLISECONDS)
    .where(_EARLIER.c.epoch == bindparam("before", type_=BigInteger))
    .scalar_subquery()
)
_NOTIFIED = case((changes.c.time // NOTIFY_MILLISECONDS == _INTERVAL_BEFORE, None), else_=func.pg_notify(CHANNEL, ""))
_ADDED = {
    "sqlite": changes.insert().returning(_MARK),
    "postgresql": changes.insert().values(time=_MILLISECONDS).returning(_MARK, _NOTIFIED),
}
"""Adds a row, and returns the mark of the one before; PostgreSQL notifies when the transaction commits."""
_PRESENT = select(meta.c.epoch.label("present")).limit(1).subquery()
_KNOWN: ColumnElement[int] = bindparam("since", type_=BigInteger)
_SINCE = case((_PRESENT.c.present > _KNOWN, _KNOWN), else_=_PRESENT.c.present)
_READ = (
    select(_PRESENT, changes)
    .select_from(_PRESENT.outerjoin(changes, changes.c.epoch.between(_SINCE, _PRESENT.c.present)))
    .order_by(changes.c.epoch)
)
"""The present epoch and the rows since a state; the present row alone, if none or a later state is known.

Without statistics, PostgreSQL expects many rows of `meta` without a limit, and a third of the feed without an upper
bound; then it scans the feed, and compiles the query each time.
"""


class Step(NamedTuple):
    """A change of the store: the states before and after it."""

    before: State
    after: State


def add_row(connection: Connection, epoch: int, names: Collection[str] = (EVERYTHING,)) -> Step:
    """Add the row of an epoch, and notify the processes that listen."""
    file = connection.info.get(FILE)
    after = State(epoch, secrets.token_hex(8), file)
    dialect = connection.dialect.name
    values: dict[str, Any] = {"before": epoch - 1, "epoch": epoch, "mark": after.mark, "names": sorted(names)}
    if dialect == "sqlite":
        values["time"] = time.time_ns() // 1_000_000
    added = connection.execute(_ADDED[dialect], values)
    return Step(State(epoch - 1, added.one()[0], file), after)


def record_change(connection: Connection, names: Collection[str]) -> Step:
    """Raise the epoch, and record what the transaction invalidates; called last in each that changes the store."""
    epoch = int(connection.execute(_RAISED).scalar_one())
    step = add_row(connection, epoch, names)
    if epoch % _TRIM_EVERY == 0:
        connection.execute(changes.delete().where(changes.c.epoch <= epoch - KEPT))
    return step


def read_changes(connection: Connection, since: State | None) -> ChangesSince:
    """Return the changes since a state (None: no state is known), with one statement."""
    values = {"since": None if since is None else since.epoch}
    rows = connection.execute(_READ, values).mappings().all()
    present = int(rows[0]["present"])
    marks: dict[int, Any] = {row["epoch"]: row["mark"] for row in rows if row["epoch"] is not None}
    state = State(present, marks.get(present), connection.info.get(FILE))
    if since is None:
        return ChangesSince(state, None, "first")
    if since.file is None:
        since = since._replace(file=state.file)
    if state == since:
        return ChangesSince(since)
    new = [row for row in rows if row["epoch"] is not None and row["epoch"] > since.epoch]
    committed = new[0]["time"] / 1000 if new else None
    if state.file != since.file or present <= since.epoch or marks.get(since.epoch, since.mark) != since.mark:
        return ChangesSince(state, None, "history", committed)
    if since.mark is None or list(marks) != [*range(since.epoch, present + 1)]:
        return ChangesSince(state, None, "gap", committed)
    names = frozenset[str]().union(*(_names_in(row["names"]) for row in new))
    if EVERYTHING in names:
        return ChangesSince(state, None, "change", committed)
    return ChangesSince(state, names, committed=committed)


def _names_in(value: object) -> Collection[str]:
    """Return the names in a row; for any value but a list of strings, that of everything."""
    is_list = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return cast(list[str], value) if is_list else (EVERYTHING,)
