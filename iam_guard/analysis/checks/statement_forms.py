"""Statements in the form that checks compute with: unions of patterns, and conditions by key.

A form depends on its document alone and is cached by digest. It uses the patterns that the evaluator parses, so both
read wildcards, short ARNs and variables alike (rules M-3 to M-22, G-64, V-1 to V-16).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import islice
from typing import TypeAlias

from iam_guard.analysis.checks.limits import Undecided
from iam_guard.analysis.checks.pattern_search import ACTION_SHAPE, PRIVATE, variable_text
from iam_guard.analysis.checks.text_sets import Language, TextSet, TextUnion
from iam_guard.evaluation.compiler import CompiledDocument
from iam_guard.evaluation.matching.operators import OPERATORS
from iam_guard.evaluation.matching.pattern import Pattern, Wildcard, is_literal, read_wildcards
from iam_guard.evaluation.matching.referenced_keys import keys_of_condition, keys_of_resource
from iam_guard.evaluation.matching.resource import EVERYTHING, read_resource
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.evaluation.matching.variables import (
    NoValue,
    Template,
    TemplatePiece,
    Variable,
    has_variables,
    join,
    reads_keys,
)
from iam_guard.policy.document import LATEST, ConditionTest, Document, Statement
from iam_guard.policy.grammar import split_operator

_RUN, _ONE, _RUN_IN_FIELD, _ONE_IN_FIELD = Wildcard
_SOME_IN_FIELD: Pattern = (_ONE_IN_FIELD, _RUN_IN_FIELD)
_IN_FIELD = {_RUN: _RUN_IN_FIELD, _ONE: _ONE_IN_FIELD}

ANY_ACTION = TextSet(frozenset(), (Language(ACTION_SHAPE),))
"""`service:Name` in lower case."""
ANY_ARN: Pattern = ("arn:", _RUN, ":", _RUN, ":", _RUN, ":", _RUN, ":", _RUN)
ANY_RESOURCE = TextSet(frozenset({EVERYTHING}), (Language(ANY_ARN),))
"""An ARN, or the `*` of actions without resources, which only the entry `*` matches (rules M-10, M-11)."""

Test: TypeAlias = tuple[ConditionTest, str]
"""A condition, and the version of its document."""


@dataclass(frozen=True, slots=True)
class ListedTexts:
    """`Action` or `NotAction`, `Resource` or `NotResource`."""

    union: TextUnion
    is_negated: bool


class StatementForm:
    """One statement."""

    def __init__(self, compiled: CompiledStatement, version: str) -> None:
        statement = compiled.statement
        self.compiled = compiled
        self.statement = statement
        self.actions = ListedTexts(_actions(statement), statement.not_actions is not None)
        self.tests: tuple[Test, ...] = tuple((test, version) for test in statement.conditions)
        self.version = version

    @cached_property
    def services(self) -> frozenset[str] | None:
        """The prefixes of the actions it can be about, in lower case; None for any."""
        if self.actions.is_negated or self.actions.union.everything:
            return None
        listed = [action.lower().partition(":")[0] for action in self.statement.actions or ()]
        return None if any("*" in prefix or "?" in prefix for prefix in listed) else frozenset(listed)

    @cached_property
    def resources(self) -> ListedTexts | None:
        """The resources; None without such an element: the statement is about the resource that has the policy."""
        if self.statement.resources is not None:
            return ListedTexts(resource_union(self.statement.resources, self.version), False)
        if self.statement.not_resources is not None:
            return ListedTexts(resource_union(self.statement.not_resources, self.version), True)
        return None

    @property
    def has_variables(self) -> bool:
        """Whether a resource has a variable."""
        return self.resources is not None and self.resources.union.opened is not self.resources.union

    def lists_all(self, other: StatementForm) -> bool:
        """Return whether it lists every resource that another statement does, with the same variables."""
        if self.version != other.version:
            return False
        wide, narrow = self.statement, other.statement
        if wide.resources is not None and narrow.resources is not None:
            return set(narrow.resources) <= set(wide.resources)
        if wide.not_resources is not None and narrow.not_resources is not None:
            return set(wide.not_resources) <= set(narrow.not_resources)
        return False

    @cached_property
    def content(self) -> object:
        """What the statement means, as a key: equal contents mean the same."""
        written = self.statement
        lists = (written.actions, written.not_actions, written.resources, written.not_resources)
        principals = (written.principals, written.not_principals)
        return (
            written.effect,
            self.version,
            *(None if texts is None else frozenset(texts) for texts in (*lists, *principals)),
            frozenset((test.operator, test.key.lower(), frozenset(test.values)) for test in written.conditions),
        )


class DocumentForm:
    """One document: `allows` and `denies` in its order."""

    def __init__(self, document: CompiledDocument) -> None:
        _check_characters(document.document)
        version = document.document.version
        self._fill(document.document, [StatementForm(compiled, version) for compiled in document.statements])

    @classmethod
    def of_statements(cls, document: Document, forms: Sequence[StatementForm]) -> DocumentForm:
        """Return the form of a document with some statements in place of its own, which have its version."""
        found = cls.__new__(cls)
        found._fill(replace(document, statements=tuple(form.statement for form in forms)), forms)
        return found

    def _fill(self, document: Document, forms: Sequence[StatementForm]) -> None:
        self.document = document
        self.allows = tuple(form for form in forms if not form.compiled.denies)
        self.denies = tuple(form for form in forms if form.compiled.denies)

    @property
    def statements(self) -> tuple[StatementForm, ...]:
        """All statements."""
        return (*self.allows, *self.denies)

    @cached_property
    def allows_by_content(self) -> dict[object, StatementForm]:
        """The Allow statements by their content."""
        return {form.content: form for form in self.allows}

    @cached_property
    def action_names(self) -> dict[str, str]:
        """The names of actions as they are written, by their lower case."""
        listed = [name for form in self.statements for name in form.statement.actions or ()]
        return {name.lower(): name for name in listed if is_literal(name)}

    @cached_property
    def denied_contents(self) -> frozenset[object]:
        """The contents of the Deny statements."""
        return frozenset(form.content for form in self.denies)

    @cached_property
    def variables(self) -> frozenset[str]:
        """The keys of all variables, in lower case."""
        return frozenset(keys_of_variables(self.document))

    @cached_property
    def tests(self) -> dict[str, tuple[Test, ...]]:
        """All conditions by their key in lower case."""
        found: dict[str, dict[Test, None]] = {}
        for form in self.statements:
            for test in form.tests:
                found.setdefault(test[0].key.lower(), {})[test] = None
        return {key: tuple(tests) for key, tests in found.items()}


def keys_of_variables(document: Document) -> Iterator[str]:
    """Yield the keys of the variables of a document, in lower case."""
    for statement in document.statements:
        for entry in (*(statement.resources or ()), *(statement.not_resources or ())):
            if "${" in entry:
                yield from (key.lower() for key in keys_of_resource(entry, document.version))
        for test in statement.conditions:
            if any("${" in value for value in test.values):
                yield from (key.lower() for key in islice(keys_of_condition(test, document.version), 1, None))


class _ByDigest:
    """A compiled document as a key: two of the same text and type are equal."""

    __slots__ = ("compiled", "key")

    def __init__(self, compiled: CompiledDocument) -> None:
        self.compiled = compiled
        self.key = compiled.document.digest, compiled.document.type

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByDigest) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def form_of(compiled: CompiledDocument) -> DocumentForm:
    """Return the form of a document; cached. Raises `Undecided` for characters that policies must not have."""
    return _form_of(_ByDigest(compiled))


@lru_cache(maxsize=4096)
def _form_of(document: _ByDigest) -> DocumentForm:
    return DocumentForm(document.compiled)


def _check_characters(document: Document) -> None:
    if not document.text.isascii() and max(document.text) >= PRIVATE:
        raise Undecided("the policy has characters that policies must not have")
    if "\\u" in document.text and any(text and max(text) >= PRIVATE for text in _texts(document)):
        raise Undecided("the policy has characters that policies must not have")


def _texts(document: Document) -> Iterator[str]:
    for statement in document.statements:
        for texts in (statement.actions, statement.not_actions, statement.resources, statement.not_resources):
            yield from texts or ()
        for test in statement.conditions:
            yield from (test.key, *test.values)


# --- elements ----------------------------------------------------------------------------------------------------


def _actions(statement: Statement) -> TextUnion:
    return action_union(statement.actions if statement.actions is not None else statement.not_actions or ())


def action_union(listed: Iterable[str]) -> TextUnion:
    """Return the actions that match any of the entries, in lower case (rule M-3)."""
    actions = tuple(listed)
    return TextUnion([_action(action.lower()) for action in actions], everything="*" in actions)


@lru_cache(maxsize=65_536)
def _action(text: str) -> Pattern:
    """Parse an action; a wildcard next to the only colon matches no colon, and no whole side is empty."""
    pattern = read_wildcards(text)
    if text.count(":") != 1:
        return pattern
    prefix, _, name = text.partition(":")
    return join([*_side(prefix), ":", *_side(name)]).pattern or ()


def _side(text: str) -> Pattern:
    if text == "*":
        return _SOME_IN_FIELD
    return tuple(piece if isinstance(piece, str) else _IN_FIELD[piece] for piece in read_wildcards(text))


def resource_union(entries: Iterable[str], version: str) -> TextUnion:
    """Return the resources that match any of the entries."""
    listed = tuple(entries)
    patterns = [pattern for entry in listed if entry != EVERYTHING for pattern in resource_patterns(entry, version)]
    return TextUnion(patterns, everything=EVERYTHING in listed)


@lru_cache(maxsize=65_536)
def resource_patterns(entry: str, version: str) -> tuple[Pattern, ...]:
    """Parse an entry; its variables are the characters of `variable_text`."""
    templates = read_resource(entry, version)
    return tuple(pattern for template in templates if (pattern := template_pattern(template)) is not None)


def template_pattern(template: Template) -> Pattern | None:
    """Return the pattern of a template; None if it has a variable that never has a value (rule V-6)."""
    pieces: list[TemplatePiece] = []
    for piece in template.pieces:
        match piece:
            case NoValue():
                return None
            case Variable(key, default):
                pieces.append(variable_text(key if default is None else f"{key}, '{default}'"))
            case _:
                pieces.append(piece)
    return join(pieces).pattern


def has_open_values(test: ConditionTest, version: str) -> bool:
    """Return whether a condition has values with variables, which the request supplies."""
    if version != LATEST or not any("${" in value for value in test.values):
        return False
    row = OPERATORS.get(split_operator(test.operator).base)
    return (
        row is not None
        and row.variables
        and any(has_variables(value, version) and reads_keys(value) for value in test.values)
    )
