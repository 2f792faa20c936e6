"""From an older schema to the present one, without any file of the user's; an empty store gets the present one at once.

A step is a file in `versions/`, named and numbered in order; it is written by hand and never imports `schema`, which
goes on changing. A test compares what comes of all steps with `schema.metadata`, from which an empty store is made.
Whoever comes while another one steps waits, and finds it done.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Connection, Engine, MetaData, PrimaryKeyConstraint, String, Table, func, inspect, select

from iam_guard.errors import ConfigurationError
from iam_guard.store import schema
from iam_guard.store.builtin import begin, complete
from iam_guard.store.engine import reading, writing

_OUR_STEPS = 0x69616D67756172
"""What PostgreSQL knows our lock by; an empty database has no row to lock."""
_VERSION = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Where Alembic notes which step was the last, as it would make the table itself."""


def upgrade(engine: Engine) -> bool:
    """Bring the store to the present schema, in one transaction; False if it was there already."""
    with _stepping(engine) as connection:
        before = _revision(connection)
        if before == _head():
            return False
        if before is None:
            _create(connection)
        else:
            _steps().climb(connection)
            complete(connection, now=int(time.time()))
    return True


def upgrade_by_steps(engine: Engine) -> bool:
    """Do the same by the steps alone, for an empty store too."""
    with _stepping(engine) as connection:
        before = _revision(connection)
        if before == _head():
            return False
        _steps().climb(connection)
        (begin if before is None else complete)(connection, now=int(time.time()))
    return True


def downgrade(engine: Engine, target: str = "base") -> None:
    """Go back to an older schema; what it can't hold is lost."""
    with _stepping(engine) as connection:
        _steps().descend(connection, target)


def is_current(engine: Engine) -> bool:
    """Return whether the store has the present schema; False for an empty database too."""
    with reading(engine) as connection:
        return _revision(connection) == _head()


@contextmanager
def _stepping(engine: Engine) -> Iterator[Connection]:
    """Return a transaction that keeps out others which step (SQLite keeps out all that write)."""
    with writing(engine, patient=True) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_OUR_STEPS)))
        yield connection


def _create(connection: Connection) -> None:
    """Make the present schema where nothing is, and the rows that a store begins with."""
    schema.metadata.create_all(connection, checkfirst=False)
    _VERSION.create(connection, checkfirst=True)  # going back to the beginning leaves it there
    connection.execute(_VERSION.insert().values(version_num=_head()))
    begin(connection, now=int(time.time()))


def _revision(connection: Connection) -> str | None:
    """Return the last step that was taken; None where none was. Raises `ConfigurationError` for an unknown one."""
    if not inspect(connection).has_table(_VERSION.name):
        return None
    revision = connection.execute(select(_VERSION.c.version_num)).scalar_one_or_none()
    if revision is not None and revision not in _revisions():
        message = f"expected a store with schema {_head()} or older, got `{revision[:32]}` of a newer iam-guard"
        raise ConfigurationError(message, place="store")
    return revision


def _head() -> str:
    """Return the number of the last step."""
    return max(_revisions())


@cache
def _revisions() -> frozenset[str]:
    """Return the numbers of all steps."""
    return frozenset(path.name.partition("_")[0] for path in Path(__file__).parent.glob("versions/[0-9]*.py"))


def _steps() -> Any:
    return import_module("iam_guard.store.migrations.steps")
