"""GetSessionToken and GetFederationToken, and the limits of their sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from iam_guard.api.call import ApiServer
from iam_guard.api.operation import OperationRequest, run
from iam_guard.api.sts.operations import STS
from iam_guard.authn.http_request import HttpRequest
from iam_guard.errors import AccessDenied
from iam_guard.model.principal import Credential, Issued, Principal
from tests.api.clock import CLOCK
from tests.api.conftest import ACCOUNT, ADMIN_KEY, ROOT_KEY, Client, Running, allow, refusal
from tests.api.sts.sts_parts import (
    ADMIN_ARN,
    ROOT_ARN,
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
SESSION = "with session credentials"


@pytest.fixture
def sts(server: Running) -> Client:
    """The administrator's STS client."""
    return admin_sts(server)


def hours_left(made: Any) -> float:
    left: timedelta = made["Credentials"]["Expiration"] - CLOCK()
    return left.total_seconds() / 3600


# --- GetSessionToken ---------------------------------------------------------------------------------------------


def test_user_session_is_the_user(server: Running, iam: Client, client_for: ClientFor) -> None:
    """S-33, E-66: needs no permission, and can't be denied."""
    jane = client_for("jane", allow("*") | {"Effect": "Deny"})
    made = sts_of(server, jane).get_session_token()
    identity = with_session(server, made).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/jane"
    assert identity["UserId"] == iam.get_user(UserName="jane")["User"]["UserId"]


def test_user_session_duration(server: Running, sts: Client) -> None:
    """S-3: 12 hours, at most 36; the root user's one hour, silently."""
    assert hours_left(sts.get_session_token()) == 12
    assert hours_left(sts.get_session_token(DurationSeconds=129600)) == 36
    root = server.client(ROOT_KEY, "sts")
    for more in ({}, {"DurationSeconds": 129600}):
        assert hours_left(root.get_session_token(**more)) == 1
        assert hours_left(root.get_federation_token(Name="app", **more)) == 1
    assert hours_left(root.get_session_token(DurationSeconds=900)) == 0.25
    for seconds in (899, 129601):
        with refusal("ValidationError", "durationSeconds", 400):
            sts.get_session_token(DurationSeconds=seconds)


def test_user_session_without_mfa_cannot_call_iam(server: Running, iam: Client, sts: Client) -> None:
    """H.1."""
    made = sts.get_session_token()
    with refusal("AccessDenied", f"Cannot call ListUsers {SESSION}", 403):
        with_session(server, made, "iam").list_users()
    serial, seed = give_device(iam)
    made = sts.get_session_token(SerialNumber=serial, TokenCode=code_now(seed))
    assert with_session(server, made, "iam").list_users()["Users"]


def test_user_session_has_the_mfa_key(server: Running, iam: Client, sts: Client) -> None:
    """E.2: true with MFA, else false."""
    serial, seed = give_device(iam)
    arn = make_role(iam, trust=trusting(ADMIN_ARN, Bool={"aws:MultiFactorAuthPresent": "true"}))
    make_role(iam, "unsafe", trusting(ADMIN_ARN, Bool={"aws:MultiFactorAuthPresent": "false"}))
    strong = with_session(server, sts.get_session_token(SerialNumber=serial, TokenCode=code_now(seed)))
    weak = with_session(server, sts.get_session_token())
    assert strong.assume_role(RoleArn=arn, RoleSessionName="shift")
    with refusal("AccessDenied"):
        weak.assume_role(RoleArn=arn, RoleSessionName="shift")
    assert weak.assume_role(RoleArn=role_arn("unsafe"), RoleSessionName="shift")
    with refusal("AccessDenied"):  # absent for a long-term key
        sts.assume_role(RoleArn=role_arn("unsafe"), RoleSessionName="shift")


def test_user_session_mfa_code_is_accepted_once(iam: Client, sts: Client) -> None:
    """S-15: across operations."""
    serial, seed = give_device(iam)
    make_role(iam)
    code = code_now(seed)
    with refusal("AccessDenied", "invalid MFA one time pass code"):
        sts.get_session_token(SerialNumber=serial, TokenCode=f"{(int(code) + 1) % 10**6:06}")
    assert sts.get_session_token(SerialNumber=serial, TokenCode=code)
    for call in (
        lambda: sts.get_session_token(SerialNumber=serial, TokenCode=code),
        lambda: sts.assume_role(RoleArn=role_arn(), RoleSessionName="x1", SerialNumber=serial, TokenCode=code),
    ):
        with refusal("AccessDenied", "invalid MFA one time pass code"):
            call()


def test_root_user_session_accepts_mfa(server: Running, root: Client) -> None:
    serial, seed = give_device(root, "root")
    sts = server.client(ROOT_KEY, "sts")
    made = sts.get_session_token(SerialNumber=serial, TokenCode=code_now(seed))
    session = with_session(server, made, "iam")
    assert session.list_users()["Users"]
    assert with_session(server, made).get_caller_identity()["Arn"] == ROOT_ARN
    with refusal("AccessDenied", "Roles may not be assumed by root accounts."):
        with_session(server, made).assume_role(RoleArn=role_arn(), RoleSessionName="shift")


def test_user_session_ends_with_its_key(server: Running, iam: Client, client_for: ClientFor) -> None:
    """S-51."""
    jane = sts_of(server, client_for("jane", allow("sts:*")))
    sessions = [jane.get_session_token(), jane.get_federation_token(Name="app", Policy=policy(allow("*")))]
    key = iam.list_access_keys(UserName="jane")["AccessKeyMetadata"][0]["AccessKeyId"]
    for made in sessions:
        assert with_session(server, made).get_caller_identity()
    iam.update_access_key(UserName="jane", AccessKeyId=key, Status="Inactive")
    for made in sessions:
        with refusal("InvalidClientTokenId"):
            with_session(server, made).get_caller_identity()


def test_renamed_users_sessions_continue(server: Running, iam: Client, client_for: ClientFor) -> None:
    """S-51, P-10: users have unique ids; federated users too."""
    jane = sts_of(server, client_for("jane", allow("*")))
    federated = jane.get_federation_token(Name="app", Policy=policy(allow("docs:*")))
    own = jane.get_session_token()
    iam.update_user(UserName="jane", NewUserName="joan", NewPath="/team/")
    assert with_session(server, federated).get_caller_identity()["Arn"].endswith(":federated-user/app")
    assert with_session(server, own).get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/team/joan"
    assert signed_in_may(server, federated, "docs:Read")
    assert not signed_in_may(server, federated, "other:Read")


def test_recreated_user_does_not_revive_sessions(server: Running, iam: Client, client_for: ClientFor) -> None:
    """P-6: even if the new user's key has the old id."""
    jane = sts_of(server, client_for("jane", allow("*")))
    sessions = [jane.get_session_token(), jane.get_federation_token(Name="app", Policy=policy(allow("docs:*")))]
    iam.update_user(UserName="jane", NewUserName="joan")
    key = iam.list_access_keys(UserName="joan")["AccessKeyMetadata"][0]["AccessKeyId"]
    iam.delete_access_key(UserName="joan", AccessKeyId=key)
    client_for("jane", allow("*"))
    for made in sessions:
        with refusal("InvalidClientTokenId"):
            with_session(server, made).get_caller_identity()


def signed_in_may(server: Running, made: Any, action: str) -> bool:
    """Return whether an application's guard allows an action to a caller with a session."""
    credentials = made["Credentials"]
    request = AWSRequest("GET", "http://localhost/", data=b"")
    key = Credentials(credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"])
    SigV4Auth(key, "docs", "us-east-1").add_auth(request)
    signed = tuple((name.lower().encode(), str(value).encode()) for name, value in request.headers.items())
    received = HttpRequest("GET", b"/", b"", ((b"host", b"localhost"), *signed))
    caller = server.guard.authenticate(received, payload_hash=lambda: sha256(b"").hexdigest())
    return server.guard.decide(caller, action, f"arn:aws:docs:us-east-1:{ACCOUNT}:document/7").allowed


# --- GetFederationToken ------------------------------------------------------------------------------------------


def test_federated_user_is_issued(server: Running, sts: Client) -> None:
    """P-12."""
    made = sts.get_federation_token(Name="app", Policy=policy(allow("iam:ListUsers")))
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/app"
    assert made["FederatedUser"] == {"Arn": arn, "FederatedUserId": f"{ACCOUNT}:app"}
    assert made["PackedPolicySize"] > 0
    identity = with_session(server, made).get_caller_identity()
    assert (identity["Arn"], identity["UserId"]) == (arn, f"{ACCOUNT}:app")
    assert hours_left(made) == 12


def decide(server: Running, made: Any, action: str) -> bool:
    """Return whether a session may do an action in an application."""
    session = server.store.open_session(made["Credentials"]["SessionToken"])
    assert session is not None
    return server.guard.decide(session.principal, action, f"arn:aws:docs::{ACCOUNT}:document/1").allowed


def test_federated_user_has_the_intersection(server: Running, client_for: ClientFor) -> None:
    """S-32, E-32: without a session policy nothing."""
    jane = sts_of(server, client_for("jane", allow(["sts:GetFederationToken", "docs:Read", "docs:Write"])))
    made = jane.get_federation_token(Name="app", Policy=policy(allow(["docs:Read", "docs:Delete"])))
    assert [decide(server, made, f"docs:{verb}") for verb in ("Read", "Write", "Delete")] == [True, False, False]
    bare = jane.get_federation_token(Name="app")
    assert "PackedPolicySize" not in bare
    assert not decide(server, bare, "docs:Read")


def test_federation_needs_permission(server: Running, client_for: ClientFor) -> None:
    """On the federated user's ARN; tags need one more."""
    arn = f"arn:aws:sts::{ACCOUNT}:federated-user/app"
    tags = [{"Key": "team", "Value": "red"}]
    with refusal("AccessDenied", f"sts:GetFederationToken on resource: {arn} because no identity-based policy"):
        sts_of(server, client_for("nobody")).get_federation_token(Name="app")
    joe = sts_of(server, client_for("joe", allow("sts:GetFederationToken", arn)))
    assert joe.get_federation_token(Name="app")
    with refusal("AccessDenied", "sts:GetFederationToken"):
        joe.get_federation_token(Name="application")
    with refusal("AccessDenied", f"sts:TagSession on resource: {arn}"):
        joe.get_federation_token(Name="app", Tags=tags)
    red = {"StringEquals": {"aws:RequestTag/team": "red"}}
    jim = sts_of(server, client_for("jim", allow("sts:GetFederationToken"), allow("sts:TagSession", arn, **red)))
    made = jim.get_federation_token(Name="app", Tags=tags)
    session = server.store.open_session(made["Credentials"]["SessionToken"])
    assert session is not None
    assert dict(session.principal.tags) == {"team": "red"}
    with refusal("AccessDenied", "sts:TagSession"):
        jim.get_federation_token(Name="app", Tags=[{"Key": "team", "Value": "blue"}])
    with refusal("InvalidParameterValue", "Duplicate tag keys found.", 400):
        jim.get_federation_token(Name="app", Tags=[*tags, {"Key": "TEAM", "Value": "blue"}])


# --- other credentials -------------------------------------------------------------------------------------------

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
NO_KEYS = [
    Credential("api-key", "KEY1"),
    Credential("sigv4", "AKIA", issued=Issued(NOON, NOON)),
    Credential("sts", "ASIA"),
    Credential("none"),
    None,
]


@pytest.mark.parametrize("credential", NO_KEYS)
@pytest.mark.parametrize("operation", ["GetSessionToken", "GetFederationToken"])
def test_only_long_term_keys_create_sessions(server: Running, operation: str, credential: Credential | None) -> None:
    """An API key may be limited to less than its user; GetSessionToken has no policy check."""
    caller = replace(Principal.from_arn(ADMIN_ARN, session_policies=()), credential=credential)
    authorized: list[Any] = []
    with pytest.raises(AccessDenied, match=f"Cannot call {operation} {SESSION}"):
        run(
            OperationRequest(ApiServer(server.store), STS, operation, {"Name": "app"}, caller, now=0), authorized.append
        )
    assert not authorized


def test_api_key_of_a_role_is_a_role_session(server: Running) -> None:
    """H.1, although no credentials were issued."""
    caller = Principal.from_arn(f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/KEY1")
    with pytest.raises(AccessDenied, match="Cannot call GetSessionToken"):
        run(OperationRequest(ApiServer(server.store), STS, "GetSessionToken", {}, caller, now=0), lambda _: None)


# --- session limits ----------------------------------------------------------------------------------------------


def test_session_limits_table(server: Running, iam: Client, sts: Client) -> None:
    """H.1: kind of session -> rejected and accepted calls."""
    arn = make_role(iam)
    assumed = sts.assume_role(RoleArn=arn, RoleSessionName="shift")
    federated = sts.get_federation_token(Name="app", Policy=policy(allow("*")))
    own = sts.get_session_token()
    key = ADMIN_KEY[0]
    calls: dict[str, Callable[[Client, Client], Any]] = {
        "AssumeRole": lambda sts, _: sts.assume_role(RoleArn=arn, RoleSessionName="again"),
        "GetAccessKeyInfo": lambda sts, _: sts.get_access_key_info(AccessKeyId=key),
        "GetCallerIdentity": lambda sts, _: sts.get_caller_identity(),
        "GetFederationToken": lambda sts, _: sts.get_federation_token(Name="app"),
        "GetSessionToken": lambda sts, _: sts.get_session_token(),
        "ListUsers": lambda _, iam: iam.list_users(),
    }
    refused = {
        "assumed": (assumed, {"GetFederationToken", "GetSessionToken"}),
        "federated": (federated, set(calls) - {"GetCallerIdentity"}),
        "own": (own, {"GetAccessKeyInfo", "GetFederationToken", "GetSessionToken", "ListUsers"}),
    }
    for made, forbidden in refused.values():
        clients = with_session(server, made), with_session(server, made, "iam")
        for name, call in calls.items():
            if name in forbidden:
                with refusal("AccessDenied", f"Cannot call {name} {SESSION}", 403):
                    call(*clients)
            else:
                assert call(*clients)
