"""Walking the steps in `versions/`, by Alembic; imported by `migrations` when there are some to walk.

Alembic takes a while to import, and a store that is new or up to date has no need of it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

_one_at_a_time = threading.Lock()
"""For what Alembic takes for the present connection is the whole process's."""


def climb(connection: Connection) -> None:
    """Walk all steps up to the present schema."""
    _walk(connection, lambda revision, _: _script()._upgrade_revs("head", revision))


def descend(connection: Connection, target: str) -> None:
    """Walk back to an older schema."""
    _walk(connection, lambda revision, _: _script()._downgrade_revs(target, revision))


@cache
def _script() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return ScriptDirectory.from_config(config)


def _walk(connection: Connection, steps: Callable[[Any, Any], Any]) -> None:
    with _one_at_a_time, EnvironmentContext(Config(), _script(), fn=steps) as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()
