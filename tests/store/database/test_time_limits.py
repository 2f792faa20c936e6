"""Long work in steps leaves others a part of the time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from iam_guard.store.database.time_limits import paced
from tests.tables import table


@table(
    ("hold", "rest", "pauses"),
    [(0.0, 1.0, [0.25, 12.0, 10.5]), (0.0, 2.0, [0.5, 24.0, 21.0]), (11.0, 1.0, [12.25]), (99.0, 1.0, [])],
)
def test_pause_is_as_long_as_what_was_used(hold: float, rest: float, pauses: list[float]) -> None:
    """The time of the caller between two items counts, too; short work goes on."""
    now, slept = 100.0, list[float]()

    def items() -> Iterator[int]:
        nonlocal now
        for number, seconds in enumerate((0.25, 2.0, 0.5)):
            now += seconds
            yield number

    def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += seconds

    def clock() -> float:
        return now

    found = []
    for item in paced(items(), clock, sleep, hold=hold, rest=rest):
        found.append(item)
        now += 10
    assert found == [0, 1, 2]
    assert slept == [pytest.approx(pause) for pause in pauses]
