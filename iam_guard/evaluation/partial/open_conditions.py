"""The formula of one condition: its key or its variables are open, or everything is known (rules C-1 to C-43, V-9).

The rules are those of `matching.condition` and `matching.operators`, for values that each resource has: one per key.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from iam_guard.errors import NotFilterable
from iam_guard.evaluation.matching.operators import OPERATORS, Operator
from iam_guard.evaluation.matching.pattern import ARN_FIELDS, Piece, Wildcard, keep_in_fields
from iam_guard.evaluation.matching.variables import Template, TemplatePiece, Variable, read_template
from iam_guard.evaluation.partial.formula import (
    Compares,
    Formula,
    MatchesArn,
    OneOf,
    Open,
    Parses,
    Presence,
    Text,
    all_of,
    any_of,
    without,
)
from iam_guard.evaluation.partial.open_request import OpenRequest
from iam_guard.evaluation.partial.text_matching import match, text
from iam_guard.policy.document import ConditionTest
from iam_guard.policy.grammar import OperatorName, split_operator
from iam_guard.policy.value_parsing import boolean

_TEXTS: Final = frozenset({"StringEquals", "StringLike"})
_ARNS: Final = frozenset({"ArnEquals", "ArnLike"})
_WITHOUT_NEGATION: Final = {
    name: name.replace("Not", "", 1) if row.negated else name for name, row in OPERATORS.items()
}
_UNPARSED: Final = frozenset({"StringEquals", "StringLike", "StringEqualsIgnoreCase"})
"""Operators that compare every text."""


class Operand(NamedTuple):
    """A policy value with the known variables filled in.

    It counts only if the values `absent` are absent: then their variables have defaults.
    """

    pattern: Text
    absent: frozenset[str] = frozenset()


class OpenTest(NamedTuple):
    """The comparison of one value with the operands of a condition, without regard to absent values."""

    row: Operator
    operator: str
    operands: tuple[Operand, ...]
    is_unreadable: bool
    """Whether an operand of a negated operator cannot be parsed, so that no value passes (C-13, C-17, N-10)."""


def condition_formula(test: ConditionTest, version: str, request: OpenRequest, *, wanted: bool) -> Formula:
    """Return the formula of a condition that has an open key or an open variable. Raises `NotFilterable`."""
    name, key = split_operator(test.operator), test.key.lower()
    if name.base == "Null":
        return _null(name, key, test.values, wanted=wanted)
    row = OPERATORS[name.base]
    if not request.is_open(key):
        return _of_known_key(_open_test(row, test.values, version, request), name, request.value(key), wanted=wanted)
    if not test.values:
        is_met = row.negated and not name.prefix and not name.if_exists  # C-42
        return _of_open_key(key, name, row, is_met == wanted, wanted=wanted)
    return _of_tested_key(key, name, _open_test(row, test.values, version, request), wanted)


@lru_cache(maxsize=16_384)
def _of_tested_key(key: str, name: OperatorName, tested: OpenTest, wanted: bool) -> Formula:
    """Return the formula of a condition whose key is open. Raises `NotFilterable`."""
    row = tested.row
    if tested.is_unreadable:
        return _of_open_key(key, name, row, not wanted, wanted=wanted)
    result = _is_met(tested, Open(key), wanted=wanted != row.negated)
    if row.negated and tested.operator not in _UNPARSED:
        parses = Parses(key, tested.operator, wanted)
        result = all_of((parses, result)) if wanted else any_of((parses, result))
    return _of_open_key(key, name, row, result, wanted=wanted)


def _null(name: OperatorName, key: str, values: tuple[str, ...], *, wanted: bool) -> Formula:
    if name.prefix:
        return (name.prefix == "ForAllValues") == wanted  # C-34
    is_null = {boolean(value) for value in values}
    when_null, when_present = True in is_null, False in is_null
    if when_null == when_present:
        return when_null == wanted
    return Presence(key, when_present == wanted, or_blank=True)  # C-32, C-33


def _of_open_key(key: str, name: OperatorName, row: Operator, tested: Formula, *, wanted: bool) -> Formula:
    """Return the formula of a condition from that of a present value that passes its test, or if not wanted, fails."""
    present, absent = Presence(key, wanted=True), Presence(key, wanted=False)
    blank, filled = Presence(key, wanted=False, or_blank=True), Presence(key, wanted=True, or_blank=True)
    if name.prefix == "ForAllValues":
        return any_of((blank, tested)) if wanted else all_of((filled, tested))  # C-36, C-39
    if name.prefix == "ForAnyValue":
        if wanted:
            return any_of((absent if name.if_exists else False, all_of((filled, tested))))  # C-37, C-40
        failed = any_of((blank, tested))
        return all_of((present, failed)) if name.if_exists else any_of((absent, failed))
    may_be_absent = (name.if_exists or row.negated) == wanted  # C-5, C-30
    when_absent = without(tested, key)
    if may_be_absent:
        return tested if when_absent is True else any_of((absent, tested))
    return tested if when_absent is False else all_of((present, tested))


def _of_known_key(
    tested: OpenTest, name: OperatorName, value: str | tuple[str, ...] | None, *, wanted: bool
) -> Formula:
    """Return the formula of a condition whose key is known and whose values have open variables."""
    members = () if value is None else value if isinstance(value, tuple) else (value,)
    results = [_of_known_value(tested, member, wanted=wanted) for member in members]
    if name.prefix == "ForAllValues":
        if not any(members):
            return wanted
        return all_of(results) if wanted else any_of(results)
    if name.prefix == "ForAnyValue":
        if not members:
            return name.if_exists == wanted
        if not any(members):
            return not wanted
        return any_of(results) if wanted else all_of(results)
    if len(members) > 1:
        return not wanted  # C-7
    if not members:
        return (name.if_exists or tested.row.negated) == wanted
    return results[0]


def _of_known_value(tested: OpenTest, value: str, *, wanted: bool) -> Formula:
    row = tested.row
    if tested.operator in _ARNS and value.count(":") < ARN_FIELDS - 1:
        return not wanted  # C-27
    return _is_met(tested, value, wanted=wanted != row.negated)


# --- operands ----------------------------------------------------------------------------------------------------


def _open_test(row: Operator, values: tuple[str, ...], version: str, request: OpenRequest) -> OpenTest:
    operator = _WITHOUT_NEGATION[row.name]
    if operator not in _TEXTS | _ARNS:
        is_unreadable = row.negated and not row.variables and any(row.operand(value) is None for value in values)
        if row.variables and any(request.has_open_variable(value, version) for value in values):
            raise NotFilterable(f"`{row.name}` with a variable that each resource has its own value of")
        if row.variables:
            filled = [operand for value in values for operand in operands(value, version, request, wildcards=False)]
            return OpenTest(row, operator, tuple(filled), is_unreadable)
        return OpenTest(row, operator, tuple(Operand((value,)) for value in values), is_unreadable)
    found = [operand for value in values for operand in operands(value, version, request, wildcards=row.wildcards)]
    return OpenTest(row, operator, tuple(found), is_unreadable=False)


def operands(value: str, version: str, request: OpenRequest, *, wildcards: bool) -> Iterator[Operand]:
    """Yield the operands of a policy value: none if a variable has no value (rule V-9), more than one for defaults."""
    yield from filled_operands(_template(value, version, wildcards).pieces, request)


@lru_cache(maxsize=16_384)
def _template(value: str, version: str, wildcards: bool) -> Template:
    return read_template(value, version, has_wildcards=wildcards)


def filled_operands(pieces: tuple[TemplatePiece, ...], request: OpenRequest) -> Iterator[Operand]:
    """Yield the operands of a parsed policy value."""
    found: list[tuple[list[Piece | Open], frozenset[str]]] = [([], frozenset())]
    for piece in pieces:
        if isinstance(piece, (str, Wildcard)):
            found = [([*before, piece], absent) for before, absent in found]
        elif isinstance(piece, Variable) and request.is_open(piece.key):
            filled = [([*before, Open(piece.key)], absent) for before, absent in found]
            if piece.default is not None:  # V-8
                filled += [([*before, piece.default], absent | {piece.key}) for before, absent in found]
            found = filled
        else:
            known = request.variable(piece)
            if known is None:
                return
            found = [([*before, known], absent) for before, absent in found]
    for parts, absent in found:
        if not any(isinstance(part, Open) and part.name in absent for part in parts):
            yield Operand(text(parts), absent)


def _is_met(tested: OpenTest, subject: str | Open, *, wanted: bool) -> Formula:
    """Return the formula of a value that one operand matches, or none; an absent value is matched by none."""
    if tested.operator in _TEXTS | _ARNS:
        compare = _compare_arn if tested.operator in _ARNS else _compare_text
        results = [_guarded(operand, compare(operand.pattern, subject, wanted), wanted) for operand in tested.operands]
    elif isinstance(subject, Open):
        texts = tuple("".join(map(str, operand.pattern)) for operand in tested.operands)
        readable = tuple(value for value in texts if tested.row.operand(value) is not None)
        results = [Compares(subject.name, tested.operator, readable, wanted)] if readable else []
    else:
        raise RuntimeError("expected an open value")
    return any_of(results) if wanted else all_of(results)


def _guarded(operand: Operand, result: Formula, wanted: bool) -> Formula:
    if wanted:
        return all_of((*(Presence(name, wanted=False) for name in operand.absent), result))
    return any_of((*(Presence(name, wanted=True) for name in operand.absent), result))


def _compare_text(pattern: Text, subject: str | Open, wanted: bool) -> Formula:
    if isinstance(subject, Open) and all(isinstance(piece, str) for piece in pattern):
        return OneOf(subject.name, frozenset({"".join(map(str, pattern))}), wanted)
    return match((subject,) if subject else (), pattern, wanted)


def _compare_arn(pattern: Text, subject: str | Open, wanted: bool) -> Formula:
    kept = _kept_in_fields(pattern)
    if not isinstance(subject, Open):
        return match((subject,), kept, wanted)
    if all(isinstance(piece, str) for piece in kept):
        whole = "".join(map(str, kept))
        return OneOf(subject.name, frozenset({whole}), wanted) if whole.count(":") >= ARN_FIELDS - 1 else not wanted
    return MatchesArn(subject.name, kept, wanted)


@lru_cache(maxsize=4096)
def _kept_in_fields(pattern: Text) -> Text:
    """Restrict the wildcards of the first five fields (C-25). Raises `NotFilterable` for an open value in these."""
    before = 0
    for piece in pattern:
        if isinstance(piece, Open) and before < ARN_FIELDS - 1:
            raise NotFilterable(
                "a variable that each resource has its own value of, in the first five fields of an ARN"
            )
        before += piece.count(":") if isinstance(piece, str) else 0
    sixth = next((place for place, piece in enumerate(pattern) if isinstance(piece, Open)), len(pattern))
    early = keep_in_fields(
        tuple(piece for piece in pattern[:sixth] if not isinstance(piece, Open)), final_run_is_free=False
    )
    return (*early, *pattern[sixth:])
