"""`iam-guard audit tail` and `export`: output, refusals, and following a live trail."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from iam_guard.audit.consumer.record_filter import record_filter
from iam_guard.audit.verify.shard import segments_of, shards_of
from iam_guard.audit.writer.segment_writer import SegmentWriter
from iam_guard.cli import main
from iam_guard.cli.audit.record_view import record_line
from iam_guard.errors import InvalidInput
from tests.audit.trails import KEY, record, writer_in, written
from tests.tables import table

Run = Callable[..., Result]
VKEY = str(KEY.verifier)
GOLDEN = Path(__file__).parents[1] / "audit" / "golden"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, ["audit", *arguments])


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """Return a trail of the golden records."""
    writer = SegmentWriter(tmp_path / "trail", KEY, service="docs")
    for path in sorted(GOLDEN.glob("*.json")):
        made = json.loads(path.read_text())
        made["iamGuard"] = made.pop("iamGuard")
        writer.append([json.dumps(made, separators=(",", ":")).encode() + b"\n"])
    writer.close()
    return tmp_path / "trail"


def test_tail_shows_denials_with_reason(run: Run, trail: Path) -> None:
    result = run("tail", str(trail), "--key", VKEY, "--filter", "outcome=ExplicitlyDenied")
    assert result.exit_code == 0, result.output
    assert result.output.strip() == (
        "2026-05-04T03:02:01Z ExplicitlyDenied  arn:aws:iam::111122223333:user/staff/alice docs:ExportAll "
        "arn:aws:docs:us-east-1:111122223333:document/7 ExplicitDenySCP from 203.0.113.7"
    )


def test_tail_json_prints_records(run: Run, trail: Path) -> None:
    result = run("tail", str(trail), "--key", VKEY, "--json", "--filter", "kind!=audit_*", "--filter", "kind!=error")
    found = [json.loads(line) for line in result.output.splitlines()]
    assert len(found) == len(list(GOLDEN.glob("*.json"))) - 2
    assert all("sequence" in each["iamGuard"] for each in found)


@pytest.mark.parametrize(("form", "mark"), [("--ocsf", "class_uid"), ("--otel", "resourceLogs")])
def test_export_writes_one_line_per_record(run: Run, trail: Path, form: str, mark: str) -> None:
    result = run("export", str(trail), form, "--key", VKEY)
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in result.output.splitlines()]
    assert len(found) == len(list(GOLDEN.glob("*.json"))) + 2  # the opening of the segment, and the end
    assert all(mark in each for each in found)


def test_unsigned_records_need_no_verify(run: Run, tmp_path: Path) -> None:
    written(tmp_path / "trail", 6, is_ended=False, unsigned=2)
    arguments = ("tail", "trail", "--json", "--filter", "eventName=GetDocument")
    assert len(run(*arguments, "--key", VKEY).output.splitlines()) == 4
    assert len(run(*arguments, "--no-verify").output.splitlines()) == 6


def test_damage_ends_command_with_verdict(run: Run, tmp_path: Path) -> None:
    shard = written(tmp_path / "trail", 20)
    segment = segments_of(shard)[1]
    segment.lines.write_bytes(segment.lines.read_bytes().replace(b"Allowed", b"Denied!", 1))
    result = run("export", "trail", "--ocsf", "--key", VKEY)
    assert result.exit_code == 2
    assert "MODIFIED: a line is not what was signed" in result.output


def test_consumers_refuse_invalid_input(run: Run, trail: Path) -> None:
    for arguments in (
        ("tail", str(trail), "--key", VKEY, "--filter", "outcome"),
        ("tail", str(trail), "--key", VKEY, "--since", "yesterday"),
        ("tail", str(trail)),  # no key
        ("export", str(trail), "--key", VKEY),  # no form
        ("tail", "nowhere", "--key", VKEY),
    ):
        assert run(*arguments).exit_code == 2, arguments


def test_since_starts_at_time(run: Run, trail: Path) -> None:
    assert run("tail", str(trail), "--key", VKEY, "--since", "2100-01-01T00:00:00Z").output == ""


def with_ctrl_c() -> None:
    """Restore the handling of Ctrl-C in a child process, since shells let background processes ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_tail_follows_live_trail_until_ctrl_c(tmp_path: Path) -> None:
    trail = tmp_path / "trail"
    writer = writer_in(trail)
    writer.append([record(0)])
    writer.checkpoint()
    arguments = [sys.executable, "-m", "iam_guard", "audit", "tail", str(trail), "-f", "--json", "--key", VKEY]
    process = subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, preexec_fn=with_ctrl_c
    )
    assert process.stdout is not None
    found, until, number = b"", time.monotonic() + 60, 1
    while b"id-" not in found and time.monotonic() < until:  # whatever comes once it listens
        writer.append([record(number)])
        writer.checkpoint()
        number += 1
        if select.select([process.stdout], [], [], 0.3)[0]:
            found += os.read(process.stdout.fileno(), 65536)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert b'"id-0"' not in found
    assert json.loads(found.splitlines()[0])["eventVersion"] == "1.11"
    assert (process.returncode, errors) == (0, b"")
    writer.close()


@table(
    ("name", "word", "style", "code"),
    [
        ("policy-changed", "policy_change", "green", ""),
        ("session-issued", "session_issue", "green", ""),
        ("call-failed", "admin_call", "red", "EntityAlreadyExists"),
        ("authentication-refused", "Refused", "red", "InvalidClientTokenId"),
    ],
)
def test_result_of_call_has_its_colour(name: str, word: str, style: str, code: str) -> None:
    line = record_line(json.loads((GOLDEN / f"{name}.json").read_text()))
    assert word in line.plain
    assert code in line.plain
    assert style in [str(span.style) for span in line.spans]


@table(("name", "word"), [("permissions-asked", "permissions_asked"), ("list-filtered", "list_filtered")])
def test_query_and_filtered_list_are_not_shown_as_refusal(name: str, word: str) -> None:
    line = record_line(json.loads((GOLDEN / f"{name}.json").read_text()))
    assert word in line.plain
    assert "dim" in [str(span.style) for span in line.spans if line.plain[span.start : span.end].strip() == word]


def test_control_characters_are_replaced() -> None:
    made = json.loads((GOLDEN / "user-allowed.json").read_text())
    made["userIdentity"]["arn"] = "arn:\x1b[31m\r\n\u202egnp"
    line = record_line(made).plain
    assert line.isprintable()
    assert "arn:�[31m��" in line


@table(
    ("text", "is_wanted"),
    [
        ("action=docs:Get*", True), ("action!=docs:Get*", False), ("principal=*:user/staff/alice", True),
        ("userIdentity.type=IAMUser", True), ("readOnly=true", True), ("resource=*/7", True),
        ("resource=*/[0-9]", False),
        ("nothing.there=", True), ("outcome=allowed", False), ("source=203.0.113.?", True), ("iamGuard.epoch=42", True),
    ],
)  # fmt: skip
def test_filters_match_records(text: str, is_wanted: bool) -> None:
    assert record_filter([text])(json.loads((GOLDEN / "user-allowed.json").read_text())) is is_wanted


@table("text", ["", "=", "outcome", "=x", "a b=c", "outcome==Allowed x", "9=1"])
def test_invalid_filter_is_refused(text: str) -> None:
    if text == "outcome==Allowed x":  # a pattern may have any character
        assert not record_filter([text])({})
        return
    with pytest.raises(InvalidInput):
        record_filter([text])


def test_consumers_do_not_change_shards(run: Run, trail: Path) -> None:
    """Reading leaves no files behind."""
    before = sorted(path for path in trail.rglob("*"))
    run("tail", str(trail), "--key", VKEY)
    assert sorted(path for path in trail.rglob("*")) == before
    assert len(shards_of(trail)) == 1
