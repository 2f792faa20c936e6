"""AssumeRole: permissions, terms, and sessions."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.api.clock import CLOCK
from tests.api.conftest import (
    ACCOUNT,
    ADMIN_KEY,
    OTHER_ACCOUNT,
    OTHER_KEY,
    ROOT_KEY,
    Client,
    Running,
    allow,
    refusal,
)
from tests.api.sts.sts_parts import (
    ADMIN_ARN,
    EVERY,
    admin_sts,
    code_now,
    give_device,
    make_role,
    policy,
    role_arn,
    sts_of,
    trusting,
    with_session,
)

ClientFor = Callable[..., Client]


@pytest.fixture
def sts(server: Running) -> Client:
    """The administrator's STS client."""
    return admin_sts(server)


def assume(sts: Client, arn: str = role_arn(), name: str = "shift", **more: Any) -> Any:
    return sts.assume_role(RoleArn=arn, RoleSessionName=name, **more)


def denied(action: str, arn: str, who: str = ADMIN_ARN) -> str:
    return f"User: {who} is not authorized to perform: {action} on resource: {arn}"


# --- sessions ----------------------------------------------------------------------------------------------------


def test_role_session_is_issued(server: Running, iam: Client, sts: Client) -> None:
    """S-17, P-2, P-13: the ARN has the role's name without path, the id its unique id."""
    arn = make_role(iam, Path="/team/")
    made = assume(sts, arn)
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/shift"
    role_id = iam.get_role(RoleName="worker")["Role"]["RoleId"]
    assert made["AssumedRoleUser"] == {"Arn": session, "AssumedRoleId": f"{role_id}:shift"}
    assert made["Credentials"]["AccessKeyId"].startswith("ASIA")
    assert len(made["Credentials"]["AccessKeyId"]) == 20
    assert len(made["Credentials"]["SecretAccessKey"]) == 40
    assert "PackedPolicySize" not in made
    assert made["SessionTokenSize"] == len(made["Credentials"]["SessionToken"])
    assert made["Credentials"]["Expiration"] == CLOCK() + timedelta(hours=1)
    identity = with_session(server, made).get_caller_identity()
    assert (identity["Arn"], identity["UserId"], identity["Account"]) == (session, f"{role_id}:shift", ACCOUNT)


def test_role_session_has_the_roles_permissions(server: Running, iam: Client, client_for: ClientFor) -> None:
    """S-18: not the caller's."""
    make_role(iam)
    caller = client_for("jane", allow("sts:AssumeRole"))
    with refusal("AccessDenied"):
        caller.list_users()
    made = assume(sts_of(server, caller))
    assert with_session(server, made, "iam").list_users()["Users"]


def test_role_credentials_are_new_each_time(iam: Client, sts: Client) -> None:
    make_role(iam)
    made = [assume(sts)["Credentials"] for _ in range(3)]
    for member in ("AccessKeyId", "SecretAccessKey", "SessionToken"):
        assert len({each[member] for each in made}) == 3


def test_deleted_role_ends_its_sessions(server: Running, iam: Client, sts: Client) -> None:
    """S-51."""
    make_role(iam)
    made = assume(sts)
    iam.detach_role_policy(RoleName="worker", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    iam.delete_role(RoleName="worker")
    make_role(iam)
    with refusal("AccessDenied"):
        with_session(server, made, "iam").list_users()


def test_older_sessions_can_be_revoked(server: Running, iam: Client, sts: Client) -> None:
    """S-50: by a policy on the time of issue."""
    make_role(iam)
    made = assume(sts)
    later = (CLOCK() + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    statement = allow("*", "*", DateLessThan={"aws:TokenIssueTime": later}) | {"Effect": "Deny"}
    iam.put_role_policy(RoleName="worker", PolicyName="AWSRevokeOlderSessions", PolicyDocument=policy(statement))
    with refusal("AccessDenied", "with an explicit deny"):
        with_session(server, made, "iam").list_users()


# --- permissions -------------------------------------------------------------------------------------------------


def test_trust_policy_that_names_the_caller_suffices(server: Running, iam: Client, client_for: ClientFor) -> None:
    """E-43."""
    caller = client_for("jane")
    make_role(iam, trust=trusting(f"arn:aws:iam::{ACCOUNT}:user/jane"))
    assert assume(sts_of(server, caller))


def test_trust_policy_that_names_the_account_does_not_suffice(
    server: Running, iam: Client, client_for: ClientFor
) -> None:
    """E-43: the caller needs permission too; the denial has no reason (S-11)."""
    caller = sts_of(server, client_for("jane"))
    arn = make_role(iam)
    with pytest.raises(ClientError) as existing:
        assume(caller, arn)
    with pytest.raises(ClientError) as missing:
        assume(caller, role_arn("missing"))
    message = str(existing.value)
    assert message.endswith(denied("sts:AssumeRole", arn, f"arn:aws:iam::{ACCOUNT}:user/jane"))
    assert str(missing.value) == message.replace("role/worker", "role/missing")


@pytest.mark.parametrize(
    "arn",
    [
        role_arn("missing"),
        role_arn("WORKER"),
        role_arn("*"),
        role_arn("team/worker"),
        role_arn("worker", OTHER_ACCOUNT),
        role_arn("worker", "999999999999"),
        f"arn:aws-cn:iam::{ACCOUNT}:role/worker",
    ],
)
def test_missing_role_is_denied_like_a_forbidden_one(iam: Client, sts: Client, arn: str) -> None:
    """S-11: by the exact ARN; an administrator gets the same message."""
    make_role(iam)
    with refusal("AccessDenied", denied("sts:AssumeRole", arn), 403):
        assume(sts, arn)


def test_explicit_deny_in_the_trust_policy_is_not_shown(iam: Client, sts: Client) -> None:
    trust = trusting()
    trust["Statement"] = [trust["Statement"], trusting(ADMIN_ARN)["Statement"] | {"Effect": "Deny"}]
    arn = make_role(iam, trust=trust)
    with pytest.raises(ClientError) as caught:
        assume(sts, arn)
    assert str(caught.value).endswith(denied("sts:AssumeRole", arn))


def test_cross_account_role_needs_both_sides(server: Running, iam: Client, client_for: ClientFor) -> None:
    """E-44."""
    other_sts = server.client(OTHER_KEY, "sts")
    foreign_user = f"arn:aws:iam::{OTHER_ACCOUNT}:user/admin"
    arn = make_role(iam)
    for denied_arn in (arn, role_arn("missing")):
        with refusal("AccessDenied", denied("sts:AssumeRole", denied_arn, foreign_user)):
            assume(other_sts, denied_arn)
    trusted = make_role(iam, "trusted", trusting(foreign_user))
    made = assume(other_sts, trusted)
    assert with_session(server, made).get_caller_identity()["Account"] == ACCOUNT
    other_iam = server.client(OTHER_KEY)
    back = make_role(other_iam, "back", trusting(f"arn:aws:iam::{ACCOUNT}:root"))
    with refusal("AccessDenied", denied("sts:AssumeRole", back, f"arn:aws:iam::{ACCOUNT}:user/jane")):
        assume(sts_of(server, client_for("jane")), back)
    assert assume(sts_of(server, client_for("joe", allow("sts:AssumeRole", back))), back)


def test_recreated_user_is_not_trusted(server: Running, iam: Client, client_for: ClientFor) -> None:
    """P-6: the trust policy names the deleted user."""
    client_for("jane")
    make_role(iam, trust=trusting(f"arn:aws:iam::{ACCOUNT}:user/jane"))
    for key in iam.list_access_keys(UserName="jane")["AccessKeyMetadata"]:
        iam.delete_access_key(UserName="jane", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="jane")
    with refusal("AccessDenied"):
        assume(sts_of(server, client_for("jane", allow("sts:AssumeRole"))))


def test_root_user_cannot_assume_roles(server: Running, iam: Client) -> None:
    """S-12."""
    for arn in (make_role(iam), role_arn("missing")):
        with refusal("AccessDenied", "Roles may not be assumed by root accounts.", 403):
            assume(server.client(ROOT_KEY, "sts"), arn)


@pytest.mark.parametrize(
    ("arn", "sentence"),
    [
        ("x" * 20, f"{'x' * 20} is invalid"),
        (f"arn:aws:iam::{ACCOUNT}:user/worker", "Request ARN is invalid"),
        (f"arn:aws:sts::{ACCOUNT}:role/worker", "Request ARN is invalid"),
        ("arn:aws:iam::1:role/worker-of-nobody", "Request ARN is invalid"),
        (f"arn:aws:iam:us-east-1:{ACCOUNT}:role/worker", "Request ARN is invalid"),
    ],
)
def test_invalid_role_arn_is_rejected(sts: Client, arn: str, sentence: str) -> None:
    with refusal("ValidationError", sentence, 400):
        assume(sts, arn)


CONDITIONS = [
    ("sts:ExternalId", {"StringEquals": {"sts:ExternalId": "x-1"}}, {"ExternalId": "x-1"}, {"ExternalId": "X-1"}),
    ("no external id", {"StringEquals": {"sts:ExternalId": "x-1"}}, {"ExternalId": "x-1"}, {}),
    ("sts:RoleSessionName", {"StringLike": {"sts:RoleSessionName": "sh*"}}, {}, {"name": "night"}),
    (
        "sts:SourceIdentity",
        {"StringEquals": {"sts:SourceIdentity": "jane"}},
        {"SourceIdentity": "jane"},
        {"SourceIdentity": "joe"},
    ),
    (
        "aws:RequestTag",
        {"StringEquals": {"aws:RequestTag/team": "red"}},
        {"Tags": [{"Key": "team", "Value": "red"}]},
        {"Tags": [{"Key": "team", "Value": "blue"}]},
    ),
    (
        "aws:TagKeys",
        {"ForAllValues:StringEquals": {"aws:TagKeys": ["team"]}},
        {"Tags": [{"Key": "team", "Value": "red"}]},
        {"Tags": [{"Key": "team", "Value": "red"}, {"Key": "more", "Value": ""}]},
    ),
    (
        "sts:TransitiveTagKeys",
        {"ForAnyValue:StringEquals": {"sts:TransitiveTagKeys": "team"}},
        {"Tags": [{"Key": "team", "Value": "red"}], "TransitiveTagKeys": ["team"]},
        {"Tags": [{"Key": "team", "Value": "red"}]},
    ),
]


@pytest.mark.parametrize(
    ("condition", "good", "bad"), [row[1:] for row in CONDITIONS], ids=[row[0] for row in CONDITIONS]
)
def test_trust_policy_conditions(
    iam: Client, sts: Client, condition: dict[str, Any], good: dict[str, Any], bad: dict[str, Any]
) -> None:
    """K-32, S-14, S-16, S-23."""
    arn = make_role(iam, trust=trusting(ADMIN_ARN, **condition))
    assert assume(sts, arn, **good)
    with refusal("AccessDenied"):
        assume(sts, arn, **bad)


def test_tags_and_source_identity_need_permissions(server: Running, iam: Client, client_for: ClientFor) -> None:
    """S-16, S-23: in the trust policy, and if it names the account, in the caller's policy too."""
    more = {"Tags": [{"Key": "team", "Value": "red"}]}, {"SourceIdentity": "jane"}
    half = make_role(iam, "half", trusting(f"arn:aws:iam::{ACCOUNT}:root", "sts:AssumeRole"))
    whole = make_role(iam, "whole")
    able = sts_of(server, client_for("able", allow(EVERY)))
    unable = sts_of(server, client_for("unable", allow("sts:AssumeRole")))
    for parameters, action in zip(more, ("sts:TagSession", "sts:SetSourceIdentity"), strict=True):
        assert assume(able, whole, **parameters)
        for client, arn in ((able, half), (unable, whole)):
            with refusal("AccessDenied", f"is not authorized to perform: {action} on resource: {arn}"):
                assume(client, arn, **parameters)


# --- duration ----------------------------------------------------------------------------------------------------


def test_role_limits_the_duration(iam: Client, sts: Client) -> None:
    """S-3."""
    make_role(iam, MaxSessionDuration=7200)
    made = assume(sts, DurationSeconds=7200)
    assert made["Credentials"]["Expiration"] == CLOCK() + timedelta(minutes=120)
    sentence = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    with refusal("ValidationError", sentence, 400):
        assume(sts, DurationSeconds=7201)
    for seconds in (899, 43201):
        with refusal("ValidationError", "durationSeconds", 400):
            assume(sts, DurationSeconds=seconds)


def test_chained_session_lasts_one_hour_at_most(server: Running, iam: Client, sts: Client) -> None:
    """S-13: whatever the role allows."""
    make_role(iam, MaxSessionDuration=43200)
    chained = with_session(server, assume(sts))
    assert assume(chained, name="again", DurationSeconds=3600)
    sentence = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
    for arn in (role_arn(), role_arn("missing")):
        with refusal("ValidationError", sentence, 400):
            assume(chained, arn, DurationSeconds=3601)


# --- tags and source identity ------------------------------------------------------------------------------------


def tag(key: str, value: str = "red") -> dict[str, str]:
    return {"Key": key, "Value": value}


def test_session_tag_overrides_the_roles(server: Running, iam: Client, sts: Client) -> None:
    """S-21: in any letter case."""
    make_role(iam, Tags=[tag("Team", "blue")])
    made = assume(sts, Tags=[tag("team")])
    assert made["PackedPolicySize"] > 0
    assert may_on_tag(server, iam, made, "red")
    assert not may_on_tag(server, iam, made, "blue")
    assert may_on_tag(server, iam, assume(sts), "blue")


def may_on_tag(server: Running, iam: Client, made: Any, value: str) -> bool:
    """Return whether a session's tag `team` has a value."""
    statement = allow("iam:ListUsers", "*", StringEquals={"aws:PrincipalTag/team": value})
    return may_with(server, iam, made, statement)


def may_with(server: Running, iam: Client, made: Any, statement: dict[str, Any], role: str = "worker") -> bool:
    """Return whether a session may list users if its role has only this policy."""
    iam.detach_role_policy(RoleName=role, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    iam.put_role_policy(RoleName=role, PolicyName="probe", PolicyDocument=policy(statement))
    try:
        with_session(server, made, "iam").list_users()
    except ClientError as refused:
        if refused.response["Error"]["Code"] != "AccessDenied":
            raise
        return False
    finally:
        iam.delete_role_policy(RoleName=role, PolicyName="probe")
        iam.attach_role_policy(RoleName=role, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    return True


BAD_TAGS = [
    ({"Tags": [tag("team"), tag("TEAM")]}, "InvalidParameterValue", "Duplicate tag keys found."),
    ({"Tags": [tag("aws:team")]}, "ValidationError", "System tags cannot be added"),
    ({"Tags": [tag("team")], "TransitiveTagKeys": ["other"]}, "InvalidParameterValue", "must be included in"),
    ({"TransitiveTagKeys": ["team"]}, "InvalidParameterValue", "must be included in the requested tags."),
    ({"Tags": [tag(f"k{n}") for n in range(51)]}, "ValidationError", "less than or equal to 50"),
]


@pytest.mark.parametrize(("parameters", "code", "sentence"), BAD_TAGS)
def test_invalid_session_tags_are_rejected(iam: Client, sts: Client, parameters: Any, code: str, sentence: str) -> None:
    """S-20, S-22."""
    make_role(iam)
    with refusal(code, sentence, 400):
        assume(sts, **parameters)


def test_transitive_tags_are_inherited(server: Running, iam: Client, sts: Client) -> None:
    """S-22: through every chain; other tags end with their session."""
    make_role(iam)
    first = assume(sts, Tags=[tag("team"), tag("shift")], TransitiveTagKeys=["TEAM"])
    second = assume(with_session(server, first), name="second", Tags=[tag("shift", "late")])
    third = assume(with_session(server, second), name="third")
    for made in (first, second, third):
        assert may_on_tag(server, iam, made, "red")
    for made, value in ((second, "late"), (third, "late"), (third, "red")):
        statement = allow("iam:ListUsers", "*", StringEquals={"aws:PrincipalTag/shift": value})
        assert may_with(server, iam, made, statement) == (made is second)
    sentence = "conflicts with a transitive tag key from the calling session."
    for session in (first, second):
        with refusal("InvalidParameterValue", sentence, 400):
            assume(with_session(server, session), name="fourth", Tags=[tag("Team", "blue")])


def test_inherited_tags_need_tag_permission(server: Running, iam: Client, sts: Client) -> None:
    make_role(iam)
    bare = make_role(iam, "bare", trusting(f"arn:aws:iam::{ACCOUNT}:root", "sts:AssumeRole"))
    assert assume(with_session(server, assume(sts, Tags=[tag("team")])), bare)
    tagged = assume(sts, Tags=[tag("team")], TransitiveTagKeys=["team"])
    with refusal("AccessDenied", f"sts:TagSession on resource: {bare}"):
        assume(with_session(server, tagged), bare)


def test_source_identity_is_inherited(server: Running, iam: Client, sts: Client) -> None:
    """S-16: through the chain, and can't be changed."""
    make_role(iam)
    bare = make_role(iam, "bare", trusting(f"arn:aws:iam::{ACCOUNT}:root", "sts:AssumeRole"))
    first = assume(sts, SourceIdentity="jane")
    assert first["SourceIdentity"] == "jane"
    chained = with_session(server, first)
    second = assume(chained, name="second")
    assert second["SourceIdentity"] == "jane"
    assert assume(chained, name="second", SourceIdentity="jane")["SourceIdentity"] == "jane"
    with refusal("AccessDenied", "The source identity is already set for this assume role session", 403):
        assume(with_session(server, second), name="third", SourceIdentity="joe")
    with refusal("AccessDenied", f"sts:SetSourceIdentity on resource: {bare}"):
        assume(chained, bare)
    for value in ("jane", "joe"):
        statement = allow("iam:ListUsers", "*", StringEquals={"aws:SourceIdentity": value})
        assert may_with(server, iam, second, statement) == (value == "jane")


# --- MFA ---------------------------------------------------------------------------------------------------------

WITH_MFA = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}


def test_mfa_code_is_accepted_once(server: Running, iam: Client, sts: Client) -> None:
    """S-15: the trust policy requires MFA."""
    serial, seed = give_device(iam)
    recent = {"NumericLessThan": {"aws:MultiFactorAuthAge": "60"}}
    arn = make_role(iam, trust=trusting(ADMIN_ARN, **WITH_MFA, **recent))
    with refusal("AccessDenied", denied("sts:AssumeRole", arn)):
        assume(sts, arn)
    code = code_now(seed)
    made = assume(sts, arn, SerialNumber=serial, TokenCode=code)
    with refusal("AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.", 403):
        assume(sts, arn, SerialNumber=serial, TokenCode=code)
    statement = allow("iam:ListUsers", "*", Null={"aws:MultiFactorAuthPresent": "true"})
    assert may_with(server, iam, made, statement)  # the session carries none


def test_concurrent_mfa_code_is_accepted_once(server: Running, iam: Client) -> None:
    """The step is written in the transaction that reads it."""
    serial, seed = give_device(iam)
    make_role(iam)
    code = code_now(seed)

    def attempt(_: int) -> str:
        try:
            assume(admin_sts(server), SerialNumber=serial, TokenCode=code)
        except ClientError as refused:
            return str(refused.response["Error"]["Code"])
        return "made"

    with ThreadPoolExecutor(6) as threads:
        outcomes = sorted(threads.map(attempt, range(6)))
    assert outcomes == ["AccessDenied"] * 5 + ["made"]


def test_mfa_code_of_a_rejected_call_stays_valid(iam: Client, sts: Client) -> None:
    """A rejected call changes nothing."""
    serial, seed = give_device(iam)
    arn = make_role(iam, trust=trusting(ADMIN_ARN, **WITH_MFA, StringEquals={"sts:ExternalId": "x-1"}))
    code = code_now(seed)
    with refusal("AccessDenied", denied("sts:AssumeRole", arn)):
        assume(sts, arn, SerialNumber=serial, TokenCode=code)
    assert assume(sts, arn, SerialNumber=serial, TokenCode=code, ExternalId="x-1")


def test_wrong_codes_and_devices_are_rejected(server: Running, iam: Client, sts: Client, client_for: ClientFor) -> None:
    """Even if the trust policy requires none; the same for missing roles."""
    serial, seed = give_device(iam)
    client_for("jane")
    others, others_seed = give_device(iam, "jane", "tablet")
    idle = iam.create_virtual_mfa_device(VirtualMFADeviceName="idle")["VirtualMFADevice"]
    make_role(iam)
    code = code_now(seed)
    wrong = f"{(int(code) + 1) % 10**6:06}"
    unknown = "MultiFactorAuthentication failed, unable to validate MFA code."
    both = "must provide both MFA serial number and one time pass code."
    rows = [
        ({"SerialNumber": serial, "TokenCode": wrong}, "invalid MFA one time pass code"),
        ({"SerialNumber": others, "TokenCode": code_now(others_seed)}, unknown),
        ({"SerialNumber": idle["SerialNumber"], "TokenCode": code_now(idle["Base32StringSeed"].decode())}, unknown),
        ({"SerialNumber": "GAHT12345678", "TokenCode": code}, unknown),
        ({"SerialNumber": serial}, both),
        ({"TokenCode": code}, both),
    ]
    for parameters, sentence in rows:
        for arn in (role_arn(), role_arn("missing")):
            with refusal("AccessDenied", sentence, 403):
                assume(sts, arn, **parameters)
    chained = with_session(server, assume(sts))
    with refusal("AccessDenied", unknown):
        assume(chained, SerialNumber=serial, TokenCode=code)
    for odd in ("12345", "1234567", "abcdef", "\u0661\u0662\u0663\u0664\u0665\u0666"):
        with refusal("ValidationError", "tokenCode"):
            assume(sts, SerialNumber=serial, TokenCode=odd)


# --- other parameters --------------------------------------------------------------------------------------------


def test_unsupported_parameters_are_rejected(iam: Client, sts: Client) -> None:
    make_role(iam)
    context = {"ProviderArn": "arn:aws:iam::aws:contextProvider/IdentityCenter", "ContextAssertion": "abcd"}
    with refusal("NotSupported", "ProvidedContexts", 400):
        assume(sts, ProvidedContexts=[context])


def test_role_session_works_on_a_read_only_store(server: Running, iam: Client, sts: Client, monkeypatch: Any) -> None:
    """Without a code nothing is written."""
    make_role(iam)

    def never() -> None:
        raise AssertionError("written")

    monkeypatch.setattr(server.store, "write_transaction", never)
    assert assume(sts)
    assert server.client(ADMIN_KEY, "sts").get_session_token()
