"""A PostgreSQL server that hangs: every wait for it ends, and cached answers don't wait (rules T-1 to T-5).

Times are compared with bounds of many timeouts: without a limit, a wait would never end.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest
from sqlalchemy import text

from iam_guard import Guard, Principal
from iam_guard.audit.trail import Trail
from iam_guard.errors import ConfigurationError, StoreUnavailable
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.cache.change_feed import record_change
from iam_guard.store.database.engine import reading, writing
from iam_guard.store.opening import open_database
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.audit.list_sink import ListSink
from tests.audit.pipelines import eventually
from tests.store.proxy import Proxy

ACME = "111122223333"
ALICE = Principal.from_arn(f"arn:aws:iam::{ACME}:user/staff/alice")
BOB = Principal.from_arn(f"arn:aws:iam::{ACME}:user/bob")
NOTES = f"arn:aws:docs:us-east-1:{ACME}:document/notes"
TIMEOUT = 0.4
MAX_SECONDS = 5.0
"""Seconds within which a wait with `TIMEOUT` must end on the busiest machine."""


@pytest.fixture
def proxy(postgresql: str) -> Iterator[Proxy]:
    opened = Proxy(postgresql)
    yield opened
    opened.close()


@pytest.fixture
def hanging(settings: Settings) -> Settings:
    return replace(settings, store_timeout=TIMEOUT, epoch_poll=0.1)


@pytest.fixture
def store(proxy: Proxy, hanging: Settings, seed_text: str) -> Iterator[SqlStore]:
    store = open_database(proxy.url, hanging)
    apply_seed(store, load_seed_text(seed_text))
    yield store
    store.close()


def seconds_of(work: Callable[[], object]) -> float:
    """Run what must raise `StoreUnavailable`, in a thread that may be abandoned; return the seconds."""
    caught: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  checked below
            caught.append(error)

    began = time.monotonic()
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20.0)
    took = time.monotonic() - began
    assert not thread.is_alive(), "the wait does not end"
    assert [type(error) for error in caught] == [StoreUnavailable]
    return took


def is_answered(store: SqlStore) -> bool:
    try:
        return store.epoch() > 0
    except StoreUnavailable:  # on a busy machine, a good server may be slow
        return False


def test_timeout_of_zero_is_refused() -> None:
    """No answer takes no time."""
    with pytest.raises(ConfigurationError, match="above 0"):
        Settings(store_timeout=0.0)


def test_wait_for_hanging_server_ends(
    proxy: Proxy, store: SqlStore, subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ping, a new connection, a statement, a commit and a rollback end, in queries, lists and changes."""
    monkeypatch.setattr("iam_guard.store.database.engine.BUSY_SECONDS", 2 * TIMEOUT)
    monkeypatch.setattr("iam_guard.store.database.time_limits._Limits.silence", 2 * TIMEOUT)

    def connect_anew() -> None:
        store.engine.dispose()
        store.epoch()

    def second_statement() -> None:
        with store.at_once():
            store.account(ACME)
            proxy.hang()
            store.resource(NOTES)

    def list_rows() -> None:
        with reading(store.engine) as connection:
            connection.execute(text("SELECT 1"))
            proxy.hang()
            connection.execute(text("SELECT 2"))

    def commit() -> None:
        with writing(store.engine) as connection:
            record_change(connection, ())
            proxy.hang()

    def roll_back() -> None:
        with writing(store.engine) as connection:
            record_change(connection, ())
            proxy.hang()
            raise StoreUnavailable("it is rolled back")

    def change() -> None:
        with store.write_transaction():
            pass

    cases: dict[str, tuple[bool, Callable[[], object]]] = {
        "ping": (True, store.epoch),
        "new connection": (True, connect_anew),
        "second statement": (False, second_statement),
        "rows": (False, list_rows),
        "ping before a change": (True, change),
        "commit": (False, commit),
        "rollback": (False, roll_back),
    }
    for name, (hangs_before, work) in cases.items():
        with subtests.test(name):
            eventually(lambda: is_answered(store))
            if hangs_before:
                proxy.hang()
            try:
                assert seconds_of(work) < MAX_SECONDS
                began = time.monotonic()
                store.engine.dispose()
                assert time.monotonic() - began < MAX_SECONDS
            finally:
                proxy.resume()


def test_lock_of_other_session_ends_write(
    postgresql: str, store: SqlStore, hanging: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writers give up while another session has the lock; readers don't wait, however many write."""
    monkeypatch.setattr("iam_guard.store.database.engine.BUSY_SECONDS", TIMEOUT)
    with closing(open_database(postgresql, hanging)) as other, writing(other.engine) as connection:
        record_change(connection, ())
        with ThreadPoolExecutor(20) as threads:
            writes = [threads.submit(seconds_of, lambda: store.write_transaction().__enter__()) for _ in range(20)]
            assert store.account(ACME).exists
            assert store.engine.pool.checkedout() <= 1  # type: ignore[attr-defined]
            assert all(write.result() < MAX_SECONDS for write in writes)
    with store.write_transaction():
        pass


def test_warm_caller_does_not_wait_for_hanging_server(proxy: Proxy, store: SqlStore, hanging: Settings) -> None:
    """Cached callers are decided at once, others refused in time, and the store recovers by itself."""
    with closing(Guard(CachedStore(store, hanging), Trail(ListSink()), hanging)) as guard:
        eventually(lambda: guard.decide(ALICE, "docs:GetDocument", NOTES).allowed)
        proxy.hang()
        began = time.monotonic()
        while time.monotonic() < began + 3 * TIMEOUT:
            with ThreadPoolExecutor(20) as threads:
                decisions = list(threads.map(lambda _: guard.decide(ALICE, "docs:GetDocument", NOTES), range(20)))
            assert all(decision.allowed for decision in decisions)
        assert decisions[0].stale
        started = time.monotonic()
        connections = proxy.accepted
        with ThreadPoolExecutor(40) as threads:
            cold = list(threads.map(lambda caller: guard.decide(caller, "docs:GetDocument", NOTES), [BOB] * 400))
        assert {(decision.allowed, decision.error is None) for decision in cold} == {(False, False)}
        assert time.monotonic() - started < MAX_SECONDS
        assert proxy.accepted - connections < 10  # one poll at a time, and no queries
        assert seconds_of(lambda: guard.store.read_transaction().__enter__()) < MAX_SECONDS
        assert seconds_of(lambda: guard.store.write_transaction().__enter__()) < MAX_SECONDS
        proxy.resume()
        eventually(lambda: guard.decide(BOB, "docs:GetDocument", NOTES).error is None)
        eventually(lambda: guard.decide(ALICE, "docs:GetDocument", NOTES).stale is False)


def test_hanging_server_denies_after_max_staleness(proxy: Proxy, store: SqlStore, hanging: Settings) -> None:
    """Cached answers are valid for `max_staleness` while the server hangs, and no longer."""
    hanging = replace(hanging, max_staleness=2 * TIMEOUT)
    with closing(Guard(CachedStore(store, hanging), Trail(ListSink()), hanging)) as guard:
        eventually(lambda: guard.decide(ALICE, "docs:GetDocument", NOTES).allowed)
        proxy.hang()
        eventually(lambda: guard.decide(ALICE, "docs:GetDocument", NOTES).stale)
        eventually(lambda: not guard.decide(ALICE, "docs:GetDocument", NOTES).allowed)
        assert guard.decide(ALICE, "docs:GetDocument", NOTES).error is not None


def test_guard_on_hanging_server_closes(proxy: Proxy, store: SqlStore, hanging: Settings) -> None:
    """Closing writes what it can and waits for nothing else."""
    guard = Guard(CachedStore(store, hanging), Trail(ListSink()), hanging)
    eventually(lambda: guard.decide(ALICE, "docs:GetDocument", NOTES).allowed)
    proxy.hang()
    began = time.monotonic()
    guard.close()
    assert time.monotonic() - began < MAX_SECONDS
