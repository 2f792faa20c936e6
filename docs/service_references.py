"""The service authorization references of our own services, generated from the tables of their operations.

For IAM and Access Analyzer each row of the table returns its permissions (`operations`); only facts that no row has are
here: the names of resource types, and actions that are mere permissions. STS and Sign-In have few operations, whose
targets depend on tokens and signatures, and those of `iam-guard` on what is stored: they are listed here, and a test
compares their names with the table. The file format is in `iam_guard.analysis.reference.json_form`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache

from operations import ask

from iam_guard.api.access_analyzer.operation_table import ACCESS_ANALYZER
from iam_guard.api.iam.operations import IAM
from iam_guard.api.protocol.service_model import load_api, own_loader
from iam_guard.evaluation.matching.condition_keys import KEYS, row_of
from iam_guard.model.reference import (
    AccessLevel,
    ActionEntry,
    ActionTarget,
    ConditionKey,
    KeyType,
    ResourceType,
    ServiceReference,
    level_of,
)

_TAGS = "aws:ResourceTag/${TagKey}"
_OWN_TAGS = "iam:ResourceTag/${TagKey}"
_TYPES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "access-report": ("access-report/${EntityPath}", ()),
    "delegation-request": ("delegation-request/${DelegationRequestId}", ("iam:DelegationRequestOwner",)),
    "group": ("group/${GroupNameWithPath}", ()),
    "instance-profile": ("instance-profile/${InstanceProfileNameWithPath}", (_TAGS, _OWN_TAGS)),
    "mfa": ("mfa/${MfaTokenIdWithPath}", (_TAGS, _OWN_TAGS)),
    "oidc-provider": ("oidc-provider/${OidcProviderName}", (_TAGS, _OWN_TAGS)),
    "policy": ("policy/${PolicyNameWithPath}", (_TAGS, _OWN_TAGS)),
    "role": ("role/${RoleNameWithPath}", (_TAGS, _OWN_TAGS)),
    "role-template": ("role-template/${AWSServicePrincipal}/${RoleTemplateName}:${RoleTemplateMajorVersion}", ()),
    "saml-provider": ("saml-provider/${SamlProviderName}", (_TAGS, _OWN_TAGS)),
    "server-certificate": ("server-certificate/${CertificateNameWithPath}", (_TAGS, _OWN_TAGS)),
    "user": ("user/${UserNameWithPath}", (_TAGS, _OWN_TAGS)),
}
"""The resource types of IAM, with AWS's names; tags also have IAM's name."""
_BY_MEMBER: Mapping[str, tuple[str, ...]] = {
    "{Arn}": ("group", "policy", "role", "user"),
    "{EntityArn}": ("delegation-request",),
    "{OpenIDConnectProviderArn}": ("oidc-provider",),
    "{PolicyArn}": ("policy",),
    "{PolicySourceArn}": ("group", "role", "user"),
    "{SAMLProviderArn}": ("saml-provider",),
    "{SerialNumber}": ("mfa",),
}
"""The resource types that an ARN in the input may have."""
_BESIDE = {
    "AcquireRole": ("role-template",),
    "GetAccessKeyLastUsed": ("user",),
    "GetRoleTemplateVersion": ("role-template",),
    "ListServiceSpecificCredentials": ("user",),
}
"""Actions that are decided about `*` or a resource, depending on their input."""

_MORE_KEYS: Mapping[str, tuple[str, ...]] = {
    "CreateDelegationRequest": ("iam:TemplateArn",),
    "CreateLoginProfile": ("iam-guard:InvitationLink",),
    "EnableMFADevice": (
        *("iam:FIDO-certification", "iam:FIDO-FIPS-140-2-certification", "iam:FIDO-FIPS-140-3-certification"),
        "iam:RegisterSecurityKey",
    ),
    **dict.fromkeys(("GetAccountProperties", "PutAccountProperties"), ("iam:AccountPropertyNamespaces",)),
    **dict.fromkeys(
        ("AttachRolePolicy", "CreateRole", "GetRole", "PutRolePermissionsBoundary", "PutRolePolicy", "TagRole"),
        ("iam:RoleTemplateARN",),
    ),
}
"""Condition keys that not every call sets, or that only AWS sets."""
_LEVELS = {
    "AcceptDelegationRequest": AccessLevel.WRITE,
    "DeleteAccountPasswordPolicy": AccessLevel.PERMISSIONS_MANAGEMENT,
    "GetAccountSummary": AccessLevel.LIST,
    "GetLoginProfile": AccessLevel.LIST,
    "UpdateAccountPasswordPolicy": AccessLevel.WRITE,
}
"""Access levels of AWS that differ from the verb's."""

_ELSEWHERE = "Permission of AWS's console; no operation here requires it"
_PERMISSIONS_ALONE = (
    ActionEntry(
        "PassRole",
        "Permission to pass a role to a service",
        AccessLevel.WRITE,
        (ActionTarget("role", required=True),),
        ("iam:AssociatedResourceArn", "iam:PassedToService"),
    ),
    ActionEntry(
        "ExplainDecision",
        "Permission to get the explanation of an own denial with the response; AWS does not have this action",
        AccessLevel.READ,
        (ActionTarget("role"), ActionTarget("user")),
    ),
    *(
        ActionEntry(name, _ELSEWHERE, level_of(name))
        for name in (
            *("DeleteCloudFrontPublicKey", "GetAccountEmailAddress", "GetAccountName", "GetCloudFrontPublicKey"),
            *("ListCloudFrontPublicKeys", "ListSTSRegionalEndpointsStatus", "SetSTSRegionalEndpointStatus"),
            *("UpdateAccountEmailAddress", "UpdateAccountName", "UpdateCloudFrontPublicKey"),
            "UploadCloudFrontPublicKey",
        )
    ),
)


def iam_reference() -> ServiceReference:
    """Return the reference of IAM."""
    actions = [*map(_iam_action, IAM.operations), *_PERMISSIONS_ALONE]
    types = [
        ResourceType(name, (f"arn:${{Partition}}:iam::${{Account}}:{arn}",), keys)
        for name, (arn, keys) in _TYPES.items()
    ]
    return _reference("iam", "AWS Identity and Access Management", actions, types)


def _iam_action(name: str) -> ActionEntry:
    asked = ask(name, IAM.operations[name])
    types = _BESIDE.get(name) or tuple(_types_of(asked.resource))
    return ActionEntry(
        name,
        _summary("iam", name),
        _level(name),
        tuple(ActionTarget(type, required=name not in _BESIDE) for type in types),
        tuple(sorted({*map(_family, asked.keys), *_MORE_KEYS.get(name, ())})),
        tuple(sorted({each.action for each in asked.further if each.action != f"iam:{name}"})),
    )


def _types_of(arn: str) -> Iterator[str]:
    if arn == "*":
        return
    rest = arn.split(":", 5)[5]
    if rest in _BY_MEMBER:
        yield from _BY_MEMBER[rest]
        return
    name = re.split(r"[/{]", rest)[0]
    assert name in _TYPES, f"the type of {arn} is not in the table"  # noqa: S101  a new row wants a new type
    yield name


def _family(key: str) -> str:
    return f"{key}/${{TagKey}}" if key == "aws:RequestTag" else key


def _level(name: str) -> AccessLevel:
    return AccessLevel.READ if name.startswith("Generate") else _LEVELS.get(name) or level_of(name)


# --- STS ---------------------------------------------------------------------------------------------------------

_ROLE = (ActionTarget("role", required=True),)
_TAGS_PASSED = ("aws:RequestTag/${TagKey}", "aws:TagKeys")
_OF_SESSION = ("sts:RoleSessionName", "sts:SourceIdentity")
_ASSUMING = (*_TAGS_PASSED, "sts:ExternalId", *_OF_SESSION, "sts:TransitiveTagKeys")
_SAML = tuple(row.name for row in KEYS if row.name.startswith("saml:"))
_TOKEN = ("sts:DurationSeconds", "sts:IdentityTokenAudience", "sts:SigningAlgorithm", "sts:SubjectMode")

STS_ACTIONS = (
    ("AssumeRole", "Write", _ROLE, (*_ASSUMING, "iam:ResourceTag/${TagKey}")),
    ("AssumeRoleWithSAML", "Write", _ROLE, (*_TAGS_PASSED, *_OF_SESSION, "sts:TransitiveTagKeys", *_SAML)),
    (
        "AssumeRoleWithWebIdentity",
        "Write",
        _ROLE,
        (*_TAGS_PASSED, *_OF_SESSION, "sts:RoleAuthorizedByIdp", "sts:TransitiveTagKeys"),
    ),
    ("AssumeRoot", "Write", (ActionTarget("root-user", required=True),), ("sts:TaskPolicyArn",)),
    ("DecodeAuthorizationMessage", "Write", (), ()),
    ("GetAccessKeyInfo", "Read", (), ()),
    ("GetCallerIdentity", "Read", (), ()),
    ("GetDelegatedAccessToken", "Write", (), ()),
    ("GetFederationToken", "Write", (ActionTarget("federated-user", required=True),), _TAGS_PASSED),
    ("GetScopedCredentials", "Write", (), ()),
    ("GetServiceBearerToken", "Read", (), ("sts:AWSServiceName", "sts:DurationSeconds")),
    ("GetSessionToken", "Read", (), ()),
    ("GetWebIdentityToken", "Write", (ActionTarget("self-session"),), (*_TAGS_PASSED, *_TOKEN)),
    (
        "SetContext",
        "Write",
        (ActionTarget("role"), ActionTarget("self-session")),
        ("sts:RequestContext/${ContextKey}", "sts:RequestContextProviders"),
    ),
    ("SetSourceIdentity", "Write", _ROLE, _ASSUMING),
    ("TagGetWebIdentityToken", "Tagging", (ActionTarget("self-session"),), _TAGS_PASSED),
    ("TagSession", "Tagging", _ROLE, (*_ASSUMING, *_SAML)),
)
"""Name, access level, resource types, condition keys."""
_STS_TYPES = (
    ResourceType("federated-user", ("arn:${Partition}:sts::${Account}:federated-user/${FederatedUserName}",)),
    ResourceType("role", ("arn:${Partition}:iam::${Account}:role/${RoleNameWithPath}",), (_TAGS, _OWN_TAGS)),
    ResourceType("root-user", ("arn:${Partition}:iam::${Account}:root",)),
    ResourceType("self-session", ("arn:${Partition}:sts::${Account}:self",)),
)


def sts_reference() -> ServiceReference:
    """Return the reference of STS."""
    actions = [
        ActionEntry(name, _summary("sts", name), AccessLevel(level), targets, tuple(sorted(set(keys))))
        for name, level, targets, keys in STS_ACTIONS
    ]
    return _reference("sts", "AWS Security Token Service", actions, _STS_TYPES)


# --- Access Analyzer ---------------------------------------------------------------------------------------------

_ANALYZER = "arn:${Partition}:access-analyzer:${Region}:${Account}:analyzer/${AnalyzerName}"
_ANALYZER_TYPES = (
    ResourceType("Analyzer", (_ANALYZER,), (_TAGS,)),
    ResourceType("ArchiveRule", (f"{_ANALYZER}/archive-rule/${{RuleName}}",)),
)
_ANALYZER_LEVELS = {
    **dict.fromkeys(
        ("CheckAccessNotGranted", "CheckNoNewAccess", "CheckNoPublicAccess", "ValidatePolicy"), AccessLevel.READ
    ),
    **dict.fromkeys(
        ("ListAccessPreviewFindings", "ListAnalyzedResources", "ListFindings", "ListFindingsV2"), AccessLevel.READ
    ),
    **dict.fromkeys(("ListPolicyGenerations", "ListTagsForResource"), AccessLevel.READ),
    **dict.fromkeys(("CancelPolicyGeneration", "StartPolicyGeneration"), AccessLevel.WRITE),
}
"""Access levels of AWS that differ from the verb's."""
_ANALYZER_DEPENDENT = {"StartPolicyGeneration": ("iam:PassRole",)}
"""Permissions that only some calls require."""


def access_analyzer_reference() -> ServiceReference:
    """Return the reference of IAM Access Analyzer."""
    actions = [_analyzer_action(name) for name in ACCESS_ANALYZER.operations]
    actions += [  # policies written for AWS name them
        ActionEntry(name, _summary("accessanalyzer", name), level_of(name), (ActionTarget("Analyzer", required=True),))
        for name in ACCESS_ANALYZER.not_supported
    ]
    return _reference("access-analyzer", "AWS IAM Access Analyzer", actions, _ANALYZER_TYPES)


def _analyzer_action(name: str) -> ActionEntry:
    asked = ask(name, ACCESS_ANALYZER.operations[name], "accessanalyzer")
    rest = asked.resource.split(":", 5)[-1]
    type = "ArchiveRule" if "archive-rule/" in rest else "Analyzer"
    return ActionEntry(
        name,
        _summary("accessanalyzer", name),
        _ANALYZER_LEVELS.get(name) or level_of(name),
        () if rest == "*" else (ActionTarget(type, required=True),),
        tuple(sorted(set(map(_family, asked.keys)))),
        _ANALYZER_DEPENDENT.get(name, ()),
    )


# --- Sign-In -----------------------------------------------------------------------------------------------------

_TOOLS = tuple(
    map(ActionTarget, ("oauth2-public-client-localhost", "oauth2-public-client-remote", "service-principal"))
)
_SESSION = (ActionTarget("session", required=True),)
_CLIENT, _REDIRECT, _KIND = "signin:OAuthClientId", "signin:OAuthRedirectUri", "signin:OAuthTokenType"
_CONSOLE_ACTIONS = {
    "Read": "GetConsoleAuthorizationConfiguration GetResourcePolicy",
    "List": "ListResourcePermissionStatements ListTrustedIdentityPropagationApplicationsForConsole",
    "Write": "CreateTrustedIdentityPropagationApplicationForConsole",
    "Permissions management": "DeleteConsoleAuthorizationConfiguration DeleteResourcePermissionStatement "
    "PutConsoleAuthorizationConfiguration PutResourcePermissionStatement",
}
"""Of operations that are not supported, and permissions of AWS's console alone, which policies name."""
SIGN_IN_ACTIONS = (
    ("AuthorizeOAuth2Access", "Read", _TOOLS, (_CLIENT, _REDIRECT)),
    ("BatchRevokeSessions", "Write", _SESSION, ()),
    ("CreateBearerToken", "Write", (), ()),
    ("CreateOAuth2Token", "Read", _TOOLS, (_CLIENT, "signin:OAuthGrantType", _REDIRECT)),
    ("GetSession", "Read", _SESSION, ()),
    ("IntrospectOAuth2Token", "Read", (), (_CLIENT, _KIND)),
    ("ListSessions", "List", (), ()),
    ("RevokeOAuth2Token", "Write", (), (_KIND,)),
    *((name, level, (), ()) for level, names in _CONSOLE_ACTIONS.items() for name in names.split()),
)
"""Name, access level, resource types, condition keys; AWS documents none for sessions."""
_SIGN_IN_SUMMARIES = {
    "AuthorizeOAuth2Access": "Permission to approve a tool in the browser",
    "IntrospectOAuth2Token": "Permission to inspect a refresh token",
    "RevokeOAuth2Token": "Permission to revoke a refresh token with its session",
}
_SIGN_IN = "arn:${Partition}:signin:${Region}:${Account}"
_SIGN_IN_TYPES = (
    ResourceType("oauth2-public-client-localhost", (f"{_SIGN_IN}:oauth2/public-client/localhost",)),
    ResourceType("oauth2-public-client-remote", (f"{_SIGN_IN}:oauth2/public-client/remote",)),
    ResourceType("service-principal", (f"{_SIGN_IN}:service-principal/${{ServicePrincipal}}",)),
    ResourceType("session", (f"{_SIGN_IN}:session/${{SessionId}}",)),
)


def sign_in_reference() -> ServiceReference:
    """Return the reference of AWS Sign-In."""
    actions = [
        ActionEntry(name, _SIGN_IN_SUMMARIES.get(name) or _summary("signin", name), AccessLevel(level), targets, keys)
        for name, level, targets, keys in SIGN_IN_ACTIONS
    ]
    return _reference("signin", "AWS Signin", actions, _SIGN_IN_TYPES)


# --- iam-guard ---------------------------------------------------------------------------------------------------

_MANAGES = "Permissions management"
_KEY_OWNER = (ActionTarget("role"), ActionTarget("user"))
_PROVIDER = (ActionTarget("oidc-provider"), ActionTarget("saml-provider"))
_RESOURCE = (ActionTarget("resource", required=True),)
_ACCOUNT = (ActionTarget("account", required=True),)
_DECISION_POINT = (ActionTarget("authzen", required=True),)
_TRUST = "iam:UpdateAssumeRolePolicy"
_PROVIDER_CHANGES = ("iam:AddClientIDToOpenIDConnectProvider", "iam:UpdateSAMLProvider")
IAM_GUARD_ACTIONS = (
    ("AddSignOnProvider", "Write", _PROVIDER, (), _PROVIDER_CHANGES),
    ("CloseAccount", "Write", _ACCOUNT, (), ("account:CloseAccount",)),
    ("CreateApiKey", "Write", _KEY_OWNER, (), ("iam:CreateAccessKey", _TRUST)),
    ("DeleteApiKey", "Write", _KEY_OWNER, (), ("iam:DeleteAccessKey", _TRUST)),
    ("DeleteResourcePolicy", _MANAGES, _RESOURCE, (), ()),
    ("EvaluateAccess", "Read", _DECISION_POINT, (), ()),
    ("GetAccount", "Read", _ACCOUNT, (), ()),
    ("GetResourcePolicy", "Read", _RESOURCE, (), ()),
    ("ListApiKeys", "List", _KEY_OWNER, (), ()),
    ("ListResourcePolicies", "List", (), (), ()),
    ("ListShares", "List", _RESOURCE, (), ()),
    ("ListSignOnProviders", "List", (), (), ()),
    ("PutResourcePolicy", _MANAGES, _RESOURCE, (), ()),
    ("RemoveSignOnProvider", "Write", _PROVIDER, (), _PROVIDER_CHANGES),
    ("RenameAccount", "Write", _ACCOUNT, (), ()),
    ("RotateApiKey", "Write", _KEY_OWNER, (), ("iam:CreateAccessKey", _TRUST)),
    ("SearchActions", "Read", _DECISION_POINT, (), ()),
    ("SearchResources", "Read", _DECISION_POINT, (), ()),
    ("SearchSubjects", "Read", _DECISION_POINT, (), ()),
    ("ShareResource", _MANAGES, _RESOURCE, ("iam-guard:Grantee",), ()),
    ("UnshareResource", _MANAGES, _RESOURCE, ("iam-guard:Grantee",), ()),
    ("UpdateApiKey", "Write", _KEY_OWNER, (), ("iam:UpdateAccessKey", _TRUST)),
)
"""Name, access level, resource types, condition keys, further actions; without what an action of AWS decides."""
_AUTHZEN_SUMMARIES = {
    "EvaluateAccess": "Permission to ask whether principals of an account may do actions",
    "SearchActions": "Permission to list the actions that a principal may do on a resource",
    "SearchResources": "Permission to list the resources that a principal may do an action on",
    "SearchSubjects": "Permission to list the principals that may do an action on a resource",
}
"""AuthZEN has no table of operations."""
_IAM_GUARD_TYPES = (
    ResourceType("account", ("arn:${Partition}:iam-guard::${Account}:account",)),
    ResourceType("authzen", ("arn:${Partition}:iam-guard:${Region}:${Account}:authzen",)),
    ResourceType("oidc-provider", ("arn:${Partition}:iam::${Account}:oidc-provider/${OidcProviderName}",)),
    ResourceType("resource", ("arn:${Partition}:${Service}:${Region}:${Account}:${Resource}",), (_TAGS,)),
    ResourceType("role", ("arn:${Partition}:iam::${Account}:role/${RoleNameWithPath}",), (_TAGS,)),
    ResourceType("saml-provider", ("arn:${Partition}:iam::${Account}:saml-provider/${SamlProviderName}",)),
    ResourceType("user", ("arn:${Partition}:iam::${Account}:user/${UserNameWithPath}",), (_TAGS,)),
)


def iam_guard_reference() -> ServiceReference:
    """Return the reference of our own service, and of AuthZEN."""
    actions = [
        ActionEntry(
            name,
            _AUTHZEN_SUMMARIES.get(name) or _summary("iam-guard", name),
            AccessLevel(level),
            targets,
            keys,
            further,
        )
        for name, level, targets, keys, further in IAM_GUARD_ACTIONS
    ]
    return _reference("iam-guard", "iam_guard", actions, _IAM_GUARD_TYPES)


OWN_REFERENCES: Mapping[str, Callable[[], ServiceReference]] = {
    "iam": iam_reference,
    "sts": sts_reference,
    "signin": sign_in_reference,
    "access-analyzer": access_analyzer_reference,
    "iam-guard": iam_guard_reference,
}
"""Prefix of each served service -> the function that returns its reference."""


# --- all ---------------------------------------------------------------------------------------------------------


def _reference(
    name: str, title: str, actions: Iterable[ActionEntry], types: Iterable[ResourceType]
) -> ServiceReference:
    actions, types = sorted(actions, key=lambda each: each.name), sorted(types, key=lambda each: each.name)
    used = {key for action in actions for key in action.condition_keys} | {
        key for each in types for key in each.condition_keys
    }
    keys = tuple(_key(each) for each in sorted(used))
    return ServiceReference(name, tuple(actions), tuple(types), keys, title)


_KEY_TYPES: Mapping[str, KeyType] = {"Arn": "ARN", "Ip": "IPAddress"}


def _key(name: str) -> ConditionKey:
    row = row_of(name)
    if row is None:
        return ConditionKey(name)
    type: KeyType = _KEY_TYPES.get(row.kind) or row.kind  # type: ignore[assignment]  # the other names are the same
    return ConditionKey(name, type, row.multivalued, f"Present: {row.present}")


@cache
def _documentation(service: str) -> Mapping[str, str]:
    operations = own_loader().load_service_model(service, "service-2")["operations"]
    return {name: each.get("documentation", "") for name, each in operations.items()}


def _summary(service: str, name: str) -> str:
    """Return the first sentence of the service model's description of an operation; none for a mere permission."""
    operation = load_api(service).operations.get(name)
    if operation is None:
        return "Permission that another operation requires"
    documentation = _documentation(service)[name]
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", documentation.split("</p>")[0])).split())
    return re.split(r"(?<=[a-z)])\.(?: |$)", text)[0].strip().removesuffix(".")
