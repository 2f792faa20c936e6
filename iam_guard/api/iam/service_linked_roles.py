"""Service-linked roles: made for one service, trusted by that service alone, deleted by a task (rules R-14, P-14).

The service is whoever signs in as a service principal of that name; nothing here knows what it needs, so the role has
no policies until they are seeded. A deletion is done at once; its task remains, for clients ask how it went. Such roles
may exceed the quota of roles, as with AWS.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.entities import find_identity, the_role
from iam_guard.api.iam.identities import insert_identity
from iam_guard.api.iam.output_members import brief_roles
from iam_guard.api.iam.protected_entities import SERVICE_LINKED
from iam_guard.api.iam.trust_policies import trust_columns
from iam_guard.errors import InvalidInput, NoSuchEntity
from iam_guard.model.request import Resource
from iam_guard.store.identifiers import NAME_LENGTHS, Kind, iam_arn
from iam_guard.store.schema import identities, jobs

_TASK = re.compile(r"task/aws-service-role/(?P<service>[^/]+)/(?P<role>[^/]+)/[0-9a-f-]{36}")
_SERVICE = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")  # G-47
_JOB = "service-linked role deletion"

_NAMES: Mapping[str, str] = {
    "access-analyzer": "AccessAnalyzer",
    "acm": "CertificateManager",
    "autoscaling": "AutoScaling",
    "autoscaling-plans": "AutoScalingPlans_EC2AutoScaling",
    "cassandra.application-autoscaling": "ApplicationAutoScaling_CassandraTable",
    "cloudtrail": "CloudTrail",
    "config": "Config",
    "connect": "AmazonConnect",
    "dynamodb.application-autoscaling": "ApplicationAutoScaling_DynamoDBTable",
    "ec2.application-autoscaling": "ApplicationAutoScaling_EC2SpotFleetRequest",
    "ecs": "ECS",
    "ecs.application-autoscaling": "ApplicationAutoScaling_ECSService",
    "eks": "AmazonEKS",
    "eks-fargate": "AmazonEKSForFargate",
    "eks-nodegroup": "AmazonEKSNodegroup",
    "elasticache": "ElastiCache",
    "elasticbeanstalk": "ElasticBeanstalk",
    "elasticfilesystem": "AmazonElasticFileSystem",
    "elasticloadbalancing": "ElasticLoadBalancing",
    "es": "AmazonElasticsearchService",
    "fms": "FMS",
    "guardduty": "AmazonGuardDuty",
    "inspector2": "AmazonInspector2",
    "kafka": "Kafka",
    "lex": "LexBots",
    "lexv2": "LexV2Bots",
    "macie": "AmazonMacie",
    "memorydb": "MemoryDB",
    "mq": "AmazonMQ",
    "opensearchservice": "AmazonOpenSearchService",
    "ops.apigateway": "APIGateway",
    "organizations": "Organizations",
    "rds": "RDS",
    "securityhub": "SecurityHub",
    "spot": "EC2Spot",
    "spotfleet": "EC2SpotFleet",
    "ssm": "AmazonSSM",
    "sso": "SSO",
    "support": "Support",
    "transitgateway": "VPCTransitGateway",
    "trustedadvisor": "TrustedAdvisor",
}
"""What AWS's services call their role, after `AWSServiceRoleFor`, by what stands before `.amazonaws.com`."""

_WITHOUT_SUFFIX = frozenset(_NAMES) - {"autoscaling", "connect", "lexv2"}


def linked_role(call: ServiceCall, given: Input) -> Resource:
    """Return the role that a service is to have, at the place that it will have."""
    service: str = given["AWSServiceName"]
    arn = iam_arn(call.partition, call.account, "role", f"{SERVICE_LINKED}{service}/", _name(given))
    return Resource(arn, account=call.account)


def create_service_linked_role(call: ServiceCall, given: Input) -> Output:
    """Make the role of a service."""
    service: str = given["AWSServiceName"]
    name = _name(given)
    if not _SERVICE.fullmatch(service) or len(name) > NAME_LENGTHS["role"]:
        raise InvalidInput(f"{service} is not the name of a service that can have a role.", place="AWSServiceName")
    if "CustomSuffix" in given and _own_part(service) in _WITHOUT_SUFFIX:
        raise InvalidInput(f"Custom suffix is not allowed for {service}", place="CustomSuffix")
    if find_identity(call, Kind.ROLE, name) is not None:
        message = f"Service role name {name} has been taken in this account, please try a different suffix."
        raise InvalidInput(message)
    statement = {"Effect": "Allow", "Principal": {"Service": [service]}, "Action": ["sts:AssumeRole"]}
    row = insert_identity(
        call,
        Kind.ROLE,
        f"{SERVICE_LINKED}{service}/",
        name,
        description=given.get("Description", ""),
        **trust_columns(call, json.dumps({"Version": "2012-10-17", "Statement": [statement]})),
    )
    return {"Role": brief_roles(call, [row])[0]}


def _name(given: Input) -> str:
    """Write the role's name, as AWS has it or of the service's words: `AWSServiceRoleForJobsMyAppExample`."""
    own = _own_part(given["AWSServiceName"])
    words = _NAMES.get(own) or "".join(word.capitalize() for word in re.split(r"[^A-Za-z0-9]+", own))
    suffix = f"_{given['CustomSuffix']}" if "CustomSuffix" in given else ""
    return f"AWSServiceRoleFor{words}{suffix}"


def _own_part(service: str) -> str:
    return re.sub(r"(?:\.amazonaws)?\.com(?:\.cn)?$", "", service)


def delete_service_linked_role(call: ServiceCall, given: Input) -> Output:
    """Delete the role of a service with everything that hangs on it, and give the task that did it."""
    row = the_role(call, given)
    if not row["path"].startswith(SERVICE_LINKED):
        raise NoSuchEntity(f"The service-linked role with name {row['name']} cannot be found.")
    task = f"task{row['path']}{row['name']}/{uuid.uuid4()}"
    call.records.delete(identities, id=row["id"])
    call.records.insert(
        jobs, id=task, account=call.account, kind=_JOB, parameters={}, result={"Status": "SUCCEEDED"}, created=call.now
    )
    return {"DeletionTaskId": task}


def role_of_task(call: ServiceCall, given: Input) -> Resource:
    """Return the role that a deletion task is about. Raises `InvalidInput` for what names no task."""
    task = _TASK.fullmatch(given["DeletionTaskId"])
    if task is None:
        raise InvalidInput("Invalid deletion task id.", place="DeletionTaskId")
    arn = iam_arn(call.partition, call.account, "role", f"{SERVICE_LINKED}{task['service']}/", task["role"])
    return Resource(arn, account=call.account)


def get_service_linked_role_deletion_status(call: ServiceCall, given: Input) -> Output:
    """Return how a deletion went."""
    task: str = given["DeletionTaskId"]
    row = call.records.one(jobs, id=task, account=call.account, kind=_JOB)
    if row is None:
        raise NoSuchEntity(f"The deletion task {task} cannot be found.")
    return {"Status": row["result"]["Status"]}
