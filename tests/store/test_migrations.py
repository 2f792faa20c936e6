"""The migrated schema is the declared one, step by step there and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import CheckConstraint, Engine, inspect, select

from iam_guard.store import schema
from iam_guard.store.engine import reading
from iam_guard.store.migrations import downgrade, is_current, upgrade


def tables(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        return set(inspect(connection).get_table_names()) - {"alembic_version"}


def test_migrated_schema_is_the_declared_one(open_engine: Callable[[str], Engine]) -> None:
    """Nothing is left to do between the last step and the tables, their types, keys and indexes."""
    engine = open_engine("sqlite://")
    assert upgrade(engine)
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, schema.metadata) == []


def test_check_constraints_are_the_declared_ones(open_engine: Callable[[str], Engine]) -> None:
    """The same for check constraints, which Alembic does not compare."""
    engine = open_engine("sqlite://")
    upgrade(engine)
    for table in schema.metadata.sorted_tables:
        with reading(engine) as connection:
            found = {str(check["sqltext"]) for check in inspect(connection).get_check_constraints(table.name)}
        declared = {str(each.sqltext) for each in table.constraints if isinstance(each, CheckConstraint)}
        assert found == declared, table.name


def test_there_and_back(open_engine: Callable[[str], Engine]) -> None:
    """Upgrading is done once; downgrading leaves nothing; upgrading again begins anew."""
    engine = open_engine("sqlite://")
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


def test_every_store_begins_with_awss_policies(open_engine: Callable[[str], Engine]) -> None:
    """AdministratorAccess and the two full-access control policies are there from the beginning (E-12, E-13)."""
    engine = open_engine("sqlite://")
    upgrade(engine)
    with reading(engine) as connection:
        managed = connection.execute(select(schema.policies.c.account, schema.policies.c.name)).all()
        control = connection.execute(select(schema.control_policies.c.id, schema.control_policies.c.type)).all()
    assert [tuple(row) for row in managed] == [("aws", "AdministratorAccess")]
    assert {tuple(row) for row in control} == {("p-FullAWSAccess", "SCP"), ("p-RCPFullAWSAccess", "RCP")}


def test_two_processes_at_once(tmp_path: Path, open_engine: Callable[[str], Engine]) -> None:
    """Of two that upgrade the same file, the second finds it done."""
    url = f"sqlite:///{tmp_path}/a.db"
    assert [upgrade(open_engine(url)), upgrade(open_engine(url))] == [True, False]
