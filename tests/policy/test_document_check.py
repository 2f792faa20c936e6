from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import iam_guard.policy.checks
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Position
from iam_guard.policy.finding_codes import LEVELS
from iam_guard.policy.parser import parse
from tests.policy.findings import check
from tests.policy.strategies import documents
from tests.tables import table

IDENTITY, SESSION, RESOURCE = PolicyType.IDENTITY, PolicyType.SESSION, PolicyType.RESOURCE
TRUST, VPC, SCP, RCP = PolicyType.TRUST, PolicyType.VPC_ENDPOINT, PolicyType.SCP, PolicyType.RCP
USER = "arn:aws:iam::111122223333:user/bob"
OIDC = "arn:aws:iam::111122223333:oidc-provider/example.com"
SAML = "arn:aws:iam::111122223333:saml-provider/corp"
S0 = "/Statement/0"


def policy(type: PolicyType = IDENTITY, **elements: Any) -> dict[str, Any]:
    """Return a document without findings except in `elements`; None removes an element."""
    base: dict[str, Any] = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    if type in (RESOURCE, TRUST, VPC, RCP):
        base["Principal"] = "*" if type is RCP else {"AWS": USER}
    if type is TRUST:
        base |= {"Action": "sts:AssumeRole", "Resource": None}
    if type is RCP:
        base["Effect"] = "Deny"
    whole = base | elements
    return {"Version": "2012-10-17", "Statement": [{key: each for key, each in whole.items() if each is not None}]}


def when(operator: str, key: str, value: Any) -> dict[str, Any]:
    return policy(Condition={operator: {key: value}})


def on_value(operator: str, key: str, value: Any, code: str, index: int | None = None) -> tuple[Any, ...]:
    place = f"{S0}/Condition/{operator}/{key.replace('/', '~1')}" + ("" if index is None else f"/{index}")
    return (IDENTITY, when(operator, key, value), code, place)


FINDINGS = [
    # type, document, code, place
    (IDENTITY, {"Statement": policy()["Statement"]}, "MISSING_VERSION", ""),
    (SCP, policy(SCP) | {"Version": "2008-10-17"}, "INVALID_VERSION", "/Version"),
    (RCP, policy(RCP) | {"Version": "2008-10-17"}, "INVALID_VERSION", "/Version"),
    *[(type, policy(type) | {"Id": "x"}, "INVALID_POLICY_ELEMENT", "/Id") for type in (IDENTITY, SESSION, SCP, RCP)],
    (IDENTITY, {"Version": "2012-10-17", "Statement": []}, "MISSING_STATEMENT", "/Statement"),
    (
        *(IDENTITY, {"Version": "2012-10-17", "Statement": policy(Sid="A")["Statement"] * 2}),
        *("UNIQUE_SIDS_REQUIRED", "/Statement/1/Sid"),
    ),
    (
        *(VPC, {"Version": "2012-10-17", "Statement": policy(VPC, Sid="A b")["Statement"] * 2}),
        *("UNIQUE_SIDS_RECOMMENDED", "/Statement/1/Sid"),
    ),
    (IDENTITY, policy(Sid="not plain"), "UNSUPPORTED_SID", f"{S0}/Sid"),
    (IDENTITY, policy(Sid=""), "EMPTY_SID_VALUE", f"{S0}/Sid"),
    *[(type, policy(type, Principal=None), "MISSING_PRINCIPAL", S0) for type in (RESOURCE, TRUST, VPC)],
    (RCP, policy(RCP, Principal=None), "RCP_SYNTAX_ERROR_PRINCIPAL", S0),
    (RCP, policy(RCP, Principal=None, NotPrincipal="*"), "RCP_SYNTAX_ERROR_PRINCIPAL", S0),
    (RCP, policy(RCP, Principal={"AWS": USER}), "RCP_SYNTAX_ERROR_PRINCIPAL", f"{S0}/Principal"),
    (RCP, policy(RCP, Effect="Allow"), "RCP_SYNTAX_ERROR_ALLOW", f"{S0}/Effect"),
    (RCP, policy(RCP, Action=None, NotAction="s3:*"), "RCP_SYNTAX_ERROR_NOTACTION", f"{S0}/NotAction"),
    (RCP, policy(RCP, Action="*"), "RCP_SYNTAX_ERROR_ACTION", f"{S0}/Action"),
    (RCP, policy(RCP, Action=["s3:*", "S3:*"]), "RCP_SYNTAX_ERROR_ACTION", f"{S0}/Action/1"),
    (IDENTITY, policy(Action=[]), "EMPTY_ARRAY_ACTION", f"{S0}/Action"),
    (IDENTITY, policy(Action=None, NotAction=[]), "EMPTY_ARRAY_ACTION", f"{S0}/NotAction"),
    (IDENTITY, policy(Resource=[]), "EMPTY_ARRAY_RESOURCE", f"{S0}/Resource"),
    (RESOURCE, policy(RESOURCE, Principal={}), "EMPTY_OBJECT_PRINCIPAL", f"{S0}/Principal"),
    (RESOURCE, policy(RESOURCE, Principal={"AWS": []}), "EMPTY_ARRAY_PRINCIPAL", f"{S0}/Principal/AWS"),
    (IDENTITY, policy(Condition={}), "EMPTY_OBJECT_CONDITION", f"{S0}/Condition"),
    (IDENTITY, policy(Condition={"Bool": {}}), "EMPTY_OBJECT_CONDITION", f"{S0}/Condition/Bool"),
    (IDENTITY, policy(Action=["s3:Get", "S3:get"]), "REDUNDANT_ACTION", f"{S0}/Action/1"),
    (IDENTITY, policy(Resource=["*", "*"]), "REDUNDANT_RESOURCE", f"{S0}/Resource/1"),
    (IDENTITY, policy(Action="s3:"), "INVALID_ACTION", f"{S0}/Action"),
    # principals
    (
        *(RESOURCE, policy(RESOURCE, Principal={"AWS": "arn:aws:iam::111122223333:role/*"})),
        *("UNSUPPORTED_WILDCARD_IN_PRINCIPAL", f"{S0}/Principal/AWS"),
    ),
    (TRUST, policy(TRUST, Principal="*"), "ROLE_TRUST_POLICY_UNSUPPORTED_WILDCARD_IN_PRINCIPAL", f"{S0}/Principal"),
    (
        *(TRUST, policy(TRUST, Principal={"AWS": [USER, "*"]})),
        *("ROLE_TRUST_POLICY_UNSUPPORTED_WILDCARD_IN_PRINCIPAL", f"{S0}/Principal/AWS/1"),
    ),
    *[
        (
            *(RESOURCE, policy(RESOURCE, Principal={"AWS": f"arn:aws:iam::111122223333:{what}/x"})),
            *("UNSUPPORTED_PRINCIPAL", f"{S0}/Principal/AWS"),
        )
        for what in ("group", "instance-profile")
    ],
    *[
        (RESOURCE, policy(RESOURCE, Principal={"AWS": value}), "INVALID_PRINCIPAL_FORMAT", f"{S0}/Principal/AWS")
        for value in ("bob", "11112222333", "arn:aws:s3:::b", "arn:aws:iam::1:root", "AKIAEXAMPLE", "")
    ],
    (
        *(RESOURCE, policy(RESOURCE, Principal={"CanonicalUser": "x"})),
        *("INVALID_PRINCIPAL_FORMAT", f"{S0}/Principal/CanonicalUser"),
    ),
    (
        *(RESOURCE, policy(RESOURCE, Principal={"Service": "EC2"})),
        *("INVALID_SERVICE_PRINCIPAL_FORMAT", f"{S0}/Principal/Service"),
    ),
    (
        *(RESOURCE, policy(RESOURCE, Principal={"Federated": SAML})),
        *("FEDERATED_PRINCIPAL_NOT_SUPPORTED", f"{S0}/Principal/Federated"),
    ),
    (
        *(TRUST, policy(TRUST, Principal={"Federated": "idp"}, Action="sts:AssumeRoleWithWebIdentity")),
        *("INVALID_FEDERATED_PRINCIPAL_SYNTAX_IN_ROLE_TRUST_POLICY", f"{S0}/Principal/Federated"),
    ),
    *[
        (
            *(TRUST, policy(TRUST, Principal={"Federated": [provider]}, Action=action)),
            *("MISMATCHED_ACTION_FOR_PRINCIPAL", f"{S0}/Principal/Federated/0"),
        )
        for provider, action in [
            *((OIDC, "sts:AssumeRole"), (OIDC, "sts:AssumeRoleWithSAML"), (SAML, "sts:AssumeRoleWithWebIdentity")),
            ("accounts.google.com", "sts:TagSession"),
        ]
    ],
    # resources and keys
    (IDENTITY, policy(Resource="arn:aws:s3::b"), "MISSING_ARN_FIELD", f"{S0}/Resource"),
    (IDENTITY, policy(Resource=["*:aws:s3:::b"]), "INVALID_ARN_PREFIX", f"{S0}/Resource/0"),
    (IDENTITY, policy(Resource="arn:elsewhere:s3:::b"), "INVALID_PARTITION", f"{S0}/Resource"),
    (IDENTITY, policy(Resource="arn:aws:iam:eu-west-1::user/x"), "ARN_REGION_NOT_ALLOWED", f"{S0}/Resource"),
    (IDENTITY, policy(Resource="arn:aws:iam::111122223333:us*"), "INVALID_ARN_RESOURCE", f"{S0}/Resource"),
    on_value("StringEquals", "aws:RequestTag", "x", "MISSING_TAG_KEY_IN_CONDITION"),
    on_value("StringEquals", "AWS:resourcetag/", "x", "MISSING_TAG_KEY_IN_CONDITION"),
    # variables
    *[
        on_value("StringLike", "aws:username", ["x", text], code, 1)
        for text, code in [
            ("${aws:username", "MISSING_BRACE_IN_VARIABLE"),
            ("${aws:username${aws:userid}", "MISSING_BRACE_IN_VARIABLE"),
            ("${}", "EMPTY_VARIABLE"),
            ("${ }", "EMPTY_VARIABLE"),
            ("${aws:user name}", "UNSUPPORTED_SPACE_IN_VARIABLE"),
            ("${ aws:username}", "UNSUPPORTED_SPACE_IN_VARIABLE"),
            ("${aws:username,'x'}", "UNSUPPORTED_SPACE_IN_VARIABLE"),
            ("${aws:username, 'x}", "MISSING_QUOTE_IN_VARIABLE"),
            ("${aws:username, x}", "MISSING_QUOTE_IN_VARIABLE"),
            ('${aws:username, "x"}', "MISSING_QUOTE_IN_VARIABLE"),
        ]
    ],
    (IDENTITY, policy(Resource="arn:aws:s3:::${}"), "EMPTY_VARIABLE", f"{S0}/Resource"),
    *[
        (IDENTITY, document | {"Version": "2008-10-17"}, "VARIABLE_UNSUPPORTED_IN_VERSION", place)
        for document, place in [
            (policy(Resource="arn:aws:s3:::${aws:username}"), f"{S0}/Resource"),
            (when("ArnLike", "aws:PrincipalArn", "${*}"), f"{S0}/Condition/ArnLike/aws:PrincipalArn"),
        ]
    ],
    *[
        (type, document, "VARIABLE_UNSUPPORTED_IN_ELEMENT", place)
        for type, document, place in [
            (IDENTITY, policy(Action="s3:${x}"), f"{S0}/Action"),
            (IDENTITY, policy(Sid="${x}"), f"{S0}/Sid"),
            (RESOURCE, policy(RESOURCE, Principal={"AWS": "${x}"}), f"{S0}/Principal/AWS"),
            (IDENTITY, policy(Resource="arn:aws:s3:${aws:RequestedRegion}::b"), f"{S0}/Resource"),
            (IDENTITY, policy(Resource="arn:aws:sqs:*:${aws:PrincipalAccount}:q"), f"{S0}/Resource"),
            (IDENTITY, when("Bool", "aws:${x}", "true"), f"{S0}/Condition/Bool/aws:${{x}}"),
        ]
    ],
    *[
        on_value(operator, "aws:x", "${aws:username}", "INVALID_VARIABLE_FOR_OPERATOR")
        for operator in ["NumericEquals", "DateLessThan", "Bool", "BinaryEquals", "IpAddress", "NotIpAddress", "Null"]
    ],
    # values
    *[
        on_value(operator, "aws:x", ["1" if "Numeric" in operator else "x", value], code, 1)
        for operator, value, code in [
            ("NumericEquals", "1e3", "TYPE_MISMATCH_NUMBER"),
            ("NumericLessThanIfExists", "", "TYPE_MISMATCH_NUMBER"),
            ("ForAllValues:DateEquals", "2026-02-30", "TYPE_MISMATCH_DATE"),
            ("DateGreaterThan", "2026-01-01T25:00:00Z", "TYPE_MISMATCH_DATE"),
            ("Bool", "yes", "TYPE_MISMATCH_BOOLEAN"),
            ("Null", "null", "TYPE_MISMATCH_BOOLEAN"),
            ("BinaryEquals", "%%", "TYPE_MISMATCH_STRING"),
            ("IpAddress", "10.0.0.0/33", "TYPE_MISMATCH_IP_RANGE"),
            ("NotIpAddress", "example.com", "TYPE_MISMATCH_IP_RANGE"),
            ("ArnLike", "*", "TYPE_MISMATCH"),
            ("ArnNotEquals", "arn:aws:s3::b", "TYPE_MISMATCH"),
        ]
    ],
    on_value("DateEquals", "aws:CurrentTime", "2026", "INVALID_DATE_VALUE"),
    on_value("Bool", "aws:SecureTransport", ["true", "false"], "INVALID_CONDITION_MULTIPLE_BOOLEAN"),
    on_value("NumericLessThan", "s3:max-keys", [1, 2], "REDUNDANT_CONDITION_VALUE_NUM"),
    on_value("ForAnyValue:Null", "aws:TagKeys", "true", "NULL_WITH_QUALIFIER"),
    on_value("StringEquals", "aws:username", ["a", "b*"], "WILDCARD_WITHOUT_LIKE_OPERATOR", 1),
    on_value("StringNotEqualsIgnoreCaseIfExists", "aws:username", "b?", "WILDCARD_WITHOUT_LIKE_OPERATOR"),
    on_value("StringEquals", "aws:x", [], "EMPTY_ARRAY_CONDITION"),
    on_value("StringEqualsIfExists", "aws:x", [], "EMPTY_ARRAY_CONDITION_IFEXISTS"),
    on_value("ForAllValues:StringEqualsIfExists", "aws:x", [], "EMPTY_ARRAY_CONDITION_FORALLVALUES"),
    on_value("ForAnyValue:StringEquals", "aws:x", [], "EMPTY_ARRAY_CONDITION_FORANYVALUE"),
    on_value("IpAddress", "aws:SourceIp", "203.0.113.77/24", "IMPROVE_IP_RANGE"),
    on_value("IpAddress", "aws:SourceIp", ["2001:db8::1/32"], "IMPROVE_IP_RANGE", 0),
    on_value("IpAddress", "aws:SourceIp", ["10.0.0.0/8", "192.168.1.1"], "PRIVATE_IP_ADDRESS", 1),
    on_value("NotIpAddressIfExists", "aws:sourceip", "fd00::/8", "PRIVATE_NOT_IP_ADDRESS"),
    on_value("IpAddress", "aws:SourceIp", ["203.0.113.0/24", "172.16.0.0/12"], "PRIVATE_IP_ADDRESS_SUBSET", 1),
    on_value("NotIpAddress", "aws:SourceIp", ["203.0.113.0/24", "10.1.2.3"], "PRIVATE_NOT_IP_ADDRESS_SUBSET", 1),
]


@table(("type", "document", "code", "place"), FINDINGS)
def test_check_reports_the_finding(type: PolicyType, document: dict[str, Any], code: str, place: str) -> None:
    """AA-22 to AA-26: code, level and place, from text with a position."""
    findings = [each for each in check(parse(json.dumps(document), type)) if (each.code, each.place) == (code, place)]
    assert len(findings) == 1, check(parse(document, type))
    assert findings[0].level == LEVELS[code]
    assert (findings[0].position is None) == (not document["Statement"])
    in_mapping = [each for each in check(parse(document, type)) if (each.code, each.place) == (code, place)]
    assert [each.position for each in in_mapping] == [None]


@table(
    ("type", "document"),
    [
        *((type, policy(type)) for type in (IDENTITY, SESSION, PolicyType.BOUNDARY, RESOURCE, TRUST, VPC, SCP, RCP)),
        (RESOURCE, policy(RESOURCE, Sid="with spaces", Resource=None) | {"Id": "x"}),
        (RESOURCE, policy(RESOURCE, Principal="*")),
        (
            RESOURCE,
            policy(RESOURCE, Principal={"AWS": ["111122223333", "AIDAEXAMPLE", "arn:aws:iam::111122223333:root"]}),
        ),
        (RESOURCE, policy(RESOURCE, Principal={"AWS": "arn:aws:sts::111122223333:assumed-role/r/s"})),
        (RESOURCE, policy(RESOURCE, Principal={"CanonicalUser": "0" * 64, "Service": "ec2.amazonaws.com"})),
        (TRUST, policy(TRUST, Principal={"Federated": OIDC}, Action="sts:AssumeRoleWithWebIdentity")),
        (TRUST, policy(TRUST, Principal={"Federated": SAML}, Action=["sts:AssumeRoleWithSAML", "sts:TagSession"])),
        (IDENTITY, policy(Resource=["arn:aws:sqs", "arn:*:s3:::b", "arn:aws:iam::*:*", "arn:aws:iam::*:role/x"])),
        (IDENTITY, policy(Resource="arn:aws:s3:::b/${aws:username, 'nobody'}/${*}${?}${$}")),
        (IDENTITY, when("StringEquals", "aws:username", ["${aws:PrincipalTag/x}", "${*}", "5$", "{x}"])),
        (IDENTITY, when("StringEquals", "aws:username", ["${aws:PrincipalTag/x, '{c}'}", "${aws:userid, 'a}b'}"])),
        (IDENTITY, when("StringLike", "aws:username", ["a*", "b?"])),
        (IDENTITY, when("ArnLike", "aws:PrincipalArn", ["arn:aws:iam::*:role/*", "${aws:SourceArn}"])),
        (IDENTITY, when("NumericLessThan", "s3:max-keys", "-1.50")),
        (IDENTITY, when("DateLessThan", "aws:CurrentTime", ["2026-01", "2026-01-31T00:00:00+01:00"])),
        (IDENTITY, when("Null", "aws:TokenIssueTime", True)),
        (IDENTITY, when("BinaryEquals", "docs:Key", "QmluYXJ5")),
        (IDENTITY, when("IpAddress", "aws:SourceIp", ["203.0.113.0/24", "2001:db8::/32", "198.51.100.7"])),
        (IDENTITY, when("IpAddress", "aws:VpcSourceIp", "10.0.0.0/8")),
    ],
)
def test_valid_document_has_no_findings(type: PolicyType, document: dict[str, Any]) -> None:
    """No check reports without a reason."""
    assert check(parse(json.dumps(document), type)) == []


def test_finding_has_the_position_of_value_or_name() -> None:
    """AA-26: the position of the name if the name is at fault; otherwise that of the value."""
    text = (
        '{"Version": "2012-10-17", "Id": "x",\n "Statement": {"Effect": "Allow", "Action": ["s3:"], "Resource": "*"}}'
    )
    by_code = {each.code: each for each in check(parse(text))}
    assert by_code["INVALID_POLICY_ELEMENT"].position == Position(1, 26, 26)
    assert by_code["INVALID_ACTION"].position == Position(2, 45, text.index('"s3:"'))
    assert by_code["INVALID_ACTION"].place == "/Statement/Action/0"


def test_storage_checks_apply_to_stored_documents_only() -> None:
    """G-12, G-24, G-70: characters, Sids and sizes matter only where IAM stores the document."""
    text = json.dumps(policy(Sid="größer…", Resource=f"arn:aws:s3:::{'x' * 7000}"), ensure_ascii=False)
    codes = [each.code for each in check(parse(text))]
    assert codes == ["JSON_SYNTAX_ERROR", "UNSUPPORTED_SID", "POLICY_SIZE_EXCEEDS_IDENTITY_POLICY_QUOTA"]
    assert check(parse(text), stored=False) == []


@table("resource", ["arn:aws:sqs:*:${aws:PrincipalAccount}:q", "arn:aws:sqs:${a:b}:1:b:${c:d}"])
def test_variable_in_a_wrong_field_is_reported_with_its_resource(resource: str) -> None:
    """V-4: the resource is not cut at the colon inside the variable; only its length is limited."""
    for shown, written in [(resource, resource), ((resource + "/" + "x" * 99)[:100] + "…", resource + "/" + "x" * 99)]:
        [finding] = check(parse(policy(Resource=written)))
        assert finding.code == "VARIABLE_UNSUPPORTED_IN_ELEMENT"
        assert finding.message == f"variables are supported in the sixth field of an ARN only, got `{shown}`"


def test_own_partition_is_accepted_by_the_check() -> None:
    """A deployment can have ARNs with its own partition."""
    document = parse(policy(Resource="arn:acme:docs:::x"))
    assert [each.code for each in check(document)] == ["INVALID_PARTITION"]
    assert check(document, partition="acme") == []


@pytest.mark.parametrize("type", PolicyType)
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=40)
@given(data=st.data())
def test_check_accepts_every_parsed_document(type: PolicyType, data: st.DataObject) -> None:
    """No check raises for a document that `parse` accepts, and every place exists in the text."""
    text = json.dumps(data.draw(documents(type)))
    for finding in check(parse(text, type)):
        node = json.loads(text)
        for step in finding.place.split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            node = node[int(step)] if isinstance(node, list) else node[step]


def test_codes_are_those_of_access_analyzer() -> None:
    """AA-22: in rules and refusals alike."""
    checks = Path(iam_guard.policy.checks.__file__).parent
    written = "".join(path.read_text() for folder in (checks, checks.parent) for path in folder.glob("*.py"))
    codes = set(re.findall(r"(?:(?:Fault|_invalid)\(\s*|finding=)\"([A-Z_]+)\"", written))
    assert len(codes) > 20
    assert codes <= set(LEVELS)


def test_levels_are_complete() -> None:
    """AA-21 to AA-25."""
    assert [list(LEVELS.values()).count(level) for level in ("ERROR", "SECURITY_WARNING", "WARNING", "SUGGESTION")] == [
        *(79, 18, 26, 29)
    ]
