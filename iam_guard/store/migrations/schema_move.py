"""Move a store on PostgreSQL into a schema of its own, in one transaction, while no process uses it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Engine, String, bindparam, text

from iam_guard.errors import ConfigurationError
from iam_guard.store import schema
from iam_guard.store.cache.change_feed import CHANNEL
from iam_guard.store.database.engine import APPLICATION_NAME, writing
from iam_guard.store.database.postgresql_schema import create_schema, found_schema, quoted_identifier, use_own_schema
from iam_guard.store.migrations import VERSION, lock_upgrades

_OTHERS: Final = text(
    "SELECT count(*) FROM pg_catalog.pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND (application_name = :name OR query LIKE :listens OR query LIKE :follows)"
).bindparams(*(bindparam(name, type_=String) for name in ("name", "listens", "follows")))
"""The number of our other connections: by name, or, for versions without one, by what they sent last."""


def move_to_schema(engine: Engine, own: str) -> str | None:
    """Move the tables of a store into a schema; return the one that they were in, None if they are there already.

    Raises `ConfigurationError` without a store, and while other processes use it, as far as their connections show it.
    """
    found = found_schema(engine, own)
    if found is None:
        raise ConfigurationError("expected a store on PostgreSQL, got none: run `iam-guard init`", place="store")
    if found == own:
        return None
    with writing(engine, patient=True) as connection:
        lock_upgrades(connection)
        names = {"name": APPLICATION_NAME, "listens": f"%LISTEN {CHANNEL}%", "follows": "%changes.mark%"}
        others = connection.execute(_OTHERS, names).scalar_one()
        if others:
            message = f"expected no other connection to the store, got {others}: stop all processes that use it"
            raise ConfigurationError(message, place="store")
        create_schema(connection, own)
        source, target = quoted_identifier(connection, found), quoted_identifier(connection, own)
        for table in (*schema.metadata.sorted_tables, VERSION):
            name = quoted_identifier(connection, table.name)
            connection.exec_driver_sql(f"ALTER TABLE {source}.{name} SET SCHEMA {target}")
    use_own_schema(engine, own)
    return found
