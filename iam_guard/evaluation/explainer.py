"""Explain a decision: every policy type, policy and statement is evaluated again (rules F, I).

The outcome is the evaluator's, `matching_statements` decides whether a statement applies, and the compiled statement
whether an element matches. Nothing is cached.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from iam_guard.evaluation.applicable_types import (
    applicable_policies,
    identity_exemption,
    is_bounded,
    rcp_exemption,
    scp_exemption,
    session_exemption,
)
from iam_guard.evaluation.bundle import Bundle, Levels
from iam_guard.evaluation.compiler import CompiledPolicy
from iam_guard.evaluation.element_explanation import explain_elements
from iam_guard.evaluation.evaluator import decide, evaluate_allows
from iam_guard.evaluation.explanation import (
    ExplainedLevel,
    ExplainedPolicy,
    ExplainedStatement,
    ExplainedType,
    Explanation,
    Standing,
    statement_name,
)
from iam_guard.evaluation.matching.principal import PrincipalMatch
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.evaluation.matching_statements import hit_of
from iam_guard.evaluation.near_misses import nearest
from iam_guard.evaluation.policy_layer import Hit, Layer
from iam_guard.evaluation.special_actions import needs_no_permission, resource_policy_type
from iam_guard.model.decision import Decision, PolicyType, Reason
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import Effect
from iam_guard.policy.grammar import quoted


def explain(request: AccessRequest, policies: Bundle) -> Explanation:
    """Decide the request again and explain the decision; never raises for a denial."""
    decision = decide(request, policies)
    explanation = explain_without_policies(decision)
    action = request.action.lower()
    if decision.error is not None or needs_no_permission(action, request.principal):
        return explanation
    types = _TreeBuilder(request, action, policies, decision).types()
    return replace(explanation, types=types, nearest=nearest(request, policies, types, decision.outcome))


def explain_without_policies(decision: Decision) -> Explanation:
    """Explain a decision that no policy was evaluated for."""
    request = decision.request
    return Explanation(
        outcome=decision.outcome,
        principal=request.principal.arn,
        principal_type=request.principal.type.value,
        action=request.action,
        resource=request.resource,
        resource_account=request.owner,
        message=decision.message(),
        reasons=tuple(_sentence(reason) for reason in decision.reasons),
        error=decision.error,
        epoch=decision.epoch,
        stale=decision.stale,
    )


class NoPoliciesExplainer:
    """Explains decisions that were made before any policy was evaluated."""

    policy_set = None

    def explain_decision(self, decision: Decision) -> Explanation:
        """Return the decision as an explanation."""
        return explain_without_policies(decision)


def _sentence(reason: Reason) -> str:
    if reason.policy is not None and reason.effect is not None and reason.statement is not None:
        name = statement_name(reason.effect, reason.statement, reason.sid, reason.line)
        return f"{name} of {quoted(reason.policy.name)} ({reason.policy_type}) applies"
    return reason.note or f"no {reason.policy_type} allows it"


# --- the tree ----------------------------------------------------------------------------------------------------

_ABSENT = {
    PolicyType.SCP: "the caller's account is in no organization, or is its management account",
    PolicyType.RCP: "the resource's account is in no organization, or is its management account",
    PolicyType.RESOURCE: "the resource has no policy",
    PolicyType.TRUST: "the role has no trust policy",
    PolicyType.IDENTITY: "none is attached to the caller",
    PolicyType.BOUNDARY: "none is attached to the caller",
    PolicyType.SESSION: "none was passed",
    PolicyType.VPC_ENDPOINT: "the request did not come through an endpoint that has one",
}


class _TreeBuilder:
    """Builds the tree of one explanation."""

    def __init__(self, request: AccessRequest, action: str, policies: Bundle, decision: Decision) -> None:
        self._request = request
        self._action = action
        self._all_policies = policies
        self._policies = applicable_policies(request, action, policies)
        self._bounded = is_bounded(request, self._policies)
        _, missing = evaluate_allows(request, action, self._policies)
        self._missing = frozenset(missing)
        self._deciding = {(reason.policy, reason.statement, reason.effect) for reason in decision.reasons}

    def types(self) -> tuple[ExplainedType, ...]:
        """Explain each policy type, in the order of rule E-90."""
        request, policies = self._request, self._policies
        resource_type = resource_policy_type(self._action, request.resource)
        no_scps = scp_exemption(request.principal)
        no_rcps = rcp_exemption(request, self._action, own=self._all_policies.own_service)
        no_identity = identity_exemption(request.principal)
        return (
            self._type(PolicyType.SCP, policies.scps, no_scps),
            self._type(PolicyType.RCP, policies.rcps, no_rcps),
            self._type(resource_type, _as_level(policies.resource)),
            self._type(PolicyType.IDENTITY, _as_level(policies.identity), no_identity),
            self._type(PolicyType.BOUNDARY, _as_level(policies.boundary), no_identity),
            self._type(PolicyType.SESSION, _as_level(policies.session), session_exemption(request.principal)),
            self._type(PolicyType.VPC_ENDPOINT, _as_level(policies.vpc_endpoint)),
        )

    def _type(self, type: PolicyType, levels: Levels | None, exempt: str | None = None) -> ExplainedType:
        if exempt is not None:
            return ExplainedType(type, Standing.EXEMPT, exempt)
        explained = tuple(self._levels(type, levels or ()))
        return ExplainedType(type, *self._standing(type, levels, explained), explained)

    def _standing(
        self, type: PolicyType, levels: Levels | None, explained: tuple[ExplainedLevel, ...]
    ) -> tuple[Standing, str | None]:
        effects = {
            statement.effect
            for level in explained
            for policy in level.policies
            for statement in policy.statements
            if statement.applies
        }
        why = None if any(level.policies for level in explained) else self._absence(type, levels)
        if Effect.DENY in effects:
            return Standing.DENIES, why
        if type in self._missing:
            return Standing.LACKS_ALLOW, why
        if why is not None:
            return Standing.ABSENT, why
        return (Standing.ALLOWS if all(level.allows for level in explained) else Standing.NEUTRAL), None

    def _absence(self, type: PolicyType, levels: Levels | None) -> str:
        if levels is not None and type not in (PolicyType.IDENTITY, PolicyType.RESOURCE, PolicyType.TRUST):
            return "the list is empty, and so allows nothing"
        if type is PolicyType.SESSION and self._request.principal.type is PrincipalType.FEDERATED_USER:
            return "none was passed, and without one a federated user has no permissions"
        return _ABSENT[type]

    def _levels(self, type: PolicyType, levels: Levels) -> Iterator[ExplainedLevel]:
        has_levels = type in (PolicyType.SCP, PolicyType.RCP)
        for number, layer in enumerate(levels, 1):
            policies = tuple(self._policy(policy) for policy in layer)
            allows = any(
                statement.applies and statement.effect == Effect.ALLOW
                for policy in policies
                for statement in policy.statements
            )
            yield ExplainedLevel(number if has_levels else None, allows, policies)

    def _policy(self, policy: CompiledPolicy) -> ExplainedPolicy:
        statements = tuple(self._statement(policy, statement) for statement in policy.content.statements)
        return ExplainedPolicy(policy.ref.name, policy.ref.arn, statements)

    def _statement(self, policy: CompiledPolicy, compiled: CompiledStatement) -> ExplainedStatement:
        statement = compiled.statement
        hit = hit_of(policy, compiled, self._request, self._action, bounded=self._bounded)
        return ExplainedStatement(
            index=statement.index,
            sid=statement.sid,
            line=None if statement.position is None else statement.position.line,
            effect=statement.effect.value,
            applies=hit is not None,
            decides=hit is not None and (policy.ref, statement.index, statement.effect) in self._deciding,
            elements=explain_elements(policy, compiled, self._request, bounded=self._bounded),
            note=None if hit is None else self._note(hit),
        )

    def _note(self, hit: Hit) -> str | None:
        owner = self._request.owner
        is_own = owner is None or owner == self._request.principal.account
        if hit.principal_match is PrincipalMatch.ACCOUNT and is_own and hit.candidate.policy.ref.type in _DELEGATING:
            return "it names the account, and so only delegates to the account's own policies"  # E-30.3
        return hit.reason.note


_DELEGATING = {PolicyType.RESOURCE, PolicyType.TRUST}


def _as_level(layer: Layer | None) -> Levels | None:
    return None if layer is None else (layer,)
