"""The type of a resource by its ARN."""

from __future__ import annotations

from iam_guard.analysis.findings.resource_types import resource_type_of
from tests.tables import table

ACCOUNT = "111122223333"


@table(
    ("arn", "expected"),
    [
        ("arn:aws:s3:::bucket", "AWS::S3::Bucket"),
        (f"arn:aws:s3:eu-west-1:{ACCOUNT}:accesspoint/a", "AWS::S3::AccessPoint"),
        (f"arn:aws:sqs:eu-west-1:{ACCOUNT}:queue", "AWS::SQS::Queue"),
        (f"arn:aws:sns:eu-west-1:{ACCOUNT}:topic", "AWS::SNS::Topic"),
        (f"arn:aws:iam::{ACCOUNT}:role/path/name", "AWS::IAM::Role"),
        (f"arn:aws:iam::{ACCOUNT}:user/name", "AWS::IAM::User"),
        (f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234", "AWS::KMS::Key"),
        (f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:name", "AWS::Lambda::Function"),
        (f"arn:aws:lambda:eu-west-1:{ACCOUNT}:layer:name:1", "AWS::Lambda::LayerVersion"),
        (f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:name-a1b2c3", "AWS::SecretsManager::Secret"),
        (f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/name", "AWS::DynamoDB::Table"),
        (f"arn:aws:dynamodb:eu-west-1:{ACCOUNT}:table/name/stream/2026", "AWS::DynamoDB::Stream"),
        (f"arn:aws:rds:eu-west-1:{ACCOUNT}:cluster-snapshot:name", "AWS::RDS::DBClusterSnapshot"),
        (f"arn:aws-cn:ecr:cn-north-1:{ACCOUNT}:repository/name", "AWS::ECR::Repository"),
        (f"arn:aws:kms:eu-west-1:{ACCOUNT}:alias/name", "kms:alias"),
        (f"arn:aws:docs:eu-west-1:{ACCOUNT}:document/1/page/2", "docs:document"),
        (f"arn:aws:docs:eu-west-1:{ACCOUNT}:document:1", "docs:document"),
        ("arn:aws:docs:::plan", "docs"),
        ("arn:aws:docs:::/plan", "docs"),
        ("plan", "unknown"),
    ],
)
def test_type_of_resource(arn: str, expected: str) -> None:
    assert resource_type_of(arn) == expected
