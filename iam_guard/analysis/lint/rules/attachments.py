"""Rules about a policy and the resource that it is attached to (rules AA-20, AA-22, AA-23)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from iam_guard.analysis.lint.subject import Subject
from iam_guard.model.decision import PolicyType
from iam_guard.policy.fault import Fault, actions, resources
from iam_guard.policy.grammar import WILDCARD, quoted
from iam_guard.policy.quota import RESOURCE


class _Attachment(NamedTuple):
    """The services whose actions the policy of a type of resource may have, and the ARNs that it may name."""

    services: frozenset[str]
    arns: re.Pattern[str]


def _attachment(services: str, arns: str) -> _Attachment:
    return _Attachment(frozenset(services.split()), re.compile(arns, re.DOTALL))


_ATTACHMENTS = {
    "AWS::IAM::AssumeRolePolicyDocument": _attachment("sts", ".*"),
    "AWS::S3::Bucket": _attachment("s3", r"arn:[^:]+:s3:::[^:]+"),
    "AWS::S3::AccessPoint": _attachment("s3", r"arn:[^:]+:s3:[^:]+:[^:]+:accesspoint/.+"),
    "AWS::S3::MultiRegionAccessPoint": _attachment("s3", r"arn:[^:]+:s3::[^:]+:accesspoint/.+"),
    "AWS::S3ObjectLambda::AccessPoint": _attachment(
        "s3-object-lambda", r"arn:[^:]+:s3-object-lambda:[^:]+:[^:]+:accesspoint/.+"
    ),
    "AWS::DynamoDB::Table": _attachment("dynamodb", r"arn:[^:]+:dynamodb:[^:]+:[^:]+:table/.+"),
}
"""Type of resource, as ValidatePolicy names it -> what its policy may contain."""


def action_of_other_service(subject: Subject) -> Iterator[Fault]:
    """Report an action that no request to the policy's resource has."""
    attachment = _ATTACHMENTS.get(subject.resource_type or "")
    for entry in actions(subject.document) if attachment else ():
        prefix, colon, _ = entry.value.lower().partition(":")
        if attachment and colon and prefix not in attachment.services:
            message = f"the policy of {quoted(subject.resource_type or '')} does not support {quoted(entry.value)}"
            yield Fault("UNSUPPORTED_ACTION_IN_POLICY", message, entry.path)


def resource_of_other_type(subject: Subject) -> Iterator[Fault]:
    """Report a resource that is not the policy's, nor in it. Patterns are judged by what they begin with."""
    attachment = _ATTACHMENTS.get(subject.resource_type or "")
    for entry in resources(subject.document) if attachment else ():
        if not attachment or WILDCARD.search(entry.value) or "${" in entry.value:
            continue
        if not attachment.arns.fullmatch(entry.value):
            message = f"the policy of {quoted(subject.resource_type or '')} does not support {quoted(entry.value)}"
            yield Fault("UNSUPPORTED_RESOURCE_ARN_IN_POLICY", message, entry.path)


def resource_policy_size(subject: Subject) -> Iterator[Fault]:
    """Report a resource-based policy over its quota."""
    size = RESOURCE.size(subject.document.text)
    if subject.document.type is PolicyType.RESOURCE and size > RESOURCE.characters:
        message = f"expected at most {RESOURCE.characters} characters, got {size}"
        yield Fault("POLICY_SIZE_EXCEEDS_RESOURCE_POLICY_QUOTA", message, ())
