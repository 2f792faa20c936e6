"""A copy of a store in memory: to go back to, for those who test client code against us, or to try a change on.

SQLite copies the whole database page by page, which takes milliseconds; from any other store the rows are read. Must
not live here: who may ask for it (`cli`).
"""

from __future__ import annotations

import sqlite3
from typing import cast

from sqlalchemy import Engine

from iam_guard.errors import ConfigurationError
from iam_guard.store.engine import bump_epoch, closed_on_error, lock_epoch, make_engine, writing
from iam_guard.store.migrations import upgrade
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import meta, metadata
from iam_guard.store.sql_store import SqlStore


class Snapshot:
    """The state of a store in memory as it was when this was made. Raises `ConfigurationError` for other stores."""

    def __init__(self, engine: Engine) -> None:
        if engine.dialect.name != "sqlite" or engine.url.database not in (None, "", ":memory:"):
            raise ConfigurationError("only a store in memory (`sqlite://`) can be reset", place="store")
        self._engine = engine
        self._copy = sqlite3.connect(":memory:", check_same_thread=False)
        self._move(into_copy=True)

    def restore(self) -> None:
        """Go back; the epoch goes on, so that nobody takes what was remembered since for the present state (T-9)."""
        with writing(self._engine) as connection:
            epoch = lock_epoch(connection)
        self._move(into_copy=False)
        with writing(self._engine) as connection:
            connection.execute(meta.update().values(epoch=epoch))
            bump_epoch(connection)

    def close(self) -> None:
        """Return the copy up."""
        self._copy.close()

    def _move(self, *, into_copy: bool) -> None:
        borrowed = self._engine.raw_connection()
        try:
            live = cast(sqlite3.Connection, borrowed.driver_connection)
            source, target = (live, self._copy) if into_copy else (self._copy, live)
            source.backup(target)
        finally:
            borrowed.close()


def copied_to_memory(store: RecordStore) -> SqlStore:
    """Return a store in memory with all the rows that a store has at one moment; what it seals stays sealed."""
    engine = make_engine("sqlite://")
    with closed_on_error(engine):
        upgrade(engine)
        with store.viewing() as records, writing(engine) as connection:
            connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")  # units stand below units
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
            for table in metadata.sorted_tables:
                rows = [dict(row) for row in records.all(table)]
                if rows:
                    connection.execute(table.insert(), rows)
        return SqlStore(engine, store.sealer, partition=store.partition, ids=store.ids)
