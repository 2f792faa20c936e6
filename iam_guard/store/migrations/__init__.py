"""Create the schema of an empty store, and upgrade an older one, without any file of the user's.

A migration is a numbered file in `versions/`, written by hand; it never imports `schema`, which goes on changing. An
empty store is made from `schema.metadata`; tests compare a migrated store with it. Concurrent upgrades wait for the
first one.

The number of the last migration is in a table of our own. Before 0.3, it was in `alembic_version`, which is also the
table of an application that uses Alembic in the same database: there, only a number of ours beside our tables counts.
An upgrade moves it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Inspector,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    func,
    inspect,
    select,
)

from iam_guard.errors import ConfigurationError
from iam_guard.store import schema
from iam_guard.store.database.engine import reading, writing
from iam_guard.store.database.postgresql_schema import create_schema, schema_of
from iam_guard.store.policies.builtin import insert_initial_rows, insert_missing_policies
from iam_guard.store.policies.resource_statements import index_policies

_ADVISORY_LOCK = 0x69616D67756172
"""PostgreSQL's name of our lock; an empty database has no row to lock."""


def _version_table(name: str) -> Table:
    version = Column("version_num", String(32), nullable=False)
    return Table(name, MetaData(), version, PrimaryKeyConstraint("version_num", name=f"{name}_pkc"))


VERSION = _version_table("iam_guard_version")
"""Has the number of the last migration."""
_FORMER_VERSION = _version_table("alembic_version")


def upgrade(engine: Engine) -> bool:
    """Bring the store to the current schema, in one transaction; return False if it has it already."""
    with writing(engine, patient=True) as connection:
        lock_upgrades(connection)
        before = _revision(connection)
        if before is None:
            _create(connection)
            return True
        is_moved = _has_table(connection, VERSION)
        if not is_moved:
            _move_version(connection, before)
        elif before == _head():
            return False
        if before != _head():
            import_module("iam_guard.store.migrations.steps").upgrade_to_head(connection)
            insert_missing_policies(connection, now=int(time.time()))
            index_policies(connection)
    return True


def lock_upgrades(connection: Connection) -> None:
    """Wait until no other process creates or upgrades a store in the database, until the transaction ends."""
    if connection.dialect.name == "postgresql":  # in SQLite, a writer excludes all others
        connection.execute(select(func.pg_advisory_xact_lock(_ADVISORY_LOCK)))


def has_store(engine: Engine) -> bool:
    """Return whether the database has the tables of a store, of whatever schema."""
    with reading(engine) as connection:
        return _has_table(connection, schema.meta)


def is_current(engine: Engine) -> bool:
    """Return whether the store has the current schema."""
    with reading(engine) as connection:
        return _revision(connection) == _head()


def _create(connection: Connection) -> None:
    """Create the current schema, and the rows that every store has."""
    own = schema_of(connection)
    if own is not None:
        create_schema(connection, own)
    schema.metadata.create_all(connection, checkfirst=False)
    VERSION.create(connection, checkfirst=False)
    connection.execute(VERSION.insert().values(version_num=_head()))
    insert_initial_rows(connection, now=int(time.time()))


def _has_table(connection: Connection, table: Table) -> bool:
    inspector: Inspector = inspect(connection)
    return inspector.has_table(table.name, schema=schema_of(connection))


def _revision(connection: Connection) -> str | None:
    """Return the number of the last migration, None for an empty store. Raises `ConfigurationError` for another."""
    if _has_table(connection, VERSION):
        numbers = connection.execute(select(VERSION.c.version_num)).scalars().all()
    elif not _has_table(connection, schema.meta):
        return None
    elif _has_table(connection, _FORMER_VERSION):
        found = connection.execute(select(_FORMER_VERSION.c.version_num)).scalars().all()
        numbers = [number for number in found if number in _revisions()] or [*filter(str.isdecimal, found)]
    else:
        numbers = []
    return _checked(numbers)


def _checked(numbers: Sequence[str]) -> str:
    """Return the one number of a version table. Raises `ConfigurationError` if there is none, or an unknown one."""
    expected = f"expected a store with schema {_head()} or older"
    if len(numbers) != 1:
        got = "several" if numbers else "none"
        raise ConfigurationError(f"{expected}, got {got} in its table of the version", place="store")
    [revision] = numbers
    if revision not in _revisions():
        if revision < min(_revisions()):
            expected = f"expected a store with schema {min(_revisions())} or newer"
            raise ConfigurationError(f"{expected}, got `{revision[:32]}`", place="store")
        raise ConfigurationError(f"{expected}, got `{revision[:32]}` of a newer iam-guard", place="store")
    return revision


def _move_version(connection: Connection, revision: str) -> None:
    """Move the number into our own table; an application's numbers stay where they are."""
    VERSION.create(connection, checkfirst=False)
    connection.execute(VERSION.insert().values(version_num=revision))
    connection.execute(_FORMER_VERSION.delete().where(_FORMER_VERSION.c.version_num == revision))
    if connection.execute(select(_FORMER_VERSION.c.version_num)).first() is None:
        _FORMER_VERSION.drop(connection)


def _head() -> str:
    return max(_revisions())


@cache
def _revisions() -> frozenset[str]:
    return frozenset(path.name.partition("_")[0] for path in Path(__file__).parent.glob("versions/[0-9]*.py"))
