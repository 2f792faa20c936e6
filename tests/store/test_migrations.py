"""The migrated schema is the declared one, step by step there and back, on both kinds of database."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, select

from iam_guard.store import schema
from iam_guard.store.builtin import MANAGED
from iam_guard.store.engine import reading
from iam_guard.store.migrations import downgrade, is_current, upgrade


@pytest.fixture(params=["memory", "postgresql"])
def engine(request: pytest.FixtureRequest, open_engine: Callable[[str], Engine]) -> Engine:
    """A database with nothing in it."""
    return open_engine("sqlite://" if request.param == "memory" else request.getfixturevalue("bare_postgresql"))


def tables(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        return set(inspect(connection).get_table_names()) - {"alembic_version"}


def test_migrated_schema_is_the_declared_one(engine: Engine) -> None:
    """Nothing is left to do between the last step and the tables, their types, keys and indexes."""
    assert upgrade(engine)
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, schema.metadata) == []


def described(engine: Engine) -> dict[str, dict[str, list[str]]]:
    """Give what the database itself says about our tables."""
    asked = ("columns", "foreign_keys", "unique_constraints", "check_constraints", "indexes")
    found: dict[str, dict[str, list[str]]] = {}
    for table in tables(engine):
        with reading(engine) as connection:
            inspector = inspect(connection)
            found[table] = {each: sorted(map(repr, getattr(inspector, f"get_{each}")(table))) for each in asked}
            found[table]["primary_key"] = [repr(inspector.get_pk_constraint(table))]
    return found


def test_migrated_schema_is_told_like_the_declared_one(engine: Engine) -> None:
    """The same in the database's own words, which have what Alembic does not compare: checks, `ON DELETE`."""
    upgrade(engine)
    migrated = described(engine)
    downgrade(engine)
    schema.metadata.create_all(engine)
    assert set(migrated) == set(schema.metadata.tables)
    assert described(engine) == migrated


def test_there_and_back(engine: Engine) -> None:
    """Upgrading is done once; downgrading leaves nothing; upgrading again begins anew."""
    assert not is_current(engine)
    assert upgrade(engine)
    assert is_current(engine)
    assert not upgrade(engine)
    assert tables(engine) == set(schema.metadata.tables)
    downgrade(engine)
    assert not is_current(engine)
    assert tables(engine) == set()
    assert upgrade(engine)
    with reading(engine) as connection:
        assert connection.execute(select(schema.meta.c.epoch)).scalar_one() == 1


def test_every_store_begins_with_awss_policies(engine: Engine) -> None:
    """The AWS managed policies and the two full-access control policies are there from the beginning (E-12, E-13)."""
    upgrade(engine)
    with reading(engine) as connection:
        managed = connection.execute(select(schema.policies.c.account, schema.policies.c.name)).all()
        control = connection.execute(select(schema.control_policies.c.id, schema.control_policies.c.type)).all()
    assert {tuple(row) for row in managed} == {("aws", name) for name in MANAGED}
    assert {tuple(row) for row in control} == {("p-FullAWSAccess", "SCP"), ("p-RCPFullAWSAccess", "RCP")}


def test_of_many_that_upgrade_at_once_one_does_it(bare_database: str, open_engine: Callable[[str], Engine]) -> None:
    """The others wait for it and find it done: an application that starts in several processes may do it in each."""
    engines = [open_engine(bare_database) for _ in range(4)]
    together = Barrier(len(engines))

    def start(engine: Engine) -> bool:
        together.wait()
        return upgrade(engine)

    with ThreadPoolExecutor(len(engines)) as pool:
        assert sorted(pool.map(start, engines)) == [False, False, False, True]
    assert described(engines[0]).keys() == schema.metadata.tables.keys()


def test_several_databases_are_upgraded_at_once(open_engine: Callable[[str], Engine]) -> None:
    """Each gets its own tables: Alembic's idea of the present connection belongs to the whole process."""
    engines = [open_engine("sqlite://") for _ in range(8)]
    together = Barrier(len(engines))

    def start(engine: Engine) -> bool:
        together.wait()
        return upgrade(engine)

    with ThreadPoolExecutor(len(engines)) as pool:
        assert all(pool.map(start, engines))
    assert [tables(engine) for engine in engines] == [set(schema.metadata.tables)] * len(engines)
