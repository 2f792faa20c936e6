"""The cache regions: bounded, with separate negative answers."""

from __future__ import annotations

from iam_guard.store.cache.cache_regions import ABSENT, CacheRegion
from iam_guard.store.cache.generations import Generations
from iam_guard.store.protocol import AccountRecord


def answer(number: int) -> AccountRecord:
    return AccountRecord(number, exists=True, id=str(number))


def test_full_region_evicts_least_recently_used() -> None:
    region = CacheRegion(2)
    region.put("a", answer(1), ())
    region.put("b", answer(2), ())
    region.get("a")
    region.put("c", answer(3), ())
    assert [region.get(key) is ABSENT for key in "abc"] == [False, True, False]


def test_replaced_answer_counts_as_recently_used() -> None:
    region = CacheRegion(2)
    region.put("a", answer(1), ())
    region.put("b", answer(2), ())
    region.put("a", answer(4), ())
    region.put("c", answer(3), ())
    assert region.get("a") == answer(4)
    assert region.get("b") is ABSENT


def test_negative_answers_cannot_evict_positive_ones() -> None:
    region = CacheRegion(20)
    region.put("a", answer(1), ())
    for number in range(100):
        region.put(number, None, ())
    assert region.get("a") == answer(1)
    assert [region.get(number) for number in range(97, 100)] == [ABSENT, None, None]
    assert (region.usage().entries, region.usage().limit) == (3, 22)


def test_region_of_size_zero_keeps_one_answer_of_each_kind() -> None:
    region = CacheRegion(0)
    region.put("a", answer(1), ())
    region.put("b", None, ())
    assert (region.get("a"), region.get("b")) == (answer(1), None)


def test_answer_of_an_ended_generation_is_dropped() -> None:
    """Whatever the change names is forgotten, and nothing else."""
    region, generations = CacheRegion(10), Generations()
    region.put("a", answer(1), generations.of(["account:1", "all"]))
    region.put("b", None, generations.of(["account:2", "all"]))
    region.put("c", answer(3), generations.of(["account:3"]))
    generations.end(["account:2", "unknown"])
    assert [region.get(key) is ABSENT for key in "abc"] == [False, True, False]
    generations.end(["all"])
    assert [region.get(key) is ABSENT for key in "abc"] == [True, True, False]
    generations.end_all()
    assert region.get("c") is ABSENT
    assert (region.usage().entries, region.usage().dropped) == (0, 3)


def test_generations_that_nothing_holds_are_forgotten() -> None:
    generations = Generations()
    held = generations.of(["account:1", "account:2"])
    assert generations.of(["account:1"])[0] is held[0]
    assert len(generations) == 2
    del held
    assert len(generations) == 0
