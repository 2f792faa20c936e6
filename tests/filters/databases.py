"""Databases with the hostile rows: SQLite in memory, and a PostgreSQL database that is dropped afterwards.

`IAM_GUARD_TEST_POSTGRES` is the URL of the server, as in the tests of the store.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from tests.store.databases import do_without, find_server

from .models import KINDS, Base, Kind, Record, RecordTag
from .rows import Row, make_rows

DIALECTS = ["sqlite", "postgresql"]


@cache
def missing_server() -> str | None:
    """Return why there is no PostgreSQL; None if there is a server."""
    server = find_server()
    if isinstance(server, str):
        return server
    server.close()
    return None


def available_dialects() -> list[str]:
    """Return the dialects whose databases can be opened; in CI all, so that a missing server fails a test."""
    return DIALECTS if os.environ.get("CI") or missing_server() is None else DIALECTS[:1]


@contextmanager
def opened_engine(dialect: str) -> Iterator[sa.Engine]:
    """Open an empty database. Skips the test without a server."""
    if dialect == "sqlite":
        engine = sa.create_engine("sqlite://")
        try:
            yield engine
        finally:
            engine.dispose()
        return
    server = find_server()
    if isinstance(server, str):
        do_without(server)
        return
    url = server.create()
    options = {"options": f"-c timezone=UTC -c application_name=filters_{secrets.token_hex(4)}"}
    engine = sa.create_engine(url, connect_args=options)
    try:
        yield engine
    finally:
        engine.dispose()
        server.close()


class EmptyDatabases:
    """Empty databases in turn. That of PostgreSQL is emptied after each use, which takes less time than a new one."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._postgresql: sa.Engine | None = None

    @contextmanager
    def session(self, dialect: str) -> Iterator[Session]:
        """Open a session with an empty database. Skips the test without a server."""
        if dialect == "sqlite":
            with opened_engine(dialect) as engine, Session(engine) as session:
                yield session
            return
        if self._postgresql is None:
            self._postgresql = self._stack.enter_context(opened_engine(dialect))
        try:
            with Session(self._postgresql) as session:
                yield session
        finally:
            with self._postgresql.begin() as connection:
                connection.exec_driver_sql("DROP SCHEMA public CASCADE")
                connection.exec_driver_sql("CREATE SCHEMA public")
            self._postgresql.dispose()  # connections have prepared statements about the tables


@contextmanager
def database(dialect: str, rows: Mapping[str, Sequence[Row]] | None = None) -> Iterator[Session]:
    """Open a database with rows for each model, by default the hostile ones, and yield a session."""
    with opened_engine(dialect) as engine:
        Base.metadata.create_all(engine)
        with Session(engine) as session:
            for kind in KINDS:
                session.add_all(loaded(kind, row) for row in (make_rows(kind) if rows is None else rows[kind.name]))
            session.commit()
        with Session(engine) as session:
            yield session


def loaded(kind: Kind, row: Mapping[str, Any]) -> Any:
    """Return the object of a row; a mapping of tags becomes tag rows where the model has these."""
    values = dict(row)
    if kind.model is Record:
        values["tags"] = [RecordTag(key=key, value=value) for key, value in row["tags"].items()]
    return kind.model(**values)
