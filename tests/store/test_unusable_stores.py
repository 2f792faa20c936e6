"""Every command and `open_guard` report a store that cannot be used in one line, with exit code 2 and no secret."""

from __future__ import annotations

import resource
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import make_url, select

from iam_guard import open_guard
from iam_guard.cli import main
from iam_guard.errors import ConfigurationError, IamGuardError
from iam_guard.settings import Settings
from iam_guard.store.database.engine import make_engine, writing
from iam_guard.store.migrations import VERSION, upgrade
from iam_guard.store.opening import create_store, open_database
from iam_guard.store.seed import seed_reader
from tests.store.databases import SEALING_KEY, Server, store_engine

SEED = 'version: 1\naccounts: [{id: "111122223333", users: [{name: alice}]}]\n'
SECRET = "hunter2secret"
COMMANDS = {
    "init": ["init"],
    "apply": ["apply", "seed.yaml"],
    "serve": ["serve", "--port", "0", "--seed", "seed.yaml"],
    "api-key": ["api-key", "list"],
    "resource-policy": ["resource-policy", "list"],
    "revocation-list": ["revocation-list", "list"],
    "who-can": ["who-can", "docs:Get", "*"],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IAM_GUARD_SEALING_KEYS", SEALING_KEY)
    (tmp_path / "seed.yaml").write_text(SEED)
    return tmp_path


def run(command: str, store: str) -> Result:
    return CliRunner().invoke(main, [*COMMANDS[command], "--store", store])


def complaint(result: Result) -> str:
    """Return the one line that a command has written before it ended with exit code 2."""
    assert isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert SECRET not in result.output
    return result.output


def changed(path: Path, *statements: str) -> str:
    """Create a store, change it with SQL, and return its URL."""
    create_store(f"sqlite:///{path}", Settings()).close()
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return f"sqlite:///{path}"


def test_command_on_unusable_store_reports_one_line(folder: Path, subtests: pytest.Subtests) -> None:
    """No command ends in a traceback."""
    (folder / "a-file").touch()
    (folder / "a-folder.db").mkdir()
    (folder / "text.db").write_bytes(b"this is no database" * 100)
    stores = {
        "folder that is not there": f"sqlite:///{folder}/none/a.db",
        "folder that is a file": f"sqlite:///{folder}/a-file/a.db",
        "folder of a read-only file system": "sqlite:////proc/iam-guard.db",
        "folder for a file": f"sqlite:///{folder}/a-folder.db",
        "file of something else": f"sqlite:///{folder}/text.db",
        "name that is too long": f"sqlite:///{folder}/{'x' * 300}.db",
        "name with a NUL": f"sqlite:///{folder}/a\0b.db",
        "future schema": changed(folder / "future.db", "UPDATE iam_guard_version SET version_num = '9999'"),
        "no version": changed(folder / "no-version.db", "DELETE FROM iam_guard_version"),
        "port that is closed": f"postgresql://postgres:{SECRET}@127.0.0.1:1/postgres",
        "scheme of another database": f"mysql://root:{SECRET}@127.0.0.1/x",
    }
    for what, store in stores.items():
        for command in COMMANDS:
            with subtests.test(what, command=command):
                complaint(run(command, store))


@pytest.mark.parametrize("command", ["init", "apply", "serve", "who-can"])
def test_incomplete_store_reports_one_line(folder: Path, command: str) -> None:
    """A store without a table or without its epoch, such as an interrupted copy."""
    complaint(run(command, changed(folder / "no-table.db", "DROP TABLE meta")))
    complaint(run(command, changed(folder / "no-epoch.db", "DELETE FROM meta")))


def test_postgresql_connection_error_names_the_reason(bare_postgresql: str) -> None:
    """In our own words: the server's message may contain parts of the URL."""
    prefix, _, _ = bare_postgresql.rpartition("/")
    assert "the database does not exist" in complaint(run("init", f"{prefix}/none_{SECRET}"))
    other = bare_postgresql.replace("://postgres@", f"://nobody_{SECRET}:{SECRET}@")
    assert "the user does not exist" in complaint(run("init", other)) or "wrong user or password" in complaint(
        run("init", other)
    )
    assert "connection was refused" in complaint(run("init", f"postgresql://a:{SECRET}@127.0.0.1:1/a"))
    assert "got none" in complaint(run("who-can", bare_postgresql))
    assert run("apply", bare_postgresql).exit_code == 0


def test_postgresql_without_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "iam_guard.store.database.postgresql", raising=False)
    for command in COMMANDS:
        assert "requires the extra `postgres`" in complaint(run(command, f"postgresql://a:{SECRET}@127.0.0.1/a"))


def test_read_only_user_is_refused_before_seed_is_read(
    server: Server, postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a read-only replica; no seed is read in vain."""
    monkeypatch.setattr(seed_reader, "read_tree", lambda *_: pytest.fail("the seed was read"))
    reader = f"iam_guard_reader_{secrets.token_hex(6)}"
    server.run(f"CREATE ROLE {reader} LOGIN PASSWORD '{SECRET}'")
    engine = make_engine(postgresql)
    try:
        with writing(engine) as connection:
            connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA iam_guard TO {reader}")
            connection.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA iam_guard TO {reader}")
        url = make_url(postgresql).set(username=reader, password=SECRET)
        assert "InsufficientPrivilege" in complaint(run("apply", url.render_as_string(hide_password=False)))
    finally:
        with writing(engine) as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {reader}")
            connection.exec_driver_sql(f"DROP ROLE {reader}")
        engine.dispose()


def test_full_disk_reports_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If there is no space for the key file, or for the database; RLIMIT_FSIZE limits the files."""

    def init(name: str, most: int) -> str:
        limits = (most, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
        done = subprocess.run(
            [sys.executable, "-m", "iam_guard", "init", "--store", f"sqlite:///{folder}/{name}.db"],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
        return done.stderr

    for most in (0, 100_000):
        assert "the store cannot be used" in init(str(most), most)
    monkeypatch.delenv("IAM_GUARD_SEALING_KEYS")
    assert "cannot create the key file" in init("with-key", 0)


def test_future_schema_is_refused_everywhere(folder: Path, database: str) -> None:
    """On both databases, when opening, when upgrading, and for a candidate."""
    engine = store_engine(database)
    with writing(engine) as connection:
        present = connection.execute(select(VERSION.c.version_num)).scalar_one()
        connection.execute(VERSION.update().values(version_num="9999"))
    settings = Settings(sealing_keys=(SEALING_KEY,))
    opened: list[Callable[[], object]] = [
        lambda: open_database(database, settings),
        lambda: create_store(database, settings),
        lambda: upgrade(engine),
        lambda: open_guard(database),
        lambda: open_guard(folder / "seed.yaml", shadow=database),
    ]
    for open_it in opened:
        with pytest.raises(ConfigurationError, match=r"expected a store with schema \d{4} or older, got `9999`"):
            open_it()
    with writing(engine) as connection:  # another test is lent the same database
        connection.execute(VERSION.update().values(version_num=present))
    engine.dispose()


def test_seed_is_read_after_all_other_checks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a large seed takes minutes."""
    read: list[str] = []
    monkeypatch.setattr(seed_reader, "read_tree", lambda *_: read.append("seed"))
    serve = ["serve", "--port", "0", "--seed", "seed.yaml"]
    future = changed(folder / "future.db", "UPDATE iam_guard_version SET version_num = 9")
    wrong = [
        ["apply", "seed.yaml", "--store", "postgresql://a@127.0.0.1:1/a"],
        ["apply", "seed.yaml", "--store", f"sqlite:///{folder}/none/a.db"],
        ["apply", "seed.yaml", "--store", "sqlite:///seed.yaml/a.db"],
        ["apply", "seed.yaml", "--store", future],
        [*serve, "--store", "sqlite://", "--root-access-key", "no-colon"],
        [*serve, "--store", "sqlite://", "--root-access-key", "AKIA:secret", "--account", "1"],
        [*serve, "--store", "sqlite://", "--service", "not a prefix"],
        [*serve, "--store", f"sqlite:///{folder}/a.db", "--allow-reset"],
        [*serve, "--store", "seed.yaml"],
        [*serve, "--store", "postgresql://a@127.0.0.1:1/a"],
    ]
    for arguments in wrong:
        complaint(CliRunner().invoke(main, arguments))
    monkeypatch.setenv("IAM_GUARD_SEALING_KEYS", "")
    monkeypatch.setenv("IAM_GUARD_SEALING_KEY_FILE", str(folder / "none.key"))
    create_store(f"sqlite:///{folder}/keyless.db", Settings(sealing_keys=(SEALING_KEY,))).close()
    complaint(CliRunner().invoke(main, ["apply", "seed.yaml", "--store", f"sqlite:///{folder}/keyless.db"]))
    with pytest.raises(IamGuardError, match="sealing key file"):
        open_guard(folder / "seed.yaml")
    assert read == []
