"""What was used last: noted in memory, written in the background, on every kind of store (uses.py; R-33, R-34)."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from iam_guard.errors import StoreUnavailable
from iam_guard.model.principal import Credential, Principal
from iam_guard.store import last_used, last_used_rows
from iam_guard.store.last_used import SPAN, LastUsedTracker
from iam_guard.store.last_used_rows import Use
from iam_guard.store.open_store import open_database
from iam_guard.store.protocol import SourceStore
from iam_guard.store.schema import access_key_uses, access_keys, identities, service_uses
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore
from tests.store.conftest import SEED
from tests.store.databases import start

ACME = "111122223333"
ALICE = Principal.from_arn(f"arn:aws:iam::{ACME}:user/staff/alice")
AUDITOR = Principal.from_arn(
    f"arn:aws:sts::{ACME}:assumed-role/Auditor/s1", role_arn=f"arn:aws:iam::{ACME}:role/audit/Auditor"
)
KEY = Credential("sigv4", "AKIAALICE", "eu-west-1", "docs")


class Clock:
    """Seconds since 1970, as a test says."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.9

    def __call__(self) -> float:
        return self.now


class Taking:
    """A store that takes what it is given, or fails as it is told to."""

    def __init__(self) -> None:
        self.taken: list[Use] = []
        self.error: Exception | None = None
        self.asked = 0

    def keep_uses(self, given: Sequence[Use]) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        self.taken += given


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def taking() -> Taking:
    return Taking()


@pytest.fixture
def noting(taking: Taking, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[LastUsedTracker]:
    """Uses that are written when a test says so."""
    monkeypatch.setattr(last_used, "PAUSE", 3600.0)
    made = LastUsedTracker(taking, region="us-east-1", clock=clock)
    yield made
    taking.error = None
    made.close()


def on(store: Any, clock: Clock, region: str = "us-east-1") -> LastUsedTracker:
    return LastUsedTracker(store, region=region, clock=clock)


def known(store: Any, principal: Principal) -> Principal:
    """Return a caller as the store completes it, with its unique id."""
    found: Principal = store.principal(principal).principal
    return found


def rows(store: Any, table: Any) -> list[dict[str, Any]]:
    with store.viewing() as records:
        return [dict(row) for row in records.all(table)]


def user(number: int) -> Principal:
    return replace(ALICE, userid=f"AIDA{number:017}")


# --- what is written ---


def test_what_is_used_is_in_the_store_after_a_flush(any_store: SourceStore, clock: Clock) -> None:
    """R-33, R-34: a key with region and service, an identity with service, action and region; the same everywhere."""
    noting = on(any_store, clock)
    alice, auditor = known(any_store, ALICE), known(any_store, AUDITOR)
    noting.track_key(KEY)
    noting.track_action(replace(alice, credential=KEY), "docs:GetDocument")
    noting.track_action(auditor, "Docs:ListDocuments")
    noting.flush()
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
    noting.close()


def test_the_epoch_stays(any_store: SourceStore, clock: Clock) -> None:
    """No decision depends on it, so nobody forgets anything because of it (T-9)."""
    noting = on(any_store, clock)
    before = any_store.epoch()
    noting.track_key(KEY)
    noting.flush()
    assert rows(any_store, access_key_uses)
    assert any_store.epoch() == before
    noting.close()


def test_who_is_no_more_is_left_out(any_store: SourceStore, clock: Clock) -> None:
    """Keys and identities that were deleted meanwhile don't keep the others from being written."""
    noting = on(any_store, clock)
    noting.track_key(replace(KEY, id="AKIAGONE"))
    noting.track_action(user(1), "docs:GetDocument")
    noting.track_key(KEY)
    noting.track_action(known(any_store, ALICE), "docs:GetDocument")
    noting.flush()
    assert [row["access_key_id"] for row in rows(any_store, access_key_uses)] == ["AKIAALICE"]
    assert len(rows(any_store, service_uses)) == 1
    noting.close()


@pytest.mark.parametrize("later_first", [False, True])
def test_the_latest_use_stays(any_store: SourceStore, clock: Clock, later_first: bool) -> None:
    """Of several processes, the one that writes last may have noted first."""
    for number in sorted((1, 2), reverse=later_first):
        clock.now = 1_800_000_000 + number
        noting = on(any_store, clock, f"region-{number}")
        noting.track_key(replace(KEY, region=f"region-{number}"))
        noting.track_action(known(any_store, ALICE), "docs:GetDocument")
        noting.close()
    assert [(row["at"], row["region"]) for row in rows(any_store, access_key_uses)] == [(1_800_000_002, "region-2")]
    assert [(row["at"], row["region"]) for row in rows(any_store, service_uses)] == [(1_800_000_002, "region-2")]


def test_a_use_goes_with_its_owner(empty: SqlStore, clock: Clock) -> None:
    """A row of a key or a user that is deleted is deleted with it."""
    apply_seed(empty, load_seed_text(SEED))
    noting = on(empty, clock)
    alice = known(empty, ALICE)
    noting.track_key(KEY)
    noting.track_action(alice, "docs:GetDocument")
    noting.flush()
    with empty.changing() as records:
        records.delete(access_keys, id="AKIAALICE")
        records.delete(identities, id=alice.userid)
    assert rows(empty, access_key_uses) == rows(empty, service_uses) == []


def test_the_actions_of_one_identity_are_bounded(
    empty: SqlStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of actions may come from callers; when there are too many, those that are known are still renewed."""
    monkeypatch.setattr(last_used_rows, "MAX_ACTIONS", 2)
    apply_seed(empty, load_seed_text(SEED))
    alice = known(empty, ALICE)
    noting = on(empty, clock)
    for actions in (("docs:A", "docs:B"), ("docs:A", "docs:C")):
        clock.now += 2 * SPAN
        for action in actions:
            noting.track_action(alice, action)
        noting.flush()
    latest = int(clock.now)
    assert {row["action"]: row["at"] for row in rows(empty, service_uses)} == {"A": latest, "B": latest - 2 * SPAN}


# --- what is noted ---


def test_the_same_is_noted_again_after_a_span(noting: LastUsedTracker, taking: Taking, clock: Clock) -> None:
    """R-33: the first use in 15 minutes counts; a clock that is set back is no reason to be silent for long."""
    begun = clock.now
    for seconds in (0, 1, SPAN - 1, SPAN, SPAN + 1, -SPAN, -1):
        clock.now = begun + seconds
        noting.track_key(KEY)
        noting.track_action(user(1), "docs:GetDocument")
        noting.flush()
    assert [use.at - int(begun) for use in taking.taken] == [0, 0, SPAN, SPAN, -SPAN, -SPAN]


def test_keys_regions_services_and_actions_are_told_apart(noting: LastUsedTracker, taking: Taking) -> None:
    """A key is one; of an identity every action is one, whatever session of a role it was."""
    for number in range(2):
        noting.track_key(replace(KEY, id=f"AKIA{number}"))
        noting.track_action(user(number), "docs:GetDocument")
        noting.track_action(user(number), "docs:PutDocument")
        noting.track_action(replace(AUDITOR, userid=f"AROA{0:017}:session-{number}"), "docs:GetDocument")
    noting.flush()
    assert len(taking.taken) == 2 + 4 + 1


@pytest.mark.parametrize(
    "credential",
    [None, Credential("none"), Credential("sts", "ASIA1"), Credential("api-key"), Credential("sigv4")],
    ids=str,
)
def test_only_access_keys_are_noted_as_such(
    noting: LastUsedTracker, taking: Taking, credential: Credential | None
) -> None:
    """R-33: other credentials have no last use of this kind."""
    noting.track_key(credential)
    noting.flush()
    assert taking.asked == 0


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
def test_who_is_no_user_and_no_role_and_what_is_no_action_is_not_noted(
    noting: LastUsedTracker, taking: Taking, principal: Principal, action: str
) -> None:
    """R-34; what a database could not keep would stand in the way of all others."""
    noting.track_action(principal, action)
    noting.flush()
    assert taking.asked == 0


def test_what_was_noted_lately_waits_for_nobody(noting: LastUsedTracker) -> None:
    """The request path takes no lock, even while somebody holds it."""
    noting.track_key(KEY)
    noting.track_action(user(1), "docs:Get")
    with noting._lock, ThreadPoolExecutor(1) as pool:
        pool.submit(noting.track_key, KEY).result(timeout=60)
        pool.submit(noting.track_action, user(1), "docs:Get").result(timeout=60)


def test_memory_is_bounded(noting: LastUsedTracker, taking: Taking, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was noted longest ago is forgotten; while the store is away, the rest is lost."""
    monkeypatch.setattr(last_used, "MAX_NOTED", 10)
    monkeypatch.setattr(last_used, "MAX_PENDING", 20)
    for number in range(100):
        noting.track_action(user(number), "docs:Get")
    assert len(noting._noted) == 10
    noting.flush()
    assert [use.identity_id for use in taking.taken if isinstance(use, last_used_rows.ServiceUse)] == [
        user(number).userid for number in range(20)
    ]


def test_after_forgetting_everything_is_noted_again(noting: LastUsedTracker, taking: Taking) -> None:
    """A state that was set back has none of what was written since."""
    for _ in range(2):
        noting.track_key(KEY)
        noting.flush()
        noting.forget()
    assert len(taking.taken) == 2


def test_many_threads_lose_nothing(noting: LastUsedTracker, taking: Taking) -> None:
    """Whoever notes first starts no second thread, and nobody's use is lost."""
    before = threading.active_count()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: noting.track_action(user(number % 1000), "docs:Get"), range(8000)))
    assert threading.active_count() <= before + 1
    noting.flush()
    assert len(taking.taken) == len(set(taking.taken)) == 1000


# --- a store that is away ---


def test_what_cannot_be_written_goes_on_waiting(noting: LastUsedTracker, taking: Taking) -> None:
    """And is written when the store is back."""
    taking.error = StoreUnavailable("away")
    noting.track_key(KEY)
    with pytest.raises(StoreUnavailable):
        noting.flush()
    noting.track_action(user(1), "docs:Get")
    taking.error = None
    noting.flush()
    assert len(taking.taken) == 2


def test_closing_writes_what_waits_and_ends_it(noting: LastUsedTracker, taking: Taking) -> None:
    """Nothing is noted afterwards."""
    noting.track_key(KEY)
    noting.close()
    noting.track_action(user(1), "docs:Get")
    noting.flush()
    noting.close()
    assert len(taking.taken) == 1


def test_closing_does_without_a_store_that_is_away(
    noting: LastUsedTracker, taking: Taking, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said in the log, and raises nothing."""
    taking.error = StoreUnavailable("away")
    noting.track_key(KEY)
    noting.close()
    assert "what was used last is not written: away" in caplog.text


# --- the thread ---


def wait_until(is_so: Any) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write often."""
    monkeypatch.setattr(last_used, "PAUSE", 0.01)
    monkeypatch.setattr(last_used, "LONGEST_PAUSE", 0.02)


@pytest.mark.usefixtures("hasty")
def test_it_is_written_by_itself_and_the_thread_ends(any_store: SourceStore, clock: Clock) -> None:
    """Once nothing waits there is no thread, and the next use starts one again."""
    noting = on(any_store, clock)
    for seconds in (0, 2 * SPAN):
        clock.now = 1_800_000_000 + seconds
        noting.track_key(KEY)
        wait_until(lambda: [row["at"] for row in rows(any_store, access_key_uses)] == [int(clock.now)])
        wait_until(lambda: noting._writer is None)
    noting.close()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("error", [StoreUnavailable("away"), RuntimeError("odd")])
def test_the_thread_survives_a_store_that_fails(
    taking: Taking, clock: Clock, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """It says so once, and tries again; only what the store itself cannot take for good is given up."""
    taking.error = error
    noting = on(taking, clock)
    noting.track_key(KEY)
    wait_until(lambda: taking.asked >= (3 if isinstance(error, StoreUnavailable) else 1))
    taking.error = None
    noting.track_action(user(1), "docs:Get")
    wait_until(lambda: len(taking.taken) == (2 if isinstance(error, StoreUnavailable) else 1))
    noting.close()
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage().partition(":")[0] for record in warnings] == [
        "what was used last cannot be written yet"
    ]
    assert "odd" not in caplog.text


@pytest.mark.usefixtures("hasty")
def test_who_goes_without_closing_leaves_no_thread(taking: Taking, clock: Clock) -> None:
    """A guard that nobody holds any more is not held by its thread."""
    taking.error = StoreUnavailable("away")
    noting = on(taking, clock)
    noting.track_key(KEY)
    writer = noting._writer
    assert writer is not None
    del noting
    gc.collect()
    writer.join(timeout=60)
    assert not writer.is_alive()


def test_without_threads_nothing_is_lost(
    noting: LastUsedTracker, taking: Taking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no thread can be started, as when the interpreter ends, it waits for the next flush."""

    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    noting.track_key(KEY)
    noting.flush()
    assert len(taking.taken) == 1


FORKING = """
import os, sys, time, warnings
from iam_guard.model.principal import Credential
from iam_guard.settings import load
from iam_guard.store import last_used as uses
from iam_guard.store.open_store import open_database

store = open_database(sys.argv[1], load())
noting = uses.LastUsedTracker(store, region="us-east-1", clock=lambda: 1_800_000_000.0)
noting.track_key(Credential("sigv4", "AKIAALICE", "parent", "docs"))
assert noting._writer is not None
noting._lock.acquire()
noting._writing.acquire()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    child = os.fork()
if child == 0:
    store.engine.dispose(close=False)
    noting.track_key(Credential("sigv4", "AKIAALICE", "child", "docs"))
    noting.track_key(Credential("sigv4", "AKIAOLD", "child", "docs"))
    deadline = time.monotonic() + 60
    while noting._writer is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    noting.close()
    os._exit(0)
os.waitpid(child, 0)
noting._lock.release()
noting._writing.release()
noting.close()
store.close()
"""


def test_a_forked_process_has_a_thread_of_its_own(tmp_path: Any, settings: Any) -> None:
    """Even while the parent holds the locks; what the parent noted, the parent writes, and the child not again."""
    url = f"sqlite:///{tmp_path}/iam-guard.db"
    store = open_database(url, settings)
    apply_seed(store, load_seed_text(SEED))
    with start(FORKING, url) as process:
        assert process.wait(timeout=300) == 0
    found = {row["access_key_id"]: row["region"] for row in rows(store, access_key_uses)}
    assert found == {"AKIAALICE": "parent", "AKIAOLD": "child"}
    store.close()
