"""Compile one statement of a policy (rules M-1 to M-7, M-26, G-27, G-31).

Each element has a matcher of its own, so that an explanation can report which one did not match. A matcher is compiled
on first use, because most statements are never evaluated beyond their action. Two threads that compile one at the same
time get equal matchers. Errors are not caught (rule C-45: `matching_statements` denies).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from iam_guard.evaluation.matching.condition import Condition, compile_condition
from iam_guard.evaluation.matching.pattern import Matcher, always, compile_texts, is_literal, never, read_wildcards
from iam_guard.evaluation.matching.principal import PrincipalMatch, Principals
from iam_guard.evaluation.matching.resource import ResourceMatcher, compile_resources
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import Effect, Statement
from iam_guard.policy.grammar import RESOURCE_IS_OPTIONAL, split_operator


class CompiledStatement:
    """A compiled statement; created by `compile_statement`.

    `action_literals` are the actions in lower case if `Action` has only literals, else None.
    """

    def __init__(self, statement: Statement, version: str, policy_type: PolicyType) -> None:
        self.statement = statement
        self.denies = statement.effect is Effect.DENY
        self.action_literals = _action_literals(statement)
        self._version = version
        self._policy_type = policy_type

    @cached_property
    def matches_action(self) -> Matcher:
        """The test of an action in lower case."""
        return _actions(self.statement)

    @cached_property
    def matches_resource(self) -> ResourceMatcher:
        """The test of a request's resource."""
        return _resources(self.statement, self._version, self._policy_type)

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """The tests of `statement.conditions`, in their order."""
        return tuple(compile_condition(test, self._version) for test in self.statement.conditions)

    @cached_property
    def matches_conditions(self) -> Condition:
        """The test of all conditions."""
        return _all_of(self.conditions)

    def applies(self, request: AccessRequest, folded_action: str) -> bool:
        """Return whether every element except the principal matches (rule M-1)."""
        return (
            self.matches_action(folded_action) and self.matches_resource(request) and self.matches_conditions(request)
        )

    def principal_match(self, principal: Principal) -> PrincipalMatch | None:
        """Return how the statement names the caller; None if it does not, or has no principals (rule G-31)."""
        if self._principals is not None:
            return self._principals.match(principal)
        if self._not_principals is None or not self.denies:
            return None  # G-31, G-34
        return None if self._not_principals.exempts(principal) else PrincipalMatch.DIRECT  # E-70

    @cached_property
    def _principals(self) -> Principals | None:
        return _principals(self.statement.principals)

    @cached_property
    def _not_principals(self) -> Principals | None:
        return _principals(self.statement.not_principals)

    def __repr__(self) -> str:
        return f"CompiledStatement({self.statement.effect.value} #{self.statement.index})"


def compile_statement(statement: Statement, version: str, policy_type: PolicyType) -> CompiledStatement:
    """Compile a statement of a policy of `version` and `policy_type`; raise `PolicyError` for an unknown operator."""
    for test in statement.conditions:
        split_operator(test.operator)  # G-66: on compilation, not during a request
    return CompiledStatement(statement, version, policy_type)


def _principals(entries: Sequence[tuple[str, str]] | None) -> Principals | None:
    return None if entries is None else Principals(entries)


def _action_literals(statement: Statement) -> frozenset[str] | None:
    if statement.actions is None or not all(map(is_literal, statement.actions)):
        return None
    return frozenset(action.lower() for action in statement.actions)


def _actions(statement: Statement) -> Matcher:
    if statement.actions is not None:
        return _any_action(statement.actions)
    if statement.not_actions is not None:
        listed = _any_action(statement.not_actions)
        return lambda action: not listed(action)  # M-2
    return never


def _any_action(actions: Sequence[str]) -> Matcher:
    return compile_texts([action.lower() for action in actions], read_wildcards)  # M-3, M-7


def _resources(statement: Statement, version: str, policy_type: PolicyType) -> ResourceMatcher:
    if statement.resources is not None:
        return compile_resources(statement.resources, version)
    if statement.not_resources is not None:
        listed = compile_resources(statement.not_resources, version)
        return lambda request: not listed(request)  # M-2, V-10
    return always if policy_type in RESOURCE_IS_OPTIONAL else never  # M-26


def _all_of(conditions: Sequence[Condition]) -> Callable[[AccessRequest], bool]:
    if len(conditions) <= 1:
        return conditions[0] if conditions else always  # C-6
    if len(conditions) == 2:
        first, second = conditions
        return lambda request: first(request) and second(request)

    def are_met(request: AccessRequest) -> bool:
        for condition in conditions:  # noqa: SIM110  a generator would double the cost
            if not condition(request):
                return False
        return True

    return are_met
