"""Process-wide counters: a forked child starts without its parent's requests."""

from __future__ import annotations

import signal
import threading

import pytest

from iam_guard.errors import CacheMiss
from iam_guard.web import body_budget, key_lookups
from iam_guard.web.body_budget import MAX_UNVERIFIED, Reservation, reserved_bytes
from tests.store.test_forked import in_child, statuses

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def test_forked_process_has_all_lookup_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent's lookups never finish in the child, and occupy no slot there."""
    monkeypatch.setattr(key_lookups, "MAX_WAIT", 0.01)
    begun, ends = threading.Barrier(key_lookups.MAX_LOOKUPS + 1), threading.Event()

    def lookup(*, cache_only: bool = False) -> str:
        if cache_only:
            raise CacheMiss
        if threading.current_thread() is not threading.main_thread():
            begun.wait(30)
            ends.wait(30)
        return "found"

    threads = [
        threading.Thread(target=key_lookups.look_up_sync, args=(lookup,)) for _ in range(key_lookups.MAX_LOOKUPS)
    ]
    for thread in threads:
        thread.start()
    begun.wait(30)
    try:
        assert statuses([in_child(lambda: key_lookups.look_up_sync(lookup) != "found")]) == [0]
    finally:
        ends.set()
        for thread in threads:
            thread.join()
    assert key_lookups.look_up_sync(lookup) == "found"


def test_forked_process_has_the_whole_body_budget() -> None:
    """The parent's bodies are not counted in the child."""
    before, reservation = reserved_bytes(), Reservation(10**9)
    reservation.resize(MAX_UNVERIFIED + 1000)
    locked, leave = threading.Event(), threading.Event()

    def reserve() -> None:
        with body_budget._RESERVED.lock:
            locked.set()
            leave.wait(30)

    thread = threading.Thread(target=reserve)
    thread.start()
    assert locked.wait(30)

    def work() -> object:
        signal.alarm(10)  # ends a deadlocked child
        mine = Reservation(1000)
        found = [reserved_bytes()]
        mine.resize(MAX_UNVERIFIED + 1000)
        reservation.release()
        signal.alarm(0)
        return [*found, reserved_bytes()] != [0, 1000]

    try:
        assert statuses([in_child(work)]) == [0]
    finally:
        leave.set()
        thread.join()
    assert reserved_bytes() == before + 1000
    reservation.release()
