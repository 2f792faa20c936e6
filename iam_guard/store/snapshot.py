"""Copies of a store in memory: to reset a store between tests of client code, or to try a change.

SQLite copies the whole database page by page, which takes milliseconds; from any other store the rows are read.
"""

from __future__ import annotations

import sqlite3
from typing import cast

from sqlalchemy import Engine

from iam_guard.errors import ConfigurationError
from iam_guard.store.cache.change_feed import EVERYTHING, record_change
from iam_guard.store.database.engine import closed_on_error, lock_epoch, make_engine, writing
from iam_guard.store.migrations import upgrade
from iam_guard.store.protocol import RecordStore
from iam_guard.store.schema import meta, metadata
from iam_guard.store.sql_store import SqlStore


class Snapshot:
    """A snapshot of a store in memory. Raises `ConfigurationError` for other stores."""

    def __init__(self, engine: Engine) -> None:
        if engine.dialect.name != "sqlite" or engine.url.database not in (None, "", ":memory:"):
            raise ConfigurationError("only a store in memory (`sqlite://`) can be reset", place="store")
        self._engine = engine
        self._copy = sqlite3.connect(":memory:", check_same_thread=False)
        self._copy_pages(into_copy=True)

    def restore(self) -> None:
        """Restore the snapshot; the epoch still increases, so that cached answers become invalid (T-9)."""
        with writing(self._engine) as connection:
            epoch = lock_epoch(connection)
        self._copy_pages(into_copy=False)
        with writing(self._engine) as connection:
            connection.execute(meta.update().values(epoch=epoch))
            record_change(connection, (EVERYTHING,))

    def close(self) -> None:
        self._copy.close()

    def _copy_pages(self, *, into_copy: bool) -> None:
        connection = self._engine.raw_connection()
        try:
            live = cast(sqlite3.Connection, connection.driver_connection)
            source, target = (live, self._copy) if into_copy else (self._copy, live)
            source.backup(target)
        finally:
            connection.close()


def copy_to_memory(store: RecordStore) -> SqlStore:
    """Return a store in memory with all rows of a store, read in one transaction; sealed values stay sealed."""
    engine = make_engine("sqlite://")
    with closed_on_error(engine):
        upgrade(engine)
        with store.read_transaction() as records, writing(engine) as connection:
            connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")  # units refer to their parent units
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
            for table in metadata.sorted_tables:
                rows = [dict(row) for row in records.all(table)]
                if rows:
                    connection.execute(table.insert(), rows)
        return SqlStore(engine, store.sealer, partition=store.partition, ids=store.ids, quotas=store.quotas)
