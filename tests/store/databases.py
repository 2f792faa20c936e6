"""The databases of the store's tests: SQLite files, and a PostgreSQL server with a database for each test.

`IAM_GUARD_TEST_POSTGRES` is the URL of the server, for a user that may create databases; the default is a server on
this machine. Without a server, the tests that need it are skipped; in CI, they fail.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys

import pytest
from sqlalchemy import Engine, text

from iam_guard.errors import IamGuardError
from iam_guard.settings import Settings
from iam_guard.store import schema
from iam_guard.store.database.engine import closed_on_error, make_engine, reading, writing
from iam_guard.store.database.postgresql_schema import found_schema, use_own_schema
from iam_guard.store.database.time_limits import PATIENT_SECONDS, silence
from iam_guard.store.opening import create_store
from iam_guard.store.policies.builtin import insert_initial_rows

VARIABLE = "IAM_GUARD_TEST_POSTGRES"
USUAL = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
SEALING_KEY = "dGhlIHRlc3RzIG9mIHRoZSBzdG9yZSBzZWFsIGl0IDs="
"""The sealing key of all processes of a test; a database on a server has no key file."""

_missed: list[str] = []


class Server:
    """A PostgreSQL server. Raises `StoreUnavailable` if it does not answer."""

    def __init__(self, url: str) -> None:
        self._engine = make_engine(url).execution_options(isolation_level="AUTOCOMMIT")
        self._created: list[str] = []
        self._free: list[str] = []
        with closed_on_error(self._engine), reading(self._engine):
            pass  # it answers

    def lend(self) -> str:
        """Return the URL of a database with the current schema, for exclusive use."""
        if self._free:
            return self._free.pop()
        url = self.create()
        create_store(url, Settings(sealing_keys=(SEALING_KEY,))).close()
        return url

    def take_back(self, url: str) -> None:
        """Reset a lent database; to drop it and create another would take ten times as long."""
        self.cut(url)
        engine = store_engine(url)
        with writing(engine, patient=True) as connection:
            for table in reversed(schema.metadata.sorted_tables):
                connection.execute(table.delete())
            insert_initial_rows(connection, now=0)
        engine.dispose()
        self._free.append(url)

    def create(self) -> str:
        """Create an empty database and return its URL."""
        url = self._engine.url.set(database=f"iam_guard_test_{secrets.token_hex(6)}")
        self.run(f"CREATE DATABASE {url.database}")
        self._created.append(url.render_as_string(hide_password=False))
        return self._created[-1]

    def drop(self, url: str) -> None:
        self.run(f"DROP DATABASE {_name(url)} WITH (FORCE)")
        self._created.remove(url)

    def cut(self, url: str) -> int:
        """Terminate all connections to a database, as a restart of the server would; return their number."""
        ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = :name"
        with silence(PATIENT_SECONDS), self._engine.connect() as connection:
            return int(connection.execute(text(ended), {"name": _name(url)}).scalar_one())

    def refuse(self, url: str) -> None:
        """Refuse connections to one database."""
        self.run(f"ALTER DATABASE {_name(url)} ALLOW_CONNECTIONS false")
        self.cut(url)

    def accept(self, url: str) -> None:
        """Accept connections to the database again."""
        self.run(f"ALTER DATABASE {_name(url)} ALLOW_CONNECTIONS true")

    def run(self, statement: str) -> None:
        with silence(PATIENT_SECONDS), self._engine.connect() as connection:
            connection.execute(text(statement))

    def close(self) -> None:
        for url in list(self._created):
            self.drop(url)
        self._engine.dispose()


def store_engine(url: str) -> Engine:
    """Return an engine whose statements name the schema that has the store, if it has one of its own."""
    engine, own = make_engine(url), Settings().postgresql_schema
    if engine.dialect.name == "postgresql" and found_schema(engine, own) is not None:
        use_own_schema(engine, own)
    return engine


def find_server() -> Server | str:
    """Return the server, or the reason why there is none."""
    url = os.environ.get(VARIABLE) or USUAL
    try:
        return Server(url)
    except IamGuardError as error:
        return f"no PostgreSQL for the tests, set {VARIABLE} to the URL of a server: {error.message}"


def do_without(reason: str) -> None:
    """Skip a test; in CI, fail the first one and skip the others, so that the reason is reported once."""
    if os.environ.get("CI") and not _missed:
        _missed.append(reason)
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that runs `script`, with pipes and the sealing key of the tests."""
    environment = os.environ | {"IAM_GUARD_SEALING_KEYS": SEALING_KEY, "IAM_GUARD_STORE_TIMEOUT": "20"}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def _name(url: str) -> str:
    return url.rpartition("/")[2].partition("?")[0]
