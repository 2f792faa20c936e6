"""Documents with values in place of their variables, to find a witness that depends on them.

The values are those that decide: texts that the documents have in the same place, the values of conditions on the
variable's key, and one that no document contains. This only finds witnesses, so that it need not be complete.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple, TypeAlias, TypeGuard

from iam_guard.analysis.checks.callers import TypicalCaller, partitions_of
from iam_guard.analysis.checks.pattern_search import divide_at_variables, has_variable
from iam_guard.analysis.checks.statement_forms import DocumentForm, Test
from iam_guard.evaluation.compiler import CompiledDocument
from iam_guard.evaluation.matching.condition_keys import is_multivalued
from iam_guard.evaluation.matching.pattern import Pattern, Wildcard, is_literal
from iam_guard.evaluation.matching.variables import substitute_variables
from iam_guard.model.context import Value
from iam_guard.model.principal import PrincipalType
from iam_guard.policy.document import LATEST, ConditionTest, Document, Statement

_MAX_KEYS = 4
_MAX_VALUES = 12
_MAX_INSTANCES = 96
_MAX_RUNS, _MAX_LENGTH = 4, 300
"""Limits of the patterns and texts that are matched by a regular expression, which takes their product in time."""
_NO_VALUE = "\U000ffffe"
"""Replaces a variable of an absent key: a character that no compared policy has."""
_FRESH = "example"
_SEPARATORS = re.compile(r"[/:]")
_ANY_VARIABLE = re.compile(r"\$\{[^}]*\}")
_SPECIAL = re.compile(r"[*?$]")


class Instance(NamedTuple):
    """Documents without the variables of some keys, and the conditions that the keys have these values."""

    documents: tuple[CompiledDocument, ...]
    tests: tuple[Test, ...]


def instances(forms: Sequence[DocumentForm], needed: Mapping[str, Iterable[str]]) -> Iterator[Instance]:
    """Yield the documents with different values of their variables; `needed` are some of them by key."""
    documents = [form.document for form in forms]
    keys = sorted({key for form in forms for key in form.variables})[:_MAX_KEYS]
    choices = [_values(key, number, forms, needed.get(key, ())) for number, key in enumerate(keys)]
    places = sorted(product(*(range(len(values)) for values in choices)), key=sum) if keys else ()
    for chosen in places[:_MAX_INSTANCES]:
        values = {key: values[place] for key, values, place in zip(keys, choices, chosen, strict=True)}
        filled = tuple(with_values(document, values) for document in documents)
        yield Instance(filled, tuple(_test(key, value) for key, value in values.items()))


def _test(key: str, value: str | None) -> Test:
    if value is None:
        return ConditionTest("Null", key, ("true",)), LATEST
    return ConditionTest("StringEquals", key, (_written(value),)), LATEST


def _written(value: str) -> str:
    """Return a text as a policy writes it so that it stands for itself (rule M-20)."""
    return _SPECIAL.sub(r"${\g<0>}", value)


def values_in_resources(forms: Sequence[DocumentForm], resources: Sequence[str]) -> dict[str, dict[str, None]]:
    """Return the values that variables have in resources that the entries with them match, by key."""
    found: dict[str, dict[str, None]] = {}
    for statement in (statement for form in forms for statement in form.statements if statement.has_variables):
        patterns = statement.resources.union.globs if statement.resources is not None else ()
        for pattern in filter(has_variable, patterns):
            expression, names = _expression(pattern)
            if len(names) + sum(isinstance(piece, Wildcard) for piece in pattern) > _MAX_RUNS:
                continue
            short = [resource for resource in resources if len(resource) <= _MAX_LENGTH]
            for match in filter(None, map(expression.fullmatch, short)):
                for name, value in zip(names, match.groups(), strict=True):
                    found.setdefault(name.partition(",")[0], {})[value] = None
    return found


def _expression(pattern: Pattern) -> tuple[re.Pattern[str], list[str]]:
    """Return the regular expression of a pattern, and its variables: one group for each."""
    names: list[str] = []
    source = ""
    for piece in pattern:
        if not isinstance(piece, str):
            source += _EXPRESSIONS[piece]
            continue
        for index, part in enumerate(divide_at_variables(piece)):
            if index % 2 == 0:
                source += re.escape(part)
            elif part in names:
                source += f"(?:\\{names.index(part) + 1})"
            else:
                names.append(part)
                source += "(.+)"
    return re.compile(source, re.DOTALL), names


_EXPRESSIONS = {
    Wildcard.RUN: ".*",
    Wildcard.ONE: ".",
    Wildcard.RUN_IN_FIELD: "[^:]*",
    Wildcard.ONE_IN_FIELD: "[^:]",
}


def _values(key: str, number: int, forms: Sequence[DocumentForm], needed: Iterable[str]) -> list[str | None]:
    """Return values of a key; the first ones differ from those of other keys, by its number."""
    if is_multivalued(key):
        return [None]
    fresh = f"{_FRESH}{number + 1}" if number else _FRESH
    found: dict[str | None, None] = dict.fromkeys((*_fresh_values(key, fresh, forms), *needed, None, _FRESH))
    for form in forms:
        for test, _ in form.tests.get(key, ()):
            found.update(dict.fromkeys(value for value in test.values if value and is_literal(value)))
    operators = {test.operator for form in forms for tests in form.tests.values() for test, _ in tests}
    if any("Bool" in operator for operator in operators):
        found["true"] = None
    if any("Arn" in operator for operator in operators):
        found[f"{_FRESH}:{_FRESH}"] = None  # more fields than it has with a wildcard
    if key in _OF_CALLERS:
        names = [name for form in forms for name in _names(form)]
        found.update(dict.fromkeys(name for name in names if name and is_literal(name)))
    marked = [
        _ANY_VARIABLE.sub("*", substitute_variables(text, form.document.version, {key: _NO_VALUE}, _NO_VALUE))
        for form in forms
        for text in _entries(form)
    ]
    places = [_SEPARATORS.split(text) for text in marked if _NO_VALUE in text]
    texts = [_SEPARATORS.split(text) for text in marked]
    for place in places:
        for index, part in enumerate(place):
            if _NO_VALUE in part:
                before, _, after = part.partition(_NO_VALUE)
                found.update(dict.fromkeys(_parts(texts, index, before, after)))
    return [*found][:_MAX_VALUES]


def _fresh_values(key: str, fresh: str, forms: Sequence[DocumentForm]) -> Iterable[str]:
    """Return the values that are tried first."""
    if key == "aws:principalarn":
        accounts = [f"arn:{partition}:iam::123456789012" for partition in partitions_of(forms)]
        return [f"{account}:{kind}/{_FRESH}" for account in accounts for kind in ("user", "role")]
    return _FRESH_VALUES.get(key, (fresh,))


_FRESH_VALUES = {
    "aws:principalaccount": ("123456789012", "210987654321"),
    "aws:principaltype": ("User", "AssumedRole"),
    "aws:resourceaccount": ("123456789012", "210987654321"),
    "aws:userid": ("AIDAEXAMPLE", "AROAEXAMPLE:example"),
}
"""Those of keys that have no other form."""
_OF_CALLERS = ("aws:username", "aws:userid", "aws:principalaccount", "aws:principalarn")


def _names(form: DocumentForm) -> Iterator[str]:
    """Yield the names, ids and ARNs of the principals of a document."""
    for statement in form.document.statements:
        for _, value in (*(statement.principals or ()), *(statement.not_principals or ())):
            yield from (value.rsplit("/", 1)[-1], value)
    for test, _ in form.tests.get("aws:principalarn", ()):
        yield from (value.rsplit("/", 1)[-1] for value in test.values)


def _parts(texts: Iterable[Sequence[str]], index: int, before: str, after: str) -> Iterator[str]:
    """Yield what other texts have where a variable is."""
    for text in texts:
        part = text[index] if index < len(text) else ""
        value = part.removeprefix(before).removesuffix(after).replace("*", "x").replace("?", "x")
        if value and is_literal(value) and _NO_VALUE not in value:
            yield value


def _entries(form: DocumentForm) -> Iterator[str]:
    for statement in form.document.statements:
        yield from (*(statement.resources or ()), *(statement.not_resources or ()))
        for test in statement.conditions:
            yield from test.values


def with_values(document: Document, values: Mapping[str, str | None]) -> CompiledDocument:
    """Return a document with values in place of the variables of some keys; None is an absent key."""
    texts = {key: None if value is None else _written(value) for key, value in values.items()}
    statements = tuple(_filled_statement(statement, document.version, texts) for statement in document.statements)
    digest = f"{document.digest} {sorted(values.items(), key=str)}"
    return CompiledDocument(replace(document, statements=statements, digest=digest))


KnownValues: TypeAlias = tuple[tuple[str, str | None], ...]
"""Keys and their values; None is absent."""


def known_values(caller: TypicalCaller, keys: Iterable[str]) -> KnownValues:
    """Return the values of some keys that every caller has whom this one represents."""
    derived = caller.principal.condition_keys
    open_keys = {"aws:userid"} if caller.principal.userid is None else set()
    if caller.account is None and caller.principal.account is not None:
        open_keys.add("aws:principalaccount")
    if caller.arns:
        open_keys.add("aws:principalarn")
        if caller.principal.type is PrincipalType.USER:
            open_keys.add("aws:username")
    found = {key: derived.value(key) for key in keys if key in _OF_CALLERS and key not in open_keys}
    return tuple(sorted((key, value) for key, value in found.items() if value is None or stands_for_itself(value)))


def stands_for_itself(value: Value) -> TypeGuard[str]:
    """Return whether a value is a text that stands for itself in a policy."""
    return isinstance(value, str) and value != "" and is_literal(value)


def _filled_statement(statement: Statement, version: str, values: Mapping[str, str | None]) -> Statement:
    def fill(texts: Iterable[str]) -> tuple[str, ...]:
        filled = [substitute_variables(text, version, values, _NO_VALUE) for text in texts]
        return tuple(text for text in filled if _NO_VALUE not in text)  # it matches nothing, V-9, V-10

    def filled_test(test: ConditionTest) -> ConditionTest:
        texts = fill(test.values)
        if not texts and test.values and "Not" in test.operator:  # an empty list would be false for some, C-42
            texts = (_NO_VALUE,)
        return replace(test, values=texts)

    return replace(
        statement,
        resources=None if statement.resources is None else fill(statement.resources),
        not_resources=None if statement.not_resources is None else fill(statement.not_resources),
        conditions=tuple(map(filled_test, statement.conditions)),
    )
