"""Roles to assume, and clients with credentials from STS."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3
from botocore.config import Config

from tests.api.conftest import ACCOUNT, ADMIN_KEY, Client, Running
from tests.api.iam.mfa_parts import code_at, codes_at, step_now

ROOT_ARN = f"arn:aws:iam::{ACCOUNT}:root"
ADMIN_ARN = f"arn:aws:iam::{ACCOUNT}:user/admin"
EVERY = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]


def role_arn(name: str = "worker", account: str = ACCOUNT) -> str:
    return f"arn:aws:iam::{account}:role/{name}"


def trusting(principal: str = ROOT_ARN, *actions: str, **condition: Any) -> dict[str, Any]:
    """Return a trust policy."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"AWS": principal},
        "Action": list(actions) or EVERY,
    }
    statement |= {"Condition": condition} if condition else {}
    return {"Version": "2012-10-17", "Statement": statement}


def make_role(iam: Client, name: str = "worker", trust: dict[str, Any] | None = None, **more: Any) -> str:
    """Create a role with every permission; by default all permitted principals of the account can assume it."""
    document = json.dumps(trust or trusting())
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document, **more)["Role"]["Arn"]
    iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    return arn


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def with_session(server: Running, made: Mapping[str, Any], service: str = "sts") -> Client:
    """Return a client with temporary credentials."""
    credentials = made["Credentials"]
    key = credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
    return _client(server, key, service)


def _client(server: Running, key: tuple[str, ...], service: str) -> Client:
    """Return a client without retries and parameter validation."""
    config = Config(retries={"max_attempts": 1, "mode": "standard"}, parameter_validation=False)
    return boto3.client(service, "us-east-1", None, True, None, server.url, *key, config=config)


def sts_of(server: Running, iam: Client) -> Client:
    """Return an STS client with the credentials of an IAM client."""
    key = iam._request_signer._credentials  # botocore has it nowhere else
    return _client(server, (key.access_key, key.secret_key), "sts")


def admin_sts(server: Running) -> Client:
    return _client(server, ADMIN_KEY, "sts")


def give_device(iam: Client, user: str = "admin", name: str = "phone") -> tuple[str, str]:
    """Assign a device to a user, with past codes used up; return its serial number and seed."""
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName=name)["VirtualMFADevice"]
    seed = device["Base32StringSeed"].decode()
    codes = codes_at(seed, step_now() - 2)
    iam.enable_mfa_device(UserName=user, SerialNumber=device["SerialNumber"], **codes)
    return device["SerialNumber"], seed


def code_now(seed: str) -> str:
    return code_at(seed, step_now())
