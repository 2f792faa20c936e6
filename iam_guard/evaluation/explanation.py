"""An explanation as values: a tree from the outcome down to the single entry of an element, as text and as JSON.

The tree is made of plain values only, so that its JSON form is the tree itself: the field names are the keys. In its
text everything that a request or a policy brought in is shown without control characters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import StrEnum

from iam_guard.model.decision import Outcome, PolicyType
from iam_guard.policy.grammar import quoted, shown

YES, NO, NEITHER = "✓", "✗", "–"
"""Matched, not matched, not asked."""

_INDENT = "    "
_ENUMERATED = 5


class Standing(StrEnum):
    """What a type of policy says to the request."""

    DENIES = "a Deny applies"
    ALLOWS = "an Allow applies"
    OWES = "no Allow applies, and one is needed"
    SILENT = "no Allow applies, and none is needed"
    ABSENT = "says nothing"
    EXEMPT = "does not apply"


@dataclass(frozen=True, slots=True)
class FilledVariable:
    """A policy variable and the text in its place; `value` is None for no value (rules V-8, V-9)."""

    name: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """One entry of an element as written. `matched`: the element would match if this were its only entry."""

    written: str
    matched: bool
    variables: tuple[FilledVariable, ...] = ()


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a statement, or one condition of it.

    `name` is the element's, `Condition` for a condition, which has `operator` and `key` too. `seen` is what the request
    has; `missing` says that it does not have the condition key at all. `error` is the kind of a fault in evaluating.
    `change` says what would have to be different for the element to match, None where it does.
    """

    name: str
    matched: bool
    wanted: tuple[Wanted, ...] = ()
    seen: tuple[str, ...] = ()
    operator: str | None = None
    key: str | None = None
    missing: bool = False
    note: str = ""
    change: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ExplainedStatement:
    """One statement: `applies` when all its elements match; `decides` when the decision names it."""

    index: int
    sid: str | None
    line: int | None
    effect: str
    applies: bool
    decides: bool
    elements: tuple[Element, ...]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class ExplainedPolicy:
    name: str
    arn: str | None
    statements: tuple[ExplainedStatement, ...]


@dataclass(frozen=True, slots=True)
class ExplainedLevel:
    """Policies that are attached to one place. `number` counts the levels of SCPs and RCPs from 1, the root's first."""

    number: int | None
    allows: bool
    policies: tuple[ExplainedPolicy, ...]


@dataclass(frozen=True, slots=True)
class ExplainedType:
    """One type of policy. `why` says why it is absent or does not apply, or what else there is to know."""

    type: PolicyType
    standing: Standing
    why: str | None
    levels: tuple[ExplainedLevel, ...] = ()


@dataclass(frozen=True, slots=True)
class Miss:
    """A statement that one change would have made apply, or a Deny that applies and would have to go.

    `element` is what failed, None for a Deny that applies. `outcome` is the outcome if that change alone were made.
    """

    type: PolicyType
    level: int | None
    policy: str
    statement: int
    sid: str | None
    line: int | None
    effect: str
    element: str | None
    change: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a request is allowed or denied. For administrators: it shows policies and condition values.

    `reasons` are sentences. `types` is empty where no policy was asked. `nearest` has the most promising first; it ends
    after a fixed number (`misses.MOST`).
    """

    outcome: Outcome
    principal: str
    principal_type: str
    action: str
    resource: str
    resource_account: str | None
    message: str
    reasons: tuple[str, ...]
    error: str | None
    types: tuple[ExplainedType, ...] = ()
    nearest: tuple[Miss, ...] = ()
    epoch: int | None = None
    stale: bool = False

    def to_dict(self) -> dict[str, object]:
        """Return the tree as JSON values; the keys are the field names of the classes above."""
        return {name: _plain(getattr(self, name)) for name in _names(self)}

    def text(self) -> str:
        """Show the tree, indented, one element a line; no line break at the end."""
        return "\n".join(_explanation(self))


def without_organization(whole: Explanation) -> Explanation:
    """Leave out what the organization's policies say, which is the management account's; how they stand stays."""
    types = tuple(replace(each, levels=()) if each.type in _ORGANIZATION else each for each in whole.types)
    decides = any(each.type in _ORGANIZATION and each.standing in (Standing.DENIES, Standing.OWES) for each in types)
    nearest = tuple(each for each in whole.nearest if each.type not in _ORGANIZATION)
    return replace(whole, types=types, nearest=nearest, reasons=() if decides else whole.reasons)


_ORGANIZATION = frozenset({PolicyType.SCP, PolicyType.RCP, PolicyType.VPC_ENDPOINT})


def _names(value: object) -> Iterator[str]:
    return (field.name for field in fields(value))  # type: ignore[arg-type]  # asked for dataclasses only


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if is_dataclass(value):
        return {name: _plain(getattr(value, name)) for name in _names(value)}
    return value.value if isinstance(value, StrEnum) else value


# --- as text -----------------------------------------------------------------------------------------------------


def _explanation(whole: Explanation) -> Iterator[str]:
    yield f"{whole.outcome}: {shown(whole.message)}"
    owner = f" (account {shown(whole.resource_account)})" if whole.resource_account else ""
    yield f"{_INDENT}caller: {shown(whole.principal)} ({whole.principal_type})"
    yield f"{_INDENT}action: {shown(whole.action)}"
    yield f"{_INDENT}resource: {shown(whole.resource)}{owner}"
    yield from (f"{_INDENT}because {shown(reason)}" for reason in whole.reasons)
    if whole.error is not None:
        yield f"{_INDENT}no proper decision could be made: {shown(whole.error)}"
    if whole.stale:
        yield f"{_INDENT}the store could not be reached; decided with what was remembered"
    for each in whole.types:
        yield ""
        yield from _type(each)
    if whole.nearest:
        yield ""
        yield "Nearest misses"
        for number, miss in enumerate(whole.nearest, 1):
            yield from _miss(number, miss)


_TYPE_MARKS = {Standing.ALLOWS: YES, Standing.DENIES: NO, Standing.OWES: NO}


def _type(type: ExplainedType) -> Iterator[str]:
    why = f" ({type.why})" if type.why else ""
    yield f"{_TYPE_MARKS.get(type.standing, NEITHER)} {type.type}: {type.standing}{why}"
    for level in type.levels:
        depth = 1
        if level.number is not None:
            depth = 2
            says = "" if level.allows else ": no Allow applies here"
            yield f"{_INDENT}{_mark(level.allows)} level {level.number}{says}"
        for policy in level.policies:
            yield from (_INDENT * depth + line for line in _policy(policy))


def _policy(policy: ExplainedPolicy) -> Iterator[str]:
    yield shown(policy.name) + (f" ({shown(policy.arn)})" if policy.arn else "")
    for statement in policy.statements:
        says = "applies" if statement.applies else "does not apply"
        decides = ", and decides" if statement.decides else ""
        note = f" ({statement.note})" if statement.note else ""
        name = statement_name(statement.effect, statement.index, statement.sid, statement.line)
        yield f"{_INDENT}{_mark(statement.applies)} {name}: {says}{decides}{note}"
        yield from (_INDENT * 2 + _element(element) for element in statement.elements)


def _element(element: Element) -> str:
    name = element.name if element.operator is None else f"{element.operator} {shown(str(element.key))}"
    wanted = f" {_list(element.wanted)}" if element.wanted else ""
    return f"{_mark(element.matched)} {name}{wanted}" + (f": {element.note}" if element.note else "")


def _list(wanted: Sequence[Wanted]) -> str:
    return ", ".join(quoted(each.written) + _variables(each.variables) for each in wanted)


def _variables(variables: Sequence[FilledVariable]) -> str:
    filled = [f"{shown(variable.name)} {_value(variable.value)}" for variable in variables]
    return f" ({', '.join(filled)})" if filled else ""


def _value(value: str | None) -> str:
    return "has no value" if value is None else f"is {quoted(value)}"


def _miss(number: int, miss: Miss) -> Iterator[str]:
    level = "" if miss.level is None else f" at level {miss.level}"
    name = statement_name(miss.effect, miss.statement, miss.sid, miss.line)
    yield f"{_INDENT}{number}. {name} of {shown(miss.policy)} ({miss.type}{level})"
    yield f"{_INDENT * 2}{miss.change}"
    yield f"{_INDENT * 2}then: {miss.outcome}"


def statement_name(effect: str, index: int, sid: str | None, line: int | None) -> str:
    """Name a statement for people: `Deny Statement[2] `NoSecrets`, line 7`; the index counts from 0."""
    named = f" {quoted(sid)}" if sid else ""
    return f"{effect} Statement[{index}]{named}" + ("" if line is None else f", line {line}")


def either(texts: Sequence[str]) -> str:
    """Enumerate texts of a policy or a request: `a`, `b` or `c`; a long list is cut short."""
    quotes = [quoted(text) for text in texts[:_ENUMERATED]]
    if len(texts) > _ENUMERATED:
        return f"{', '.join(quotes)} or {len(texts) - _ENUMERATED} more"
    return " or ".join(filter(None, [", ".join(quotes[:-1]), *quotes[-1:]]))


def _mark(is_yes: bool) -> str:
    return YES if is_yes else NO
