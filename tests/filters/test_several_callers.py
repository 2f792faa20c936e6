"""Filters of one set of policies for several callers, which share formulas of statements, list what `decide` allows."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from iam_guard import NotFilterable, compile_policies
from tests.filters.comparison import Comparison
from tests.filters.databases import DIALECTS, database
from tests.filters.generate import generate_case
from tests.filters.models import KINDS
from tests.filters.rows import make_rows

CASES = 60
CALLERS = 4
ROWS = 15


@pytest.mark.parametrize("dialect", DIALECTS)
def test_callers_of_the_same_policies_see_their_own_rows(dialect: str) -> None:
    """Each caller asks twice, with the conditions on its own context, after others for whom they were otherwise."""
    lists = set()
    with database(dialect) as session:
        comparisons = [Comparison(session, kind) for kind in KINDS]
        for seed in range(CASES):
            comparison, chance = comparisons[seed % len(comparisons)], random.Random(seed)
            rows = make_rows(comparison.kind)
            cases = [generate_case(chance, comparison.kind, rows) for _ in range(CALLERS)]
            authorizer = compile_policies(**cases[0].policies)
            numbers = chance.sample(sorted(comparison.rows), ROWS)
            for asked in (*cases, *cases):
                case = replace(asked, policies=cases[0].policies)
                try:
                    listed = comparison.listed(authorizer, case, numbers)
                except NotFilterable:
                    continue
                allowed = {number for number in numbers if comparison.allows(authorizer, case, number)}
                assert not (listed - allowed) | (allowed - listed - comparison.ambiguous), f"seed {seed}: {case}"
                lists.add((seed, frozenset(listed)))
    assert len(lists) > CASES  # policies for which callers see other rows
