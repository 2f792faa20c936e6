"""The file of an SQLite store that is deleted or replaced while processes use it: no answer and no change outlives it.

A process with open connections would go on with the former file: its revoked keys stay good, and changes are
acknowledged that no other process sees.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event

from iam_guard import Guard
from iam_guard.audit.trail import Trail
from iam_guard.errors import ConfigurationError, StoreUnavailable
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store import readiness
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.database.engine import make_engine
from iam_guard.store.database.sqlite import StoreLost, create_store_file, file_of
from iam_guard.store.opening import create_store, open_database
from iam_guard.store.schema import accounts
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.audit.list_sink import ListSink
from tests.audit.pipelines import eventually
from tests.store.databases import SEALING_KEY, start

OLD, NEW = "111111111111", "222222222222"
SETTINGS = Settings(epoch_poll=0.0, sealing_keys=(SEALING_KEY,))
SEED = """
version: 1
accounts:
  - id: "111122223333"
    name: acme
    users:
      - name: alice
        inline:
          Docs: {Version: 2012-10-17, Statement: [{Effect: Allow, Action: "docs:*", Resource: "*"}]}
"""
ALICE = Principal.from_arn("arn:aws:iam::111122223333:user/alice")
HOLDER = """
import sys
from iam_guard.settings import load_settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import open_database
store = CachedStore(open_database(sys.argv[1], load_settings()), load_settings({"epoch_poll": 0.0}))
for line in sys.stdin:
    try:
        print(store.account(line.strip()).exists, flush=True)
    except Exception as error:
        print(type(error).__name__, flush=True)
"""
"""A process that has a store open, and prints whether an account exists for each line that it reads."""


def add(store: SqlStore | CachedStore, account_id: str) -> None:
    with store.write_transaction() as records:
        records.insert(accounts, id=account_id, name="new", created=0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "iam.db"


@pytest.fixture
def inner(path: Path) -> Iterator[SqlStore]:
    """A store with the account `OLD`, whose change is in its log."""
    store = create_store(f"sqlite:///{path}", SETTINGS)
    add(store, OLD)
    yield store
    store.close()


@pytest.fixture
def store(inner: SqlStore) -> CachedStore:
    """A cache of the store that has cached the account `OLD`."""
    cached = CachedStore(inner, SETTINGS)
    assert cached.account(OLD).exists
    assert not cached.account(NEW).exists
    return cached


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The file of another store, with the account `NEW`, as a backup would be: closed, with the same epoch."""
    return made(tmp_path / "other.db")


def made(path: Path) -> Path:
    with closing(create_store(f"sqlite:///{path}", SETTINGS)) as opened:
        add(opened, NEW)
    return path


def test_replaced_file_is_another_history(
    store: CachedStore, path: Path, other: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every answer is dropped, and changes go into the new file. The log of the former one is not applied to it."""
    os.replace(other, path)
    assert not store.account(OLD).exists
    assert store.account(NEW).exists
    assert "the store has another history: it was restored or replaced" in caplog.text
    add(store, "333333333333")
    store.close()
    with closing(open_database(f"sqlite:///{path}", SETTINGS)) as opened:
        assert [opened.account(id).exists for id in (OLD, NEW, "333333333333")] == [False, True, True]


def test_copy_of_the_same_history_is_another_file(inner: SqlStore, store: CachedStore, path: Path) -> None:
    """Its feed says that nothing has changed, but its rows may have."""
    copy = path.with_name("copy.db")
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("DELETE FROM accounts WHERE id = ?", (OLD,))
        target.commit()
    known = store.state()
    os.replace(copy, path)
    changes = inner.changes(known)
    assert (changes.names, changes.reason) == (None, "history")
    assert (changes.state.epoch, changes.state.mark) == (known.epoch, known.mark)
    assert not store.account(OLD).exists


def test_changes_in_the_log_are_kept_in_the_moved_file(store: CachedStore, path: Path, other: Path) -> None:
    """It may be kept as a backup."""
    former = path.rename(path.with_name("former.db"))
    other.rename(path)
    assert store.account(NEW).exists
    with closing(open_database(f"sqlite:///{former}", SETTINGS)) as opened:
        assert opened.account(OLD).exists


def test_deleted_store_denies_everything(
    inner: SqlStore, store: CachedStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At once: what is not stored any more is not answered from a cache for `max_staleness`."""
    apply_seed(inner, load_seed_text(SEED))
    with closing(Guard(store, Trail(ListSink()), SETTINGS)) as guard:
        assert guard.decide(ALICE, "docs:Get", "arn:aws:docs:us-east-1:111122223333:document/1").allowed
        path.unlink()
        for _ in range(2):
            decision = guard.decide(ALICE, "docs:Get", "arn:aws:docs:us-east-1:111122223333:document/1")
            assert not decision.allowed
            assert decision.error == "the store has not been reached yet, or it was lost"
        for read in (lambda: store.account(OLD), store.state, lambda: store.cache_only.account(OLD)):
            with pytest.raises(StoreUnavailable):
                read()  # type: ignore[operator]
        with pytest.raises(StoreUnavailable):
            add(store, "333333333333")
        with pytest.raises(StoreUnavailable):
            add(inner, "333333333333")
        assert not path.exists()
        lines = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
        assert lines == ["store lost, denying all requests: the store cannot be used: its file was deleted"]
        made(path)
        eventually(lambda: not guard.decide(ALICE, "docs:Get", "arn:aws:docs:us-east-1:111122223333:document/1").error)
        assert not guard.decide(ALICE, "docs:Get", "arn:aws:docs:us-east-1:111122223333:document/1").allowed
        assert store.account(NEW).exists


def test_file_that_comes_back_is_used_again(store: CachedStore, path: Path) -> None:
    away = path.rename(path.with_name("away.db"))
    with pytest.raises(StoreUnavailable):
        store.account(OLD)
    away.rename(path)
    eventually(lambda: not store.stale)
    assert store.account(OLD).exists


def test_unusable_file_denies_everything(
    store: CachedStore, path: Path, other: Path, subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty one, one of something else, of an older schema, or of other sealing keys."""

    def replace_by(content: bytes, *statements: str) -> None:
        copy = path.with_name("copy.db")
        copy.write_bytes(content)
        if statements:
            with closing(sqlite3.connect(copy)) as connection:
                for statement in statements:
                    connection.execute(statement)
                connection.commit()
        os.replace(copy, path)

    good = other.read_bytes()
    cases: dict[str, tuple[bytes, tuple[str, ...]]] = {
        "empty": (b"", ()),
        "text": (b"this is no database" * 1000, ()),
        "cut": (good[:5000], ()),
        "no store": (b"", ("CREATE TABLE things (id INTEGER)",)),
        "future schema": (good, ("UPDATE iam_guard_version SET version_num = '9999'",)),
        "no version": (good, ("DELETE FROM iam_guard_version",)),
    }
    for name, (content, statements) in cases.items():
        with subtests.test(name):
            replace_by(content, *statements)
            with pytest.raises(StoreUnavailable):
                store.account(OLD)
            with pytest.raises(StoreUnavailable):
                add(store, "333333333333")

    def refuse(*_: object) -> bool:
        raise ConfigurationError("expected the sealing keys of the store, got others", place="sealing_keys")

    with monkeypatch.context() as patch:
        patch.setattr(readiness, "has_usable_store", refuse)
        replace_by(good)
        with pytest.raises(StoreLost, match="expected the sealing keys of the store, got others"):
            store.behind.changes(None)
        with pytest.raises(StoreUnavailable):
            store.account(OLD)
    replace_by(good)
    eventually(lambda: not store.stale)
    assert store.account(NEW).exists


def test_change_during_replacement_is_not_acknowledged(
    inner: SqlStore, store: CachedStore, path: Path, other: Path
) -> None:
    """Neither if the file is replaced before the commit, nor during it."""
    spare = made(path.with_name("spare.db"))

    def add_while_replaced() -> None:
        with store.write_transaction() as records:
            records.insert(accounts, id="333333333333", name="new", created=0)
            os.replace(other, path)

    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        add_while_replaced()
    assert not store.account("333333333333").exists
    event.listen(inner.engine, "commit", lambda _: os.replace(spare, path), once=True)
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        add(store, "444444444444")
    assert not store.account("444444444444").exists
    assert store.account(NEW).exists


def test_no_query_reads_the_new_file_before_it_is_checked(inner: SqlStore, path: Path, other: Path) -> None:
    """Only a poll opens it; until then, queries fail, in which a cache polls."""
    os.replace(other, path)
    with pytest.raises(StoreUnavailable, match="deleted or replaced"):
        inner.account(NEW)
    inner.changes(None)
    assert inner.account(NEW).exists


def test_open_reading_keeps_its_snapshot(inner: SqlStore, path: Path, other: Path) -> None:
    """A list in progress ends with the file that it began with; its connection is closed afterwards."""
    with inner.at_once():
        assert inner.account(OLD).exists
        os.replace(other, path)
        fresh = CachedStore(inner, SETTINGS)
        assert inner.account(OLD).exists
    inner.changes(None)
    assert inner.account(NEW).exists
    assert fresh.account(NEW).exists


def test_link_to_another_file_is_followed(tmp_path: Path, other: Path) -> None:
    former = tmp_path / "former.db"
    with closing(create_store(f"sqlite:///{former}", SETTINGS)) as opened:
        add(opened, OLD)
    link = tmp_path / "link.db"
    link.symlink_to(former)
    with closing(CachedStore(open_database(f"sqlite:///{link}", SETTINGS), SETTINGS)) as store:
        assert store.account(OLD).exists
        new_link = tmp_path / "new-link.db"
        new_link.symlink_to(other)
        os.replace(new_link, link)
        assert not store.account(OLD).exists
        assert store.account(NEW).exists


def test_restore_in_place_is_followed_by_the_feed(store: CachedStore, path: Path, other: Path) -> None:
    """As `.restore` of the program `sqlite3` does it: the file stays the same."""
    with closing(sqlite3.connect(other)) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)
    assert not store.account(OLD).exists
    assert store.account(NEW).exists


@contextmanager
def asking(path: Path) -> Iterator[Callable[[str], str]]:
    """Start another process that opens the store; yield a function that returns whether it reads an account."""
    with start(HOLDER, f"sqlite:///{path}") as process:
        lines, answers = process.stdin, process.stdout
        assert lines is not None
        assert answers is not None

        def ask(account_id: str) -> str:
            lines.write(f"{account_id}\n")
            lines.flush()
            return answers.readline().strip()

        yield ask
        lines.close()


@pytest.fixture
def process(path: Path, store: CachedStore) -> Iterator[Callable[[str], str]]:
    with asking(path) as ask:
        yield ask


def test_every_process_follows(process: Callable[[str], str], store: CachedStore, path: Path, other: Path) -> None:
    """Though an idle one has the former file open, with its index, while another process uses the new one."""
    assert process(OLD) == "True"
    os.replace(other, path)
    assert store.account(NEW).exists
    add(store, "333333333333")
    assert [process(id) for id in (OLD, NEW, "333333333333")] == ["False", "True", "True"]
    add(store, "444444444444")
    assert process("444444444444") == "True"


def test_store_that_is_created_again_is_whole(process: Callable[[str], str], store: CachedStore, path: Path) -> None:
    """Though the log and the index of the deleted one are still there, and in use."""
    assert process(OLD) == "True"
    path.unlink()
    assert path.with_name("iam.db-shm").exists()
    with closing(create_store(f"sqlite:///{path}", SETTINGS)) as created:
        add(created, NEW)
        assert [created.account(id).exists for id in (OLD, NEW)] == [False, True]
        assert [process(id) for id in (OLD, NEW)] == ["False", "True"]
        assert [store.account(id).exists for id in (OLD, NEW)] == [False, True]


def test_new_file_that_was_opened_with_the_former_log_is_refused(store: CachedStore, path: Path, other: Path) -> None:
    """SQLite has applied that log to it. It is used again once no process has it open with the log."""
    os.replace(other, path)
    with asking(path) as ask:
        assert ask(OLD) == "True"
        with pytest.raises(StoreLost, match="with the log of the former"):
            store.behind.changes(None)
        with pytest.raises(StoreUnavailable):
            store.account(OLD)
        assert path.with_name("iam.db-wal").exists()
    eventually(lambda: not store.stale)


def test_stores_without_a_file_are_not_compared() -> None:
    engine = make_engine("sqlite://")
    assert file_of(engine) is None
    engine.dispose()


def test_creating_a_store_keeps_the_locks_of_this_process(inner: SqlStore, path: Path) -> None:
    """To close a file releases all locks that the process has on it, those of SQLite too."""
    script = (
        "import sys; from iam_guard.store.database.sqlite_file import delete_unused;"
        "print(delete_unused(sys.argv[1], []))"
    )
    create_store_file(str(path))
    process = start(script, str(path))
    assert process.communicate()[0] == "False\n"
    inner.close()
    assert start(script, str(path)).communicate()[0] == "True\n"
