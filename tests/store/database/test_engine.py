"""The engine: supported URLs, snapshots, and errors of drivers (rule T-9)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import IntegrityError

from iam_guard.errors import ConfigurationError, StoreUnavailable
from iam_guard.settings import Settings
from iam_guard.store.cache.change_feed import record_change
from iam_guard.store.database.engine import lock_epoch, make_engine, reading, writing
from iam_guard.store.opening import create_store, open_database
from iam_guard.store.schema import meta
from iam_guard.store.sql_store import SqlStore
from tests.tables import table


@pytest.fixture(params=["memory", "file", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> Iterator[SqlStore]:
    kinds = {"memory": "sqlite://", "file": f"sqlite:///{tmp_path}/a.db"}
    store = open_database(kinds.get(request.param) or request.getfixturevalue(request.param), settings, create=True)
    yield store
    store.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqlStore]:
    store = create_store(f"sqlite:///{tmp_path}/a.db", Settings())
    yield store
    store.close()


def test_postgresql_reader_cannot_write(postgresql: str, open_engine: Callable[[str], Engine]) -> None:
    """SQLite has no read-only transactions."""
    refused = pytest.raises(StoreUnavailable, match="the server, or the transaction, is read-only")
    with refused, reading(open_engine(postgresql)) as connection:
        record_change(connection, ())


@table(
    "url",
    [
        "",
        "iam-guard.db",
        "mysql://root:hunter2@host/db",
        "sqlite+aiosqlite:///hunter2.db",
        "sqlite:///file:hunter2?uri=true",
        "postgresql+asyncpg://root:hunter2@host/db",
        "nonsense://root:hunter2@host",
        "sqlite:///a.db?hunter2=1",
    ],
)
def test_unsupported_url_is_refused_without_quoting_it(url: str) -> None:
    """The URL may contain a password."""
    with pytest.raises(ConfigurationError, match="expected a") as caught:
        make_engine(url)
    assert "hunter2" not in str(caught.value)


def test_sqlite_file_is_durable_and_checks_foreign_keys(file: SqlStore) -> None:
    """A file is in WAL mode and synced at each commit; foreign keys are checked."""
    names = ("journal_mode", "synchronous", "foreign_keys")
    with reading(file.engine) as connection:
        pragmas = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in names]
    assert pragmas == ["wal", 2, 1]
    with pytest.raises(StoreUnavailable), writing(file.engine) as connection:
        connection.execute(text("INSERT INTO memberships VALUES ('nobody', 'nothing')"))


def test_closed_store_in_memory_is_unavailable() -> None:
    """The error names the reason, instead of a missing table of a new database."""
    store = open_database("sqlite://", Settings())
    store.close()
    with pytest.raises(StoreUnavailable, match="the store cannot be used: the in-memory database is closed"):
        store.epoch()


def test_failed_write_is_rolled_back(store: SqlStore) -> None:
    """A writing transaction that raises changes nothing."""

    def write_and_fail(connection: Connection) -> None:
        assert record_change(connection, ()).after.epoch == 2
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), writing(store.engine) as connection:
        write_and_fail(connection)
    assert store.epoch() == 1


def test_reader_sees_one_snapshot(database: str, open_engine: Callable[[str], Engine]) -> None:
    """A reader's snapshot stays during a write, and the writer doesn't wait for the reader (T-9)."""
    own, other = open_engine(database), open_engine(database)
    with reading(own) as reader:
        assert reader.execute(select(meta.c.epoch)).scalar_one() == 1
        with writing(other) as writer:
            assert record_change(writer, ()).after.epoch == 2
        assert reader.execute(select(meta.c.epoch)).scalar_one() == 1
    with reading(own) as reader:
        assert reader.execute(select(meta.c.epoch)).scalar_one() == 2


def test_writers_take_turns(store: SqlStore) -> None:
    """Writers in several threads wait for each other, and none of their writes is lost."""

    def write() -> None:
        for _ in range(20):
            with writing(store.engine) as connection:
                before = lock_epoch(connection)
                assert record_change(connection, ()).after.epoch == before + 1

    def read() -> None:
        seen = 0
        for _ in range(100):
            now = store.epoch()
            assert now >= seen
            seen = now

    failures: list[BaseException] = []

    def guarded(work: object) -> None:
        try:
            assert callable(work)
            work()
        except BaseException as failure:  # noqa: BLE001  reported below, in the test's own thread
            failures.append(failure)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (write, write, write, write, read, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.epoch() == 1 + 4 * 20


@pytest.mark.parametrize("content", [b"this is not a database, whatever its name may be" * 100, None])
def test_unusable_file_makes_store_unavailable(
    tmp_path: Path, content: bytes | None, open_engine: Callable[[str], Engine]
) -> None:
    """A file that is no database or can't be opened raises `StoreUnavailable`."""
    path = tmp_path / ("a.db" if content else "none/a.db")
    if content:
        path.write_bytes(content)
    engine = open_engine(f"sqlite:///{path}")
    with pytest.raises(StoreUnavailable, match="the store cannot be used: "), reading(engine):
        pass


def test_database_without_tables_is_unavailable(bare_database: str, open_engine: Callable[[str], Engine]) -> None:
    """The error names what is missing as far as `_reason` allows."""
    engine = open_engine(bare_database)
    words = "no such table: meta|UndefinedTable"
    with pytest.raises(StoreUnavailable, match=words), reading(engine) as connection:
        connection.execute(select(meta.c.epoch))


def test_error_shows_no_values(store: SqlStore) -> None:
    """Neither the message nor the cause of an error contains values of the statement."""
    with pytest.raises(StoreUnavailable) as caught, writing(store.engine) as connection:
        connection.execute(meta.insert(), {"id": 1, "epoch": 98765, "created": 0})
    assert isinstance(caught.value.__cause__, IntegrityError)
    assert "98765" not in str(caught.value) + str(caught.value.__cause__)


def test_writer_gives_up_after_timeout(file: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that never ends makes the store unavailable to other writers."""
    monkeypatch.setattr("iam_guard.store.database.engine.BUSY_SECONDS", 0.05)
    caught: list[StoreUnavailable] = []

    def write() -> None:
        try:
            with writing(file.engine):
                pass
        except StoreUnavailable as error:
            caught.append(error)

    with writing(file.engine):
        other = threading.Thread(target=write)
        other.start()
        other.join(60)
    assert [str(error) for error in caught] == ["the store cannot be used: database is locked"]
    with writing(file.engine) as connection:
        record_change(connection, ())
