"""`iam-guard audit drop`: old segments, kept segments, exit codes (0 done, 1 something is kept, 2 error)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from iam_guard.audit.verify.shard import segments_of, shards_of
from iam_guard.cli import main
from tests.audit.trails import KEY, lines_of, only_shard, record, verdicts, writer_in

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IAM_GUARD_AUDIT_KEY_FILE", "key")
    (tmp_path / "key").write_text(f"{KEY.secret_text()}\n")
    (tmp_path / "key").chmod(0o600)
    return lambda *arguments: CliRunner().invoke(main, ["audit", "drop", "trail", *arguments])


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    """Return a trail with an old shard, whose records are of 2020."""
    writer = writer_in(tmp_path / "trail", clock=lambda: datetime.now(UTC))  # that of the command
    for number in range(20):
        writer.append([record(number).replace(b"2026-11-24", b"2020-01-01")])
        writer.commit()
    writer.close()
    return tmp_path / "trail"


def test_old_segments_are_dropped(run: Run, trail: Path) -> None:
    """The last segment has the end of the shard, which is of today."""
    shard = only_shard(trail)
    count = len(segments_of(shard))
    result = run("--older-than", "400d")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith(f"dropped: {count - 1} segments, ")
    assert [segment.lines.exists() for segment in segments_of(shard)] == [False] * (count - 1) + [True]
    assert verdicts(trail) == []
    assert run("--older-than", "400d").output.startswith("dropped: 0 segments")
    assert len(shards_of(trail)) == 2, "where nothing is dropped, nothing is written"


def test_dry_run_reports_and_drops_nothing(run: Run, trail: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IAM_GUARD_AUDIT_KEY_FILE")
    before = lines_of(only_shard(trail))
    result = run("--older-than", "400d", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "would be dropped: " in result.output
    answer = json.loads(run("--older-than", "9600h", "--dry-run", "--json").output)
    assert answer["dry_run"] is True
    assert len(answer["dropped"]) == len(result.output.splitlines()) - 1
    assert lines_of(only_shard(trail)) == before


def test_kept_segments_are_reported(run: Run, trail: Path) -> None:
    (trail / "HOLD").touch()
    result = run("--older-than", "57w")
    assert result.exit_code == 1
    assert "legal hold by" in result.output
    assert json.loads(run("--older-than", "57w", "--json").output)["dropped"] == []


def test_lagging_group_keeps_segments(run: Run, trail: Path) -> None:
    """For as long as the setting says, unless overridden."""
    offsets = trail / ".consumers"
    offsets.mkdir()
    (offsets / "alerts.json").write_text('{"format": 1, "shards": {}}')
    days = (2**31) // 86_400
    assert run("--older-than", f"{days}d").exit_code == 0
    assert run("--older-than", "400d", "--dry-run").exit_code == 0, "beyond the grace"
    older = "2100d"
    result = CliRunner().invoke(
        main, ["audit", "drop", "trail", "--older-than", older], env={"IAM_GUARD_AUDIT_RETENTION_GRACE_DAYS": "99999"}
    )
    assert result.exit_code == 1, result.output
    assert "consumer group `alerts` has not read it" in result.output
    assert run("--older-than", older, "--even-unread").exit_code == 0


@pytest.mark.parametrize("age", ["400", "d", "0d", "-1d", "1y", "1.5d", "9999999d"])
def test_invalid_age_is_refused(run: Run, trail: Path, age: str) -> None:
    result = run("--older-than", age)
    assert result.exit_code == 2
    assert "expected an age such as" in result.output


def test_missing_trail_or_key_is_an_error(run: Run, tmp_path: Path, trail: Path) -> None:
    (tmp_path / "key").unlink()
    assert run("--older-than", "400d").exit_code == 2
    for shard in shards_of(trail):
        shard.rename(tmp_path / shard.name)
    result = run("--older-than", "400d", "--dry-run")
    assert result.exit_code == 2
    assert "found no shard" in result.output


def test_shard_of_killed_process_is_dropped(run: Run, tmp_path: Path) -> None:
    """The shard is ended first, with the key of the file."""
    writer = writer_in(tmp_path / "trail")
    writer.append([record(1).replace(b"2026-11-24", b"2020-01-01")] * 3)
    writer.checkpoint()
    writer.abandon()
    result = run("--older-than", "400d")
    assert result.exit_code == 0, result.output
    assert not (only_shard(tmp_path / "trail") / "lock").exists()
