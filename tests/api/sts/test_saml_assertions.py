"""AssumeRoleWithSAML: boto3, unsigned, against a running API and a local identity provider."""

from __future__ import annotations

import base64
import hashlib
import random
from datetime import timedelta
from typing import Any

from iam_guard.analysis.replay.recorded_requests import RecordedDecision, read_decision
from iam_guard.authn.federation.saml_identity import ATTRIBUTE_KEYS
from iam_guard.authn.tokens.assertion_verifier import AWS_AUDIENCE, AWS_RECIPIENT
from iam_guard.evaluation.matching.condition_keys import KEYS, is_multivalued
from tests.api.clock import CLOCK
from tests.api.conftest import ACCOUNT, refusal
from tests.api.sts.saml_world import ADA, ARN, REGIONAL_RECIPIENTS, World, provider_arn, trusting
from tests.api.sts.sts_parts import policy, role_arn, with_session
from tests.authn.saml.identity_provider import RECIPIENT
from tests.tables import table

EDU = "urn:oid:1.3.6.1.4.1.5923.1"
CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
MAIL = f"{CLAIMS}/emailaddress"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
UNSPECIFIED = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified"
PREFIX = "urn:oasis:names:tc:SAML:2.0:nameid-format:"


def test_saml_session_is_issued(saml: World) -> None:
    """S-17, S-31: without signature and account, by the assertion; the members of the STS reference."""
    made = saml.assume(saml.response())
    role_id = saml.iam.get_role(RoleName="deploy")["Role"]["RoleId"]
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/ada"
    assert made["AssumedRoleUser"] == {"Arn": session, "AssumedRoleId": f"{role_id}:ada"}
    qualifier = hashlib.sha1(f"{saml.idp.entity_id}{ACCOUNT}/company".encode(), usedforsecurity=False).digest()
    members = {
        name: made.get(name)
        for name in ("Subject", "SubjectType", "Issuer", "Audience", "NameQualifier", "SourceIdentity")
    }
    assert members == {
        "Subject": "ada@example.com",
        "SubjectType": "persistent",
        "Issuer": saml.idp.entity_id,
        "Audience": RECIPIENT,
        "NameQualifier": base64.b64encode(qualifier).decode(),
        "SourceIdentity": None,
    }
    assert "PackedPolicySize" not in made
    assert made["Credentials"]["Expiration"] == CLOCK() + timedelta(hours=1)
    assert with_session(saml.server, made).get_caller_identity()["Arn"] == session
    assert with_session(saml.server, made, "iam").list_users()["Users"]


def test_saml_session_keeps_three_keys(saml: World) -> None:
    """K-34: of the keys of the assertion, the subject, its type and its qualifier, and the provider."""
    kept = ("saml:sub", "saml:sub_type", "saml:namequalifier", "aws:FederatedProvider")
    absent = (
        "saml:aud",
        "saml:iss",
        "saml:doc",
        "saml:mail",
        "saml:eduPersonAffiliation",
        "aws:MultiFactorAuthPresent",
    )
    tests = dict.fromkeys(kept, "false") | dict.fromkeys(absent, "true")
    allowed = {"Effect": "Allow", "Action": "iam:ListUsers", "Resource": "*", "Condition": {"Null": tests}}
    saml.iam.detach_role_policy(RoleName="deploy", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    saml.iam.put_role_policy(RoleName="deploy", PolicyName="p", PolicyDocument=policy(allowed))
    made = saml.assume(saml.response({MAIL: "ada@example.com", f"{EDU}.1.1.1": ("staff",)}))
    assert with_session(saml.server, made, "iam").list_users()["Users"]
    with refusal("AccessDenied"):
        with_session(saml.server, made, "iam").list_roles()


# --- duration ----------------------------------------------------------------------------------------------------

DURATIONS: dict[str, tuple[int | None, str | None, float | None, int | str]] = {
    "the default": (None, None, None, 3600),
    "the request's": (7200, None, None, 7200),
    "the shortest possible": (900, None, None, 900),
    "the attribute's": (7200, "1800", None, 1800),
    "no longer by the attribute": (None, "43200", None, 3600),
    "the end of the provider's session": (7200, None, 1200, 1200),
    "less than 15 minutes": (None, None, 10, 10),
    "the attribute before the end": (7200, "900", 1200, 900),
    "the end before the attribute": (None, "1800", 1200, 1200),
    "more than the role allows": (7201, None, None, "ValidationError"),
    "more than the role allows, shortened": (7201, "900", None, "ValidationError"),
    "less than 900 requested": (899, None, None, "ValidationError"),
    "an attribute of less than 900": (None, "899", None, "InvalidIdentityToken"),
    "an attribute of more than 43,200": (None, "43201", None, "InvalidIdentityToken"),
    "an attribute that is no number": (None, "1h", None, "InvalidIdentityToken"),
    "an attribute with a space": (None, " 1800", None, "InvalidIdentityToken"),
    "an attribute with a sign": (None, "+1800", None, "InvalidIdentityToken"),
    "an attribute in other digits": (None, "१८००", None, "InvalidIdentityToken"),
    "an empty attribute": (None, "", None, "InvalidIdentityToken"),
    "a session that has ended": (None, None, -1, "ExpiredTokenException"),
}


@table("requested, attribute, ends, expected", DURATIONS.values(), list(DURATIONS))
def test_saml_session_has_the_shortest_duration(
    saml: World, requested: int | None, attribute: str | None, ends: float | None, expected: int | str
) -> None:
    """S-3, S-31."""
    until = "" if ends is None else f"{CLOCK() + timedelta(seconds=ends):%Y-%m-%dT%H:%M:%SZ}"
    text = saml.response({"SessionDuration": attribute}, session_not_on_or_after=until)
    more = {} if requested is None else {"DurationSeconds": requested}
    if isinstance(expected, str):
        assert saml.error_of(text, **more)[0] == expected
    else:
        assert saml.assume(text, **more)["Credentials"]["Expiration"] == CLOCK() + timedelta(seconds=expected)


def test_saml_session_policies_limit(saml: World) -> None:
    """S-41: inline and managed; their errors have AWS's own codes."""
    only = policy({"Effect": "Allow", "Action": "iam:ListRoles", "Resource": "*"})
    made = saml.assume(saml.response(), Policy=only)
    assert made["PackedPolicySize"] > 0
    session = with_session(saml.server, made, "iam")
    assert session.list_roles()["Roles"]
    with refusal("AccessDenied", "because no session policy allows"):
        session.list_users()
    managed = [{"arn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}]
    with refusal("AccessDenied"):
        with_session(saml.server, saml.assume(saml.response(), PolicyArns=managed), "iam").create_user(UserName="x")
    assert saml.error_of(saml.response(), Policy="{")[0] == "MalformedPolicyDocument"
    assert saml.error_of(saml.response(), Policy=only + " " * 2048)[0] in ("PackedPolicyTooLarge", "ValidationError")
    missing = [{"arn": f"arn:aws:iam::{ACCOUNT}:policy/missing"}]
    assert saml.error_of(saml.response(), PolicyArns=missing)[0] == "ValidationError"
    tags = {f"PrincipalTag:{number}": "".join(random.Random(number).choices(LETTERS, k=256)) for number in range(50)}
    saml.trust(ADA, trusting("sts:TagSession"))
    assert saml.error_of(saml.response(tags))[0] == "PackedPolicyTooLarge"


def test_refused_call_does_not_use_the_assertion(saml: World) -> None:
    """An assertion counts once for each role, when credentials are issued."""
    text = saml.response({"Role": (f"{ARN},{provider_arn()}", f"{provider_arn()},{role_arn('second')}")})
    assert saml.error_of(text, Policy="{")[0] == "MalformedPolicyDocument"
    assert saml.error_of(text, role_arn("second"))[0] == "AccessDenied"
    assert saml.assume(text)
    code, message = saml.error_of(text)
    assert (code, "was already used for this role" in message) == ("InvalidIdentityToken", True)
    saml.iam.create_role(RoleName="second", AssumeRolePolicyDocument=policy(ADA))
    assert saml.assume(text, role_arn("second"))["AssumedRoleUser"]["Arn"].endswith("/second/ada")
    assert saml.error_of(text, role_arn("second"))[0] == "InvalidIdentityToken"


# --- trust policy ------------------------------------------------------------------------------------------------


def any_value(key: str, value: str) -> dict[str, Any]:
    return trusting(**{"ForAnyValue:StringEquals": {key: value}})


TRUST: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], bool]] = {
    "the subject and the recipient": (ADA, {}, {}, True),
    "another subject": (ADA, {}, {"subject": "eve@example.com"}, False),
    "a subject in another case": (ADA, {}, {"subject": "Ada@example.com"}, False),
    "keys in another case": (
        trusting(StringEquals={"SAML:AUD": RECIPIENT, "Saml:Sub": "ada@example.com"}),
        {},
        {},
        True,
    ),
    "another recipient": (ADA, {}, {"recipient": AWS_RECIPIENT}, False),
    "AWS's recipient": (trusting(StringEquals={"saml:aud": AWS_RECIPIENT}), {}, {"recipient": AWS_RECIPIENT}, True),
    "AWS's audience": (
        trusting(StringEquals={"saml:aud": AWS_RECIPIENT}),
        {},
        {"recipient": AWS_RECIPIENT, "audiences": (AWS_AUDIENCE,)},
        True,
    ),
    **{
        f"AWS's audience at {recipient}": (
            trusting(StringEquals={"saml:aud": recipient}),
            {},
            {"recipient": recipient, "audiences": (AWS_AUDIENCE,)},
            True,
        )
        for recipient in REGIONAL_RECIPIENTS
    },
    "the issuer": (trusting(StringEquals={"saml:iss": "https://idp.example.com/saml"}), {}, {}, True),
    "the document": (trusting(StringEquals={"saml:doc": f"{ACCOUNT}/company"}), {}, {}, True),
    "another document": (trusting(StringEquals={"saml:doc": f"{ACCOUNT}/other"}), {}, {}, False),
    "a persistent subject": (trusting(StringEquals={"saml:sub_type": "persistent"}), {}, {}, True),
    "a transient subject": (
        trusting(StringEquals={"saml:sub_type": "transient"}),
        {},
        {"subject_format": f"{PREFIX}transient"},
        True,
    ),
    "another type of subject": (
        trusting(StringEquals={"saml:sub_type": UNSPECIFIED}),
        {},
        {"subject_format": UNSPECIFIED},
        True,
    ),
    "a type of SAML 2.0 by its URI": (
        trusting(StringEquals={"saml:sub_type": f"{PREFIX}kerberos"}),
        {},
        {"subject_format": f"{PREFIX}kerberos"},
        True,
    ),
    "the provider": (trusting(StringEquals={"aws:FederatedProvider": provider_arn()}), {}, {}, True),
    "the session's name": (trusting(StringEquals={"sts:RoleSessionName": "ada"}), {}, {}, True),
    "an e-mail address": (trusting(StringEquals={"saml:mail": "a@b"}), {MAIL: "a@b"}, {}, True),
    "another e-mail address": (trusting(StringEquals={"saml:mail": "a@b"}), {MAIL: "c@d"}, {}, False),
    "several values of a key with one": (
        trusting(StringEquals={"saml:mail": "a@b"}),
        {MAIL: ("a@b", "c@d")},
        {},
        False,
    ),
    "an address by its OID": (
        trusting(StringEquals={"saml:mail": "a@b"}),
        {"urn:oid:0.9.2342.19200300.100.1.3": "a@b"},
        {},
        True,
    ),
    "the first of two attributes": (
        trusting(StringEquals={"saml:mail": "a@b"}),
        {"0.9.2342.19200300.100.1.3": "c@d", MAIL: "a@b"},
        {},
        True,
    ),
    "a common name as list": (any_value("saml:cn", "ada"), {"urn:oid:2.5.4.3": ("x", "ada")}, {}, True),
    "a common name as text": (trusting(StringEquals={"saml:commonName": "ada"}), {"2.5.4.3": "ada"}, {}, True),
    "an affiliation": (any_value("saml:edupersonaffiliation", "staff"), {f"{EDU}.1.1.1": ("x", "staff")}, {}, True),
    "another affiliation": (any_value("saml:edupersonaffiliation", "staff"), {f"{EDU}.1.1.1": ("x",)}, {}, False),
    "the name of a condition key": (trusting(StringEquals={"saml:mail": "a@b"}), {"saml:mail": "a@b"}, {}, False),
    "an AWS key as attribute": (
        trusting(StringEquals={"aws:SourceIp": "8.8.8.8"}),
        {"aws:SourceIp": "8.8.8.8"},
        {},
        False,
    ),
    "a subject as attribute": (trusting(StringEquals={"saml:sub": "eve"}), {"saml:sub": "eve"}, {}, False),
    "the account": (trusting("sts:AssumeRole*", principal={"AWS": ACCOUNT}), {}, {}, False),
    "every principal": (trusting(principal="*"), {}, {}, True),
    "a provider of another name": (trusting(principal={"Federated": provider_arn("company2")}), {}, {}, False),
    "web identities only": (trusting("sts:AssumeRoleWithWebIdentity"), {}, {}, False),
}


@table("trust, attributes, changes, expected", TRUST.values(), list(TRUST))
def test_saml_trust_policy_decides(
    saml: World, trust: dict[str, Any], attributes: dict[str, Any], changes: dict[str, Any], expected: bool
) -> None:
    """S-31, K-32, K-34, G-48."""
    saml.trust(trust)
    text = saml.response(attributes, **changes)
    if expected:
        assert saml.assume(text)["Audience"] == changes.get("recipient", RECIPIENT)
    else:
        assert saml.error_of(text) == ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithSAML")


def test_every_mapped_attribute_is_a_condition_key(saml: World) -> None:
    """Each name of each attribute, with the cardinality of its key."""
    for key, names in ATTRIBUTE_KEYS.items():
        saml.trust(any_value(key, "x") if is_multivalued(key.lower()) else trusting(StringEquals={key: "x"}))
        for name in names:
            assert saml.assume(saml.response({name: "x"}))
            assert saml.error_of(saml.response({name: "y"}))[0] == "AccessDenied"
    supplied = {row.name for row in KEYS if row.name.startswith("saml:")}
    assert supplied - ATTRIBUTE_KEYS.keys() == {
        f"saml:{name}" for name in ("aud", "doc", "iss", "namequalifier", "sub", "sub_type")
    }


def test_saml_deny_wins(saml: World) -> None:
    saml.trust(ADA, trusting("sts:*", effect="Deny", principal="*", StringLike={"saml:sub": "a*"}))
    assert saml.error_of(saml.response())[0] == "AccessDenied"


# --- tags and source identity ------------------------------------------------------------------------------------


def test_assertion_supplies_session_tags(saml: World) -> None:
    """S-20 to S-24, E-47: they need a permission; transitive ones are inherited."""
    tags = {"PrincipalTag:Team": "blue / green", "PrincipalTag:cost": "7", "TransitiveTagKeys": ("Team",)}
    assert saml.error_of(saml.response(tags)) == ("AccessDenied", "Not authorized to perform sts:TagSession")
    required = {"aws:RequestTag/team": "blue / green", "aws:RequestTag/cost": "7"}
    passed_on = {"ForAllValues:StringEquals": {"sts:TransitiveTagKeys": "Team", "aws:TagKeys": ["Team", "cost"]}}
    saml.trust(ADA, trusting("sts:TagSession", StringEquals=required, **passed_on))
    made = saml.assume(saml.response(tags))
    assert made["PackedPolicySize"] > 0
    other = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": ["sts:AssumeRole", "sts:TagSession"]}
    other["Condition"] = {"StringEquals": {"aws:PrincipalTag/Team": "blue / green"}}
    saml.iam.create_role(RoleName="next", AssumeRolePolicyDocument=policy(other))
    assert with_session(saml.server, made).assume_role(RoleArn=role_arn("next"), RoleSessionName="next")


def test_assertion_supplies_the_source_identity(saml: World) -> None:
    """S-16, E-47: returned and kept."""
    text = saml.response({"SourceIdentity": "ada@example.com"})
    assert saml.error_of(text) == ("AccessDenied", "Not authorized to perform sts:SetSourceIdentity")
    saml.trust(ADA, trusting("sts:SetSourceIdentity", StringEquals={"sts:SourceIdentity": "ada@example.com"}))
    made = saml.assume(text)
    assert made["SourceIdentity"] == "ada@example.com"
    with refusal("AccessDenied", "already set"):
        with_session(saml.server, made).assume_role(RoleArn=ARN, RoleSessionName="next", SourceIdentity="eve")


# --- audit trail -------------------------------------------------------------------------------------------------


def test_saml_audit_records(saml: World) -> None:
    """CloudTrail: `SAMLUser`, the qualifier and the subject; every refusal; never the assertion."""
    text = saml.response(assertion_id="_a7")
    made = saml.assume(text, DurationSeconds=900)
    saml.error_of(saml.response(subject="eve@example.com"))
    saml.error_of(text)
    records = saml.records()
    assert [record.get("errorCode") for record in records] == [None, None, "AccessDenied", None, "InvalidIdentityToken"]
    assert [record["iamGuard"]["kind"] for record in records] == [
        "decision",
        "session_issue",
        "decision",
        "decision",
        "session_issue",
    ]
    qualifier = made["NameQualifier"]
    assert records[1]["userIdentity"] == {
        "type": "SAMLUser",
        "principalId": f"{qualifier}:ada@example.com",
        "arn": provider_arn(),
        "userName": "ada@example.com",
        "identityProvider": qualifier,
    }
    assert records[1]["requestParameters"] == {
        "roleArn": ARN,
        "principalArn": provider_arn(),
        "sAMLAssertion": "[redacted]",
        "sAMLAssertionID": "_a7",
        "durationSeconds": 900,
    }
    answer = records[1]["responseElements"]
    assert answer["credentials"]["sessionToken"] == "[redacted]"
    assert {name: answer[name] for name in ("subject", "subjectType", "issuer", "audience", "nameQualifier")} == {
        "subject": "ada@example.com",
        "subjectType": "persistent",
        "issuer": saml.idp.entity_id,
        "audience": RECIPIENT,
        "nameQualifier": qualifier,
    }
    assert records[4]["errorMessage"] == "The assertion _a7 was already used for this role"
    replayed = read_decision(records[0])
    assert isinstance(replayed, RecordedDecision)
    assert (replayed.principal.type.value, replayed.principal.arn) == ("Federated", provider_arn())
    assert replayed.unrecorded_keys["saml:sub"] == "withheld"  # by the setting audit_condition_keys
    lines = b"".join(saml.sink.lines).decode()
    assert text not in lines
    assert base64.b64decode(text).decode() not in lines
