"""`iam-guard why`: from the request id of a refusal to the statement, then and now (issue G, explain)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from iam_guard import open_guard
from iam_guard.audit.consumer.reader import read
from iam_guard.audit.record.record import Stamp
from iam_guard.audit.verify.trail_events import refused_line
from iam_guard.cli import main
from iam_guard.model.principal import Principal
from iam_guard.model.request import Call
from tests.audit.trails import NOON
from tests.conftest import ACME, SEED

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


def test_denial_is_explained_with_what_would_have_helped(run: Run) -> None:
    result = run("request-2", "--trail", "trail", "--store", "sqlite:///iam.db")
    assert result.exit_code == 1, result.output
    first, asked, because, *_ = result.output.splitlines()
    assert first.startswith(f"ImplicitlyDenied: User: {RITA} is not authorized to perform: docs:PutDocument")
    assert asked.endswith(f"{RITA} docs:PutDocument arn:aws:docs::{ACME}:document/7")
    assert because == "    because no identity-based policy allows it"
    assert "With the policies of the store now, which are the same:" in result.output
    assert "the action would have to match `docs:Get*`" in result.output


def test_allow_names_its_statement_and_ends_with_0(run: Run) -> None:
    result = run("request-1", "--trail", "trail", "--store", "sqlite:///iam.db")
    assert result.exit_code == 0, result.output
    assert "because Allow by Read of user/rita/Read" in result.output


def test_event_id_finds_its_record(run: Run) -> None:
    (segment,) = Path("trail").glob("*/*.jsonl")
    records = [each for each in read(segment) if each.get("requestID") == "request-1"]
    event = records[0]["eventID"]
    (told,) = json.loads(run(event, "--trail", "trail", "--store", "sqlite:///iam.db", "--json").output)
    assert told["record"]["requestID"] == "request-1"
    assert (told["samePolicies"], told["now"]["outcome"]) == (True, "Allowed")


def test_changed_policies_are_said_to_have_changed(run: Run) -> None:
    Path("iam.yaml").write_text(SEED.replace('"docs:Get*"', '"docs:Put*"'))
    assert CliRunner().invoke(main, ["apply", "iam.yaml", "--store", "sqlite:///iam.db"]).exit_code == 0
    result = run("request-2", "--trail", "trail", "--store", "sqlite:///iam.db")
    assert result.exit_code == 1, "the exit code is about what was recorded"
    assert "which have changed:\nAllowed" in result.output


def test_file_of_records_and_no_store_say_what_was_recorded(run: Run) -> None:
    """A file cannot be verified; without a store the record speaks alone."""
    (segment,) = Path("trail").glob("*/*.jsonl")
    result = run("request-2", "--trail", str(segment), "--store", "sqlite:///none.db")
    assert result.exit_code == 1
    assert "because no identity-based policy allows it" in result.output
    assert "not decided again: " in result.output
    assert not Path("none.db").exists()


def test_altered_trail_is_not_believed(run: Run) -> None:
    (segment,) = Path("trail").glob("*/*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b"203.0.113.7", b"203.0.113.8"))
    assert run("request-2", "--trail", "trail", "--store", "sqlite:///iam.db").exit_code == 2
    unverified = run("request-2", "--trail", "trail", "--store", "sqlite:///iam.db", "--no-verify")
    assert unverified.exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("request-9", "--trail", "trail"), "no record of `request-9`"),
        (("request-1",), "expected the trail"),
        (("request-1", "--trail", "nowhere"), "does not exist"),
    ],
)
def test_what_cannot_be_found_is_said(run: Run, arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments, "--store", "sqlite:///iam.db")
    assert result.exit_code == 2
    assert said in result.output


def test_refused_credential_is_told(run: Run, tmp_path: Path) -> None:
    """There is no decision, since nobody knows who asked."""
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


def test_request_that_was_refused_for_want_of_its_record_is_told(run: Run) -> None:
    """The record says Allowed; another one says that the answer was no."""
    (segment,) = Path("trail").glob("*/*.jsonl")
    events = {each["eventID"] for each in read(segment) if each.get("requestID") == "request-1"}
    lines = segment.read_bytes() + b"".join(refused_line(Stamp(NOON, "r"), event) for event in events)
    Path("records.jsonl").write_bytes(lines)
    result = run("request-1", "--trail", "records.jsonl", "--store", "sqlite:///iam.db")
    assert result.exit_code == 1
    assert result.output.startswith("Allowed: refused all the same, for want of this record")
    (told,) = json.loads(run("request-1", "--trail", "records.jsonl", "--store", "sqlite:///iam.db", "--json").output)
    assert told["refused"] is True
