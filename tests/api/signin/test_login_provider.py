"""Unmodified botocore with the credentials of `aws login`: it uses them, renews them, and notices their end.

The sign-in is that of the AWS CLI, version 2, whose cache and profile botocore reads.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.exceptions import LoginInsufficientPermissions, LoginRefreshRequired
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.api.conftest import refusal
from tests.api.signin.conftest import ACME, ADMIN_KEY, NEW_PASSWORD, Office
from tests.api.signin.tool import Tool

pytest.importorskip("awscrt")

ADA = f"arn:aws:iam::{ACME}:user/ada"
HOW_TO = Path(__file__).parents[3] / "docs" / "how-to" / "aws-login.md"


class Profile:
    """A profile and the cache of a login, as the CLI writes them."""

    def __init__(self, office: Office, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.office, self.folder = office, folder
        self.tool: Tool = office.tool()
        config = folder / "config"
        config.write_text(f"[default]\nregion = us-east-1\nlogin_session = {ADA}\nendpoint_url = {office.url}\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))
        monkeypatch.setenv("AWS_LOGIN_CACHE_DIRECTORY", str(folder / "cache"))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)

    @property
    def cache(self) -> Path:
        return self.folder / "cache" / f"{hashlib.sha256(ADA.encode()).hexdigest()}.json"

    def log_in(self) -> None:
        """Redeem a code as the CLI does, with a client of botocore, and fill the cache."""
        tool, session = self.tool, botocore.session.get_session()
        config = botocore.config.Config(signature_version=botocore.UNSIGNED)
        client = session.create_client("signin", config=config, endpoint_url=self.office.url, region_name="us-east-1")

        def add_proof(params: dict[str, Any], **_: Any) -> None:
            params["headers"]["DPoP"] = tool.proof(htu=params["url"])

        client.meta.events.register("before-call.signin.CreateOAuth2Token", add_proof)
        body = {
            "clientId": tool.client_id,
            "grantType": "authorization_code",
            "code": self.office.code(tool),
            "codeVerifier": tool.verifier,
            "redirectUri": tool.redirect,
        }
        self.save(client.create_o_auth2_token(tokenInput=body)["tokenOutput"])

    def save(self, output: dict[str, Any]) -> None:
        until = datetime.now(UTC) + timedelta(seconds=output["expiresIn"])
        access = {**output["accessToken"], "accountId": ACME, "expiresAt": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
        key = self.tool.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
        more = {"tokenType": output["tokenType"], "clientId": self.tool.client_id, "dpopKey": key}
        token = {"accessToken": access, **more, "refreshToken": output["refreshToken"], "idToken": output["idToken"]}
        self.cache.parent.mkdir(exist_ok=True)
        self.cache.write_text(json.dumps(token))

    def age(self) -> dict[str, Any]:
        """Let the cached credentials be about to expire; return what is cached."""
        token: dict[str, Any] = json.loads(self.cache.read_text())
        until = datetime.now(UTC) + timedelta(seconds=60)
        token["accessToken"]["expiresAt"] = f"{until:%Y-%m-%dT%H:%M:%SZ}"
        self.cache.write_text(json.dumps(token))
        return token

    def caller(self) -> str:
        """Return who a new process with this profile is."""
        return str(boto3.Session().client("sts").get_caller_identity()["Arn"])


@pytest.fixture
def profile(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    made = Profile(office, tmp_path, monkeypatch)
    made.log_in()
    return made


def test_login_provider_uses_cached_credentials(profile: Profile) -> None:
    session = boto3.Session()
    credentials = session.get_credentials()
    assert credentials is not None
    assert credentials.method == "login"
    assert profile.caller() == ADA
    assert session.client("iam").list_users()["Users"]


def test_login_provider_refreshes(profile: Profile) -> None:
    before = profile.age()
    assert profile.caller() == ADA
    after = json.loads(profile.cache.read_text())
    assert after["refreshToken"] != before["refreshToken"]
    assert after["accessToken"]["accessKeyId"] != before["accessToken"]["accessKeyId"]
    for _ in range(3):
        profile.age()
        assert profile.caller() == ADA


def test_login_provider_survives_a_lost_answer(profile: Profile) -> None:
    """The refresh was done, and its answer was not saved."""
    before = profile.age()
    assert profile.caller() == ADA
    profile.cache.write_text(json.dumps(before))
    assert profile.caller() == ADA


def test_login_provider_notices_revocation(profile: Profile) -> None:
    signin = profile.office.client("signin", ADMIN_KEY)
    [session] = signin.list_sessions(principalArn=ADA)["items"]
    signin.batch_revoke_sessions(principalArn=ADA, sessionArns=[session["sessionArn"]])
    profile.age()
    with pytest.raises(LoginRefreshRequired):
        profile.caller()


def test_login_provider_notices_a_changed_password(profile: Profile) -> None:
    profile.office.set_password(profile.office.person("ada"), NEW_PASSWORD)
    profile.age()
    with pytest.raises(LoginRefreshRequired):
        profile.caller()


def test_login_provider_notices_missing_permissions(profile: Profile) -> None:
    deny = {"Effect": "Deny", "Action": "signin:CreateOAuth2Token", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    iam = profile.office.client("iam", ADMIN_KEY)
    iam.put_user_policy(UserName="ada", PolicyName="NoTools", PolicyDocument=document)
    profile.age()
    with pytest.raises(LoginInsufficientPermissions):
        profile.caller()


def test_handler_of_the_how_to_keeps_operations_at_the_endpoint(office: Office) -> None:
    """Botocore sends the operations on sessions to AWS, even with `endpoint_url`."""
    page = HOW_TO.read_text(encoding="utf-8")
    assert 'params["url"] = ' in page
    namespace: dict[str, Any] = {"ENDPOINT": office.url}
    source = page.split("def at_endpoint", 1)[1].split("\n\n", 1)[0]
    exec(f"def at_endpoint{source}", namespace)  # noqa: S102  our own page
    key = dict(zip(("aws_access_key_id", "aws_secret_access_key"), ADMIN_KEY, strict=True))
    client = boto3.client("signin", endpoint_url=office.url, region_name="us-east-1", **key)
    assert client.meta.events is not None
    client.meta.events.register("before-call.signin", namespace["at_endpoint"])
    assert client.list_sessions()["items"] == []
    with refusal("ResourceNotFoundException"):
        client.get_session(sessionArn="arn:aws:signin:us-east-1:1:session/x")
