"""Last uses: recorded in memory, written in the background, on every kind of store (R-33, R-34)."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from typing import Any

import pytest

from iam_guard.errors import StoreUnavailable
from iam_guard.model.principal import Credential, Principal
from iam_guard.store.credentials import last_used, last_used_rows
from iam_guard.store.credentials.last_used import SPAN, LastUsedTracker
from iam_guard.store.credentials.last_used_rows import Use
from iam_guard.store.opening import open_database
from iam_guard.store.protocol import SourceStore
from iam_guard.store.schema import access_key_uses, access_keys, identities, service_uses
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.audit.pipelines import eventually
from tests.store.conftest import SEED
from tests.store.databases import start

ACME = "111122223333"
ALICE = Principal.from_arn(f"arn:aws:iam::{ACME}:user/staff/alice")
AUDITOR = Principal.from_arn(
    f"arn:aws:sts::{ACME}:assumed-role/Auditor/s1", role_arn=f"arn:aws:iam::{ACME}:role/audit/Auditor"
)
KEY = Credential("sigv4", "AKIAALICE", "eu-west-1", "docs")


class Clock:
    """Seconds since 1970, set by the test."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.9

    def __call__(self) -> float:
        return self.now


class SavingStore:
    """Records the uses that it gets, or raises `error`."""

    def __init__(self) -> None:
        self.saved: list[Use] = []
        self.error: Exception | None = None
        self.calls = 0

    def save_uses(self, uses: Sequence[Use]) -> None:
        self.calls += 1
        if self.error is not None:
            raise copy(self.error)  # which would keep its traceback
        self.saved += uses


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def saving_store() -> SavingStore:
    return SavingStore()


@pytest.fixture
def tracker(saving_store: SavingStore, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[LastUsedTracker]:
    """A tracker that writes only when the test flushes it."""
    monkeypatch.setattr(last_used, "PAUSE", 3600.0)
    tracker = LastUsedTracker(saving_store, region="us-east-1", clock=clock)
    yield tracker
    saving_store.error = None
    tracker.close()


def tracker_of(store: Any, clock: Clock, region: str = "us-east-1") -> LastUsedTracker:
    return LastUsedTracker(store, region=region, clock=clock)


def completed(store: Any, principal: Principal) -> Principal:
    """Return a caller as completed by the store, with its unique id."""
    found: Principal = store.principal(principal).principal
    return found


def rows(store: Any, table: Any) -> list[dict[str, Any]]:
    with store.read_transaction() as records:
        return [dict(row) for row in records.all(table)]


def user(number: int) -> Principal:
    return replace(ALICE, userid=f"AIDA{number:017}")


# --- what is written ---


def test_flush_writes_uses(any_store: SourceStore, clock: Clock) -> None:
    """R-33, R-34: a key with region and service; an identity with service, action and region."""
    tracker = tracker_of(any_store, clock)
    alice, auditor = completed(any_store, ALICE), completed(any_store, AUDITOR)
    tracker.track_key(KEY)
    tracker.track_action(replace(alice, credential=KEY), "docs:GetDocument")
    tracker.track_action(auditor, "Docs:ListDocuments")
    tracker.flush()
    assert rows(any_store, access_key_uses) == [
        {"access_key_id": "AKIAALICE", "at": 1_800_000_000, "region": "eu-west-1", "service": "docs"}
    ]
    found = {
        row["identity_id"]: (row["service"], row["action"], row["region"]) for row in rows(any_store, service_uses)
    }
    assert found == {
        alice.userid: ("docs", "GetDocument", "eu-west-1"),
        str(auditor.userid).partition(":")[0]: ("docs", "ListDocuments", "us-east-1"),
    }
    tracker.close()


def test_flush_keeps_the_epoch(any_store: SourceStore, clock: Clock) -> None:
    """No decision depends on last uses, so no cache is cleared (T-9)."""
    tracker = tracker_of(any_store, clock)
    before = any_store.epoch()
    tracker.track_key(KEY)
    tracker.flush()
    assert rows(any_store, access_key_uses)
    assert any_store.epoch() == before
    tracker.close()


def test_uses_of_deleted_entities_are_skipped(any_store: SourceStore, clock: Clock) -> None:
    """They don't prevent others from being written."""
    tracker = tracker_of(any_store, clock)
    tracker.track_key(replace(KEY, id="AKIAGONE"))
    tracker.track_action(user(1), "docs:GetDocument")
    tracker.track_key(KEY)
    tracker.track_action(completed(any_store, ALICE), "docs:GetDocument")
    tracker.flush()
    assert [row["access_key_id"] for row in rows(any_store, access_key_uses)] == ["AKIAALICE"]
    assert len(rows(any_store, service_uses)) == 1
    tracker.close()


@pytest.mark.parametrize("later_first", [False, True])
def test_latest_use_wins(any_store: SourceStore, clock: Clock, later_first: bool) -> None:
    """Of several processes, the one that writes last may have an older use."""
    for number in sorted((1, 2), reverse=later_first):
        clock.now = 1_800_000_000 + number
        tracker = tracker_of(any_store, clock, f"region-{number}")
        tracker.track_key(replace(KEY, region=f"region-{number}"))
        tracker.track_action(completed(any_store, ALICE), "docs:GetDocument")
        tracker.close()
    assert [(row["at"], row["region"]) for row in rows(any_store, access_key_uses)] == [(1_800_000_002, "region-2")]
    assert [(row["at"], row["region"]) for row in rows(any_store, service_uses)] == [(1_800_000_002, "region-2")]


def test_deleting_the_owner_deletes_its_uses(empty: SqlStore, clock: Clock) -> None:
    """The uses of a key or user are deleted with it."""
    apply_seed(empty, load_seed_text(SEED))
    tracker = tracker_of(empty, clock)
    alice = completed(empty, ALICE)
    tracker.track_key(KEY)
    tracker.track_action(alice, "docs:GetDocument")
    tracker.flush()
    with empty.write_transaction() as records:
        records.delete(access_keys, id="AKIAALICE")
        records.delete(identities, id=alice.userid)
    assert rows(empty, access_key_uses) == rows(empty, service_uses) == []


def test_actions_of_one_identity_are_limited(empty: SqlStore, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Action names may come from callers; beyond the limit, only stored ones are updated."""
    monkeypatch.setattr(last_used_rows, "MAX_ACTIONS", 2)
    apply_seed(empty, load_seed_text(SEED))
    alice = completed(empty, ALICE)
    tracker = tracker_of(empty, clock)
    for actions in (("docs:A", "docs:B"), ("docs:A", "docs:C")):
        clock.now += 2 * SPAN
        for action in actions:
            tracker.track_action(alice, action)
        tracker.flush()
    latest = int(clock.now)
    assert {row["action"]: row["at"] for row in rows(empty, service_uses)} == {"A": latest, "B": latest - 2 * SPAN}


# --- what is recorded ---


def test_use_is_recorded_again_after_span(tracker: LastUsedTracker, saving_store: SavingStore, clock: Clock) -> None:
    """R-33: one use in 15 minutes; a clock that is set back doesn't stop the recording."""
    start_time = clock.now
    for seconds in (0, 1, SPAN - 1, SPAN, SPAN + 1, -SPAN, -1):
        clock.now = start_time + seconds
        tracker.track_key(KEY)
        tracker.track_action(user(1), "docs:GetDocument")
        tracker.flush()
    assert [use.at - int(start_time) for use in saving_store.saved] == [0, 0, SPAN, SPAN, -SPAN, -SPAN]


def test_keys_and_actions_are_recorded_separately(tracker: LastUsedTracker, saving_store: SavingStore) -> None:
    """A key is one use; an identity has one for each action, whatever the role session."""
    for number in range(2):
        tracker.track_key(replace(KEY, id=f"AKIA{number}"))
        tracker.track_action(user(number), "docs:GetDocument")
        tracker.track_action(user(number), "docs:PutDocument")
        tracker.track_action(replace(AUDITOR, userid=f"AROA{0:017}:session-{number}"), "docs:GetDocument")
    tracker.flush()
    assert len(saving_store.saved) == 2 + 4 + 1


@pytest.mark.parametrize(
    "credential",
    [None, Credential("none"), Credential("sts", "ASIA1"), Credential("api-key"), Credential("sigv4")],
    ids=str,
)
def test_other_credentials_are_not_recorded(
    tracker: LastUsedTracker, saving_store: SavingStore, credential: Credential | None
) -> None:
    """R-33: other credentials have no last use of this kind."""
    tracker.track_key(credential)
    tracker.flush()
    assert saving_store.calls == 0


@pytest.mark.parametrize(
    ("principal", "action"),
    [
        (Principal.anonymous(), "docs:Get"),
        (Principal.service("docs.amazonaws.com"), "docs:Get"),
        (Principal.from_arn(f"arn:aws:iam::{ACME}:root", userid=ACME), "docs:Get"),
        (Principal.from_arn(f"arn:aws:sts::{ACME}:federated-user/f", userid=f"{ACME}:f"), "docs:Get"),
        (ALICE, "docs:Get"),
        (replace(ALICE, userid=""), "docs:Get"),
        (replace(ALICE, userid="AIDA\0AAAAAAAAAAAAAAAA"), "docs:Get"),
        (replace(ALICE, userid="AIDA\udc80AAAAAAAAAAAAAAAA"), "docs:Get"),
        (replace(ALICE, userid="A" * 129), "docs:Get"),
        (replace(AUDITOR, userid=":s1"), "docs:Get"),
        *((user(1), action) for action in ("", ":", "docs", "docs:", ":Get", "docs:Get\0", "docs:\ud800", "do cs:Get")),
        *((user(1), action) for action in ("docs:Get:More", "docs:Get\n", f"docs:{'x' * 129}", f"{'d' * 65}:Get")),
    ],
    ids=repr,
)
def test_other_principals_and_invalid_actions_are_not_recorded(
    tracker: LastUsedTracker, saving_store: SavingStore, principal: Principal, action: str
) -> None:
    """R-34; one row that a database can't store would block all others."""
    tracker.track_action(principal, action)
    tracker.flush()
    assert saving_store.calls == 0


def test_repeated_use_takes_no_lock(tracker: LastUsedTracker) -> None:
    """The request path does not wait, even while another thread has the lock."""
    tracker.track_key(KEY)
    tracker.track_action(user(1), "docs:Get")
    with tracker._lock, ThreadPoolExecutor(1) as pool:
        pool.submit(tracker.track_key, KEY).result(timeout=60)
        pool.submit(tracker.track_action, user(1), "docs:Get").result(timeout=60)


def test_memory_is_bounded(
    tracker: LastUsedTracker, saving_store: SavingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest recorded uses are evicted; while the store is away, further uses are lost."""
    monkeypatch.setattr(last_used, "MAX_RECORDED", 10)
    monkeypatch.setattr(last_used, "MAX_PENDING", 20)
    for number in range(100):
        tracker.track_action(user(number), "docs:Get")
    assert len(tracker._recorded) == 10
    tracker.flush()
    assert [use.identity_id for use in saving_store.saved if isinstance(use, last_used_rows.ServiceUse)] == [
        user(number).userid for number in range(20)
    ]


def test_forget_records_everything_again(tracker: LastUsedTracker, saving_store: SavingStore) -> None:
    """A restored store has none of the uses written since."""
    for _ in range(2):
        tracker.track_key(KEY)
        tracker.flush()
        tracker.forget()
    assert len(saving_store.saved) == 2


def test_forget_drops_uses_that_are_not_written_yet(tracker: LastUsedTracker, saving_store: SavingStore) -> None:
    """They belong to the state before the store was restored."""
    tracker.track_key(KEY)
    tracker.forget()
    tracker.flush()
    assert saving_store.saved == []


def test_concurrent_uses_are_all_recorded(tracker: LastUsedTracker, saving_store: SavingStore) -> None:
    """There is one writer thread, and no use is lost."""
    before = threading.active_count()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: tracker.track_action(user(number % 1000), "docs:Get"), range(8000)))
    assert threading.active_count() <= before + 1
    tracker.flush()
    assert len(saving_store.saved) == len(set(saving_store.saved)) == 1000


# --- a store that is away ---


def test_failed_write_stays_in_the_queue(tracker: LastUsedTracker, saving_store: SavingStore) -> None:
    """And is written when the store is back."""
    saving_store.error = StoreUnavailable("away")
    tracker.track_key(KEY)
    with pytest.raises(StoreUnavailable):
        tracker.flush()
    tracker.track_action(user(1), "docs:Get")
    saving_store.error = None
    tracker.flush()
    assert len(saving_store.saved) == 2


def test_close_writes_the_queue_and_stops(tracker: LastUsedTracker, saving_store: SavingStore) -> None:
    """Nothing is recorded afterwards."""
    tracker.track_key(KEY)
    tracker.close()
    tracker.track_action(user(1), "docs:Get")
    tracker.flush()
    tracker.close()
    assert len(saving_store.saved) == 1


def test_close_without_store_logs_a_warning(
    tracker: LastUsedTracker, saving_store: SavingStore, caplog: pytest.LogCaptureFixture
) -> None:
    """It raises nothing."""
    saving_store.error = StoreUnavailable("away")
    tracker.track_key(KEY)
    tracker.close()
    assert "last-used records not written: away" in caplog.text


# --- the thread ---


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the writer thread write often."""
    monkeypatch.setattr(last_used, "PAUSE", 0.01)
    monkeypatch.setattr(last_used, "MAX_PAUSE", 0.02)


@pytest.mark.usefixtures("hasty")
def test_writer_thread_writes_and_ends(any_store: SourceStore, clock: Clock) -> None:
    """With an empty queue there is no thread, and the next use starts one again."""
    tracker = tracker_of(any_store, clock)
    for seconds in (0, 2 * SPAN):
        clock.now = 1_800_000_000 + seconds
        tracker.track_key(KEY)
        wait_until(lambda: [row["at"] for row in rows(any_store, access_key_uses)] == [int(clock.now)])
        wait_until(lambda: tracker._writer is None)
    tracker.close()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("error", [StoreUnavailable("away"), RuntimeError("odd")])
def test_writer_thread_survives_failing_store(
    saving_store: SavingStore, clock: Clock, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """It logs once and retries; uses are given up only after an unexpected error."""
    saving_store.error = error
    tracker = tracker_of(saving_store, clock)
    tracker.track_key(KEY)
    wait_until(lambda: saving_store.calls >= (3 if isinstance(error, StoreUnavailable) else 1))
    saving_store.error = None
    tracker.track_action(user(1), "docs:Get")
    wait_until(lambda: len(saving_store.saved) == (2 if isinstance(error, StoreUnavailable) else 1))
    tracker.close()
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage().partition(":")[0] for record in warnings] == ["last-used records cannot be written yet"]
    assert "odd" not in caplog.text


@pytest.mark.usefixtures("hasty")
def test_unclosed_tracker_leaves_no_thread(
    saving_store: SavingStore, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the thread nor a log record of its failure keeps a tracker alive."""
    saving_store.error = StoreUnavailable("away")
    tracker = tracker_of(saving_store, clock)
    tracker.track_key(KEY)
    writer = tracker._writer
    assert writer is not None
    eventually(lambda: caplog.records)
    del tracker
    gc.collect()
    writer.join(timeout=20)
    assert not writer.is_alive()


def test_without_threads_uses_wait_for_flush(
    tracker: LastUsedTracker, saving_store: SavingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no thread can be started, as when the interpreter ends, uses are written by the next flush."""

    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    tracker.track_key(KEY)
    tracker.flush()
    assert len(saving_store.saved) == 1


FORKING = """
import os, sys, time, warnings
from iam_guard.model.principal import Credential
from iam_guard.settings import load_settings
from iam_guard.store.credentials import last_used as uses
from iam_guard.store.opening import open_database

store = open_database(sys.argv[1], load_settings())
tracker = uses.LastUsedTracker(store, region="us-east-1", clock=lambda: 1_800_000_000.0)
tracker.track_key(Credential("sigv4", "AKIAALICE", "parent", "docs"))
assert tracker._writer is not None
tracker._lock.acquire()
tracker._writing.acquire()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    child = os.fork()
if child == 0:
    store.engine.dispose(close=False)
    tracker.track_key(Credential("sigv4", "AKIAALICE", "child", "docs"))
    tracker.track_key(Credential("sigv4", "AKIAOLD", "child", "docs"))
    deadline = time.monotonic() + 60
    while tracker._writer is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    tracker.close()
    os._exit(0)
os.waitpid(child, 0)
tracker._lock.release()
tracker._writing.release()
tracker.close()
store.close()
"""


@pytest.mark.forks
def test_forked_process_has_its_own_writer_thread(tmp_path: Any, settings: Any) -> None:
    """Even while the parent has the locks; the parent writes its own queue, and the child does not."""
    url = f"sqlite:///{tmp_path}/iam-guard.db"
    store = open_database(url, settings, create=True)
    apply_seed(store, load_seed_text(SEED))
    with start(FORKING, url) as process:
        assert process.wait(timeout=300) == 0
    found = {row["access_key_id"]: row["region"] for row in rows(store, access_key_uses)}
    assert found == {"AKIAALICE": "parent", "AKIAOLD": "child"}
    store.close()
