"""An explanation as a tree of values, from the outcome to the single entry of an element, as text and as JSON.

The JSON form is the tree itself: the field names are the keys. The text form escapes control characters in all input.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import StrEnum

from iam_guard.model.decision import Outcome, PolicyType
from iam_guard.policy.grammar import quoted, shown

YES, NO, NEITHER = "✓", "✗", "–"
"""Matched, not matched, not evaluated."""

_INDENT = "    "
_MAX_LISTED = 5


class Standing(StrEnum):
    """The effect of a policy type on the request."""

    DENIES = "a Deny applies"
    ALLOWS = "an Allow applies"
    LACKS_ALLOW = "no Allow applies, and one is needed"
    NEUTRAL = "no Allow applies, and none is needed"
    ABSENT = "says nothing"
    EXEMPT = "does not apply"


@dataclass(frozen=True, slots=True)
class FilledVariable:
    """A policy variable and its value; None for no value (rules V-8, V-9), or if the value is `unknown`."""

    name: str
    value: str | None
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class ExplainedEntry:
    """One entry of an element, as written. `matched`: the element would match if this were its only entry."""

    written: str
    matched: bool
    variables: tuple[FilledVariable, ...] = ()


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a statement, or one condition of it.

    `name` is the element's; a condition has the name `Condition`, and `operator` and `key`. `wanted` are the policy's
    entries, `seen` the request's values; `missing`: the request lacks the condition key; `unknown`: the record of the
    request lacks its value, which counts as missing. `error` is the class of an evaluation error. `change` is the
    change that would make the element match; None if it matches.
    """

    name: str
    matched: bool
    wanted: tuple[ExplainedEntry, ...] = ()
    seen: tuple[str, ...] = ()
    operator: str | None = None
    key: str | None = None
    missing: bool = False
    note: str = ""
    change: str | None = None
    error: str | None = None
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class ExplainedStatement:
    """One statement: `applies` if all its elements match; `decides` if the decision reports it."""

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
    """The policies of one level. `number` is the level of SCPs and RCPs, from 1, the root first; otherwise None."""

    number: int | None
    allows: bool
    policies: tuple[ExplainedPolicy, ...]


@dataclass(frozen=True, slots=True)
class ExplainedType:
    """One policy type. `why` explains why it is absent or does not apply, or why it allows nothing."""

    type: PolicyType
    standing: Standing
    why: str | None
    levels: tuple[ExplainedLevel, ...] = ()


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A statement that would apply after one change, or a Deny that applies.

    `element` is the element that failed; None for a Deny that applies. `outcome` is the outcome after that change.
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

    `reasons` are sentences. `types` is empty if no policy was evaluated. `nearest` has at most `near_misses.MAX_MISSES`
    entries, the most promising first.
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
    nearest: tuple[NearMiss, ...] = ()
    epoch: int | None = None
    stale: bool = False

    def to_dict(self) -> dict[str, object]:
        """Return the tree as JSON values; the keys are the field names of the classes above."""
        return {name: _plain(getattr(self, name)) for name in _names(self)}

    def text(self) -> str:
        """Return the tree as indented text, one element per line, without a final line break."""
        return "\n".join(_explanation(self))


def without_organization(whole: Explanation) -> Explanation:
    """Return the explanation without the organization's policies, which belong to the management account.

    The standing of these policy types is kept.
    """
    types = tuple(replace(type, levels=()) if type.type in _ORGANIZATION else type for type in whole.types)
    denying = (Standing.DENIES, Standing.LACKS_ALLOW)
    decides = any(type.type in _ORGANIZATION and type.standing in denying for type in types)
    nearest = tuple(miss for miss in whole.nearest if miss.type not in _ORGANIZATION)
    return replace(whole, types=types, nearest=nearest, reasons=() if decides else whole.reasons)


_ORGANIZATION = frozenset({PolicyType.SCP, PolicyType.RCP, PolicyType.VPC_ENDPOINT})


def _names(value: object) -> Iterator[str]:
    return (field.name for field in fields(value))  # type: ignore[arg-type]  # called for dataclasses only


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
        yield f"{_INDENT}the request could not be decided: {shown(whole.error)}"
    if whole.stale:
        yield f"{_INDENT}the store could not be reached; decided with cached policies"
    for type in whole.types:
        yield ""
        yield from _type(type)
    if whole.nearest:
        yield ""
        yield "Nearest misses"
        for number, miss in enumerate(whole.nearest, 1):
            yield from _miss(number, miss)


_TYPE_MARKS = {Standing.ALLOWS: YES, Standing.DENIES: NO, Standing.LACKS_ALLOW: NO}


def _type(type: ExplainedType) -> Iterator[str]:
    why = f" ({type.why})" if type.why else ""
    yield f"{_TYPE_MARKS.get(type.standing, NEITHER)} {type.type}: {type.standing}{why}"
    for level in type.levels:
        depth = 1
        if level.number is not None:
            depth = 2
            result = "" if level.allows else ": no Allow applies here"
            yield f"{_INDENT}{_mark(level.allows)} level {level.number}{result}"
        for policy in level.policies:
            yield from (_INDENT * depth + line for line in _policy(policy))


def _policy(policy: ExplainedPolicy) -> Iterator[str]:
    yield shown(policy.name) + (f" ({shown(policy.arn)})" if policy.arn else "")
    for statement in policy.statements:
        result = "applies" if statement.applies else "does not apply"
        decides = ", and decides" if statement.decides else ""
        note = f" ({statement.note})" if statement.note else ""
        name = statement_name(statement.effect, statement.index, statement.sid, statement.line)
        yield f"{_INDENT}{_mark(statement.applies)} {name}: {result}{decides}{note}"
        yield from (_INDENT * 2 + _element(element) for element in statement.elements)


def _element(element: Element) -> str:
    name = element.name if element.operator is None else f"{element.operator} {shown(str(element.key))}"
    entries = f" {_list(element.wanted)}" if element.wanted else ""
    return f"{_mark(element.matched)} {name}{entries}" + (f": {element.note}" if element.note else "")


def _list(entries: Sequence[ExplainedEntry]) -> str:
    return ", ".join(quoted(entry.written) + _variables(entry.variables) for entry in entries)


def _variables(variables: Sequence[FilledVariable]) -> str:
    filled = [f"{shown(variable.name)} {_value(variable)}" for variable in variables]
    return f" ({', '.join(filled)})" if filled else ""


def _value(variable: FilledVariable) -> str:
    if variable.value is None:
        return "was not recorded" if variable.unknown else "has no value"
    return f"{'was not recorded, and counts as' if variable.unknown else 'is'} {quoted(variable.value)}"


def _miss(number: int, miss: NearMiss) -> Iterator[str]:
    level = "" if miss.level is None else f" at level {miss.level}"
    name = statement_name(miss.effect, miss.statement, miss.sid, miss.line)
    yield f"{_INDENT}{number}. {name} of {shown(miss.policy)} ({miss.type}{level})"
    yield f"{_INDENT * 2}{miss.change}"
    yield f"{_INDENT * 2}then: {miss.outcome}"


def statement_name(effect: str, index: int, sid: str | None, line: int | None) -> str:
    """Return the display name of a statement: `Deny Statement[2] `NoSecrets`, line 7`; the index counts from 0."""
    name = f" {quoted(sid)}" if sid else ""
    return f"{effect} Statement[{index}]{name}" + ("" if line is None else f", line {line}")


def either(texts: Sequence[str]) -> str:
    """Return a list of texts as a phrase: `a`, `b` or `c`; a long list is shortened."""
    quotes = [quoted(text) for text in texts[:_MAX_LISTED]]
    if len(texts) > _MAX_LISTED:
        return f"{', '.join(quotes)} or {len(texts) - _MAX_LISTED} more"
    return " or ".join(filter(None, [", ".join(quotes[:-1]), *quotes[-1:]]))


def _mark(is_yes: bool) -> str:
    return YES if is_yes else NO
