"""Empty databases for tests with models of their own: SQLite in memory, and one on the tests' PostgreSQL server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from tests.store.databases import do_without, find_server


@contextmanager
def opened_engine(dialect: str) -> Iterator[sa.Engine]:
    """Open an empty database. Skips the test without a server."""
    server = find_server() if dialect == "postgresql" else None
    if isinstance(server, str):
        do_without(server)
        return
    engine = sa.create_engine("sqlite://" if server is None else server.create())
    try:
        yield engine
    finally:
        engine.dispose()
        if server is not None:
            server.close()
