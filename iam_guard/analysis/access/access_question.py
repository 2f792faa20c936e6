"""The question of an access query, an action on a resource, and its answers.

The answers are about principals of the store and about those that the resource's policy names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from iam_guard.analysis.access.access_answers import AccessAnswer, Assumption, answer_of
from iam_guard.analysis.access.access_evaluator import AccessEvaluator
from iam_guard.analysis.access.outside_principals import OutsidePrincipal, outside_principals
from iam_guard.analysis.access.resource_exceptions import with_exceptions
from iam_guard.errors import InvalidInput
from iam_guard.evaluation.matching.pattern import Pattern
from iam_guard.evaluation.matching.pattern_coverage import arn_pattern
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.evaluation.special_actions import is_role_trust, mandatory, resource_policy_type
from iam_guard.model.arn import account_of, is_account_id
from iam_guard.model.context import Given
from iam_guard.model.decision import PolicyType
from iam_guard.model.request import Resource
from iam_guard.policy.grammar import WILDCARD
from iam_guard.store.policies.stored_principals import StoredPrincipal

_ACTION = re.compile(r"[A-Za-z0-9.-]+:[A-Za-z0-9]+")
_RESOURCE_POLICY_ASSUMED = Assumption(
    frozenset({PolicyType.RESOURCE, PolicyType.TRUST}), "the resource's own policy allows it too"
)


class AccessQuestion(NamedTuple):
    """An action on a resource, with the known condition keys and the resource's own policy.

    `pattern` covers several resources, whose policies are then unknown.
    """

    action: str
    resource: Resource
    context: Mapping[str, Given]
    pattern: Pattern | None = None
    policy: str | None = None


def build_question(
    evaluator: AccessEvaluator, action: str, resource: str, context: Mapping[str, Given], resource_account: str | None
) -> AccessQuestion:
    """Return the question with what the store knows about the resource. Raises `InvalidInput` for an unknown owner."""
    if resource == "*":
        return AccessQuestion(action, Resource("*"), context)
    owner = resource_account or account_of(resource)
    if WILDCARD.search(resource):
        return AccessQuestion(action, Resource(resource, account=owner), context, arn_pattern(resource))
    entity = evaluator.stored_principal(resource)
    if entity is not None:
        keys = {f"iam:ResourceTag/{key}": value for key, value in entity.tags.items()}
        trust = entity.trust if is_role_trust(action.lower(), resource) else None
        target = Resource(resource, entity.account, tags=entity.tags, policy=trust)
        return AccessQuestion(action, target, {**keys, **context}, policy=trust)
    record = evaluator.resource(resource)
    owner = owner or record.account
    if owner is None:
        message = "the owner of the resource is unknown, so every request is denied"
        raise InvalidInput(message, place=resource)
    policy = None if record.policy is None else record.policy.text
    return AccessQuestion(action, Resource(resource, owner), context, policy=policy)


# --- answers -----------------------------------------------------------------------------------------------------


def _assumes_resource_policy(question: AccessQuestion, principal: StoredPrincipal) -> bool:
    """Return whether the answer depends on unnamed resource policies: those of another account, and where every
    resource must have one (rule E-42)."""
    target = question.resource
    is_other = target.account is not None and target.account != principal.account
    return question.pattern is not None and (
        is_other or mandatory(question.action.lower(), target.arn, declared=False) is not None
    )


def _with_open_policy(resource: Resource) -> Resource:
    """Return the resource with a policy that allows everything, so that the other policies decide."""
    statement = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
    return replace(resource, policy={"Version": "2012-10-17", "Statement": [statement]})


def stored_principal_answer(
    evaluator: AccessEvaluator,
    principal: StoredPrincipal,
    question: AccessQuestion,
    within: Sequence[CompiledStatement] = (),
) -> AccessAnswer:
    """Return the access of a stored principal; `within` are the statements of the resources that a pattern covers."""
    resource, assumed = question.resource, None
    if resource.account is None:
        resource = replace(resource, account=principal.account)
    if _assumes_resource_policy(question, principal):
        resource, assumed = _with_open_policy(resource), _RESOURCE_POLICY_ASSUMED
    bounds = evaluator.bounds(
        *(principal.record, question.action, resource, question.context),
        pattern=question.pattern,
        trust=principal.trust,
    )
    answer = answer_of(bounds, principal, assumed=assumed, partly="some of these resources only")
    return with_exceptions(answer, principal.record.principal, within)


def outside_principal_answers(
    evaluator: AccessEvaluator, question: AccessQuestion
) -> Iterator[tuple[OutsidePrincipal, AccessAnswer]]:
    """Return the access of each principal outside the store that the resource's policy names."""
    if question.policy is not None:
        type = resource_policy_type(question.action.lower(), question.resource.arn)
        for outsider in outside_principals(question.policy, type, evaluator.population, evaluator.source.partition):
            yield outsider, outside_principal_answer(evaluator, outsider, question)


def outside_principal_answer(
    evaluator: AccessEvaluator, outsider: OutsidePrincipal, question: AccessQuestion
) -> AccessAnswer:
    """Return the access of a principal outside the store."""
    record = replace(outsider.record, epoch=evaluator.at)
    bounds = evaluator.bounds(
        *(record, question.action, question.resource, question.context),
        trust=None if outsider.role is None else outsider.role.trust,
        is_any_principal=outsider.is_any_principal,
    )
    return answer_of(bounds, outsider.role, assumed=outsider.assumed)


# --- validation --------------------------------------------------------------------------------------------------


def check_question(action: str, resource: str, account: str | None) -> None:
    """Raise `InvalidInput` unless given one action name, an ARN or `*`, and an account id or None."""
    if not _ACTION.fullmatch(action):
        raise InvalidInput(f"expected one action such as `docs:GetDocument`, got `{action[:200]}`", place="action")
    check_resource(resource)
    if account is not None and not is_account_id(account):
        raise InvalidInput(f"expected an account id of 12 digits, got `{account[:200]}`", place="account")


def check_resource(resource: str) -> None:
    """Raise `InvalidInput` unless given an ARN or `*`."""
    if resource != "*" and (not resource.startswith("arn:") or resource.count(":") < 5):
        raise InvalidInput(f"expected an ARN of six fields or `*`, got `{resource[:200]}`", place="resource")
