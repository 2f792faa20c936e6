"""`iam-guard audit query`: predefined queries and SQL, on compacted and open segments."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from iam_guard.audit.record.record import Stamp
from iam_guard.audit.verify.shard import COLUMNS_FOLDER as FOLDER
from iam_guard.audit.verify.shard import segments_of, shards_of
from iam_guard.audit.verify.trail_events import refused_line
from iam_guard.audit.writer.retention import drop_segments
from iam_guard.audit.writer.segment_writer import SegmentWriter
from iam_guard.cli import main
from tests.audit.trails import KEY, NOON, SMALL, record, writer_in, written

Run = Callable[..., Result]
VKEY = str(KEY.verifier)
GOLDEN = Path(__file__).parents[1] / "audit" / "golden"
AUDITOR = "arn:aws:iam::444455556666:role/security/Auditor"
ALICE = "arn:aws:iam::111122223333:user/staff/alice"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, ["audit", "query", *arguments, "--key", VKEY])


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """Return a trail of the golden records, with closed segments."""
    writer = SegmentWriter(tmp_path / "it's a [trail]", KEY, service="docs", limits=SMALL)
    for path in sorted(GOLDEN.glob("*.json")):
        made = json.loads(path.read_text())
        made["iamGuard"] = made.pop("iamGuard")
        writer.append([json.dumps(made, separators=(",", ":")).encode() + b"\n"])
        writer.commit()
    writer.close()
    return tmp_path / "it's a [trail]"


def rows(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.output.splitlines()]


@pytest.mark.parametrize("role", [AUDITOR, "Auditor", "security/Auditor"])
def test_who_used_lists_uses_of_role(run: Run, trail: Path, role: str) -> None:
    [row] = rows(run(str(trail), "--who-used", role, "--json"))
    assert row == {
        "role": AUDITOR,
        "principal": "arn:aws:sts::444455556666:assumed-role/Auditor/carol",
        "action": "docs:GetDocument",
        "calls": 1,
        "first": "2026-05-04 03:02:01",
        "last": "2026-05-04 03:02:01",
    }
    assert rows(run(str(trail), "--who-used", "Audit", "--json")) == []


def test_denied_lists_denials_with_reason(run: Run, trail: Path) -> None:
    found = {(row["principal"], row["action"], row["reason"]) for row in rows(run(str(trail), "--denied", "--json"))}
    expected = set()
    for path in GOLDEN.glob("*.json"):
        made = json.loads(path.read_text())
        facts, who = made["iamGuard"], made["userIdentity"]
        if facts["kind"] == "authentication" or facts.get("outcome", "").endswith("Denied"):
            principal = who.get("arn") or who.get("accessKeyId") or who["type"]
            expected.add((principal, f"{made['eventSource']}:{made['eventName']}", facts["reason"]))
    assert found == expected


def test_changes_lists_changes(run: Run, trail: Path) -> None:
    """Who changed or issued what, and what failed; a decision about it is no change."""
    found = rows(run(str(trail), "--changes", "--json"))
    assert {(each["kind"], each["action"], each["error_code"]) for each in found} == {
        ("policy_change", "iam:PutUserPolicy", None),
        ("policy_change", "iam-guard:PutResourcePolicy", None),
        ("policy_change", "iam-guard:ShareResource", None),
        ("session_issue", "sts:AssumeRole", None),
        ("session_issue", "sts:GetFederationToken", "LimitExceeded"),
        ("admin_call", "iam:CreateUser", "EntityAlreadyExists"),
    }


def test_by_lists_what_was_done_for_a_principal(run: Run, trail: Path) -> None:
    """Its own requests, and changes that the application made in one of them, without a decision."""
    found = {row["action"] for row in rows(run(str(trail), "--by", ALICE, "--json"))}
    assert {"docs:GetDocument", "iam:CreateUser", "iam-guard:ShareResource"} <= found
    assert "iam-guard:PutResourcePolicy" not in found
    shared = [row for row in rows(run(str(trail), "--changes", "--json")) if row["action"] == "iam-guard:ShareResource"]
    assert [(row["principal"], row["caller"]) for row in shared] == [("docs", ALICE)]


def test_first_and_last_use_of_principal(run: Run, trail: Path) -> None:
    found = rows(run(str(trail), "--first-and-last-use", ALICE, "--json"))
    assert {each["action"] for each in found} == {"docs:GetDocument", "iam:CreateUser"}


def test_rejected_request_is_no_use(run: Run, tmp_path: Path) -> None:
    """The record of the rejection may be in another segment or shard than the decision."""
    made = json.loads((GOLDEN / "role-session-cross-account-allowed.json").read_text())
    writer = writer_in(tmp_path / "trail")
    for number in range(20):
        facts = made.pop("iamGuard")
        made |= {"eventID": f"id-{number}", "eventTime": f"2026-05-04T03:02:{number:02}Z", "iamGuard": facts}
        writer.append([json.dumps(made, separators=(",", ":")).encode() + b"\n"])
        writer.commit()
    writer.append([refused_line(Stamp(NOON, "r1"), "id-0")])
    writer.close()
    other = writer_in(tmp_path / "trail")
    other.append([refused_line(Stamp(NOON, "r2"), "id-19"), refused_line(Stamp(NOON, "r3"), "id-99")])
    other.close()
    for arguments in (("--who-used", AUDITOR), ("--first-and-last-use", AUDITOR)):
        [row] = rows(run("trail", *arguments, "--json"))
        assert (row["calls"], row["first"], row["last"]) == (18, "2026-05-04 03:02:01", "2026-05-04 03:02:18")
    refused = "SELECT event_id FROM records WHERE refused ORDER BY event_id"
    assert rows(run("trail", refused, "--json")) == [{"event_id": "id-0"}, {"event_id": "id-19"}]
    assert rows(run("trail", "SELECT count(*) AS n FROM records WHERE refused IS NULL", "--json")) == [{"n": 0}]


def test_sql_covers_compacted_and_open_segments(run: Run, tmp_path: Path) -> None:
    """Closed segments are compacted once; half a line of an open one is no row; later lines are seen."""
    shard = written(tmp_path / "trail", 20, is_ended=False)
    count = "SELECT count(*) AS n FROM records WHERE kind = 'decision'"
    assert rows(run("trail", count, "--json")) == [{"n": 20}]
    files = {path.stem: path.stat().st_mtime_ns for path in (tmp_path / "trail" / FOLDER).rglob("*.parquet")}
    assert set(files) == {segment.name for segment in segments_of(shard)[:-1]}
    with segments_of(shard)[-1].lines.open("ab") as file:
        file.write(record(20).replace(b'"outcome"', b'"x":{},"outcome"')[:-20])
    assert rows(run("trail", count, "--json", "--no-verify")) == [{"n": 20}]
    written(tmp_path / "trail", 5)
    assert rows(run("trail", count, "--json", "--no-verify")) == [{"n": 25}]
    again = {
        path.stem: path.stat().st_mtime_ns for path in (tmp_path / "trail" / FOLDER / shard.name).rglob("*.parquet")
    }
    assert again == files


def test_every_record_is_a_row_with_its_place(run: Run, trail: Path) -> None:
    found = rows(run(str(trail), "SELECT shard, sequence, record FROM records ORDER BY sequence", "--json"))
    assert [each["sequence"] for each in found] == list(range(len(found)))
    assert len(found) > len(list(GOLDEN.glob("*.json")))
    assert all(json.loads(each["record"])["iamGuard"]["sequence"] == each["sequence"] for each in found)


def test_table_output(run: Run, trail: Path) -> None:
    result = run(str(trail), "SELECT action, outcome FROM records WHERE reason = 'ExplicitDenySCP'")
    assert result.output.splitlines() == ["action          outcome", "docs:ExportAll  ExplicitlyDenied"]


def test_damaged_segment_is_not_compacted(run: Run, tmp_path: Path) -> None:
    shard = written(tmp_path / "trail", 20)
    segment = segments_of(shard)[1]
    segment.lines.write_bytes(segment.lines.read_bytes().replace(b"Allowed", b"Denied!", 1))
    result = run("trail", "--denied")
    assert result.exit_code == 2
    assert "MODIFIED" in result.output
    assert not list((tmp_path / "trail").rglob("*.parquet"))


def test_dropped_records_leave_no_copy(run: Run, tmp_path: Path) -> None:
    trail = tmp_path / "trail"
    shard = written(trail, 20)
    assert len(rows(run("trail", "SELECT event_id FROM records", "--json"))) > 20
    writer = writer_in(trail)
    assert drop_segments(trail, writer, datetime(2100, 1, 1, tzinfo=UTC))
    writer.close()
    assert rows(run("trail", "SELECT event_id FROM records WHERE kind = 'decision'", "--json")) == []
    assert not list((trail / FOLDER / shard.name).iterdir())


def test_query_refuses_invalid_input(run: Run, trail: Path) -> None:
    for arguments in (
        (str(trail),),
        (str(trail), "SELECT 1", "--denied"),
        (str(trail), "SELECT nothing FROM records"),
        (str(trail), "no SQL"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2, arguments
        assert "Traceback" not in result.output


def test_empty_trail_has_no_rows(run: Run, tmp_path: Path) -> None:
    (tmp_path / "trail").mkdir()
    assert rows(run("trail", "SELECT * FROM records", "--json")) == []
    assert shards_of(tmp_path / "trail") == []
