"""Salts of pseudonyms: the same in all processes, until their person is erased, and not created again by late ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import pytest

from iam_guard.errors import StoreUnavailable
from iam_guard.settings import Settings
from iam_guard.store.accounts.pseudonym_salts import (
    ERASED_SECONDS,
    CachedSalts,
    StoredSalts,
    delete_salts,
    is_writable,
)
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import open_database, open_store
from iam_guard.store.schema import accounts, deleted_accounts, pseudonym_salts

ACME, UMBRELLA = "111122223333", "444455556666"
ALICE, CAROL = "a" * 64, "c" * 64


class Process:
    """One process that writes a trail, with a clock of its own for wall time and for polls."""

    def __init__(self, url: str, settings: Settings) -> None:
        self.time, self.monotonic = 1000.0, 0.0
        self.store = open_database(url, settings)
        self.cached_store = CachedStore(self.store, Settings(epoch_poll=10.0), clock=lambda: self.monotonic)
        self.salts = CachedSalts(self.cached_store, clock=lambda: self.time)

    def load(self, *subjects: str, account: str = ACME) -> dict[str, bytes]:
        return dict(self.salts.load(account, subjects, creates=True))

    def erase(self, *subjects: str, account: str = ACME) -> int:
        with self.cached_store.write_transaction() as records:
            return delete_salts(records, {account: list(subjects)}, subjects, int(self.time))


@pytest.fixture
def processes(database: str, settings: Settings) -> Iterator[tuple[Process, Process]]:
    with ExitStack() as stack:
        made = Process(database, settings), Process(database, settings)
        for process in made:
            stack.callback(process.cached_store.close)
        yield made


def test_late_records_create_no_salts_for_a_deleted_account(processes: tuple[Process, Process]) -> None:
    one, other = processes
    with one.cached_store.write_transaction() as records:
        records.insert(deleted_accounts, id=ACME, deleted=1000)
    assert other.load(ALICE) == {}
    assert other.load(ALICE, account=UMBRELLA)
    with one.store.read_transaction() as records:
        assert records.count(pseudonym_salts) == 1


def test_thread_that_loads_meanwhile_is_no_error(processes: tuple[Process, Process]) -> None:
    """A thread counts the cached salts while another one caches those of an account that is new to the process."""
    one, other = processes
    found: list[dict[str, bytes]] = []

    class Salts(dict[str, bytes]):
        def __len__(self) -> int:
            if not found:
                found.append({})
                thread = Thread(target=lambda: found.append(one.load(CAROL, account="777788889999")))
                thread.start()
                thread.join()
            return super().__len__()

    one.load(ALICE)
    held, salts = one.salts._salts[ACME]
    one.salts._salts[ACME] = held, Salts(salts)
    assert one.load(ALICE, account=UMBRELLA) == other.load(ALICE, account=UMBRELLA)
    assert found[1] == other.load(CAROL, account="777788889999")


def test_two_processes_get_the_same_salts(processes: tuple[Process, Process]) -> None:
    """Also at once: the first insertion counts. Salts of accounts differ, and the epoch stays."""
    one, other = processes
    before, found = one.store.epoch(), []
    threads = [Thread(target=lambda p=p: found.append(p.load(ALICE, CAROL))) for p in (one, other) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(salts == found[0] for salts in found)
    assert len(set(found[0].values())) == 2
    assert {len(salt) for salt in found[0].values()} == {32}
    assert one.load(ALICE, account=UMBRELLA)[ALICE] != found[0][ALICE]
    assert one.store.epoch() == before


def test_cached_salts_need_no_query(processes: tuple[Process, Process]) -> None:
    one, _ = processes
    assert one.salts.cached(ACME) == {}
    loaded = one.load(ALICE)
    assert one.salts.cached(ACME) == loaded
    assert one.salts.cached(UMBRELLA) == {}
    one.monotonic += 11.0
    assert one.salts.cached(ACME) == {}, "a poll is due, which must not delay the caller"
    one.load(CAROL)
    assert one.salts.cached(ACME).keys() == {ALICE, CAROL}


def test_lookup_creates_no_salt(processes: tuple[Process, Process]) -> None:
    one, other = processes
    assert one.salts.load(ACME, [ALICE], creates=False) == {}
    made = other.load(ALICE)
    assert one.salts.load(ACME, [ALICE], creates=False) == made


def test_erased_salt_is_dropped_by_another_process(processes: tuple[Process, Process]) -> None:
    """At the latest with its next poll; its late records get no salt, and neither that of before nor another."""
    one, other = processes
    before = one.load(ALICE, CAROL)
    assert other.load(ALICE, CAROL) == before
    assert one.erase(ALICE) == 1
    assert one.salts.cached(ACME) == {}, "the own process knows at once"
    assert one.load(ALICE) == {}
    assert other.salts.cached(ACME) == before, "within the bound"
    other.monotonic += 10.0
    assert other.salts.cached(ACME) == {}
    assert other.load(ALICE, CAROL) == {CAROL: before[CAROL]}
    assert other.salts.cached(ACME) == {CAROL: before[CAROL]}
    assert one.erase(ALICE) == 0


def test_erased_value_gets_a_new_salt_after_a_while(processes: tuple[Process, Process]) -> None:
    """For a person who is created again. The marks of erased values are deleted with the next salts."""
    one, other = processes
    before = one.load(ALICE)[ALICE]
    one.erase(ALICE, CAROL)
    other.time -= 60  # its clock is behind
    assert other.load(ALICE, CAROL) == {}
    other.time = one.time + ERASED_SECONDS - 1
    assert other.load(ALICE, CAROL) == {}
    other.time += 1
    assert other.load(ALICE)[ALICE] != before
    other.time += ERASED_SECONDS
    other.load("d" * 64)
    with one.store.read_transaction() as records:
        left = [(row["account"], row["subject"][0]) for row in records.all(pseudonym_salts, order=("subject",))]
    assert left == [(ACME, "a"), (ACME, "d")]


def test_erasure_of_a_name_keeps_the_namesake_of_another_account(processes: tuple[Process, Process]) -> None:
    one, _ = processes
    kept, shared = one.load(ALICE, account=UMBRELLA), one.load(CAROL, account=UMBRELLA)
    one.load(ALICE, CAROL)
    with one.cached_store.write_transaction() as records:
        assert delete_salts(records, {ACME: [ALICE, CAROL], UMBRELLA: [CAROL]}, [], 1000) == 3
    assert one.load(ALICE, account=UMBRELLA) == kept
    assert shared
    assert one.load(CAROL, account=UMBRELLA) == {}


def test_unreachable_store_gives_no_salt(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is not asked again for each record."""
    store = open_database("sqlite://", settings, create=True)
    salts, calls = StoredSalts(store), []

    def fails() -> None:
        calls.append(1)
        raise StoreUnavailable("no answer in time")

    monkeypatch.setattr(store, "read_transaction", fails)
    for _ in range(10):
        assert salts.load(ACME, [ALICE], creates=True) == {}
    assert len(calls) == 1
    store.close()


def test_long_write_delays_no_record_for_long(
    database: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a seed that is applied: new values are masked meanwhile, known ones have their salts."""
    monkeypatch.setattr("iam_guard.store.accounts.pseudonym_salts.WAIT_SECONDS", 1.0)
    writer, store = (open_database(database, settings) for _ in range(2))
    salts = StoredSalts(store)
    known = salts.load(ACME, [ALICE], creates=True)
    with writer.write_transaction() as records:
        records.insert(accounts, id=UMBRELLA, name="umbrella", folded="umbrella", created=1)
        assert salts.load(ACME, [ALICE], creates=True) == known
        assert salts.load(ACME, [CAROL], creates=True) == {}
    monkeypatch.setattr(salts, "_retry_at", 0.0)
    monkeypatch.setattr("iam_guard.store.accounts.pseudonym_salts.WAIT_SECONDS", 5.0)
    assert salts.load(ACME, [CAROL], creates=True).keys() == {CAROL}
    writer.close()
    store.close()


def test_stale_cache_gives_no_salt_after_max_staleness(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store can't be reached, an erasure may have been missed."""
    store, time = open_database("sqlite://", settings, create=True), [0.0]
    cached = CachedStore(store, Settings(epoch_poll=1.0, max_staleness=60.0), clock=lambda: time[0])
    salts = CachedSalts(cached)
    known = salts.load(ACME, [ALICE], creates=True)

    def fails(_since: object) -> None:
        raise StoreUnavailable("no answer in time")

    monkeypatch.setattr(store, "changes", fails)
    time[0] = 30.0
    salts.load(ACME, [CAROL], creates=True)
    assert salts.cached(ACME) == known
    time[0] = 61.0
    assert salts.cached(ACME) == {}
    assert salts.load(ACME, [ALICE], creates=True) == {}
    cached.close()


def test_cache_is_bounded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iam_guard.store.accounts.pseudonym_salts.MAX_CACHED_SALTS", 10)
    cached = CachedStore(open_database("sqlite://", settings, create=True), Settings(epoch_poll=3600.0))
    salts = CachedSalts(cached)
    for number in range(25):
        salts.load(ACME, [f"{number:064}"], creates=True)
        assert 1 <= len(salts.cached(ACME)) <= 10
    assert len(salts.load(ACME, [f"{number:064}" for number in range(25)], creates=False)) == 25
    cached.close()


def test_store_that_follows_a_file_has_no_salts(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "iam.yaml").write_text("version: 1")
    for place, has_salts in ((f"{tmp_path}/iam.yaml", False), ("sqlite://", True)):
        store = open_store(place, settings)
        assert is_writable(store) is has_salts
        store.close()


def test_database_has_neither_value_nor_pseudonym(processes: tuple[Process, Process]) -> None:
    one, _ = processes
    one.load(ALICE)
    with one.store.engine.connect() as connection:
        [row] = connection.execute(pseudonym_salts.select()).mappings()
    assert set(row) == {"account", "subject", "salt", "created"}
    assert row["created"] == 1000
