"""The configurations of access previews: the policy that a resource would have (AA-14).

A configuration is a union with one kind of resource. Here a resource has one policy; what else AWS's resources have,
such as access control lists, grants and access points, has no counterpart in the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from iam_guard.analysis.findings.resource_types import resource_type_of
from iam_guard.api.access_analyzer.analyzer_errors import InvalidMember, UnsupportedMember
from iam_guard.model.decision import PolicyType


class PolicyMember(NamedTuple):
    """The type of the resources of a configuration, and the member with their policy."""

    resource_type: str
    member: str


POLICY_MEMBERS: Final[Mapping[str, PolicyMember]] = {
    "dynamodbStream": PolicyMember("AWS::DynamoDB::Stream", "streamPolicy"),
    "dynamodbTable": PolicyMember("AWS::DynamoDB::Table", "tablePolicy"),
    "ecrRepository": PolicyMember("AWS::ECR::Repository", "repositoryPolicy"),
    "efsFileSystem": PolicyMember("AWS::EFS::FileSystem", "fileSystemPolicy"),
    "iamRole": PolicyMember("AWS::IAM::Role", "trustPolicy"),
    "kmsKey": PolicyMember("AWS::KMS::Key", "keyPolicies"),
    "s3Bucket": PolicyMember("AWS::S3::Bucket", "bucketPolicy"),
    "s3ExpressDirectoryBucket": PolicyMember("AWS::S3Express::DirectoryBucket", "bucketPolicy"),
    "secretsManagerSecret": PolicyMember("AWS::SecretsManager::Secret", "secretPolicy"),
    "snsTopic": PolicyMember("AWS::SNS::Topic", "topicPolicy"),
    "sqsQueue": PolicyMember("AWS::SQS::Queue", "queuePolicy"),
}
"""Kind of configuration -> where its policy is."""
_WITHOUT_EFFECT: Final = frozenset({"kmsKeyId"})
"""Members that don't change who can reach the resource."""
_KEY_POLICY: Final = "default"
"""The only name of a key policy."""


class ProposedPolicy(NamedTuple):
    """The policy that a resource would have: None for the present one, an empty text for none."""

    arn: str
    kind: PolicyType
    text: str | None


def proposed_policy(configurations: Mapping[str, Mapping[str, Any]]) -> ProposedPolicy:
    """Return the policy of the only configuration. Raises `InvalidMember`, `UnsupportedMember`."""
    if len(configurations) != 1:
        raise InvalidMember(f"expected the configuration of one resource, got {len(configurations)}")
    ((arn, configuration),) = configurations.items()
    ((name, members),) = configuration.items()
    if name not in POLICY_MEMBERS:
        known = ", ".join(POLICY_MEMBERS)
        raise UnsupportedMember(f"A configuration {name} has no policy; supported configurations are {known}.")
    row = POLICY_MEMBERS[name]
    if resource_type_of(arn) != row.resource_type:
        raise InvalidMember(f"expected the ARN of a resource of type {row.resource_type}, got `{arn[:200]}`")
    unsupported = sorted(members.keys() - {row.member} - _WITHOUT_EFFECT)
    if unsupported:
        raise UnsupportedMember(f"The member {name}.{unsupported[0]} is not supported: the store has only policies.")
    policy = members.get(row.member)
    if isinstance(policy, Mapping):
        policy = _key_policy(policy)
    return ProposedPolicy(arn, PolicyType.TRUST if name == "iamRole" else PolicyType.RESOURCE, policy)


def _key_policy(policies: Mapping[str, str]) -> str | None:
    if policies.keys() - {_KEY_POLICY}:
        raise InvalidMember(f"expected one key policy with the name {_KEY_POLICY}")
    return policies.get(_KEY_POLICY)
