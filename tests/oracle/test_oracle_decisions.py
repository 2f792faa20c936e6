"""The oracle and the rules of evaluation: which policies apply to which caller, and how they combine (F)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tables import table

from .decide import decide
from .samples import (
    ANONYMOUS,
    BUCKET,
    FEDERATED,
    FEDERATED_ARN,
    HERE,
    KEY,
    ROLE,
    ROOT,
    ROOT_ARN,
    SERVICE,
    SERVICE_LINKED,
    SESSION,
    SESSION_OF_ROLE,
    THERE,
    USER,
    USER_ARN,
    Doc,
    allow,
    case,
    deny,
    trust,
)

YES, NO, IMPLICIT = "Allowed", "ExplicitlyDenied", "ImplicitlyDenied"
ALL = allow()
OTHER = allow(Action="sqs:SendMessage")
EVERYONE = trust("*")
DENY_ALL = deny(Principal="*")
SERVICE_NAMES = {"Service": ["events.amazonaws.com"]}
TARGET = f"arn:aws:iam::{HERE}:role/target"
LINKED_TARGET = f"arn:aws:iam::{HERE}:role/aws-service-role/x.amazonaws.com/AWSServiceRoleForX"


def s3(principal: Doc, **policies: Any) -> Doc:
    """Return a case about an object."""
    return case(principal, **policies)


def kms(principal: Doc, **policies: Any) -> Doc:
    """Return a case about a KMS key."""
    return case(principal, "kms:Decrypt", KEY, **policies)


def assume(principal: Doc, action: str = "sts:AssumeRole", target: str = TARGET, **policies: Any) -> Doc:
    """Return a case about assuming a role."""
    return case(principal, action, target, **policies)


def other_than(*names: str, **elements: Any) -> Doc:
    """Return a document that denies every caller except the named ones, and allows every caller."""
    return deny(NotPrincipal={"AWS": list(names)}, **elements)


NOTHING: Doc = {"identity": [OTHER], "permissions_boundary": OTHER, "session": [OTHER]}
IDENTITY: Doc = {"identity": [ALL]}

CASES: list[tuple[str, Doc, str]] = [
    ("E-2", s3(USER, identity=[ALL, deny()]), NO),
    ("E-3", s3(USER, identity=[ALL], scps=[[OTHER]]), IMPLICIT),
    ("E-4", s3(USER, identity=[OTHER, ALL]), YES),
    ("E-5", s3(USER), IMPLICIT),
    # Organizations
    ("E-10 service-linked role", s3(SERVICE_LINKED, identity=[ALL], scps=[[deny()]]), YES),
    ("E-10 root", s3(ROOT, scps=[[deny()]]), NO),
    ("E-10 service", s3(SERVICE, resource=EVERYONE, scps=[[deny()]]), YES),
    ("E-11 service-linked role", s3(SERVICE_LINKED, identity=[ALL], rcps=[[DENY_ALL]]), YES),
    ("E-11 anonymous", s3(ANONYMOUS, resource=EVERYONE, rcps=[[DENY_ALL]]), NO),
    ("E-11 service", s3(SERVICE, resource=EVERYONE, rcps=[[DENY_ALL]]), NO),
    (
        "E-11 RetireGrant",
        case(USER, "kms:RetireGrant", KEY, identity=[ALL], resource=trust(HERE), rcps=[[DENY_ALL]]),
        YES,
    ),
    ("E-11 trust", assume(USER, target=LINKED_TARGET, resource=EVERYONE, rcps=[[DENY_ALL]]), YES),
    ("E-11 other trust", assume(USER, resource=EVERYONE, rcps=[[DENY_ALL]]), NO),
    ("E-12 every level", s3(USER, identity=[ALL], scps=[[ALL], [OTHER, ALL], [ALL]]), YES),
    ("E-12 one level without", s3(USER, identity=[ALL], scps=[[ALL], [OTHER], [ALL]]), IMPLICIT),
    ("E-12 empty level", s3(USER, identity=[ALL], scps=[[ALL], []]), IMPLICIT),
    ("E-12 deny", s3(USER, identity=[ALL], scps=[[ALL], [deny()]]), NO),
    ("E-13", s3(USER, identity=[ALL], rcps=[[EVERYONE], [trust("*", Action="sqs:*")]]), IMPLICIT),
    ("E-14", s3(USER, scps=[[ALL]], rcps=[[EVERYONE]]), IMPLICIT),
    ("E-16 supported", s3(USER, identity=[ALL], rcps=[[DENY_ALL]]), NO),
    ("E-16 unsupported", case(USER, "lambda:Invoke", "*", identity=[ALL], rcps=[[DENY_ALL]]), YES),
    ("E-16 unsupported, no allow", case(USER, "iam:GetUser", "*", identity=[ALL], rcps=[[]]), YES),
    ("E-16 application", case(USER, "shop:Order", "*", identity=[ALL], rcps=[[DENY_ALL]]), NO),
    # DIRECT, PARENT, ACCOUNT
    ("E-20 star", s3(USER, resource=EVERYONE), YES),
    ("E-20 user ARN", s3(USER, resource=trust(USER_ARN)), YES),
    ("E-20 user id", s3(USER, resource=trust("AIDAANN")), YES),
    ("E-20 session ARN", s3(SESSION_OF_ROLE, resource=trust(SESSION)), YES),
    ("E-20 role id", s3(SESSION_OF_ROLE, resource=trust("AROADEV")), YES),
    ("E-20 role without path", s3(SESSION_OF_ROLE, resource=trust(f"arn:aws:iam::{HERE}:role/dev")), IMPLICIT),
    ("E-20 account", s3(USER, resource=trust(HERE)), IMPLICIT),
    ("E-20 account of root", s3(ROOT, permissions_boundary=OTHER, resource=trust(HERE)), YES),
    (
        "E-21",
        s3(
            SESSION_OF_ROLE,
            **NOTHING,
            resource=trust("*", Condition={"ArnEquals": {"aws:PrincipalArn": ROLE}}),
        ),
        YES,
    ),
    ("E-22", s3(SESSION_OF_ROLE, **NOTHING, resource=trust(ROLE, HERE, SESSION)), YES),
    ("G-44", s3(USER, resource=trust(f"arn:aws:iam::{HERE}:user/*")), IMPLICIT),
    ("G-50", s3(USER, resource=trust(f"arn:aws:iam::{HERE}:user/Ann")), IMPLICIT),
    ("E-30.3", s3(USER, identity=[ALL], permissions_boundary=OTHER, resource=trust(HERE)), IMPLICIT),
    ("E-31 role ARN", s3(SESSION_OF_ROLE, **NOTHING, resource=trust(ROLE)), IMPLICIT),
    ("E-31 role session ARN", s3(SESSION_OF_ROLE, **NOTHING, resource=trust(SESSION)), YES),
    ("E-31 user ARN", s3(USER, **NOTHING, resource=trust(USER_ARN)), YES),
    ("E-31 user ARN, federated session", s3(FEDERATED, **NOTHING, resource=trust(USER_ARN)), IMPLICIT),
    ("E-31 federated session ARN", s3(FEDERATED, **NOTHING, resource=trust(FEDERATED_ARN)), YES),
    ("E-31 root ARN", s3(ROOT, resource=trust(ROOT_ARN)), YES),
    ("E-31 service", s3(SERVICE, resource=trust("events.amazonaws.com", key="Service")), YES),
    ("E-32 session and identity", s3(SESSION_OF_ROLE, identity=[ALL], session=[ALL]), YES),
    ("E-32 identity only", s3(SESSION_OF_ROLE, identity=[ALL], session=[OTHER]), IMPLICIT),
    ("E-32 session and parent", s3(SESSION_OF_ROLE, session=[ALL], resource=trust(ROLE)), YES),
    ("E-32 parent only", s3(SESSION_OF_ROLE, session=[OTHER], resource=trust(ROLE)), IMPLICIT),
    ("E-32 boundary", s3(USER, identity=[ALL], permissions_boundary=OTHER), IMPLICIT),
    ("E-33", s3(USER, permissions_boundary=deny(), resource=EVERYONE), NO),
    ("E-34", s3(SESSION_OF_ROLE, identity=[ALL], session=[OTHER, ALL]), YES),
    ("E-35", s3(USER, resource=trust(USER_ARN), scps=[[OTHER]]), IMPLICIT),
    ("E-30 no session policy, role", s3(SESSION_OF_ROLE, identity=[ALL]), YES),
    ("E-30 no session policy, federated", s3(FEDERATED, identity=[ALL]), IMPLICIT),
    ("S-32", s3(FEDERATED, identity=[ALL], resource=trust(FEDERATED_ARN)), YES),
    # mandatory resource policies
    ("E-40 administrator", kms(USER, identity=[ALL]), IMPLICIT),
    ("E-40 root", kms(ROOT), IMPLICIT),
    ("E-40 alias is no key", case(USER, "kms:Decrypt", f"arn:aws:kms:eu:{HERE}:alias/a", identity=[ALL]), YES),
    ("E-41 direct", kms(USER, resource=trust(USER_ARN)), YES),
    ("E-41 direct despite boundary", kms(USER, permissions_boundary=OTHER, resource=trust(USER_ARN)), YES),
    ("E-41 parent", kms(SESSION_OF_ROLE, resource=trust(ROLE)), YES),
    ("E-41 parent and boundary", kms(SESSION_OF_ROLE, permissions_boundary=OTHER, resource=trust(ROLE)), IMPLICIT),
    ("E-41 account and identity", kms(USER, identity=[ALL], resource=trust(HERE)), YES),
    ("E-41 account only", kms(USER, resource=trust(HERE)), IMPLICIT),
    ("E-41 root by account", kms(ROOT, resource=trust(HERE)), YES),
    ("E-42 TagSession", assume(USER, "sts:TagSession", identity=[ALL]), IMPLICIT),
    ("E-42 SetSourceIdentity", assume(USER, "STS:setsourceidentity", identity=[ALL]), IMPLICIT),
    ("E-42 SAML", assume(USER, "sts:AssumeRoleWithSAML", identity=[ALL]), IMPLICIT),
    ("E-42 other action", assume(USER, "iam:GetRole", identity=[ALL]), YES),
    ("E-43 user named", assume(USER, resource=trust(USER_ARN)), YES),
    ("E-43 role named", assume(SESSION_OF_ROLE, resource=trust(ROLE)), YES),
    ("E-43 star", assume(USER, resource=EVERYONE), YES),
    ("E-43 account", assume(USER, resource=trust(HERE)), IMPLICIT),
    ("E-43 account and identity", assume(USER, identity=[ALL], resource=trust(HERE)), YES),
    ("E-44 both", assume(USER, owner=THERE, identity=[ALL], resource=trust(HERE)), YES),
    ("E-44 trust only", assume(USER, owner=THERE, resource=trust(USER_ARN)), IMPLICIT),
    ("E-45", assume(SESSION_OF_ROLE, target=ROLE, identity=[ALL], resource=trust(THERE)), IMPLICIT),
    (
        "E-46",
        assume(USER, resource=trust("*", Condition={"StringEquals": {"sts:ExternalId": "x"}})),
        IMPLICIT,
    ),
    ("E-47", assume(USER, "sts:TagSession", resource=trust(USER_ARN, Action="sts:AssumeRole")), IMPLICIT),
    ("E-48 boundary without", assume(USER, permissions_boundary=OTHER, resource=trust(USER_ARN)), IMPLICIT),
    ("E-48 boundary with", assume(USER, permissions_boundary=ALL, resource=trust(USER_ARN)), YES),
    # across accounts
    ("E-50", s3(USER, owner=THERE, identity=[ALL], resource=trust(HERE)), YES),
    ("E-50 boundary", s3(USER, owner=THERE, identity=[ALL], permissions_boundary=OTHER, resource=EVERYONE), IMPLICIT),
    ("E-50 session", s3(SESSION_OF_ROLE, owner=THERE, identity=[ALL], session=[OTHER], resource=EVERYONE), IMPLICIT),
    ("E-50 scp", s3(USER, owner=THERE, identity=[ALL], resource=EVERYONE, scps=[[OTHER]]), IMPLICIT),
    ("E-50 rcp", s3(USER, owner=THERE, identity=[ALL], resource=EVERYONE, rcps=[[DENY_ALL]]), NO),
    ("E-51", s3(USER, owner=THERE, resource=trust(USER_ARN)), IMPLICIT),
    ("E-52", s3(USER, owner=THERE, resource=EVERYONE), IMPLICIT),
    ("E-53", s3(USER, owner=THERE, identity=[ALL]), IMPLICIT),
    ("E-54", case(USER, on=BUCKET, owner=THERE, identity=[ALL]), IMPLICIT),
    ("E-55", s3(ROOT, owner=THERE, resource=trust(HERE)), YES),
    ("E-55 scp", s3(ROOT, owner=THERE, resource=trust(HERE), scps=[[OTHER]]), IMPLICIT),
    # special callers
    ("E-60", s3(SERVICE, owner=THERE, resource=allow(Principal=SERVICE_NAMES)), YES),
    ("E-60 other service", s3(SERVICE, resource=trust("s3.amazonaws.com", key="Service")), IMPLICIT),
    ("E-61", s3(SERVICE, resource=EVERYONE), YES),
    ("E-61 deny", s3(SERVICE, resource=DENY_ALL), NO),
    ("E-62", s3(ANONYMOUS, resource=EVERYONE), YES),
    ("E-62 string star", s3(ANONYMOUS, resource=allow(Principal="*")), YES),
    ("E-62 named", s3(ANONYMOUS, resource=trust(HERE, USER_ARN)), IMPLICIT),
    ("E-62 condition", s3(ANONYMOUS, resource=trust("*", Condition={"Null": {"aws:PrincipalArn": False}})), IMPLICIT),
    ("E-63", s3(ROOT), YES),
    ("E-63 scp", s3(ROOT, scps=[[OTHER]]), IMPLICIT),
    ("E-63 resource deny", s3(ROOT, resource=DENY_ALL), NO),
    ("E-64 account", s3(USER, identity=[ALL], resource=deny(Principal={"AWS": HERE})), NO),
    ("E-64 account, root", s3(ROOT, resource=deny(Principal={"AWS": ROOT_ARN})), NO),
    ("E-64 role", s3(SESSION_OF_ROLE, identity=[ALL], resource=deny(Principal={"AWS": ROLE})), NO),
    ("E-64 user", s3(FEDERATED, resource=deny(Principal={"AWS": USER_ARN})), NO),
    ("E-64 other session", s3(SESSION_OF_ROLE, **IDENTITY, resource=deny(Principal={"AWS": SESSION + "2"})), YES),
    ("E-66", case(USER, "sts:GetCallerIdentity", "*", identity=[deny()]), YES),
    ("E-66 session token", case(USER, "sts:GetSessionToken", "*", scps=[[deny()]]), YES),
    ("E-66 anonymous", case(ANONYMOUS, "sts:GetCallerIdentity", "*"), IMPLICIT),
    # NotPrincipal
    ("E-70", s3(USER, **IDENTITY, resource=other_than(THERE)), NO),
    ("E-71 user", s3(USER, resource=other_than(USER_ARN, HERE)), YES),
    ("E-71 session", s3(SESSION_OF_ROLE, resource=other_than(SESSION, ROLE, ROOT_ARN)), YES),
    ("E-71 account only", s3(USER, resource=other_than(HERE)), NO),
    ("E-71 root", s3(ROOT, resource=other_than(HERE)), YES),
    ("E-72 user", s3(USER, resource=other_than(USER_ARN)), NO),
    ("E-72 session", s3(SESSION_OF_ROLE, resource=other_than(SESSION, HERE)), NO),
    ("E-73", s3(SESSION_OF_ROLE, resource=other_than(SESSION[:-3] + "*", ROLE, HERE)), NO),
    ("E-74", s3(USER, permissions_boundary=ALL, resource=other_than(USER_ARN, HERE)), NO),
    ("E-74 not printed", s3(USER | {"boundary": True}, resource=other_than(USER_ARN, HERE)), NO),
    ("E-74 other action", s3(USER, permissions_boundary=ALL, resource=other_than(HERE, Action="s3:Put*")), YES),
    ("E-75 anonymous", s3(ANONYMOUS, resource=other_than(HERE)), NO),
    ("E-75 service", s3(SERVICE, resource=other_than(HERE)), NO),
    ("E-75 service listed", s3(SERVICE, resource=deny(NotPrincipal=SERVICE_NAMES)), YES),
    # VPC endpoint
    ("E-80 allows", s3(USER, identity=[ALL], vpc_endpoint=EVERYONE), YES),
    ("E-80 never grants", s3(USER, vpc_endpoint=EVERYONE), IMPLICIT),
    ("E-80 no allow", s3(USER, identity=[ALL], vpc_endpoint=trust("*", Action="sqs:*")), IMPLICIT),
    ("E-80 limits direct", s3(USER, resource=EVERYONE, vpc_endpoint=trust(THERE)), IMPLICIT),
    ("E-80 deny", s3(USER, identity=[ALL], vpc_endpoint=DENY_ALL), NO),
    ("E-80 principal", s3(USER, identity=[ALL], vpc_endpoint=trust(HERE)), YES),
]


@table(("sample", "expected"), [pytest.param(*row[1:], id=row[0]) for row in CASES])
def test_case_is_decided_as_required(sample: Doc, expected: str) -> None:
    """The decision is that of the rule in the test's id."""
    assert decide(sample) == expected


DERIVED: list[tuple[Doc, str, str | None]] = [
    (USER, "aws:PrincipalArn", USER_ARN),
    (USER, "aws:username", "ann"),
    (USER, "aws:userid", "AIDAANN"),
    (USER, "aws:PrincipalType", "User"),
    (USER, "aws:PrincipalAccount", HERE),
    (SESSION_OF_ROLE, "aws:PrincipalArn", ROLE),
    (SESSION_OF_ROLE, "aws:userid", "AROADEV:ann"),
    (SESSION_OF_ROLE, "aws:PrincipalType", "AssumedRole"),
    (FEDERATED, "aws:userid", f"{HERE}:fred"),
    (FEDERATED, "aws:PrincipalArn", FEDERATED_ARN),
    (ROOT, "aws:userid", HERE),
    (ROOT, "aws:PrincipalType", "Account"),
    (ANONYMOUS, "aws:PrincipalAccount", "anonymous"),
    (ANONYMOUS, "aws:PrincipalArn", None),
    (SESSION_OF_ROLE, "aws:username", None),
]


@table(("principal", "key", "value"), [pytest.param(*row, id=f"K-10-{row[0]['type']}-{row[1]}") for row in DERIVED])
def test_key_is_derived_from_the_principal(principal: Doc, key: str, value: str | None) -> None:
    """K-10: the key has this value, or is absent."""
    condition = {"Null": {key: True}} if value is None else {"StringEquals": {key: value}}
    assert decide(s3(principal, resource=trust("*", Condition=condition))) == YES


def test_key_of_the_case_overrides_a_derived_one() -> None:
    """N-3."""
    condition = {"StringEquals": {"aws:username": "bob"}}
    assert decide(s3(USER, context={"AWS:UserName": "bob"}, identity=[allow(Condition=condition)])) == YES
