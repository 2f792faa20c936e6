"""The types of resources that findings name: AWS's for resources of AWS, `service:type` for those of an application."""

from __future__ import annotations

import re

_AWS_TYPES: tuple[tuple[str, str, str], ...] = (
    ("apigateway", "/restapis/", "AWS::ApiGateway::RestApi"),
    ("backup", "backup-vault:", "AWS::Backup::BackupVault"),
    ("cloudtrail", "dashboard/", "AWS::CloudTrail::Dashboard"),
    ("cloudtrail", "eventdatastore/", "AWS::CloudTrail::EventDataStore"),
    ("codeartifact", "domain/", "AWS::CodeArtifact::Domain"),
    ("dynamodb", r"table/[^/]+/stream/", "AWS::DynamoDB::Stream"),
    ("dynamodb", "table/", "AWS::DynamoDB::Table"),
    ("ec2", "snapshot/", "AWS::EC2::Snapshot"),
    ("ecr", "repository/", "AWS::ECR::Repository"),
    ("elasticfilesystem", "file-system/", "AWS::EFS::FileSystem"),
    ("es", "domain/", "AWS::OpenSearchService::Domain"),
    ("iam", "role/", "AWS::IAM::Role"),
    ("iam", "user/", "AWS::IAM::User"),
    ("kinesis", r"[^/]+/[^/]+/consumer/", "AWS::Kinesis::StreamConsumer"),
    ("kinesis", "stream/", "AWS::Kinesis::Stream"),
    ("kms", "key/", "AWS::KMS::Key"),
    ("lambda", "function:", "AWS::Lambda::Function"),
    ("lambda", "layer:", "AWS::Lambda::LayerVersion"),
    ("rds", "cluster-snapshot:", "AWS::RDS::DBClusterSnapshot"),
    ("rds", "snapshot:", "AWS::RDS::DBSnapshot"),
    ("s3", "accesspoint/", "AWS::S3::AccessPoint"),
    ("s3", "", "AWS::S3::Bucket"),
    ("s3express", "accesspoint/", "AWS::S3Express::AccessPoint"),
    ("s3express", "bucket/", "AWS::S3Express::DirectoryBucket"),
    ("s3-outposts", r"outpost/[^/]+/accesspoint/", "AWS::S3Outposts::AccessPoint"),
    ("s3-outposts", r"outpost/[^/]+/bucket/", "AWS::S3Outposts::Bucket"),
    ("s3tables", r"bucket/[^/]+/table/", "AWS::S3Tables::Table"),
    ("s3tables", "bucket/", "AWS::S3Tables::TableBucket"),
    ("secretsmanager", "secret:", "AWS::SecretsManager::Secret"),
    ("sns", "", "AWS::SNS::Topic"),
    ("sqs", "", "AWS::SQS::Queue"),
)
"""(service, how the last field of the ARN begins as a regular expression, type); the first that matches."""
_PATTERNS = tuple((service, re.compile(beginning), name) for service, beginning, name in _AWS_TYPES)
_SEPARATOR = re.compile("[/:]")


def resource_type_of(arn: str) -> str:
    """Return the type of a resource by its ARN: `AWS::S3::Bucket`, or `docs:document` for one of an application.

    Without a type in the last field of the ARN it is the service; `unknown` for a text that is no ARN.
    """
    fields = arn.split(":", 5)
    if len(fields) != 6:
        return "unknown"
    service, resource = fields[2], fields[5]
    for known, pattern, name in _PATTERNS:
        if service == known and pattern.match(resource):
            return name
    beginning, *more = _SEPARATOR.split(resource, maxsplit=1)
    return f"{service}:{beginning}" if more and beginning else service
