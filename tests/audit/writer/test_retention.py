"""Retention: what is dropped, what keeps a segment that is old, who does it when. Its proofs are in `test_proof`."""

from __future__ import annotations

import errno
import json
import logging
import os
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
from iam_guard.audit.writer.disk_reserve import LENT
from iam_guard.audit.writer.pipeline import Pipeline
from iam_guard.audit.writer.retention import HOLD, SWEEP_LOCK, RetentionRule, Sweep, drop_segments
from iam_guard.audit.writer.segment_limits import SegmentLimits
from iam_guard.audit.writer.segment_writer import SegmentWriter
from iam_guard.audit.writer.trail_writer import TrailPlace
from iam_guard.errors import ConfigurationError, TrailDamaged
from iam_guard.settings import load
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
"""All that `record` makes is older than the rule, and within its grace."""
MUCH_LATER = NOON + 40 * DAY


def swept(trail: Path, now: datetime = LATER, rule: RetentionRule = RULE) -> Sweep:
    """Sweep at `now`, by a writer of the same time."""
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
    sizes = [segment.lines.stat().st_size for segment in segments_of(shard)]
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
from iam_guard.audit.writer.retention import Sweep
from tests.audit.writer.test_retention import LATER, RULE
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
    writer.declare = lambda line: (_ for _ in ()).throw(OSError(28, os.strerror(28)))  # type: ignore[method-assign]
    with pytest.raises(OSError, match="No space"):
        Sweep(trail, RULE, lambda: writer, now=LATER).run()
    writer.abandon()
    assert all(segment.lines.exists() for segment in segments_of(shard))


# --- what was dropped is said once ------------------------------------------------------------------------------------


def swept_then(trail: Path) -> Sweep:
    """Sweep by a writer of the same noon as all else, so that what it says is old for the next one."""
    writer = SegmentWriter(trail, KEY, service="docs", limits=SMALL, clock=moment)
    sweep = Sweep(trail, RULE, lambda: writer, now=LATER)
    sweep.run()
    writer.close()
    return sweep


def said_in(shard: Path) -> list[tuple[str, int]]:
    facts = [json.loads(line)["iamGuard"] for line in lines_of(shard)]
    return [(fact["dropped"]["shard"], fact["dropped"]["first"]) for fact in facts if fact["kind"] == "audit_retention"]


@pytest.fixture
def dropped_again(trail: Path) -> list[int]:
    """Let each of several sweeps drop what the one before said; give how many records each of them wrote about it."""
    counts = []
    for _ in range(6):
        before = shards_of(trail)
        sweep = swept_then(trail)
        [new] = set(shards_of(trail)) - set(before)
        assert said_in(new) == [(each.segment.folder.name, each.segment.first) for each in sweep.dropped]
        counts.append(len(sweep.dropped))
    return counts


def test_what_was_dropped_is_said_once_however_often_something_is_dropped(
    trail: Path, shard: Path, dropped_again: list[int]
) -> None:
    """The line that says so is kept when its segment goes, and the tree proves that it stood there."""
    assert dropped_again[0] == len(segments_of(shard))
    assert max(dropped_again[2:]) <= 2, "what a sweep itself wrote"
    report = verify_trail(trail, RING)
    assert report.findings == ()
    assert sum(each.dropped for each in report.shards) > 20
    kept = [line for path in trail.rglob("*.retained") for line in path.read_bytes().splitlines()]
    assert len(kept) == sum(dropped_again[:-1])
    assert len({json.loads(line)["eventID"] for line in kept}) == len(kept)


def test_a_consumer_begins_behind_what_was_dropped(trail: Path, dropped_again: list[int]) -> None:
    with AuditReader(trail, ring=RING).subscribe(follow=False) as subscription:
        assert [record["iamGuard"]["kind"] for _, record in subscription][-1] == "audit_end"


def test_what_was_dropped_is_known_to_be_missing_from_an_activity(trail: Path, dropped_again: list[int]) -> None:
    """Though it was said in a segment that is dropped itself: whatever that held is later than what it spoke of."""
    with AuditReader(trail, ring=RING).subscribe(follow=False) as subscription:
        records = [record for _, record in subscription]
    assert not aggregate_activity(records, "mailer.example.com").is_complete
    assert not aggregate_activity(records, "mailer.example.com", since=NOON).is_complete


def only_retained(trail: Path, shard: Path) -> Path:
    """Return the file that says that the segments of a shard were dropped."""
    [path] = [path for path in trail.rglob("*.retained") if shard.name.encode() in path.read_bytes()]
    return path


def test_without_the_line_that_said_so_the_lines_are_missing(
    trail: Path, shard: Path, dropped_again: list[int]
) -> None:
    only_retained(trail, shard).unlink()
    found = verify_trail(trail, RING).findings
    assert {(each.verdict, each.shard) for each in found} == {
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
def test_a_line_that_was_not_there_says_nothing(trail: Path, shard: Path, dropped_again: list[int], name: str) -> None:
    path = only_retained(trail, shard)
    changed = FORGERIES[name](path.read_bytes(), shard.name)
    assert changed != path.read_bytes()
    path.write_bytes(changed)
    found = verify_trail(trail, RING).findings
    assert (Verdict.MODIFIED, path.name) in {(each.verdict, each.file) for each in found}
    assert {each.verdict for each in found if each.shard == shard.name} <= {Verdict.MISSING, Verdict.TRUNCATED_TAIL}


def test_a_trail_in_which_it_was_said_again_stays_right(trail: Path, shard: Path) -> None:
    """As it was done before: whoever dropped the record said again what it had said, and kept no line of it."""
    sweep = swept_then(trail)
    [teller] = [each for each in shards_of(trail) if each != shard]
    writer = SegmentWriter(trail, KEY, service="docs", limits=SMALL, clock=moment)
    counts = {each.segment: each.lines for each in sweep.dropped}
    counts |= {segment: len(whole_lines(segment.lines.read_bytes())) for segment in segments_of(teller)}
    for each, lines in counts.items():
        writer.append(
            [
                retention_line(
                    Stamp(LATER, f"{each.folder.name}-{each.first}"),
                    each.folder.name,
                    each.first,
                    each.first + lines - 1,
                )
            ]
        )
    writer.close()
    for segment in segments_of(teller):
        segment.lines.unlink()
    assert verdicts(trail) == []
    assert swept_then(trail).dropped
    assert verdicts(trail) == []
    assert swept_then(trail).dropped
    assert verdicts(trail) == []


@pytest.mark.parametrize("moment", ["unlink", "replace", "declare"])
def test_a_kill_anywhere_leaves_a_trail_that_verifies(
    trail: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """While the segment goes that says what went before: the next sweep does it."""
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


# --- a full disk -----------------------------------------------------------------------------------------------------


def test_room_is_kept_in_the_file_of_the_lock(trail: Path) -> None:
    swept(trail)
    assert (trail / SWEEP_LOCK).stat().st_size == LENT


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Make the disk full: there is place only while the room of the sweep is given back, and then for little."""

    def fill(trail: Path) -> None:
        append = AppendFile.append
        left = {"room": LENT}

        def limited(file: AppendFile, data: bytes) -> None:
            if (trail / SWEEP_LOCK).stat().st_size or len(data) > left["room"]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            append(file, data)
            left["room"] -= len(data)

        monkeypatch.setattr(AppendFile, "append", limited)

    return fill


def test_on_a_full_disk_the_room_of_the_sweep_says_what_goes(
    trail: Path, shard: Path, full: Callable[[Path], None]
) -> None:
    """And is set aside again afterwards, for what goes next."""
    swept(trail, now=NOON)
    full(trail)
    writer = writer_in(trail)
    assert drop_segments(trail, writer, LATER)[0].folder == shard
    assert (trail / SWEEP_LOCK).stat().st_size == LENT
    writer.abandon()
    assert UNDECLARED.isdisjoint(verdicts(trail))


def test_without_any_room_nothing_goes(trail: Path, shard: Path, full: Callable[[Path], None]) -> None:
    swept(trail, now=NOON)
    full(trail)
    with (trail / SWEEP_LOCK).open("ab") as room, mock.patch("os.ftruncate"):
        room.write(b"x")  # nobody gives it back
        with pytest.raises(OSError, match="No space"):
            drop_segments(trail, writer_in(trail), LATER)
    assert all(segment.lines.exists() for segment in segments_of(shard))


def test_what_says_too_much_of_earlier_ones_stays_and_the_others_go(
    trail: Path, shard: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing goes that would be undeclared then."""
    swept_then(trail)
    [teller] = [each for each in shards_of(trail) if each != shard]
    other = old_shard(trail, 5)

    def no_room(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("iam_guard.audit.writer.retention.replace_file", no_room)
    sweep = swept_then(trail)
    assert {(each.segment.folder, each.why) for each in sweep.kept} == {
        (teller, "there is no room for what it says of earlier ones")
    }
    assert other in {each.segment.folder for each in sweep.dropped}
    assert verdicts(trail) == []


UNDECLARED = {Verdict.MISSING, Verdict.TRUNCATED_TAIL}

FULL = """
import errno, json, sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from iam_guard.audit.record.record_classes import ADMIN, WRITE
from iam_guard.audit.writer.pipeline import NotRecordedError, Pipeline
from iam_guard.audit.writer.retention import HOLD, RetentionRule
from iam_guard.audit.writer.trail_writer import TrailPlace
from iam_guard.audit.writer.segment_limits import SegmentLimits
from tests.audit.pipelines import eventually
from tests.audit.writer.test_segment_writer import small_disk
from tests.audit.trails import KEY, RING, record
trail = Path(sys.argv[1])
SMALL = SegmentLimits(checkpoint_records=50, segment_bytes=100_000)
def opened(days):
    rule = RetentionRule(timedelta(days=days), timedelta(0))
    return Pipeline(TrailPlace(trail, KEY, RING, service="docs", limits=SMALL, retention=rule), durable_wait=30.0)
def ask(pipeline, number, date):
    try:
        return pipeline.put(record(number, filler="x" * 2000).replace(b"2026-11-24", date), ADMIN)
    except NotRecordedError:
        return False
is_restarted = sys.argv[2] == "restarted"
old = opened(9_999_999 if is_restarted else 400)
kept = 0
while kept < 600 and ask(old, kept, b"2020-01-01"):
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
    if not ask(old, number, today):
        refused += 1
        while not ask(old, number, today):
            time.sleep(0.05)
            assert time.monotonic() < until
print(json.dumps([kept, refused, old.usage().is_failing]))
old.close()
"""


@pytest.mark.parametrize("life", ["running", "restarted"])
def test_a_full_disk_is_freed_by_what_is_old_enough(tmp_path: Path, life: str) -> None:
    """A disk of 1 MiB, filled by the trail itself: while its process runs, and by the next one. Requests wait."""
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
    assert [each for each in ids_in(copy) if each in set(new)] == new
    assert UNDECLARED.isdisjoint(verdicts(copy))
    assert refused < 10


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
    monkeypatch.setattr(retention_schedule, "STEP", 0.0)
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
    monkeypatch.setattr(retention_schedule, "STEP", 0.0)
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

    monkeypatch.setattr("iam_guard.audit.writer.retention.read_groups", fail)
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
    one = retention_schedule.Sweeping(trail, RetentionRule(timedelta(days=9_999)), lambda: writer, lambda: now)
    waits = []
    for _ in range(50):
        waits.append(round(one.due_in() or 0.0, 6))
        now += one.due_in() or 0.0
        one.step()
    assert set(waits) == {0.0, retention_schedule.STEP, retention_schedule.EVERY}
    assert waits.count(retention_schedule.EVERY) > 5


def test_without_a_rule_nothing_is_ever_due(trail: Path) -> None:
    one = retention_schedule.Sweeping(trail, None, lambda: writer_in(trail))
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
    assert SegmentLimits().segment_seconds <= retention_schedule.EVERY
    assert shards_of(shard.parent) == [shard]
