"""Retention: what is dropped, what keeps an old segment, and the schedule. Its proofs are in `test_proof`."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest

from iam_guard.analysis.activity import aggregate_activity
from iam_guard.audit.append_file import AppendFile
from iam_guard.audit.consumer.offsets import FOLDER
from iam_guard.audit.consumer.subscription import AuditReader, Offset
from iam_guard.audit.open_trail import retention_rule
from iam_guard.audit.record.record import Stamp
from iam_guard.audit.record.record_classes import ADMIN, WRITE
from iam_guard.audit.verify.shard import COLUMNS_FOLDER, segments_of, shards_of, whole_lines
from iam_guard.audit.verify.trail_events import retention_line
from iam_guard.audit.verify.trail_verifier import verify_trail
from iam_guard.audit.verify.verdicts import Verdict
from iam_guard.audit.writer import retention_schedule
from iam_guard.audit.writer.disk_reserve import LOCK_FILE_RESERVE_BYTES
from iam_guard.audit.writer.pipeline import Pipeline
from iam_guard.audit.writer.retention import HOLD, SWEEP_LOCK, RetentionRule, Sweep, drop_segments
from iam_guard.audit.writer.segment_writer import SegmentLimits, SegmentWriter
from iam_guard.audit.writer.trail_writer import TrailConfig
from iam_guard.errors import ConfigurationError, TrailDamaged
from iam_guard.settings import load_settings
from tests.audit.pipelines import ROOT, eventually, facts_in, ids_in
from tests.audit.trails import (
    KEY,
    NOON,
    RING,
    SMALL,
    clock_from,
    lines_of,
    moment,
    only_shard,
    record,
    verdicts,
    writer_in,
)
from tests.audit.writer.test_segment_writer import small_disk

DAY = timedelta(days=1)
RULE = RetentionRule(30 * DAY, 7 * DAY)
LATER = NOON + 31 * DAY
"""All records are older than the rule's `keep`, but within its grace."""
MUCH_LATER = NOON + 40 * DAY


def swept(trail: Path, now: datetime = LATER, rule: RetentionRule = RULE) -> Sweep:
    """Sweep at `now`, with a writer of the same time."""
    writer = writer_in(trail, clock=clock_from(now))
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


def old_shard(trail: Path, records: int) -> Path:
    """Write an ended shard of several segments in which everything has the same old time."""
    writer = SegmentWriter(trail, KEY, service="docs", limits=SMALL, clock=moment, timer=lambda: 0.0)
    for number in range(records):
        writer.append([record(number)])
        writer.commit()
    name = str(writer.shard)
    writer.close()
    return trail / name


def read_by(trail: Path, group: str, records: int) -> None:
    """Acknowledge so many records for a consumer group."""
    with AuditReader(trail, ring=RING).subscribe(group, follow=False, batch=1) as subscription:
        offsets: list[Offset] = [offset for _, (offset, _) in zip(range(records), subscription, strict=False)]
        subscription.ack(*offsets)


# --- age ------------------------------------------------------------------------------------------------------------


def test_old_segments_are_dropped_and_the_trail_verifies(trail: Path, shard: Path) -> None:
    """All segments of an ended shard."""
    sizes = [segment.lines.stat().st_size for segment in segments_of(shard)]
    sweep = swept(trail)
    assert [dropped.segment for dropped in sweep.dropped] == segments_of(shard)
    assert [dropped.size for dropped in sweep.dropped] == sizes
    assert sweep.kept == []
    assert lines_of(shard) == []
    assert verdicts(trail) == []


def test_recent_segments_are_kept(trail: Path, shard: Path) -> None:
    sweep = swept(trail, now=NOON + 29 * DAY)
    assert (sweep.dropped, sweep.kept) == ([], [])
    assert len(lines_of(shard)) > 20


def test_dry_run_changes_nothing(trail: Path) -> None:
    before = {path: path.read_bytes() for path in trail.rglob("*") if path.is_file()}
    sweep = Sweep(trail, RULE, None, now=LATER)
    sweep.run()
    assert sweep.dropped
    assert {path: path.read_bytes() for path in trail.rglob("*") if path.is_file()} == before


def test_compacted_copies_are_deleted_with_the_lines(trail: Path, shard: Path) -> None:
    """Erased personal data must not remain in them."""
    copies = trail / COLUMNS_FOLDER / shard.name
    copies.mkdir(parents=True)
    for segment in segments_of(shard):
        (copies / f"{segment.name}.parquet").touch()
    swept(trail)
    assert list(copies.iterdir()) == []


def test_keep_longer_than_all_time_drops_nothing(trail: Path) -> None:
    assert swept(trail, rule=RetentionRule(timedelta(days=999_999_999))).dropped == []


# --- a legal hold ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda path: path.touch(), lambda path: path.symlink_to("nowhere"), Path.mkdir])
def test_legal_hold_on_the_trail_keeps_everything(trail: Path, make: Callable[[Path], None]) -> None:
    """With any kind of file, and the reason is reported."""
    make(trail / HOLD)
    sweep = swept(trail)
    assert sweep.dropped == []
    assert {kept.why for kept in sweep.kept} == {f"legal hold by `{trail / HOLD}`"}
    (trail / HOLD).rmdir() if (trail / HOLD).is_dir() else (trail / HOLD).unlink()
    assert swept(trail).dropped


def test_legal_hold_on_a_shard_keeps_only_that_shard(trail: Path, shard: Path) -> None:
    other = old_shard(trail, 5)
    (shard / HOLD).write_text("case 4711")
    sweep = swept(trail)
    assert {kept.segment.folder for kept in sweep.kept} == {shard}
    assert {dropped.segment.folder for dropped in sweep.dropped} == {other}
    assert verdicts(trail) == []


# --- consumers -------------------------------------------------------------------------------------------------------


def test_unread_segment_is_kept_until_the_grace_is_over(trail: Path, shard: Path) -> None:
    """Segments that the group has read are dropped; the others a week later, with a log line."""
    second = segments_of(shard)[1]
    read_by(trail, "alerts", second.first + 1)
    sweep = swept(trail)
    assert [dropped.segment.first for dropped in sweep.dropped] == [0]
    assert {kept.why for kept in sweep.kept} == {"consumer group `alerts` has not read it"}
    assert not swept(trail, now=MUCH_LATER).kept
    assert verdicts(trail) == []


def test_dropping_unread_segment_is_logged(trail: Path, caplog: pytest.LogCaptureFixture) -> None:
    read_by(trail, "alerts", 1)
    swept(trail, now=MUCH_LATER)
    assert "dropped unread by the consumer group `alerts`" in caplog.text


def test_group_that_has_read_everything_keeps_nothing(trail: Path) -> None:
    with AuditReader(trail, ring=RING).subscribe("alerts", follow=False) as subscription:
        subscription.ack(*(offset for offset, _ in subscription))
    assert swept(trail).kept == []


def test_shard_unknown_to_a_group_is_unread(trail: Path) -> None:
    """The group has to start with its first record."""
    with AuditReader(trail, ring=RING).subscribe("alerts", follow=False) as subscription:
        subscription.ack(*(offset for offset, _ in subscription))
    new = old_shard(trail, 5)
    assert {kept.segment.folder for kept in swept(trail).kept} == {new}


def test_group_with_unreadable_offsets_keeps_segments(trail: Path) -> None:
    (trail / FOLDER).mkdir()
    (trail / FOLDER / "alerts.json").write_text("{")
    assert swept(trail).dropped == []


# --- concurrency -----------------------------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from iam_guard.audit.writer.retention import Sweep
from tests.audit.writer.test_retention import LATER, RULE
from tests.audit.trails import writer_in
steps = Sweep(Path(sys.argv[1]), RULE, lambda: writer_in(Path(sys.argv[1])), now=LATER).steps()
next(steps)
print(flush=True)
sys.stdin.read()
"""


def test_only_one_process_sweeps_at_a_time(trail: Path) -> None:
    """The lock ends with its process, even if killed."""
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


def test_kill_between_declaration_and_deletion_is_repaired(trail: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines still exist but are declared as dropped; the next sweep drops them."""

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


def test_failed_declaration_deletes_nothing(trail: Path, shard: Path) -> None:
    writer = writer_in(trail)
    writer.declare = lambda line: (_ for _ in ()).throw(OSError(28, os.strerror(28)))  # type: ignore[method-assign]
    with pytest.raises(OSError, match="No space"):
        Sweep(trail, RULE, lambda: writer, now=LATER).run()
    writer.abandon()
    assert all(segment.lines.exists() for segment in segments_of(shard))


# --- one declaration per drop -----------------------------------------------------------------------------------------


def swept_then(trail: Path) -> Sweep:
    """Sweep with a writer of the same old time, so that its declarations are old for the next sweep."""
    writer = SegmentWriter(trail, KEY, service="docs", limits=SMALL, clock=moment)
    sweep = Sweep(trail, RULE, lambda: writer, now=LATER)
    sweep.run()
    writer.close()
    return sweep


def declared_in(shard: Path) -> list[tuple[str, int]]:
    facts = [json.loads(line)["iamGuard"] for line in lines_of(shard)]
    return [(fact["dropped"]["shard"], fact["dropped"]["first"]) for fact in facts if fact["kind"] == "audit_retention"]


@pytest.fixture
def dropped_again(trail: Path) -> list[int]:
    """Sweep repeatedly, dropping the previous declarations; return how many records each sweep wrote."""
    counts = []
    for _ in range(6):
        before = shards_of(trail)
        sweep = swept_then(trail)
        [new] = set(shards_of(trail)) - set(before)
        assert declared_in(new) == [(dropped.segment.folder.name, dropped.segment.first) for dropped in sweep.dropped]
        counts.append(len(sweep.dropped))
    return counts


def test_drop_is_declared_only_once_over_many_sweeps(trail: Path, shard: Path, dropped_again: list[int]) -> None:
    """The declaration is kept when its segment is dropped, and the tree proves it."""
    assert dropped_again[0] == len(segments_of(shard))
    assert max(dropped_again[2:]) <= 2, "only what a sweep itself wrote"
    report = verify_trail(trail, RING)
    assert report.findings == ()
    assert sum(checked.dropped for checked in report.shards) > 20
    kept = [line for path in trail.rglob("*.retained") for line in path.read_bytes().splitlines()]
    assert len(kept) == sum(dropped_again[:-1])
    assert len({json.loads(line)["eventID"] for line in kept}) == len(kept)


def test_consumer_starts_after_dropped_segments(trail: Path, dropped_again: list[int]) -> None:
    with AuditReader(trail, ring=RING).subscribe(follow=False) as subscription:
        assert [record["iamGuard"]["kind"] for _, record in subscription][-1] == "audit_end"


def test_dropped_segments_make_activity_incomplete(trail: Path, dropped_again: list[int]) -> None:
    """Even if the declaration was dropped too: its segment is later than the records it is about."""
    with AuditReader(trail, ring=RING).subscribe(follow=False) as subscription:
        records = [record for _, record in subscription]
    assert not aggregate_activity(records, "mailer.example.com").is_complete
    assert not aggregate_activity(records, "mailer.example.com", since=NOON).is_complete


def only_retained(trail: Path, shard: Path) -> Path:
    """Return the file of kept declarations about the shard."""
    [path] = [path for path in trail.rglob("*.retained") if shard.name.encode() in path.read_bytes()]
    return path


def test_lines_without_declaration_are_reported_missing(trail: Path, shard: Path, dropped_again: list[int]) -> None:
    only_retained(trail, shard).unlink()
    found = verify_trail(trail, RING).findings
    assert {(finding.verdict, finding.shard) for finding in found} == {
        (Verdict.MISSING, shard.name),
        (Verdict.TRUNCATED_TAIL, shard.name),
    }
    with pytest.raises(TrailDamaged, match="no record declares it"):
        AuditReader(trail, ring=RING).subscribe()


FORGERIES: dict[str, Callable[[bytes, str], bytes]] = {
    "another shard": lambda content, name: content.replace(name.encode(), name.encode()[::-1]),
    "no line of it": lambda content, _: content + retention_line(Stamp(NOON, "id"), "docs", 0, 7),
    "of another place": lambda content, _: content.replace(b'"sequence":1}', b'"sequence":2}', 1),
    "torn": lambda content, _: content[:-1],
    "twice in one": lambda content, _: content.replace(b"\n", b"", 1),
    "nothing": lambda content, _: content + b"\n",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_declaration_is_ignored_and_reported(
    trail: Path, shard: Path, dropped_again: list[int], name: str
) -> None:
    path = only_retained(trail, shard)
    changed = FORGERIES[name](path.read_bytes(), shard.name)
    assert changed != path.read_bytes()
    path.write_bytes(changed)
    found = verify_trail(trail, RING).findings
    assert (Verdict.MODIFIED, path.name) in {(finding.verdict, finding.file) for finding in found}
    assert {finding.verdict for finding in found if finding.shard == shard.name} <= {
        Verdict.MISSING,
        Verdict.TRUNCATED_TAIL,
    }


def test_trail_with_repeated_declarations_verifies(trail: Path, shard: Path) -> None:
    """As written by earlier versions, which repeated the declarations and kept no line of them."""
    sweep = swept_then(trail)
    [declaring] = [folder for folder in shards_of(trail) if folder != shard]
    writer = SegmentWriter(trail, KEY, service="docs", limits=SMALL, clock=moment)
    counts = {dropped.segment: dropped.lines for dropped in sweep.dropped}
    counts |= {segment: len(whole_lines(segment.lines.read_bytes())) for segment in segments_of(declaring)}
    for segment, lines in counts.items():
        stamp = Stamp(LATER, f"{segment.folder.name}-{segment.first}")
        writer.append([retention_line(stamp, segment.folder.name, segment.first, segment.first + lines - 1)])
    writer.close()
    for segment in segments_of(declaring):
        segment.lines.unlink()
    assert verdicts(trail) == []
    assert swept_then(trail).dropped
    assert verdicts(trail) == []
    assert swept_then(trail).dropped
    assert verdicts(trail) == []


@pytest.mark.parametrize("moment", ["unlink", "replace", "declare"])
def test_kill_at_any_step_leaves_a_verifiable_trail(trail: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """While a segment with declarations is dropped; the next sweep completes it."""
    swept_then(trail)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    writer = writer_in(trail)
    with monkeypatch.context() as patched:
        patched.setattr(SegmentWriter if moment == "declare" else Path, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            Sweep(trail, RULE, lambda: writer, now=LATER).run()
    writer.close()
    assert verdicts(trail) == []
    assert swept_then(trail).dropped
    assert verdicts(trail) == []


# --- full disk -------------------------------------------------------------------------------------------------------


def test_lock_file_reserves_disk_space(trail: Path) -> None:
    swept(trail)
    assert (trail / SWEEP_LOCK).stat().st_size == LOCK_FILE_RESERVE_BYTES


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Fill the disk: writes succeed only while the sweep's reserve is released, up to its size."""

    def fill(trail: Path) -> None:
        append = AppendFile.append
        left = {"bytes": LOCK_FILE_RESERVE_BYTES}

        def limited(file: AppendFile, data: bytes) -> None:
            if (trail / SWEEP_LOCK).stat().st_size or len(data) > left["bytes"]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            append(file, data)
            left["bytes"] -= len(data)

        monkeypatch.setattr(AppendFile, "append", limited)

    return fill


def test_full_disk_drop_is_declared_from_the_reserve(trail: Path, shard: Path, full: Callable[[Path], None]) -> None:
    """Which is reserved again afterwards."""
    swept(trail, now=NOON)
    full(trail)
    writer = writer_in(trail)
    assert drop_segments(trail, writer, LATER)[0].folder == shard
    assert (trail / SWEEP_LOCK).stat().st_size == LOCK_FILE_RESERVE_BYTES
    writer.abandon()
    assert UNDECLARED.isdisjoint(verdicts(trail))


def test_full_disk_without_reserve_deletes_nothing(trail: Path, shard: Path, full: Callable[[Path], None]) -> None:
    swept(trail, now=NOON)
    full(trail)
    with (trail / SWEEP_LOCK).open("ab") as reserve, mock.patch("os.ftruncate"):
        reserve.write(b"x")  # never released
        with pytest.raises(OSError, match="No space"):
            drop_segments(trail, writer_in(trail), LATER)
    assert all(segment.lines.exists() for segment in segments_of(shard))


def test_segment_with_unsaved_declarations_is_kept(trail: Path, shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise earlier drops would be undeclared."""
    swept_then(trail)
    [declaring] = [folder for folder in shards_of(trail) if folder != shard]
    other = old_shard(trail, 5)

    def disk_full(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("iam_guard.audit.writer.retention.replace_file", disk_full)
    sweep = swept_then(trail)
    assert {(kept.segment.folder, kept.why) for kept in sweep.kept} == {
        (declaring, "there is no disk space for its retention records")
    }
    assert other in {dropped.segment.folder for dropped in sweep.dropped}
    assert verdicts(trail) == []


UNDECLARED = {Verdict.MISSING, Verdict.TRUNCATED_TAIL}

FULL = """
import errno, json, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from iam_guard.audit.record.record_classes import ADMIN, WRITE
from iam_guard.audit.writer.pipeline import NotRecordedError, Pipeline
from iam_guard.audit.writer.retention import HOLD, RetentionRule
from iam_guard.audit.writer.trail_writer import TrailConfig
from iam_guard.audit.writer.segment_writer import SegmentLimits
from tests.audit.pipelines import eventually
from tests.audit.writer.test_segment_writer import small_disk
from tests.audit.trails import KEY, RING, record
trail = Path(sys.argv[1])
SMALL = SegmentLimits(checkpoint_records=50, segment_bytes=100_000)
def opened(days):
    rule = RetentionRule(timedelta(days=days), timedelta(0))
    return Pipeline(TrailConfig(trail, KEY, RING, service="docs", limits=SMALL, retention=rule), durable_wait=30.0)
def put(pipeline, number, date):
    try:
        return pipeline.put(record(number, filler="x" * 2000).replace(b"2026-11-24", date), ADMIN)
    except NotRecordedError:
        return False
is_restarted = sys.argv[2] == "restarted"
old = opened(9_999_999 if is_restarted else 400)
kept = 0
while kept < 600 and put(old, kept, b"2020-01-01"):
    kept += 1
assert old.usage().is_failing if is_restarted else kept == 600
if is_restarted:
    old.close()
    while True:
        try:
            with (trail.parent / "hog").open("ab", buffering=0) as hog:
                hog.write(b"x" * 512)
        except OSError:
            break
    old = opened(400)
refused, until = 0, time.monotonic() + 120
for number in range(20_000, 20_150):
    today = f"{datetime.now(UTC):%Y-%m-%d}".encode()
    if not put(old, number, today):
        refused += 1
        while not put(old, number, today):
            time.sleep(0.05)
            assert time.monotonic() < until
print(json.dumps([kept, refused, old.usage().is_failing]))
old.close()
"""


@pytest.mark.parametrize("life", ["running", "restarted"])
def test_full_disk_is_freed_by_dropping_old_segments(tmp_path: Path, life: str) -> None:
    """A 1 MiB disk filled by the trail itself, while its process runs and after a restart. Requests wait."""
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    command = small_disk(disk)
    script = f'"{sys.executable}" -c "$0" {disk}/trail {life} && cp -r {disk}/trail {copy}'
    whole = [*command, "sh", "-c", script, FULL]
    done = subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    kept, refused, is_failing = json.loads(done.stdout)
    assert kept > 100
    assert not is_failing
    new = [f"id-{number}" for number in range(20_000, 20_150)]
    assert [event_id for event_id in ids_in(copy) if event_id in set(new)] == new
    assert UNDECLARED.isdisjoint(verdicts(copy))
    assert refused < 10


# --- schedule --------------------------------------------------------------------------------------------------------


def pipeline(trail: Path, rule: RetentionRule | None) -> Pipeline:
    return Pipeline(TrailConfig(trail, KEY, RING, service="docs", retention=rule), durable_wait=30.0)


@pytest.fixture
def running(trail: Path) -> Pipeline:
    return pipeline(trail, RetentionRule(timedelta(hours=1), timedelta(0)))


def test_writer_drops_old_segments_between_batches(
    trail: Path, shard: Path, running: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Records are still written, and the drops are declared in the shard of this process."""
    monkeypatch.setattr(retention_schedule, "STEP_DELAY", 0.0)
    caplog.set_level(logging.INFO, "iam_guard.audit")
    old = segments_of(shard)
    for number in range(100, 120):
        assert running.put(record(number), ADMIN)
    eventually(lambda: not any(segment.lines.exists() for segment in old) or not running.put(record(120), WRITE))
    running.close()
    new = [f"id-{number}" for number in range(100, 120)]
    assert new == [event_id for event_id in ids_in(trail) if len(event_id) == 6][:20]
    assert "id-0" not in ids_in(trail)
    dropped = [fact["iamGuard"]["dropped"] for fact in facts_in(trail) if fact["eventName"] == "AuditRetention"]
    assert {facts["shard"] for facts in dropped} == {shard.name}
    assert re.search("dropped [0-9]+ old segments of the audit trail", caplog.text)
    assert verdicts(trail) == []


def test_kept_segments_are_logged_once_per_sweep(
    trail: Path, running: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(retention_schedule, "STEP_DELAY", 0.0)
    (trail / HOLD).touch()
    running.put(record(100), ADMIN)
    eventually(lambda: "legal hold" in caplog.text)
    running.close()
    assert caplog.text.count("legal hold") == 1


def test_failed_sweep_loses_no_record(
    trail: Path, running: Pipeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(folder: Path) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr("iam_guard.audit.writer.retention.read_groups", fail)
    running.put(record(100), ADMIN)
    eventually(lambda: "cannot be dropped" in caplog.text)
    assert running.put(record(101), ADMIN)
    running.close()
    assert ids_in(trail)[-2:] == ["id-100", "id-101"]
    assert running.usage().dropped == 0


def test_sweep_runs_every_hour(trail: Path) -> None:
    """With pauses between its steps, so that requests get the processor."""
    now = 0.0
    writer = writer_in(trail)
    schedule = retention_schedule.RetentionSchedule(
        trail, RetentionRule(timedelta(days=9_999)), lambda: writer, lambda: now
    )
    waits = []
    for _ in range(50):
        waits.append(round(schedule.due_in() or 0.0, 6))
        now += schedule.due_in() or 0.0
        schedule.step()
    assert set(waits) == {0.0, retention_schedule.STEP_DELAY, retention_schedule.SWEEP_INTERVAL}
    assert waits.count(retention_schedule.SWEEP_INTERVAL) > 5


def test_schedule_without_rule_is_never_due(trail: Path) -> None:
    schedule = retention_schedule.RetentionSchedule(trail, None, lambda: writer_in(trail))
    assert schedule.due_in() is None
    schedule.step()
    assert not (trail / ".retention").exists()


# --- settings --------------------------------------------------------------------------------------------------------


def test_retention_rule_comes_from_the_settings() -> None:
    assert retention_rule(load_settings({}, {})) is None
    rule = retention_rule(load_settings({}, {"IAM_GUARD_AUDIT_RETENTION_DAYS": "400"}))
    assert rule == RetentionRule(timedelta(days=400), timedelta(days=7))
    assert retention_rule(
        load_settings({"audit_retention_days": 1, "audit_retention_grace_days": 0}, {})
    ) == RetentionRule(timedelta(days=1), timedelta(0))
    with pytest.raises(ConfigurationError, match="fewer days"):
        retention_rule(load_settings({"audit_retention_days": 10**12}, {}))


def test_fixture_trail_has_several_segments(shard: Path) -> None:
    assert len(segments_of(shard)) > 2
    assert SegmentLimits().segment_seconds <= retention_schedule.SWEEP_INTERVAL
    assert shards_of(shard.parent) == [shard]
