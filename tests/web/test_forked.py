"""Counts that belong to one process: a forked child starts with none of its parent's requests."""

from __future__ import annotations

import signal
import threading

import pytest

from iam_guard.web import body_budget, key_lookups
from iam_guard.web.body_budget import MAX_UNVERIFIED, Reservation, bytes_held
from tests.store.test_forked import in_child, statuses

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")


def test_forked_process_has_all_places_for_lookups(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parent's look-ups never end in the child, and take no place there."""
    monkeypatch.setattr(key_lookups, "MAX_WAIT", 0.01)
    begun, ends = threading.Barrier(key_lookups.MAX_LOOKUPS + 1), threading.Event()

    def look_up() -> None:
        begun.wait(30)
        ends.wait(30)

    threads = [
        threading.Thread(target=key_lookups.look_up_here, args=(look_up,)) for _ in range(key_lookups.MAX_LOOKUPS)
    ]
    for thread in threads:
        thread.start()
    begun.wait(30)
    try:
        assert statuses([in_child(lambda: key_lookups.look_up_here(lambda: False))]) == [0]
    finally:
        ends.set()
        for thread in threads:
            thread.join()
    assert key_lookups.look_up_here(lambda: "found") == "found"


def test_forked_process_has_all_room_for_bodies() -> None:
    """The parent's bodies take no room in the child, and give none back there."""
    before, room = bytes_held(), Reservation(10**9)
    room.hold(MAX_UNVERIFIED + 1000)
    locked, leave = threading.Event(), threading.Event()

    def reserve() -> None:
        with body_budget._HELD.lock:
            locked.set()
            leave.wait(30)

    thread = threading.Thread(target=reserve)
    thread.start()
    assert locked.wait(30)

    def work() -> object:
        signal.alarm(10)  # ends a child that waits for the lock of a thread that it does not have
        mine = Reservation(1000)
        found = [bytes_held()]
        mine.hold(MAX_UNVERIFIED + 1000)
        room.release()
        signal.alarm(0)
        return [*found, bytes_held()] != [0, 1000]

    try:
        assert statuses([in_child(work)]) == [0]
    finally:
        leave.set()
        thread.join()
    assert bytes_held() == before + 1000
    room.release()
