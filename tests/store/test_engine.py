"""The engine: which URLs there are, what a transaction sees, what becomes of a driver's errors (rule T-9)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, select, text
from sqlalchemy.exc import IntegrityError

from iam_guard.errors import ConfigurationError, StoreUnavailable
from iam_guard.settings import Settings
from iam_guard.store.engine import bump_epoch, database_file, is_in_memory, lock_epoch, make_engine, reading, writing
from iam_guard.store.open_store import init_store, open_database
from iam_guard.store.schema import meta
from iam_guard.store.sql_store import SqlStore


@pytest.fixture(params=["memory", "file", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> Iterator[SqlStore]:
    kinds = {"memory": "sqlite://", "file": f"sqlite:///{tmp_path}/a.db"}
    store = open_database(kinds.get(request.param) or request.getfixturevalue(request.param), settings)
    yield store
    store.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SqlStore]:
    store = init_store(f"sqlite:///{tmp_path}/a.db", Settings())
    yield store
    store.close()


def test_reader_cannot_write(postgresql: str, open_engine: Callable[[str], Engine]) -> None:
    """On a server, a reading transaction refuses a write; SQLite has no such kind of transaction."""
    refused = pytest.raises(StoreUnavailable, match="ReadOnlySqlTransaction")
    with refused, reading(open_engine(postgresql)) as connection:
        bump_epoch(connection)


@pytest.mark.parametrize(
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
def test_urls_of_no_known_kind(url: str) -> None:
    """What is no URL of a database that we know is refused, and none of it repeated (it may hold a password)."""
    with pytest.raises(ConfigurationError, match="expected a") as caught:
        make_engine(url)
    assert "hunter2" not in str(caught.value)


def test_where_a_database_lives() -> None:
    """A store in memory has no file; a server's has none either and is not in memory."""
    assert database_file("sqlite:///a/b.db") == Path("a/b.db")
    assert [database_file(url) for url in ("sqlite://", "sqlite:///:memory:")] == [None, None]
    assert is_in_memory("sqlite://")
    assert not is_in_memory("sqlite:///a.db")
    assert not is_in_memory("postgresql://host/db")


def test_file_is_durable_and_checks_its_keys(file: SqlStore) -> None:
    """A file is in WAL mode, flushed at each commit, and refuses a row that points at nothing."""
    names = ("journal_mode", "synchronous", "foreign_keys")
    with reading(file.engine) as connection:
        pragmas = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in names]
    assert pragmas == ["wal", 2, 1]
    with pytest.raises(StoreUnavailable), writing(file.engine) as connection:
        connection.execute(text("INSERT INTO memberships VALUES ('nobody', 'nothing')"))


def test_a_store_in_memory_is_gone_when_it_is_closed() -> None:
    """A guard that a test's end of life has closed is told of, and no table is missed in an empty database."""
    store = open_database("sqlite://", Settings())
    store.close()
    with pytest.raises(StoreUnavailable, match="the store cannot be used: it was in memory, and is closed"):
        store.epoch()


def test_rolled_back_whole(store: SqlStore) -> None:
    """A writing transaction that raises leaves nothing behind."""

    def write_and_fail(connection: Connection) -> None:
        assert bump_epoch(connection) == 2
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), writing(store.engine) as connection:
        write_and_fail(connection)
    assert store.epoch() == 1


def test_reader_sees_one_snapshot(database: str, open_engine: Callable[[str], Engine]) -> None:
    """A reader goes on seeing what it saw first while somebody writes, and the writer doesn't wait for it (T-9)."""
    own, other = open_engine(database), open_engine(database)
    with reading(own) as reader:
        assert reader.execute(select(meta.c.epoch)).scalar_one() == 1
        with writing(other) as writer:
            assert bump_epoch(writer) == 2
        assert reader.execute(select(meta.c.epoch)).scalar_one() == 1
    with reading(own) as reader:
        assert reader.execute(select(meta.c.epoch)).scalar_one() == 2


def test_writers_take_turns(store: SqlStore) -> None:
    """Writers in several threads wait for each other, and none of their writes is lost."""

    def write() -> None:
        for _ in range(20):
            with writing(store.engine) as connection:
                before = lock_epoch(connection)
                assert bump_epoch(connection) == before + 1

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
def test_unusable_file(tmp_path: Path, content: bytes | None, open_engine: Callable[[str], Engine]) -> None:
    """A file that is no database, or can't be opened, makes the store unavailable and not something else."""
    path = tmp_path / ("a.db" if content else "none/a.db")
    if content:
        path.write_bytes(content)
    engine = open_engine(f"sqlite:///{path}")
    with pytest.raises(StoreUnavailable, match="the store cannot be used: "), reading(engine):
        pass


def test_database_without_tables(bare_database: str, open_engine: Callable[[str], Engine]) -> None:
    """An empty database answers nothing, and says what is missing as far as it may (see `_reason`)."""
    engine = open_engine(bare_database)
    words = "no such table: meta|UndefinedTable"
    with pytest.raises(StoreUnavailable, match=words), reading(engine) as connection:
        connection.execute(select(meta.c.epoch))


def test_error_shows_no_values(store: SqlStore) -> None:
    """The error of a statement has none of its values, neither in its message nor in its cause."""
    with pytest.raises(StoreUnavailable) as caught, writing(store.engine) as connection:
        connection.execute(meta.insert(), {"id": 1, "epoch": 98765, "created": 0})
    assert isinstance(caught.value.__cause__, IntegrityError)
    assert "98765" not in str(caught.value) + str(caught.value.__cause__)


def test_a_writer_does_not_wait_for_ever(file: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that never ends makes the store unavailable to the others, as one of another process would."""
    monkeypatch.setattr("iam_guard.store.engine.BUSY_SECONDS", 0.05)
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
        bump_epoch(connection)
