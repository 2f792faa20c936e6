"""Find what a principal can do: every referenced action, on one resource or on the patterns of its policies.

The existing resources are unknown. Without a resource, the answers are about the resources that the principal's own
policies name, as written, and about those whose policies in the store name the principal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from iam_guard.analysis.access.access_answers import Ability, AccessAnswer, AccessVerdict, RoleStep, over_roles
from iam_guard.analysis.access.access_evaluator import AccessEvaluator, open_evaluator
from iam_guard.analysis.access.access_question import (
    AccessQuestion,
    build_question,
    check_resource,
    stored_principal_answer,
)
from iam_guard.analysis.access.resource_exceptions import statements_within, with_exceptions
from iam_guard.analysis.access.role_chains import RoleChains
from iam_guard.analysis.reference.own_references import with_own_references
from iam_guard.analysis.reference.reference_index import KnownAction, ReferenceIndex
from iam_guard.errors import NoSuchEntity, PolicyError
from iam_guard.evaluation.compiler import CompiledPolicy, compile_policy
from iam_guard.evaluation.matching.pattern import Wildcard
from iam_guard.evaluation.matching.pattern_coverage import arn_pattern
from iam_guard.evaluation.special_actions import needs_no_permission
from iam_guard.model.arn import account_of
from iam_guard.model.context import Given
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.model.reference import ServiceReference
from iam_guard.model.request import Resource
from iam_guard.policy.document import Effect
from iam_guard.settings import Settings
from iam_guard.store.policies.stored_principals import StoredPrincipal
from iam_guard.store.protocol import SourceStore

_EVERYTHING = "*"
_ALL = "every resource"
"""The pattern that every resource matches; the resource `*` is that of actions without one."""
_VARIABLE = re.compile(r"\$\{[^{}]*\}")


def what_can(
    store: SourceStore,
    principal: str,
    *,
    resource: str | None = None,
    references: Sequence[ServiceReference] = (),
    context: Mapping[str, Given] | None = None,
    settings: Settings | None = None,
    now: datetime | None = None,
    through_roles: bool = False,
) -> list[Ability]:
    """Return what a user, role or root user of the store may do, by ARN; denied actions are left out.

    `references` describe the application's services; those of IAM and STS are built in. `resource` limits the question
    to one resource or pattern. `through_roles` adds the access of the roles that the principal can assume, directly or
    through other roles: `Ability.steps`. Raises `NoSuchEntity` for a principal outside the store, and `InvalidInput`.
    """
    if resource is not None:
        check_resource(resource)
    with open_evaluator(store, settings, now) as evaluator:
        stored = evaluator.stored_principal(principal)
        if stored is None:
            raise NoSuchEntity(f"The principal {principal[:2048]} cannot be found.")
        known, context = ReferenceIndex(with_own_references(references), is_all=True), context or {}
        found = _grouped(_PrincipalQuestions(evaluator, stored, context, known).answers(resource))
        chains = RoleChains(evaluator, context).roles_of(stored) if through_roles else {}
        for arn, steps in chains.items():
            role = evaluator.population.principals_by_arn[arn]
            try:
                role_questions = _PrincipalQuestions(evaluator, role, context, known)
            except PolicyError:
                continue  # the guard denies such a role everything
            found += _grouped(role_questions.answers(resource), steps)
    return found


@dataclass
class _PrincipalQuestions:
    """Evaluates questions about one principal. Raises `PolicyError` if one of its policies is unreadable."""

    evaluator: AccessEvaluator
    principal: StoredPrincipal
    context: Mapping[str, Given]
    known: ReferenceIndex

    def __post_init__(self) -> None:
        self._policies = [compile_policy(policy.text, policy.ref) for policy in self.principal.record.identity]

    def answers(self, resource: str | None) -> Iterator[tuple[str, str, AccessAnswer]]:
        """Return the answers about all actions that are not denied, by action and resource."""
        services = self.known.services.values()
        for action in (KnownAction(service, entry) for service in services for entry in service.actions):
            for arn in self._resources(action, resource):
                answer = self._answer(str(action), arn)
                if answer.verdict is not AccessVerdict.DENIED:
                    yield str(action), arn, answer

    def _answer(self, action: str, resource: str) -> AccessAnswer:
        question = self._question(action, resource)
        answer = stored_principal_answer(self.evaluator, self.principal, question)
        if answer.verdict is not AccessVerdict.ALLOWED:
            return answer
        within = statements_within(self.evaluator, action, question.pattern)
        return with_exceptions(answer, self.principal.record.principal, within)

    def _question(self, action: str, resource: str) -> AccessQuestion:
        if resource == _ALL:
            return AccessQuestion(action, Resource("*"), self.context, (Wildcard.RUN,))
        return build_question(self.evaluator, action, resource, self.context, self._owner(resource))

    def _owner(self, resource: str) -> str | None:
        """Return the account that a pattern is about: the one it names, or the principal's own."""
        is_pattern = "*" in resource or "?" in resource
        return self.principal.account if is_pattern and account_of(resource) is None else None

    # --- which resources ---------------------------------------------------------------------------------------------

    def _resources(self, action: KnownAction, resource: str | None) -> Iterable[str]:
        """Return the resource of the question if the action supports it; without one, the resources to ask about."""
        if resource is not None:
            is_supported = resource == _EVERYTHING or self.known.may_take(action, arn_pattern(resource))
            return [resource] if is_supported else []
        takes_no_resource = not action.entry.resources and not action.entry.open_resources
        if takes_no_resource or needs_no_permission(str(action).lower(), self.principal.record.principal):
            return [_EVERYTHING]
        named = [_ALL] if self.principal.kind == "root" else self._named_resources(action)
        return dict.fromkeys((*named, *self._shared_with(action)))

    def _named_resources(self, action: KnownAction) -> Iterator[str]:
        """Return the resources of the Allow statements about an action that match one of its resource types."""
        for entry in self._entries(str(action).lower()):
            if self.known.may_take(action, (Wildcard.RUN,) if entry == _ALL else arn_pattern(entry)):
                yield entry

    def _entries(self, action: str) -> Iterator[str]:
        """Return the resources that the Allow statements about an action name; `NotResource` counts as all."""
        for policy in self._policies:
            for compiled in policy.content.about(action):
                statement = compiled.statement
                if statement.effect is not Effect.ALLOW:
                    continue
                if statement.not_resources is not None:
                    yield _ALL
                yield from (
                    _ALL if entry == _EVERYTHING else self._written(entry) for entry in statement.resources or ()
                )

    def _written(self, entry: str) -> str:
        """Return an entry as an ARN pattern; a policy variable matches anything."""
        missing = 5 - entry.count(":")
        whole = entry + ":*" * missing if missing > 0 else entry
        return _VARIABLE.sub("*", whole) if whole.startswith("arn:") else _ALL

    def _shared_with(self, action: KnownAction) -> Iterator[str]:
        """Return the resources of the action's service whose policies in the store name the principal."""
        caller, folded = self.principal.record.principal, str(action).lower()
        for arn, service, policy in self._shared_resources:
            if service == action.service.name:
                about = policy.content.about(folded)
                if any(not statement.denies and statement.principal_match(caller) is not None for statement in about):
                    yield arn

    @cached_property
    def _shared_resources(self) -> list[tuple[str, str, CompiledPolicy]]:
        """The resources of the store with a policy: ARN, service, policy."""
        records = [(arn, self.evaluator.resource(arn)) for arn in self.evaluator.population.resource_arns]
        return [
            (arn, arn.split(":", 3)[2], compile_policy(record.policy.text, PolicyRef(arn, PolicyType.RESOURCE)))
            for arn, record in records
            if record.policy is not None
        ]


def _grouped(found: Iterable[tuple[str, str, AccessAnswer]], steps: Sequence[RoleStep] = ()) -> list[Ability]:
    """Group the actions that have the same answer on the same resource; `steps` are the roles assumed first."""
    groups: dict[tuple[str, AccessAnswer], list[str]] = {}
    for action, resource, answer in found:
        groups.setdefault((resource, answer), []).append(action)
    abilities = [
        Ability(tuple(actions), "*" if resource == _ALL else resource, over_roles(steps, answer), tuple(steps))
        for (resource, answer), actions in groups.items()
    ]
    return sorted(abilities, key=lambda ability: (ability.verdict.rank, ability.resource, ability.actions))
