"""Changes outside the API, by the application's own code and the operator's commands, are recorded too."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from iam_guard import Guard, open_guard
from iam_guard.audit.append_file import AppendFile
from iam_guard.audit.consumer.reader import read_records
from iam_guard.audit.verify.signing_keys import create_signing_key_file
from iam_guard.cli import main
from iam_guard.errors import DecisionUnavailable, NoSuchEntity, RecordUnavailable
from iam_guard.web.service import Service
from tests.audit.pipelines import eventually, facts_in, gaps_in
from tests.conftest import ACME, SEED

STORE = "sqlite:///iam.db"
ADA = f"arn:aws:iam::{ACME}:user/ada"
DOCUMENT = f"arn:aws:docs:us-east-1:{ACME}:document/7"
SHARE: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "docs:Get", "Resource": DOCUMENT}],
}
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder with a store that has two users."""
    monkeypatch.chdir(tmp_path)
    Path("iam.yaml").write_text(SEED)

    def invoke(*arguments: str, stdin: str | None = None, **environment: str) -> Result:
        variables = {f"IAM_GUARD_{name.upper()}": value for name, value in environment.items()}
        return CliRunner().invoke(main, list(arguments), input=stdin, env=variables)

    assert invoke("init", "--store", STORE).exit_code == 0
    assert invoke("apply", "iam.yaml", "--store", STORE).exit_code == 0
    return invoke


@pytest.fixture
def guard(run: Run, tmp_path: Path) -> Iterator[Guard]:
    create_signing_key_file(tmp_path / "key")
    guard = open_guard(STORE, services=[Service("docs")], audit=f"{tmp_path}/trail/", audit_key_file=f"{tmp_path}/key")
    yield guard
    guard.close()


def changes_in(trail: Path) -> list[dict[str, Any]]:
    return [fact for fact in facts_in(trail) if not fact["iamGuard"]["kind"].startswith(("audit_", "decision"))]


# --- the application -------------------------------------------------------------------------------------------------


def test_resource_policy_change_records_both_documents(guard: Guard, tmp_path: Path) -> None:
    """Synchronously, under the name of the application's service."""
    guard.resource_policies.put(DOCUMENT, SHARE)
    guard.resource_policies.put(DOCUMENT, json.dumps(SHARE).replace("docs:Get", "docs:Put"))
    guard.resource_policies.delete(DOCUMENT)
    first, second, third = changes_in(tmp_path / "trail")
    assert first["userIdentity"] == {"type": "AWSService", "invokedBy": "docs"}
    assert (first["eventSource"], first["eventName"]) == ("iam-guard", "PutResourcePolicy")
    assert (first["eventType"], first["requestID"]) == ("AwsServiceEvent", None)
    assert first["resources"] == [{"ARN": DOCUMENT, "accountId": ACME}]
    assert json.loads(first["requestParameters"]["policy"]) == SHARE
    assert [change["iamGuard"]["kind"] for change in (first, second, third)] == ["policy_change"] * 3
    one, two = first["iamGuard"]["document"]["after"], second["iamGuard"]["document"]["after"]
    assert second["iamGuard"]["document"]["before"] == one != two
    assert third["iamGuard"]["document"] == {"before": two}
    assert third["iamGuard"]["epoch"] > second["iamGuard"]["epoch"] > first["iamGuard"]["epoch"]


def test_api_key_change_is_recorded_without_the_key(guard: Guard, tmp_path: Path) -> None:
    created = guard.api_keys.create(ADA)
    rotated = guard.api_keys.rotate(created.id, overlap=timedelta(hours=1))
    guard.api_keys.update(created.id, "Inactive")
    guard.api_keys.delete(created.id)
    changes = changes_in(tmp_path / "trail")
    assert [change["eventName"] for change in changes] == [
        "CreateApiKey",
        "RotateApiKey",
        "UpdateApiKey",
        "DeleteApiKey",
    ]
    assert {change["iamGuard"]["kind"] for change in changes} == {"admin_call"}
    assert {change["resources"][0]["ARN"] for change in changes} == {ADA}
    assert changes[0]["responseElements"] == {"apiKey": {"id": created.id}}
    assert changes[1]["requestParameters"] == {"apiKeyId": created.id, "overlapSeconds": 3600}
    assert changes[2]["requestParameters"] == {"apiKeyId": created.id, "status": "Inactive"}
    trail = b"".join(path.read_bytes() for path in (tmp_path / "trail").rglob("*.jsonl"))
    for key in (created, rotated):
        assert key.text.encode() not in trail
        assert key.text.rpartition("_")[2].encode() not in trail


def test_failed_change_is_not_recorded(guard: Guard, tmp_path: Path) -> None:
    """Nothing was done, and no caller was denied."""
    with pytest.raises(NoSuchEntity):
        guard.resource_policies.delete(DOCUMENT)
    with pytest.raises(NoSuchEntity):
        guard.api_keys.delete("NOSUCHKEY")
    assert not (tmp_path / "trail").exists() or changes_in(tmp_path / "trail") == []


def test_change_on_an_event_loop_is_refused(guard: Guard, tmp_path: Path) -> None:
    """Before it is made; it succeeds in a worker thread."""

    async def main() -> None:
        with pytest.raises(DecisionUnavailable, match="cannot be recorded here and was not made"):
            guard.resource_policies.put(DOCUMENT, SHARE)
        with pytest.raises(DecisionUnavailable):
            guard.api_keys.create(ADA)
        assert guard.resource_policies.get(DOCUMENT) is None
        await asyncio.to_thread(guard.resource_policies.put, DOCUMENT, SHARE)

    asyncio.run(main())
    assert [change["eventName"] for change in changes_in(tmp_path / "trail")] == ["PutResourcePolicy"]


def test_change_with_failing_record_stays_and_raises(
    guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: AppendFile, data: bytes) -> None:
        raise OSError(5, "Input/output error")

    guard.resource_policies.put(DOCUMENT, SHARE)
    with monkeypatch.context() as patched:
        patched.setattr(AppendFile, "append", fail)
        with pytest.raises(RecordUnavailable, match="was carried out, but"):
            guard.resource_policies.delete(DOCUMENT)
    assert guard.resource_policies.get(DOCUMENT) is None
    eventually(lambda: len(changes_in(tmp_path / "trail")) == 2)
    assert gaps_in(tmp_path / "trail") == []


def test_change_after_close_is_refused(guard: Guard) -> None:
    guard.trail.close()
    with pytest.raises(DecisionUnavailable):
        guard.resource_policies.put(DOCUMENT, SHARE)
    assert guard.resource_policies.get(DOCUMENT) is None


def test_change_without_trail_succeeds_unrecorded(run: Run) -> None:
    guard = open_guard(STORE)

    async def main() -> None:
        guard.resource_policies.put(DOCUMENT, SHARE)

    asyncio.run(main())
    assert guard.resource_policies.get(DOCUMENT)
    guard.close()


# --- the operator ----------------------------------------------------------------------------------------------------


def test_seed_records_operator_and_changes(run: Run, tmp_path: Path) -> None:
    """Only if it changed something, and without the secrets of the seed."""
    Path("more.yaml").write_text(SEED.replace("name: rita", "name: zoe").replace("TESTRITA", "TESTZOE"))
    for _ in range(2):
        assert run("apply", "more.yaml", "--store", STORE, audit="audit.jsonl").exit_code == 0
    [record] = read_records(tmp_path / "audit.jsonl")
    assert record["eventName"] == "ApplySeed"
    assert record["iamGuard"]["kind"] == "policy_change"
    assert "@" in record["iamGuard"]["operator"]
    assert record["requestParameters"] == {"file": "more.yaml", "prune": False}
    assert any("user/zoe" in line for line in record["responseElements"]["changes"])
    assert "secret" not in (tmp_path / "audit.jsonl").read_text()


def test_large_seed_is_recorded_in_part(run: Run, tmp_path: Path) -> None:
    users = "\n".join(f"      - {{name: user-{number:04}}}" for number in range(300))
    Path("many.yaml").write_text(f"version: 1\naccounts:\n  - id: '{ACME}'\n    users:\n{users}\n")
    assert run("apply", "many.yaml", "--store", STORE, audit="audit.jsonl").exit_code == 0
    [record] = read_records(tmp_path / "audit.jsonl")
    elements = record["responseElements"]
    assert len(elements["changes"]) + elements["omittedChanges"] == 301  # and the name of the account


def test_commands_record_changes_in_their_own_shard(run: Run, tmp_path: Path) -> None:
    """Which ends with the command; the key is next to the store."""
    done = run("resource-policy", "put", DOCUMENT, "-", "--store", STORE, stdin=json.dumps(SHARE), audit="trail/")
    assert done.exit_code == 0, done.output
    made = json.loads(run("api-key", "create", ADA, "--json", "--store", STORE, audit="trail/").output)
    assert [change["eventName"] for change in changes_in(tmp_path / "trail")] == ["PutResourcePolicy", "CreateApiKey"]
    assert changes_in(tmp_path / "trail")[1]["responseElements"]["apiKey"]["id"] == made["id"]
    verified = run("audit", "verify", "trail", "--store", STORE)
    assert verified.exit_code == 0, verified.output


def test_command_with_audit_to_stdout_keeps_its_output(run: Run) -> None:
    done = run("api-key", "create", ADA, "--json", "--store", STORE, audit="-")
    assert set(json.loads(done.stdout)) == {"id", "key"}
    assert json.loads(done.stderr)["eventName"] == "CreateApiKey"


def test_command_with_unopenable_trail_changes_nothing(run: Run) -> None:
    done = run("api-key", "create", ADA, "--store", STORE, audit="nowhere/audit.jsonl")
    assert done.exit_code == 2
    assert json.loads(run("api-key", "list", "--json", "--store", STORE).output) == []
    done = run("apply", "iam.yaml", "--store", STORE, audit="trail/", audit_key_file="no-such-key")
    assert done.exit_code == 2


# --- pseudonyms ------------------------------------------------------------------------------------------------------


def test_pseudonym_commands_create_find_rotate_and_destroy(run: Run, tmp_path: Path) -> None:
    """With a private key file next to the store."""
    assert run("audit", "pseudonym-key", ACME, "--store", STORE).exit_code == 0
    assert (tmp_path / "iam.db.audit-pseudonym-keys").stat().st_mode & 0o777 == 0o600
    options = {"audit": "audit.jsonl", "audit_pseudonyms": "/resources/*/ARN,/requestParameters/principalArn"}
    assert run("api-key", "create", ADA, "--store", STORE, **options).exit_code == 0
    [record] = read_records(tmp_path / "audit.jsonl")
    found, derivable = run("audit", "pseudonym", ACME, ADA, "--store", STORE).output.splitlines()
    assert record["resources"][0]["ARN"] == record["requestParameters"]["principalArn"] == found
    assert run("audit", "pseudonym-key", ACME, "--rotate", "--store", STORE).exit_code == 0
    given = {"audit_pseudonym_key_file": str(tmp_path / "iam.db.audit-pseudonym-keys")}
    for store in (STORE, "sqlite:///gone.db"):
        done = run("audit", "pseudonym", ACME, ADA, "--json", "--store", store, **given)
        *salted, rotated, former = json.loads(done.output)["pseudonyms"]
        assert salted == ([found] if store == STORE else []), "the salts are in the store"
        assert (rotated != derivable, former) == (True, derivable)
    assert run("audit", "pseudonym-key", ACME, "--destroy", "--store", STORE).output.startswith("destroyed 2 keys")
    assert run("audit", "pseudonym", ACME, ADA, "--store", STORE).exit_code == 2


def test_pseudonym_key_of_missing_store_is_not_created(run: Run, tmp_path: Path) -> None:
    """No guard would find it. A file of the settings needs no store."""
    refused = run("audit", "pseudonym-key", ACME, "--store", "sqlite:///typo.db")
    assert refused.exit_code == 2
    assert f"expected a store in `{tmp_path}/typo.db`, got none" in refused.output
    assert not list(tmp_path.glob("typo*"))
    given = {"audit_pseudonym_key_file": "keys"}
    assert run("audit", "pseudonym-key", ACME, "--store", "sqlite:///typo.db", **given).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("audit", "pseudonym-key", "acme"),
        ("audit", "pseudonym-key", ACME, "--destroy"),
        ("audit", "pseudonym-key", ACME, "--rotate"),
        ("audit", "pseudonym-key", ACME, "--rotate", "--destroy"),
        ("audit", "pseudonym", ACME, "alice"),
        ("audit", "pseudonym-key", ACME, "--store", "postgresql+psycopg://nowhere/x"),
    ],
)
def test_invalid_pseudonym_command_fails(run: Run, arguments: tuple[str, ...]) -> None:
    done = run(*arguments, store=STORE)
    assert done.exit_code == 2
    assert "Traceback" not in done.output
