"""How faults may be fixed: for each code with a mechanical fix, the edits to try, the best first.

Nothing here is verified, so a candidate may be wrong: `fixes` offers only those that pass its tests.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_interface
from types import MappingProxyType
from typing import TypeAlias

from iam_guard.analysis.lint.edits import Edit, insert_first, remove, rename, replace_value
from iam_guard.analysis.reference.reference_index import ReferenceIndex
from iam_guard.model.reference import KeyType
from iam_guard.policy.document import LATEST, Effect
from iam_guard.policy.fault import Fault
from iam_guard.policy.grammar import DOCUMENT_ELEMENTS, IF_EXISTS, PRINCIPAL_KEYS, STATEMENT_ELEMENTS
from iam_guard.policy.json_tree import JsonText, Number, Path, Value
from iam_guard.policy.value_parsing import number

_SUGGESTED = re.compile(r"did you mean `([^`]+)`\?$")
_NAMES = {name.lower(): name for name in (*DOCUMENT_ELEMENTS, *STATEMENT_ELEMENTS, *PRINCIPAL_KEYS)}
_EFFECTS = {effect.lower(): effect.value for effect in Effect}
_MAX_SIDS = 10_000


@dataclass(frozen=True, slots=True)
class Faulty:
    """A fault and the policy that has it."""

    fault: Fault
    tree: JsonText
    references: ReferenceIndex

    @property
    def path(self) -> Path:
        return self.tree.existing(self.fault.path)

    @property
    def value(self) -> Value:
        return self.tree.find(self.path)

    @property
    def is_listed(self) -> bool:
        """Whether the fault is in an element of a list that has others."""
        around = self.tree.find(self.path[:-1]) if self.path else None
        return isinstance(around, list) and len(around) > 1


Edits: TypeAlias = "list[Edit]"
Proposal: TypeAlias = Callable[[Faulty], Iterator[Edits]]


def candidates(faulty: Faulty) -> Iterator[Edits]:
    """Yield the edits that may fix a fault; none for a code without a mechanical fix."""
    proposal = PROPOSALS.get(faulty.fault.code)
    if proposal is not None:
        yield from proposal(faulty)


# --- removals ----------------------------------------------------------------------------------------------------


def _remove(faulty: Faulty) -> Iterator[Edits]:
    """Remove a member, or an element of a list that has others."""
    if faulty.path and (isinstance(faulty.path[-1], str) or faulty.is_listed):
        yield [remove(faulty.tree, faulty.path)]


def _remove_statement(faulty: Faulty) -> Iterator[Edits]:
    path = faulty.path[:2]
    if len(path) == 2 and isinstance(path[1], int):
        yield [remove(faulty.tree, path)]


def _remove_with_parents(faulty: Faulty) -> Iterator[Edits]:
    """Remove a member, and the objects around it that have no others."""
    path = faulty.path
    while len(path) > 3 and isinstance(around := faulty.tree.find(path[:-1]), dict) and len(around) == 1:
        path = path[:-1]
    if path:
        yield [remove(faulty.tree, path)]


def _remove_condition(faulty: Faulty) -> Iterator[Edits]:
    """Remove the condition, or the statement: whether one is always or never met, equivalence tells."""
    yield from _remove_with_parents(faulty)
    yield from _remove_statement(faulty)


def _remove_entry_or_statement(faulty: Faulty) -> Iterator[Edits]:
    if len(faulty.path) > 3:
        yield from _remove_with_parents(faulty)
    yield from _remove_statement(faulty)


# --- replacements ------------------------------------------------------------------------------------------------


def _replace(new: Callable[[str], str | None]) -> Proposal:
    """Return the proposal that replaces a string."""

    def propose(faulty: Faulty) -> Iterator[Edits]:
        value = faulty.value
        replaced = new(value) if isinstance(value, str) else None
        if replaced is not None and replaced != value:
            yield [replace_value(faulty.tree, faulty.path, replaced)]

    return propose


def _field(index: int, new: Callable[[str], str]) -> Proposal:
    """Return the proposal that replaces a field of an ARN."""

    def replaced(arn: str) -> str | None:
        fields = arn.split(":", 5)
        return ":".join((*fields[:index], new(fields[index]), *fields[index + 1 :])) if len(fields) == 6 else None

    return _replace(replaced)


def _network(block: str) -> str | None:
    try:
        return str(ip_interface(block).network)
    except ValueError:
        return None


def _lower_prefix(action: str) -> str:
    prefix, colon, name = action.partition(":")
    return prefix.lower() + colon + name


def _suggestion(faulty: Faulty) -> Iterator[Edits]:
    """Write what the message suggests, as the name of the member or as the string."""
    suggested = _SUGGESTED.search(faulty.fault.message)
    if suggested is None or not faulty.path:
        return
    if faulty.fault.name:
        yield [rename(faulty.tree, faulty.path, suggested[1])]
    elif isinstance(faulty.value, str):
        name = faulty.value.partition(":")[2]
        is_prefix = faulty.fault.code == "INVALID_SERVICE_IN_ACTION"
        yield [replace_value(faulty.tree, faulty.path, f"{suggested[1]}:{name}" if is_prefix else suggested[1])]


def _spelling(faulty: Faulty) -> Iterator[Edits]:
    """Write an element or a key of principals in its letter case."""
    written = faulty.path[-1] if faulty.path else ""
    name = _NAMES.get(str(written).lower())
    if name is not None and name != written:
        yield [rename(faulty.tree, faulty.path, name)]


def _add_version(faulty: Faulty) -> Iterator[Edits]:
    yield [insert_first(faulty.tree, "Version", LATEST)]


def _set_version(faulty: Faulty) -> Iterator[Edits]:
    if faulty.tree.find(("Version",)) is None:
        yield from _add_version(faulty)
    else:
        yield [replace_value(faulty.tree, ("Version",), LATEST)]


def _unique_sid(faulty: Faulty) -> Iterator[Edits]:
    """Add the first free number to the `Sid`."""
    statements = faulty.tree.find(("Statement",))
    listed = statements if isinstance(statements, list) else []
    used = {statement.get("Sid") for statement in listed if isinstance(statement, dict)}
    sids = (f"{faulty.value}{number}" for number in range(2, _MAX_SIDS))
    free = next((sid for sid in sids if sid not in used), None)
    if isinstance(faulty.value, str) and free is not None:
        yield [replace_value(faulty.tree, faulty.path, free)]


def _one_bound(faulty: Faulty) -> Iterator[Edits]:
    """Keep one bound: the loosest is the greatest or the least."""
    values = faulty.value
    if isinstance(values, list) and values:
        bounds = [(parsed, value) for value in values if (parsed := number(_text(value))) is not None]
        for choose in (max, min) if len(bounds) == len(values) else ():
            _, kept = choose(bounds, key=lambda bound: bound[0])
            yield [replace_value(faulty.tree, faulty.path, _text(kept))]


def _as_strings(faulty: Faulty) -> Iterator[Edits]:
    values = faulty.value
    if isinstance(values, list):
        yield [
            replace_value(faulty.tree, (*faulty.path, index), _text(value))
            for index, value in enumerate(values)
            if not isinstance(value, str)
        ]


def _text(value: Value) -> str:
    match value:
        case Number(text):
            return text
        case bool():
            return "true" if value else "false"
    return str(value)


# --- operators ---------------------------------------------------------------------------------------------------


_OPERATORS: Mapping[KeyType, Mapping[str, str]] = {
    "Numeric": {"StringEquals": "NumericEquals", "StringNotEquals": "NumericNotEquals"},
    "Date": {"StringEquals": "DateEquals", "StringNotEquals": "DateNotEquals"},
    "Bool": {"StringEqualsIgnoreCase": "Bool"},
    "IPAddress": {
        **dict.fromkeys(("StringEquals", "StringLike"), "IpAddress"),
        **dict.fromkeys(("StringNotEquals", "StringNotLike"), "NotIpAddress"),
    },
    "String": {
        **dict.fromkeys(("NumericEquals", "Bool", "BinaryEquals", "ArnEquals"), "StringEquals"),
        **dict.fromkeys(("NumericNotEquals", "ArnNotEquals"), "StringNotEquals"),
        "ArnLike": "StringLike",
        "ArnNotLike": "StringNotLike",
    },
}
"""Type of a key -> the operator that compares it, instead of one of another type."""


def _operator(new: Callable[[str], str | None]) -> Proposal:
    """Return the proposal that renames the operator of a condition, if it has no other key."""

    def propose(faulty: Faulty) -> Iterator[Edits]:
        path = faulty.fault.path[:4]
        keys = faulty.tree.find(path)
        replaced = new(str(path[-1])) if len(path) == 4 else None
        if isinstance(keys, dict) and len(keys) == 1 and replaced is not None and replaced != path[-1]:
            yield [rename(faulty.tree, path, replaced)]

    return propose


def _instead(old: str, new: str) -> Callable[[str], str | None]:
    return lambda operator: operator.replace(old, new) if old in operator else None


def _operator_of_type(faulty: Faulty) -> Iterator[Edits]:
    keys = faulty.tree.find(faulty.fault.path[:4])
    known = faulty.references.key(next(iter(keys), "")) if isinstance(keys, dict) else None
    by_name = _OPERATORS.get(known.type, {}) if known is not None and known.type is not None else {}
    base = str(faulty.fault.path[3]).rpartition(":")[2].removesuffix(IF_EXISTS)
    if base in by_name:
        yield from _operator(_instead(base, by_name[base]))(faulty)


def _is_absent(faulty: Faulty) -> Iterator[Edits]:
    """Write that the key is absent, instead of a condition that has no other key."""
    keys = faulty.tree.find(faulty.path[:4])
    if len(faulty.path) == 5 and isinstance(keys, dict) and len(keys) == 1:
        yield [rename(faulty.tree, faulty.path[:4], "Null"), replace_value(faulty.tree, faulty.path, "true")]


def _key(new: str) -> Proposal:
    def propose(faulty: Faulty) -> Iterator[Edits]:
        if len(faulty.path) == 5:
            yield [rename(faulty.tree, faulty.path, new)]

    return propose


# --- the table ---------------------------------------------------------------------------------------------------

PROPOSALS: Mapping[str, Proposal] = MappingProxyType(
    {
        "ARN_ACCOUNT_NOT_ALLOWED": _field(4, lambda account: ""),
        "ARN_REGION_NOT_ALLOWED": _field(3, lambda region: ""),
        "DEPRECATED_GLOBAL_CONDITION_KEY": _key("aws:SourceAccount"),
        "EMPTY_ARRAY_ACTION": _remove_statement,
        "EMPTY_ARRAY_CONDITION": _remove_condition,
        "EMPTY_ARRAY_CONDITION_FORALLVALUES": _is_absent,
        "EMPTY_ARRAY_CONDITION_FORANYVALUE": _remove_condition,
        "EMPTY_ARRAY_PRINCIPAL": _remove_entry_or_statement,
        "EMPTY_ARRAY_RESOURCE": _remove_statement,
        "EMPTY_OBJECT_CONDITION": _remove_with_parents,
        "EMPTY_OBJECT_PRINCIPAL": _remove_statement,
        "EMPTY_SID_VALUE": _remove,
        "FORALLVALUES_WITH_SINGLE_VALUED_KEY": _operator(_instead("ForAllValues:", "")),
        "FORANYVALUE_WITH_AUDIENCE_CLAIM_TYPE": _operator(_instead("ForAnyValue:", "")),
        "IMPROVE_IP_RANGE": _replace(_network),
        "INVALID_ACTION": _suggestion,
        "INVALID_ARN_SERVICE_CASE": _field(2, str.lower),
        "INVALID_CONDITION_DATA_TYPE": _as_strings,
        "INVALID_CONDITION_OPERATOR": _suggestion,
        "INVALID_EFFECT": _replace(lambda written: _EFFECTS.get(written.lower())),
        "INVALID_GLOBAL_CONDITION_KEY": _suggestion,
        "INVALID_POLICY_ELEMENT": _spelling,
        "INVALID_PRINCIPAL_KEY": _spelling,
        "INVALID_SERVICE_CONDITION_KEY": _suggestion,
        "INVALID_SERVICE_IN_ACTION": _suggestion,
        "INVALID_VERSION": _set_version,
        "MISSING_QUALIFIER": _operator(lambda name: None if "Not" in name else f"ForAnyValue:{name}"),
        "MISSING_VERSION": _add_version,
        "NULL_WITH_IF_EXISTS": _operator(lambda name: "Null"),
        "NULL_WITH_QUALIFIER": _remove_condition,
        "RCP_SYNTAX_ERROR_ACTION": _replace(_lower_prefix),
        "REDUNDANT_ACTION": _remove,
        "REDUNDANT_CONDITION_VALUE_NUM": _one_bound,
        "REDUNDANT_KEY_DUE_TO_WILDCARD_IN_CONDITION": _remove_with_parents,
        "REDUNDANT_PRINCIPAL_IN_ROLE_TRUST_POLICY": _remove,
        "REDUNDANT_RESOURCE": _remove,
        "REDUNDANT_STATEMENT": _remove_statement,
        "REDUNDANT_STATEMENT_DUE_TO_WILDCARD_IN_CONDITION": _remove_statement,
        "ROLE_TRUST_POLICY_SYNTAX_ERROR_RESOURCE": _remove,
        "SCP_SYNTAX_ERROR_PRINCIPAL": _remove,
        "STRING_LIKE_OPERATOR_WITH_ARN_CONDITION_KEYS": _operator(_instead("String", "Arn")),
        "TYPE_MISMATCH": _operator_of_type,
        "UNIQUE_SIDS_RECOMMENDED": _unique_sid,
        "UNIQUE_SIDS_REQUIRED": _unique_sid,
        "UNSUPPORTED_GLOBAL_CONDITION_KEY": _key("aws:PrincipalArn"),
        "UNSUPPORTED_SID": _replace(lambda sid: re.sub(r"[^A-Za-z0-9]", "", sid)),
        "VARIABLE_UNSUPPORTED_IN_VERSION": _set_version,
        "WILDCARD_WITHOUT_LIKE_OPERATOR": _operator(
            lambda name: None if "IgnoreCase" in name else name.replace("Equals", "Like")
        ),
    }
)
"""Code -> its proposal."""
