"""Run the migrations in `versions/` with Alembic, which takes a while to import: only for a store that needs one."""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from iam_guard.errors import ConfigurationError
from iam_guard.store.database.postgresql_schema import quoted_identifier, schema_of
from iam_guard.store.migrations import VERSION

_DUPLICATES = ("42P07", "42701", "42710", "42P06")
"""PostgreSQL's codes for a table, column, other object or schema that exists already."""
_one_at_a_time = threading.Lock()
"""Alembic's current connection belongs to the whole process."""


def upgrade_to_head(connection: Connection) -> None:
    """Run all migrations up to the current schema.

    Raises `ConfigurationError` for a database with tables or columns of a newer schema than its number names, as an
    older backup leaves that was restored over a newer store.
    """
    with _one_at_a_time, EnvironmentContext(Config(), _script(), fn=_to_head) as environment:
        if (own := schema_of(connection)) is not None:  # which a migration's own SQL does not name
            connection.exec_driver_sql(f"SET LOCAL search_path TO {quoted_identifier(connection, own)}")
        environment.configure(connection=connection, transactional_ddl=True, version_table=VERSION.name)
        try:
            environment.run_migrations()
        except DBAPIError as error:
            if not _is_duplicate(error):
                raise
            message = (
                "expected the tables of one schema, got some of a newer one: restore backups into an empty database"
            )
            raise ConfigurationError(message, place="store") from error


def _is_duplicate(error: DBAPIError) -> bool:
    """Return whether a migration failed because what it creates is there already."""
    state, message = getattr(error.orig, "sqlstate", None), str(error.orig)
    return state in _DUPLICATES or "already exists" in message or "duplicate column name" in message


def _to_head(revision: Any, _: Any) -> Any:
    return _script()._upgrade_revs("head", revision)


@cache
def _script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return ScriptDirectory.from_config(config)
