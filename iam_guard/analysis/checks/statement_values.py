"""The values that a statement lists, and whether one of them may be redundant: a cheap test before the proof."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from iam_guard.analysis.checks.boxes import ACTION, RESOURCE, Box
from iam_guard.analysis.checks.limits import Work
from iam_guard.analysis.checks.pattern_search import includes
from iam_guard.analysis.checks.statement_forms import ListedTexts, StatementForm, action_union, resource_union
from iam_guard.analysis.checks.text_sets import Language, TextUnion
from iam_guard.evaluation.matching.operators import OPERATORS
from iam_guard.evaluation.matching.pattern import Pattern, is_literal
from iam_guard.policy.document import ConditionTest, Statement
from iam_guard.policy.grammar import split_operator

_ELEMENTS = {
    "actions": "Action",
    "not_actions": "NotAction",
    "resources": "Resource",
    "not_resources": "NotResource",
    "principals": "Principal",
    "not_principals": "NotPrincipal",
}
_EXACT = ("StringEquals", "StringNotEquals")


@dataclass(frozen=True, slots=True)
class ListedValue:
    """A list of values of a statement. `is_negated` is whether a shorter list makes the statement wider.

    `field` is that of the statement; `condition` is the index of a condition, whose values these are. `repeated` are
    the actions (in lower case) or resources that are listed more than once; `others` is the number of principals of
    other kinds.
    """

    path: tuple[str, ...]
    values: tuple[str, ...]
    is_negated: bool
    field: str
    condition: int | None = None
    repeated: frozenset[str] = frozenset()
    others: int = 0

    @property
    def is_union(self) -> bool:
        """Whether the statement applies to what it does with each of the values alone."""
        return not self.is_negated and not (self.condition is not None and self.path[1].startswith("ForAllValues"))

    def without(self, statement: Statement, place: int) -> Statement:
        """Return the statement without one of the values."""
        return self._with(statement, _without(self.values, place), is_only=False)

    def only(self, statement: Statement, place: int) -> Statement:
        """Return the statement with one of the values only."""
        return self._with(statement, (self.values[place],), is_only=True)

    def _with(self, statement: Statement, values: tuple[str, ...], *, is_only: bool) -> Statement:
        if self.condition is not None:
            tests = [*statement.conditions]
            tests[self.condition] = replace(tests[self.condition], values=values)
            return replace(statement, conditions=tuple(tests))
        changed: dict[str, Any] = {self.field: values}
        if "principals" in self.field:
            kind = self.path[-1]
            others = [] if is_only else [entry for entry in getattr(statement, self.field) if entry[0] != kind]
            changed[self.field] = (*others, *((kind, value) for value in values))
        return replace(statement, **changed)


def _without(values: tuple[str, ...], place: int) -> tuple[str, ...]:
    return (*values[:place], *values[place + 1 :])


def listed_values(statement: Statement) -> Iterator[ListedValue]:
    """Yield the lists of values of a statement."""
    for field, element in _ELEMENTS.items():
        listed = getattr(statement, field)
        if not listed:
            continue
        if "principals" in field:
            for kind in dict.fromkeys(kind for kind, _ in listed):
                values = tuple(value for other, value in listed if other == kind)
                others = len(listed) - len(values)
                yield ListedValue((element, kind), values, field.startswith("not_"), field, others=others)
        else:
            folded = Counter(map(str.lower, listed) if field in _ACTIONS else listed)
            repeated = frozenset(value for value, count in folded.items() if count > 1)
            yield ListedValue((element,), listed, field.startswith("not_"), field, repeated=repeated)
    for index, test in enumerate(statement.conditions):
        row = OPERATORS.get(split_operator(test.operator).base)
        if row is not None:
            path = ("Condition", test.operator, test.key)
            yield ListedValue(path, test.values, row.negated, "conditions", index)


def may_be_redundant(form: StatementForm, listed: ListedValue, place: int, others: Iterable[StatementForm]) -> bool:
    """Return False if a value is not redundant for sure: neither its list nor another statement has what it matches.

    `others` are the other statements of the document.
    """
    value = listed.values[place]
    if value in listed.repeated or value.lower() in listed.repeated:
        return True
    near = [other for other in others if _share_services(form, other)]
    if listed.condition is not None:
        return bool(near) or not _is_distinct(form.statement.conditions[listed.condition])
    own, union = _unions(form, listed, value)
    if own is None or union is None:
        return True
    if union.everything or any(_beside(own, union)):
        return True
    if listed.field in _ACTIONS:
        return any(_may_overlap(union, other.actions) for other in near)
    return any(other.resources is None or _may_overlap(union, other.resources) for other in near)


def is_in_list(form: StatementForm, listed: ListedValue, place: int) -> bool:
    """Return whether one other pattern of the list matches all that a value matches; False in doubt."""
    own, union = _unions(form, listed, listed.values[place])
    if own is None or union is None or union.everything:
        return False
    if any(own.has_glob_for(word) is False for word in union.words):
        return False
    return all(any(includes(wide, pattern) for wide in _globs_beside(own, union, pattern)) for pattern in union.globs)


def needs_value(box: Box, form: StatementForm, listed: ListedValue, place: int) -> bool:
    """Return whether a box that only the statement allows has texts of one value of a list only; False in doubt."""
    dimension = {"actions": ACTION, "resources": RESOURCE}.get(listed.field)
    own, union = _unions(form, listed, listed.values[place])
    if dimension is None or own is None or union is None or union.everything or any(_beside(own, union)):
        return False
    if listed.values[place] in listed.repeated or listed.values[place].lower() in listed.repeated:
        return False
    return bool(box[dimension].meet(union, Work())) if dimension in box else True


_ACTIONS = ("actions", "not_actions")


def _unions(form: StatementForm, listed: ListedValue, value: str) -> tuple[TextUnion | None, TextUnion | None]:
    """Return the texts of an action or resource list, and of one of its values."""
    if listed.field in _ACTIONS:
        return form.actions.union, action_union([value])
    if listed.field in ("resources", "not_resources") and form.resources is not None:
        return form.resources.union, resource_union([value], form.version)
    return None, None


def _beside(own: TextUnion, union: TextUnion) -> Iterator[bool]:
    """Yield whether other patterns of the list may match what a value matches.

    Words are no part of a pattern, which matches more texts.
    """
    if own.everything:
        yield True
    yield from (own.has_glob_for(word) for word in union.words)
    yield from (bool(_globs_beside(own, union, pattern)) for pattern in union.globs)


def _globs_beside(own: TextUnion, union: TextUnion, pattern: Pattern) -> list[Pattern]:
    return [other for other in own.globs_near(Language(pattern)) if other not in union.globs]


def _share_services(one: StatementForm, other: StatementForm) -> bool:
    return one.services is None or other.services is None or not one.services.isdisjoint(other.services)


def _is_distinct(test: ConditionTest) -> bool:
    """Return whether no value matches what another one does."""
    name = split_operator(test.operator)
    is_exact = name.base in _EXACT or ("Like" in name.base and all(map(is_literal, test.values)))
    return is_exact and len(set(test.values)) == len(test.values) and not any("${" in value for value in test.values)


def _may_overlap(union: TextUnion, listed: ListedTexts) -> bool:
    other = listed.union
    if listed.is_negated or other.everything or any(map(other.matches, union.words)):
        return True
    opened = other.opened
    return any(opened.globs_near(Language(pattern)) for pattern in union.opened.globs)
