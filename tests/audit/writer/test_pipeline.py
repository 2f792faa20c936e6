"""The path of a record into the trail: in batches, durably, with checkpoints; and the handling of a full queue."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iam_guard.audit import append_file
from iam_guard.audit.append_file import AppendFile
from iam_guard.audit.record.record import Stamp
from iam_guard.audit.record.record_classes import ADMIN, CHANGE, DENIAL, READ, WRITE, RecordClass, lane_of
from iam_guard.audit.trail import Trail
from iam_guard.audit.verify.checkpoint import open_checkpoint, split_notes
from iam_guard.audit.verify.shard import is_ended, shards_of
from iam_guard.audit.verify.trail_events import refused_line
from iam_guard.audit.verify.verdicts import Verdict
from iam_guard.audit.writer.pipeline import NotRecordedError, Pipeline
from iam_guard.audit.writer.record_queue import Ticket
from iam_guard.audit.writer.segment_writer import SegmentLimits
from iam_guard.errors import InvalidClientTokenId, StoreUnavailable
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest, Call
from tests.audit.list_sink import ListSink
from tests.audit.pipelines import eventually, facts_in, gaps_in, ids_in, pipeline_in
from tests.audit.trails import NOON, RING, last_segment, only_shard, record, verdicts

ADA = "arn:aws:iam::111122223333:user/ada"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Pipeline]]:
    """Return a factory of pipelines that are closed at the end."""
    pipelines: list[Pipeline] = []

    def make(**options: Any) -> Pipeline:
        pipelines.append(pipeline_in(tmp_path, **options))
        return pipelines[-1]

    yield make
    for pipeline in pipelines:
        pipeline.close()


class Disk:
    """Intercept every write to a segment: let it fail, or block it until released."""

    def __init__(self) -> None:
        self.error: OSError | None = None
        self.released = threading.Event()
        self.released.set()
        self.has_begun = threading.Event()
        self.may_time_out = threading.Event()
        """Requests wait for the disk until both are set, and then as long as the pipeline's timeout."""
        self.may_time_out.set()
        self.syncs: list[str] = []

    def append(self, file: AppendFile, data: bytes) -> None:
        self.has_begun.set()
        assert self.released.wait(300)
        if self.error is not None:
            raise self.error
        _APPEND(file, data)

    def sync(self, descriptor: int) -> None:
        self.syncs.append(threading.current_thread().name)
        os.fsync(descriptor)


_APPEND = AppendFile.append


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    one = Disk()
    monkeypatch.setattr(AppendFile, "append", lambda file, data: one.append(file, data))
    monkeypatch.setattr(append_file, "_sync", one.sync)
    answered = Ticket.wait

    def answered_in(ticket: Ticket, seconds: float) -> bool:
        assert one.has_begun.wait(60), "the writer never wrote"
        assert one.may_time_out.wait(60)
        return answered(ticket, seconds)

    monkeypatch.setattr(Ticket, "wait", answered_in)
    return one


@contextmanager
def blocked(disk: Disk) -> Iterator[None]:
    disk.released.clear()
    try:
        yield
    finally:
        disk.released.set()


def fill(pipeline: Pipeline, disk: Disk, row: RecordClass = READ) -> int:
    """Block the writer on one record, fill the lane behind it, and return the lane's capacity."""
    pipeline.put(record(0), READ)
    eventually(lambda: pipeline.usage().waiting == 0 and pipeline.usage().oldest_age > 0)
    lane, number = lane_of(row, is_signed_in=True), 0
    while pipeline._queue.put(record(number + 1), wait=0.0, lane=lane, caller=str(number)):
        number += 1
    return number


# --- normal operation -------------------------------------------------------------------------------------------------


def test_records_are_stored_in_order_and_verify(tmp_path: Path, opened: Callable[..., Pipeline]) -> None:
    """`close` writes pending records, signs everything and ends the shard."""
    pipeline = opened()
    for number in range(2500):
        assert pipeline.put(record(number), (READ, WRITE, DENIAL)[number % 3])
    pipeline.close()
    assert ids_in(tmp_path) == [f"id-{number}" for number in range(2500)]
    assert is_ended(only_shard(tmp_path))
    assert verdicts(tmp_path) == []
    assert pipeline.usage()[4:7] == (0, 0, False)


def test_pipeline_without_records_creates_no_thread_or_file(tmp_path: Path, opened: Callable[..., Pipeline]) -> None:
    """So a process may fork before the first record."""
    threads = threading.active_count()
    pipeline = opened()
    assert (list(tmp_path.iterdir()), threading.active_count()) == ([], threads)
    pipeline.close()
    assert list(tmp_path.iterdir()) == []


def test_durable_record_is_flushed_when_put_returns(
    tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk
) -> None:
    pipeline = opened()
    for number in range(5):
        before = len(disk.syncs)
        assert pipeline.put(record(number), ADMIN)
        assert ids_in(tmp_path)[-1] == f"id-{number}"
        assert disk.syncs[before:][-1:] == ["iam-guard-audit"]


def test_concurrent_durable_records_share_a_flush(tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk) -> None:
    """Records that arrive while the disk is busy are written and flushed together."""
    pipeline = opened()
    pipeline.put(record(0), ADMIN)
    before = len(disk.syncs)
    with blocked(disk):
        pipeline.put(record(1), READ)
        eventually(lambda: pipeline.usage().waiting == 0)
        threads = [threading.Thread(target=pipeline.put, args=(record(number), ADMIN)) for number in range(2, 22)]
        for thread in threads:
            thread.start()
        eventually(lambda: pipeline.usage().waiting == 20)
    for thread in threads:
        thread.join()
    assert len(ids_in(tmp_path)) == 22
    assert len(disk.syncs) - before == 1


def test_idle_pipeline_signs_a_checkpoint(tmp_path: Path, opened: Callable[..., Pipeline]) -> None:
    pipeline = opened(limits=SegmentLimits(checkpoint_seconds=0.1))
    pipeline.put(record(1), READ)
    eventually(lambda: pipeline.usage().checkpoint_age is not None)
    content = last_segment(only_shard(tmp_path)).checkpoints.read_bytes()
    sizes = [open_checkpoint(place.note, RING).checkpoint.size for place in split_notes(content)]
    assert sizes[-1] == 2
    age = pipeline.usage().checkpoint_age
    assert age is not None
    assert age >= 0


def test_concurrent_threads_lose_no_record(tmp_path: Path, opened: Callable[..., Pipeline]) -> None:
    """Even with a small queue, because they wait."""
    pipeline = opened(queue_size=50, wait=20.0, durable_wait=20.0)

    def work(thread: int) -> None:
        for number in range(300):
            assert pipeline.put(record(thread * 1000 + number), ADMIN if number % 100 == 0 else WRITE)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for started in threads:
        started.start()
    for started in threads:
        started.join()
    pipeline.close()
    assert len(set(ids_in(tmp_path))) == len(ids_in(tmp_path)) == 2400
    assert verdicts(tmp_path) == []


def test_shard_of_killed_process_is_recovered_at_start(tmp_path: Path, opened: Callable[..., Pipeline]) -> None:
    from tests.audit.trails import written

    left = written(tmp_path, 10, is_ended=False)
    opened().put(record(77), ADMIN)
    assert is_ended(left)
    assert [gap["reason"] for gap in gaps_in(tmp_path)] == ["ProcessEnded"]


def test_trail_and_sink_get_the_same_records(
    tmp_path: Path, opened: Callable[..., Pipeline], decide: Callable[..., Decision], call: Call
) -> None:
    """Every kind, masked alike, whether made by the request or by the writer; the trail adds shard and sequence."""
    with_secret = call._replace(user_agent="Bearer hunter2-hunter2")

    def record_all(trail: Trail) -> None:
        trail.record_decision(decide(), with_secret, started=100.0)
        trail.record_decision(decide(Outcome.EXPLICITLY_DENIED), with_secret, started=100.0)
        trail.record_decision(
            replace(decide(), request=AccessRequest(Principal.from_arn(ADA), "docs:Put", "*")), call, started=99
        )
        trail.record_authentication(
            InvalidClientTokenId(), with_secret, kind="sigv4", credential_id="igk_hunter2.hunter2"
        )
        trail.record_error(StoreUnavailable("gone"), with_secret, action="docs:X")

    same: Any = {"clock": lambda: NOON, "new_id": lambda: "event-1", "timer": lambda: 100.25}
    sink = ListSink()
    pipeline = opened()
    record_all(Trail(sink, **same))
    record_all(Trail(pipeline, **same))
    pipeline.close()
    kept = [fact for fact in facts_in(tmp_path) if not fact["iamGuard"]["kind"].startswith("audit_")]
    for number, fact in enumerate(kept, 1):
        assert fact["iamGuard"].pop("shard") == only_shard(tmp_path).name
        assert fact["iamGuard"].pop("sequence") == number
    assert kept == sink.records
    assert "hunter2" not in str(kept)


# --- full queue or slow disk -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [READ, WRITE, DENIAL])
def test_full_queue_blocks_until_capacity_is_free(
    row: RecordClass, tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk
) -> None:
    """Up to the setting's timeout."""
    pipeline = opened(queue_size=4, wait=10.0)
    with blocked(disk):
        fill(pipeline, disk, row)
        threading.Timer(0.2, disk.released.set).start()
        began = time.monotonic()
        assert pipeline.put(record(99), row)
        assert time.monotonic() - began >= 0.1
    pipeline.close()
    assert ids_in(tmp_path)[-1] == "id-99"
    assert gaps_in(tmp_path) == []


@pytest.mark.parametrize(
    ("row", "fail_open", "is_refused"),
    [
        (WRITE, ("read",), True),
        (READ, ("read",), False),
        (READ, (), True),
        (WRITE, ("read", "write"), False),
        (DENIAL, (), False),
        (ADMIN, ("read", "write"), True),
    ],
)
def test_slow_disk_applies_class_rule_and_declares_the_gap(
    row: RecordClass,
    fail_open: tuple[str, ...],
    is_refused: bool,
    tmp_path: Path,
    opened: Callable[..., Pipeline],
    disk: Disk,
) -> None:
    """The wait is bounded; dropped and refused records are counted in the trail afterwards."""
    pipeline = opened(queue_size=4, wait=0.05, durable_wait=0.05, fail_open=fail_open)
    with blocked(disk):
        places = fill(pipeline, disk, row)
        began = time.monotonic()
        for _ in range(3):
            if is_refused:
                with pytest.raises(NotRecordedError):
                    pipeline.put(record(99), row)
            else:
                assert pipeline.put(record(99), row) is False
        assert 0.1 <= time.monotonic() - began < 60
        assert (pipeline.usage().dropped, pipeline.usage().refused) == ((0, 3) if is_refused else (3, 0))
    pipeline.close()
    assert ids_in(tmp_path) == [f"id-{number}" for number in range(1 + places)]
    [gap] = gaps_in(tmp_path)
    assert (gap["reason"], gap["lost"], gap.get("refused")) == (
        "NotRecorded",
        0 if is_refused else 3,
        3 if is_refused else None,
    )
    assert gap["firstTime"] <= gap["lastTime"]
    assert verdicts(tmp_path) == [Verdict.GAP]


def test_slow_disk_delays_only_durable_records(tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk) -> None:
    pipeline = opened(durable_wait=300.0)
    pipeline.put(record(0), ADMIN)
    with ThreadPoolExecutor(1) as pool, blocked(disk):
        for number in range(1, 100):
            assert pipeline.put(record(number), WRITE)
        durable = pool.submit(pipeline.put, record(100), ADMIN)
        with pytest.raises(TimeoutError):
            durable.result(timeout=0.2)
        disk.released.set()
        assert durable.result()
    assert len(ids_in(tmp_path)) == 101


def test_durable_record_after_timeout_is_refused_and_withdrawn(
    tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk
) -> None:
    """The record is not written later, because the request was denied."""
    pipeline = opened(durable_wait=0.1)
    with blocked(disk):
        pipeline.put(record(0), READ)
        eventually(lambda: pipeline.usage().waiting == 0)
        with pytest.raises(NotRecordedError, match="in time"):
            pipeline.put(record(1), ADMIN)
    pipeline.close()
    assert ids_in(tmp_path) == ["id-0"]
    assert gaps_in(tmp_path)[0]["refused"] == 1


def corrections_in(trail: Path) -> list[str]:
    facts = [record["iamGuard"] for record in facts_in(trail)]
    return [fact["refusedEventID"] for fact in facts if fact["kind"] == "audit_refused"]


def correction(number: int) -> bytes:
    return refused_line(Stamp(NOON, f"correction-{number}"), f"id-{number}")


def test_written_record_of_refused_request_is_corrected(
    tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk
) -> None:
    """It was being written when its request timed out; a withdrawn record needs no correction."""
    pipeline = opened(durable_wait=0.1)
    with blocked(disk):
        with pytest.raises(NotRecordedError, match="in time"):
            pipeline.put(record(0), ADMIN, correction=correction(0))
        with pytest.raises(NotRecordedError, match="in time"):
            pipeline.put(record(1), ADMIN, correction=correction(1))
    pipeline.close()
    assert ids_in(tmp_path) == ["id-0"]
    assert corrections_in(tmp_path) == ["id-0"]
    assert gaps_in(tmp_path)[0]["refused"] == 2


def test_correction_ignores_the_queue_limit(tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk) -> None:
    """The queue is full just when the disk hangs; without the correction the trail would permanently show an Allow."""
    pipeline = opened(queue_size=2, durable_wait=0.1)
    disk.may_time_out.clear()
    with blocked(disk), ThreadPoolExecutor() as other:
        refused = other.submit(pipeline.put, record(0), ADMIN, correction=correction(0))
        eventually(lambda: pipeline.usage().waiting == 0 and pipeline.usage().oldest_age > 0)
        assert pipeline.put(record(1), READ)
        assert pipeline.put(record(2), READ)
        disk.may_time_out.set()
        with pytest.raises(NotRecordedError, match="in time"):
            refused.result()
    pipeline.close()
    assert ids_in(tmp_path) == ["id-0", "id-1", "id-2"]
    assert corrections_in(tmp_path) == ["id-0"]


def test_on_failure_ignore_writes_no_correction(
    tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk, decide: Callable[..., Decision]
) -> None:
    pipeline = opened(durable_wait=0.1)
    trail = Trail(pipeline, on_failure="ignore")
    call = replace(decide().request, action="iam:GetUser")
    with blocked(disk):
        trail.record_decision(replace(decide(), request=call), None, started=0.0)
    pipeline.close()
    assert len(ids_in(tmp_path)) == 1
    assert corrections_in(tmp_path) == []


def test_record_of_completed_change_is_written_after_timeout(
    tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk
) -> None:
    """Whether it was queued or being written: the change has happened, so nothing is missing."""
    pipeline = opened(durable_wait=0.1)
    with blocked(disk):
        for number in range(2):
            with pytest.raises(NotRecordedError, match="written as soon as possible"):
                pipeline.put(record(number), CHANGE)
        assert pipeline.usage().waiting == 1
    pipeline.close()
    assert ids_in(tmp_path) == ["id-0", "id-1"]
    assert gaps_in(tmp_path) == []
    assert verdicts(tmp_path) == []


def test_completed_change_with_full_queue_counts_as_lost(
    tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk
) -> None:
    """The gap record declares a change without a record."""
    pipeline = opened(queue_size=1, durable_wait=0.05)
    with blocked(disk):
        fill(pipeline, disk, CHANGE)
        with pytest.raises(NotRecordedError, match="queue is full"):
            pipeline.put(record(9), CHANGE)
    pipeline.close()
    [gap] = gaps_in(tmp_path)
    assert gap["lost"] == 1
    assert "refused" not in gap


# --- broken disk -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.EROFS])
def test_failing_disk_refuses_at_once_and_keeps_queued_records(
    code: int, tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """Queued records are written later; durable ones are refused without waiting."""
    pipeline = opened(queue_size=4, wait=300.0, durable_wait=300.0)
    pipeline.put(record(0), ADMIN)
    disk.error = OSError(code, os.strerror(code))
    assert pipeline.put(record(1), WRITE)
    eventually(lambda: pipeline.usage().is_failing)
    began = time.monotonic()
    with pytest.raises(NotRecordedError):
        pipeline.put(record(2), ADMIN)
    for number in range(3, 6):
        assert pipeline.put(record(number), WRITE)
    with pytest.raises(NotRecordedError):
        pipeline.put(record(6), WRITE)
    assert pipeline.put(record(7), READ) is False
    assert pipeline.put(record(8), DENIAL)
    assert time.monotonic() - began < 60
    disk.error = None
    eventually(lambda: not pipeline.usage().is_failing)
    assert pipeline.put(record(9), ADMIN)
    pipeline.close()
    assert ids_in(tmp_path) == ["id-0", "id-1", "id-3", "id-4", "id-5", "id-8", "id-9"]
    [gap] = gaps_in(tmp_path)
    assert (gap["lost"], gap["refused"]) == (1, 2)
    assert caplog.text.count("the audit trail cannot be written") == 1
    assert "the audit trail can be written again" in caplog.text


def test_failing_disk_keeps_completed_changes_uncorrected(
    tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk
) -> None:
    """A refused decision is not in the trail; the result of a call is written as soon as possible."""
    pipeline = opened()
    pipeline.put(record(0), ADMIN)
    disk.error = OSError(errno.EIO, "Input/output error")
    with pytest.raises(NotRecordedError, match="written as soon as possible"):
        pipeline.put(record(1), CHANGE)
    with pytest.raises(NotRecordedError):
        pipeline.put(record(2), ADMIN, correction=correction(2))
    disk.error = None
    pipeline.close()
    assert ids_in(tmp_path) == ["id-0", "id-1"]
    assert corrections_in(tmp_path) == []


def test_record_after_failed_flush_is_corrected(
    tmp_path: Path, opened: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = opened()
    pipeline.put(record(0), ADMIN)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(append_file, "_sync", fail)
        with pytest.raises(NotRecordedError, match="could not be written to the disk"):
            pipeline.put(record(1), ADMIN, correction=correction(1))
    pipeline.close()
    assert corrections_in(tmp_path) == ["id-1"]


def test_failed_flush_refuses_and_writes_nothing_twice(
    tmp_path: Path, opened: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = opened()
    pipeline.put(record(0), ADMIN)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(append_file, "_sync", fail)
        with pytest.raises(NotRecordedError, match="could not be written to the disk"):
            pipeline.put(record(1), ADMIN)
    pipeline.put(record(2), ADMIN)
    pipeline.close()
    assert ids_in(tmp_path) == ["id-0", "id-1", "id-2"]
    assert [gap["reason"] for gap in gaps_in(tmp_path)] == ["SyncFailed", "NotRecorded"]


def test_unexpected_error_starts_a_new_shard(tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk) -> None:
    """If the thread died, every request would wait."""
    pipeline = opened()
    pipeline.put(record(0), ADMIN)
    disk.error = ValueError("boom")  # type: ignore[assignment]
    with pytest.raises(NotRecordedError):
        pipeline.put(record(1), ADMIN)
    disk.error = None
    pipeline.put(record(2), ADMIN)
    pipeline.close()
    assert sorted(ids_in(tmp_path)) == ["id-0", "id-2"]
    assert len(shards_of(tmp_path)) == 2


@pytest.mark.parametrize("line", [b"", b"{}\n", b'{"a":{}}\n{"b":{}}\n', b"x" * 70_000 + b"}}\n"])
def test_invalid_line_is_refused_before_it_is_queued(
    line: bytes, tmp_path: Path, opened: Callable[..., Pipeline]
) -> None:
    pipeline = opened()
    with pytest.raises(NotRecordedError):
        pipeline.put(line, WRITE)
    assert pipeline.put(line, DENIAL) is False
    pipeline.put(record(1), ADMIN)
    assert ids_in(tmp_path) == ["id-1"]


def test_line_can_be_made_by_the_writer(tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk) -> None:
    """Once, in its thread, however often the batch is retried; in order."""
    threads: list[str] = []

    def make() -> bytes:
        threads.append(threading.current_thread().name)
        return record(1)

    pipeline = opened()
    pipeline.put(record(0), ADMIN)
    disk.error = OSError(errno.EIO, "Input/output error")
    pipeline.put(make, READ)
    pipeline.put(record(2), READ)
    eventually(lambda: pipeline.usage().is_failing)
    time.sleep(0.3)
    disk.error = None
    pipeline.close()
    assert ids_in(tmp_path) == ["id-0", "id-1", "id-2"]
    assert threads == ["iam-guard-audit"]


@pytest.mark.parametrize("row", [READ, DENIAL])
def test_failing_line_is_counted_and_others_are_kept(
    row: RecordClass, tmp_path: Path, opened: Callable[..., Pipeline], caplog: pytest.LogCaptureFixture
) -> None:
    """The gap record has the number; the log contains nothing of the record."""

    def fail() -> bytes:
        raise ValueError("token=hunter2")

    pipeline = opened()
    for line in (record(0), fail, record(1), lambda: b"no line", record(2)):
        assert pipeline.put(line, row)
    pipeline.close()
    assert ids_in(tmp_path) == ["id-0", "id-1", "id-2"]
    assert sum(gap["lost"] for gap in gaps_in(tmp_path)) == pipeline.usage().dropped == 2
    assert "hunter2" not in caplog.text
    assert verdicts(tmp_path) == [Verdict.GAP]


# --- closing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [READ, WRITE, ADMIN, CHANGE])
def test_allow_after_close_is_refused(row: RecordClass, opened: Callable[..., Pipeline]) -> None:
    pipeline = opened()
    pipeline.put(record(0), READ)
    pipeline.close()
    pipeline.close()
    with pytest.raises(NotRecordedError):
        pipeline.put(record(1), row)
    assert pipeline.put(record(1), DENIAL) is False


def test_close_on_broken_disk_logs_lost_records(
    tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """The next start finds the open shard and declares the gap."""
    pipeline = opened()
    pipeline.put(record(0), ADMIN)
    disk.error = OSError(errno.EIO, "Input/output error")
    pipeline.put(record(1), WRITE)
    pipeline.close()
    assert "1 audit records are lost" in caplog.text
    disk.error = None
    opened().put(record(2), ADMIN)
    assert [gap["reason"] for gap in gaps_in(tmp_path)] == ["ProcessEnded"]


def test_collected_pipeline_writes_records_and_ends_thread(tmp_path: Path) -> None:
    pipeline = pipeline_in(tmp_path)
    pipeline.put(record(1), READ)
    thread = pipeline._thread
    assert thread is not None
    del pipeline
    eventually(lambda: not thread.is_alive())
    assert ids_in(tmp_path) == ["id-1"]
    assert verdicts(tmp_path) == []


# --- event loops -----------------------------------------------------------------------------------------------------


def test_event_loop_is_never_blocked(tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk) -> None:
    """A full queue drops at once; durable records are refused, and `may_block` reports that in advance."""
    pipeline = opened(queue_size=4, wait=300.0)
    assert (pipeline.may_block("docs:GetDocument"), pipeline.may_block("iam:GetUser")) == (False, True)

    async def put(row: RecordClass) -> bool:
        return pipeline.put(record(50), row)

    assert asyncio.run(put(READ))
    with pytest.raises(NotRecordedError, match="event loop"):
        asyncio.run(put(ADMIN))
    pipeline.put(record(0), ADMIN)
    with blocked(disk):
        fill(pipeline, disk)
        assert pipeline.may_block("docs:GetDocument")
        began = time.monotonic()
        assert asyncio.run(put(READ)) is False
        with pytest.raises(NotRecordedError):
            asyncio.run(put(WRITE))
        assert time.monotonic() - began < 60
