"""Sets of values of one condition key, and the test that one condition is.

A value is absent, only empty strings, one text, or many values. What a condition requires of each form is queried from
the evaluator's own compiled condition (rules C-5, C-7, C-30 to C-42). The languages of texts are `TextSet`s for
operators with wildcards, and bits of points (`value_points`) for the others.

Many values: `ForAllValues` restricts what members there are, `ForAnyValue` requires one more member; the negation of
each has the form of the other. Such a conjunction can be met if each required member can, separately.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias

from iam_guard.analysis.checks.limits import Work
from iam_guard.analysis.checks.text_sets import NO_TEXT, Language, TextSet, TextUnion
from iam_guard.evaluation.matching.pattern import Wildcard

ValueSet: TypeAlias = TextSet | int
"""Texts, or bits of points. Empty if false."""

ABSENT, EMPTY, EMPTIES = 1, 2, 4
"""The forms of a value without content: absent, the empty string, several empty strings."""


class ValueTest(Protocol):
    """The test of one text."""

    def inside(self, values: ValueSet, work: Work) -> ValueSet:
        """Return the values that pass."""

    def outside(self, values: ValueSet, work: Work) -> ValueSet:
        """Return the values that fail."""


class Constant(NamedTuple):
    """The test that all values pass, or none."""

    passes: bool

    def inside(self, values: ValueSet, work: Work) -> ValueSet:
        return values if self.passes else _none_of(values)

    def outside(self, values: ValueSet, work: Work) -> ValueSet:
        return _none_of(values) if self.passes else values


def _none_of(values: ValueSet) -> ValueSet:
    return NO_TEXT if isinstance(values, TextSet) else 0


class PointTest(NamedTuple):
    """The test that some points pass."""

    mask: int

    def inside(self, values: ValueSet, work: Work) -> ValueSet:
        return values & self.mask if isinstance(values, int) else NO_TEXT

    def outside(self, values: ValueSet, work: Work) -> ValueSet:
        return values & ~self.mask if isinstance(values, int) else NO_TEXT


class TextTest(NamedTuple):
    """The test that a text is in some unions and not in others: (union, whether it must be in it).

    A text with variables passes only if it does whatever their values are, or by the same variable in the union. With
    `is_wide` it passes if it does for certain values; that is for a required test whose complement is not needed.
    """

    parts: tuple[tuple[TextUnion, bool], ...]
    is_wide: bool = False

    def inside(self, values: ValueSet, work: Work) -> ValueSet:
        if isinstance(values, int):
            return 0
        for union, is_in in self.parts:
            if is_in:
                values = values.meet(union, work)
            else:
                values = values.minus(union, work) if self.is_wide else values.surely_not_in(union, work)
        return values

    def outside(self, values: ValueSet, work: Work) -> ValueSet:
        if isinstance(values, int):
            return 0
        failed = NO_TEXT
        for union, is_in in self.parts:
            failed = failed.join(values.minus(union, work) if is_in else values.perhaps_in(union, work))
            values = values.meet(union, work) if is_in else values.surely_not_in(union, work)
        return failed


class Many(NamedTuple):
    """Several values, not only empty ones: all are of `members`, and one is of each of `required`."""

    members: ValueSet
    required: tuple[ValueSet, ...]

    def restricted(self, members: ValueSet, required: tuple[ValueSet, ...]) -> Many | None:
        return Many(members, required) if members and all(required) else None


class KeySet(NamedTuple):
    """The values that a key may have: forms without content (bits), one text, or many."""

    forms: int
    one: ValueSet
    many: Many | None

    def __bool__(self) -> bool:
        return bool(self.forms or self.one or self.many)


class KeyCondition(NamedTuple):
    """One condition: the forms that meet it, the test of one text, and how many values are tested.

    `quantifier` is `all` or `any`; None if many values never meet the condition, or always (`many_pass`).
    """

    forms: int
    test: ValueTest
    quantifier: str | None = None
    many_pass: bool = False

    def inside(self, values: KeySet, work: Work) -> KeySet:
        """Return the values that meet the condition."""
        many = values.many
        if many is not None:
            match self.quantifier:
                case "all":
                    members = self.test.inside(many.members, work)
                    many = many.restricted(members, tuple(self.test.inside(texts, work) for texts in many.required))
                case "any":
                    many = many.restricted(many.members, (*many.required, self.test.inside(many.members, work)))
                case _:
                    many = many if self.many_pass else None
        return KeySet(values.forms & self.forms, self.test.inside(values.one, work), many)

    def outside(self, values: KeySet, work: Work) -> KeySet:
        """Return the values that do not meet the condition."""
        many = values.many
        if many is not None:
            match self.quantifier:
                case "all":
                    many = many.restricted(many.members, (*many.required, self.test.outside(many.members, work)))
                case "any":
                    members = self.test.outside(many.members, work)
                    many = many.restricted(members, tuple(self.test.outside(texts, work) for texts in many.required))
                case _:
                    many = None if self.many_pass else many
        return KeySet(values.forms & ~self.forms, self.test.outside(values.one, work), many)


_ANY = Language((Wildcard.RUN,))
_NOT_EMPTY = Language((Wildcard.ONE, Wildcard.RUN))
ANY_TEXT = TextSet(frozenset(), (_ANY,))
SOME_TEXT = TextSet(frozenset(), (_NOT_EMPTY,))


def every_value(points: int | None, *, is_single: bool) -> KeySet:
    """Return all values of a key; `points` is their number if it has points, of which the first is empty."""
    members: ValueSet = ANY_TEXT if points is None else (1 << points) - 1
    one: ValueSet = SOME_TEXT if points is None else (1 << points) - 2
    if is_single:
        return KeySet(ABSENT | EMPTY, one, None)
    return KeySet(ABSENT | EMPTY | EMPTIES, one, Many(members, (one,)))
