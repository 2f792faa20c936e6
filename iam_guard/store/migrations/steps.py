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

_one_at_a_time = threading.Lock()
"""Alembic's current connection belongs to the whole process."""


def upgrade_to_head(connection: Connection) -> None:
    """Run all migrations up to the current schema."""
    with _one_at_a_time, EnvironmentContext(Config(), _script(), fn=_to_head) as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()


def _to_head(revision: Any, _: Any) -> Any:
    return _script()._upgrade_revs("head", revision)


@cache
def _script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return ScriptDirectory.from_config(config)
