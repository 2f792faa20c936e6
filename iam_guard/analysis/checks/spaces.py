"""The space of requests of one check: its dimensions, and the regions of the statements of its documents.

A statement with variables has two regions. What must not be larger than the statement is `narrow`: the statements that
take requests away from a difference. What must not be smaller is `wide`. Both are the same without variables.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from iam_guard.analysis.checks.boxes import ACTION, BOTH, CALLER, KEY, OPAQUE, RESOURCE, Box, Literal, Region, meet
from iam_guard.analysis.checks.condition_forms import KeyForm, key_form
from iam_guard.analysis.checks.key_sets import PointTest, TextTest
from iam_guard.analysis.checks.limits import Work
from iam_guard.analysis.checks.statement_forms import (
    ANY_ACTION,
    ANY_RESOURCE,
    DocumentForm,
    ListedTexts,
    StatementForm,
    Test,
    without_variables,
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
        self._documents = tuple(documents)
        self._more: dict[str, set[Test]] = {}
        for test in more:
            self._more.setdefault(test[0].key.lower(), set()).add(test)
        self._keys: dict[str, KeyForm] = {}
        self._whole: dict[str, Any] = {
            ACTION: ANY_ACTION if actions is None else TextSet(actions, ()),
            RESOURCE: ANY_RESOURCE,
            CALLER: (1 << callers) - 1,
        }
        self._regions: dict[tuple[int, bool, int], Region] = {}

    def key(self, key: str) -> KeyForm:
        """Return the form of a key in lower case."""
        form = self._keys.get(key)
        if form is None:
            tests = {test for document in self._documents for test in document.tests.get(key, ())}
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

    def region(self, statement: StatementForm, *, wide: bool, callers: int = -1) -> Region:
        """Return the region of a statement; `callers` are those it names, as bits."""
        known = self._regions.get((id(statement), wide, callers))
        if known is not None:
            return known
        literals = [Literal(ACTION, _listed(statement.actions))]
        if callers != -1:
            literals.append(Literal(CALLER, PointTest(callers)))
        if statement.resources is not None:
            literals.append(Literal(RESOURCE, _listed(_read(statement.resources, wide=wide))))
        literals += map(self.condition, statement.tests)
        region = Region(tuple(literals), statement.services, statement.statement.index)
        self._regions[id(statement), wide, callers] = region
        return region

    def begin(self, statement: StatementForm, start: Box, callers: int, work: Work) -> Box | None:
        """Return what a statement applies to of a box, with the variables of its resources; None if nothing."""
        region = self.region(statement, wide=True, callers=callers)
        listed = statement.resources
        if listed is None or listed.is_negated or listed.union.opened is listed.union:
            return meet(start, region.literals, self, work)
        resources = start.get(RESOURCE, ANY_RESOURCE).introduce(listed.union, work)
        others = [literal for literal in region.literals if literal.dimension != RESOURCE]
        return meet({**start, RESOURCE: resources}, others, self, work) if resources else None


def _listed(texts: ListedTexts) -> TextTest:
    return TextTest(((texts.union, not texts.is_negated),))


def _read(texts: ListedTexts, *, wide: bool) -> ListedTexts:
    """Return the entries so that the statement is not smaller (`wide`) or not larger than it is."""
    union: TextUnion = texts.union
    if union.opened is union:
        return texts
    if texts.is_negated:
        return ListedTexts(without_variables(union) if wide else union.opened, True)
    return ListedTexts(union.opened if wide else union, False)
