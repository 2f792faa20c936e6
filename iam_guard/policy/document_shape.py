"""Convert a JSON tree to a Document: its structure, not the form of its strings (rules G-1 to G-17).

Raises for what a Document cannot represent: an unknown element, a wrong JSON type, an unknown `Effect` or operator, two
elements that exclude each other. `document_refusals` checks the form of strings and the requirements of a policy type.
Null is a wrong type, never "absent" (G-17).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from iam_guard.errors import PolicyError
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import ANY_PRINCIPAL, LEGACY, ConditionTest, Document, Effect, PrincipalEntry, Statement
from iam_guard.policy.grammar import (
    DOCUMENT_ELEMENTS,
    EXCLUSIVE_ELEMENTS,
    PRINCIPAL_KEYS,
    STATEMENT_ELEMENTS,
    VERSIONS,
    quoted,
    split_operator,
)
from iam_guard.policy.json_tree import JsonText, Number, Path, Value

MISMATCH = "DATA_TYPE_MISMATCH"  # G-16
_EFFECTS = {effect.lower(): effect for effect in Effect}  # G-21


def read_document(source: JsonText, type: PolicyType) -> Document:
    """Create a Document; raise `PolicyError` at the first error of structure."""
    return _DocumentReader(source).document(type)


class _DocumentReader:
    """Reads the parts of one document; every method gets a value and the path to it."""

    __slots__ = ("source",)

    def __init__(self, source: JsonText) -> None:
        self.source = source

    def document(self, type: PolicyType) -> Document:
        members = self.members(self.source.root, (), DOCUMENT_ELEMENTS)  # G-1
        written = self.optional_string(members, "Version", ())
        if written is not None and written not in VERSIONS:
            message = f"expected `Version` to be `{VERSIONS[0]}` or `{VERSIONS[1]}`, got {quoted(written)}"
            raise self.source.refusal(message, ("Version",), finding="INVALID_VERSION")  # G-3
        if "Statement" not in members:
            raise self.source.refusal("`Statement` is missing", (), finding="MISSING_STATEMENT")  # G-7
        statement = members["Statement"]
        statements = statement if isinstance(statement, list) else [statement]  # G-7
        return Document(
            type=type,
            version=written or LEGACY,  # G-4
            statements=tuple(self.statement(value, index) for index, value in enumerate(statements)),
            digest=hashlib.sha256(self.source.canonical().encode()).hexdigest(),
            text=self.source.text,
            written_version=written,
            id=self.optional_string(members, "Id", ()),  # G-6
        )

    def statement(self, value: Value, index: int) -> Statement:
        path: Path = ("Statement", index)
        members = self.members(value, path, STATEMENT_ELEMENTS)  # G-20
        for one, other in EXCLUSIVE_ELEMENTS:
            if one in members and other in members:
                message = f"`{one}` and `{other}` exclude each other"
                raise self.source.refusal(message, (*path, other), finding="UNSUPPORTED_ELEMENT_COMBINATION", name=True)
        return Statement(
            index=index,
            effect=self.effect(members, path),
            sid=self.optional_string(members, "Sid", path),
            principals=self.principals(members, "Principal", path),
            not_principals=self.principals(members, "NotPrincipal", path),
            actions=self.strings(members, "Action", path),
            not_actions=self.strings(members, "NotAction", path),
            resources=self.strings(members, "Resource", path),
            not_resources=self.strings(members, "NotResource", path),
            conditions=tuple(self.conditions(members, path)),
            position=self.source.position(path),
        )

    def effect(self, members: dict[str, Value], path: Path) -> Effect:
        written = self.optional_string(members, "Effect", path)
        if written is None:
            raise self.source.refusal("`Effect` is missing", path, finding="MISSING_EFFECT")  # G-21
        effect = _EFFECTS.get(written.lower())  # `elements.effect_letter_case` refuses other letter case
        if effect is not None:
            return effect
        message = f"expected `Effect` to be `Allow` or `Deny`, got {quoted(written)}"
        raise self.source.refusal(message, (*path, "Effect"), finding="INVALID_EFFECT")

    def principals(self, members: dict[str, Value], element: str, path: Path) -> tuple[PrincipalEntry, ...] | None:
        if element not in members:
            return None
        value, path = members[element], (*path, element)
        if value == "*":
            return ANY_PRINCIPAL  # G-45
        if isinstance(value, str):
            message = f"expected `*` or an object, got {quoted(value)}"
            raise self.source.refusal(message, path, finding="INVALID_PRINCIPAL_FORMAT")  # G-40
        entries = self.members(value, path, PRINCIPAL_KEYS, finding="INVALID_PRINCIPAL_KEY")
        return tuple((kind, value) for kind in entries for value in self.strings(entries, kind, path) or ())

    def conditions(self, members: dict[str, Value], path: Path) -> Iterator[ConditionTest]:
        if "Condition" not in members:
            return
        path = (*path, "Condition")
        for operator, block in self.members(members["Condition"], path).items():
            spellings: dict[str, str] = {}
            keys = self.members(block, (*path, operator))
            if keys:  # an empty one may have any name
                self.check_operator(operator, (*path, operator))
            for key, written in keys.items():
                if key.casefold() in spellings:
                    message = f"{quoted(key)} and {quoted(spellings[key.casefold()])} are the same condition key"
                    finding = "DUPLICATE_KEYS_WITH_DIFFERENT_CASE"
                    raise self.source.refusal(message, (*path, operator, key), finding=finding, name=True)  # G-11
                spellings[key.casefold()] = key
                yield ConditionTest(operator, key, self.condition_values(written, (*path, operator, key)))

    def check_operator(self, operator: str, path: Path) -> None:
        try:
            split_operator(operator)  # G-66
        except PolicyError as error:
            raise self.source.refusal(error.message, path, finding=error.finding or MISMATCH, name=True) from None

    def condition_values(self, value: Value, path: Path) -> tuple[str, ...]:
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list):
            return (self.condition_value(value, path),)  # G-14
        return tuple(self.condition_value(element, (*path, index)) for index, element in enumerate(value))

    def condition_value(self, value: Value, path: Path) -> str:
        match value:
            case str() as text:
                return text
            case Number(text):
                return text
            case bool():
                return "true" if value else "false"  # G-15
        raise self.mismatch("a string, a number or a boolean", value, path)

    def strings(self, members: dict[str, Value], element: str, path: Path) -> tuple[str, ...] | None:
        if element not in members:
            return None
        value = members[element]
        if isinstance(value, str):
            return (value,)  # G-14
        if not isinstance(value, list):
            raise self.mismatch("a string or a list of strings", value, (*path, element))
        strings = [item for item in value if isinstance(item, str)]
        if len(strings) < len(value):
            index, item = next((index, item) for index, item in enumerate(value) if not isinstance(item, str))
            raise self.mismatch("a string", item, (*path, element, index))  # G-16
        return tuple(strings)

    def optional_string(self, members: dict[str, Value], element: str, path: Path) -> str | None:
        if element not in members:
            return None
        value = members[element]
        if not isinstance(value, str):
            raise self.mismatch("a string", value, (*path, element))  # G-16
        return value

    def members(
        self, value: Value, path: Path, names: frozenset[str] | None = None, finding: str = "INVALID_POLICY_ELEMENT"
    ) -> dict[str, Value]:
        if not isinstance(value, dict):
            raise self.mismatch("an object", value, path)
        if names is not None and not value.keys() <= names:
            name = next(name for name in value if name not in names)
            message = f"expected one of {', '.join(f'`{each}`' for each in sorted(names))}, got {quoted(name)}"
            raise self.source.refusal(message, (*path, name), finding=finding, name=True)
        return value

    def mismatch(self, expected: str, value: Value, path: Path) -> PolicyError:
        return self.source.refusal(f"expected {expected}, got {_kind(value)}", path, finding=MISMATCH)  # G-16, G-17


def _kind(value: Value) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case Number():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
    return "an object"
