"""The results of every statement and element for one request: the data of policy coverage.

An element counts only if those before it matched, in the order principal, action, resource, conditions: a request about
users does not cover a condition on documents. Each condition counts separately. Only policies that apply to the caller
count. `matching_statements` decides whether a statement applies, and the compiled statement whether an element matches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from iam_guard.evaluation.applicable_types import applicable_policies, is_bounded
from iam_guard.evaluation.bundle import Bundle
from iam_guard.evaluation.compiler import CompiledDocument, CompiledPolicy
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.evaluation.matching_statements import hit_of, names_caller
from iam_guard.evaluation.special_actions import needs_no_permission
from iam_guard.model.decision import PolicyRef
from iam_guard.model.request import AccessRequest
from iam_guard.policy.grammar import ACTIONS, WITH_PRINCIPAL

CONDITION = "Condition"
"""The name of a condition is this and its index in the statement: `Condition/0`."""


class StatementResult(NamedTuple):
    """The result of one statement.

    `elements` are those that were evaluated, each with its result; one with an error is omitted (rule C-45).
    """

    policy: PolicyRef
    content: CompiledDocument
    statement: int
    applies: bool
    elements: tuple[tuple[str, bool], ...]


def evaluate_statements(request: AccessRequest, policies: Bundle) -> Iterator[StatementResult]:
    """Evaluate a valid request against every statement of the policies that apply to its caller."""
    action = request.action.lower()  # M-3
    if needs_no_permission(action, request.principal):
        return  # E-66: no policy is evaluated
    policies = applicable_policies(request, action, policies)
    bounded = is_bounded(request, policies)
    for policy in policies:
        names_principals = policy.ref.type in WITH_PRINCIPAL
        for compiled in policy.content.statements:
            if not names_principals and not compiled.matches_action(action):  # nearly all of a long policy
                name = "Action" if compiled.statement.not_actions is None else "NotAction"
                yield StatementResult(policy.ref, policy.content, compiled.statement.index, False, _NOT_ABOUT[name])
                continue
            hit = hit_of(policy, compiled, request, action, bounded=bounded)
            elements = tuple(_elements(policy, compiled, request, bounded=bounded))
            yield StatementResult(policy.ref, policy.content, compiled.statement.index, hit is not None, elements)


_NOT_ABOUT = {name: ((name, False),) for name in ACTIONS}


def _elements(
    policy: CompiledPolicy, compiled: CompiledStatement, request: AccessRequest, *, bounded: bool
) -> Iterator[tuple[str, bool]]:
    """Yield the result of each element, up to the first that does not match or cannot be evaluated."""
    for name, test in _in_order(policy, compiled, request, bounded=bounded):
        result = _result(test)
        if result is not None:
            yield name, result
        if not result:
            return
    for number, condition in enumerate(compiled.conditions):
        result = _result(partial(condition, request))
        if result is not None:
            yield f"{CONDITION}/{number}", result


def _in_order(
    policy: CompiledPolicy, compiled: CompiledStatement, request: AccessRequest, *, bounded: bool
) -> Iterator[tuple[str, Callable[[], bool]]]:
    written = compiled.statement
    if policy.ref.type in WITH_PRINCIPAL:
        name = "Principal" if written.not_principals is None else "NotPrincipal"
        yield name, partial(names_caller, compiled, request, bounded=bounded)
    name = "Action" if written.not_actions is None else "NotAction"
    yield name, partial(compiled.matches_action, request.action.lower())
    name = "Resource" if written.not_resources is None else "NotResource"
    yield name, partial(compiled.matches_resource, request)


def _result(test: Callable[[], bool]) -> bool | None:
    """Return the result of one element; None if it raises, which `matching_statements` logs and denies."""
    try:
        return test()
    except Exception:  # noqa: BLE001  nothing is decided here
        return None
