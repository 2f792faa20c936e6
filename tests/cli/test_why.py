"""`iam-guard why`: from the request id of a denial to the statement, recorded and current (issue G, explain)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from iam_guard import open_guard
from iam_guard.audit.consumer.reader import read_records
from iam_guard.audit.record.record import Stamp
from iam_guard.audit.verify.trail_events import refused_line
from iam_guard.cli import main
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from tests.audit.trails import NOON
from tests.conftest import ACME, SEED
from tests.tables import table

GOLDEN = Path(__file__).parents[1] / "audit" / "golden"

RITA = f"arn:aws:iam::{ACME}:user/rita"
Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in a folder with a store and the trail of two requests, `request-1` and `request-2`."""
    monkeypatch.chdir(tmp_path)
    Path("iam.yaml").write_text(SEED)
    invoke = lambda *arguments: CliRunner().invoke(main, [*arguments])  # noqa: E731
    for command in (["init"], ["apply", "iam.yaml"]):
        assert invoke(*command, "--store", "sqlite:///iam.db").exit_code == 0
    guard = open_guard("sqlite:///iam.db", audit="trail/")
    for number, action in enumerate(("docs:GetDocument", "docs:PutDocument"), 1):
        call = Call(request_id=f"request-{number}", region="us-east-1", source_ip="203.0.113.7")
        guard.decide(Principal.from_arn(RITA), action, f"arn:aws:docs::{ACME}:document/7", call=call)
    guard.close()
    return lambda *arguments: invoke("why", *arguments)


def test_denial_is_explained_with_near_misses(run: Run) -> None:
    result = run("request-2", "--trail", "trail", "--store", "sqlite:///iam.db")
    assert result.exit_code == 1, result.output
    first, request, because, *_ = result.output.splitlines()
    assert first.startswith(f"ImplicitlyDenied: User: {RITA} is not authorized to perform: docs:PutDocument")
    assert request.endswith(f"{RITA} docs:PutDocument arn:aws:docs::{ACME}:document/7")
    assert because == "    because no identity-based policy allows it"
    assert "With the current policies of the store, which are the same:" in result.output
    assert "the action would have to match `docs:Get*`" in result.output


def test_allow_names_statement_and_is_exit_code_0(run: Run) -> None:
    result = run("request-1", "--trail", "trail", "--store", "sqlite:///iam.db")
    assert result.exit_code == 0, result.output
    assert "because Allow by Read of user/rita/Read" in result.output


def test_event_id_finds_record(run: Run) -> None:
    (segment,) = Path("trail").glob("*/*.jsonl")
    records = [each for each in read_records(segment) if each.get("requestID") == "request-1"]
    event = records[0]["eventID"]
    (entry,) = json.loads(run(event, "--trail", "trail", "--store", "sqlite:///iam.db", "--json").output)
    assert entry["record"]["requestID"] == "request-1"
    assert (entry["samePolicies"], entry["now"]["outcome"]) == (True, "Allowed")


def test_changed_policies_are_reported(run: Run) -> None:
    Path("iam.yaml").write_text(SEED.replace('"docs:Get*"', '"docs:Put*"'))
    assert CliRunner().invoke(main, ["apply", "iam.yaml", "--store", "sqlite:///iam.db"]).exit_code == 0
    result = run("request-2", "--trail", "trail", "--store", "sqlite:///iam.db")
    assert result.exit_code == 1, "the exit code is about what was recorded"
    assert "which have changed:\n    Allowed, not ImplicitlyDenied as recorded: the policies have changed since" in (
        result.output
    )
    assert "(epoch 2 then, 3 now)\nAllowed: " in result.output


CONDITIONS = """
version: 1
accounts:
  - id: "{account}"
    users:
      - name: rita
        tags: {{team: red}}
        inline:
          Read:
            Version: "2012-10-17"
            Statement:
              - Effect: Allow
                Action: docs:GetDocument
                Resource: "*"
                Condition:
                  IpAddress: {{"aws:SourceIp": 203.0.113.0/24}}
                  StringEquals: {{"docs:Kind": report, "aws:RequestTag/team": "${{aws:PrincipalTag/team}}"}}
"""


def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Callable[..., tuple[str, Any]]:
    """Record an allowed request with conditions; return `why` as text and as JSON."""
    monkeypatch.chdir(tmp_path)
    Path("iam.yaml").write_text(CONDITIONS.format(account=ACME))
    guard = open_guard("iam.yaml", audit="audit.jsonl", **settings)
    call = Call("request-1", "http", "GET", "/documents/7", "docs.example.com", "203.0.113.7")
    context = {"docs:Kind": "report", "aws:RequestTag/team": "red"}
    rita = Principal.from_arn(RITA)
    assert guard.decide(rita, "docs:GetDocument", f"arn:aws:docs::{ACME}:document/7", context, call=call).allowed
    guard.close()

    def why() -> tuple[str, Any]:
        arguments = ["why", "request-1", "--trail", "audit.jsonl", "--store", "iam.yaml"]
        text, data = CliRunner().invoke(main, arguments), CliRunner().invoke(main, [*arguments, "--json"])
        assert text.exit_code == data.exit_code == 0, text.output
        return text.output, json.loads(data.output)[0]

    return why


def test_explanation_has_the_recorded_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Source address, tags and the application's keys: the same outcome as the recorded one, and no contradiction."""
    why = recorded(tmp_path, monkeypatch, audit_condition_keys=["aws:*", "docs:*"])
    text, entry = why()
    assert "which are the same:\nAllowed: " in text
    for value in ("203.0.113.7", "report", "red"):
        assert f": the request has `{value}`" in text
    assert (entry["now"]["outcome"], entry["problem"], entry["unknown"], entry["difference"]) == (
        "Allowed",
        None,
        {},
        None,
    )


@pytest.mark.parametrize(
    ("settings", "key", "how"),
    [
        ({}, "docs:kind", "withheld"),
        ({"audit_mask": ["/iamGuard/conditions/*/value"]}, "aws:SourceIp", "redacted"),
        ({"audit_drop": ["/iamGuard/conditions"]}, "docs:kind", "not recorded"),
    ],
)
def test_value_that_is_not_recorded_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], key: str, how: str
) -> None:
    """With the reason, and as the reason of another outcome."""
    text, entry = recorded(tmp_path, monkeypatch, **settings)()
    assert f"    {key} counts as missing: its value was {how}\n" in text
    assert "    ImplicitlyDenied, not Allowed as recorded: values were not recorded\n" in text
    assert entry["unknown"][key.lower()] == how
    assert entry["difference"] == "ImplicitlyDenied, not Allowed as recorded: values were not recorded"
    assert entry["problem"].startswith("it depends on `")


def test_contradicting_record_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same policies and all values, but another outcome: the file was edited."""
    why = recorded(tmp_path, monkeypatch, audit_condition_keys=["aws:*", "docs:*"])
    file = Path("audit.jsonl")
    file.write_text(file.read_text().replace('"outcome":"Allowed"', '"outcome":"ImplicitlyDenied"'))
    assert "Allowed, not ImplicitlyDenied as recorded: the record was changed, or the request had data" in why()[0]


def test_file_without_store_shows_record_only(run: Run) -> None:
    """A file can't be verified; without a store there is no current decision."""
    (segment,) = Path("trail").glob("*/*.jsonl")
    result = run("request-2", "--trail", str(segment), "--store", "sqlite:///none.db")
    assert result.exit_code == 1
    assert "because no identity-based policy allows it" in result.output
    assert "not replayed: " in result.output
    assert not Path("none.db").exists()


def test_changed_trail_is_refused(run: Run) -> None:
    (segment,) = Path("trail").glob("*/*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b"203.0.113.7", b"203.0.113.8"))
    assert run("request-2", "--trail", "trail", "--store", "sqlite:///iam.db").exit_code == 2
    unverified = run("request-2", "--trail", "trail", "--store", "sqlite:///iam.db", "--no-verify")
    assert unverified.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("request-9", "--trail", "trail"), "no record of `request-9`; the last second may not be signed yet"),
        (("request-9", "--trail", "."), "found no shard"),
        (("request-1",), "expected the trail"),
        (("request-1", "--trail", "nowhere"), "does not exist"),
    ],
)
def test_unknown_id_is_reported(run: Run, arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments, "--store", "sqlite:///iam.db")
    assert result.exit_code == 2
    assert message in result.output


def test_refused_credential_is_reported(run: Run, tmp_path: Path) -> None:
    """There is no decision, since the caller is unknown."""
    record = {
        "eventVersion": "1.11",
        "eventTime": "2026-11-26T12:00:00Z",
        "requestID": "request-3",
        "errorCode": "InvalidClientTokenId",
        "errorMessage": "the key is not known\x1b[2J",
        "iamGuard": {"kind": "authentication"},
    }
    Path("records.jsonl").write_text(json.dumps(record) + "\n")
    result = run("request-3", "--trail", "records.jsonl", "--store", "sqlite:///iam.db")
    assert result.exit_code == 1
    assert "Refused: the key is not known" in result.output
    assert "\x1b" not in result.output


@table(
    ("name", "kind"),
    [
        ("list-filtered", "list_filtered"),
        ("permissions-asked", "permissions_asked"),
        ("policy-changed", "policy_change"),
    ],
)
def test_record_without_decision_is_not_shown_as_refusal(run: Run, name: str, kind: str) -> None:
    """Its kind is shown instead; the exit code is that of an allowed request."""
    record = json.loads((GOLDEN / f"{name}.json").read_text())
    Path("records.jsonl").write_text(json.dumps(record) + "\n")
    result = run(record["requestID"], "--trail", "records.jsonl", "--store", "sqlite:///iam.db")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[0] == kind


def test_rejected_request_is_reported(run: Run) -> None:
    """Its record says Allowed; another one says that it was rejected."""
    (segment,) = Path("trail").glob("*/*.jsonl")
    events = {each["eventID"] for each in read_records(segment) if each.get("requestID") == "request-1"}
    lines = segment.read_bytes() + b"".join(refused_line(Stamp(NOON, "r"), event) for event in events)
    Path("records.jsonl").write_bytes(lines)
    result = run("request-1", "--trail", "records.jsonl", "--store", "sqlite:///iam.db")
    assert result.exit_code == 1
    assert result.output.startswith("Allowed: then rejected: the audit record could not be written")
    (entry,) = json.loads(run("request-1", "--trail", "records.jsonl", "--store", "sqlite:///iam.db", "--json").output)
    assert entry["refused"] is True
