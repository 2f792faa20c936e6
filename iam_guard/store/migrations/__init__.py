"""Create the schema of an empty store, and upgrade an older one, without any file of the user's.

A migration is a numbered file in `versions/`, written by hand; it never imports `schema`, which goes on changing. An
empty store is made from `schema.metadata`; tests compare a migrated store with it. Concurrent upgrades wait for the
first one.
"""

from __future__ import annotations

import time
from functools import cache
from importlib import import_module
from pathlib import Path

from sqlalchemy import Column, Connection, Engine, MetaData, PrimaryKeyConstraint, String, Table, func, inspect, select

from iam_guard.errors import ConfigurationError
from iam_guard.store import schema
from iam_guard.store.builtin import insert_initial_rows, insert_missing_policies
from iam_guard.store.engine import reading, writing
from iam_guard.store.resource_statements import index_policies

_ADVISORY_LOCK = 0x69616D67756172
"""PostgreSQL's name of our lock; an empty database has no row to lock."""
_VERSION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's own table, with the number of the last migration."""


def upgrade(engine: Engine) -> bool:
    """Bring the store to the current schema, in one transaction; return False if it has it already."""
    with writing(engine, patient=True) as connection:
        if connection.dialect.name == "postgresql":  # in SQLite, a writer excludes all others
            connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
        before = _revision(connection)
        if before == _head():
            return False
        if before is None:
            _create(connection)
        else:
            import_module("iam_guard.store.migrations.steps").upgrade_to_head(connection)
            insert_missing_policies(connection, now=int(time.time()))
            index_policies(connection)
    return True


def has_store(engine: Engine) -> bool:
    """Return whether the database has the tables of a store, of whatever schema."""
    with reading(engine) as connection:
        return inspect(connection).has_table(schema.meta.name)


def is_current(engine: Engine) -> bool:
    """Return whether the store has the current schema."""
    with reading(engine) as connection:
        return _revision(connection) == _head()


def _create(connection: Connection) -> None:
    """Create the current schema, and the rows that every store has."""
    schema.metadata.create_all(connection, checkfirst=False)
    _VERSION.create(connection, checkfirst=True)
    connection.execute(_VERSION.insert().values(version_num=_head()))
    insert_initial_rows(connection, now=int(time.time()))


def _revision(connection: Connection) -> str | None:
    """Return the number of the last migration, None for an empty store. Raises `ConfigurationError` for another."""
    if not inspect(connection).has_table(_VERSION.name):
        return None
    revision = connection.execute(select(_VERSION.c.version_num)).scalar_one_or_none()
    if revision is not None and revision not in _revisions():
        message = f"expected a store with schema {_head()} or older, got `{revision[:32]}` of a newer iam-guard"
        if revision < min(_revisions()):
            message = f"expected a store with schema {min(_revisions())} or newer, got `{revision[:32]}`"
        raise ConfigurationError(message, place="store")
    return revision


def _head() -> str:
    return max(_revisions())


@cache
def _revisions() -> frozenset[str]:
    return frozenset(path.name.partition("_")[0] for path in Path(__file__).parent.glob("versions/[0-9]*.py"))
