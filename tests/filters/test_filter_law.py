"""A filter lists the rows that `decide` allows, or refuses: generated policies over hostile rows.

A failure names the seed of its case: `IAM_GUARD_TEST_FILTER_SEED=12 IAM_GUARD_TEST_FILTER_CASES=1` repeats it.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from iam_guard import NotFilterable
from tests.filters.comparison import Comparison
from tests.filters.databases import DIALECTS, database
from tests.filters.generate import generate_case
from tests.filters.models import KINDS, OTHER_KINDS
from tests.filters.rows import make_rows

CASES = int(os.environ.get("IAM_GUARD_TEST_FILTER_CASES", "1000"))
"""Cases for each database; a million take some hours."""
FIRST = int(os.environ.get("IAM_GUARD_TEST_FILTER_SEED", "1"))
"""The seed of the first case."""
ROWS = 60
"""Rows that a case is compared for, other ones in each."""
REPORTED = 5
"""Differences after which the comparison ends."""


@pytest.fixture(scope="module", params=DIALECTS)
def comparisons(request: pytest.FixtureRequest) -> Iterator[list[Comparison]]:
    """Return the hostile rows for each declaration; most cases are about the usual ones."""
    with database(request.param) as session:
        yield [Comparison(session, kind) for kind in [*KINDS * 2, *OTHER_KINDS]]


def test_filter_lists_what_decide_allows(comparisons: list[Comparison]) -> None:
    """Exact or refused; most cases are translated, and many of them list some rows and not all."""
    rows = [make_rows(comparison.kind) for comparison in comparisons]
    lists: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    unnamed: Counter[str] = Counter()
    found: list[str] = []
    for seed in range(FIRST, FIRST + CASES):
        comparison = comparisons[seed % len(comparisons)]
        chance = random.Random(seed)
        case = generate_case(chance, comparison.kind, rows[seed % len(comparisons)])
        numbers = chance.sample(sorted(comparison.rows), ROWS)
        try:
            listed, differences = comparison.compare(case, numbers)
        except NotFilterable as error:
            lists["refused"] += 1
            reasons[error.reason] += 1
            if not (error.policy and error.statement and error.reason):
                unnamed[error.reason] += 1
            continue
        lists["none" if not listed else "all" if len(listed) == ROWS else "some"] += 1
        if differences:
            found.append(f"seed {seed}: {comparison.describe(differences[0])}")
        if len(found) == REPORTED:
            break
    assert not found, "\n".join(["", *found, f"seeds {FIRST} to {seed}: {dict(lists)}"])
    assert not unnamed, f"refusals that name no statement: {unnamed.most_common(20)}"
    if CASES >= 100:
        assert lists["refused"] <= 0.2 * CASES, reasons.most_common(20)
        assert lists["some"] >= 0.2 * (CASES - lists["refused"]), lists


def test_hostile_rows_have_resources_and_some_none(comparisons: list[Comparison]) -> None:
    """Most rows can be decided; those with an invalid account or without an id cannot, and some have readings."""
    for comparison in comparisons:
        without = [number for number, readings in comparison.readings.items() if not readings]
        assert len(without) < len(comparison.rows) / 8, [vars(comparison.rows[number]) for number in without[:5]]
        assert max(len(readings) for readings in comparison.readings.values()) > 1
