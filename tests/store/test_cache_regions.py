"""The cache regions: bounded, with separate negative answers."""

from __future__ import annotations

from iam_guard.store.cache_regions import ABSENT, CacheRegion
from iam_guard.store.protocol import AccountRecord


def answer(number: int) -> AccountRecord:
    return AccountRecord(number, exists=True, id=str(number))


def test_full_region_evicts_least_recently_used() -> None:
    region = CacheRegion(2)
    region.put("a", answer(1))
    region.put("b", answer(2))
    region.get("a")
    region.put("c", answer(3))
    assert [region.get(key) is ABSENT for key in "abc"] == [False, True, False]


def test_replaced_answer_counts_as_recently_used() -> None:
    region = CacheRegion(2)
    region.put("a", answer(1))
    region.put("b", answer(2))
    region.put("a", answer(4))
    region.put("c", answer(3))
    assert region.get("a") == answer(4)
    assert region.get("b") is ABSENT


def test_negative_answers_cannot_evict_positive_ones() -> None:
    region = CacheRegion(20)
    region.put("a", answer(1))
    for number in range(100):
        region.put(number, None)
    assert region.get("a") == answer(1)
    assert [region.get(number) for number in range(97, 100)] == [ABSENT, None, None]
    assert (region.usage().entries, region.usage().limit) == (3, 22)


def test_region_of_size_zero_keeps_one_answer_of_each_kind() -> None:
    region = CacheRegion(0)
    region.put("a", answer(1))
    region.put("b", None)
    assert (region.get("a"), region.get("b")) == (answer(1), None)


def test_clear_negative_keeps_positive_answers() -> None:
    region = CacheRegion(10)
    region.put("a", answer(1))
    region.put("b", None)
    region.clear_negative()
    assert (region.get("a"), region.get("b")) == (answer(1), ABSENT)
    region.clear()
    assert region.get("a") is ABSENT
