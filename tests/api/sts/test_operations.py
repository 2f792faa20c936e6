"""Other operations of STS: owners of keys, unsupported operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED, xform_name
from botocore.config import Config

from iam_guard.api.protocol.service_model import load_api
from iam_guard.api.sts.operations import STS
from iam_guard.api.sts.unsupported_features import NOT_SUPPORTED
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
    """An unsigned client."""
    return boto3.client("sts", "us-east-1", endpoint_url=server.url, config=Config(signature_version=UNSIGNED))


def test_every_operation_is_implemented_or_unsupported() -> None:
    assert set(load_api("sts").operations) == set(STS.operations) | set(NOT_SUPPORTED)
    assert not set(STS.operations) & set(NOT_SUPPORTED)


@pytest.mark.parametrize("operation", NOT_SUPPORTED)
def test_unsupported_sts_operation_has_its_reason(server: Running, operation: str) -> None:
    reason = f"The operation {operation} is not supported: {NOT_SUPPORTED[operation]}."
    with refusal("NotSupported", reason, 400):
        getattr(admin_sts(server), xform_name(operation))(**PARAMETERS[operation])


@pytest.mark.parametrize("operation", NOT_SUPPORTED)
def test_unsigned_unsupported_operation_has_its_reason(server: Running, operation: str) -> None:
    """All others require credentials first."""
    is_open = load_api("sts").operations[operation].is_unsigned
    with refusal("NotSupported" if is_open else "MissingAuthenticationToken"):
        getattr(unsigned(server), xform_name(operation))(**PARAMETERS[operation])


@pytest.mark.parametrize("operation", ["AssumeRole", "GetSessionToken", "GetFederationToken", "GetCallerIdentity"])
def test_signed_operations_need_credentials(server: Running, operation: str) -> None:
    parameters = {"AssumeRole": {"RoleArn": role_arn(), "RoleSessionName": "xx"}, "GetFederationToken": {"Name": "xx"}}
    with refusal("MissingAuthenticationToken", "", 403):
        getattr(unsigned(server), xform_name(operation))(**parameters.get(operation, {}))


def test_access_key_info_has_the_account(server: Running, iam: Client) -> None:
    """Of any account; a temporary key's id contains its account, the role's."""
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
def test_unknown_keys_have_no_account(server: Running, key: str) -> None:
    with refusal("ValidationError", "The specified access key ID does not exist.", 400):
        admin_sts(server).get_access_key_info(AccessKeyId=key)


def test_access_key_info_needs_permission(server: Running, client_for: Callable[..., Client]) -> None:
    with refusal("AccessDenied", "sts:GetAccessKeyInfo"):
        sts_of(server, client_for("nobody")).get_access_key_info(AccessKeyId=ADMIN_KEY[0])
    asking = sts_of(server, client_for("asking", allow("sts:GetAccessKeyInfo")))
    assert asking.get_access_key_info(AccessKeyId=ADMIN_KEY[0])["Account"] == ACCOUNT


def test_session_token_has_the_minimum_size(server: Running) -> None:
    """S-17: for tests with long tokens; they authenticate."""
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
