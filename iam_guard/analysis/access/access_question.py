"""The question of an access query: an action and a resource, with what the store knows about the resource."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from iam_guard.analysis.access.access_answers import Assumption
from iam_guard.analysis.access.access_evaluator import AccessEvaluator
from iam_guard.errors import InvalidInput
from iam_guard.evaluation.matching.pattern import Pattern
from iam_guard.evaluation.matching.pattern_coverage import arn_pattern
from iam_guard.evaluation.special_actions import is_role_trust, mandatory
from iam_guard.model.arn import account_of, is_account_id
from iam_guard.model.context import Given
from iam_guard.model.decision import PolicyType
from iam_guard.model.request import Resource
from iam_guard.policy.grammar import WILDCARD
from iam_guard.store.stored_principals import StoredPrincipal

_ACTION = re.compile(r"[A-Za-z0-9.-]+:[A-Za-z0-9]+")
SOME_RESOURCES = "some of these resources only"
RESOURCE_POLICY_ASSUMED = Assumption(
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


def assumes_resource_policy(question: AccessQuestion, principal: StoredPrincipal) -> bool:
    """Return whether the answer depends on unnamed resource policies: those of another account, and where every
    resource must have one (rule E-42)."""
    target = question.resource
    is_other = target.account is not None and target.account != principal.account
    return question.pattern is not None and (
        is_other or mandatory(question.action.lower(), target.arn, declared=False) is not None
    )


def with_open_policy(resource: Resource) -> Resource:
    """Return the resource with a policy that allows everything, so that the other policies decide."""
    statement = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
    return replace(resource, policy={"Version": "2012-10-17", "Statement": [statement]})


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
