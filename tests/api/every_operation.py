"""Every operation of IAM: valid parameters, and the resource that AWS authorizes.

The resources are written from AWS's service authorization reference (otherwise from the operation's documentation; for
lists, from AWS's denials, which name the path), not from our table. The names are those of `sample_entities`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iam_guard.api.protocol.model_patterns import matches
from iam_guard.api.protocol.service_model import Operation, Shape, load_api
from tests.api.conftest import ACCOUNT

OPERATIONS = load_api("iam").operations
ARN = f"arn:aws:iam::{ACCOUNT}:"
CALLER = "the caller"

ABOUT: Mapping[str, str] = {
    "*": """
        AcquireRole CreateAccountAlias DeleteAccountAlias DeleteAccountPasswordPolicy
        DisableOrganizationsRootCredentialsManagement DisableOrganizationsRootSessions
        DisableOutboundWebIdentityFederation EnableOrganizationsRootCredentialsManagement
        EnableOrganizationsRootSessions EnableOutboundWebIdentityFederation GenerateCredentialReport
        GetAccountAuthorizationDetails GetAccountPasswordPolicy GetAccountProperties GetAccountSummary
        GetContextKeysForCustomPolicy GetCredentialReport GetOrganizationsAccessReport
        GetOutboundWebIdentityFederationInfo GetRoleTemplateVersion GetServiceLastAccessedDetails
        GetServiceLastAccessedDetailsWithEntities ListAccountAliases ListDelegationRequests ListOpenIDConnectProviders
        ListOrganizationsFeatures ListSAMLProviders PutAccountProperties SetSecurityTokenServicePreferences
        SimulateCustomPolicy UpdateAccountPasswordPolicy
    """,
    "user/team/given": """
        AttachUserPolicy CreateAccessKey CreateLoginProfile CreateServiceSpecificCredential DeactivateMFADevice
        DeleteAccessKey DeleteLoginProfile DeleteSSHPublicKey DeleteServiceSpecificCredential
        DeleteSigningCertificate DeleteUser DeleteUserPermissionsBoundary DeleteUserPolicy DetachUserPolicy
        EnableMFADevice GenerateServiceLastAccessedDetails GetAccessKeyLastUsed GetContextKeysForPrincipalPolicy
        GetLoginProfile GetMFADevice GetSSHPublicKey GetUser GetUserPolicy ListAccessKeys ListAttachedUserPolicies
        ListGroupsForUser ListMFADevices ListPoliciesGrantingServiceAccess ListSSHPublicKeys
        ListServiceSpecificCredentials ListSigningCertificates ListUserPolicies ListUserTags
        PutUserPermissionsBoundary PutUserPolicy ResetServiceSpecificCredential ResyncMFADevice
        SimulatePrincipalPolicy TagUser UntagUser UpdateAccessKey UpdateLoginProfile UpdateSSHPublicKey
        UpdateServiceSpecificCredential UpdateSigningCertificate UpdateUser UploadSSHPublicKey
        UploadSigningCertificate
    """,
    CALLER: "ChangePassword",
    "user/": "ListUsers",
    "user/new": "CreateUser",
    "group/team/given": """
        AddUserToGroup AttachGroupPolicy DeleteGroup DeleteGroupPolicy DetachGroupPolicy GetGroup GetGroupPolicy
        ListAttachedGroupPolicies ListGroupPolicies PutGroupPolicy RemoveUserFromGroup UpdateGroup
    """,
    "group/": "ListGroups",
    "group/new": "CreateGroup",
    "role/team/given": """
        AttachRolePolicy DeleteRole DeleteRolePermissionsBoundary DeleteRolePolicy DetachRolePolicy GetRole
        GetRolePolicy ListAttachedRolePolicies ListInstanceProfilesForRole ListRolePolicies ListRoleTags
        PutRolePermissionsBoundary PutRolePolicy TagRole UntagRole UpdateAssumeRolePolicy UpdateRole
        UpdateRoleDescription
    """,
    "role/": "ListRoles",
    "role/new": "CreateRole",
    "role/aws-service-role/support.amazonaws.com/AWSServiceRoleForSupport": """
        CreateServiceLinkedRole GetServiceLinkedRoleDeletionStatus
    """,
    "role/aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS": "DeleteServiceLinkedRole",
    "policy/team/given": """
        CreatePolicyVersion DeletePolicy DeletePolicyVersion GetPolicy GetPolicyVersion ListEntitiesForPolicy
        ListPolicyTags ListPolicyVersions SetDefaultPolicyVersion TagPolicy UntagPolicy
    """,
    "policy/": "ListPolicies",
    "policy/new": "CreatePolicy",
    "instance-profile/team/given": """
        AddRoleToInstanceProfile DeleteInstanceProfile GetInstanceProfile ListInstanceProfileTags
        RemoveRoleFromInstanceProfile TagInstanceProfile UntagInstanceProfile
    """,
    "instance-profile/": "ListInstanceProfiles",
    "instance-profile/new": "CreateInstanceProfile",
    "mfa/team/given": "DeleteVirtualMFADevice ListMFADeviceTags TagMFADevice UntagMFADevice",
    "mfa/": "ListVirtualMFADevices",
    "mfa/new": "CreateVirtualMFADevice",
    "saml-provider/given": """
        DeleteSAMLProvider GetSAMLProvider ListSAMLProviderTags TagSAMLProvider UntagSAMLProvider UpdateSAMLProvider
    """,
    "saml-provider/new": "CreateSAMLProvider",
    "oidc-provider/given.example/team": """
        AddClientIDToOpenIDConnectProvider DeleteOpenIDConnectProvider GetOpenIDConnectProvider
        ListOpenIDConnectProviderTags RemoveClientIDFromOpenIDConnectProvider TagOpenIDConnectProvider
        UntagOpenIDConnectProvider UpdateOpenIDConnectProvider UpdateOpenIDConnectProviderThumbprint
    """,
    "oidc-provider/new.example": "CreateOpenIDConnectProvider",
    "server-certificate/team/given": """
        DeleteServerCertificate GetServerCertificate ListServerCertificateTags TagServerCertificate
        UntagServerCertificate UpdateServerCertificate
    """,
    "server-certificate/": "ListServerCertificates",
    "server-certificate/new": "UploadServerCertificate",
    "delegation-request/given-0123456789": """
        AcceptDelegationRequest AssociateDelegationRequest GetDelegationRequest GetHumanReadableSummary
        RejectDelegationRequest SendDelegationToken UpdateDelegationRequest
    """,
    "delegation-request/*": "CreateDelegationRequest",
    "access-report/o-exampleorg/r-ab12/111122223333": "GenerateOrganizationsAccessReport",
}
"""What AWS decides about, behind the account in the ARN -> the operations."""

RESOURCES = {operation: resource for resource, operations in ABOUT.items() for operation in operations.split()}

FURTHER: Mapping[str, tuple[str, ...]] = {
    "AddRoleToInstanceProfile": ("iam:PassRole",),
    "GenerateOrganizationsAccessReport": (
        "organizations:DescribePolicy",
        "organizations:ListChildren",
        "organizations:ListParents",
        "organizations:ListPoliciesForTarget",
        "organizations:ListRoots",
        "organizations:ListTargetsForPolicy",
    ),
}
"""What else a call of minimal parameters needs permission for: the reference's dependent actions."""

NEW_NAMES: Mapping[str, str] = {
    "CreateUser": "UserName",
    "CreateGroup": "GroupName",
    "CreateRole": "RoleName",
    "CreatePolicy": "PolicyName",
    "CreateInstanceProfile": "InstanceProfileName",
    "CreateVirtualMFADevice": "VirtualMFADeviceName",
    "UploadServerCertificate": "ServerCertificateName",
}
"""The operations that make something with a name of its own, which must not be that of what is there."""


def resource_of(operation: str, caller: str) -> str:
    """Return the ARN that AWS authorizes an operation on, or `*`."""
    resource = RESOURCES[operation]
    return resource if resource == "*" else caller if resource == CALLER else ARN + resource


def parameters_of(operation: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the required parameters of an operation, and the user's name where possible.

    `given` has values by member name, or by `Operation.member`; all others are generated from the model.
    """
    shape = OPERATIONS[operation].input
    if shape is None:
        return {}
    names = [name for name in shape.members if name in shape.required or name == "UserName"]
    parameters = {name: value_of(shape.members[name], name, operation, given) for name in names}
    if operation in NEW_NAMES:
        parameters[NEW_NAMES[operation]] = "new"
    return parameters


def user_name_is_optional(operation: Operation) -> bool:
    """Return whether an operation without a user name is about the caller."""
    shape = operation.input
    return shape is not None and "UserName" in shape.members and "UserName" not in shape.required


def value_of(shape: Shape, name: str, operation: str, given: Mapping[str, Any]) -> Any:
    """Return a valid value of a shape."""
    for key in (f"{operation}.{name}", name):
        if key in given:
            return given[key]
    match shape.kind:
        case "structure":
            return {each: value_of(shape.members[each], each, operation, given) for each in shape.required}
        case "list":
            return [value_of(shape.element, f"{name}.member", operation, given)]
        case "integer":
            return shape.limits.minimum or 1
        case "boolean":
            return False
    return _text(shape)


def _text(shape: Shape) -> str:
    limits = shape.limits
    if limits.enum:
        return limits.enum[0]
    least = limits.minimum or 1
    samples = (sample * least if len(sample) == 1 else sample for sample in ("given", "0", "v1", "/given/"))
    fitting = (each for each in samples if len(each) >= least and matches(limits.pattern or ".*", each))
    return next(fitting)
