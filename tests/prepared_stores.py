"""Empty stores in SQLite that are copied instead of created: a third of the setup of each test that has a guard."""

from __future__ import annotations

from sqlalchemy import Connection

from iam_guard.store import migrations

_create = migrations._create
_statements: list[str] = []


def copy_prepared_store(connection: Connection) -> None:
    """Do what `migrations._create` does, with the statements that its first store in this process consists of."""
    if connection.dialect.name != "sqlite":
        _create(connection)
    elif _statements:
        for statement in _statements:
            connection.exec_driver_sql(statement)
    else:
        _create(connection)
        database = connection.connection.driver_connection
        assert database is not None
        dumped = [text for text in database.iterdump() if not text.startswith(("BEGIN", "COMMIT"))]
        _statements.extend(sorted(dumped, key=lambda text: not text.startswith("CREATE TABLE")))


def use_prepared_stores() -> None:
    migrations._create = copy_prepared_store
