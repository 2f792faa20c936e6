"""Find the nearest misses: statements that would apply after one change, and Denies to remove.

For a denial: the Denies that apply, and the Allow statements with exactly one failing element where an Allow is needed
or would be sufficient. For an Allow: the Deny statements with exactly one failing element. The outcome of each change
is decided with the changed policies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import Any, NamedTuple

from iam_guard.evaluation.applicable_types import applicable_policies
from iam_guard.evaluation.bundle import Bundle, Levels
from iam_guard.evaluation.compiler import CompiledDocument, CompiledPolicy
from iam_guard.evaluation.evaluator import decide, evaluate_allows
from iam_guard.evaluation.explanation import Element, ExplainedStatement, ExplainedType, NearMiss
from iam_guard.evaluation.policy_layer import Layer
from iam_guard.model.decision import Outcome, PolicyType
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import Effect, Statement

MAX_MISSES = 20
"""Maximum number of misses in an explanation."""
_MAX_CANDIDATES = 500
"""Maximum number of candidates that are decided; a policy may have thousands of statements about other actions."""

_LEVELS = {PolicyType.SCP: "scps", PolicyType.RCP: "rcps"}
_LAYERS = {
    PolicyType.IDENTITY: "identity",
    PolicyType.RESOURCE: "resource",
    PolicyType.TRUST: "resource",
    PolicyType.BOUNDARY: "boundary",
    PolicyType.SESSION: "session",
    PolicyType.VPC_ENDPOINT: "vpc_endpoint",
}
_BYPASSED = {PolicyType.IDENTITY, PolicyType.BOUNDARY, PolicyType.SESSION}
"""The policy types that a resource-based Allow can make unnecessary (rule E-30)."""

_RANKS = {name: rank for rank, name in enumerate(("Condition", "Resource", "NotResource", "Action", "NotAction"))}


class _Place(NamedTuple):
    """One statement and its place in the bundle; `level` and `policy` count from 0."""

    type: PolicyType
    level: int
    policy: int
    statement: ExplainedStatement
    level_allows: bool


def nearest(
    request: AccessRequest, policies: Bundle, types: tuple[ExplainedType, ...], outcome: Outcome
) -> tuple[NearMiss, ...]:
    """Return the nearest misses; first those that change the outcome, then by the ease of the change."""
    if outcome is Outcome.ALLOWED:
        candidates = _one_step_away(types, Effect.DENY)
    else:
        candidates = chain(_applying_denies(types), _near_allows(request, policies, types))
    misses = [_miss(request, policies, place, failing) for place, failing in islice(candidates, _MAX_CANDIDATES)]
    misses.sort(key=lambda miss: (miss.outcome is outcome, _RANKS.get(miss.element or "Condition", len(_RANKS))))
    return tuple(misses[:MAX_MISSES])


# --- candidates --------------------------------------------------------------------------------------------------


def _places(types: tuple[ExplainedType, ...], effect: Effect) -> Iterator[_Place]:
    for type in types:
        for level_index, level in enumerate(type.levels):
            for policy_index, policy in enumerate(level.policies):
                for statement in policy.statements:
                    if statement.effect == effect:
                        yield _Place(type.type, level_index, policy_index, statement, level.allows)


def _one_step_away(types: tuple[ExplainedType, ...], effect: Effect) -> Iterator[tuple[_Place, Element | None]]:
    for place in _places(types, effect):
        failing = [element for element in place.statement.elements if not element.matched]
        if len(failing) == 1 and failing[0].error is None:
            yield place, failing[0]


def _applying_denies(types: tuple[ExplainedType, ...]) -> Iterator[tuple[_Place, Element | None]]:
    return ((place, None) for place in _places(types, Effect.DENY) if place.statement.applies)


def _near_allows(
    request: AccessRequest, policies: Bundle, types: tuple[ExplainedType, ...]
) -> Iterator[tuple[_Place, Element | None]]:
    """Yield the Allow statements one change away that would supply a missing Allow, or make it unnecessary."""
    action = request.action.lower()
    _, missing = evaluate_allows(request, action, applicable_policies(request, action, policies))
    for place, failing in _one_step_away(types, Effect.ALLOW):
        if place.type in missing:
            if not place.level_allows:
                yield place, failing
        elif _LAYERS.get(place.type) == "resource" and _BYPASSED.intersection(missing):
            changed = applicable_policies(request, action, _with_the_change(policies, place, failing))
            _, still_missing = evaluate_allows(request, action, changed)
            if len(still_missing) < len(missing):
                yield place, failing


# --- the outcome after the change --------------------------------------------------------------------------------


def _miss(request: AccessRequest, policies: Bundle, place: _Place, failing: Element | None) -> NearMiss:
    statement = place.statement
    return NearMiss(
        type=place.type,
        level=place.level + 1 if place.type in _LEVELS else None,
        policy=_layer(policies, place)[place.policy].ref.name,
        statement=statement.index,
        sid=statement.sid,
        line=statement.line,
        effect=statement.effect,
        element=None if failing is None else failing.name,
        change=(failing and failing.change) or "this Deny would have to be removed or narrowed",
        outcome=decide(request, _with_the_change(policies, place, failing)).outcome,
    )


def _with_the_change(policies: Bundle, place: _Place, failing: Element | None) -> Bundle:
    """Return the bundle in which the statement applies, without the failing element; without it if none failed."""
    layer = _layer(policies, place)
    policy = layer[place.policy]
    document = policy.content.document
    written = document.statements[place.statement.index]
    if failing is not None:
        statements: tuple[Statement, ...] = (_without(written, place.statement, failing),)
        rest: tuple[CompiledPolicy, ...] = layer
    else:
        statements = tuple(statement for statement in document.statements if statement is not written)
        rest = layer[: place.policy] + layer[place.policy + 1 :]
    changed = CompiledPolicy(policy.ref, CompiledDocument(replace(document, statements=statements)))
    return _with_layer(policies, place, Layer((*rest, changed)))


def _without(written: Statement, explained: ExplainedStatement, failing: Element) -> Statement:
    """Return the statement without the failing condition, or with a `*` for the failing element."""
    match failing.name:
        case "Condition":
            conditions = [element for element in explained.elements if element.name == "Condition"]
            kept = zip(written.conditions, conditions, strict=True)
            return replace(written, conditions=tuple(test for test, element in kept if element is not failing))
        case "Action" | "NotAction":
            return replace(written, actions=("*",), not_actions=None)
        case "Resource" | "NotResource":
            return replace(written, resources=("*",), not_resources=None)
        case _:
            return replace(written, principals=(("AWS", "*"),), not_principals=None)


def _layer(policies: Bundle, place: _Place) -> Layer:
    value = getattr(policies, _LEVELS.get(place.type) or _LAYERS[place.type])
    layer: Layer = value[place.level] if place.type in _LEVELS else value
    return layer


def _with_layer(policies: Bundle, place: _Place, layer: Layer) -> Bundle:
    changes: dict[str, Any] = {}
    if place.type in _LEVELS:
        name = _LEVELS[place.type]
        levels: Levels = getattr(policies, name)
        changes[name] = (*levels[: place.level], layer, *levels[place.level + 1 :])
    else:
        changes[_LAYERS[place.type]] = layer
    return replace(policies, **changes)
