"""The space of requests of one check: its dimensions, and the regions of the statements of its documents.

A statement with variables has two regions. What must not be larger than the statement is `narrow`: the statements that
take requests away from a difference. What must not be smaller is `wide`. Both are the same without variables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, product
from math import prod
from typing import Any

from iam_guard.analysis.checks.boxes import ACTION, BOTH, CALLER, KEY, OPAQUE, RESOURCE, Box, Literal, Region, meet
from iam_guard.analysis.checks.condition_forms import KeyForm, alternatives, implies, key_form
from iam_guard.analysis.checks.key_sets import ABSENT, Constant, KeyCondition, PointTest, TextTest
from iam_guard.analysis.checks.limits import Work
from iam_guard.analysis.checks.statement_forms import (
    ANY_ACTION,
    ANY_RESOURCE,
    DocumentForm,
    ListedTexts,
    StatementForm,
    Test,
    has_open_values,
)
from iam_guard.analysis.checks.text_sets import TextSet, TextUnion


class Space:
    """The dimensions of a check of some documents. `more` are conditions that the check itself requires.

    `actions` are the only actions there are, in lower case; None for any. `callers` is the number of callers.
    """

    def __init__(
        self,
        documents: Iterable[DocumentForm],
        more: Iterable[Test] = (),
        actions: frozenset[str] | None = None,
        callers: int = 1,
    ) -> None:
        self.documents = tuple(documents)
        self._more: dict[str, set[Test]] = {}
        opened = [
            part
            for document in self.documents
            for tests in document.tests.values()
            for test in tests
            for parts in alternatives(test)
            for part in parts
            if part != test
        ]
        for test in (*more, *opened):
            self._more.setdefault(test[0].key.lower(), set()).add(test)
        written = [test for document in self.documents for tests in document.tests.values() for test in tests]
        self._open = [test for test in dict.fromkeys((*opened, *written)) if has_open_values(*test)]
        self._keys: dict[str, KeyForm] = {}
        self._whole: dict[str, Any] = {
            ACTION: ANY_ACTION if actions is None else TextSet(actions, ()),
            RESOURCE: ANY_RESOURCE,
            CALLER: (1 << callers) - 1,
        }
        self._regions: dict[tuple[int, bool, int], list[Region]] = {}

    def key(self, key: str) -> KeyForm:
        """Return the form of a key in lower case."""
        form = self._keys.get(key)
        if form is None:
            tests = {test for document in self.documents for test in document.tests.get(key, ())}
            form = self._keys[key] = key_form(key, frozenset(tests | self._more.get(key, set())))
        return form

    def whole(self, dimension: str) -> Any:
        """Return the whole set of a dimension."""
        found = self._whole.get(dimension)
        if found is None:
            is_key = dimension.startswith(KEY)
            found = self._whole[dimension] = self.key(dimension[len(KEY) :]).every if is_key else BOTH
        return found

    def condition(self, test: Test) -> Literal:
        """Return what a condition requires."""
        condition, version = test
        key = condition.key.lower()
        form = self.key(key).conditions.get(test)
        if form is not None:
            return Literal(KEY + key, form)
        return Literal(f"{OPAQUE}{condition.operator} {key} {version} {sorted(condition.values)}", PointTest(1))

    def regions(self, statement: StatementForm, *, wide: bool, callers: int = -1) -> list[Region]:
        """Return the regions that a statement is the union of; `callers` are those it names, as bits.

        There are several if a condition has values with variables.
        """
        known = self._regions.get((id(statement), wide, callers))
        if known is not None:
            return known
        literals = [Literal(ACTION, _listed(statement.actions))]
        if callers != -1:
            literals.append(Literal(CALLER, PointTest(callers)))
        if statement.resources is not None:
            literals.append(Literal(RESOURCE, _resources(statement.resources, wide=wide)))
        choices = [alternatives(test) for test in statement.tests]
        if prod(map(len, choices)) > _MAX_REGIONS:
            choices = [[[test]] for test in statement.tests]
        index = statement.statement.index
        regions = [
            Region((*literals, *self._conditions(chain.from_iterable(chosen), wide)), statement.services, index)
            for chosen in product(*choices)
        ]
        self._regions[id(statement), wide, callers] = regions
        return regions

    def _conditions(self, tests: Iterable[Test], wide: bool) -> Iterator[Literal]:
        for test in dict.fromkeys(tests):
            yield self.condition(test)
            if wide and self._open and has_open_values(*test):
                yield from (self.condition(other) for other in self._open if other != test and implies(test, other))

    def begin(self, statement: StatementForm, start: Box, callers: int, work: Work) -> Iterator[Box]:
        """Yield what a statement applies to of a box, with the variables of its resources."""
        for union, literals in self.divided(statement, callers):
            begun = start
            if union is not None:
                resources = start.get(RESOURCE, ANY_RESOURCE).introduce(union, work)
                if not resources:
                    continue
                begun = {**start, RESOURCE: resources}
            box = meet(begun, literals, self, work)
            if box is not None:
                yield box

    def divided(self, statement: StatementForm, callers: int) -> Iterator[tuple[TextUnion | None, tuple[Literal, ...]]]:
        """Yield what a statement requires, by the variables that its resources have: the resources, and the rest.

        Without variables the resources are None, and the rest is all it requires.
        """
        listed, regions = statement.resources, self.regions(statement, wide=True, callers=callers)
        if listed is None or listed.is_negated or not statement.has_variables:
            yield from ((None, region.literals) for region in regions)
            return
        for union in listed.union.by_variables:
            variables = [*map(_with_value, union.variables)]
            for region in regions:
                others = [literal for literal in region.literals if literal.dimension != RESOURCE]
                yield union, (*others, *variables)


_MAX_REGIONS = 64


def _with_value(variable: str) -> Literal:
    """Return what a variable requires of its key: one value, or none if it has a default (rules V-8, V-9, V-16)."""
    key, _, default = variable.partition(",")
    return Literal(KEY + key, KeyCondition(ABSENT if default else 0, Constant(True), None, False))


def _listed(texts: ListedTexts) -> TextTest:
    return TextTest(((texts.union, not texts.is_negated),))


def _resources(texts: ListedTexts, *, wide: bool) -> TextTest:
    """Read the entries so that the statement is not smaller (`wide`) or not larger than it is."""
    union = texts.union
    if texts.is_negated:
        return TextTest(((union, False),), is_wide=True) if wide else TextTest(((union.opened, False),))
    return TextTest(((union.opened if wide else union, True),))
