"""Policy generation over the wire, from a trail in a folder (AA-40, AA-41)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from iam_guard.api.access_analyzer import policy_generations
from iam_guard.api.access_analyzer.policy_generations import VIEWABLE
from iam_guard.api.protocol.app import aws_api
from iam_guard.audit.verify.signing_keys import create_signing_key_file
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.quotas import QUOTAS
from iam_guard.store.schema import jobs
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.api.conftest import (
    ACCOUNT,
    ADMIN_KEY,
    OTHER_ACCOUNT,
    OTHER_KEY,
    SEED,
    Client,
    Running,
    allow,
    refusal,
)
from tests.api.sample_server import NoSnapshot
from tests.serving import serving
from tests.tables import table

ADMIN = f"arn:aws:iam::{ACCOUNT}:user/admin"
TRAIL = f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/main"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/reader"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "access-analyzer.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[Running]:
    """A server of its own, with a trail in a folder."""
    create_signing_key_file(tmp_path / "key")
    settings = Settings(audit=f"{tmp_path}/trail/", audit_key_file=f"{tmp_path}/key", audit_flush_seconds=0.01)
    store = create_store("sqlite://", settings)
    apply_seed(store, load_seed_text(SEED))
    guard = guard_with_store(store, settings)
    with serving(aws_api(guard)) as url:
        yield Running(url, guard, store, NoSnapshot())  # type: ignore[arg-type]
    guard.close()


def start(client: Client, principal: str = ADMIN, **more: Any) -> str:
    answer = client.start_policy_generation(policyGenerationDetails={"principalArn": principal}, **more)
    id: str = answer["jobId"]
    return id


def details(**more: Any) -> dict[str, Any]:
    """Return the details of a trail, of the last hour."""
    since = datetime.now(UTC) - timedelta(hours=1)
    return {"trails": [{"cloudTrailArn": TRAIL}], "accessRole": ROLE, "startTime": since, **more}


def test_policy_has_what_was_used(audited: Running) -> None:
    """Actions and resources; nothing of other principals, and nothing that was not used."""
    iam = audited.client(ADMIN_KEY)
    iam.create_user(UserName="ann", Path="/staff/")
    iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(TRUST))
    audited.client(OTHER_KEY).create_user(UserName="theirs")
    audited.guard.trail.end_shard()  # signs what was recorded
    client = audited.client(ADMIN_KEY, "accessanalyzer")
    id = start(client, cloudTrailDetails=details())
    answer = client.get_generated_policy(jobId=id)
    job, result = answer["jobDetails"], answer["generatedPolicyResult"]
    assert (job["status"], job["jobId"]) == ("SUCCEEDED", id)
    assert {"startedOn", "completedOn"} <= job.keys()
    properties = result["properties"]
    assert (properties["principalArn"], properties["isComplete"]) == (ADMIN, True)
    assert properties["cloudTrailProperties"]["trailProperties"] == [{"cloudTrailArn": TRAIL, "allRegions": True}]
    text = "".join(entry["policy"] for entry in result["generatedPolicies"])
    assert "iam:CreateUser" in text
    assert f"arn:aws:iam::{ACCOUNT}:user/staff/ann" in text
    assert "iam:DeleteUser" not in text
    assert "theirs" not in text
    assert client.get_generated_policy(jobId=id)["generatedPolicyResult"] == result
    (listed,) = client.list_policy_generations(principalArn=ADMIN)["policyGenerations"]
    assert (listed["jobId"], listed["principalArn"], listed["status"]) == (id, ADMIN, "SUCCEEDED")


def test_whole_trail_is_read_without_details(audited: Running) -> None:
    audited.client(ADMIN_KEY).list_users()
    audited.guard.trail.end_shard()
    client = audited.client(ADMIN_KEY, "accessanalyzer")
    answer = client.get_generated_policy(jobId=start(client))
    assert "iam:ListUsers" in answer["generatedPolicyResult"]["generatedPolicies"][0]["policy"]


def test_damaged_trail_fails_the_job(audited: Running, tmp_path: Path) -> None:
    """A changed record is not believed."""
    iam = audited.client(ADMIN_KEY)
    iam.create_user(UserName="ann")
    audited.guard.trail.end_shard()
    for path in (tmp_path / "trail").rglob("*"):
        if path.is_file() and b"CreateUser" in path.read_bytes():
            path.write_bytes(path.read_bytes().replace(b"CreateUser", b"DeleteUser"))
    client = audited.client(ADMIN_KEY, "accessanalyzer")
    job = client.get_generated_policy(jobId=start(client))["jobDetails"]
    assert (job["status"], job["jobError"]["code"]) == ("FAILED", "SERVICE_ERROR")


def test_too_many_records_fail_the_job(audited: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_generations, "MAX_RECORDS", 1)
    audited.client(ADMIN_KEY).list_users()
    audited.guard.trail.end_shard()
    client = audited.client(ADMIN_KEY, "accessanalyzer")
    job = client.get_generated_policy(jobId=start(client))["jobDetails"]
    assert (job["status"], job["jobError"]["code"]) == ("FAILED", "SERVICE_QUOTA_EXCEEDED_ERROR")


@table(
    ("given", "code"),
    [
        ({"accessRole": f"{ROLE}s"}, "AUTHORIZATION_ERROR"),
        ({"trails": [{"cloudTrailArn": TRAIL.replace(ACCOUNT, OTHER_ACCOUNT)}]}, "RESOURCE_NOT_FOUND_ERROR"),
    ],
)
def test_missing_role_or_trail_fails_the_job(audited: Running, given: dict[str, Any], code: str) -> None:
    try:
        audited.client(ADMIN_KEY).create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(TRUST))
    except audited.client(ADMIN_KEY).exceptions.EntityAlreadyExistsException:
        pass
    client = audited.client(ADMIN_KEY, "accessanalyzer")
    job = client.get_generated_policy(jobId=start(client, cloudTrailDetails=details(**given)))["jobDetails"]
    assert (job["status"], job["jobError"]["code"]) == ("FAILED", code)


# --- without a trail ---------------------------------------------------------------------------------------------


def test_server_without_trail_fails_the_job(analyzer: Client) -> None:
    """The error says so."""
    answer = analyzer.get_generated_policy(jobId=start(analyzer))
    assert answer["jobDetails"]["status"] == "FAILED"
    assert answer["jobDetails"]["jobError"] == {
        "code": "RESOURCE_NOT_FOUND_ERROR",
        "message": "The server keeps no audit trail in a folder.",
    }
    assert answer["generatedPolicyResult"]["generatedPolicies"] == []


def test_canceled_job_stays_canceled(analyzer: Client) -> None:
    id = start(analyzer)
    analyzer.cancel_policy_generation(jobId=id)
    assert analyzer.get_generated_policy(jobId=id)["jobDetails"]["status"] == "CANCELED"
    done = start(analyzer)
    analyzer.get_generated_policy(jobId=done)
    analyzer.cancel_policy_generation(jobId=done)
    assert analyzer.get_generated_policy(jobId=done)["jobDetails"]["status"] == "FAILED"


def test_jobs_are_listed_by_page(analyzer: Client, iam: Client) -> None:
    iam.create_user(UserName="ann")
    ann = f"arn:aws:iam::{ACCOUNT}:user/ann"
    ids = {start(analyzer), start(analyzer), start(analyzer, ann)}
    pages = analyzer.get_paginator("list_policy_generations").paginate(PaginationConfig={"PageSize": 1})
    found = [entry for page in pages for entry in page["policyGenerations"]]
    assert ({entry["jobId"] for entry in found}, len(found)) == (ids, 3)
    assert len(analyzer.list_policy_generations(principalArn=ann)["policyGenerations"]) == 1


def test_repeated_request_is_the_same_job(analyzer: Client, iam: Client) -> None:
    iam.create_user(UserName="ann")
    assert start(analyzer, clientToken="t") == start(analyzer, clientToken="t")
    with refusal("ConflictException"):
        start(analyzer, f"arn:aws:iam::{ACCOUNT}:user/ann", clientToken="t")


def test_jobs_are_limited_and_expire(server: Running, analyzer: Client, now: int) -> None:
    for _ in range(QUOTAS["policy generations per account and day"]):
        id = start(analyzer)
    with refusal("ServiceQuotaExceededException", "50", 402):
        start(analyzer)
    with server.store.write_transaction() as records:
        records.update(jobs, {"created": now - VIEWABLE}, id=id)
    with refusal("ResourceNotFoundException"):
        analyzer.get_generated_policy(jobId=id)
    start(analyzer)
    with server.store.read_transaction() as records:
        assert records.one(jobs, id=id) is None


NOW = datetime(2026, 1, 1, tzinfo=UTC)


@table(
    ("principal", "given"),
    [
        (f"arn:aws:iam::{ACCOUNT}:user/missing", {}),
        (f"arn:aws:iam::{OTHER_ACCOUNT}:user/admin", {}),
        (ADMIN, {"cloudTrailDetails": details(startTime=NOW, endTime=NOW)}),
        (ADMIN, {"cloudTrailDetails": details(startTime=NOW - timedelta(days=91), endTime=NOW)}),
    ],
)
def test_invalid_request_is_rejected(analyzer: Client, principal: str, given: dict[str, Any]) -> None:
    with refusal("ValidationException"):
        start(analyzer, principal, **given)


def test_other_account_sees_no_job(analyzer: Client, other_analyzer: Client) -> None:
    id = start(analyzer)
    for call in (other_analyzer.get_generated_policy, other_analyzer.cancel_policy_generation):
        with refusal("ResourceNotFoundException"):
            call(jobId=id)
    assert other_analyzer.list_policy_generations()["policyGenerations"] == []


def test_access_role_must_be_passed(server: Running, client_for: Any) -> None:
    """`iam:PassRole` to Access Analyzer, as at AWS."""
    client_for("one", allow("access-analyzer:StartPolicyGeneration"))
    client_for("two", allow("access-analyzer:*"), allow("iam:PassRole", ROLE))
    passed = {"StringEquals": {"iam:PassedToService": "access-analyzer.amazonaws.com"}}
    client_for("three", allow("access-analyzer:*"), allow("iam:PassRole", ROLE, **passed))
    clients = {
        name: server.client((f"AKIA{name.upper():0>16.16}", f"secret-of-{name}"), "accessanalyzer")
        for name in ("one", "two", "three")
    }
    with refusal("AccessDeniedException", "iam:PassRole"):
        start(clients["one"], cloudTrailDetails=details())
    with refusal("AccessDeniedException", "iam:PassRole"):
        start(clients["two"], cloudTrailDetails=details(accessRole=ROLE.replace(ACCOUNT, OTHER_ACCOUNT)))
    for name in ("two", "three"):
        start(clients[name], cloudTrailDetails=details())
