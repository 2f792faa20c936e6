"""Calls of the IAM API with a trail in a folder: durable before the response, concurrent, rejected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

from iam_guard.api.protocol.app import aws_api
from iam_guard.audit import append_file
from iam_guard.audit.append_file import AppendFile
from iam_guard.audit.record.call_kinds import RESULT_KINDS
from iam_guard.audit.trail import Trail
from iam_guard.audit.verify.signing_keys import create_signing_key_file
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.snapshot import Snapshot
from tests.api.conftest import ACCOUNT, ADMIN_KEY, OTHER_ACCOUNT, SEED, Running
from tests.api.iam.mfa_parts import codes_at, step_now
from tests.audit.pipelines import eventually, facts_in, gaps_in
from tests.serving import serving


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[Running]:
    create_signing_key_file(tmp_path / "key")
    settings = Settings(audit=f"{tmp_path}/trail/", audit_key_file=f"{tmp_path}/key")
    store = create_store("sqlite://", settings)
    apply_seed(store, load_seed_text(SEED))
    snapshot = Snapshot(store.engine)
    guard = guard_with_store(store, settings)
    with serving(aws_api(guard)) as url:
        yield Running(url, guard, store, snapshot)
    snapshot.close()
    guard.close()


def users_named_in(trail: Path) -> list[str]:
    created = [each for each in facts_in(trail) if each["eventName"] == "CreateUser"]
    return [each["resources"][0]["ARN"].rpartition("/")[2] for each in created]


def test_concurrent_changes_are_recorded_before_the_response(audited: Running, tmp_path: Path) -> None:
    client = audited.client(ADMIN_KEY)

    def create(number: int) -> bool:
        name = f"u{number}"
        client.create_user(UserName=name)
        return name in users_named_in(tmp_path / "trail")

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(create, range(24)))


def test_unrecordable_change_is_rejected(audited: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 and no user; once the disk works again, the gap is declared and the call succeeds."""
    client: Any = audited.client(ADMIN_KEY)
    client.list_users()

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(append_file, "_sync", fail)
        with pytest.raises(ClientError) as caught:
            client.create_user(UserName="eve")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert [user["UserName"] for user in client.list_users()["Users"]] == ["admin"]
    client.create_user(UserName="eve")
    assert [gap["reason"] for gap in gaps_in(tmp_path / "trail")] == ["SyncFailed", "NotRecorded"]


# --- results ---------------------------------------------------------------------------------------------------------

ALLOW_ALL = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}],
    }
)


def results_in(trail: Path) -> list[dict[str, Any]]:
    return [each for each in facts_in(trail) if each["iamGuard"]["kind"] in RESULT_KINDS]


def test_change_is_recorded_before_the_response(audited: Running, tmp_path: Path) -> None:
    """After its decision, with input and output and the same request id."""
    audited.client(ADMIN_KEY).create_user(UserName="eve", Path="/staff/", Tags=[{"Key": "team", "Value": "red"}])
    [decided, _, result] = facts_in(tmp_path / "trail")[1:]
    assert decided["iamGuard"]["kind"] == "decision"
    assert result["requestID"] == decided["requestID"]
    expected = {"path": "/staff/", "userName": "eve", "tags": [{"key": "team", "value": "red"}]}
    assert result["requestParameters"] == expected
    made = result["responseElements"]["user"]
    assert made["arn"] == f"arn:aws:iam::{ACCOUNT}:user/staff/eve" == result["resources"][0]["ARN"]
    assert result["userIdentity"]["userName"] == "admin"
    said = result["iamGuard"]
    assert (said["kind"], said["changed"], said["epoch"]) == ("admin_call", True, audited.store.epoch())
    assert "errorCode" not in result


def test_allowed_but_failed_call_is_recorded(audited: Running, tmp_path: Path) -> None:
    """Read calls too; a denial has only its decision."""
    client = audited.client(ADMIN_KEY)
    with pytest.raises(ClientError, match="EntityAlreadyExists"):
        client.create_user(UserName="admin")
    with pytest.raises(ClientError, match="NoSuchEntity"):
        client.get_user(UserName="nobody")
    client.list_users()
    first, second = results_in(tmp_path / "trail")
    assert (first["eventName"], first["errorCode"]) == ("CreateUser", "EntityAlreadyExists")
    assert first["errorMessage"] == "User with name admin already exists."
    assert first["iamGuard"]["changed"] is False
    assert (second["eventName"], second["errorCode"], second["readOnly"]) == ("GetUser", "NoSuchEntity", True)


ALLOWED = {"Effect": "Allow", "Action": "docs:Get", "Resource": "*"}
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "member"),
    [
        ("iam", "CreatePolicy", {"PolicyName": "p"}, "PolicyDocument"),
        ("iam", "PutUserPolicy", {"PolicyName": "p", "UserName": "admin"}, "PolicyDocument"),
        ("sts", "GetFederationToken", {"Name": "ada"}, "Policy"),
    ],
)
@pytest.mark.parametrize(
    ("faulty", "place", "reason"),
    [
        ({"Effect": "Maybe"}, "/Statement/1/Effect", "got `Maybe`"),
        ({"Condition": {"Bool\nERROR": {"a:b": "x"}}}, "/Statement/1/Condition/Bool", "unknown condition operator"),
        ({"Condition": {"Bool": {"x" * 1500: {}}}}, "/Statement/1/Condition/Bool/xxx", "got an object"),
        ({SECRET: 1}, "/Statement/1/", "expected one of"),
    ],
    ids=["effect", "line break", "long name", "secret"],
)
def test_place_of_a_policy_fault_is_recorded_and_logged(
    audited: Running,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    service: str,
    operation: str,
    parameters: dict[str, str],
    member: str,
    faulty: dict[str, Any],
    place: str,
    reason: str,
) -> None:
    """AWS's sentence has no place; the record and one line of the log have statement, element and reason."""
    document = json.dumps({"Version": "2012-10-17", "Statement": [ALLOWED, ALLOWED | faulty]}, indent=1)
    client = audited.client(ADMIN_KEY, service)
    with pytest.raises(ClientError, match=r"Syntax errors in policy\.$"):
        getattr(client, xform_name(operation))(**parameters, **{member: document})
    eventually(lambda: bool(results_in(tmp_path / "trail")))
    [record] = results_in(tmp_path / "trail")
    [line] = [entry.getMessage() for entry in caplog.records if entry.name == "iam_guard.api"]
    for text in (record["errorMessage"], line):
        assert place in text
        assert reason in text
        assert SECRET not in text
    assert line.startswith(f"{service}:{operation} rejects a policy: ")
    assert line.isprintable()
    assert len(line) < 2200


def test_denied_call_has_only_its_decision(audited: Running, tmp_path: Path) -> None:
    client = audited.client(ADMIN_KEY)
    client.create_user(UserName="eve")
    key = client.create_access_key(UserName="eve")["AccessKey"]
    before = len(results_in(tmp_path / "trail"))
    with pytest.raises(ClientError, match="AccessDenied"):
        audited.client((key["AccessKeyId"], key["SecretAccessKey"])).create_user(UserName="mallory")
    assert len(results_in(tmp_path / "trail")) == before


def test_policy_change_record_has_digests(audited: Running, tmp_path: Path) -> None:
    """Before and after, as decisions have them."""
    client = audited.client(ADMIN_KEY)
    second = ALLOW_ALL.replace('"Action":"*"', '"Action":"docs:Get"')
    arn = client.create_policy(PolicyName="P", PolicyDocument=ALLOW_ALL)["Policy"]["Arn"]
    client.create_policy_version(PolicyArn=arn, PolicyDocument=second)
    client.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    client.delete_policy_version(PolicyArn=arn, VersionId="v1")
    client.create_user(UserName="eve")
    client.attach_user_policy(UserName="eve", PolicyArn=arn)
    client.attach_user_policy(UserName="eve", PolicyArn=arn)
    client.detach_user_policy(UserName="eve", PolicyArn=arn)
    client.put_user_policy(UserName="eve", PolicyName="I", PolicyDocument=ALLOW_ALL)
    client.put_user_policy(UserName="eve", PolicyName="I", PolicyDocument=second)
    client.delete_user_policy(UserName="eve", PolicyName="I")
    client.put_user_permissions_boundary(UserName="eve", PermissionsBoundary=arn)
    client.delete_user_permissions_boundary(UserName="eve")
    client.create_role(RoleName="R", AssumeRolePolicyDocument=TRUST)
    client.update_assume_role_policy(RoleName="R", PolicyDocument=TRUST.replace(ACCOUNT, OTHER_ACCOUNT))
    client.delete_role(RoleName="R")
    client.delete_policy(PolicyArn=arn)
    changes = [each for each in results_in(tmp_path / "trail") if each["iamGuard"]["kind"] == "policy_change"]
    documents = [each["iamGuard"]["document"] for each in changes]
    one, two = documents[0]["after"], documents[1]["after"]
    trust, changed = documents[12]["after"], documents[13]["after"]
    assert len({one, two, trust, changed}) == 4
    assert documents == [
        {"after": one},
        {"before": one, "after": two},
        {"before": one, "after": two},
        {"before": one},
        {"after": two},
        {"before": two, "after": two},  # attached twice
        {"before": two},
        {"after": one},
        {"before": one, "after": two},
        {"before": two},
        {"after": two},
        {"before": two},
        {"after": trust},
        {"before": trust, "after": changed},
        {"before": changed},
        {"before": two},
    ]
    assert [each["iamGuard"]["changed"] for each in changes].count(False) == 1


def test_issued_session_record_has_no_secrets(audited: Running, tmp_path: Path) -> None:
    """Its key id finds its use."""
    client, sts = audited.client(ADMIN_KEY), audited.client(ADMIN_KEY, "sts")
    client.create_role(RoleName="R", AssumeRolePolicyDocument=TRUST)
    role = f"arn:aws:iam::{ACCOUNT}:role/R"
    made = sts.assume_role(RoleArn=role, RoleSessionName="eve", DurationSeconds=900)["Credentials"]
    sts.get_session_token()
    sts.get_caller_identity()
    issued = [each for each in results_in(tmp_path / "trail") if each["iamGuard"]["kind"] == "session_issue"]
    assert [each["eventName"] for each in issued] == ["AssumeRole", "GetSessionToken"]
    record = issued[0]
    assert record["requestParameters"] == {"roleArn": role, "roleSessionName": "eve", "durationSeconds": 900}
    credentials = record["responseElements"]["credentials"]
    assert credentials["accessKeyId"] == made["AccessKeyId"]
    assert credentials["secretAccessKey"] == credentials["sessionToken"] == "[redacted]"
    assert record["responseElements"]["assumedRoleUser"]["arn"].endswith(":assumed-role/R/eve")
    assert record["iamGuard"]["changed"] is False
    trail = b"".join(path.read_bytes() for path in (tmp_path / "trail").rglob("*.jsonl"))
    assert made["SecretAccessKey"].encode() not in trail
    assert made["SessionToken"].encode() not in trail


def test_trail_has_no_passwords_keys_or_codes(audited: Running, tmp_path: Path) -> None:
    """Neither of inputs nor of outputs."""
    client = audited.client(ADMIN_KEY)
    client.create_user(UserName="eve")
    client.create_login_profile(UserName="eve", Password="Sup3r-Secret!password")
    key = client.create_access_key(UserName="eve")["AccessKey"]
    device = client.create_virtual_mfa_device(VirtualMFADeviceName="phone")["VirtualMFADevice"]
    seed = device["Base32StringSeed"].decode()
    client.enable_mfa_device(UserName="eve", SerialNumber=device["SerialNumber"], **codes_at(seed, step_now() - 1))
    trail = b"".join(path.read_bytes() for path in (tmp_path / "trail").rglob("*.jsonl"))
    for secret in ("Sup3r-Secret!password", key["SecretAccessKey"], seed):
        assert secret.encode() not in trail
    enabled = results_in(tmp_path / "trail")[-1]
    assert enabled["requestParameters"]["authenticationCode1"] == "[redacted]"
    assert enabled["iamGuard"]["redacted"] == [
        "/requestParameters/authenticationCode1",
        "/requestParameters/authenticationCode2",
    ]


def test_executed_but_unrecorded_change_is_reported(
    audited: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with a message; the user exists, and the record follows when the disk works again."""
    client: Any = boto3.client(
        "iam",
        endpoint_url=audited.url,
        aws_access_key_id=ADMIN_KEY[0],
        aws_secret_access_key=ADMIN_KEY[1],
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}),  # a client that tries again would hear that eve exists
    )
    client.list_users()
    note = Trail.record_result

    def with_a_broken_disk(*arguments: Any, **more: Any) -> None:
        def fail(self: AppendFile, data: bytes) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patched:
            patched.setattr(AppendFile, "append", fail)
            note(*arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Trail, "record_result", with_a_broken_disk)
        with pytest.raises(ClientError) as caught:
            client.create_user(UserName="eve")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert "The request was carried out, but its result could not be recorded" in str(caught.value)
    assert "eve" in [user["UserName"] for user in client.list_users()["Users"]]
    eventually(lambda: [each["eventName"] for each in results_in(tmp_path / "trail")] == ["CreateUser"])
    assert gaps_in(tmp_path / "trail") == []
