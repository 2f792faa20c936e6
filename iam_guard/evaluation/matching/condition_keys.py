"""The condition keys of AWS and our own: their type, source, and when they are present (rules E.1-E.5, K-31 to K-34).

A name that ends in `/` is a family: the rest of the key is a tag key or similar. A name that starts with `<provider>`
applies to the host of every identity provider (`accounts.google.com:sub`). Other keys can be used too (rule G-68):
applications declare their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["String", "Arn", "Bool", "Numeric", "Date", "Ip"]

_PROVIDER = "<provider>"


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One condition key, or one family of keys. `present` describes when the key is present (rule K-2)."""

    name: str
    kind: Kind
    multivalued: bool
    supplier: str
    """The source: `principal`, `session`, `network`, `resource`, `request`, `identity provider`, or a service."""
    present: str


def _rows(supplier: str, *rows: tuple[str, Kind, str, str]) -> Iterator[KeyRow]:
    for name, kind, cardinality, present in rows:
        yield KeyRow(name, kind, cardinality == "m", supplier, present)


_SIGNED = "all signed requests"
_ALWAYS = "always"
_ORGANIZATION = "the account is in an organization"
_DIRECT_SERVICE = "a service principal calls directly"
_BEHALF = "a service principal calls directly on behalf of a resource"
_ENDPOINT = "the request comes through a VPC endpoint"
_FORWARDED = "a service reuses the caller's credentials"
_EC2 = "EC2 instance-role credentials"
_WORKLOAD = "credentials delivered to that workload"
_TRUSTED_IDENTITY = "the session carries a trusted identity context"
_ASSUME = "the call assumes a role and passes it"
_BEARER = "bearer tokens and GetWebIdentityToken"
_FEDERATION = "the federation call, and its sessions if AWS keeps the key"
_ASSERTION = "AssumeRoleWithSAML, if the assertion has the attribute"

KEYS: tuple[KeyRow, ...] = (
    *_rows(  # E.1
        "principal",
        ("aws:PrincipalArn", "Arn", "1", _SIGNED),
        ("aws:PrincipalAccount", "String", "1", _ALWAYS),
        ("aws:PrincipalOrgID", "String", "1", _ORGANIZATION),
        ("aws:PrincipalOrgPaths", "String", "m", _ORGANIZATION),
        ("aws:PrincipalTag/", "String", "1", "user, role or session tags"),
        ("aws:PrincipalIsAWSService", "Bool", "1", _SIGNED),
        ("aws:PrincipalServiceName", "String", "1", _DIRECT_SERVICE),
        ("aws:PrincipalServiceNamesList", "String", "m", _DIRECT_SERVICE),
        ("aws:PrincipalType", "String", "1", _ALWAYS),
        ("aws:userid", "String", "1", _ALWAYS),
        ("aws:username", "String", "1", "IAM users only"),
    ),
    *_rows(  # E.2
        "session",
        ("aws:AssumedRoot", "Bool", "1", "AssumeRoot credentials"),
        ("aws:FederatedProvider", "String", "1", "role sessions from an identity provider"),
        ("aws:TokenIssueTime", "Date", "1", "temporary credentials"),
        ("aws:MultiFactorAuthPresent", "Bool", "1", "temporary credentials that could carry MFA"),
        ("aws:MultiFactorAuthAge", "Numeric", "1", "temporary credentials with MFA"),
        ("aws:SourceIdentity", "String", "1", "role sessions with a source identity"),
        ("aws:SignInSessionArn", "Arn", "1", "sign-in sessions other than the console's"),
        ("aws:ChatbotSourceArn", "Arn", "1", "sessions started by the chat integration"),
        ("aws:Ec2InstanceSourceVpc", "String", "1", _EC2),
        ("aws:Ec2InstanceSourcePrivateIPv4", "Ip", "1", _EC2),
        ("ec2:RoleDelivery", "Numeric", "1", _EC2),
        ("ec2:SourceInstanceArn", "Arn", "1", _EC2),
        ("glue:RoleAssumedBy", "String", "1", _WORKLOAD),
        ("glue:CredentialIssuingService", "String", "1", _WORKLOAD),
        ("codebuild:BuildArn", "Arn", "1", _WORKLOAD),
        ("codebuild:ProjectArn", "Arn", "1", _WORKLOAD),
        ("lambda:SourceFunctionArn", "Arn", "1", _WORKLOAD),
        ("ssm:SourceInstanceArn", "Arn", "1", _WORKLOAD),
        ("identitystore:UserId", "String", "1", "the caller is an Identity Center user"),
        ("aws:ViaCustomerDomain", "String", "1", "a temporary-access-delegation token exchange"),
        ("aws:IdentityCenterInstanceArn", "Arn", "1", _TRUSTED_IDENTITY),  # K-31
        ("aws:IdentityStoreArn", "Arn", "1", _TRUSTED_IDENTITY),
        ("aws:OriginIdentity/", "String", "1", _TRUSTED_IDENTITY),
        ("aws:TransactionContext/", "String", "1", _TRUSTED_IDENTITY),
    ),
    *_rows(  # E.3
        "network",
        ("aws:SourceIp", "Ip", "1", "the request did not come through a VPC endpoint"),
        ("aws:SourceVpc", "String", "1", _ENDPOINT),
        ("aws:SourceVpce", "String", "1", _ENDPOINT),
        ("aws:SourceVpcArn", "Arn", "1", _ENDPOINT),
        ("aws:VpceAccount", "String", "1", _ENDPOINT),
        ("aws:VpceOrgID", "String", "1", _ENDPOINT),
        ("aws:VpceOrgPaths", "String", "m", _ENDPOINT),
        ("aws:VpcSourceIp", "Ip", "1", _ENDPOINT),
    ),
    *_rows(  # E.4
        "resource",
        ("aws:ResourceAccount", "String", "1", "nearly always"),
        ("aws:ResourceOrgID", "String", "1", _ORGANIZATION),
        ("aws:ResourceOrgPaths", "String", "m", _ORGANIZATION),
        ("aws:ResourceTag/", "String", "1", "the resource has the tag, or the creating request sets it"),
    ),
    *_rows(  # E.5
        "request",
        ("aws:CalledVia", "String", "m", _FORWARDED),
        ("aws:CalledViaFirst", "String", "1", _FORWARDED),
        ("aws:CalledViaLast", "String", "1", _FORWARDED),
        ("aws:ViaAWSService", "Bool", "1", _ALWAYS),
        ("aws:CalledViaAWSMCP", "String", "1", "an AWS MCP service forwards the caller's request"),
        ("aws:ViaAWSMCPService", "Bool", "1", "an AWS MCP service forwards the caller's request"),
        ("aws:IsMcpServiceAction", "Bool", "1", "an AWS MCP service authorizes its own action"),
        ("aws:CurrentTime", "Date", "1", _ALWAYS),
        ("aws:EpochTime", "Date", "1", _ALWAYS),
        ("aws:referer", "String", "1", "the header is sent"),
        ("aws:UserAgent", "String", "1", _ALWAYS),
        ("aws:RequestedRegion", "String", "1", _ALWAYS),
        ("aws:RequestTag/", "String", "1", "the request passes the tag"),
        ("aws:TagKeys", "String", "m", "the request can pass tags"),
        ("aws:SecureTransport", "Bool", "1", _ALWAYS),
        ("aws:SourceArn", "Arn", "1", _BEHALF),
        ("aws:SourceAccount", "String", "1", _BEHALF),
        ("aws:SourceOrgID", "String", "1", _BEHALF),
        ("aws:SourceOrgPaths", "String", "m", _BEHALF),
    ),
    *_rows(  # K-32
        "sts",
        ("sts:ExternalId", "String", "1", _ASSUME),
        ("sts:RoleSessionName", "String", "1", _ASSUME),
        ("sts:SourceIdentity", "String", "1", _ASSUME),
        ("sts:TransitiveTagKeys", "String", "m", _ASSUME),
        ("sts:RequestContext/", "String", "1", _ASSUME),
        ("sts:RequestContextProviders", "Arn", "m", _ASSUME),
        ("sts:RoleAuthorizedByIdp", "Bool", "1", "AssumeRoleWithWebIdentity"),
        ("sts:TaskPolicyArn", "Arn", "1", "AssumeRoot"),
        ("sts:DurationSeconds", "Numeric", "1", _BEARER),
        ("sts:AWSServiceName", "String", "1", _BEARER),
        ("sts:IdentityTokenAudience", "String", "m", _BEARER),
        ("sts:SigningAlgorithm", "String", "1", _BEARER),
        ("sts:IdentityTokenScope", "String", "m", _BEARER),
        ("sts:SubjectMode", "String", "1", _BEARER),
    ),
    *_rows(  # K-33
        "iam",
        ("iam:PassedToService", "String", "1", "PassRole"),
        ("iam:AssociatedResourceArn", "Arn", "1", "PassRole"),
        ("iam:PermissionsBoundary", "Arn", "1", "the call sets or concerns a permissions boundary"),
        ("iam:PolicyARN", "Arn", "1", "the call names a managed policy"),
        ("iam:AWSServiceName", "String", "1", "service-linked roles"),
        ("iam:OrganizationsPolicyId", "String", "1", "the call names a policy of the organization"),
        ("iam:ResourceTag/", "String", "1", "the user or role has the tag"),
        ("iam:FIDO-certification", "String", "1", "a security key is registered"),
        ("iam:FIDO-FIPS-140-2-certification", "String", "1", "a security key is registered"),
        ("iam:FIDO-FIPS-140-3-certification", "String", "1", "a security key is registered"),
        ("iam:RegisterSecurityKey", "String", "1", "a security key is registered"),
        ("iam:ServiceSpecificCredentialServiceName", "String", "1", "service-specific credentials"),
        ("iam:ServiceSpecificCredentialAgeDays", "Numeric", "1", "service-specific credentials"),
        ("iam:DelegationDuration", "Numeric", "1", "delegation requests"),
        ("iam:DelegationRequestOwner", "Arn", "1", "delegation requests"),
        ("iam:NotificationChannel", "String", "1", "delegation requests"),
        ("iam:TemplateArn", "Arn", "1", "delegation requests"),
    ),
    *_rows(
        "sign-in",
        ("signin:OAuthClientId", "String", "1", "tools are approved, get credentials or are introspected"),
        ("signin:OAuthGrantType", "String", "1", "tools get credentials"),
        ("signin:OAuthRedirectUri", "String", "1", "tools are approved, or redeem a code"),
        ("signin:OAuthTokenType", "String", "1", "tokens are introspected or revoked"),
    ),
    *_rows(
        "iam_guard",
        ("iam-guard:Grantee", "String", "1", "a resource is shared: `*`, an account id or a principal's ARN"),
        ("iam-guard:InvitationLink", "Bool", "1", "an invitation link is created (`iam:CreateLoginProfile`)"),
        ("iam-guard:Reason", "String", "1", "the application itself calls"),
    ),
    *_rows(  # K-32, K-34
        "identity provider",
        ("saml:aud", "String", "1", _FEDERATION),
        ("saml:doc", "String", "1", _FEDERATION),
        ("saml:iss", "String", "1", _FEDERATION),
        ("saml:namequalifier", "String", "1", _FEDERATION),
        ("saml:sub", "String", "1", _FEDERATION),
        ("saml:sub_type", "String", "1", _FEDERATION),
        ("saml:cn", "String", "m", _ASSERTION),
        ("saml:commonName", "String", "1", _ASSERTION),
        ("saml:eduOrgHomePageURI", "String", "m", _ASSERTION),
        ("saml:eduOrgIdentityAuthNPolicyURI", "String", "m", _ASSERTION),
        ("saml:eduOrgLegalName", "String", "m", _ASSERTION),
        ("saml:eduOrgSuperiorURI", "String", "m", _ASSERTION),
        ("saml:eduOrgWhitePagesURI", "String", "m", _ASSERTION),
        ("saml:eduPersonAffiliation", "String", "m", _ASSERTION),
        ("saml:eduPersonAssurance", "String", "m", _ASSERTION),
        ("saml:eduPersonEntitlement", "String", "m", _ASSERTION),
        ("saml:eduPersonNickname", "String", "m", _ASSERTION),
        ("saml:eduPersonOrgDN", "String", "1", _ASSERTION),
        ("saml:eduPersonOrgUnitDN", "String", "m", _ASSERTION),
        ("saml:eduPersonPrimaryAffiliation", "String", "1", _ASSERTION),
        ("saml:eduPersonPrimaryOrgUnitDN", "String", "1", _ASSERTION),
        ("saml:eduPersonPrincipalName", "String", "1", _ASSERTION),
        ("saml:eduPersonScopedAffiliation", "String", "m", _ASSERTION),
        ("saml:eduPersonTargetedID", "String", "m", _ASSERTION),
        ("saml:givenName", "String", "1", _ASSERTION),
        ("saml:mail", "String", "1", _ASSERTION),
        ("saml:name", "String", "1", _ASSERTION),
        ("saml:organizationStatus", "String", "1", _ASSERTION),
        ("saml:surname", "String", "1", _ASSERTION),
        ("saml:uid", "String", "1", _ASSERTION),
        ("saml:x500UniqueIdentifier", "String", "1", _ASSERTION),
        (f"{_PROVIDER}:amr", "String", "m", _FEDERATION),
        (f"{_PROVIDER}:aud", "String", "1", _FEDERATION),
        (f"{_PROVIDER}:email", "String", "1", _FEDERATION),
        (f"{_PROVIDER}:oaud", "String", "1", _FEDERATION),
        (f"{_PROVIDER}:sub", "String", "1", _FEDERATION),
    ),
)

_BY_NAME = {row.name.lower(): row for row in KEYS}


def row_of(key: str) -> KeyRow | None:
    """Return the row of a key, in any letter case (rule C-3); None for a key that is not in the table."""
    folded = key.lower()
    prefix, slash, tag = folded.partition("/")
    if slash and (family := _BY_NAME.get(prefix + slash)) is not None:
        return family if tag else None
    if (row := _BY_NAME.get(folded)) is not None:
        return row
    host, _, claim = folded.rpartition(":")
    return _BY_NAME.get(f"{_PROVIDER}:{claim}") if "." in host else None


def spelled(folded_key: str) -> str:
    """Return a key in AWS's spelling; tag keys, and keys that AWS does not define, are unchanged."""
    row = row_of(folded_key)
    if row is None or row.name.startswith("<"):
        return folded_key
    return row.name + folded_key[len(row.name) :]


def is_multivalued(folded_key: str) -> bool:
    """Return whether a key (lower case) is multivalued, regardless of its number of values (rule C-43)."""
    row = row_of(folded_key)
    return row is not None and row.multivalued
