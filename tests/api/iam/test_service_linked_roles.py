"""Service-linked roles (R-14, P-14)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iam_guard.store import quotas
from tests.api.conftest import ACCOUNT, Client, allow, refusal
from tests.api.iam.identity_parts import EC2, trusting

NAMES = [
    ("ecs.amazonaws.com", "AWSServiceRoleForECS"),
    ("es.amazonaws.com", "AWSServiceRoleForAmazonElasticsearchService"),
    ("ecs.application-autoscaling.amazonaws.com", "AWSServiceRoleForApplicationAutoScaling_ECSService"),
    (
        "custom-resource.application-autoscaling.amazonaws.com",
        "AWSServiceRoleForApplicationAutoScaling_CustomResource",
    ),
    ("lambda.application-autoscaling.amazonaws.com", "AWSServiceRoleForApplicationAutoScaling_LambdaConcurrency"),
    ("docs.internal", "AWSServiceRoleForDocsInternal"),
    ("job-runner.example.com", "AWSServiceRoleForJobRunnerExample"),
]


@pytest.mark.parametrize(("service", "name"), NAMES)
def test_service_gets_its_role(service: str, name: str, iam: Client) -> None:
    """P-14: at the service's path, trusted by that service only."""
    made = iam.create_service_linked_role(AWSServiceName=service, Description="for the service")["Role"]
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/{service}/{name}"
    got = iam.get_role(RoleName=name)["Role"]
    assert got["Description"] == "for the service"
    assert got["AssumeRolePolicyDocument"]["Statement"] == [
        {"Effect": "Allow", "Principal": {"Service": [service]}, "Action": ["sts:AssumeRole"]}
    ]


def test_second_role_needs_a_suffix(iam: Client) -> None:
    """Some services allow none."""
    iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com")
    sentence = "Service role name AWSServiceRoleForAutoScaling has been taken in this account, please try"
    with refusal("InvalidInput", sentence, 400):
        iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com")
    made = iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", CustomSuffix="blue")["Role"]
    assert made["RoleName"] == "AWSServiceRoleForAutoScaling_blue"
    with refusal("InvalidInput", "Custom suffix is not allowed for es.amazonaws.com", 400):
        iam.create_service_linked_role(AWSServiceName="es.amazonaws.com", CustomSuffix="blue")


@pytest.mark.parametrize("parameters", [{"AWSServiceName": "ec2"}, {"AWSServiceName": "EC2.amazonaws.com"}])
def test_invalid_service_name_is_rejected(parameters: dict[str, str], iam: Client) -> None:
    """G-47: lower case, with a dot."""
    with refusal("InvalidInput", "is not the name of a service", 400):
        iam.create_service_linked_role(**parameters)


def test_role_name_length_is_limited(iam: Client) -> None:
    """G-78: 64 characters."""
    with refusal("InvalidInput"):
        iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", CustomSuffix="x" * 64)


def test_service_linked_role_is_unmodifiable(iam: Client) -> None:
    """R-14: except its description and tags."""
    iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")
    iam.create_instance_profile(InstanceProfileName="p")
    name = {"RoleName": "AWSServiceRoleForECS"}
    changes: list[Callable[[], Any]] = [
        lambda: iam.delete_role(**name),
        lambda: iam.update_role(**name, MaxSessionDuration=7200),
        lambda: iam.update_role(**name, MaxSigninSessionDuration=7200),
        lambda: iam.update_role(**name, ResetMaxSigninSessionDuration=True),
        lambda: iam.update_role(**name, Description="d", MaxSessionDuration=7200),
        lambda: iam.update_assume_role_policy(**name, PolicyDocument=trusting(EC2)),
        lambda: iam.put_role_permissions_boundary(
            **name, PermissionsBoundary="arn:aws:iam::aws:policy/PowerUserAccess"
        ),
        lambda: iam.delete_role_permissions_boundary(**name),
        lambda: iam.add_role_to_instance_profile(**name, InstanceProfileName="p"),
    ]
    before = iam.get_role(**name)["Role"]
    for change in changes:
        with refusal("UnmodifiableEntity", "this role is only modifiable by AWS", 400):
            change()
    assert iam.get_role(**name)["Role"] == before
    iam.update_role(**name, Description="first")
    iam.update_role_description(**name, Description="second")
    iam.tag_role(**name, Tags=[{"Key": "a", "Value": "1"}])
    assert iam.get_role(**name)["Role"]["Description"] == "second"


def test_deletion_task_succeeds_at_once(iam: Client) -> None:
    """Its id has the documented form, and stays valid."""
    iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")
    task = iam.delete_service_linked_role(RoleName="awsserviceroleforecs")["DeletionTaskId"]
    assert task.startswith("task/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS/")
    with refusal("NoSuchEntity", "The role with name AWSServiceRoleForECS cannot be found."):
        iam.get_role(RoleName="AWSServiceRoleForECS")
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
    iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")


def test_only_service_linked_roles_are_deleted_by_task(iam: Client) -> None:
    """An ordinary role is kept."""
    iam.create_role(RoleName="mine", AssumeRolePolicyDocument=trusting(EC2))
    for name in ("mine", "none"):
        with refusal("NoSuchEntity", status=404):
            iam.delete_service_linked_role(RoleName=name)
    assert iam.get_role(RoleName="mine")


def test_tasks_belong_to_their_account(iam: Client, other_account: Client) -> None:
    """Invalid ids and another account's tasks."""
    with refusal("InvalidInput", status=400):
        iam.get_service_linked_role_deletion_status(DeletionTaskId="task/nothing")
    other_account.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")
    task = other_account.delete_service_linked_role(RoleName="AWSServiceRoleForECS")["DeletionTaskId"]
    with refusal("NoSuchEntity", status=404):
        iam.get_service_linked_role_deletion_status(DeletionTaskId=task)


def test_service_linked_role_may_exceed_the_quota(iam: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """As at AWS: it counts, but is created."""
    monkeypatch.setitem(quotas.QUOTAS, "roles per account", 1)
    iam.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")
    with refusal("LimitExceeded", "Cannot exceed quota for RolesPerAccount: 1"):
        iam.create_role(RoleName="r", AssumeRolePolicyDocument=trusting(EC2))
    iam.create_service_linked_role(AWSServiceName="eks.amazonaws.com")


def test_service_linked_role_authorization(iam: Client, client_for: Callable[..., Client]) -> None:
    """K-33: `iam:AWSServiceName`; the resource is the role at its path, for the task too."""
    maker = client_for(
        "maker",
        allow("iam:CreateServiceLinkedRole", StringEquals={"iam:AWSServiceName": "ecs.amazonaws.com"}),
        allow(["iam:Delete*", "iam:GetServiceLinked*"], "arn:aws:iam::*:role/aws-service-role/ecs.amazonaws.com/*"),
    )
    with refusal("AccessDenied", "role/aws-service-role/eks.amazonaws.com/AWSServiceRoleForAmazonEKS"):
        maker.create_service_linked_role(AWSServiceName="eks.amazonaws.com")
    iam.create_service_linked_role(AWSServiceName="eks.amazonaws.com")
    with refusal("AccessDenied"):
        maker.delete_service_linked_role(RoleName="AWSServiceRoleForAmazonEKS")
    task = iam.delete_service_linked_role(RoleName="AWSServiceRoleForAmazonEKS")["DeletionTaskId"]
    with refusal("AccessDenied"):
        maker.get_service_linked_role_deletion_status(DeletionTaskId=task)
    maker.create_service_linked_role(AWSServiceName="ecs.amazonaws.com")
    task = maker.delete_service_linked_role(RoleName="AWSServiceRoleForECS")["DeletionTaskId"]
    assert maker.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
