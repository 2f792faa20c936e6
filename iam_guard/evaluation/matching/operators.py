"""The table of condition operators, and how a row tests one value of the request (rules C-10 to C-28, V-3, V-5).

A row defines how to parse a request value, how to parse a policy value, how to test the former against all of the
latter at once, whether the result is negated, and whether wildcards and variables are supported. A new operator is a
new row.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from iam_guard.evaluation.matching.pattern import (
    ARN_FIELDS,
    Pattern,
    compile_any,
    compile_pattern,
    compile_texts,
    keep_in_fields,
    never,
    read_wildcards,
)
from iam_guard.evaluation.matching.variables import (
    FilledTest,
    Template,
    compile_filled,
    compile_template,
    has_variables,
    literal_parts,
    read_template,
    reads_keys,
)
from iam_guard.model.request import AccessRequest
from iam_guard.policy import value_parsing

Test: TypeAlias = Callable[[str], bool]
"""Return whether a value of the request meets the condition."""

TestFor: TypeAlias = Callable[[AccessRequest], Test]
"""Return the test with the variables filled from the request."""


AnyOf: TypeAlias = Callable[[Sequence[Any]], Callable[[Any], bool]]
"""Return the function that tests whether a value of the request meets one of the operands."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator.

    `value` and `operand` return None for an invalid text. The argument of `operand` is a text, or a pattern if
    `wildcards` is set.
    """

    name: str
    value: Callable[[str], Any]
    operand: Callable[[Any], Any]
    any_of: AnyOf
    negated: bool = False
    wildcards: bool = False
    variables: bool = False


# --- columns of the table ----------------------------------------------------------------------------------------


def _as_written(value: Any) -> Any:
    return value


def _arn(text: str) -> str | None:
    return text if text.count(":") >= ARN_FIELDS - 1 else None  # C-27


def _arn_pattern(pattern: Pattern) -> Pattern:
    return keep_in_fields(pattern, final_run_is_free=False)  # C-25; with too few fields it matches no ARN, C-27


def _equal(operands: Sequence[Hashable]) -> Callable[[Any], bool]:
    return frozenset(operands).__contains__


def _ordered(compare: Callable[[Any, Any], bool], loosest: Callable[[Sequence[Any]], Any]) -> AnyOf:
    def any_of(operands: Sequence[Any]) -> Callable[[Any], bool]:
        if not operands:
            return never
        bound = loosest(operands)  # C-14: any of them, so only the loosest counts
        return lambda value: compare(value, bound)

    return any_of


def _inside(operands: Sequence[tuple[int, int]]) -> Callable[[Any], bool]:
    networks: dict[int, set[int]] = {}
    for mask, network in operands:
        networks.setdefault(mask, set()).add(network)
    by_mask = tuple(networks.items())
    if len(by_mask) == 1:
        [(only_mask, only)] = by_mask
        return lambda address: address & only_mask in only

    def is_inside(address: int) -> bool:
        for mask, inside in by_mask:  # noqa: SIM110  a generator would double the cost
            if address & mask in inside:
                return True
        return False

    return is_inside


# --- the table ---------------------------------------------------------------------------------------------------

_BELOW = _ordered(operator.lt, max)
_AT_MOST = _ordered(operator.le, max)
_ABOVE = _ordered(operator.gt, min)
_AT_LEAST = _ordered(operator.ge, min)
_TEXT = (_as_written, _as_written, _equal)
_FOLDED = (value_parsing.folded, value_parsing.folded, _equal)
_GLOB = (_as_written, _as_written, compile_any)
_ARN = (_arn, _arn_pattern, compile_any)
_NUMBER = (value_parsing.number, value_parsing.number)
_DATE = (value_parsing.instant_in_request, value_parsing.instant)

_ROWS = (
    Operator("StringEquals", *_TEXT, variables=True),
    Operator("StringNotEquals", *_TEXT, variables=True, negated=True),
    Operator("StringEqualsIgnoreCase", *_FOLDED, variables=True),
    Operator("StringNotEqualsIgnoreCase", *_FOLDED, variables=True, negated=True),
    Operator("StringLike", *_GLOB, variables=True, wildcards=True),
    Operator("StringNotLike", *_GLOB, variables=True, wildcards=True, negated=True),
    Operator("NumericEquals", *_NUMBER, _equal),
    Operator("NumericNotEquals", *_NUMBER, _equal, negated=True),
    Operator("NumericLessThan", *_NUMBER, _BELOW),
    Operator("NumericLessThanEquals", *_NUMBER, _AT_MOST),
    Operator("NumericGreaterThan", *_NUMBER, _ABOVE),
    Operator("NumericGreaterThanEquals", *_NUMBER, _AT_LEAST),
    Operator("DateEquals", *_DATE, _equal),
    Operator("DateNotEquals", *_DATE, _equal, negated=True),
    Operator("DateLessThan", *_DATE, _BELOW),
    Operator("DateLessThanEquals", *_DATE, _AT_MOST),
    Operator("DateGreaterThan", *_DATE, _ABOVE),
    Operator("DateGreaterThanEquals", *_DATE, _AT_LEAST),
    Operator("Bool", value_parsing.boolean, value_parsing.boolean, _equal, variables=True),  # V-5
    Operator("BinaryEquals", value_parsing.octets, value_parsing.octets, _equal),
    Operator("IpAddress", value_parsing.address, value_parsing.block, _inside),
    Operator("NotIpAddress", value_parsing.address, value_parsing.block, _inside, negated=True),
    Operator("ArnEquals", *_ARN, variables=True, wildcards=True),
    Operator("ArnLike", *_ARN, variables=True, wildcards=True),  # C-26
    Operator("ArnNotEquals", *_ARN, variables=True, wildcards=True, negated=True),
    Operator("ArnNotLike", *_ARN, variables=True, wildcards=True, negated=True),
)

OPERATORS = {row.name: row for row in _ROWS}
"""Every base operator except `Null`, which compares nothing."""


# --- the engine --------------------------------------------------------------------------------------------------


class Operands(NamedTuple):
    """The compiled values of a condition. `fixed` is the test if it is the same for every request, else None."""

    test_for: TestFor
    fixed: Test | None = None


def fixed(test: Test) -> Operands:
    """Return operands that do not depend on the request."""
    return Operands(lambda _: test, test)


def compile_operands(row: Operator, written: Iterable[str], version: str) -> Operands:
    """Compile the values of a condition; without variables the test is the same for every request."""
    if not row.variables:
        return fixed(_test(row, list(written)))  # V-5
    texts = list(written)
    plain = [text for text in texts if not has_variables(text, version)]
    others = sorted([text for text in texts if has_variables(text, version)], key=reads_keys)
    fixed_test = _test_texts(row, plain) if row.wildcards else _test(row, plain)
    if not others:
        return fixed(fixed_test)
    if row.wildcards or row.value is _as_written:
        return Operands(_compare_text(row, fixed_test, others, version))
    templates = [read_template(text, version, has_wildcards=False) for text in others]
    return Operands(lambda request: _joined(row, fixed_test, _test(row, _fill(templates, request))))


def _compare_text(row: Operator, fixed_test: Test, texts: Sequence[str], version: str) -> TestFor:
    """Test texts without parsing values, so that nothing is compiled per request."""
    read = _arn_pattern if row.operand is _arn_pattern else None

    def compile_one(text: str) -> FilledTest:
        template = read_template(text, version, has_wildcards=row.wildcards)
        pattern = template.pattern
        if pattern is None:
            return compile_template(template, read)
        is_match = compile_pattern(read(pattern) if read else pattern)
        return lambda _, value: is_match(value)

    passes = compile_filled(texts, compile_one, partial(literal_parts, has_wildcards=row.wildcards))

    def test_for(request: AccessRequest) -> Test:
        return _joined(row, fixed_test, _read(row, lambda value: passes(request, value)))

    return test_for


def _fill(templates: Sequence[Template], request: AccessRequest) -> list[str]:
    patterns = [template.fill(request) for template in templates]
    return ["".join(map(str, pattern)) for pattern in patterns if pattern is not None]  # V-9, V-11


def _joined(row: Operator, one: Test, other: Test) -> Test:
    if row.negated:
        return lambda value: one(value) and other(value)  # C-2
    return lambda value: one(value) or other(value)  # C-1


def _test_texts(row: Operator, written: Sequence[str]) -> Test:
    """Test for an operator with wildcards."""
    return _read(row, compile_texts(written, lambda text: row.operand(read_wildcards(text))))


def _test(row: Operator, written: Sequence[str]) -> Test:
    operands = [row.operand(text) for text in written]
    readable = [operand for operand in operands if operand is not None]
    if row.negated and len(readable) < len(operands):
        return never  # C-13, C-17, N-10
    return _read(row, row.any_of(readable))


def _read(row: Operator, meets: Callable[[Any], bool]) -> Test:
    """Return the test of a text from the test of its parsed value; an invalid text fails (rules C-13, C-27)."""
    read_value = row.value
    if read_value is _as_written:
        return (lambda value: not meets(value)) if row.negated else meets
    if row.negated:

        def differs(text: str) -> bool:
            value = read_value(text)
            return value is not None and not meets(value)

        return differs

    def agrees(text: str) -> bool:
        value = read_value(text)
        return value is not None and meets(value)

    return agrees
