"""AssumeRoot: permissions, and the root session's limits (S-35, R-3)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from iam_guard.model.request import Resource
from iam_guard.policy.parser import parse
from iam_guard.store.policies.builtin import MANAGED
from iam_guard.store.policies.task_policies import TASK_POLICIES
from tests.api.clock import CLOCK
from tests.api.conftest import ACCOUNT, OTHER_ACCOUNT, OTHER_KEY, Client, Running, allow, refusal
from tests.api.iam.organization_parts import THIRD_ACCOUNT, make_organization
from tests.api.sts.sts_parts import ADMIN_ARN, admin_sts, make_role, policy, role_arn, sts_of, with_session

ClientFor = Callable[..., Client]
TARGET = f"arn:aws:iam::{OTHER_ACCOUNT}:root"
AUDIT, CREATE, DELETE = "IAMAuditRootUserCredentials", "IAMCreateRootUserPassword", "IAMDeleteRootUserCredentials"
BUCKET, QUEUE = "S3UnlockBucketPolicy", "SQSUnlockQueuePolicy"
EVERY = (AUDIT, CREATE, DELETE, BUCKET, QUEUE)


def task(name: str) -> dict[str, str]:
    return {"arn": f"arn:aws:iam::aws:policy/root-task/{name}"}


def assume(sts: Client, name: str = AUDIT, target: str = OTHER_ACCOUNT, **more: Any) -> Any:
    return sts.assume_root(TargetPrincipal=target, TaskPolicyArn=task(name), **more)


@pytest.fixture
def sts(server: Running, iam: Client) -> Client:
    """The management account's administrator, with root sessions enabled."""
    make_organization(server)
    iam.enable_organizations_root_sessions()
    return admin_sts(server)


# --- permissions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [OTHER_ACCOUNT, TARGET])
def test_root_session_is_the_members_root_user(server: Running, sts: Client, target: str) -> None:
    made = assume(sts, target=target)
    identity = with_session(server, made).get_caller_identity()
    assert (identity["Arn"], identity["Account"], identity["UserId"]) == (TARGET, OTHER_ACCOUNT, OTHER_ACCOUNT)
    assert sts.get_access_key_info(AccessKeyId=made["Credentials"]["AccessKeyId"])["Account"] == OTHER_ACCOUNT
    assert made["Credentials"]["Expiration"].timestamp() == CLOCK.seconds() + 900
    assert "SourceIdentity" not in made


def test_root_session_duration(server: Running, sts: Client) -> None:
    """S-35: at most 900 seconds."""
    over = assume(sts, DurationSeconds=0)
    with refusal("ExpiredToken"):
        with_session(server, over).get_caller_identity()
    with refusal("ValidationError", "durationSeconds", 400):
        assume(sts, DurationSeconds=901)


def test_root_permission_has_resource_and_task(server: Running, sts: Client, client_for: ClientFor) -> None:
    """The root user is the resource, `sts:TaskPolicyArn` the key."""
    for_task = {"ArnEquals": {"sts:TaskPolicyArn": task(AUDIT)["arn"]}}
    auditor = sts_of(server, client_for("auditor", allow("sts:AssumeRoot", TARGET, **for_task)))
    assert assume(auditor)
    for name in EVERY[1:]:
        with refusal("AccessDenied", f"is not authorized to perform: sts:AssumeRoot on resource: {TARGET}", 403):
            assume(auditor, name)
    with refusal("AccessDenied"):
        assume(auditor, target=THIRD_ACCOUNT)
    with refusal("AccessDenied"):
        assume(sts_of(server, client_for("another", allow("sts:*", f"arn:aws:iam::{THIRD_ACCOUNT}:root"))))
    with refusal("AccessDenied"):
        assume(sts_of(server, client_for("nobody")))


def refused_for(sts: Client, target: str) -> str:
    with pytest.raises(sts.exceptions.ClientError) as caught:
        assume(sts, target=target)
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("AccessDenied", 403)
    message: str = answer["Error"]["Message"]
    return message.replace(f"{target}:root", "TARGET:root")


def test_root_denial_is_the_same_for_all_accounts(server: Running, iam: Client, client_for: ClientFor) -> None:
    """Members, others, missing ones, the own account, disabled feature."""
    make_organization(server)
    sts, powerless = admin_sts(server), sts_of(server, client_for("powerless"))
    denials = {refused_for(sts, target) for target in (OTHER_ACCOUNT, THIRD_ACCOUNT, "999988887777", ACCOUNT)}
    iam.enable_organizations_root_credentials_management()
    denials |= {refused_for(sts, OTHER_ACCOUNT)}
    iam.enable_organizations_root_sessions()
    denials |= {refused_for(sts, target) for target in ("999988887777", ACCOUNT)}
    assert denials == {
        f"User: {ADMIN_ARN} is not authorized to perform: sts:AssumeRoot on resource: arn:aws:iam::TARGET:root"
    }
    of_powerless = {refused_for(powerless, target) for target in (OTHER_ACCOUNT, "999988887777", ACCOUNT)}
    assert {denial.replace("user/powerless", "user/admin") for denial in of_powerless} == denials


def test_members_cannot_assume_root(server: Running, sts: Client) -> None:
    """Neither of members nor of the management account."""
    member = server.client(OTHER_KEY, "sts")
    for target in (THIRD_ACCOUNT, ACCOUNT, OTHER_ACCOUNT):
        refused_for(member, target)


def test_root_user_cannot_assume_root(server: Running, sts: Client, root: Client) -> None:
    with refusal("AccessDenied", "Root users may not call AssumeRoot.", 403):
        assume(sts_of(server, root))


def test_control_policy_of_the_member_denies(server: Running, iam: Client) -> None:
    """E-11: resource control policies of the target account apply."""
    denied = {"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRoot", "Resource": "*"}
    rcp = {"name": "no-root", "type": "RCP", "document": {"Version": "2012-10-17", "Statement": [denied]}}
    make_organization(server, policies=[rcp], tenants={"rcps": ["RCPFullAWSAccess", "no-root"]})
    iam.enable_organizations_root_sessions()
    refused_for(admin_sts(server), OTHER_ACCOUNT)


def test_root_session_inherits_the_source_identity(server: Running, iam: Client, sts: Client) -> None:
    """S-16: from a role session."""
    make_role(iam)
    role = with_session(server, sts.assume_role(RoleArn=role_arn(), RoleSessionName="xx", SourceIdentity="ada"))
    made = assume(role)
    assert made["SourceIdentity"] == "ada"
    session = server.store.open_session(made["Credentials"]["SessionToken"])
    assert session is not None
    assert (session.source_identity, session.principal.session["aws:SourceIdentity"]) == ("ada", "ada")


def test_user_sessions_cannot_assume_root(server: Running, sts: Client) -> None:
    """Table of rule H.1."""
    own = with_session(server, sts.get_session_token())
    federated = with_session(server, sts.get_federation_token(Name="app", Policy=policy(allow("*"))))
    for session in (own, federated):
        with refusal("AccessDenied", "Cannot call AssumeRoot with session credentials"):
            assume(session)


@pytest.mark.parametrize(
    "target",
    [
        "12345678901x",
        "1111222233334",
        f"arn:aws:iam::{OTHER_ACCOUNT}:user/admin",
        f"arn:aws:iam::{OTHER_ACCOUNT}:root/x",
        f"arn:aws:sts::{OTHER_ACCOUNT}:root",
        f"arn:aws-cn:iam::{OTHER_ACCOUNT}:root",
        f"arn:aws:iam:us-east-1:{OTHER_ACCOUNT}:root",
        "arn:aws:iam::*:root",
    ],
)
def test_invalid_targets_are_rejected(sts: Client, target: str) -> None:
    with refusal("ValidationError", "The target must be an account", 400):
        assume(sts, target=target)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::aws:policy/AdministratorAccess",
        "arn:aws:iam::aws:policy/IAMAuditRootUserCredentials",
        "arn:aws:iam::aws:policy/root-task/Other",
        "arn:aws:iam::aws:policy/root-task/iamauditrootusercredentials",
        f"arn:aws:iam::{ACCOUNT}:policy/root-task/IAMAuditRootUserCredentials",
        "arn:aws-cn:iam::aws:policy/root-task/IAMAuditRootUserCredentials",
    ],
)
def test_other_policies_are_no_task(iam: Client, sts: Client, arn: str) -> None:
    """Only AWS's five, by their exact ARNs."""
    document = policy(allow("*"))
    iam.create_policy(PolicyName="IAMAuditRootUserCredentialsOfOurs", Path="/root-task/", PolicyDocument=document)
    with refusal("ValidationError", "must be one of AWS's policies for root tasks", 400):
        sts.assume_root(TargetPrincipal=OTHER_ACCOUNT, TaskPolicyArn={"arn": arn})
    with refusal("ValidationError"):
        sts.assume_root(TargetPrincipal=OTHER_ACCOUNT, TaskPolicyArn={})


# --- limits ------------------------------------------------------------------------------------------------------

ACTIONS = {
    AUDIT: {
        *("iam:GetAccessKeyLastUsed", "iam:GetLoginProfile", "iam:GetUser", "iam:ListAccessKeys"),
        *("iam:ListMFADevices", "iam:ListSigningCertificates", "iam:GetAccountSummary"),
    },
    CREATE: {"iam:CreateLoginProfile", "iam:GetLoginProfile"},
    DELETE: {
        *("iam:GetAccessKeyLastUsed", "iam:GetLoginProfile", "iam:GetUser", "iam:ListAccessKeys"),
        *("iam:ListMFADevices", "iam:ListSigningCertificates", "iam:DeactivateMFADevice", "iam:DeleteAccessKey"),
        *("iam:DeleteLoginProfile", "iam:DeleteSigningCertificate", "iam:DeleteVirtualMFADevice"),
    },
    BUCKET: {"s3:DeleteBucketPolicy", "s3:GetBucketPolicy", "s3:ListAllMyBuckets", "s3:PutBucketPolicy"},
    QUEUE: {"sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueues", "sqs:SetQueueAttributes"},
}
"""Of AWS's documentation of each task policy."""
OTHERS = {"iam:CreateAccessKey", "iam:CreateUser", "iam:AttachUserPolicy", "sts:AssumeRole", "s3:GetObject", "x:Y"}
THINGS = {
    "iam": TARGET,
    "s3": "arn:aws:s3:::bucket",
    "sqs": f"arn:aws:sqs:us-east-1:{OTHER_ACCOUNT}:queue",
    "sts": f"arn:aws:iam::{OTHER_ACCOUNT}:role/r",
    "x": f"arn:aws:x:us-east-1:{OTHER_ACCOUNT}:y",
}


def may(server: Running, made: Any, action: str, resource: str | Resource) -> bool:
    session = server.store.open_session(made["Credentials"]["SessionToken"])
    assert session is not None
    return server.guard.decide(session.principal, action, resource).allowed


@pytest.mark.parametrize("name", EVERY)
def test_root_session_can_do_only_its_task(server: Running, sts: Client, name: str) -> None:
    """Of all actions of all tasks, and some others."""
    made = assume(sts, name)
    found = {
        action
        for action in set().union(*ACTIONS.values()) | OTHERS
        if may(server, made, action, Resource(THINGS[action.split(":")[0]], account=OTHER_ACCOUNT))
    }
    assert found == ACTIONS[name]


@pytest.mark.parametrize("name", [AUDIT, CREATE, DELETE])
def test_root_session_cannot_change_users_credentials(server: Running, sts: Client, name: str) -> None:
    """Only the root user's; unassigned devices belong to no owner."""
    made, user = assume(sts, name), f"arn:aws:iam::{OTHER_ACCOUNT}:user/admin"
    of_users = {action for action in ACTIONS[name] if may(server, made, action, user)}
    assert of_users <= {"iam:GetAccountSummary", "iam:DeleteVirtualMFADevice"}


def test_resource_policy_cannot_extend_a_root_session(server: Running, sts: Client) -> None:
    """The task policies deny."""
    thing = f"arn:aws:docs:us-east-1:{OTHER_ACCOUNT}:document/7"
    granted = json.loads(policy({**allow("docs:Get", thing), "Principal": {"AWS": TARGET}}))
    made = assume(sts)
    assert not may(server, made, "docs:Get", Resource(thing, account=OTHER_ACCOUNT, policy=granted))


def test_root_session_calls_iam_for_its_task(server: Running, iam: Client, sts: Client) -> None:
    """It reads and deletes the root user's credentials only."""
    audit = with_session(server, assume(sts), "iam")
    assert audit.list_access_keys()["AccessKeyMetadata"] == []
    assert audit.get_account_summary()["SummaryMap"]["Users"] == 1
    assert audit.get_user()["User"]["Arn"] == TARGET
    with refusal("AccessDenied", "with an explicit deny in a session policy"):
        audit.list_access_keys(UserName="admin")
    with refusal("AccessDenied", "with an explicit deny in a session policy"):
        audit.create_login_profile(Password="Xc5%pilcrow-4242")
    creating = with_session(server, assume(sts, CREATE), "iam")
    creating.create_login_profile(Password="Xc5%pilcrow-4242")
    with refusal("AccessDenied"):
        creating.create_access_key()
    deleting = with_session(server, assume(sts, DELETE), "iam")
    deleting.delete_login_profile()
    with refusal("NoSuchEntity"):
        audit.get_login_profile()


@pytest.mark.parametrize("operation", ["assume_role", "get_session_token", "get_federation_token", "assume_root"])
def test_root_session_calls_only_get_caller_identity_of_sts(server: Running, sts: Client, operation: str) -> None:
    parameters = {
        "assume_role": {"RoleArn": role_arn(), "RoleSessionName": "xx"},
        "get_federation_token": {"Name": "app"},
        "assume_root": {"TargetPrincipal": THIRD_ACCOUNT, "TaskPolicyArn": task(AUDIT)},
    }
    with refusal("AccessDenied", "with session credentials"):
        getattr(with_session(server, assume(sts)), operation)(**parameters.get(operation, {}))


def test_root_session_is_visible_to_policies_and_audit(server: Running, sts: Client) -> None:
    """E.2: `aws:AssumedRoot`, and no MFA."""
    session = server.store.open_session(assume(sts)["Credentials"]["SessionToken"])
    assert session is not None
    assert session.principal.key("aws:assumedroot") == "true"
    assert session.principal.key("aws:multifactorauthpresent") is None
    assert session.parent_key_id is None


# --- the policies ------------------------------------------------------------------------------------------------


def test_every_store_has_the_task_policies(iam: Client) -> None:
    """With AWS's names and path; attached to an entity they grant nothing."""
    found = iam.list_policies(Scope="AWS", PathPrefix="/root-task/")["Policies"]
    assert {each["PolicyName"] for each in found} == set(EVERY) == set(TASK_POLICIES)
    for listed in found:
        assert listed["Arn"] == task(listed["PolicyName"])["arn"]
        document = iam.get_policy_version(PolicyArn=listed["Arn"], VersionId="v1")["PolicyVersion"]["Document"]
        assert {statement["Effect"] for statement in document["Statement"]} == {"Deny"}


def test_managed_policy_ids_are_unique() -> None:
    assert len({each.id for each in MANAGED.values()}) == len(MANAGED)
    assert parse(policy(*MANAGED[AUDIT].statements))
