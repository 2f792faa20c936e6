"""Service-linked roles: created for one service, trusted by it alone, deleted by a task (R-14, P-14).

The service assumes the role as a service principal of that name. The role has no policies until they are seeded, since
the permissions that a service needs are unknown here. A deletion is executed at once; its task remains, for clients
that poll its status. As at AWS, such roles may exceed the quota of roles.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.entities import SERVICE_LINKED, find_identity, load_role, require_row
from iam_guard.api.iam.identities import insert_identity
from iam_guard.api.iam.output_members import describe_brief_roles
from iam_guard.api.iam.trust_policies import trust_columns
from iam_guard.errors import InvalidInput, NoSuchEntity
from iam_guard.model.request import Resource
from iam_guard.store.identifiers import NAME_LENGTHS, Kind
from iam_guard.store.schema import identities, jobs

_TASK = re.compile(r"task/aws-service-role/(?P<service>[^/]+)/(?P<role>[^/]+)/[0-9a-f-]{36}")
_SERVICE = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+")  # G-47
_JOB = "service-linked role deletion"

ROLE_NAMES: Mapping[str, str] = {
    "access-analyzer": "AccessAnalyzer",
    "acm": "CertificateManager",
    "appstream.application-autoscaling": "ApplicationAutoScaling_AppStreamFleet",
    "autoscaling": "AutoScaling",
    "autoscaling-plans": "AutoScalingPlans_EC2AutoScaling",
    "cassandra.application-autoscaling": "ApplicationAutoScaling_CassandraTable",
    "cloudtrail": "CloudTrail",
    "comprehend.application-autoscaling": "ApplicationAutoScaling_ComprehendEndpoint",
    "config": "Config",
    "connect": "AmazonConnect",
    "custom-resource.application-autoscaling": "ApplicationAutoScaling_CustomResource",
    "dynamodb.application-autoscaling": "ApplicationAutoScaling_DynamoDBTable",
    "ec2.application-autoscaling": "ApplicationAutoScaling_EC2SpotFleetRequest",
    "ecs": "ECS",
    "ecs.application-autoscaling": "ApplicationAutoScaling_ECSService",
    "eks": "AmazonEKS",
    "eks-fargate": "AmazonEKSForFargate",
    "eks-nodegroup": "AmazonEKSNodegroup",
    "elasticache": "ElastiCache",
    "elasticache.application-autoscaling": "ApplicationAutoScaling_ElastiCacheRG",
    "elasticbeanstalk": "ElasticBeanstalk",
    "elasticfilesystem": "AmazonElasticFileSystem",
    "elasticloadbalancing": "ElasticLoadBalancing",
    "es": "AmazonElasticsearchService",
    "fms": "FMS",
    "guardduty": "AmazonGuardDuty",
    "inspector2": "AmazonInspector2",
    "kafka": "Kafka",
    "kafka.application-autoscaling": "ApplicationAutoScaling_KafkaCluster",
    "lambda.application-autoscaling": "ApplicationAutoScaling_LambdaConcurrency",
    "lex": "LexBots",
    "lexv2": "LexV2Bots",
    "macie": "AmazonMacie",
    "memorydb": "MemoryDB",
    "mq": "AmazonMQ",
    "neptune.application-autoscaling": "ApplicationAutoScaling_NeptuneCluster",
    "opensearchservice": "AmazonOpenSearchService",
    "ops.apigateway": "APIGateway",
    "organizations": "Organizations",
    "rds": "RDS",
    "rds.application-autoscaling": "ApplicationAutoScaling_RDSCluster",
    "sagemaker.application-autoscaling": "ApplicationAutoScaling_SageMakerEndpoint",
    "securityhub": "SecurityHub",
    "spot": "EC2Spot",
    "spotfleet": "EC2SpotFleet",
    "ssm": "AmazonSSM",
    "sso": "SSO",
    "support": "Support",
    "transitgateway": "VPCTransitGateway",
    "trustedadvisor": "TrustedAdvisor",
    "workspaces.application-autoscaling": "ApplicationAutoScaling_WorkSpacesPool",
}
"""Role names of AWS's services, after `AWSServiceRoleFor`, by the service name without `.amazonaws.com`."""

_WITHOUT_SUFFIX = frozenset(ROLE_NAMES) - {"autoscaling", "connect", "lexv2"}


def linked_role(call: ServiceCall, parameters: Input) -> Resource:
    """Return the new role of a service, at its reserved path."""
    path = f"{SERVICE_LINKED}{parameters['AWSServiceName']}/"
    return call.resource(call.arn("role", path, _name(parameters)))


def create_service_linked_role(call: ServiceCall, parameters: Input) -> Output:
    service: str = parameters["AWSServiceName"]
    name = _name(parameters)
    if not _SERVICE.fullmatch(service) or len(name) > NAME_LENGTHS["role"]:
        raise InvalidInput(f"{service} is not the name of a service that can have a role.", place="AWSServiceName")
    if "CustomSuffix" in parameters and _short_name(service) in _WITHOUT_SUFFIX:
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
        description=parameters.get("Description", ""),
        **trust_columns(call, json.dumps({"Version": "2012-10-17", "Statement": [statement]})),
    )
    return {"Role": describe_brief_roles(call, [row])[0]}


def _name(parameters: Input) -> str:
    """Return AWS's name of the role, or one from the service's name: `AWSServiceRoleForJobsMyAppExample`."""
    short = _short_name(parameters["AWSServiceName"])
    words = ROLE_NAMES.get(short) or "".join(word.capitalize() for word in re.split(r"[^A-Za-z0-9]+", short))
    suffix = f"_{parameters['CustomSuffix']}" if "CustomSuffix" in parameters else ""
    return f"AWSServiceRoleFor{words}{suffix}"


def _short_name(service: str) -> str:
    return re.sub(r"(?:\.amazonaws)?\.com(?:\.cn)?$", "", service)


def delete_service_linked_role(call: ServiceCall, parameters: Input) -> Output:
    """Delete a service's role with its policies, and return the id of a completed task."""
    row = load_role(call, parameters)
    if not row["path"].startswith(SERVICE_LINKED):
        raise NoSuchEntity(f"The service-linked role with name {row['name']} cannot be found.")
    task = f"task{row['path']}{row['name']}/{uuid.uuid4()}"
    call.records.delete(identities, id=row["id"])
    call.records.insert(
        jobs, id=task, account=call.account, kind=_JOB, parameters={}, result={"Status": "SUCCEEDED"}, created=call.now
    )
    return {"DeletionTaskId": task}


def role_of_task(call: ServiceCall, parameters: Input) -> Resource:
    """Return the role of a deletion task. Raises `InvalidInput` for an invalid task id."""
    task = _TASK.fullmatch(parameters["DeletionTaskId"])
    if task is None:
        raise InvalidInput("Invalid deletion task id.", place="DeletionTaskId")
    return call.resource(call.arn("role", f"{SERVICE_LINKED}{task['service']}/", task["role"]))


def get_service_linked_role_deletion_status(call: ServiceCall, parameters: Input) -> Output:
    task: str = parameters["DeletionTaskId"]
    row = call.records.one(jobs, id=task, account=call.account, kind=_JOB)
    return {"Status": require_row(row, f"The deletion task {task} cannot be found.")["result"]["Status"]}
