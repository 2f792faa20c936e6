"""An example for each code of the linter: a policy that has it, the place, and a near miss that has not."""

from __future__ import annotations

from typing import Any, NamedTuple

from iam_guard.model.reference import ServiceReference
from iam_guard.web.service import Service

IDENTITY, RESOURCE = "IDENTITY_POLICY", "RESOURCE_POLICY"
SCP, RCP = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"
TRUST = "AWS::IAM::AssumeRolePolicyDocument"
"""Stands for the type: a resource-based policy that trusts a role's callers."""
ACCOUNT = "111122223333"
DOCUMENT = f"arn:aws:docs:*:{ACCOUNT}:document/7"
USER = f"arn:aws:iam::{ACCOUNT}:user/ada"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/admin"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/admin/ada"
OIDC = f"arn:aws:iam::{ACCOUNT}:oidc-provider/id.example.com"
SAML = f"arn:aws:iam::{ACCOUNT}:saml-provider/corp"
GITHUB = "token.actions.githubusercontent.com"
WEB = "sts:AssumeRoleWithWebIdentity"
EVENTS = {"Service": "events.amazonaws.com"}


class Case(NamedTuple):
    """`at` is the path of the finding as a JSON pointer; with `#` at its end, the name of the member."""

    code: str
    found: dict[str, Any] | str
    at: str
    near: dict[str, Any]
    type: str = IDENTITY
    resource_type: str | None = None


def references() -> list[ServiceReference]:
    """Return the reference of an application with resources, condition keys, and a service without tags."""
    docs = Service("docs")
    docs.declare_condition_key("docs:Kind")
    docs.declare_condition_key("docs:Age", "Numeric")
    docs.declare_condition_key("docs:Readers", "ARN", multivalued=True)
    docs.declare_resource_type("document", "document/{id}", condition_keys=["aws:ResourceTag/${TagKey}"])
    docs.requires("GetDocument", resource="document/{id}", context={"docs:Kind": "x"})
    docs.requires("GetFolder", resource="folder/{id}")
    docs.requires("ListDocuments")
    plain = Service("plain")
    plain.requires("GetThing", resource="thing/{id}")
    return [docs.reference(), plain.reference()]


def statement(**elements: Any) -> dict[str, Any]:
    """Return an Allow without findings, except in `elements`; None removes one."""
    whole = {"Effect": "Allow", "Action": "docs:GetDocument", "Resource": DOCUMENT, **elements}
    return {name: value for name, value in whole.items() if value is not None}


def policy(*statements: Any, **members: Any) -> dict[str, Any]:
    """Return a document of statements; a mapping of elements is one statement."""
    document = {"Version": "2012-10-17", **members, "Statement": list(statements)}
    return {name: value for name, value in document.items() if value is not None}


def one(**elements: Any) -> dict[str, Any]:
    return policy(statement(**elements))


def when(operator: str, key: str, value: Any, **elements: Any) -> dict[str, Any]:
    return one(Condition={operator: {key: value}}, **elements)


def trust(principal: Any, action: Any = "sts:AssumeRole", **elements: Any) -> dict[str, Any]:
    return one(Principal=principal, Action=action, Resource=None, **elements)


def federated(operator: str, key: str, value: Any, host: str = "id.example.com") -> dict[str, Any]:
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{host}"
    return trust({"Federated": provider}, WEB, Condition={operator: {key: value}})


def resource_policy(principal: Any = USER, **elements: Any) -> dict[str, Any]:
    return one(Principal={"AWS": principal} if isinstance(principal, str) else principal, **elements)


def rcp(operator: str = "StringNotEqualsIfExists", key: str = "", value: str = "x", **more: Any) -> dict[str, Any]:
    condition = {operator: {key: value}, **more} if key else {}
    return one(Effect="Deny", Principal="*", Action="s3:*", Resource="*", **({"Condition": condition} if key else {}))


def of(
    type: str, *rows: tuple[str, dict[str, Any] | str, str, dict[str, Any]], resource_type: str | None = None
) -> list[Case]:
    return [Case(*row, type=type, resource_type=resource_type) for row in rows]


def value_case(code: str, operator: str, key: str, bad: Any, good: Any, **elements: Any) -> Case:
    """Return the case of a condition value."""
    where = f"/Statement/0/Condition/{operator}/{key.replace('/', '~1')}" + ("/0" if isinstance(bad, list) else "")
    return Case(code, when(operator, key, bad, **elements), where, when(operator, key, good, **elements))


def key_case(code: str, bad: tuple[str, str, Any], good: tuple[str, str, Any], **elements: Any) -> Case:
    """Return the case of a condition key: at its name."""
    where = f"/Statement/0/Condition/{bad[0]}/{bad[1].replace('/', '~1')}#"
    return Case(code, when(*bad, **elements), where, when(*good, **elements))


def operator_case(code: str, bad: tuple[str, str, Any], good: tuple[str, str, Any], **elements: Any) -> Case:
    """Return the case of a condition operator: at its name."""
    return Case(code, when(*bad, **elements), f"/Statement/0/Condition/{bad[0]}#", when(*good, **elements))


S0 = "/Statement/0"
GOOD = one()
PASS_ROLE = {"Action": "iam:PassRole", "Resource": "*"}
CREATE_SLR = {"Action": "iam:CreateServiceLinkedRole", "Resource": "*"}
NARROW = {"Action": "iam:PassRole", "Resource": ROLE}
ROLES = "arn:aws:iam::*:role/x"


def _roles(prefix: str, action: str) -> list[Case]:
    near = one(Action=action, Resource=ROLE)
    star = action[: len("iam:Pass")] + "*"
    rows: list[tuple[str, dict[str, Any], str]] = [
        ("STAR_IN_RESOURCE", {"Action": action, "Resource": "*"}, "Resource"),
        ("STAR_IN_ACTION_AND_RESOURCE", {"Action": star, "Resource": "*"}, "Resource"),
        ("STAR_IN_RESOURCE_AND_NOT_ACTION", {"Action": None, "NotAction": "docs:*", "Resource": "*"}, "Resource"),
        ("NOT_RESOURCE", {"Action": action, "Resource": None, "NotResource": ROLES}, "NotResource"),
        ("STAR_IN_ACTION_AND_NOT_RESOURCE", {"Action": star, "Resource": None, "NotResource": ROLES}, "NotResource"),
        (
            "NOT_ACTION_AND_NOT_RESOURCE",
            {"Action": None, "NotAction": "docs:*", "Resource": None, "NotResource": ROLES},
            "NotResource",
        ),
    ]
    return [Case(f"{prefix}_WITH_{code}", one(**elements), f"{S0}/{element}", near) for code, elements, element in rows]


LONG = "arn:aws:docs:*:*:document/" + "x" * 21_000

ELEMENTS = [
    *of(
        IDENTITY,
        ("JSON_SYNTAX_ERROR", '{"Version": "2012-10-17" "Statement": []}', "", GOOD),
        ("DATA_TYPE_MISMATCH", one(Action=7), f"{S0}/Action", GOOD),
        ("MISSING_VERSION", policy(statement(), Version=None), "", GOOD),
        ("INVALID_VERSION", policy(statement(), Version="2012-10-18"), "/Version", GOOD),
        ("INVALID_POLICY_ELEMENT", one(Action=None, action="docs:*"), f"{S0}/action#", GOOD),
        ("MISSING_STATEMENT", policy(), "/Statement", GOOD),
        ("MISSING_EFFECT", one(Effect=None), S0, GOOD),
        ("INVALID_EFFECT", one(Effect="allow"), f"{S0}/Effect", GOOD),
        ("MISSING_ACTION", one(Action=None), S0, GOOD),
        ("MISSING_RESOURCE", one(Resource=None), S0, GOOD),
        ("UNSUPPORTED_ELEMENT_COMBINATION", one(NotAction="docs:*"), f"{S0}/NotAction#", GOOD),
        ("UNSUPPORTED_PRINCIPAL", one(Principal="*"), f"{S0}/Principal#", GOOD),
        (
            "UNIQUE_SIDS_REQUIRED",
            policy(statement(Sid="A"), statement(Sid="A", Effect="Deny")),
            "/Statement/1/Sid",
            policy(statement(Sid="A"), statement(Sid="B", Effect="Deny")),
        ),
        ("UNSUPPORTED_SID", one(Sid="a b"), f"{S0}/Sid", one(Sid="ab")),
        ("EMPTY_SID_VALUE", one(Sid=""), f"{S0}/Sid", one(Sid="a")),
        ("EMPTY_ARRAY_ACTION", one(Action=[]), f"{S0}/Action", GOOD),
        ("EMPTY_ARRAY_RESOURCE", one(Resource=[]), f"{S0}/Resource", GOOD),
        ("EMPTY_OBJECT_CONDITION", one(Condition={}), f"{S0}/Condition", GOOD),
        (
            "POLICY_SIZE_EXCEEDS_IDENTITY_POLICY_QUOTA",
            one(Resource=LONG),
            "",
            one(Resource=LONG[:6000]),
        ),
        ("ALLOW_EVERYTHING", one(Action="*", Resource="*"), f"{S0}/Action", one(Action="*")),
        ("ALLOW_WITH_NOT_ACTION", one(Action=None, NotAction="iam:*"), f"{S0}/NotAction#", GOOD),
        ("ALLOW_WITH_NOT_RESOURCE", one(Resource=None, NotResource=DOCUMENT), f"{S0}/NotResource#", GOOD),
        (
            "ALLOW_SHADOWED_BY_DENY",
            policy(statement(), statement(Effect="Deny", Action="docs:*", Resource="*")),
            S0,
            policy(statement(), statement(Effect="Deny", Action="docs:Put*", Resource="*")),
        ),
        (
            "REDUNDANT_STATEMENT",
            policy(statement(), statement(Action="docs:GetD*")),
            S0,
            policy(statement(), statement(Action="docs:GetD*", Effect="Deny")),
        ),
        (
            "REDUNDANT_ACTION",
            one(Action=["docs:GetDocument", "docs:GetD*"]),
            f"{S0}/Action/0",
            one(Action=["docs:GetDocument", "docs:ListD*"]),
        ),
        (
            "REDUNDANT_RESOURCE",
            one(Resource=[DOCUMENT, DOCUMENT[:-1] + "*"]),
            f"{S0}/Resource/0",
            one(Resource=[DOCUMENT, DOCUMENT + "*"][:1]),
        ),
    ),
    *_roles("PASS_ROLE", "iam:PassRole"),
    *_roles("CREATE_SLR", "iam:CreateServiceLinkedRole"),
    *of(
        SCP,
        ("SCP_SYNTAX_ERROR_PRINCIPAL", one(Principal="*"), f"{S0}/Principal#", GOOD),
        ("POLICY_SIZE_EXCEEDS_SCP_QUOTA", one(Resource=LONG), "", one(Resource=LONG[:8000])),
    ),
    *of(
        RESOURCE,
        ("MISSING_PRINCIPAL", one(), S0, resource_policy()),
        ("INVALID_PRINCIPAL_KEY", resource_policy({"aws": USER}), f"{S0}/Principal/aws#", resource_policy()),
        ("INVALID_PRINCIPAL_FORMAT", resource_policy("ada"), f"{S0}/Principal/AWS", resource_policy(ACCOUNT)),
        (
            "INVALID_SERVICE_PRINCIPAL_FORMAT",
            resource_policy({"Service": "Events"}),
            f"{S0}/Principal/Service",
            resource_policy(EVENTS),
        ),
        (
            "UNSUPPORTED_WILDCARD_IN_PRINCIPAL",
            resource_policy(USER + "*"),
            f"{S0}/Principal/AWS",
            resource_policy(),
        ),
        (
            "FEDERATED_PRINCIPAL_NOT_SUPPORTED",
            resource_policy({"Federated": SAML}),
            f"{S0}/Principal/Federated",
            resource_policy(),
        ),
        ("EMPTY_OBJECT_PRINCIPAL", resource_policy({}), f"{S0}/Principal", resource_policy()),
        ("EMPTY_ARRAY_PRINCIPAL", resource_policy({"AWS": []}), f"{S0}/Principal/AWS", resource_policy()),
        (
            "ALLOW_WITH_NOT_PRINCIPAL",
            one(NotPrincipal={"AWS": USER}),
            f"{S0}/NotPrincipal#",
            one(NotPrincipal={"AWS": USER}, Effect="Deny"),
        ),
        ("ALLOW_EVERYBODY", one(Principal="*"), f"{S0}/Principal", one(Principal="*", Effect="Deny")),
        (
            "UNIQUE_SIDS_RECOMMENDED",
            policy(*[statement(Principal={"AWS": USER}, Sid="A", Resource=arn) for arn in (DOCUMENT, DOCUMENT[:-1])]),
            "/Statement/1/Sid",
            resource_policy(Sid="A"),
        ),
        (
            "POLICY_SIZE_EXCEEDS_RESOURCE_POLICY_QUOTA",
            resource_policy(Resource=LONG),
            "",
            resource_policy(Resource=LONG[:19_000]),
        ),
        (
            "INVALID_ROLE_REFERENCE",
            resource_policy("AROAEXAMPLE7"),
            f"{S0}/Principal/AWS",
            resource_policy(ROLE),
        ),
        ("INVALID_USER_REFERENCE", resource_policy("AIDAEXAMPLE7"), f"{S0}/Principal/AWS", resource_policy()),
    ),
    *of(
        RCP,
        ("RCP_SYNTAX_ERROR_ALLOW", {**rcp(), **one(Principal="*", Action="s3:*")}, f"{S0}/Effect", rcp()),
        (
            "RCP_SYNTAX_ERROR_PRINCIPAL",
            one(Effect="Deny", Principal={"AWS": USER}, Action="s3:*"),
            f"{S0}/Principal",
            rcp(),
        ),
        (
            "RCP_SYNTAX_ERROR_NOTACTION",
            one(Effect="Deny", Principal="*", Action=None, NotAction="s3:*"),
            f"{S0}/NotAction#",
            rcp(),
        ),
        ("RCP_SYNTAX_ERROR_ACTION", one(Effect="Deny", Principal="*", Action="S3:*"), f"{S0}/Action", rcp()),
        ("POLICY_SIZE_EXCEEDS_RCP_QUOTA", one(Effect="Deny", Principal="*", Action="s3:*", Resource=LONG), "", rcp()),
        (
            "RCP_MISSING_RELATED_PRINCIPAL_CONDITION_KEY",
            rcp(key="aws:PrincipalOrgID"),
            f"{S0}/Condition/StringNotEqualsIfExists/aws:PrincipalOrgID#",
            rcp(key="aws:PrincipalOrgID", Bool={"aws:PrincipalIsAWSService": "false"}),
        ),
        (
            "RCP_MISSING_RELATED_SERVICE_PRINCIPAL_CONDITION_KEY",
            rcp(key="aws:SourceOrgID"),
            f"{S0}/Condition/StringNotEqualsIfExists/aws:SourceOrgID#",
            rcp(key="aws:SourceOrgID", Bool={"aws:PrincipalIsAWSService": "true"}),
        ),
        (
            "RCP_MISSING_SERVICE_CONDITION_KEY_NULL_CHECK",
            rcp(key="aws:SourceOrgID"),
            f"{S0}/Condition/StringNotEqualsIfExists/aws:SourceOrgID#",
            rcp(key="aws:SourceOrgID", Null={"aws:SourceAccount": "false"}),
        ),
    ),
]

TRUSTS = of(
    RESOURCE,
    (
        "ROLE_TRUST_POLICY_SYNTAX_ERROR_RESOURCE",
        resource_policy(Action="sts:AssumeRole"),
        f"{S0}/Resource#",
        trust(EVENTS),
    ),
    (
        "ROLE_TRUST_POLICY_SYNTAX_ERROR_NOTPRINCIPAL",
        one(NotPrincipal={"AWS": USER}, Effect="Deny", Action="sts:AssumeRole", Resource=None),
        f"{S0}/NotPrincipal#",
        trust({"AWS": USER}),
    ),
    ("ROLE_TRUST_POLICY_UNSUPPORTED_WILDCARD_IN_PRINCIPAL", trust("*"), f"{S0}/Principal", trust({"AWS": USER})),
    (
        "POLICY_SIZE_EXCEEDS_ROLE_TRUST_POLICY_QUOTA",
        trust({"AWS": [f"{USER}{number}" for number in range(99)]}),
        "",
        trust({"AWS": USER}),
    ),
    (
        "INVALID_FEDERATED_PRINCIPAL_SYNTAX_IN_ROLE_TRUST_POLICY",
        trust({"Federated": "id.example.com"}, WEB),
        f"{S0}/Principal/Federated",
        trust({"Federated": OIDC}, WEB),
    ),
    (
        "MISMATCHED_ACTION_FOR_PRINCIPAL",
        trust({"Federated": OIDC}),
        f"{S0}/Principal/Federated",
        trust({"Federated": OIDC}, WEB),
    ),
    (
        "MISSING_CONDITION_KEY_FOR_OIDC_PRINCIPAL",
        trust({"Federated": [OIDC]}, WEB),
        f"{S0}/Principal/Federated/0",
        federated("StringEquals", "id.example.com:aud", "app"),
    ),
    (
        "MISSING_GITHUB_REPO_CONDITION_KEY",
        federated("StringEquals", f"{GITHUB}:aud", "sts.amazonaws.com", GITHUB),
        f"{S0}/Principal/Federated",
        federated("StringEquals", f"{GITHUB}:sub", "repo:acme/app:ref:refs/heads/main", GITHUB),
    ),
    (
        "SPECIFIC_GITHUB_REPO_AND_BRANCH_RECOMMENDED",
        federated("StringLike", f"{GITHUB}:sub", "repo:acme/*", GITHUB),
        f"{S0}/Condition/StringLike/{GITHUB}:sub",
        federated("StringLike", f"{GITHUB}:sub", "repo:acme/app:ref:refs/heads/release-*", GITHUB),
    ),
    (
        "WILDCARD_USAGE_TOO_PERMISSIVE",
        federated("StringLike", f"{GITHUB}:sub", ["repo:*"], GITHUB),
        f"{S0}/Condition/StringLike/{GITHUB}:sub/0",
        federated("StringLike", f"{GITHUB}:sub", ["repo:acme/app:*"], GITHUB),
    ),
    (
        "VARIABLE_USAGE_TOO_PERMISSIVE",
        federated("StringLike", "gitlab.com:sub", "${gitlab.com:sub}", "gitlab.com"),
        f"{S0}/Condition/StringLike/gitlab.com:sub",
        federated("StringLike", "gitlab.com:sub", "project_path:acme/*", "gitlab.com"),
    ),
    (
        "FORANYVALUE_WITH_AUDIENCE_CLAIM_TYPE",
        federated("ForAnyValue:StringEquals", "id.example.com:aud", "app"),
        f"{S0}/Condition/ForAnyValue:StringEquals#",
        federated("ForAnyValue:StringEquals", "id.example.com:amr", "app"),
    ),
    (
        "REDUNDANT_PRINCIPAL_IN_ROLE_TRUST_POLICY",
        trust({"AWS": [ROLE, SESSION]}),
        f"{S0}/Principal/AWS/1",
        trust({"AWS": [ROLE + "s", SESSION]}),
    ),
    (
        "MISSING_ACTION_FOR_ROLES_ANYWHERE_TRUST_POLICY",
        trust({"Service": "rolesanywhere.amazonaws.com"}),
        f"{S0}/Action",
        trust({"Service": "rolesanywhere.amazonaws.com"}, ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:Tag*"]),
    ),
    (
        "MISSING_ACTION_FOR_CONDITION_KEY",
        trust({"AWS": USER}, Condition={"StringEquals": {"aws:RequestTag/team": "blue"}}),
        f"{S0}/Condition/StringEquals/aws:RequestTag~1team#",
        trust({"AWS": USER}, ["sts:*"], Condition={"StringEquals": {"aws:RequestTag/team": "blue"}}),
    ),
    (
        "UNSUPPORTED_ACTION_IN_POLICY",
        trust({"AWS": USER}, ["sts:AssumeRole", "s3:GetObject"]),
        f"{S0}/Action/1",
        trust({"AWS": USER}, ["sts:AssumeRole", "sts:TagSession"]),
    ),
    resource_type=TRUST,
)

SERVICES = [
    *of(
        RESOURCE,
        (
            "RESTRICT_ACCESS_TO_SERVICE_PRINCIPAL",
            resource_policy(EVENTS),
            f"{S0}/Principal/Service",
            resource_policy(EVENTS, Condition={"StringEquals": {"aws:SourceAccount": ACCOUNT}}),
        ),
        (
            "UNSUPPORTED_CONDITION_KEY_FOR_SERVICE_PRINCIPAL",
            resource_policy(EVENTS, Condition={"StringEquals": {"aws:PrincipalOrgID": "o-1"}}),
            f"{S0}/Condition/StringEquals/aws:PrincipalOrgID#",
            resource_policy(EVENTS, Condition={"StringEquals": {"aws:SourceOrgID": "o-1"}}),
        ),
        (
            "RECOMMENDED_CONDITION_KEY_FOR_SERVICE_PRINCIPAL",
            resource_policy(EVENTS, Condition={"IpAddress": {"aws:SourceIp": "203.0.113.7"}}),
            f"{S0}/Condition/IpAddress/aws:SourceIp#",
            resource_policy(Condition={"IpAddress": {"aws:SourceIp": "203.0.113.7"}}),
        ),
        (
            "IRRELEVANT_CONDITION_KEY_IN_POLICY",
            resource_policy(Condition={"StringEquals": {"aws:ResourceAccount": ACCOUNT}}),
            f"{S0}/Condition/StringEquals/aws:ResourceAccount#",
            resource_policy(Condition={"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}),
        ),
    ),
    *of(
        RESOURCE,
        (
            "UNSUPPORTED_RESOURCE_ARN_IN_POLICY",
            resource_policy(Action="s3:GetObject", Resource=["arn:aws:s3:::b/x", "arn:aws:sqs:eu-west-1::q"]),
            f"{S0}/Resource/1",
            resource_policy(Action="s3:GetObject", Resource=["arn:aws:s3:::b/x", "arn:aws:s3:::b"]),
        ),
        resource_type="AWS::S3::Bucket",
    ),
]

ARNS = of(
    IDENTITY,
    ("INVALID_ARN_PREFIX", one(Resource="document/7"), f"{S0}/Resource", GOOD),
    ("INVALID_SERVICE", one(Resource="arn:aws:d*:::document/7"), f"{S0}/Resource", GOOD),
    ("MISSING_ARN_FIELD", one(Resource="arn:aws:docs::x"), f"{S0}/Resource", GOOD),
    ("INVALID_PARTITION", one(Resource="arn:awss:docs:*:*:document/7"), f"{S0}/Resource", GOOD),
    ("INVALID_ARN_RESOURCE", one(Resource="arn:aws:iam::*:usr/x"), f"{S0}/Resource", one(Resource=USER)),
    ("INVALID_ARN_SERVICE_CASE", one(Resource="arn:aws:Docs:*:*:document/7"), f"{S0}/Resource", GOOD),
    ("INVALID_ARN_ACCOUNT", one(Resource="arn:aws:docs:*:1111:document/7"), f"{S0}/Resource", GOOD),
    (
        "INVALID_ARN_REGION",
        one(Resource=["arn:aws:sqs:europe:111122223333:q"]),
        f"{S0}/Resource/0",
        one(Resource=["arn:aws:sqs:eu-west-1:111122223333:q", "arn:aws:docs:europe:111122223333:document/7"]),
    ),
    ("ARN_REGION_NOT_ALLOWED", one(Resource="arn:aws:iam:eu-west-1::user/x"), f"{S0}/Resource", one(Resource=USER)),
    (
        "ARN_ACCOUNT_NOT_ALLOWED",
        one(Resource=f"arn:aws:s3::{ACCOUNT}:bucket/x"),
        f"{S0}/Resource",
        one(Resource=f"arn:aws:s3:eu-west-1:{ACCOUNT}:accesspoint/x"),
    ),
    ("MISSING_ARN_REGION", one(Resource=f"arn:aws:docs::{ACCOUNT}:document/7"), f"{S0}/Resource", GOOD),
    ("MISSING_ARN_ACCOUNT", one(Resource="arn:aws:docs:*::document/7"), f"{S0}/Resource", GOOD),
    (
        "VARIABLE_UNSUPPORTED_IN_ELEMENT",
        one(Resource="arn:aws:docs:*:${aws:userid}:document/7"),
        f"{S0}/Resource",
        GOOD,
    ),
    (
        "VARIABLE_UNSUPPORTED_IN_VERSION",
        policy(statement(Resource=DOCUMENT + "${aws:userid}"), Version="2008-10-17"),
        f"{S0}/Resource",
        one(Resource=DOCUMENT + "${aws:userid}"),
    ),
    *[
        (code, one(Resource=DOCUMENT + variable), f"{S0}/Resource", one(Resource=DOCUMENT + "${aws:userid, 'x'}"))
        for code, variable in (
            ("MISSING_BRACE_IN_VARIABLE", "${aws:userid"),
            ("MISSING_QUOTE_IN_VARIABLE", "${aws:userid, x}"),
            ("UNSUPPORTED_SPACE_IN_VARIABLE", "${aws:user id}"),
            ("EMPTY_VARIABLE", "${}"),
        )
    ],
    ("INVALID_ACTION", one(Action=["docs:GetDocumnt"]), f"{S0}/Action/0", GOOD),
    ("INVALID_SERVICE_IN_ACTION", one(Action="dogs:GetDocument"), f"{S0}/Action", GOOD),
    ("ACTION_MATCHES_NOTHING", one(Action="docs:Print*"), f"{S0}/Action", GOOD),
    ("RESOURCE_NOT_OF_ACTION", one(Resource=f"arn:aws:docs:*:{ACCOUNT}:folder/7"), f"{S0}/Resource", GOOD),
    (
        "MISSING_RESOURCE_FOR_ACTION",
        one(Action=["docs:GetDocument", "docs:GetFolder"]),
        f"{S0}/Action/1",
        one(Action=["docs:GetDocument"]),
    ),
)

EXTRA_KEY = ("StringEquals", "docs:Kind", "a")
CONDITIONS = [
    value_case("INVALID_DATE_VALUE", "DateLessThan", "aws:CurrentTime", "2026", "2026-01-31"),
    value_case("TYPE_MISMATCH_DATE", "DateLessThan", "aws:CurrentTime", ["soon"], ["2026-01-31"]),
    value_case("TYPE_MISMATCH_NUMBER", "NumericLessThan", "aws:MultiFactorAuthAge", "old", "300"),
    value_case("TYPE_MISMATCH_BOOLEAN", "Bool", "aws:SecureTransport", "yes", "True"),
    value_case("TYPE_MISMATCH_STRING", "BinaryEquals", "docs:Kind", "%%", "QmluYXJ5"),
    value_case("TYPE_MISMATCH_IP_RANGE", "IpAddress", "aws:SourceIp", "203.0.113.0/33", "203.0.113.0/24"),
    value_case("IMPROVE_IP_RANGE", "IpAddress", "aws:SourceIp", ["203.0.113.77/24"], ["203.0.113.0/24"]),
    value_case("PRIVATE_IP_ADDRESS", "IpAddress", "aws:SourceIp", "10.0.0.0/8", "203.0.113.0/24"),
    value_case("PRIVATE_NOT_IP_ADDRESS", "NotIpAddress", "aws:SourceIp", "10.0.0.0/8", "203.0.113.0/24"),
    value_case("PRIVATE_IP_ADDRESS_SUBSET", "IpAddress", "aws:SourceIp", ["10.0.0.0/8", "203.0.113.7"], "203.0.113.7"),
    value_case(
        "PRIVATE_NOT_IP_ADDRESS_SUBSET", "NotIpAddress", "aws:SourceIp", ["10.0.0.1", "203.0.113.7"], "203.0.113.7"
    ),
    value_case("INVALID_VARIABLE_FOR_OPERATOR", "NumericEquals", "docs:Age", "${aws:userid}", "7"),
    value_case("WILDCARD_WITHOUT_LIKE_OPERATOR", "StringEquals", "docs:Kind", "a*", "a"),
    value_case("INVALID_VPC_FORMAT", "StringEquals", "aws:SourceVpc", "10.0.0.0", "vpc-0a1b2c3d"),
    value_case("INVALID_VPCE_FORMAT", "StringLike", "aws:SourceVpce", "vpc-0a1b2c3d", "vpce-*"),
    value_case("INVALID_REGION", "StringEquals", "aws:RequestedRegion", ["eu west 1"], ["eu-west-1"]),
    value_case(
        *("INVALID_KMS_KEY_VALUE", "StringEquals", "s3:x-amz-server-side-encryption-aws-kms-key-id", "alias/x"),
        f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1",
    ),
    value_case(
        *("STRING_LIKE_OPERATOR_WITH_ARN_CONDITION_KEYS", "StringLike", "aws:PrincipalArn"),
        *("arn:aws:iam::*:user/x", "arn:aws:iam::111122223333:user/*"),
    ),
    *[
        Case(code, when(operator, key, bad), f"/Statement/0/Condition/{operator}/{key}", when(operator, key, good))
        for code, operator, key, bad, good in (
            ("INVALID_CONDITION_DATA_TYPE", "NumericEquals", "docs:Age", [7, "8"], [7, 8]),
            ("INVALID_CONDITION_MULTIPLE_BOOLEAN", "Bool", "aws:SecureTransport", ["true", "false"], ["true"]),
            ("REDUNDANT_CONDITION_VALUE_NUM", "NumericLessThan", "docs:Age", ["7", "8"], ["8"]),
            ("EMPTY_ARRAY_CONDITION", "StringEquals", "docs:Kind", [], ["a"]),
            ("EMPTY_ARRAY_CONDITION_IFEXISTS", "StringEqualsIfExists", "docs:Kind", [], ["a"]),
            ("EMPTY_ARRAY_CONDITION_FORALLVALUES", "ForAllValues:StringEquals", "aws:TagKeys", [], ["a"]),
            ("EMPTY_ARRAY_CONDITION_FORANYVALUE", "ForAnyValue:StringEquals", "aws:TagKeys", [], ["a"]),
            ("NULL_WITH_QUALIFIER", "ForAnyValue:Null", "aws:TagKeys", "true", None),
            ("EQUIVALENT_TO_NULL_FALSE", "StringLike", "docs:Kind", "*", "a*"),
            ("EQUIVALENT_TO_NULL_TRUE", "StringNotLike", "docs:Kind", ["a", "*"], ["a"]),
            ("REDUNDANT_KEY_DUE_TO_WILDCARD_IN_CONDITION", "StringLikeIfExists", "aws:SourceIdentity", "*", "a*"),
            ("REDUNDANT_STATEMENT_DUE_TO_WILDCARD_IN_CONDITION", "ForAnyValue:StringNotLike", "aws:TagKeys", "*", "a*"),
        )
        if good is not None
    ],
    Case(
        "NULL_WITH_QUALIFIER",
        when("ForAnyValue:Null", "aws:TagKeys", "true"),
        "/Statement/0/Condition/ForAnyValue:Null/aws:TagKeys",
        when("Null", "aws:TagKeys", "true"),
    ),
    Case(
        "DUPLICATE_KEYS_WITH_DIFFERENT_CASE",
        one(Condition={"StringEquals": {"docs:Kind": "a", "docs:kind": "b"}}),
        "/Statement/0/Condition/StringEquals/docs:kind#",
        when(*EXTRA_KEY),
    ),
    operator_case("NULL_WITH_IF_EXISTS", ("NullIfExists", "docs:Kind", "true"), ("Null", "docs:Kind", "true")),
    operator_case("INVALID_CONDITION_OPERATOR", ("StringEqual", "docs:Kind", "a"), EXTRA_KEY),
    operator_case("TYPE_MISMATCH", ("StringEquals", "docs:Age", "7"), ("NumericEquals", "docs:Age", "7")),
    operator_case(
        "MISSING_QUALIFIER",
        ("ArnLike", "docs:Readers", USER),
        ("ForAnyValue:ArnLike", "docs:Readers", USER),
    ),
    operator_case("FORALLVALUES_WITH_SINGLE_VALUED_KEY", ("ForAllValues:StringEquals", "docs:Kind", ["a"]), EXTRA_KEY),
    key_case("INVALID_CONDITION_KEY_FORMAT", ("StringEquals", "Kind", "a"), EXTRA_KEY),
    key_case("MISSING_TAG_KEY_IN_CONDITION", ("StringEquals", "aws:ResourceTag/", "a"), EXTRA_KEY),
    key_case("INVALID_GLOBAL_CONDITION_KEY", ("StringEquals", "aws:PrincipalTeam", "a"), EXTRA_KEY),
    key_case("INVALID_SERVICE_CONDITION_KEY", ("StringEquals", "docs:Kynd", "a"), EXTRA_KEY),
    key_case("CONDITION_KEY_NOT_SUPPLIED", ("NumericEquals", "docs:Age", "7"), EXTRA_KEY),
    key_case("UNTRUSTWORTHY_CONDITION_KEY", ("StringLike", "aws:Referer", "https://x/*"), EXTRA_KEY),
    key_case(
        "UNSUPPORTED_GLOBAL_CONDITION_KEY", ("ArnEquals", "aws:ARN", USER), ("ArnEquals", "aws:PrincipalArn", USER)
    ),
    key_case(
        "DEPRECATED_GLOBAL_CONDITION_KEY",
        ("StringEquals", "AWS:SourceOwner", ACCOUNT),
        ("StringEquals", "AWS:SourceAccount", ACCOUNT),
    ),
    Case(
        "MISSING_PAIRED_CONDITION_KEYS",
        when("IpAddress", "aws:VpcSourceIp", "10.0.0.0/8"),
        "/Statement/0/Condition/IpAddress/aws:VpcSourceIp#",
        one(
            Condition={
                "IpAddress": {"aws:VpcSourceIp": "10.0.0.0/8"},
                "StringEquals": {"aws:SourceVpc": "vpc-0a1b2c3d"},
            }
        ),
    ),
    Case(
        "DYNAMODB_ATTRIBUTES_WITHOUT_SELECT",
        when("ForAllValues:StringEquals", "dynamodb:Attributes", ["a"]),
        "/Statement/0/Condition/ForAllValues:StringEquals/dynamodb:Attributes#",
        when("ForAllValues:StringEquals", "dynamodb:Attributes", ["a"], Effect="Deny"),
    ),
    Case(
        "UNSUPPORTED_ACTION_FOR_CONDITION_KEY",
        when("StringEquals", "docs:Kind", "a", Action=["docs:GetDocument", "docs:ListDocuments"], Resource="*"),
        "/Statement/0/Action/1",
        when("StringNotEquals", "docs:Kind", "a", Action=["docs:GetDocument", "docs:ListDocuments"], Resource="*"),
    ),
    *[
        Case(
            f"{effect.upper()}_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE",
            when("StringEquals", "aws:ResourceTag/team", "a", Effect=effect, Action="plain:GetThing", Resource="*"),
            "/Statement/0/Condition/StringEquals/aws:ResourceTag~1team#",
            when("StringEquals", "aws:ResourceTag/team", "a", Effect=effect),
        )
        for effect in ("Allow", "Deny")
    ],
    *[
        Case(
            f"{effect.upper()}_NOTACTION_WITH_UNSUPPORTED_TAG_CONDITION_KEY_FOR_SERVICE",
            when("StringEquals", "aws:ResourceTag/team", "a", Effect=effect, Action=None, NotAction="iam:*"),
            "/Statement/0/Condition/StringEquals/aws:ResourceTag~1team#",
            when("StringNotEquals", "aws:ResourceTag/team", "a", Effect=effect, Action=None, NotAction="iam:*"),
        )
        for effect in ("Allow", "Deny")
    ],
]

CASES = [*ELEMENTS, *TRUSTS, *SERVICES, *ARNS, *CONDITIONS]
