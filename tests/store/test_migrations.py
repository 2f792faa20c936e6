"""An empty store gets the declared schema; a store that was made before opens, and has the same schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, select, text

from iam_guard import open_guard
from iam_guard.errors import ConfigurationError
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store import migrations, schema
from iam_guard.store.database.engine import reading, writing
from iam_guard.store.database.postgresql_schema import schema_of, use_own_schema
from iam_guard.store.identifiers import entity_digest
from iam_guard.store.migrations import is_current, steps, upgrade
from iam_guard.store.opening import create_store, open_database
from iam_guard.store.policies.builtin import MANAGED, insert_missing_policies
from tests.store.databases import SEALING_KEY

STORES = Path(__file__).parent / "stores"
"""Stores of the tests' seed as each released schema wrote them: `SCHEMA-DATABASE.sql`."""
BASELINE, LATEST, NEXT = "0004", "0019", "0020"

SIGN_ON_PROVIDERS = (
    "INSERT INTO oidc_providers (id, account, url, client_ids, thumbprints, tags, created)"
    " VALUES ('P1', '111122223333', 'id.example.com', '[]', '[]', '[]', 1)",
    "INSERT INTO saml_providers (id, account, name, folded, document, tags, created)"
    " VALUES ('P2', '111122223333', 'idp', 'idp', '', '[]', 1)",
    "INSERT INTO sign_on_providers (id, account, name, folded, oidc_provider_id, scopes, roles, trusts_mfa, created)"
    " VALUES ('oidc', '111122223333', 'oidc', 'oidc', 'P1', '[]', '[]', '0', 1)",
    "INSERT INTO sign_on_providers (id, account, name, folded, saml_provider_id, scopes, roles, trusts_mfa, created)"
    " VALUES ('saml', '111122223333', 'saml', 'saml', 'P2', '[]', '[]', '0', 1)",
)


@pytest.fixture(params=["memory", "postgresql", "own schema"])
def engine(request: pytest.FixtureRequest, open_engine: Callable[[str], Engine]) -> Engine:
    """The engine of an empty database, on PostgreSQL also with a schema of its own."""
    engine = open_engine("sqlite://" if request.param == "memory" else request.getfixturevalue("bare_postgresql"))
    if request.param == "own schema":
        use_own_schema(engine, "iam_guard")
    return engine


def tables(engine: Engine) -> set[str]:
    with reading(engine) as connection:
        return set(inspect(connection).get_table_names(schema_of(connection))) - {"iam_guard_version"}


def described(engine: Engine) -> dict[str, dict[str, list[str]]]:
    """Return what the database itself reports about our tables."""
    kinds = ("columns", "foreign_keys", "unique_constraints", "check_constraints", "indexes")
    found: dict[str, dict[str, list[str]]] = {}
    for table in {*tables(engine), "iam_guard_version"}:
        with reading(engine) as connection:
            inspector, own = inspect(connection), schema_of(connection)
            found[table] = {kind: sorted(map(_plain, getattr(inspector, f"get_{kind}")(table, own))) for kind in kinds}
            found[table]["primary_key"] = [_plain(inspector.get_pk_constraint(table, own))]
    return found


def _plain(facts: Mapping[str, object]) -> str:
    """Return facts as text; PostgreSQL writes the casts of a check in another way once it was dumped."""
    options = {name: str(value) for name, value in dict(facts.get("dialect_options") or {}).items()}  # type: ignore[call-overload]
    named = {name: value for name, value in facts.items() if name != "referred_schema"}
    described = sorted({**named, "dialect_options": options}.items())
    return re.sub(r"::(character varying|text)(\[\])?|[()\[\]]", "", repr(described))


def restore(engine: Engine, version: str) -> None:
    """Write a store as a released schema wrote it."""
    text = (STORES / f"{version}-{engine.dialect.name}.sql").read_text(encoding="utf-8")
    connection = engine.raw_connection()
    driver: Any = connection.driver_connection
    if engine.dialect.name == "sqlite":
        driver.executescript(f"PRAGMA foreign_keys=OFF; {text} PRAGMA foreign_keys=ON;")
    else:
        with reading(engine) as opened:
            own = schema_of(opened)
        if own is not None:
            text = f"CREATE SCHEMA {own};" + text.replace("public.", f"{own}.")
        driver.execute(text)
        driver.commit()
    connection.close()


def test_created_schema_equals_declared_schema(engine: Engine) -> None:
    """Tables, their types, keys and indexes."""
    assert not is_current(engine)
    assert upgrade(engine)
    assert is_current(engine)
    assert not upgrade(engine)
    assert tables(engine) == set(schema.metadata.tables)
    with reading(engine) as connection:
        own = schema_of(connection)
        options = {"compare_type": True, "compare_server_default": True, "version_table": migrations.VERSION.name}
        options["version_table_schema"] = own
        context = MigrationContext.configure(connection, opts=options)
        if own is None:
            assert compare_metadata(context, schema.metadata) == []
        assert context.get_current_revision() == LATEST
        assert connection.execute(select(schema.meta.c.epoch)).scalar_one() == 1


@pytest.mark.parametrize("version", sorted({path.name.partition("-")[0] for path in STORES.glob("*.sql")}))
def test_earlier_store_gets_the_schema_of_a_new_one(
    engine: Engine, request: pytest.FixtureRequest, open_engine: Callable[[str], Engine], version: str
) -> None:
    """In the database's own words: with the checks and `ON DELETE` that Alembic does not compare."""
    restore(engine, version)
    upgrade(engine)
    is_memory = engine.dialect.name == "sqlite"
    new = open_engine("sqlite://" if is_memory else request.getfixturevalue("postgresql"))
    upgrade(new)
    assert described(engine) == described(new)


@pytest.mark.parametrize("version", sorted({path.name.partition("-")[0] for path in STORES.glob("*.sql")}))
def test_earlier_store_is_opened(bare_database: str, open_engine: Callable[[str], Engine], version: str) -> None:
    """Its policies decide, its sealed secrets open, and it can be changed."""
    engine = open_engine(bare_database)
    restore(engine, version)
    create_store(bare_database, Settings(sealing_keys=(SEALING_KEY,))).close()
    store = open_database(bare_database, Settings(sealing_keys=(SEALING_KEY,)))
    key = store.access_key("AKIAALICE")
    store.close()
    assert key is not None
    assert key.secret == "alice-secret"
    guard = open_guard(bare_database, sealing_keys=[SEALING_KEY])
    alice = Principal.from_arn("arn:aws:iam::111122223333:user/staff/alice")
    plan = "arn:aws:docs:us-east-1:111122223333:document/plan"
    assert guard.decide(alice, "docs:ListDocuments", plan).allowed
    assert not guard.decide(alice, "docs:DeleteDocument", plan).allowed
    guard.resource_policies.delete(plan)
    guard.close()


def test_existing_saml_providers_get_their_digests(engine: Engine) -> None:
    """Of the entity id in the document that they have; none for a document that can't be read any more."""
    entity = "https://idp.example.com/saml?ü=1"
    documents = {
        "read": f'<?xml version="1.0"?><m:X xmlns:m="urn:x" entityID=" {entity} "><m:Y entityID="other"/></m:X>',
        "cut off": '<m:X xmlns:m="urn:x" entityID="other">',
        "without": '<X><Y entityID="other"/></X>',
    }
    restore(engine, BASELINE)
    common = {"account": "111122223333", "tags": [], "created": 1}
    with writing(engine) as connection:
        for id, document in documents.items():
            connection.execute(
                schema.saml_providers.insert().values(id=id, name=id, folded=id, document=document, **common)
            )
    upgrade(engine)
    with reading(engine) as connection:
        found = connection.execute(select(schema.saml_providers.c.id, schema.saml_providers.c.entity_digest)).all()
    assert dict(map(tuple, found)) == {"read": entity_digest(entity), "cut off": None, "without": None}


def test_existing_sign_on_providers_keep_the_common_redirect(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of OIDC: their identity providers know no other address."""
    restore(engine, BASELINE)
    with monkeypatch.context() as earlier, writing(engine) as connection:
        earlier.setattr(steps, "_to_head", lambda revision, _: steps._script()._upgrade_revs("0014", revision))
        steps.upgrade_to_head(connection)
        for statement in SIGN_ON_PROVIDERS:
            connection.execute(text(statement))
    assert upgrade(engine)
    columns = schema.sign_on_providers.c
    with reading(engine) as connection:
        found = connection.execute(select(columns.id, columns.has_common_redirect)).all()
    assert dict(map(tuple, found)) == {"oidc": True, "saml": None}


def test_existing_accounts_are_active_and_found_in_any_case(engine: Engine) -> None:
    """Seeds once stored names and addresses as written."""
    restore(engine, BASELINE)
    with writing(engine) as connection:
        connection.execute(
            schema.accounts.insert(),
            [
                {"id": "888800000001", "name": "Globex", "email": " Root@Globex.example", "created": 1},
                {"id": "888800000002", "name": "Umbrella", "email": None, "created": 1},
            ],
        )
    upgrade(engine)
    found = select(*(schema.accounts.c[name] for name in ("folded", "email", "state"))).where(
        schema.accounts.c.id.like("8888%")
    )
    with reading(engine) as connection:
        assert set(map(tuple, connection.execute(found).all())) == {
            ("globex", "root@globex.example", "active"),
            ("umbrella", None, "active"),
        }


@pytest.mark.parametrize("number", ["0003", "0001"])
def test_store_of_before_the_first_release_is_refused(engine: Engine, number: str) -> None:
    upgrade(engine)
    with writing(engine) as connection:
        connection.execute(migrations.VERSION.update().values(version_num=number))
    with pytest.raises(ConfigurationError, match=f"expected a store with schema {BASELINE} or newer, got `{number}`"):
        upgrade(engine)


def test_older_backup_over_a_newer_store_is_refused(engine: Engine) -> None:
    """Its number is older than its tables; nothing is changed."""
    upgrade(engine)
    with writing(engine) as connection:
        connection.execute(migrations.VERSION.update().values(version_num="0012"))
    with pytest.raises(ConfigurationError, match="got some of a newer one: restore backups into an empty database"):
        upgrade(engine)
    with reading(engine) as connection:
        assert connection.execute(select(migrations.VERSION.c.version_num)).scalar_one() == "0012"
        assert connection.execute(select(schema.meta.c.epoch)).scalar_one() == 1


def test_next_migration_runs_once(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here with one that adds a table; a store that has it already is left as it is."""
    versions = tmp_path / "versions"
    versions.mkdir()
    for path in (Path(migrations.__file__).parent / "versions").glob("0*.py"):
        (versions / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    (versions / f"{NEXT}_next.py").write_text(
        f"import sqlalchemy as sa\nfrom alembic import op\nrevision, down_revision = '{NEXT}', '{LATEST}'\n"
        "def upgrade(): op.create_table('added', sa.Column('id', sa.Integer(), primary_key=True))\n",
        encoding="utf-8",
    )
    upgrade(engine)
    monkeypatch.setattr(migrations, "_revisions", lambda: frozenset({BASELINE, LATEST, NEXT}))
    monkeypatch.setattr(steps, "_script", lambda: ScriptDirectory(str(tmp_path)))
    assert not is_current(engine)
    assert upgrade(engine)
    assert is_current(engine)
    assert tables(engine) == {*schema.metadata.tables, "added"}
    assert not upgrade(engine)


def test_new_store_has_the_policies_of_aws(engine: Engine) -> None:
    """The AWS managed policies and the two full-access control policies (E-12, E-13)."""
    upgrade(engine)
    with reading(engine) as connection:
        managed = connection.execute(select(schema.policies.c.account, schema.policies.c.name)).all()
        control = connection.execute(select(schema.control_policies.c.id, schema.control_policies.c.type)).all()
    assert {tuple(row) for row in managed} == {("aws", name) for name in MANAGED}
    assert {tuple(row) for row in control} == {("p-FullAWSAccess", "SCP"), ("p-RCPFullAWSAccess", "RCP")}


def test_older_store_gets_versions_of_the_policies_of_aws(engine: Engine) -> None:
    """`SignInLocalDevelopmentAccess` named the partition `aws` alone: in others, it gave access to no tool."""
    upgrade(engine)
    versions, tools = schema.policy_versions, MANAGED["SignInLocalDevelopmentAccess"].id
    is_of_tools = versions.c.policy_id == tools
    with writing(engine) as connection:
        connection.execute(versions.update().where(is_of_tools).values(text="{}", digest="of an older text"))
        for _ in range(2):
            insert_missing_policies(connection, now=0)
        default = select(schema.policies.c.default_version).where(schema.policies.c.id == tools)
        assert connection.execute(default).scalar_one() == 2
        texts = connection.execute(select(versions.c.text).where(is_of_tools).order_by(versions.c.version)).scalars()
        assert ["arn:*:signin" in text for text in texts] == [False, True]
        assert connection.execute(select(versions.c.version).where(versions.c.version > 1)).all() == [(2,)]


def test_one_of_several_processes_upgrades(bare_database: str, open_engine: Callable[[str], Engine]) -> None:
    """The others wait for it: an application that runs in several processes may upgrade in each."""
    engines = [open_engine(bare_database) for _ in range(4)]
    together = Barrier(len(engines))

    def start(engine: Engine) -> bool:
        together.wait()
        return upgrade(engine)

    with ThreadPoolExecutor(len(engines)) as pool:
        assert sorted(pool.map(start, engines)) == [False, False, False, True]
    assert tables(engines[0]) == schema.metadata.tables.keys()
