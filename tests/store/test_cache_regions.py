"""The room that answers are remembered in."""

from __future__ import annotations

from iam_guard.store.cache_regions import ABSENT, CacheRegion
from iam_guard.store.protocol import AccountRecord


def known(number: int) -> AccountRecord:
    return AccountRecord(number, exists=True, id=str(number))


def test_the_answer_asked_for_least_lately_goes_first() -> None:
    room = CacheRegion(2)
    room.put("a", known(1))
    room.put("b", known(2))
    room.get("a")
    room.put("c", known(3))
    assert [room.get(key) is ABSENT for key in "abc"] == [False, True, False]


def test_a_new_answer_to_the_same_question_counts_as_asked_for() -> None:
    room = CacheRegion(2)
    room.put("a", known(1))
    room.put("b", known(2))
    room.put("a", known(4))
    room.put("c", known(3))
    assert room.get("a") == known(4)
    assert room.get("b") is ABSENT


def test_what_says_no_more_than_that_there_is_none_cannot_push_out_the_others() -> None:
    room = CacheRegion(20)
    room.put("a", known(1))
    for number in range(100):
        room.put(number, None)
    assert room.get("a") == known(1)
    assert [room.get(number) for number in range(97, 100)] == [ABSENT, None, None]
    assert (room.usage().entries, room.usage().limit) == (3, 22)


def test_a_room_without_size_holds_one_answer_of_each_kind() -> None:
    room = CacheRegion(0)
    room.put("a", known(1))
    room.put("b", None)
    assert (room.get("a"), room.get("b")) == (known(1), None)


def test_what_is_known_stays_when_the_unknown_is_forgotten() -> None:
    room = CacheRegion(10)
    room.put("a", known(1))
    room.put("b", None)
    room.forget_unknown()
    assert (room.get("a"), room.get("b")) == (known(1), ABSENT)
    room.clear()
    assert room.get("a") is ABSENT
