"""The table of escalation techniques: calls that give a principal the access of others, or more of its own.

Sources: Rhino Security Labs, "AWS IAM Privilege Escalation Methods" (2018); pathfinding.cloud (2026); the service
authorization reference of IAM. A technique is a row; `change_edges`, `credential_edges` and `role_edges` carry the
rows out.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, NamedTuple


class Gain(Enum):
    """What a call changes for the principals that it concerns."""

    ATTACHED_POLICY = auto()
    """a managed policy more, of the caller's choice"""
    WRITTEN_POLICY = auto()
    """an inline policy more, which the caller writes"""
    NEW_VERSION = auto()
    """another text of a managed policy, which the caller writes"""
    OTHER_VERSION = auto()
    """another text of a managed policy: one of its versions"""
    MEMBERSHIP = auto()
    """the policies of a group more"""
    DETACHED_POLICY = auto()
    """a managed policy less, which denies something"""
    DELETED_POLICY = auto()
    """an inline policy less, which denies something"""
    LEFT_GROUP = auto()
    """the policies of a group less, of which one denies something"""
    NO_BOUNDARY = auto()
    """no permissions boundary"""
    OTHER_BOUNDARY = auto()
    """another permissions boundary, of the caller's choice"""
    TRUST = auto()
    """a trust policy that trusts the caller"""


class ChangeTechnique(NamedTuple):
    """A call that changes what principals may do. `on` is the kind of its resource."""

    action: str
    on: str
    gain: Gain


CHANGES: Final = (
    ChangeTechnique("iam:AttachUserPolicy", "user", Gain.ATTACHED_POLICY),
    ChangeTechnique("iam:PutUserPolicy", "user", Gain.WRITTEN_POLICY),
    ChangeTechnique("iam:AttachRolePolicy", "role", Gain.ATTACHED_POLICY),
    ChangeTechnique("iam:PutRolePolicy", "role", Gain.WRITTEN_POLICY),
    ChangeTechnique("iam:AttachGroupPolicy", "group", Gain.ATTACHED_POLICY),
    ChangeTechnique("iam:PutGroupPolicy", "group", Gain.WRITTEN_POLICY),
    ChangeTechnique("iam:CreatePolicyVersion", "policy", Gain.NEW_VERSION),
    ChangeTechnique("iam:SetDefaultPolicyVersion", "policy", Gain.OTHER_VERSION),
    ChangeTechnique("iam:AddUserToGroup", "group", Gain.MEMBERSHIP),
    ChangeTechnique("iam:DeleteUserPermissionsBoundary", "user", Gain.NO_BOUNDARY),
    ChangeTechnique("iam:DeleteRolePermissionsBoundary", "role", Gain.NO_BOUNDARY),
    ChangeTechnique("iam:PutUserPermissionsBoundary", "user", Gain.OTHER_BOUNDARY),
    ChangeTechnique("iam:PutRolePermissionsBoundary", "role", Gain.OTHER_BOUNDARY),
    ChangeTechnique("iam:DetachUserPolicy", "user", Gain.DETACHED_POLICY),
    ChangeTechnique("iam:DetachRolePolicy", "role", Gain.DETACHED_POLICY),
    ChangeTechnique("iam:DetachGroupPolicy", "group", Gain.DETACHED_POLICY),
    ChangeTechnique("iam:DeleteUserPolicy", "user", Gain.DELETED_POLICY),
    ChangeTechnique("iam:DeleteRolePolicy", "role", Gain.DELETED_POLICY),
    ChangeTechnique("iam:DeleteGroupPolicy", "group", Gain.DELETED_POLICY),
    ChangeTechnique("iam:RemoveUserFromGroup", "group", Gain.LEFT_GROUP),
    ChangeTechnique("iam:UpdateAssumeRolePolicy", "role", Gain.TRUST),
)

CREATE_KEY: Final = "iam:CreateAccessKey"
DELETE_KEY: Final = "iam:DeleteAccessKey"
CREATE_LOGIN: Final = "iam:CreateLoginProfile"
UPDATE_LOGIN: Final = "iam:UpdateLoginProfile"
DELETE_LOGIN: Final = "iam:DeleteLoginProfile"
DEACTIVATE_MFA: Final = "iam:DeactivateMFADevice"
CREATE_USER: Final = "iam:CreateUser"
CREATE_ROLE: Final = "iam:CreateRole"
CREATE_POLICY: Final = "iam:CreatePolicy"
API_KEYS: Final = ("iam:CreateServiceSpecificCredential", "iam:ResetServiceSpecificCredential")
DELETE_VERSION: Final = "iam:DeletePolicyVersion"
PASSROLE: Final = "iam:PassRole"
ASSUME_ROLE: Final = "sts:AssumeRole"
ASSUME_ROOT: Final = "sts:AssumeRoot"
ASSUME_FEDERATED: Final = "sts:AssumeRoleWithWebIdentity"
ASSUME_WITH_ASSERTION: Final = "sts:AssumeRoleWithSAML"


class ProviderTechnique(NamedTuple):
    """A call that lets its caller sign in at an identity provider as anyone.

    `is_new`: it creates a provider that trust policies name already. `note` is what the caller needs beside it.
    """

    action: str
    kind: str
    is_new: bool
    note: str = ""


_OWN_METADATA: Final = "with metadata of the caller's own, whose assertions the caller signs"
_ISSUER: Final = "if the caller answers, or gets others to answer, at the host of the issuer"

PROVIDERS: Final = (
    ProviderTechnique("iam:UpdateSAMLProvider", "saml-provider", is_new=False, note=_OWN_METADATA),
    ProviderTechnique("iam:CreateSAMLProvider", "saml-provider", is_new=True, note=_OWN_METADATA),
    ProviderTechnique("iam:CreateOpenIDConnectProvider", "oidc-provider", is_new=True, note=_ISSUER),
    ProviderTechnique("iam:UpdateOpenIDConnectProviderThumbprint", "oidc-provider", is_new=False, note=_ISSUER),
    ProviderTechnique(
        "iam:AddClientIDToOpenIDConnectProvider",
        "oidc-provider",
        is_new=False,
        note="if the caller has a token of the issuer for another audience",
    ),
)

GRANTS: Final = (
    ("iam:AttachUserPolicy", "user"),
    ("iam:PutUserPolicy", "user"),
    ("iam:AttachRolePolicy", "role"),
    ("iam:PutRolePolicy", "role"),
    ("iam:AttachGroupPolicy", "group"),
    ("iam:PutGroupPolicy", "group"),
    ("iam:CreatePolicyVersion", "policy"),
)
"""Calls that give permissions; an administrator may make one of them on any resource of its kind."""

PASSED_TO: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "amplify.amazonaws.com": (("amplify:CreateApp",), ("amplify:UpdateApp",)),
    "tasks.apprunner.amazonaws.com": (("apprunner:CreateService",), ("apprunner:UpdateService",)),
    "bedrock-agentcore.amazonaws.com": (
        (
            "bedrock-agentcore:CreateCodeInterpreter",
            "bedrock-agentcore:StartCodeInterpreterSession",
            "bedrock-agentcore:InvokeCodeInterpreter",
        ),
    ),
    "braket.amazonaws.com": (("braket:CreateJob",),),
    "cloudformation.amazonaws.com": (
        ("cloudformation:CreateStack",),
        ("cloudformation:UpdateStack",),
        ("cloudformation:CreateChangeSet", "cloudformation:ExecuteChangeSet"),
        ("cloudformation:CreateStackSet", "cloudformation:CreateStackInstances"),
        ("cloudformation:UpdateStackSet",),
    ),
    "codebuild.amazonaws.com": (
        ("codebuild:CreateProject", "codebuild:StartBuild"),
        ("codebuild:CreateProject", "codebuild:StartBuildBatch"),
        ("codebuild:UpdateProject", "codebuild:StartBuild"),
    ),
    "codepipeline.amazonaws.com": (("codepipeline:CreatePipeline",), ("codepipeline:UpdatePipeline",)),
    "datapipeline.amazonaws.com": (
        ("datapipeline:CreatePipeline", "datapipeline:PutPipelineDefinition", "datapipeline:ActivatePipeline"),
    ),
    "ec2.amazonaws.com": (
        ("ec2:RunInstances",),
        ("ec2:RequestSpotInstances",),
        ("ec2:AssociateIamInstanceProfile",),
        ("ec2:ReplaceIamInstanceProfileAssociation",),
    ),
    "ecs-tasks.amazonaws.com": (
        ("ecs:RegisterTaskDefinition", "ecs:RunTask"),
        ("ecs:RegisterTaskDefinition", "ecs:CreateService"),
        ("ecs:RegisterTaskDefinition", "ecs:UpdateService"),
        ("ecs:RegisterTaskDefinition", "ecs:StartTask"),
        ("ecs:RunTask",),
        ("ecs:StartTask",),
        ("batch:RegisterJobDefinition", "batch:SubmitJob"),
    ),
    "elasticmapreduce.amazonaws.com": (("elasticmapreduce:RunJobFlow",),),
    "emr-serverless.amazonaws.com": (("emr-serverless:StartJobRun",),),
    "gamelift.amazonaws.com": (("gamelift:CreateFleet",),),
    "glue.amazonaws.com": (
        ("glue:CreateDevEndpoint",),
        ("glue:CreateJob", "glue:StartJobRun"),
        ("glue:CreateJob", "glue:CreateTrigger"),
        ("glue:UpdateJob", "glue:StartJobRun"),
        ("glue:UpdateJob", "glue:CreateTrigger"),
        ("glue:CreateSession", "glue:RunStatement"),
    ),
    "kinesisanalytics.amazonaws.com": (("kinesisanalytics:CreateApplication", "kinesisanalytics:StartApplication"),),
    "lambda.amazonaws.com": (
        ("lambda:CreateFunction", "lambda:InvokeFunction"),
        ("lambda:CreateFunction", "lambda:CreateEventSourceMapping"),
        ("lambda:CreateFunction", "lambda:AddPermission"),
        ("lambda:CreateFunction", "lambda:CreateFunctionUrlConfig"),
        ("lambda:UpdateFunctionConfiguration", "lambda:UpdateFunctionCode"),
    ),
    "omics.amazonaws.com": (("omics:CreateWorkflow", "omics:StartRun"),),
    "sagemaker.amazonaws.com": (
        ("sagemaker:CreateNotebookInstance", "sagemaker:CreatePresignedNotebookInstanceUrl"),
        ("sagemaker:CreateTrainingJob",),
        ("sagemaker:CreateProcessingJob",),
    ),
    "scheduler.amazonaws.com": (("scheduler:CreateSchedule",),),
    "ssm.amazonaws.com": (("ssm:StartAutomationExecution",), ("ssm:CreateActivation",)),
    "states.amazonaws.com": (
        ("states:CreateStateMachine", "states:StartExecution"),
        ("states:UpdateStateMachine", "states:StartExecution"),
    ),
}
"""AWS's services that run what their caller supplies with a role: service principal -> alternatives, each the actions
that the caller needs beside `iam:PassRole`. Of other services, any action counts."""
_DOMAINS: Final = (".amazonaws.com.cn", ".amazonaws.eu", ".c2s.ic.gov", ".sc2s.sgov.gov")
"""What the service principals of other partitions end with."""


def alternatives_of(service: str) -> tuple[tuple[str, ...], ...]:
    """Return the alternatives in `PASSED_TO` of a service in any partition; none of an unknown service."""
    domain = next(filter(service.endswith, _DOMAINS), "")
    return PASSED_TO.get(f"{service.removesuffix(domain)}.amazonaws.com" if domain else service, ())


ABLE: Final = frozenset(
    {technique.action for technique in CHANGES}
    | {technique.action for technique in PROVIDERS}
    | {CREATE_KEY, CREATE_LOGIN, UPDATE_LOGIN, CREATE_USER, CREATE_ROLE, CREATE_POLICY, *API_KEYS}
    | {PASSROLE, ASSUME_ROLE, ASSUME_ROOT}
)
"""The first actions of all techniques: a principal that may do none of them gains nothing."""

FURTHER: Final = frozenset(
    {DELETE_KEY, DEACTIVATE_MFA, DELETE_LOGIN, DELETE_VERSION}
    | {action for alternatives in PASSED_TO.values() for actions in alternatives for action in actions}
)
"""The other actions of techniques."""
