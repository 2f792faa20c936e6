from __future__ import annotations

from iam_guard.model.decision import PolicyType
from iam_guard.policy.parser import parse
from tests.policy.findings import check
from tests.tables import table

IDENTITY, SESSION, RESOURCE = PolicyType.IDENTITY, PolicyType.SESSION, PolicyType.RESOURCE
TRUST, VPC, SCP, RCP = PolicyType.TRUST, PolicyType.VPC_ENDPOINT, PolicyType.SCP, PolicyType.RCP

AWS_POLICIES = [
    (
        IDENTITY,
        """{"Version": "2012-10-17", "Statement": [
          {"Sid": "AllowViewAccountInfo", "Effect": "Allow",
           "Action": ["iam:GetAccountPasswordPolicy", "iam:ListVirtualMFADevices"], "Resource": "*"},
          {"Sid": "AllowManageOwnMFA", "Effect": "Allow", "Action": ["iam:EnableMFADevice", "iam:ListMFADevices"],
           "Resource": "arn:aws:iam::*:user/${aws:username}"},
          {"Sid": "DenyAllExceptListedIfNoMFA", "Effect": "Deny", "Resource": "*",
           "NotAction": ["iam:EnableMFADevice", "sts:GetSessionToken"],
           "Condition": {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}}]}""",
    ),
    (
        RESOURCE,
        """{"Version": "2012-10-17", "Id": "PutObjPolicy", "Statement": [
          {"Sid": "DenyObjectsThatAreNotSSEKMS", "Principal": "*", "Effect": "Deny", "Action": "s3:PutObject",
           "Resource": "arn:aws:s3:::DOC-EXAMPLE-BUCKET/*",
           "Condition": {"Null": {"s3:x-amz-server-side-encryption-aws-kms-key-id": "true"}}},
          {"Effect": "Allow", "Action": "s3:GetObject",
           "Principal": {"AWS": "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity EH1"},
           "Resource": "arn:aws:s3:::DOC-EXAMPLE-BUCKET/*"}]}""",
    ),
    (
        TRUST,
        """{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
          "Principal": {"Federated": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com"},
          "Action": "sts:AssumeRoleWithWebIdentity",
          "Condition": {"StringEquals": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"},
            "StringLike": {"token.actions.githubusercontent.com:sub": "repo:org/repo:*"}}}}""",
    ),
    (
        SCP,
        """{"Version": "2012-10-17", "Statement": [{"Sid": "DenyAllOutsideEU", "Effect": "Deny",
          "NotAction": ["a4b:*", "budgets:*", "iam:*"], "Resource": "*",
          "Condition": {"StringNotEquals": {"aws:RequestedRegion": ["eu-central-1", "eu-west-1"]},
            "ArnNotLike": {"aws:PrincipalARN": ["arn:aws:iam::*:role/Role1AllowedToBypassThisSCP"]}}}]}""",
    ),
    (
        RCP,
        """{"Version": "2012-10-17", "Statement": [{"Sid": "EnforceOrgIdentities", "Effect": "Deny", "Principal": "*",
          "Action": ["s3:*", "sqs:*", "kms:*", "secretsmanager:*", "sts:AssumeRole"], "Resource": "*",
          "Condition": {"StringNotEqualsIfExists": {"aws:PrincipalOrgID": "o-example"},
            "BoolIfExists": {"aws:PrincipalIsAWSService": "false"}}}]}""",
    ),
    (VPC, '{"Statement": [{"Action": "*", "Effect": "Allow", "Resource": "*", "Principal": "*"}]}'),
    (SESSION, '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'),
]


@table(("type", "text"), AWS_POLICIES, ids=lambda value: value if isinstance(value, PolicyType) else "")
def test_example_policies_of_the_user_guide_are_accepted(type: PolicyType, text: str) -> None:
    """`parse` accepts the examples of the user guide, and no finding is an error."""
    document = parse(text, type)
    assert document.statements
    assert all(statement.position is not None for statement in document.statements)
    assert {finding.level for finding in check(document, stored=False)} <= {"WARNING"}
