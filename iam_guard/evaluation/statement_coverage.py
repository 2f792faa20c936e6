"""What one request makes true and false, statement by statement: the raw material of policy coverage.

An element counts only where those before it matched, in the order principal, action, resource, conditions: a condition
on a key of documents is not tried by a request about users. The conditions of one statement count each by itself. Only
policies are looked at that apply to this kind of caller. Nothing is matched in a second way here: whether a statement
applies is `matching_statements`'s answer, an element's the compiled statement's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from iam_guard.evaluation.applicable_types import applying, is_bounded
from iam_guard.evaluation.bundle import Bundle
from iam_guard.evaluation.compiler import CompiledDocument, CompiledPolicy
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.evaluation.matching_statements import hit_of, reaches
from iam_guard.evaluation.special_actions import needs_no_permission
from iam_guard.model.decision import PolicyRef
from iam_guard.model.request import AccessRequest
from iam_guard.policy.grammar import ACTIONS, WITH_PRINCIPAL

CONDITION = "Condition"
"""What the name of a condition begins with; its place among those of its statement follows: `Condition/0`."""


class Exercised(NamedTuple):
    """One statement that a request was held against.

    `elements` are those that were asked, each with its answer; one that could not be evaluated has none (rule C-45).
    """

    policy: PolicyRef
    content: CompiledDocument
    statement: int
    applies: bool
    elements: tuple[tuple[str, bool], ...]


def exercise(request: AccessRequest, policies: Bundle) -> Iterator[Exercised]:
    """Hold a request that can be decided against every statement of the policies that apply to its caller."""
    action = request.action.lower()  # M-3
    if needs_no_permission(action, request.principal):
        return  # E-66: no policy was asked
    policies = applying(request, action, policies)
    bounded = is_bounded(request, policies)
    for policy in policies:
        names_principals = policy.ref.type in WITH_PRINCIPAL
        for compiled in policy.content.statements:
            if not names_principals and not compiled.matches_action(action):  # nearly all of a long policy
                name = "Action" if compiled.statement.not_actions is None else "NotAction"
                yield Exercised(policy.ref, policy.content, compiled.statement.index, False, _NOT_ABOUT[name])
                continue
            hit = hit_of(policy, compiled, request, action, bounded=bounded)
            elements = tuple(_elements(policy, compiled, request, bounded=bounded))
            yield Exercised(policy.ref, policy.content, compiled.statement.index, hit is not None, elements)


_NOT_ABOUT = {name: ((name, False),) for name in ACTIONS}


def _elements(
    policy: CompiledPolicy, compiled: CompiledStatement, request: AccessRequest, *, bounded: bool
) -> Iterator[tuple[str, bool]]:
    """Ask one element after the other; nothing after one that does not match, or cannot be evaluated."""
    for name, ask in _in_order(policy, compiled, request, bounded=bounded):
        answer = _answer(ask)
        if answer is not None:
            yield name, answer
        if not answer:
            return
    for number, condition in enumerate(compiled.conditions):
        answer = _answer(partial(condition, request))
        if answer is not None:
            yield f"{CONDITION}/{number}", answer


def _in_order(
    policy: CompiledPolicy, compiled: CompiledStatement, request: AccessRequest, *, bounded: bool
) -> Iterator[tuple[str, Callable[[], bool]]]:
    written = compiled.statement
    if policy.ref.type in WITH_PRINCIPAL:
        name = "Principal" if written.not_principals is None else "NotPrincipal"
        yield name, partial(_names, compiled, request, bounded=bounded)
    name = "Action" if written.not_actions is None else "NotAction"
    yield name, partial(compiled.matches_action, request.action.lower())
    name = "Resource" if written.not_resources is None else "NotResource"
    yield name, partial(compiled.matches_resource, request)


def _names(compiled: CompiledStatement, request: AccessRequest, *, bounded: bool) -> bool:
    if compiled.denies:
        return reaches(compiled, request, bounded=bounded)
    return compiled.kinship(request.principal) is not None


def _answer(ask: Callable[[], bool]) -> bool | None:
    """Ask one element; None for a fault in evaluating it, which `hits` has told of and turned into a denial."""
    try:
        return ask()
    except Exception:  # noqa: BLE001  nothing is decided here
        return None
