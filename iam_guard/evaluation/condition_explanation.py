"""Explain one condition: whether it is met, the values of policy and request, and whether the key is missing.

Whether it is met is the result of the compiled condition; single values are tested with the same functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from iam_guard.evaluation.explanation import Element, ExplainedEntry, FilledVariable, either
from iam_guard.evaluation.matching.condition import Condition, compile_condition
from iam_guard.evaluation.matching.operators import OPERATORS, compile_operands
from iam_guard.evaluation.matching.variables import Template, read_template
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import ConditionTest
from iam_guard.policy.grammar import OperatorName, quoted, split_operator
from iam_guard.policy.value_parsing import boolean

RELATIONS = {
    "StringEquals": "=",
    "StringNotEquals": "other than",
    "StringEqualsIgnoreCase": "= (in any letter case)",
    "StringNotEqualsIgnoreCase": "other than (in any letter case)",
    "StringLike": "like",
    "StringNotLike": "not like",
    "NumericEquals": "=",
    "NumericNotEquals": "other than",
    "NumericLessThan": "<",
    "NumericLessThanEquals": "<=",
    "NumericGreaterThan": ">",
    "NumericGreaterThanEquals": ">=",
    "DateEquals": "=",
    "DateNotEquals": "other than",
    "DateLessThan": "before",
    "DateLessThanEquals": "not after",
    "DateGreaterThan": "after",
    "DateGreaterThanEquals": "not before",
    "Bool": "=",
    "BinaryEquals": "=",
    "IpAddress": "in",
    "NotIpAddress": "outside of",
    "ArnEquals": "like",
    "ArnLike": "like",
    "ArnNotEquals": "not like",
    "ArnNotLike": "not like",
}
"""The relation between the request's value and the policy's, for every base operator except `Null`."""

_MAX_LISTED = 20
_UNMEETABLE = "no request meets this condition"


def explain_condition(test: ConditionTest, condition: Condition, request: AccessRequest, version: str) -> Element:
    """Explain one condition; errors of its evaluation are raised."""
    name = split_operator(test.operator)
    value = request.value(test.key.lower())
    members = value if isinstance(value, tuple) else () if value is None else (value,)
    is_unknown = request.is_unknown(test.key.lower())
    is_met = condition(request)
    explained = Element(
        "Condition",
        is_met,
        tuple(_entry(test, name, value, request, version) for value in test.values),
        members,
        operator=test.operator,
        key=test.key,
        missing=not members and not is_unknown,  # N-10: an empty list is an absent key
        unknown=is_unknown,
        note=_note(test, name, members, is_met, request, version),
    )
    return explained if is_met else replace(explained, change=_change(test, name, members))


def _entry(test: ConditionTest, name: OperatorName, value: str, request: AccessRequest, version: str) -> ExplainedEntry:
    condition = compile_condition(replace(test, values=(value,)), version)
    return ExplainedEntry(value, condition(request), _filled(name, value, request, version))


def _filled(name: OperatorName, value: str, request: AccessRequest, version: str) -> tuple[FilledVariable, ...]:
    if name.base == "Null" or not OPERATORS[name.base].variables:
        return ()
    return fill_variables(read_template(value, version), request)


def fill_variables(template: Template, request: AccessRequest) -> tuple[FilledVariable, ...]:
    """Return the variables of a template with the request's values."""
    return tuple(
        FilledVariable(f"${{{variable.key}}}", variable.value(request), request.is_unknown(variable.key))
        for variable in template.variables
    )


# --- what the request has ----------------------------------------------------------------------------------------


def _note(
    test: ConditionTest,
    name: OperatorName,
    members: tuple[str, ...],
    is_met: bool,
    request: AccessRequest,
    version: str,
) -> str:
    if not members:
        state = "the key is missing from the request"
        if request.is_unknown(test.key.lower()):
            state = "the value was not recorded, and counts as missing"
        return state + (", which meets the condition" if is_met else "")
    has = f"the request has {_all(members)}"
    if name.base == "Null" or is_met:
        return has
    if name.prefix is None and len(members) > 1:
        return f"{has}, and the operator takes one value; it would need ForAnyValue or ForAllValues"  # C-7
    if name.prefix == "ForAllValues" and test.values:
        meets = compile_operands(OPERATORS[name.base], test.values, version).test_for(request)
        return f"{has}; it is not met by {_all([member for member in members if not meets(member)])}"
    if name.prefix == "ForAnyValue" and not any(members):
        return f"{has}, which counts as no value"  # C-37
    return has


def _all(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _MAX_LISTED} more" if len(texts) > _MAX_LISTED else ""
    return ", ".join(map(quoted, texts[:_MAX_LISTED])) + more


# --- what would have to change -----------------------------------------------------------------------------------


def _change(test: ConditionTest, name: OperatorName, members: tuple[str, ...]) -> str:
    """Return the change that would make the condition met."""
    key = quoted(test.key)
    if name.base == "Null":
        return _presence(name, key, test.values)
    if not test.values:
        return f"the request would need to have no {key}" if _is_met_when_absent(name) else _UNMEETABLE  # C-42
    change = _required_value(test, name, key, members)
    return f"{change}, or no {key} at all" if _is_met_when_absent(name) else change


def _required_value(test: ConditionTest, name: OperatorName, key: str, members: tuple[str, ...]) -> str:
    """Return which value would meet the condition."""
    unreadable = _unreadable(name, test.values)
    if unreadable:
        return f"the policy's value {either(unreadable)} would have to be one that {name.base} can read"
    relation = f"{key} {RELATIONS[name.base]} {either(test.values)}"
    match name.prefix:
        case "ForAllValues":
            return f"the request would need every value of {relation}"
        case "ForAnyValue":
            return f"the request would need some value of {relation}"
        case _ if len(members) > 1:
            return f"the request would need a single value of {relation}"
        case _:
            return f"the request would need {relation}"


def _presence(name: OperatorName, key: str, values: tuple[str, ...]) -> str:
    is_null = {boolean(value) for value in values} - {None}
    if name.prefix or not is_null:
        return _UNMEETABLE  # C-34
    return f"the request would need {key}" if is_null == {False} else f"the request would need to have no {key}"


def _is_met_when_absent(name: OperatorName) -> bool:
    """Return whether an absent key meets the condition (rules C-5, C-30, C-36, C-37)."""
    if name.prefix == "ForAllValues" or name.if_exists:
        return True
    return name.prefix is None and OPERATORS[name.base].negated


def _unreadable(name: OperatorName, values: tuple[str, ...]) -> list[str]:
    """Return the invalid policy values that prevent any value from meeting the condition (rules C-13, C-17, N-10)."""
    row = OPERATORS[name.base]
    if row.variables:
        return []
    invalid = [value for value in values if row.operand(value) is None]
    return invalid if row.negated or len(invalid) == len(values) else []
