"""`aws` and `@aws-sdk/client-sts` use temporary credentials: profiles with MFA, chains, identity tokens."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.api.iam.mfa_parts import code_at, codes_at, step_now
from tests.clients.conftest import Name
from tests.clients.programs import Aws, Javascript, run, run_at_terminal, scenario_runner
from tests.clients.serving import Server

PROGRAM = Path(__file__).with_name("sts.mjs")
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


class User(NamedTuple):
    """A user with administrator permissions and an access key."""

    name: str
    key: dict[str, str]
    aws: Aws


@pytest.fixture
def ada(aws: Aws, name: Name) -> User:
    user = name("ada")
    aws("create-user", user_name=user)
    aws("attach-user-policy", user_name=user, policy_arn=ADMINISTRATOR)
    key = aws("create-access-key", user_name=user)["AccessKey"]
    return User(user, key, aws.as_key(key))


def make_role(aws: Aws, server: Server, name: str, **condition: Any) -> str:
    """Create a role whose trust policy delegates to the account, with a condition."""
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": server.arn("root")},
        "Action": ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"],
        "Condition": condition,
    }
    document = {"Version": "2012-10-17", "Statement": [statement]}
    arn: str = aws("create-role", role_name=name, assume_role_policy_document=document)["Role"]["Arn"]
    aws("attach-role-policy", role_name=name, policy_arn=ADMINISTRATOR)
    return arn


# --- aws ---------------------------------------------------------------------------------------------------------


def test_profile_assumes_a_role_with_mfa(server: Server, ada: User, name: Name, tmp_path: Path) -> None:
    """The command prompts for the code once, and caches the session."""
    seed_file = tmp_path / "seed"
    device = ada.aws(
        "create-virtual-mfa-device",
        virtual_mfa_device_name=name("phone"),
        outfile=str(seed_file),
        bootstrap_method="Base32StringSeed",
    )["VirtualMFADevice"]["SerialNumber"]
    seed = seed_file.read_text()
    ada.aws("enable-mfa-device", user_name=ada.name, serial_number=device, **_options(codes_at(seed, step_now() - 2)))
    role = name("Auditor")
    arn = make_role(ada.aws, server, role, Bool={"aws:MultiFactorAuthPresent": "true"})

    config = tmp_path / "config"
    config.write_text(
        f"[profile ada]\naws_access_key_id = {ada.key['AccessKeyId']}\n"
        f"aws_secret_access_key = {ada.key['SecretAccessKey']}\n"
        f"[profile auditor]\nrole_arn = {arn}\nsource_profile = ada\nmfa_serial = {device}\nrole_session_name = shift\n"
    )
    variables = {
        key: value for key, value in ada.aws.variables.items() if not key.startswith(("AWS_ACCESS", "AWS_SECRET"))
    }
    variables["AWS_CONFIG_FILE"] = str(config)
    command = [ada.aws.program, "--profile", "auditor", "sts", "get-caller-identity", "--output", "json"]

    prompt = f"Enter MFA code for {device}: "
    shown = run_at_terminal(command, variables, prompt=prompt, answer=code_at(seed, step_now()))
    session = f"arn:aws:sts::{server.account}:assumed-role/{role}/shift"
    assert json.loads(shown)["Arn"] == session
    again = run(command, variables)
    assert json.loads(again.stdout)["Arn"] == session, again.stderr
    users = run([*command[:3], "iam", "list-users"], variables)
    assert users.returncode == 0, users.stderr


def _options(parameters: dict[str, str]) -> dict[str, str]:
    return {f"authentication_code{number}": value for number, value in enumerate(parameters.values(), 1)}


def test_profile_assumes_a_role_from_a_role(server: Server, ada: User, name: Name, tmp_path: Path) -> None:
    """`source_profile` can be such a profile too: a chain of AssumeRole calls."""
    first, second = (make_role(ada.aws, server, name(word)) for word in ("First", "Second"))
    config = tmp_path / "config"
    config.write_text(
        f"[profile ada]\naws_access_key_id = {ada.key['AccessKeyId']}\n"
        f"aws_secret_access_key = {ada.key['SecretAccessKey']}\n"
        f"[profile first]\nrole_arn = {first}\nsource_profile = ada\n"
        f"[profile second]\nrole_arn = {second}\nsource_profile = first\nrole_session_name = chained\n"
    )
    variables = {
        key: value for key, value in ada.aws.variables.items() if not key.startswith(("AWS_ACCESS", "AWS_SECRET"))
    }
    variables["AWS_CONFIG_FILE"] = str(config)
    completed = run([ada.aws.program, "--profile", "second", "sts", "get-caller-identity"], variables)
    assert completed.returncode == 0, completed.stderr
    assert json.loads(completed.stdout)["Arn"].endswith(f"assumed-role/{name('Second')}/chained")


# --- @aws-sdk/client-sts -----------------------------------------------------------------------------------------


@pytest.fixture
def javascript(ada: User) -> Javascript:
    """Return a function that runs a scenario of `sts.mjs` as a user and returns its output."""
    return scenario_runner(PROGRAM, "client-sts", ada.aws.variables)


def test_role_chain_keeps_identity_and_limits_duration(
    javascript: Javascript, server: Server, ada: User, name: Name
) -> None:
    """The source identity is kept, the expiration is a date, and a chain is limited to one hour (S-13, S-16)."""
    first, second = (make_role(ada.aws, server, name(word)) for word in ("First", "Second"))
    result = javascript("chain", first=first, second=second)
    sessions = f"arn:aws:sts::{server.account}:assumed-role"
    assert result["arns"] == [f"{sessions}/{name('First')}/js", f"{sessions}/{name('Second')}/chained"]
    assert (result["sourceIdentity"], result["isDate"]) == ("ada", True)
    over = result["over"]
    assert (over["isKind"], over["name"], over["status"]) == (True, "ValidationError", 400)
    assert "1 hour session limit for roles assumed by role chaining" in over["message"]


def test_federated_user_has_its_arn(javascript: Javascript, server: Server) -> None:
    policy = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "docs:*", "Resource": "*"}}'
    result = javascript("federation", policy=policy)
    assert result["arn"] == f"arn:aws:sts::{server.account}:federated-user/app"
    assert result["user"] == {"Arn": result["arn"], "FederatedUserId": f"{server.account}:app"}


def test_errors_of_the_sdk_and_an_identity_token(javascript: Javascript, server: Server, ada: User, name: Name) -> None:
    """Errors are the SDK's own classes; an account that issues tokens returns one."""
    disabled, message, missing = javascript("errors", role=server.arn(f"role/{name('None')}"))
    assert disabled == {
        "isKind": True,
        "name": "OutboundWebIdentityFederationDisabledException",
        "message": "Outbound web identity federation is not enabled for your account.",
        "fault": "client",
        "status": 403,
    }
    assert message == {
        "isKind": True,
        "name": "InvalidAuthorizationMessageException",
        "message": "Message is not valid",
        "fault": "client",
        "status": 400,
    }
    assert (missing["isKind"], missing["name"], missing["status"]) == (True, "AccessDenied", 403)
    issuer = ada.aws("enable-outbound-web-identity-federation")["IssuerIdentifier"]
    try:
        result = javascript("identityToken")
        claims = json.loads(base64.urlsafe_b64decode(result["token"].split(".")[1] + "=="))
        assert (claims["iss"], claims["sub"]) == (issuer, server.arn(f"user/{ada.name}"))
        assert claims["exp"] == result["expires"]
        assert 50 < claims["exp"] - time.time() <= 60
    finally:
        ada.aws("disable-outbound-web-identity-federation")
