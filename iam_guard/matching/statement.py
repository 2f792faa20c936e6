"""One statement of a policy, compiled: does it apply to this request? (rules M-1 to M-7, M-26, G-27, G-31)

Everything that can be computed once per statement is computed here once; a decision only calls. Each element can be
asked by itself, so that an explanation can say which one did not match. Errors are not caught (rule C-45: the evaluator
turns them into a denial). Must not live here: the elements themselves (`resource`, `condition`, `principal`), several
statements (`evaluation`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from iam_guard.matching.condition import Condition, compile_condition
from iam_guard.matching.pattern import Matcher, always, compile_any, is_literal, never, read_wildcards
from iam_guard.matching.principal import Kinship, Principals
from iam_guard.matching.resource import ResourceMatcher, compile_resources
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import Effect, Statement
from iam_guard.policy.grammar import RESOURCE_IS_OPTIONAL


class CompiledStatement:
    """A statement as the evaluator uses it; made by `compile_statement`.

    `action_literals` are the actions in lower case where the statement has an `Action` of literals only, else None.
    `matches_action` takes the action in lower case. `conditions` stand in the order of `statement.conditions`.
    """

    __slots__ = (
        "_not_principals",
        "_principals",
        "action_literals",
        "conditions",
        "denies",
        "effect",
        "matches_action",
        "matches_conditions",
        "matches_resource",
        "statement",
    )

    def __init__(self, statement: Statement, version: str, policy_type: PolicyType) -> None:
        self.statement = statement
        self.effect = statement.effect
        self.denies = statement.effect is Effect.DENY
        self.action_literals = _action_literals(statement)
        self.conditions = tuple(compile_condition(test, version) for test in statement.conditions)
        self.matches_action: Matcher = _actions(statement)
        self.matches_resource: ResourceMatcher = _resources(statement, version, policy_type)
        self.matches_conditions: Condition = _all_of(self.conditions)
        self._principals = _principals(statement.principals)
        self._not_principals = _principals(statement.not_principals)

    def applies(self, request: AccessRequest, folded_action: str) -> bool:
        """Tell whether everything but the principal matches (rule M-1)."""
        return (
            self.matches_action(folded_action) and self.matches_resource(request) and self.matches_conditions(request)
        )

    def kinship(self, principal: Principal) -> Kinship | None:
        """Tell how the statement names the caller; None when it does not, or names nobody at all (rule G-31)."""
        if self._principals is not None:
            return self._principals.match(principal)
        if self._not_principals is None or not self.denies:
            return None  # G-31, G-34
        return None if self._not_principals.exempts(principal) else Kinship.DIRECT  # E-70

    def __repr__(self) -> str:
        return f"CompiledStatement({self.effect.value} #{self.statement.index})"


def compile_statement(statement: Statement, version: str, policy_type: PolicyType) -> CompiledStatement:
    """Compile a statement of a policy of `version` and `policy_type`; raise `PolicyError` for an unknown operator."""
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
    return compile_any(read_wildcards(action.lower()) for action in actions)  # M-3, M-7


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

    def are_met(request: AccessRequest) -> bool:
        for condition in conditions:  # noqa: SIM110  a generator would double the cost
            if not condition(request):
                return False
        return True

    return are_met
