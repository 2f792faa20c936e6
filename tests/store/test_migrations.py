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
from iam_guard.store.engine import reading, writing
from iam_guard.store.migrations import downgrade, is_current, upgrade, upgrade_by_steps


@pytest.fixture(params=["memory", "postgresql"])
def engine(request: pytest.FixtureRequest, open_engine: Callable[[str], Engine]) -> Engine:
    """A database with nothing in it."""
    return open_engine("sqlite://" if request.param == "memory" else request.getfixturevalue("bare_postgresql"))


WAYS = pytest.mark.parametrize("bring_up", [upgrade, upgrade_by_steps])
"""An empty store is made as it is declared, or by all steps."""


def tables(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        return set(inspect(connection).get_table_names()) - {"alembic_version"}


def test_migrated_schema_is_the_declared_one(engine: Engine) -> None:
    """Nothing is left to do between the last step and the tables, their types, keys and indexes."""
    assert upgrade_by_steps(engine)
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, schema.metadata) == []


def described(engine: Engine) -> dict[str, dict[str, list[str]]]:
    """Return what the database itself says about our tables."""
    asked = ("columns", "foreign_keys", "unique_constraints", "check_constraints", "indexes")
    found: dict[str, dict[str, list[str]]] = {}
    for table in {*tables(engine), "alembic_version"}:
        with reading(engine) as connection:
            inspector = inspect(connection)
            found[table] = {each: sorted(map(repr, getattr(inspector, f"get_{each}")(table))) for each in asked}
            found[table]["primary_key"] = [repr(inspector.get_pk_constraint(table))]
    return found


def test_migrated_schema_is_told_like_the_declared_one(engine: Engine) -> None:
    """The same in the database's own words, which have what Alembic does not compare: checks, `ON DELETE`."""
    upgrade_by_steps(engine)
    migrated, version = described(engine), noted_version(engine)
    downgrade(engine)
    with writing(engine) as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
    upgrade(engine)
    assert set(migrated) == {*schema.metadata.tables, "alembic_version"}
    assert described(engine) == migrated
    assert noted_version(engine) == version


def noted_version(engine: Engine) -> str | None:
    """Return the last step as Alembic reads it."""
    with reading(engine) as connection:
        return MigrationContext.configure(connection).get_current_revision()


@WAYS
def test_there_and_back(engine: Engine, bring_up: Callable[[Engine], bool]) -> None:
    """Upgrading is done once; downgrading leaves nothing; upgrading again begins anew."""
    assert not is_current(engine)
    assert bring_up(engine)
    assert is_current(engine)
    assert not upgrade(engine)
    assert not upgrade_by_steps(engine)
    assert tables(engine) == set(schema.metadata.tables)
    downgrade(engine)
    assert not is_current(engine)
    assert tables(engine) == set()
    assert bring_up(engine)
    with reading(engine) as connection:
        assert connection.execute(select(schema.meta.c.epoch)).scalar_one() == 1


def test_an_older_store_is_brought_up(engine: Engine) -> None:
    """One that stands at the first step walks the others."""
    upgrade(engine)
    downgrade(engine, "0001")
    assert not is_current(engine)
    assert upgrade(engine)
    assert is_current(engine)
    assert tables(engine) == set(schema.metadata.tables)


@WAYS
def test_every_store_begins_with_awss_policies(engine: Engine, bring_up: Callable[[Engine], bool]) -> None:
    """The AWS managed policies and the two full-access control policies are there from the beginning (E-12, E-13)."""
    bring_up(engine)
    with reading(engine) as connection:
        managed = connection.execute(select(schema.policies.c.account, schema.policies.c.name)).all()
        control = connection.execute(select(schema.control_policies.c.id, schema.control_policies.c.type)).all()
    assert {tuple(row) for row in managed} == {("aws", name) for name in MANAGED}
    assert {tuple(row) for row in control} == {("p-FullAWSAccess", "SCP"), ("p-RCPFullAWSAccess", "RCP")}


@WAYS
def test_of_many_that_upgrade_at_once_one_does_it(
    bare_database: str, open_engine: Callable[[str], Engine], bring_up: Callable[[Engine], bool]
) -> None:
    """The others wait for it and find it done: an application that starts in several processes may do it in each."""
    engines = [open_engine(bare_database) for _ in range(4)]
    together = Barrier(len(engines))

    def start(engine: Engine) -> bool:
        together.wait()
        return bring_up(engine)

    with ThreadPoolExecutor(len(engines)) as pool:
        assert sorted(pool.map(start, engines)) == [False, False, False, True]
    assert tables(engines[0]) == schema.metadata.tables.keys()


@WAYS
def test_several_databases_are_upgraded_at_once(
    open_engine: Callable[[str], Engine], bring_up: Callable[[Engine], bool]
) -> None:
    """Each gets its own tables: Alembic's idea of the present connection belongs to the whole process."""
    engines = [open_engine("sqlite://") for _ in range(8)]
    together = Barrier(len(engines))

    def start(engine: Engine) -> bool:
        together.wait()
        return bring_up(engine)

    with ThreadPoolExecutor(len(engines)) as pool:
        assert all(pool.map(start, engines))
    assert [tables(engine) for engine in engines] == [set(schema.metadata.tables)] * len(engines)
