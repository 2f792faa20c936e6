"""The services that resource control policies apply to (E-16, N-10), and the resources that need a policy (E-42).

The AWS service prefixes are those of the SDK's service models, `signingName` and `endpointPrefix`.
"""

from __future__ import annotations

import re
from functools import cache

from .principals import is_role_arn
from .statements import action_matches

# fmt: off
RCP_SERVICES = {  # E-16
    "appstream", "dsql", "clouddirectory", "cloudfront", "cloudsearch", "logs", "networkmonitor", "cognito-identity",
    "cognito-idp", "comprehend", "comprehendmedical", "firehose", "dynamodb", "dax", "autoscaling", "ecr",
    "ecr-public", "gamelift", "inspector-scan", "kendra", "kinesisvideo", "memorydb", "aoss", "personalize", "polly",
    "s3", "swf", "sqs", "textract", "timestream-influxdb", "transcribe", "translate", "workspaces", "appconfig",
    "autoscaling-plans", "budgets", "servicediscovery", "cloudtrail-data", "codeartifact", "codebuild", "codecommit",
    "codepipeline", "compute-optimizer", "cost-optimization-hub", "events", "fms", "fis", "health", "rolesanywhere",
    "kms", "opensearch", "pricing", "pca-connector-ad", "resource-groups", "secretsmanager", "sts", "signin",
    "support", "transfer", "notifications", "wafv2", "xray",
}
# fmt: on
TRUST_ACTIONS = ("sts:AssumeRole*", "sts:TagSession", "sts:SetSourceIdentity")


def rcp_supports(action: str) -> bool:
    """Return whether resource control policies apply to the action (E-11, E-16)."""
    if action.lower() == "kms:retiregrant":
        return False  # E-11
    prefix = action.partition(":")[0].lower()
    return prefix in RCP_SERVICES or prefix not in aws_prefixes()  # E-16, N-10


@cache
def aws_prefixes() -> frozenset[str]:
    """Return the prefixes of AWS services, from the SDK's models (N-10)."""
    from botocore.loaders import Loader  # type: ignore[import-untyped,unused-ignore]

    loader = Loader()
    names: set[str] = set()
    for service in loader.list_available_services("service-2"):
        metadata = loader.load_service_model(service, "service-2")["metadata"]
        names |= {metadata["endpointPrefix"].lower(), metadata.get("signingName", metadata["endpointPrefix"]).lower()}
    return frozenset(names)


def is_kms_key_request(action: str, resource: str) -> bool:
    """Return whether a key policy is mandatory (E-40, E-42)."""
    return action_matches("kms:*", action) and re.fullmatch(r"arn:[^:]*:kms:[^:]*:[^:]*:key/.+", resource) is not None


def is_trust_request(action: str, resource: str) -> bool:
    """Return whether a role trust policy is mandatory (E-40, E-42)."""
    return is_role_arn(resource) and any(action_matches(each, action) for each in TRUST_ACTIONS)
