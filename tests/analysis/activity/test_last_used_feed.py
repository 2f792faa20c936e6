"""Last-used times from the trail: deleted times are restored, times never go back, and other records are ignored."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
import pytest
from click.testing import CliRunner, Result

from iam_guard.analysis.activity import feed_uses
from iam_guard.analysis.activity.last_used_feed import uses_of
from iam_guard.api.protocol.app import aws_api
from iam_guard.audit.consumer.subscription import AuditReader
from iam_guard.audit.record.redaction import write
from iam_guard.audit.writer.segment_writer import SegmentWriter
from iam_guard.cli import main
from iam_guard.errors import StoreUnavailable
from iam_guard.factory import open_guard
from iam_guard.model.principal import Credential, Principal
from iam_guard.store.credentials.last_used import LastUsedTracker
from iam_guard.store.credentials.last_used_rows import ApiKeyUse, KeyUse, ServiceUse, Use
from iam_guard.store.schema import access_key_uses, api_keys, service_uses
from tests.analysis.activity.records import (
    ACME,
    RITA_ID,
    ROLE_ID,
    Record,
    decided,
    document,
    own,
    refused,
    session,
    user,
)
from tests.audit.trails import KEY, RING
from tests.serving import serving
from tests.tables import table

ADMIN = ("AKIAADMINKEY00000001", "admin-secret")
ROBOT = "robotexamplesecret0123456789abcdefghijklmnop"
SEED = f"""
version: 1
accounts:
  - id: "{ACME}"
    users:
      - name: admin
        attached: [AdministratorAccess]
        access_keys: [{{id: {ADMIN[0]}, secret: {ADMIN[1]}}}]
      - name: robot
        attached: [AdministratorAccess]
        api_keys: [{{id: ROBOT1, secret: {ROBOT}}}]
    roles:
      - name: reader
        inline:
          Read: {{Version: "2012-10-17", Statement: [{{Effect: Allow, Action: ["docs:*", "mail:*"], Resource: "*"}}]}}
        trust:
          Version: "2012-10-17"
          Statement: [{{Effect: Allow, Principal: {{AWS: "{ACME}"}}, Action: "sts:AssumeRole"}}]
"""
ROOT = {"type": "Root", "principalId": ACME, "accessKeyId": "AKIA2"}
STORE = "sqlite:///iam.db"
NOON = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp())


class RecordingStore:
    """A store that keeps the uses it is passed."""

    def __init__(self, failures: int = 0) -> None:
        self.uses: list[Use] = []
        self.batches: list[int] = []
        self._failures = failures

    def save_uses(self, uses: Sequence[Use]) -> None:
        if self._failures:
            self._failures -= 1
            raise StoreUnavailable("the store is away")
        self.uses += uses
        self.batches.append(len(uses))


# --- from a record to uses -------------------------------------------------------------------------------------------


@table(
    ("record", "uses"),
    [
        (decided(), [ServiceUse(RITA_ID, "docs", "Get", NOON, "us-east-1")]),
        (decided(outcome="ImplicitlyDenied"), [ServiceUse(RITA_ID, "docs", "Get", NOON, "us-east-1")]),
        (decided("iam:GetUser", who=session()), [ServiceUse(ROLE_ID, "iam", "GetUser", NOON, "us-east-1")]),
        (
            decided(who=user(accessKeyId="AKIA1")),
            [ServiceUse(RITA_ID, "docs", "Get", NOON, "us-east-1"), KeyUse("AKIA1", NOON, "us-east-1", "docs")],
        ),
        (decided(who=session(accessKeyId="ASIA1")), [ServiceUse(ROLE_ID, "docs", "Get", NOON, "us-east-1")]),
        (
            decided(who=user(credentialId="ROBOT1")),
            [ServiceUse(RITA_ID, "docs", "Get", NOON, "us-east-1"), ApiKeyUse("ROBOT1", NOON)],
        ),
        (
            decided(who=ROOT),
            [KeyUse("AKIA2", NOON, "us-east-1", "docs")],
        ),
        (decided("docs:a b"), []),
        (decided(who=user(id="odd")), []),
        (decided(who={"type": "AWSService", "invokedBy": "mailer.example.com"}), []),
        (decided(error="the store is away"), []),
        (decided(redacted=["/userIdentity/principalId"]), []),
        (
            decided(who=user(accessKeyId="pseudonym:1"), pseudonymised=["/userIdentity/accessKeyId"]),
            [ServiceUse(RITA_ID, "docs", "Get", NOON, "us-east-1")],
        ),
        (
            decided(who=user(credentialId="[redacted]"), redacted=["/userIdentity/credentialId"]),
            [ServiceUse(RITA_ID, "docs", "Get", NOON, "us-east-1")],
        ),
        (
            decided(who=user(id="pseudonym:1", accessKeyId="AKIA1"), pseudonymised=["/userIdentity/principalId"]),
            [KeyUse("AKIA1", NOON, "us-east-1", "docs")],
        ),
        (
            decided(pseudonymised=["/userIdentity/arn", "/userIdentity/userName"]),
            [ServiceUse(RITA_ID, "docs", "Get", NOON, "us-east-1")],
        ),
        (decided(redacted=["/userIdentity/type"]), []),
        (decided(time="2026-11-24T25:00:00Z"), []),
        (decided(time="yesterday"), []),
        (decided() | {"iamGuard": {"kind": "session_issue"}}, []),
        (decided() | {"userIdentity": None}, []),
        (own("audit_gap"), []),
        (refused("e"), []),  # it takes no use back: the attempt was one
        ({}, []),
    ],
)
def test_uses_of_record(record: Record, uses: list[Use]) -> None:
    assert list(uses_of(record)) == uses


# --- from a trail to the store ---------------------------------------------------------------------------------------


def written(folder: Path, records: Sequence[Mapping[str, Any]]) -> None:
    writer = SegmentWriter(folder, KEY, service="docs")
    writer.append([write(dict(record)).encode() + b"\n" for record in records])
    writer.close()


def many(count: int) -> list[Record]:
    """Return records of 900 actions, one per second."""
    seconds = ((number, f"{number // 60 % 60:02}:{number % 60:02}") for number in range(count))
    return [decided(f"docs:A{number % 900}", time=f"2026-11-24T00:{second}Z") for number, second in seconds]


def test_latest_uses_are_written_in_batches(tmp_path: Path) -> None:
    written(tmp_path / "trail", many(2000))
    kept = RecordingStore()
    with AuditReader(tmp_path / "trail", ring=RING).subscribe("uses", follow=False, batch=300) as subscription:
        fed = feed_uses(subscription, kept)
    assert (fed.records, fed.uses) == (2002, len(kept.uses))
    assert max(kept.batches) <= 200
    latest = {use.action: use.at for use in kept.uses if isinstance(use, ServiceUse)}
    assert latest["A5"] == NOON - 12 * 3600 + 1805


def test_failed_write_is_not_acknowledged(tmp_path: Path) -> None:
    """After one failure of the store, the next subscription begins at the last write."""
    written(tmp_path / "trail", many(50))
    reader, kept = AuditReader(tmp_path / "trail", ring=RING), RecordingStore(failures=1)
    with reader.subscribe("uses", follow=False) as subscription, pytest.raises(StoreUnavailable):
        feed_uses(subscription, kept)
    for expected in (52, 0):
        with reader.subscribe("uses", follow=False) as subscription:
            assert feed_uses(subscription, kept).records == expected
    assert len(kept.uses) == 50


# --- the command, and what the API answers ---------------------------------------------------------------------------

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a folder with a store and the key of its trail."""
    monkeypatch.chdir(tmp_path)
    Path("iam.yaml").write_text(SEED)
    invoke = CliRunner().invoke
    assert invoke(main, ["init", "--store", STORE]).exit_code == 0
    assert invoke(main, ["apply", "iam.yaml", "--store", STORE]).exit_code == 0
    return lambda *arguments: invoke(main, ["audit", "feed", "trail", "--store", STORE, *arguments])


def answers() -> dict[str, Any]:
    """Return the last-used data of the API; these queries are not recorded as uses."""
    guard = open_guard(STORE)
    with mock.patch.object(LastUsedTracker, "_record"), serving(aws_api(guard)) as url:
        iam = client(url)
        role, admin = iam.get_role(RoleName="reader")["Role"], iam.get_user(UserName="admin")["User"]
        found = {
            "role": role["RoleLastUsed"],
            "of the role": services_of(iam, role["Arn"]),
            "of the admin": services_of(iam, admin["Arn"]),
            "key": iam.get_access_key_last_used(AccessKeyId=ADMIN[0])["AccessKeyLastUsed"],
        }
    with guard.store.read_transaction() as records:
        found["API keys"] = {row["id"]: row["used"] for row in records.all(api_keys)}
    guard.close()
    return found


def services_of(iam: Any, arn: str) -> list[dict[str, Any]]:
    job = iam.generate_service_last_accessed_details(Arn=arn, Granularity="ACTION_LEVEL")["JobId"]
    services: list[dict[str, Any]] = iam.get_service_last_accessed_details(JobId=job)["ServicesLastAccessed"]
    return services


def used_services(found: dict[str, Any]) -> set[str]:
    return {each["ServiceNamespace"] for each in found["of the role"] if "LastAuthenticated" in each}


def is_alike(one: Any, other: Any) -> bool:
    """Compare answers; the guard's use and its record may differ by one second."""
    match one, other:
        case datetime(), datetime():
            return abs((one - other).total_seconds()) <= 2
        case int(), int():
            return abs(one - other) <= 2
        case dict(), dict():
            return one.keys() == other.keys() and all(is_alike(one[key], other[key]) for key in one)
        case list(), list():
            return len(one) == len(other) and all(map(is_alike, one, other))
    return bool(one == other)


def client(url: str) -> Any:
    key = {"aws_access_key_id": ADMIN[0], "aws_secret_access_key": ADMIN[1]}
    return boto3.client("iam", endpoint_url=url, region_name="us-east-1", **key)


def use_everything() -> None:
    """Sign with the access key, assume the role, and use the API key, with a trail."""
    guard = open_guard(STORE, audit="trail/")
    with serving(aws_api(guard)) as url:
        client(url).get_user()
    reader = Principal.from_arn(f"arn:aws:sts::{ACME}:assumed-role/reader/s")
    robot = replace(Principal.from_arn(f"arn:aws:iam::{ACME}:user/robot"), credential=Credential("api-key", "ROBOT1"))
    guard.uses.track_key(robot.credential)
    guard.decide(robot, "docs:Get", document())
    guard.decide(reader, "docs:Get", document())
    guard.decide(reader, "mail:Send", "*")
    guard.close()


def wipe(at: int | None = None) -> None:
    """Delete all last-used rows, or set them to a time."""
    guard = open_guard(STORE)
    with guard.store.write_transaction() as records:
        for table in (service_uses, access_key_uses):
            if at is None:
                records.delete(table)
            else:
                records.update(table, {"at": at})
        records.update(api_keys, {"used": at}, id="ROBOT1")
    guard.close()


def test_deleted_times_are_restored_from_trail(run: Run) -> None:
    """GetRole, GetServiceLastAccessedDetails and GetAccessKeyLastUsed answer as before, after a second run too."""
    use_everything()
    before = answers()
    assert before["role"]["Region"] == "us-east-1"
    assert used_services(before) == {"docs", "mail"}
    assert before["key"]["ServiceName"] == "iam"
    assert before["API keys"]["ROBOT1"] is not None
    wipe()
    assert (answers()["role"], answers()["API keys"]) == ({}, {"ROBOT1": None})
    for arguments in ((), ("--again",), ("--since", "2020-01-01T00:00:00Z")):
        result = run("--json", *arguments)
        assert result.exit_code == 0, result.output
        assert json.loads(result.output) == {"records": 6, "uses": 6}
        assert is_alike(answers(), before)


def test_second_run_reads_new_records_only(run: Run) -> None:
    """After restoring a store, --again reads all of them."""
    use_everything()
    assert run().output == "6 records read, 6 uses written to the store\n"
    wipe()
    assert run().output == "0 records read, 0 uses written to the store\n"
    assert answers()["role"] == {}
    assert run("--group", "another").output == "6 records read, 6 uses written to the store\n"
    assert answers()["role"] != {}


def test_later_times_are_kept(run: Run) -> None:
    """A later time in the store is not overwritten."""
    use_everything()
    wipe(at=4_000_000_000)
    before = answers()
    assert run().exit_code == 0
    assert answers() == before
    assert before["API keys"] == {"ROBOT1": 4_000_000_000}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--again", "--since", "2026-11-24T12:00:00Z"),
        ("--since", "noon"),
        ("--store", "sqlite:///nowhere.db"),
        ("--group", "a/b"),
    ],
)
def test_invalid_arguments_are_refused(run: Run, arguments: tuple[str, ...]) -> None:
    use_everything()
    assert run(*arguments).exit_code == 2


def test_damaged_trail_writes_nothing(run: Run) -> None:
    """A changed record ends the command before the store is written."""
    use_everything()
    wipe()
    [segment] = Path("trail").glob("*/*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b'"mail"', b'"bail"'))
    result = run()
    assert (result.exit_code, "MODIFIED" in result.output) == (2, True)
    assert used_services(answers()) == set()


def test_follow_runs_until_interrupted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    use_everything()
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("iam_guard.cli.audit.feed.time.sleep", nap)
    result = run("--follow")
    assert (result.exit_code, len(naps), result.output) == (0, 3, "6 records read, 6 uses written to the store\n")
