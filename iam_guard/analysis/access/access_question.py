"""What is asked about: an action and a resource, with all that the store knows of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from iam_guard.analysis.access.access_answers import Owed
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
SOME = "some of these resources only"
OF_RESOURCE = Owed(frozenset({PolicyType.RESOURCE, PolicyType.TRUST}), "the resource's own policy allows it too")


class AccessQuestion(NamedTuple):
    """What is asked: the resource as it is known, the keys that come with it, and the policy that it has.

    `pattern` stands for several resources; then nothing is known of their policies.
    """

    action: str
    wanted: Resource
    context: Mapping[str, Given]
    pattern: Pattern | None = None
    policy: str | None = None


def question(
    asker: AccessEvaluator, action: str, resource: str, context: Mapping[str, Given], resource_account: str | None
) -> AccessQuestion:
    """Find out what the store knows of a resource. Raises `InvalidInput` where nobody says who owns it."""
    if resource == "*":
        return AccessQuestion(action, Resource("*"), context)
    owner = resource_account or account_of(resource)
    if WILDCARD.search(resource):
        return AccessQuestion(action, Resource(resource, account=owner), context, arn_pattern(resource))
    entity = asker.inhabitant_of(resource)
    if entity is not None:
        keys = {f"iam:ResourceTag/{key}": value for key, value in entity.tags.items()}
        trust = entity.trust if is_role_trust(action.lower(), resource) else None
        wanted = Resource(resource, entity.account, tags=entity.tags, policy=trust)
        return AccessQuestion(action, wanted, {**keys, **context}, policy=trust)
    record = asker.resource(resource)
    owner = owner or record.account
    if owner is None:
        message = "the owner of the resource is unknown, so every request is denied"
        raise InvalidInput(message, place=resource)
    policy = None if record.policy is None else record.policy.text
    return AccessQuestion(action, Resource(resource, owner), context, policy=policy)


def owed_by_resource(asked: AccessQuestion, inhabitant: StoredPrincipal) -> bool:
    """Return whether policies of resources must allow that nobody has named: those of another account, and where every
    resource has one (rule E-42)."""
    wanted = asked.wanted
    is_other = wanted.account is not None and wanted.account != inhabitant.account
    return asked.pattern is not None and (
        is_other or mandatory(asked.action.lower(), wanted.arn, declared=False) is not None
    )


def with_open_policy(wanted: Resource) -> Resource:
    """Return the resource a policy that lets everybody in, to see what else is asked."""
    statement = {"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}
    return replace(wanted, policy={"Version": "2012-10-17", "Statement": [statement]})


# --- what may be asked -------------------------------------------------------------------------------------------


def check_question(action: str, resource: str, account: str | None) -> None:
    """Refuse what is no action of one name, neither an ARN nor `*`, or no account; raise `InvalidInput`."""
    if not _ACTION.fullmatch(action):
        raise InvalidInput(f"expected one action such as `docs:GetDocument`, got `{action[:200]}`", place="action")
    check_resource(resource)
    if account is not None and not is_account_id(account):
        raise InvalidInput(f"expected an account id of 12 digits, got `{account[:200]}`", place="account")


def check_resource(resource: str) -> None:
    """Refuse what is neither an ARN nor `*`; raise `InvalidInput`."""
    if resource != "*" and (not resource.startswith("arn:") or resource.count(":") < 5):
        raise InvalidInput(f"expected an ARN of six fields or `*`, got `{resource[:200]}`", place="resource")
