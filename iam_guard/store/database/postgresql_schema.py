"""The schema of PostgreSQL that has the tables of a store.

A new store is created in a schema of its own (`postgresql_schema`), so that an application with tables of the same
names can share the database. An older one may be where the connection's `search_path` leads, and stays there until
`move_store`. Statements name the schema; none depends on a `SET`, which a pooler in transaction mode would lose.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Engine, String, Table, bindparam, text

from iam_guard.errors import ConfigurationError
from iam_guard.store.database.engine import reading

_MAP: Final = "schema_translate_map"
_STORES = text(
    "SELECT n.nspname FROM pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped"
    " WHERE (c.relname, a.attname) IN (('meta', 'epoch'), ('meta', 'created'), ('identities', 'folded'))"
    " AND (n.nspname = :own OR pg_catalog.pg_table_is_visible(c.oid))"
    " GROUP BY n.nspname HAVING count(*) = 3"
).bindparams(bindparam("own", type_=String))
"""The schemas with a store: the one of its own, and those that the `search_path` leads to.

Columns tell our tables from an application's of the same name.
"""
_CREATABLE = text(
    "SELECT current_user, current_database(), has_database_privilege(current_database(), 'CREATE'),"
    " (SELECT has_schema_privilege(n.oid, 'CREATE') FROM pg_catalog.pg_namespace n WHERE n.nspname = :own)"
).bindparams(bindparam("own", type_=String))


def schema_of(connection: Connection) -> str | None:
    """Return the schema that statements name; None for that of the `search_path`, and in SQLite."""
    names: dict[str | None, str] = connection.get_execution_options().get(_MAP, {})
    return names.get(None)


def use_own_schema(engine: Engine, own: str) -> None:
    """Let statements name the schema that has the store, or that it is to be created in.

    `own` is that of new stores; empty for the first one of the `search_path`.
    """
    if engine.dialect.name == "postgresql" and own and (found_schema(engine, own) or own) == own:
        engine.update_execution_options(**{_MAP: {None: own}})


def found_schema(engine: Engine, own: str) -> str | None:
    """Return the schema of a store: its own, else the one that the `search_path` leads to; None if there is none."""
    with reading(engine) as connection:
        found = connection.execute(_STORES, {"own": own}).scalars().all()
    return own if own in found else next(iter(found), None)


def quoted_identifier(connection: Connection, name: str) -> str:
    return connection.dialect.identifier_preparer.quote(name)


def table_name(connection: Connection, table: Table) -> str:
    """Return the quoted name of a table with its schema, for statements that SQLAlchemy does not compile."""
    parts = filter(None, (schema_of(connection), table.name))
    return ".".join(quoted_identifier(connection, part) for part in parts)


def create_schema(connection: Connection, own: str) -> None:
    """Create a schema, unless it exists. Raises `ConfigurationError` if the user may not create it, or tables in it."""
    user, database, may_create, may_use = connection.execute(_CREATABLE, {"own": own}).one()
    name, user, database = (quoted_identifier(connection, part) for part in (own, user, database))
    if may_use is False:
        remedy = f"run `GRANT ALL ON SCHEMA {name} TO {user}`"
        message = f"expected the right to create tables in the schema {name}: {remedy}"
        raise ConfigurationError(message, place="postgresql_schema")
    if may_use:
        return
    if not may_create:
        remedy = f"run `CREATE SCHEMA {name} AUTHORIZATION {user}`, or `GRANT CREATE ON DATABASE {database} TO {user}`"
        raise ConfigurationError(f"expected the right to create the schema {name}: {remedy}", place="postgresql_schema")
    connection.exec_driver_sql(f"CREATE SCHEMA {name}")
