"""The law of filters or the operator table detects each wrong translator, and nothing in the right one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import product

import pytest

from iam_guard import NotFilterable
from tests.filters.comparison import Comparison
from tests.filters.databases import DIALECTS, available_dialects, database
from tests.filters.generate import ALL_KINDS, Case, numbered_case
from tests.filters.operator_states import EFFECTS, STATE_KINDS, case_of, opened, statements_of

from .translator_mutants import GROUPS
from .translator_mutation import Mutant

CASES = 300
"""Cases of the law in which a mutant is looked for; usually the first detects it, until the generator changes."""


class Rows:
    """The rows of the law and of the operator table, in every database."""

    def __init__(self, stack: ExitStack) -> None:
        self.dialects = available_dialects()
        self._law = {
            dialect: [Comparison(session, kind) for kind in ALL_KINDS]
            for dialect in self.dialects
            for session in [stack.enter_context(database(dialect))]
        }
        self._states = stack.enter_context(opened())

    def wrong_case(self, mutant: Mutant, dialect: str) -> tuple[Comparison, Case, list[int]] | None:
        """Return the first case about which the translator is wrong, with what it was compared for."""
        for comparison, case, numbers in self._cases(mutant, dialect):
            if is_wrong(comparison, case, numbers):
                return comparison, case, numbers
        return None

    def _cases(self, mutant: Mutant, dialect: str) -> Iterator[tuple[Comparison, Case, list[int]]]:
        if mutant.table is None:
            comparisons = [comparison.renewed() for comparison in self._law[dialect]]
            for seed in range(mutant.seed, mutant.seed + CASES):
                case, numbers = numbered_case(seed)
                for caller in range(mutant.callers):
                    other, _ = numbered_case(seed + caller * len(ALL_KINDS))
                    asked = replace(case, principal=other.principal, context=other.context)
                    yield comparisons[seed % len(ALL_KINDS)], asked, numbers
            return
        table, statements = statements_of(*mutant.table)
        place = self.dialects.index(dialect)
        of_kinds = [
            (of_kind[place].renewed(), numbers) for of_kind, numbers in self._states.of_table(table, STATE_KINDS)
        ]
        for elements, (comparison, numbers), effect in product(statements, of_kinds, EFFECTS):
            yield comparison, case_of(comparison.kind, effect, elements), numbers


def is_wrong(comparison: Comparison, case: Case, numbers: list[int]) -> bool:
    """Return whether a list has too many rows or too few; a query that a database refuses is not enough."""
    try:
        _, differences = comparison.compare(case, numbers)
    except NotFilterable:
        return False
    return any(difference.number for difference in differences)


@pytest.fixture(scope="module")
def rows() -> Iterator[Rows]:
    """Open the databases."""
    with ExitStack() as stack:
        yield Rows(stack)


@pytest.mark.parametrize("group", GROUPS)
def test_wrong_translator_is_detected(rows: Rows, group: str, subtests: pytest.Subtests) -> None:
    """On each database that it is wrong for; without the mistake, the case that detects it has no difference."""
    for mutant, dialect in product(GROUPS[group], rows.dialects):
        if dialect not in mutant.dialects:
            continue
        with subtests.test(f"{mutant.name}, {dialect}"):
            with mutant.applied():
                found = rows.wrong_case(mutant, dialect)
            assert found is not None, "survives"
            comparison, case, numbers = found
            assert not is_wrong(comparison.renewed(), case, numbers)


def test_wrong_translators_are_many_and_differ_from_the_right_one() -> None:
    """The list keeps its size; each entry changes one place of today's source."""
    mutants = [mutant for group in GROUPS.values() for mutant in group]
    assert len({mutant.name for mutant in mutants}) == len(mutants) >= 80
    for mutant in mutants:
        assert mutant.source.count(mutant.before) == 1, mutant.name
        assert mutant.before != mutant.after
    for dialect in DIALECTS:
        assert sum(dialect in mutant.dialects for mutant in mutants) >= 60
