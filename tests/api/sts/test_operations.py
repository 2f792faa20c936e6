"""The rest of STS: whose a key is, and what is not supported (credentials, not_supported)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED, xform_name
from botocore.config import Config

from iam_guard.api.protocol.service_model import load_api
from iam_guard.api.sts.operations import STS
from iam_guard.api.sts.unsupported_operations import NOT_SUPPORTED
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
from tests.api.sts.sts_parts import ADMIN_ARN, admin_sts, make_role, role_arn, sts_of, trusting, with_session

PARAMETERS: dict[str, dict[str, Any]] = {
    "AssumeRoleWithSAML": {
        "RoleArn": role_arn(),
        "PrincipalArn": f"arn:aws:iam::{ACCOUNT}:saml-provider/idp",
        "SAMLAssertion": "abcd",
    },
    "AssumeRoleWithWebIdentity": {"RoleArn": role_arn(), "RoleSessionName": "shift", "WebIdentityToken": "abcd"},
    "AssumeRoot": {
        "TargetPrincipal": OTHER_ACCOUNT,
        "TaskPolicyArn": {"arn": "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"},
    },
    "DecodeAuthorizationMessage": {"EncodedMessage": "x"},
    "GetDelegatedAccessToken": {"TradeInToken": "x"},
    "GetScopedCredentials": {},
    "GetWebIdentityToken": {"Audience": ["a"], "SigningAlgorithm": "RS256"},
}


def unsigned(server: Running) -> Client:
    """Nobody."""
    return boto3.client("sts", "us-east-1", endpoint_url=server.url, config=Config(signature_version=UNSIGNED))


def test_every_operation_is_there_or_says_why_not() -> None:
    assert set(load_api("sts").operations) == set(STS.operations) | set(NOT_SUPPORTED)
    assert not set(STS.operations) & set(NOT_SUPPORTED)


@pytest.mark.parametrize("operation", NOT_SUPPORTED)
def test_what_is_not_supported_says_why(server: Running, operation: str) -> None:
    reason = f"The operation {operation} is not supported: {NOT_SUPPORTED[operation]}."
    with refusal("NotSupported", reason, 400):
        getattr(admin_sts(server), xform_name(operation))(**PARAMETERS[operation])


@pytest.mark.parametrize("operation", NOT_SUPPORTED)
def test_who_needs_no_credentials_hears_it_without(server: Running, operation: str) -> None:
    """The model says which operations are not signed; for the others credentials are asked first."""
    is_open = load_api("sts").operations[operation].is_unsigned
    with refusal("NotSupported" if is_open else "MissingAuthenticationToken"):
        getattr(unsigned(server), xform_name(operation))(**PARAMETERS[operation])


@pytest.mark.parametrize("operation", ["AssumeRole", "GetSessionToken", "GetFederationToken", "GetCallerIdentity"])
def test_everything_else_needs_credentials(server: Running, operation: str) -> None:
    parameters = {"AssumeRole": {"RoleArn": role_arn(), "RoleSessionName": "xx"}, "GetFederationToken": {"Name": "xx"}}
    with refusal("MissingAuthenticationToken", "", 403):
        getattr(unsigned(server), xform_name(operation))(**parameters.get(operation, {}))


def test_whose_a_key_is(server: Running, iam: Client) -> None:
    """Any account's here; a temporary one tells its account itself, that of the role."""
    sts = admin_sts(server)
    theirs = server.client(OTHER_KEY)
    make_role(theirs, "theirs", trusting(f"arn:aws:iam::{ACCOUNT}:root"))
    arn = role_arn("theirs", OTHER_ACCOUNT)
    assumed = sts.assume_role(RoleArn=arn, RoleSessionName="shift")["Credentials"]["AccessKeyId"]
    own = sts.get_session_token()["Credentials"]["AccessKeyId"]
    expected = {
        ADMIN_KEY[0]: ACCOUNT,
        ROOT_KEY[0]: ACCOUNT,
        OTHER_KEY[0]: OTHER_ACCOUNT,
        assumed: OTHER_ACCOUNT,
        own: ACCOUNT,
    }
    for key, account in expected.items():
        assert sts.get_access_key_info(AccessKeyId=key)["Account"] == account


@pytest.mark.parametrize(
    "key", ["AKIAMISSING000000001", "ASIA" + "A" * 16, "ASIA" + "1" * 16, "ASIA" + "A" * 24, "ASIA" * 30]
)
def test_keys_that_are_nobodys(server: Running, key: str) -> None:
    with refusal("ValidationError", "The specified access key ID does not exist.", 400):
        admin_sts(server).get_access_key_info(AccessKeyId=key)


def test_asking_whose_a_key_is_needs_the_permission(server: Running, client_for: Callable[..., Client]) -> None:
    with refusal("AccessDenied", "sts:GetAccessKeyInfo"):
        sts_of(server, client_for("nobody")).get_access_key_info(AccessKeyId=ADMIN_KEY[0])
    asking = sts_of(server, client_for("asking", allow("sts:GetAccessKeyInfo")))
    assert asking.get_access_key_info(AccessKeyId=ADMIN_KEY[0])["Account"] == ACCOUNT


def test_a_token_is_as_long_as_is_asked_for(server: Running) -> None:
    """S-17: so that a program is tried with long tokens; its use of the space says so, and it signs in."""
    sts = admin_sts(server)
    usual = sts.get_session_token(MinimumSessionTokenSize=10)
    long = sts.get_session_token(MinimumSessionTokenSize=4096)
    assert 10 < usual["SessionTokenSize"] < 1000
    assert usual["SessionTokenUtilization"] < 10
    assert (long["SessionTokenSize"], long["SessionTokenUtilization"]) == (len(long["Credentials"]["SessionToken"]), 51)
    assert 4096 <= long["SessionTokenSize"] < 4100
    assert with_session(server, long).get_caller_identity()["Arn"] == ADMIN_ARN
    with refusal("ValidationError", "minimumSessionTokenSize", 400):
        sts.get_session_token(MinimumSessionTokenSize=4097)
