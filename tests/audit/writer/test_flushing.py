"""The disk is asked for what nobody waits for: so often, and no more often than it bears."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from iam_guard.audit import append_file
from iam_guard.audit.verify.shard import segments_of, shards_of
from iam_guard.audit.writer.flushing import REST, Flushing
from iam_guard.audit.writer.segment_limits import SegmentLimits
from iam_guard.audit.writer.segment_writer import SegmentWriter
from tests.audit.trails import KEY, lines_of, only_shard, record, verdicts


class Clock:
    """Stands still until it is told otherwise."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_is_written_is_due_after_so_long() -> None:
    """From the first line on that the disk may lack, not from the last."""
    clock = Clock()
    flushing = Flushing(1.0, clock)
    assert flushing.due_in() is None
    flushing.written()
    clock.now += 0.75
    flushing.written()
    assert flushing.due_in() == 0.25
    clock.now += 5
    assert flushing.due_in() == 0.0
    flushing.done()
    assert flushing.due_in() is None


def test_never_is_never() -> None:
    clock = Clock()
    flushing = Flushing(0.0, clock)
    flushing.written()
    clock.now += 1e9
    assert flushing.due_in() is None


def test_a_slow_disk_is_asked_less_often() -> None:
    """A fifth of the time is spent waiting at most."""
    clock = Clock()
    flushing = Flushing(1.0, clock)
    flushing.written()
    flushing.done(took=2.0)
    flushing.written()
    assert flushing.due_in() == 2.0 * REST


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    asked: list[int] = []
    monkeypatch.setattr(append_file, "_sync", lambda descriptor: asked.append(os.fstat(descriptor).st_ino))
    return asked


def opened(trail: Path, clock: Clock, seconds: float = 1.0) -> SegmentWriter:
    limits = SegmentLimits(checkpoint_seconds=1000.0, flush_seconds=seconds)
    return SegmentWriter(trail, KEY, service="docs", limits=limits, timer=clock)


def test_ordinary_lines_are_on_the_disk_after_so_long(tmp_path: Path, syncs: list[int]) -> None:
    """One sync for all that came; the writer knows when it has to be woken for it."""
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
    assert len(syncs) == 1, "there was nothing more to ask for"
    writer.close()


def test_a_durable_commit_is_a_flush_too(tmp_path: Path, syncs: list[int]) -> None:
    clock = Clock()
    writer = opened(tmp_path, clock)
    writer.append([record(0)])
    writer.commit(durable=True)
    syncs.clear()
    clock.now += 10
    writer.commit()
    assert syncs == []
    writer.close()


def test_without_the_setting_nobody_asks(tmp_path: Path, syncs: list[int]) -> None:
    clock = Clock()
    writer = opened(tmp_path, clock, seconds=0.0)
    writer.append([record(0)])
    writer.commit()
    syncs.clear()
    clock.now += 100
    writer.commit()
    assert syncs == []
    writer.close()


def test_a_flush_that_fails_leaves_the_segment_and_loses_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As with a sync that a request waits for: what the disk has nobody knows, and the gap says so."""
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
    assert "does not get to the disk" in caplog.text
    assert writer.due_in() is None or writer.due_in() != 0.0, "it is not asked again for the same"
    writer.append([record(1)])
    writer.commit()
    writer.close()
    [shard] = shards_of(tmp_path)
    assert len(segments_of(shard)) == 2
    assert [b'"SyncFailed"' in line for line in lines_of(shard)].count(True) == 1
    assert sum(b'"id-' in line for line in lines_of(shard)) == 2
    assert [verdict.value for verdict in verdicts(tmp_path)] == ["GAP"]
