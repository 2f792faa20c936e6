"""The steps from an older schema to the present one, run by Alembic without any file of the user's.

A step is a file in `versions/`, named and numbered in order; it is written by hand and never imports `schema`, which
goes on changing. A test compares the result with `schema.metadata`. Whoever comes while another one steps waits, and
finds it done. Must not live here: what the tables mean (`schema`), which rows a store begins with (`builtin`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, func, select

from iam_guard.store.builtin import begin, complete
from iam_guard.store.engine import reading, writing

_OUR_STEPS = 0x69616D67756172
"""What PostgreSQL knows our lock by; an empty database has no row to lock."""
_one_at_a_time = threading.Lock()
"""For what Alembic takes for the present connection is the whole process's."""


def upgrade(engine: Engine) -> bool:
    """Bring the store to the present schema, in one transaction; False if it was there already."""
    with _stepping(engine) as connection:
        before = _revision(connection)
        if before == _head():
            return False
        script = _script()
        _run(connection, lambda revision, _: script._upgrade_revs("head", revision))
        (begin if before is None else complete)(connection, now=int(time.time()))
    return True


def downgrade(engine: Engine, target: str = "base") -> None:
    """Go back to an older schema; what it can't hold is lost."""
    with _stepping(engine) as connection:
        script = _script()
        _run(connection, lambda revision, _: script._downgrade_revs(target, revision))


def is_current(engine: Engine) -> bool:
    """Tell whether the store has the present schema; False for an empty database too."""
    with reading(engine) as connection:
        return _revision(connection) == _head()


@contextmanager
def _stepping(engine: Engine) -> Iterator[Connection]:
    """Give a transaction that keeps out others which step (SQLite keeps out all that write)."""
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_OUR_STEPS)))
        yield connection


@cache
def _script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def _head() -> str | None:
    return _script().get_current_head()


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _run(connection: Connection, steps: Callable[[Any, Any], Any]) -> None:
    script = _script()
    with _one_at_a_time, EnvironmentContext(Config(), script, fn=steps) as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()
