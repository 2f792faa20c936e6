"""What makes access public (rules AA-33, AA-34): everyone has it, wherever a request comes from.

A condition restricts access if it requires a specific value of one of the keys below: an account, an organization, a
VPC or endpoint, a narrow range of addresses, a source. The check excludes all requests with such a value, and asks
whether a caller that no statement names is still allowed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from iam_guard.analysis.checks.callers import TypicalCaller
from iam_guard.analysis.checks.statement_forms import DocumentForm, Test
from iam_guard.evaluation.matching.condition_keys import is_multivalued
from iam_guard.model.principal import PrincipalType
from iam_guard.policy.document import LATEST, ConditionTest
from iam_guard.policy.value_parsing import block

RESOURCE_TYPES = frozenset(
    {
        "AWS::ApiGateway::RestApi",
        "AWS::Backup::BackupVault",
        "AWS::CloudTrail::Dashboard",
        "AWS::CloudTrail::EventDataStore",
        "AWS::CodeArtifact::Domain",
        "AWS::DynamoDB::Stream",
        "AWS::DynamoDB::Table",
        "AWS::EFS::FileSystem",
        "AWS::IAM::AssumeRolePolicyDocument",
        "AWS::KMS::Key",
        "AWS::Kinesis::Stream",
        "AWS::Kinesis::StreamConsumer",
        "AWS::Lambda::Function",
        "AWS::OpenSearchService::Domain",
        "AWS::S3::AccessPoint",
        "AWS::S3::Bucket",
        "AWS::S3::Glacier",
        "AWS::S3::MultiRegionAccessPoint",
        "AWS::S3Express::AccessPoint",
        "AWS::S3Express::DirectoryBucket",
        "AWS::S3Outposts::AccessPoint",
        "AWS::S3Outposts::Bucket",
        "AWS::S3Tables::Table",
        "AWS::S3Tables::TableBucket",
        "AWS::SecretsManager::Secret",
        "AWS::SNS::Topic",
        "AWS::SQS::Queue",
    }
)
"""The resource types of CheckNoPublicAccess."""

_RESTRICTING = frozenset(
    {
        *("aws:principalarn", "aws:principalaccount", "aws:principalorgid", "aws:principalorgpaths", "aws:userid"),
        *("aws:sourcearn", "aws:sourceaccount", "aws:sourceorgid", "aws:sourceorgpaths", "aws:sourceowner"),
        *(
            "aws:sourcevpc",
            "aws:sourcevpcarn",
            "aws:sourcevpce",
            "aws:vpceaccount",
            "aws:vpceorgid",
            "aws:vpceorgpaths",
        ),
        *("aws:principalservicename", "aws:principalservicenameslist", "aws:federatedprovider"),
        *("kms:calleraccount", "s3:dataaccesspointaccount", "s3:dataaccesspointarn"),
        *("lambda:eventsourcetoken", "elasticfilesystem:accesspointarn"),
    }
)
"""The keys whose specific values restrict access, in lower case; keys of identity providers do, too.

These are the keys that S3 and EFS list for policies that are not public, and those of the same kind that are newer or
of another service. `kms:ViaService` is none of them: every account can use a service.
"""
_RESTRICTING_IF_TRUE = frozenset({"aws:principalisawsservice", "elasticfilesystem:accessedviamounttarget"})
_ADDRESSES = frozenset({"aws:sourceip", "aws:vpcsourceip"})
_CLAIM = re.compile(r"[^/]*\.[^/]*(?:/.*)?:(?:aud|sub|amr|oaud|email)")
_MIN_PREFIX = {32: 8, 128: 32}
"""The shortest prefix of a range of addresses that is narrow enough, by the length of an address."""


def is_outsider(caller: TypicalCaller) -> bool:
    """Return whether a caller is one that no statement names: anonymous, or of an unnamed account."""
    principal = caller.principal
    if principal.type is PrincipalType.ANONYMOUS:
        return True
    has_name = principal.user_arn is not None or principal.userid is not None
    is_person = principal.type in (PrincipalType.USER, PrincipalType.ASSUMED_ROLE)
    return is_person and caller.account is None and not has_name and not caller.is_in_account


def restrictions(form: DocumentForm) -> Iterator[Test]:
    """Yield the conditions that a request with a specific value of a restricting key meets."""
    for key, tests in form.tests.items():
        values = {value for test, _ in tests for value in test.values}
        if key in _ADDRESSES:
            yield from _condition("IpAddress", key, filter(_is_narrow, values))
        elif key in _RESTRICTING or _CLAIM.fullmatch(key):
            operator = "ForAnyValue:StringLike" if is_multivalued(key) else "StringLike"
            yield from _condition(operator, key, filter(_is_specific, values))
        if key in _RESTRICTING_IF_TRUE:
            yield from _condition("Bool", key, ["true"])


def _condition(operator: str, key: str, values: Iterable[str]) -> Iterator[Test]:
    listed = tuple(sorted(values))
    if listed:
        yield ConditionTest(operator, key, listed), LATEST


def _is_specific(value: str) -> bool:
    """Return whether a value names an account, an organization, a bucket or another whole name.

    What follows a slash may have wildcards: paths of an organization, objects of a bucket.
    """
    if "${" in value:
        return False
    fields = value.split(":", 5)
    if value.startswith("arn:") and len(fields) == 6:
        account, resource = fields[4], fields[5]
        if account != "":
            return re.fullmatch(r"[0-9]{12}", account) is not None
        value = resource  # a bucket has no account in its ARN
    name = value.partition("/")[0]
    return name != "" and not re.search(r"[*?]", name)


def _is_narrow(value: str) -> bool:
    parsed = block(value)
    if parsed is None:
        return False
    mask, network = parsed
    width = 128 if network >> 128 else 32
    return width - (~mask).bit_length() >= _MIN_PREFIX[width]
