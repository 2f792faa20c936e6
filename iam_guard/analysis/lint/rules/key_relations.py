"""Rules about condition keys that belong together, or don't belong into the policy (rules AA-22 to AA-25)."""

from __future__ import annotations

from collections.abc import Iterator

from iam_guard.analysis.lint.subject import Subject
from iam_guard.evaluation.matching.condition_keys import spelled
from iam_guard.evaluation.matching.pattern import compile_glob
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Effect, Statement
from iam_guard.policy.fault import Fault, ParsedCondition, conditions
from iam_guard.policy.grammar import quoted

UNSUPPORTED = "aws:arn"
"""A key that older policies have, and no request."""
DEPRECATED = {
    "aws:sourceowner": "`aws:SourceAccount`",
    "aws:principalorgmasteraccountid": "`aws:PrincipalOrgID`, or `aws:PrincipalAccount`",
}
"""Keys that AWS's documentation no longer lists, and what replaces them."""
_PAIRS = {
    "aws:vpcsourceip": ("aws:sourcevpc", "aws:sourcevpce", "aws:sourcevpcarn"),
    "aws:ec2instancesourceprivateipv4": ("aws:ec2instancesourcevpc",),
}
"""Keys whose values are unique only together with one of others: addresses inside of a VPC."""
_OF_RESOURCE = frozenset({"aws:resourceaccount", "aws:resourceorgid", "aws:resourceorgpaths", "s3:resourceaccount"})
_ACTIONS = {
    "sts:sourceidentity": "sts:SetSourceIdentity",
    "sts:transitivetagkeys": "sts:TagSession",
    "aws:requesttag/": "sts:TagSession",
    "aws:tagkeys": "sts:TagSession",
}
"""Keys of role sessions, and the action that a caller needs to set them (rules K-32, E-50)."""


def unsupported_key(subject: Subject) -> Iterator[Fault]:
    """Report `aws:ARN`, which no request has."""
    for tested in conditions(subject.document):
        if tested.test.key.lower() == UNSUPPORTED:
            message = f"no request has the condition key {quoted(tested.test.key)}, use `aws:PrincipalArn`"
            yield Fault("UNSUPPORTED_GLOBAL_CONDITION_KEY", message, tested.path, name=True)


def deprecated_key(subject: Subject) -> Iterator[Fault]:
    """Report a key that another one replaces."""
    for tested in conditions(subject.document):
        instead = DEPRECATED.get(tested.test.key.lower())
        if instead is not None:
            message = f"{quoted(tested.test.key)} is deprecated, use {instead}"
            yield Fault("DEPRECATED_GLOBAL_CONDITION_KEY", message, tested.path, name=True)


def missing_pair(subject: Subject) -> Iterator[Fault]:
    """Report a key in an Allow without the one that makes its values unique."""
    for tested in conditions(subject.document):
        needed = _PAIRS.get(tested.test.key.lower())
        if needed and tested.statement.effect is Effect.ALLOW and not _keys(tested.statement).intersection(needed):
            names = " or ".join(quoted(spelled(key)) for key in needed)
            message = f"the same {quoted(tested.test.key)} exists in other networks, so {names} is needed, too"
            yield Fault("MISSING_PAIRED_CONDITION_KEYS", message, tested.path, name=True)


def attributes_without_select(subject: Subject) -> Iterator[Fault]:
    """Report `dynamodb:Attributes` in an Allow without `dynamodb:Select`: a query may return all attributes."""
    for tested in conditions(subject.document):
        is_alone = tested.statement.effect is Effect.ALLOW and "dynamodb:select" not in _keys(tested.statement)
        if is_alone and tested.test.key.lower() == "dynamodb:attributes":
            message = "without `dynamodb:Select`, a request that names no attributes returns all of them"
            yield Fault("DYNAMODB_ATTRIBUTES_WITHOUT_SELECT", message, tested.path, name=True)


def irrelevant_key(subject: Subject) -> Iterator[Fault]:
    """Report a key about the resource in the policy of one resource: its value is always the same."""
    if subject.document.type is PolicyType.RESOURCE:
        for tested in conditions(subject.document):
            if tested.test.key.lower() in _OF_RESOURCE:
                message = f"{quoted(tested.test.key)} has the same value in each request to the policy's resource"
                yield Fault("IRRELEVANT_CONDITION_KEY_IN_POLICY", message, tested.path, name=True)


def value_without_action(subject: Subject) -> Iterator[Fault]:
    """Report a trust policy that requires a value of the session, and does not allow to set it."""
    if subject.document.type is not PolicyType.TRUST:
        return
    allowed = [name.lower() for statement in _allows(subject) for name in statement.actions or ("*",)]
    for tested in conditions(subject.document):
        action = _action_for(tested)
        if action is not None and not any(compile_glob(name)(action.lower()) for name in allowed):
            message = f"{quoted(tested.test.key)} has no value, since no statement allows `{action}`"
            yield Fault("MISSING_ACTION_FOR_CONDITION_KEY", message, tested.path, name=True)


def _action_for(tested: ParsedCondition) -> str | None:
    """Return the action that sets the key of a condition that an Allow requires."""
    is_required = tested.statement.effect is Effect.ALLOW and requires_value(tested)
    key = tested.test.key.lower()
    return _ACTIONS.get(key.partition("/")[0] + "/" if "/" in key else key) if is_required else None


def requires_value(tested: ParsedCondition) -> bool:
    """Return whether a condition is not met without a value of its key (C-5, C-30, C-36)."""
    operator = tested.operator
    if operator.base == "Null":
        return operator.prefix is None and [value.lower() for value in tested.test.values] == ["false"]
    return not (operator.if_exists or "Not" in operator.base or operator.prefix == "ForAllValues")


def _allows(subject: Subject) -> list[Statement]:
    return [statement for statement in subject.document.statements if statement.effect is Effect.ALLOW]


def _keys(statement: Statement) -> frozenset[str]:
    return frozenset(test.key.lower() for test in statement.conditions)
