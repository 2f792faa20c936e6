"""Lines for which no request waits are flushed to the disk on schedule, and slow disks less often."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from iam_guard.audit import append_file
from iam_guard.audit.verify.shard import segments_of, shards_of
from iam_guard.audit.writer.flushing import BACKOFF_FACTOR, FlushSchedule
from iam_guard.audit.writer.segment_writer import SegmentLimits, SegmentWriter
from tests.audit.trails import KEY, lines_of, only_shard, record, verdicts


class Clock:
    """A clock that tests set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_flush_is_due_after_the_interval() -> None:
    """Counted from the first unflushed line, not from the last."""
    clock = Clock()
    schedule = FlushSchedule(1.0, clock)
    assert schedule.due_in() is None
    schedule.record_write()
    clock.now += 0.75
    schedule.record_write()
    assert schedule.due_in() == 0.25
    clock.now += 5
    assert schedule.due_in() == 0.0
    schedule.record_flush()
    assert schedule.due_in() is None


def test_flush_interval_zero_is_never_due() -> None:
    clock = Clock()
    schedule = FlushSchedule(0.0, clock)
    schedule.record_write()
    clock.now += 1e9
    assert schedule.due_in() is None


def test_slow_disk_is_flushed_less_often() -> None:
    """At most a fifth of the time is spent flushing."""
    clock = Clock()
    schedule = FlushSchedule(1.0, clock)
    schedule.record_write()
    schedule.record_flush(took=2.0)
    schedule.record_write()
    assert schedule.due_in() == 2.0 * BACKOFF_FACTOR


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    inodes: list[int] = []
    monkeypatch.setattr(append_file, "_sync", lambda descriptor: inodes.append(os.fstat(descriptor).st_ino))
    return inodes


def opened(trail: Path, clock: Clock, seconds: float = 1.0) -> SegmentWriter:
    limits = SegmentLimits(checkpoint_seconds=1000.0, flush_seconds=seconds)
    return SegmentWriter(trail, KEY, service="docs", limits=limits, timer=clock)


def test_ordinary_lines_are_flushed_together_on_schedule(tmp_path: Path, syncs: list[int]) -> None:
    """`due_in` returns when the writer must wake up."""
    clock = Clock()
    writer = opened(tmp_path, clock)
    writer.append([record(0)])
    writer.commit()
    syncs.clear()
    for number in range(1, 4):
        writer.append([record(number)])
        writer.commit()
    assert syncs == []
    assert writer.due_in() == 1.0
    clock.now += 1.0
    assert writer.due_in() == 0.0
    writer.commit()
    assert syncs == [segments_of(only_shard(tmp_path))[0].lines.stat().st_ino]
    clock.now += 10
    writer.commit()
    assert len(syncs) == 1, "there was nothing more to flush"
    writer.close()


def test_durable_commit_counts_as_a_flush(tmp_path: Path, syncs: list[int]) -> None:
    clock = Clock()
    writer = opened(tmp_path, clock)
    writer.append([record(0)])
    writer.commit(durable=True)
    syncs.clear()
    clock.now += 10
    writer.commit()
    assert syncs == []
    writer.close()


def test_flush_seconds_zero_never_flushes(tmp_path: Path, syncs: list[int]) -> None:
    clock = Clock()
    writer = opened(tmp_path, clock, seconds=0.0)
    writer.append([record(0)])
    writer.commit()
    syncs.clear()
    clock.now += 100
    writer.commit()
    assert syncs == []
    writer.close()


def test_failed_flush_starts_a_new_segment_and_loses_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As for a durable commit: the state of the disk is unknown, and the gap record declares that."""
    clock = Clock()
    writer = opened(tmp_path, clock)
    writer.append([record(0)])
    writer.commit()
    clock.now += 1.0

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(append_file, "_sync", fail)
        writer.commit()
    assert "cannot be flushed to the disk" in caplog.text
    assert writer.due_in() is None or writer.due_in() != 0.0, "it is not flushed again for the same lines"
    writer.append([record(1)])
    writer.commit()
    writer.close()
    [shard] = shards_of(tmp_path)
    assert len(segments_of(shard)) == 2
    assert [b'"SyncFailed"' in line for line in lines_of(shard)].count(True) == 1
    assert sum(b'"id-' in line for line in lines_of(shard)) == 2
    assert [verdict.value for verdict in verdicts(tmp_path)] == ["GAP"]
