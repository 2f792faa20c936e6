"""A store and an application in one PostgreSQL database: migrations of both, names of tables, and rights.

The application uses Alembic, with its table `alembic_version`, and has tables with names of ours.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from click.testing import CliRunner
from sqlalchemy import make_url

from iam_guard.cli import main
from iam_guard.errors import ConfigurationError
from iam_guard.settings import Settings
from iam_guard.store import schema
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.database.engine import closed_on_error, make_engine, writing
from iam_guard.store.database.postgresql_schema import create_schema
from iam_guard.store.migrations import VERSION
from iam_guard.store.opening import create_store, move_to_own_schema, open_database
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.audit.pipelines import eventually
from tests.store.databases import SEALING_KEY, Server
from tests.store.test_migrations import LATEST, STORES
from tests.tables import table

ACME, NEW = "111122223333", "222222222222"
IN_PUBLIC = Settings(sealing_keys=(SEALING_KEY,), postgresql_schema="")
ENV = """
from alembic import context
from sqlalchemy import NullPool, create_engine
with create_engine(context.config.get_main_option("sqlalchemy.url"), poolclass=NullPool).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
"""
REVISION = """
from alembic import op
revision, down_revision = {revision!r}, {before!r}
def upgrade():
    op.execute({statement!r})
"""


@pytest.fixture
def settings() -> Settings:
    return Settings(sealing_keys=(SEALING_KEY,), epoch_poll=0.0)


@pytest.fixture
def url(bare_postgresql: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("IAM_GUARD_SEALING_KEYS", SEALING_KEY)
    return bare_postgresql


@pytest.fixture
def migrate(url: str, tmp_path: Path) -> Callable[[str], None]:
    """Return a function that migrates an application to a revision."""
    versions = tmp_path / "versions"
    versions.mkdir()
    (tmp_path / "env.py").write_text(ENV)
    steps = {
        "0012": (None, "CREATE TABLE accounts (id SERIAL PRIMARY KEY, owner TEXT)"),
        "ae10c7": ("0012", "CREATE TABLE meta (id SERIAL PRIMARY KEY, note TEXT)"),
        "bf21d8": ("ae10c7", "ALTER TABLE accounts ADD COLUMN iban TEXT"),
    }
    for revision, (before, statement) in steps.items():
        content = REVISION.format(revision=revision, before=before, statement=statement)
        (versions / f"{revision}.py").write_text(content)
    config = Config()
    config.set_main_option("script_location", str(tmp_path))
    config.set_main_option("sqlalchemy.url", url)
    return lambda revision: command.upgrade(config, revision)


def run(url: str, *statements: str) -> list[object]:
    """Run statements of the application or an administrator; return the first column of the last one's rows."""
    found: list[object] = []
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
            found = [row[0] for row in cursor] if cursor.description else []
    return found


def tables(url: str, schema: str) -> set[object]:
    return set(run(url, f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}'"))  # noqa: S608


OURS = {*schema.metadata.tables, VERSION.name}


def add(store: SqlStore | CachedStore, account_id: str) -> None:
    with store.write_transaction() as records:
        records.insert(schema.accounts, id=account_id, name="new", created=0)


@pytest.fixture
def former_url(url: str) -> str:
    """The URL of a database with a store of the first release."""
    run(url, (STORES / "0004-postgresql.sql").read_text(encoding="utf-8"))
    return url


# --- migrations ------------------------------------------------------------------------------------------------------


def test_application_that_migrates_first_shares_the_database(
    url: str, settings: Settings, migrate: Callable[[str], None]
) -> None:
    """Also with a revision that is called like one of ours."""
    migrate("0012")
    with closing(create_store(url, settings)) as store:
        add(store, NEW)
        migrate("bf21d8")
        assert store.account(NEW).exists
    with closing(open_database(url, settings)) as store:
        assert store.account(NEW).exists
    assert tables(url, "public") == {"alembic_version", "accounts", "meta"}
    assert tables(url, "iam_guard") == OURS


def test_application_that_migrates_second_shares_the_database(
    url: str, settings: Settings, migrate: Callable[[str], None]
) -> None:
    with closing(create_store(url, settings)) as store:
        add(store, NEW)
        migrate("bf21d8")
        assert store.account(NEW).exists
    assert CliRunner().invoke(main, ["init", "--store", url]).exit_code == 0
    assert run(url, "SELECT version_num FROM alembic_version") == ["bf21d8"]
    assert run(url, "SELECT version_num FROM iam_guard.iam_guard_version") == [LATEST]


def test_upgrade_leaves_the_version_table_to_the_application(
    former_url: str, settings: Settings, migrate: Callable[[str], None]
) -> None:
    """An earlier store stays in its schema. Its number was the only row, so the application could not migrate."""
    with pytest.raises(CommandError, match="Can't locate revision"):
        migrate("ae10c7")
    with pytest.raises(ConfigurationError, match="expected a store with the current schema"):
        open_database(former_url, settings)
    with closing(create_store(former_url, settings)) as store:
        assert store.account(ACME).exists
    assert tables(former_url, "public") == OURS
    assert tables(former_url, "iam_guard") == set()


def test_former_version_table_is_read(url: str, settings: Settings) -> None:
    """Also with rows of an application; an upgrade moves ours alone."""
    create_store(url, IN_PUBLIC).close()
    run(
        url,
        "ALTER TABLE iam_guard_version RENAME TO former",
        "CREATE TABLE alembic_version (version_num TEXT PRIMARY KEY)",
        "INSERT INTO alembic_version VALUES ('ae10c7')",
        "INSERT INTO alembic_version SELECT version_num FROM former",
        "DROP TABLE former",
    )
    open_database(url, settings).close()
    create_store(url, settings).close()
    assert run(url, "SELECT version_num FROM alembic_version") == ["ae10c7"]
    assert run(url, "SELECT version_num FROM iam_guard_version") == [LATEST]
    open_database(url, settings).close()


INSERT = "INSERT INTO alembic_version VALUES "


@table(
    ("numbers", "got"),
    [("('9999') LIMIT 0", "none"), ("('ae10c7')", "none"), ("('0013'), ('0014')", "several"), ("('9999')", "`9999`")],
)
def test_store_without_its_own_number_is_refused(former_url: str, settings: Settings, numbers: str, got: str) -> None:
    """It is neither created again nor upgraded from a number of the application."""
    run(former_url, "DELETE FROM alembic_version", INSERT + numbers)
    for open_it in (create_store, open_database):
        with pytest.raises(ConfigurationError, match=f"expected a store with schema {LATEST} or older, got {got}"):
            open_it(former_url, settings)


# --- the schema ------------------------------------------------------------------------------------------------------


def test_own_schema_comes_before_the_search_path(url: str, settings: Settings) -> None:
    with closing(create_store(url, IN_PUBLIC)) as former:
        add(former, ACME)
        with closing(open_database(url, settings)) as store:
            assert store.account(ACME).exists
        run(url, "CREATE SCHEMA iam")
        create_store(url, Settings(sealing_keys=(SEALING_KEY,), postgresql_schema="iam")).close()
        assert tables(url, "iam") == set()  # the existing store is used
        path = f"{url}?options=-csearch_path%3Diam"
        create_store(path, Settings(sealing_keys=(SEALING_KEY,), postgresql_schema="iam")).close()
        assert tables(url, "iam") == OURS
        for given in (path, url):
            with closing(open_database(given, Settings(sealing_keys=(SEALING_KEY,), postgresql_schema="iam"))) as store:
                assert not store.account(ACME).exists
    with closing(open_database(path, settings)) as store:
        assert not store.account(ACME).exists


def test_application_table_of_the_same_name_is_no_store(
    url: str, settings: Settings, migrate: Callable[[str], None]
) -> None:
    migrate("bf21d8")
    with pytest.raises(ConfigurationError, match="expected a store in the database"):
        open_database(url, settings)


# --- rights ----------------------------------------------------------------------------------------------------------


@contextmanager
def user_of(server: Server, url: str) -> Iterator[tuple[str, str]]:
    """Create a user without rights; yield its name and the URL with it."""
    name = f"iam_guard_user_{secrets.token_hex(6)}"
    server.run(f"CREATE ROLE {name} LOGIN PASSWORD 'test'")
    try:
        yield name, make_url(url).set(username=name, password="test").render_as_string(hide_password=False)
    finally:
        run(url, f"DROP OWNED BY {name} CASCADE")
        server.run(f"DROP ROLE {name}")


def test_missing_right_to_create_the_schema_says_what_to_run(server: Server, url: str) -> None:
    """Each remedy works as it is written in the error."""

    def create(given: str) -> None:
        engine = make_engine(given)
        with closed_on_error(engine), writing(engine) as connection:
            create_schema(connection, "iam_guard")
            connection.exec_driver_sql("CREATE TABLE iam_guard.meta (id INTEGER)")
        engine.dispose()

    def remedies(given: str) -> list[str]:
        with pytest.raises(ConfigurationError, match="expected the right to create") as caught:
            create(given)
        return caught.value.message.split("`")[1::2]

    for number in (0, 1):
        with user_of(server, url) as (_, given):
            run(url, remedies(given)[number])
            create(given)
    with user_of(server, url) as (_, given):
        run(url, "CREATE SCHEMA iam_guard")
        [remedy] = remedies(given)
        run(url, remedy)
        create(given)


def test_user_without_the_right_to_create_opens_the_store(server: Server, url: str, settings: Settings) -> None:
    """A process needs the rights on the tables, and that to use the schema."""
    create_store(url, settings).close()
    with user_of(server, url) as (name, given):
        with pytest.raises(Exception, match="InsufficientPrivilege"):
            open_database(given, settings)
        granted = f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA iam_guard TO {name}"
        run(url, f"GRANT USAGE ON SCHEMA iam_guard TO {name}", granted)
        with closing(open_database(given, settings)) as store:
            add(store, NEW)
            assert store.account(NEW).exists


# --- init --move-to-schema -------------------------------------------------------------------------------------------


def moved(url: str) -> str:
    result = CliRunner().invoke(main, ["init", "--move-to-schema", "--store", url])
    assert result.exit_code in (0, 2), result.exc_info
    return result.output


def test_store_is_moved_with_its_content(
    url: str, former_url: str, settings: Settings, migrate: Callable[[str], None], seed_text: str
) -> None:
    """The application's tables stay, also its references to ours; changes are followed afterwards."""
    with closing(create_store(former_url, settings)) as store:
        apply_seed(store, load_seed_text(seed_text))
        before = store.account(ACME), store.epoch()
    run(
        url,
        "CREATE TABLE orders (id INTEGER, account TEXT REFERENCES accounts (id))",
        "INSERT INTO orders VALUES (1, '111122223333')",
    )
    assert "the store was moved from the schema `public` to the schema `iam_guard`\n" in moved(url)
    assert tables(url, "public") == {"orders"}
    assert tables(url, "iam_guard") == OURS
    migrate("bf21d8")
    with (
        closing(CachedStore(open_database(url, settings), settings)) as store,
        closing(open_database(url, settings)) as other,
    ):
        assert (store.account(ACME), store.epoch()) == before
        key = store.access_key("AKIAALICE")
        assert key is not None
        assert key.secret == "alice-secret"
        eventually(lambda: store.account(ACME).exists and store.feed_usage().is_notified)
        add(other, NEW)
        eventually(lambda: store.account(NEW).exists)
    assert "the store is in the schema `iam_guard`\n" in moved(url)
    assert run(url, "SELECT account FROM orders") == [ACME]


def test_store_in_use_is_not_moved(url: str, settings: Settings) -> None:
    """A process that goes on would find no table; those of earlier versions are known by what they sent."""
    create_store(url, IN_PUBLIC).close()
    with closing(open_database(url, settings)) as store:
        assert store.epoch() == 1
        assert "expected no other connection to the store, got 1: stop all processes" in moved(url)
    for sent in (b"LISTEN iam_guard_changes", b"SELECT changes.epoch, changes.mark FROM changes"):
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as other:
            other.execute(sent)
            assert "expected no other connection to the store, got 1: stop all processes" in moved(url)
    assert tables(url, "iam_guard") == set()
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as application:
        application.execute("SELECT 1")
        assert "the store was moved" in moved(url)


def test_move_that_fails_changes_nothing(server: Server, url: str) -> None:
    """Here since the schema has a table of that name already."""
    create_store(url, IN_PUBLIC).close()
    run(url, "CREATE SCHEMA iam_guard", "CREATE TABLE iam_guard.policies (id INTEGER)")
    assert "the store cannot be used: DuplicateTable" in moved(url)
    assert tables(url, "iam_guard") == {"policies"}
    assert tables(url, "public") == OURS


def test_only_a_store_on_postgresql_is_moved(tmp_path: Path, url: str) -> None:
    assert "expected a store on PostgreSQL to move it to" in moved(f"sqlite:///{tmp_path}/iam.db")
    assert not (tmp_path / "iam.db").exists()
    with pytest.raises(ConfigurationError, match="expected the name of a schema"):
        move_to_own_schema(url, IN_PUBLIC)
    with pytest.raises(ConfigurationError, match="expected the name of a schema, got `pg_x`"):
        Settings(postgresql_schema="pg_x")
