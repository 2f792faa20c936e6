"""Conditions as tests of a set of values: `KeyCondition`s for a key, or a condition that is true or false by itself.

Operators with wildcards test languages, all others points. If one key has both, or a value has a variable, the
condition is `opaque`: it may be true or false whatever the others are. That only adds requests, so what a check proves
remains true; a request that it finds is confirmed by the evaluator.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from iam_guard.analysis.checks.key_sets import (
    ABSENT,
    EMPTIES,
    EMPTY,
    Constant,
    KeyCondition,
    KeySet,
    PointTest,
    TextTest,
    ValueTest,
    every_value,
)
from iam_guard.analysis.checks.pattern_search import literal_of
from iam_guard.analysis.checks.statement_forms import Test, has_open_values, template_pattern
from iam_guard.analysis.checks.text_sets import TextUnion
from iam_guard.analysis.checks.value_points import every_case, representatives, value_kind
from iam_guard.evaluation.matching import operators
from iam_guard.evaluation.matching.condition import compile_condition
from iam_guard.evaluation.matching.condition_keys import row_of
from iam_guard.evaluation.matching.operators import OPERATORS, compile_operands
from iam_guard.evaluation.matching.pattern import ARN_FIELDS, Pattern, Wildcard, keep_in_fields
from iam_guard.evaluation.matching.variables import (
    Variable,
    has_variables,
    read_template,
    reads_keys,
    substitute_variables,
    variable_keys,
)
from iam_guard.model.context import Value
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import ConditionTest
from iam_guard.policy.grammar import OperatorName, split_operator
from iam_guard.policy.value_parsing import boolean

_CALLER = Principal.anonymous()
_KEY = "example:key"
"""The key that conditions are queried with: one that no caller supplies."""
_LANGUAGES = ("StringEquals", "StringNotEquals", "StringLike", "StringNotLike")
_QUANTIFIERS = {"ForAllValues": "all", "ForAnyValue": "any"}
_SIX_FIELDS = TextUnion([(Wildcard.RUN, *(":", Wildcard.RUN) * (ARN_FIELDS - 1))])
"""What ARN operators can compare (rule C-27)."""


class KeyForm(NamedTuple):
    """All conditions of one key: the set of its values, and the form of each condition that is not opaque.

    `hints` are values that opaque conditions may distinguish.
    """

    every: KeySet
    points: tuple[str, ...] | None
    conditions: dict[Test, KeyCondition]
    hints: tuple[str, ...] = ()


@lru_cache(maxsize=8192)
def key_form(key: str, tests: frozenset[Test]) -> KeyForm:
    """Return the form of a key (lower case) with all its conditions in the documents of a check."""
    clear = sorted((test for test in tests if not has_open_values(*test)), key=_order)
    kinds = {_kind(test) for test in clear}
    is_single = (row := row_of(key)) is not None and not row.multivalued
    if "typed" in kinds and "wild" not in kinds:
        return _with_points(key, clear, is_single=is_single)
    typed = [test for test in clear if _kind(test) == "typed" and _in_every_case(test) is None]
    conditions = {test: _text_condition(test) for test in clear if test not in typed}
    hints = _with_points(key, typed, is_single=is_single).points or () if typed else ()
    return KeyForm(every_value(None, is_single=is_single), None, conditions, hints)


def _order(test: Test) -> tuple[str, ...]:
    condition, version = test
    return condition.operator, version, *condition.values


def alternatives(test: Test) -> list[list[Test]]:
    """Return what a condition with variables means: any of some lists of conditions, all of which are met.

    A list of values is divided into those without variables and each of those with, where the operator allows it. What
    the condition implies whatever the values of its variables are is added to it.
    """
    condition, version = test
    if not has_open_values(condition, version):
        return [[test]]
    name = split_operator(condition.operator)
    negated = OPERATORS[name.base].negated
    if name.prefix == ("ForAnyValue" if negated else "ForAllValues"):
        return [[test, *_implied(test, name)]]
    values = [replace(condition, values=(value,)) for value in dict.fromkeys(condition.values)]
    is_open = {single: has_open_values(single, version) for single in values}
    plain = tuple(value for single in values if not is_open[single] for value in single.values)
    parts: list[list[Test]] = [[(replace(condition, values=plain), version)]] if plain else []
    parts += [[(single, version), *_implied((single, version), name)] for single in values if is_open[single]]
    return [[single for part in parts for single in part]] if negated else parts


def _implied(test: Test, name: OperatorName) -> Iterator[Test]:
    """Yield conditions without variables that a condition implies."""
    condition, version = test
    base = name.base
    if OPERATORS[base].negated:
        plain = tuple(value for value in condition.values if not (has_variables(value, version) and reads_keys(value)))
        if plain:
            yield replace(condition, values=plain), version
        if name.prefix is None:
            yield replace(condition, operator="StringLikeIfExists", values=("*",)), version  # one value, or none
        elif name.prefix == "ForAnyValue":
            yield replace(condition, operator=str(replace(name, base="StringLike")), values=("*",)), version
    elif base == "Bool":
        yield replace(condition, values=("true", "false")), version
    else:
        widened = _WIDENED.get(base)
        if base.startswith("Arn") and not all(map(_varies_in_last_field, condition.values)):
            widened = "StringLike"  # a variable has colons, which a wildcard in a field has not (C-25)
        values = ("*",) if widened is None else tuple(_opened(value, version, base) for value in condition.values)
        yield replace(condition, operator=str(replace(name, base=widened or "StringLike")), values=values), version
    if len(condition.values) == 1 and not OPERATORS[base].negated and name.prefix is None and not name.if_exists:
        for piece in read_template(condition.values[0], version, has_wildcards=False).variables:
            if isinstance(piece, Variable) and piece.default is None:
                yield ConditionTest("Null", piece.key, ("false",)), version  # V-9


def _varies_in_last_field(value: str) -> bool:
    return value.partition("${")[0].count(":") >= ARN_FIELDS - 1 or "${" not in value


def _opened(value: str, version: str, operator: str) -> str:
    """Return a value with wildcards in place of its variables, for an operator with wildcards."""
    text = "*" if "''" in value else "?*"  # V-16: only a default can be empty
    values = {key.lower(): text for key in variable_keys(value, version)}
    if not OPERATORS[operator].wildcards:
        value = _SPECIAL.sub(lambda found: found[0] if found[0].startswith("${") else f"${{{found[0]}}}", value)
    return substitute_variables(value, version, values, text)


def implies(narrow: Test, wide: Test) -> bool:
    """Return whether a condition implies another one of the same key, by their values as written."""
    (one, version), (other, other_version) = narrow, wide
    if version != other_version or one.key.lower() != other.key.lower():
        return False
    name, other_name = split_operator(one.operator), split_operator(other.operator)
    values, others = set(one.values), set(other.values)
    if not values or name.base != other_name.base:
        return False
    if OPERATORS[name.base].negated:
        return name == other_name and others <= values
    if name.prefix is None and not name.if_exists:
        has_text = other_name.prefix != "ForAnyValue" or not any("''" in value for value in values)
        return values <= others and has_text
    return name == other_name and values <= others


_WIDENED = {"StringEquals": "StringLike", "StringLike": "StringLike", "ArnEquals": "ArnLike", "ArnLike": "ArnLike"}
_SPECIAL = re.compile(r"\$\{[^}]*\}|[*?]")


def _kind(test: Test) -> str:
    """Return `wild` for an operator that needs languages, `typed` for one that needs points, `plain` for others."""
    condition, version = test
    name = split_operator(condition.operator)
    if name.base == "Null" or not condition.values:
        return "plain"
    if name.base not in _LANGUAGES:
        return "wild" if _is_arn(name) else "typed"
    if "Like" not in name.base:
        return "plain"
    patterns = [_pattern(value, version, True) for value in condition.values]
    is_plain = all(pattern in _LENGTHS or literal_of(pattern) is not None for pattern in patterns)
    return "plain" if is_plain else "wild"


_LENGTHS = ((Wildcard.RUN,), (Wildcard.ONE, Wildcard.RUN))
"""The patterns of all texts, and of all that are not empty."""


def _is_arn(name: OperatorName) -> bool:
    return name.base.startswith("Arn")


@lru_cache(maxsize=65_536)
def _pattern(value: str, version: str, has_wildcards: bool) -> Pattern:
    return template_pattern(read_template(value, version, has_wildcards=has_wildcards)) or ()


def _with_points(key: str, tests: Iterable[Test], *, is_single: bool) -> KeyForm:
    passing: dict[Test, operators.Test] = {}
    values = []
    for test in tests:
        condition, version = test
        name = split_operator(condition.operator)
        if name.base == "Null" or not condition.values:
            continue
        values += [(name.base, value) for value in condition.values]
        if value_kind(name.base) == "text":
            values += [(name.base, "".join(map(str, _pattern(value, version, False)))) for value in condition.values]
        passing[test] = compile_operands(OPERATORS[name.base], condition.values, version).test_for(_request(None))
    points = representatives(values, list(passing.values()))
    conditions = {}
    for test in tests:
        mask = sum(1 << index for index, point in enumerate(points) if passing[test](point)) if test in passing else 0
        conditions[test] = _condition(test, PointTest(mask) if test in passing else None)
    return KeyForm(every_value(len(points), is_single=is_single), points, conditions)


def _in_every_case(test: Test) -> list[Pattern] | None:
    """Return all texts that a condition that ignores case compares equal; None for other operators, or too many."""
    condition, version = test
    base = split_operator(condition.operator).base
    if base != "Bool" and not base.endswith("IgnoreCase"):
        return None
    values = ["".join(map(str, _pattern(value, version, False))) for value in condition.values]
    if base == "Bool":
        values = [value for value in values if boolean(value) is not None]
    listed = [every_case(value) for value in values]
    if any(texts is None for texts in listed):
        return None
    texts = [text for texts in listed for text in texts or ()]
    return [(text,) if text else () for text in texts if base != "Bool" or boolean(text) is not None]


def _text_condition(test: Test) -> KeyCondition:
    condition, version = test
    name = split_operator(condition.operator)
    if name.base == "Null" or not condition.values:
        return _condition(test, None)
    negated = OPERATORS[name.base].negated
    has_wildcards = OPERATORS[name.base].wildcards
    in_every_case = _in_every_case(test)
    patterns = [_pattern(value, version, has_wildcards) for value in condition.values]
    if in_every_case is not None:
        patterns = in_every_case
    if _is_arn(name):
        arns = [keep_in_fields(pattern, final_run_is_free=False) for pattern in patterns]  # C-25
        union = TextUnion(pattern for pattern in arns if _colons(pattern) >= ARN_FIELDS - 1)  # C-27
        return _condition(test, TextTest(((_SIX_FIELDS, True), (union, False)) if negated else ((union, True),)))
    return _condition(test, TextTest(((TextUnion(patterns), not negated),)))


def _colons(pattern: Pattern) -> int:
    return sum(piece.count(":") for piece in pattern if isinstance(piece, str))


def _condition(test: Test, value_test: ValueTest | None) -> KeyCondition:
    """Return the form of a condition; `value_test` is None if all texts are alike: `Null`, an empty list."""
    condition, version = test
    name, values = split_operator(condition.operator), condition.values
    if name.base in _LANGUAGES and values and all(value.strip("*") and "${" not in value for value in values):
        values = ("x",)  # the result depends on whether a value matches the empty string
    forms, one_passes, many_pass = _met_forms(condition.operator, values, version)
    if value_test is None:
        return KeyCondition(forms, Constant(one_passes), _quantifier(name), many_pass)
    return KeyCondition(forms, value_test, _quantifier(name), False)


@lru_cache(maxsize=8192)
def _met_forms(operator: str, values: tuple[str, ...], version: str) -> tuple[int, bool, bool]:
    """Return which forms without content meet a condition, and whether one text and two texts do."""
    is_met = compile_condition(ConditionTest(operator, _KEY, values), version)
    forms = (
        (ABSENT if is_met(_request(None)) else 0)
        | (EMPTY if is_met(_request("")) else 0)
        | (EMPTIES if is_met(_request(("", ""))) else 0)
    )
    return forms, is_met(_request("example")), is_met(_request(("example", "example2")))


def _quantifier(name: OperatorName) -> str | None:
    return _QUANTIFIERS.get(name.prefix or "") if name.base != "Null" else None


def _request(value: Value | None) -> AccessRequest:
    return AccessRequest(_CALLER, "example:Action", "*", {} if value is None else {_KEY: value})
