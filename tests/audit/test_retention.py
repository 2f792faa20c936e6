"""Retention: what is dropped, what keeps a segment that is old, who does it when. Its proofs are in `test_proof`."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from iam_guard.audit import sweeping
from iam_guard.audit.classes import ADMIN, WRITE
from iam_guard.audit.offsets import FOLDER
from iam_guard.audit.opening import retention_rule
from iam_guard.audit.pipeline import Pipeline
from iam_guard.audit.retention import HOLD, RetentionRule, Sweep, drop_segments
from iam_guard.audit.scribe import TrailPlace
from iam_guard.audit.segments import SegmentLimits, SegmentWriter
from iam_guard.audit.shard import COLUMNS_FOLDER, segments_of, shards_of
from iam_guard.audit.subscription import AuditReader, Offset
from iam_guard.errors import ConfigurationError
from iam_guard.settings import load
from tests.audit.pipelines import ROOT, eventually, facts_in, ids_in
from tests.audit.trails import KEY, NOON, RING, SMALL, lines_of, only_shard, record, verdicts, writer_in

DAY = timedelta(days=1)
RULE = RetentionRule(30 * DAY, 7 * DAY)
LATER = NOON + 31 * DAY
"""All that `record` makes is older than the rule, and within its grace."""
MUCH_LATER = NOON + 40 * DAY


def swept(trail: Path, now: datetime = LATER, rule: RetentionRule = RULE) -> Sweep:
    writer = writer_in(trail)
    sweep = Sweep(trail, rule, lambda: writer, now=now)
    sweep.run()
    writer.close()
    return sweep


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    old_shard(tmp_path / "trail", 20)
    return tmp_path / "trail"


@pytest.fixture
def shard(trail: Path) -> Path:
    return only_shard(trail)


_MOMENTS = count()


def moment() -> datetime:
    """Give noon, and another microsecond each time: a shard is named after its beginning."""
    return NOON + timedelta(microseconds=next(_MOMENTS))


def old_shard(trail: Path, records: int) -> Path:
    """Write a shard all of which is of one noon, its name too, in several segments."""
    writer = SegmentWriter(trail, KEY, service="docs", limits=SMALL, clock=moment, timer=lambda: 0.0)
    for number in range(records):
        writer.append([record(number)])
        writer.commit()
    name = str(writer.shard)
    writer.close()
    return trail / name


def read_by(trail: Path, group: str, records: int) -> None:
    """Let a group acknowledge so many records."""
    with AuditReader(trail, ring=RING).subscribe(group, follow=False, batch=1) as subscription:
        offsets: list[Offset] = [offset for _, (offset, _) in zip(range(records), subscription, strict=False)]
        subscription.ack(*offsets)


# --- what is dropped, what stays -------------------------------------------------------------------------------------


def test_what_is_too_old_goes_and_the_trail_verifies(trail: Path, shard: Path) -> None:
    """All segments of a shard that has ended; the lines of the record about it are of today."""
    sizes = [each.lines.stat().st_size for each in segments_of(shard)]
    sweep = swept(trail)
    assert [each.segment for each in sweep.dropped] == segments_of(shard)
    assert [each.size for each in sweep.dropped] == sizes
    assert sweep.kept == []
    assert lines_of(shard) == []
    assert verdicts(trail) == []


def test_what_is_not_too_old_stays(trail: Path, shard: Path) -> None:
    """The lines of the trail itself are of today, and so is the last one."""
    sweep = swept(trail, now=NOON + 29 * DAY)
    assert (sweep.dropped, sweep.kept) == ([], [])
    assert len(lines_of(shard)) > 20


def test_looking_for_it_changes_nothing(trail: Path) -> None:
    before = {path: path.read_bytes() for path in trail.rglob("*") if path.is_file()}
    sweep = Sweep(trail, RULE, None, now=LATER)
    sweep.run()
    assert sweep.dropped
    assert {path: path.read_bytes() for path in trail.rglob("*") if path.is_file()} == before


def test_copies_for_questions_go_with_the_lines(trail: Path, shard: Path) -> None:
    """What a person has a right to have erased is not left beside."""
    copies = trail / COLUMNS_FOLDER / shard.name
    copies.mkdir(parents=True)
    for segment in segments_of(shard):
        (copies / f"{segment.name}.parquet").touch()
    swept(trail)
    assert list(copies.iterdir()) == []


def test_a_span_beyond_all_time_drops_nothing(trail: Path) -> None:
    assert swept(trail, rule=RetentionRule(timedelta(days=999_999_999))).dropped == []


# --- a legal hold ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda path: path.touch(), lambda path: path.symlink_to("nowhere"), Path.mkdir])
def test_a_hold_on_the_trail_keeps_everything(trail: Path, make: Callable[[Path], None]) -> None:
    """Whatever it is; and it says so."""
    make(trail / HOLD)
    sweep = swept(trail)
    assert sweep.dropped == []
    assert {each.why for each in sweep.kept} == {f"`{trail / HOLD}` holds it"}
    (trail / HOLD).rmdir() if (trail / HOLD).is_dir() else (trail / HOLD).unlink()
    assert swept(trail).dropped


def test_a_hold_on_a_shard_keeps_that_shard_and_is_no_finding(trail: Path, shard: Path) -> None:
    other = old_shard(trail, 5)
    (shard / HOLD).write_text("case 4711")
    sweep = swept(trail)
    assert {each.segment.folder for each in sweep.kept} == {shard}
    assert {each.segment.folder for each in sweep.dropped} == {other}
    assert verdicts(trail) == []


# --- consumers -------------------------------------------------------------------------------------------------------


def test_retention_waits_for_a_group_that_is_behind_and_no_longer_than_its_grace(trail: Path, shard: Path) -> None:
    """What the group has read goes; the rest goes a week later, unread, and the log says so."""
    second = segments_of(shard)[1]
    read_by(trail, "alerts", second.first + 1)
    sweep = swept(trail)
    assert [each.segment.first for each in sweep.dropped] == [0]
    assert {each.why for each in sweep.kept} == {"the group `alerts` has not read it"}
    assert not swept(trail, now=MUCH_LATER).kept
    assert verdicts(trail) == []


def test_what_goes_unread_is_told(trail: Path, caplog: pytest.LogCaptureFixture) -> None:
    read_by(trail, "alerts", 1)
    swept(trail, now=MUCH_LATER)
    assert "the group `alerts` has not read it" in caplog.text


def test_a_group_that_has_read_everything_holds_nothing(trail: Path) -> None:
    with AuditReader(trail, ring=RING).subscribe("alerts", follow=False) as subscription:
        subscription.ack(*(offset for offset, _ in subscription))
    assert swept(trail).kept == []


def test_a_shard_that_a_group_has_not_seen_is_unread(trail: Path) -> None:
    """It begins with its first record."""
    with AuditReader(trail, ring=RING).subscribe("alerts", follow=False) as subscription:
        subscription.ack(*(offset for offset, _ in subscription))
    new = old_shard(trail, 5)
    assert {each.segment.folder for each in swept(trail).kept} == {new}


def test_a_group_whose_offsets_cannot_be_read_is_behind(trail: Path) -> None:
    (trail / FOLDER).mkdir()
    (trail / FOLDER / "alerts.json").write_text("{")
    assert swept(trail).dropped == []


# --- one at a time ---------------------------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from iam_guard.audit.retention import Sweep
from tests.audit.test_retention import LATER, RULE
from tests.audit.trails import writer_in
steps = Sweep(Path(sys.argv[1]), RULE, lambda: writer_in(Path(sys.argv[1])), now=LATER).steps()
next(steps)
print(flush=True)
sys.stdin.read()
"""


def test_one_process_at_a_time_drops(trail: Path) -> None:
    """The lock ends with its process, however that ends."""
    command = [sys.executable, "-c", HOLDER, str(trail)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        writer = writer_in(trail)
        with pytest.raises(ConfigurationError, match="another process drops"):
            drop_segments(trail, writer, LATER)
        process.kill()
        process.wait()
        assert drop_segments(trail, writer, LATER)
        writer.close()
    assert verdicts(trail) == []


def test_a_kill_between_the_record_and_the_deed_is_made_good(trail: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines are there and said to be dropped; the next sweep drops them."""

    def killed(path: Path, missing_ok: bool = False) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        writer = writer_in(trail)
        with pytest.raises(KeyboardInterrupt):
            Sweep(trail, RULE, lambda: writer, now=LATER).run()
    writer.close()
    assert verdicts(trail) == []
    assert swept(trail).dropped
    assert verdicts(trail) == []


def test_nothing_goes_of_which_the_record_is_not_on_the_disk(trail: Path, shard: Path) -> None:
    writer = writer_in(trail)
    writer.checkpoint = lambda: (_ for _ in ()).throw(OSError(28, os.strerror(28)))  # type: ignore[method-assign]
    with pytest.raises(OSError, match="No space"):
        Sweep(trail, RULE, lambda: writer, now=LATER).run()
    writer.abandon()
    assert all(each.lines.exists() for each in segments_of(shard))


# --- by the writer of a process --------------------------------------------------------------------------------------


def pipeline(trail: Path, rule: RetentionRule | None) -> Pipeline:
    return Pipeline(TrailPlace(trail, KEY, RING, service="docs", retention=rule), durable_wait=30.0)


@pytest.fixture
def running(trail: Path) -> Pipeline:
    return pipeline(trail, RetentionRule(timedelta(hours=1), timedelta(0)))


def test_the_writer_drops_at_its_start_between_batches(
    trail: Path, shard: Path, running: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Records go on meanwhile, and what is dropped is noted in the shard of this process."""
    monkeypatch.setattr(sweeping, "STEP", 0.0)
    caplog.set_level(logging.INFO, "iam_guard.audit")
    old = segments_of(shard)
    for number in range(100, 120):
        assert running.put(record(number), ADMIN)
    eventually(lambda: not any(each.lines.exists() for each in old) or not running.put(record(120), WRITE))
    running.close()
    assert [f"id-{each}" for each in range(100, 120)] == [each for each in ids_in(trail) if len(each) == 6][:20]
    assert "id-0" not in ids_in(trail)
    dropped = [each["iamGuard"]["dropped"] for each in facts_in(trail) if each["eventName"] == "AuditRetention"]
    assert {each["shard"] for each in dropped} == {shard.name}
    assert "old segments of the audit trail are dropped" in caplog.text
    assert verdicts(trail) == []


def test_what_is_kept_is_told_once_a_sweep(
    trail: Path, running: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sweeping, "STEP", 0.0)
    (trail / HOLD).touch()
    running.put(record(100), ADMIN)
    eventually(lambda: "holds it" in caplog.text)
    running.close()
    assert caplog.text.count("holds it") == 1


def test_a_sweep_that_fails_harms_no_record(
    trail: Path, running: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(folder: Path) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr("iam_guard.audit.retention.read_groups", fail)
    running.put(record(100), ADMIN)
    eventually(lambda: "cannot be dropped" in caplog.text)
    assert running.put(record(101), ADMIN)
    running.close()
    assert ids_in(trail)[-2:] == ["id-100", "id-101"]
    assert running.usage().dropped == 0


def test_a_sweep_comes_every_hour(trail: Path) -> None:
    """And its steps are apart, so that requests have the processor in between."""
    now = 0.0
    writer = writer_in(trail)
    one = sweeping.Sweeping(trail, RetentionRule(timedelta(days=9_999)), lambda: writer, lambda: now)
    waits = []
    for _ in range(50):
        waits.append(round(one.due_in() or 0.0, 6))
        now += one.due_in() or 0.0
        one.step()
    assert set(waits) == {0.0, sweeping.STEP, sweeping.EVERY}
    assert waits.count(sweeping.EVERY) > 5


def test_without_a_rule_nothing_is_ever_due(trail: Path) -> None:
    one = sweeping.Sweeping(trail, None, lambda: writer_in(trail))
    assert one.due_in() is None
    one.step()
    assert not (trail / ".retention").exists()


# --- settings --------------------------------------------------------------------------------------------------------


def test_the_settings_say_how_long() -> None:
    assert retention_rule(load({}, {})) is None
    rule = retention_rule(load({}, {"IAM_GUARD_AUDIT_RETENTION_DAYS": "400"}))
    assert rule == RetentionRule(timedelta(days=400), timedelta(days=7))
    assert retention_rule(load({"audit_retention_days": 1, "audit_retention_grace_days": 0}, {})) == RetentionRule(
        timedelta(days=1), timedelta(0)
    )
    with pytest.raises(ConfigurationError, match="fewer days"):
        retention_rule(load({"audit_retention_days": 10**12}, {}))


def test_small_segments_are_what_the_trail_is_made_of(shard: Path) -> None:
    assert len(segments_of(shard)) > 2
    assert SegmentLimits().segment_seconds <= sweeping.EVERY
    assert shards_of(shard.parent) == [shard]


def test_what_is_said_again_has_an_id_of_its_own(trail: Path) -> None:
    """A consumer that knows records by their ids would take all of it for one."""
    dropped = len(swept(trail).dropped)
    assert dropped > 1
    swept(trail, now=LATER + 40 * DAY)
    said = [each["eventID"] for each in facts_in(trail) if each["iamGuard"]["kind"] == "audit_retention"]
    assert len(said) > dropped
    assert len(set(said)) == len(said)
    assert verdicts(trail) == []
