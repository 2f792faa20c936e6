"""The way of a record into the trail: in groups, durably, with checkpoints; and what a full ring does."""

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
from iam_guard.audit.sinks import ListSink
from iam_guard.audit.trail import Trail
from iam_guard.audit.verify.checkpoint import notes_of, open_checkpoint
from iam_guard.audit.verify.shard import is_ended, shards_of
from iam_guard.audit.verify.trail_events import refused_line
from iam_guard.audit.verify.verdicts import Verdict
from iam_guard.audit.writer.pipeline import NotRecordedError, Pipeline
from iam_guard.audit.writer.record_queue import Ticket
from iam_guard.audit.writer.segment_limits import SegmentLimits
from iam_guard.errors import InvalidClientTokenId, StoreUnavailable
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest, Call
from tests.audit.pipelines import eventually, facts_in, gaps_in, ids_in, pipeline_in
from tests.audit.trails import NOON, RING, last_segment, only_shard, record, verdicts

ADA = "arn:aws:iam::111122223333:user/ada"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., Pipeline]]:
    """Make pipelines that are closed at the end."""
    made: list[Pipeline] = []

    def make(**options: Any) -> Pipeline:
        made.append(pipeline_in(tmp_path, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


class Disk:
    """Stands in the way of every write of lines to a segment: broken, or held up until told otherwise."""

    def __init__(self) -> None:
        self.error: OSError | None = None
        self.goes = threading.Event()
        self.goes.set()
        self.has_begun = threading.Event()
        self.may_give_up = threading.Event()
        """Requests wait for the disk until both have happened, and then as long as the pipeline says."""
        self.may_give_up.set()
        self.syncs: list[str] = []

    def append(self, file: AppendFile, data: bytes) -> None:
        self.has_begun.set()
        assert self.goes.wait(300)
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
    answered = Ticket.is_answered_in

    def answered_in(ticket: Ticket, seconds: float) -> bool:
        assert one.has_begun.wait(60), "the writer never came to the disk"
        assert one.may_give_up.wait(60)
        return answered(ticket, seconds)

    monkeypatch.setattr(Ticket, "is_answered_in", answered_in)
    return one


@contextmanager
def held(disk: Disk) -> Iterator[None]:
    disk.goes.clear()
    try:
        yield
    finally:
        disk.goes.set()


def fill(pipeline: Pipeline, disk: Disk, row: RecordClass = READ) -> int:
    """Have one record in the hand of the writer, which cannot write, and a full lane behind it; return its places."""
    pipeline.put(record(0), READ)
    eventually(lambda: pipeline.usage().waiting == 0 and pipeline.usage().oldest_age > 0)
    lane, number = lane_of(row, is_signed_in=True), 0
    while pipeline._ring.put(record(number + 1), wait=0.0, lane=lane, caller=str(number)):
        number += 1
    return number


# --- all is well -----------------------------------------------------------------------------------------------------


def test_records_come_in_their_order_and_verify(tmp_path: Path, opened: Callable[..., Pipeline]) -> None:
    """`close` drains, signs everything and ends the shard."""
    pipeline = opened()
    for number in range(2500):
        assert pipeline.put(record(number), (READ, WRITE, DENIAL)[number % 3])
    pipeline.close()
    assert ids_in(tmp_path) == [f"id-{number}" for number in range(2500)]
    assert is_ended(only_shard(tmp_path))
    assert verdicts(tmp_path) == []
    assert pipeline.usage()[4:7] == (0, 0, False)


def test_nothing_is_made_before_the_first_record(tmp_path: Path, opened: Callable[..., Pipeline]) -> None:
    """So a process may fork before it."""
    threads = threading.active_count()
    pipeline = opened()
    assert (list(tmp_path.iterdir()), threading.active_count()) == ([], threads)
    pipeline.close()
    assert list(tmp_path.iterdir()) == []


def test_a_durable_record_is_in_the_file_and_synced_when_put_returns(
    tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk
) -> None:
    pipeline = opened()
    for number in range(5):
        before = len(disk.syncs)
        assert pipeline.put(record(number), ADMIN)
        assert ids_in(tmp_path)[-1] == f"id-{number}"
        assert disk.syncs[before:][-1:] == ["iam-guard-audit"]


def test_concurrent_durable_records_share_a_sync(tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk) -> None:
    """Those that come while the disk is busy are written and synced together."""
    pipeline = opened()
    pipeline.put(record(0), ADMIN)
    before = len(disk.syncs)
    with held(disk):
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


def test_a_checkpoint_comes_while_nothing_does(tmp_path: Path, opened: Callable[..., Pipeline]) -> None:
    """The thread signs in time by itself."""
    pipeline = opened(limits=SegmentLimits(checkpoint_seconds=0.1))
    pipeline.put(record(1), READ)
    eventually(lambda: pipeline.usage().checkpoint_age is not None)
    content = last_segment(only_shard(tmp_path)).checkpoints.read_bytes()
    sizes = [open_checkpoint(place.note, RING).checkpoint.size for place in notes_of(content)]
    assert sizes[-1] == 2
    age = pipeline.usage().checkpoint_age
    assert age is not None
    assert age >= 0


def test_threads_lose_nothing(tmp_path: Path, opened: Callable[..., Pipeline]) -> None:
    """Not even where the ring is small, for they wait."""
    pipeline = opened(ring=50, wait=20.0, durable_wait=20.0)

    def work(thread: int) -> None:
        for number in range(300):
            assert pipeline.put(record(thread * 1000 + number), ADMIN if number % 100 == 0 else WRITE)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    pipeline.close()
    assert len(set(ids_in(tmp_path))) == len(ids_in(tmp_path)) == 2400
    assert verdicts(tmp_path) == []


def test_what_killed_processes_left_is_recovered_at_the_start(tmp_path: Path, opened: Callable[..., Pipeline]) -> None:
    from tests.audit.trails import written

    left = written(tmp_path, 10, is_ended=False)
    opened().put(record(77), ADMIN)
    assert is_ended(left)
    assert [gap["reason"] for gap in gaps_in(tmp_path)] == ["ProcessEnded"]


def test_the_trail_has_the_lines_that_a_sink_would_have(
    tmp_path: Path, opened: Callable[..., Pipeline], decide: Callable[..., Decision], call: Call
) -> None:
    """Of every kind, masked alike, whoever makes the line; shard and sequence come to it."""
    spied = replace(call, user_agent="Bearer hunter2-hunter2")

    def note(trail: Trail) -> None:
        trail.note(decide(), spied, started=100.0)
        trail.note(decide(Outcome.EXPLICITLY_DENIED), spied, started=100.0)
        trail.note(replace(decide(), request=AccessRequest(Principal.from_arn(ADA), "docs:Put", "*")), call, started=99)
        trail.record_authentication(InvalidClientTokenId(), spied, kind="sigv4", credential_id="igk_hunter2.hunter2")
        trail.record_error(StoreUnavailable("gone"), spied, action="docs:X")

    same: Any = {"clock": lambda: NOON, "new_id": lambda: "event-1", "timer": lambda: 100.25}
    sink = ListSink()
    pipeline = opened()
    note(Trail(sink, **same))
    note(Trail(pipeline, **same))
    pipeline.close()
    kept = [each for each in facts_in(tmp_path) if not each["iamGuard"]["kind"].startswith("audit_")]
    for number, each in enumerate(kept, 1):
        assert each["iamGuard"].pop("shard") == only_shard(tmp_path).name
        assert each["iamGuard"].pop("sequence") == number
    assert kept == sink.records
    assert "hunter2" not in str(kept)


# --- the ring is full, or the disk is slow ---------------------------------------------------------------------------


@pytest.mark.parametrize("row", [READ, WRITE, DENIAL])
def test_a_full_ring_holds_back_as_long_as_it_is_told(
    row: RecordClass, tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk
) -> None:
    """A place that comes in time is taken."""
    pipeline = opened(ring=4, wait=10.0)
    with held(disk):
        fill(pipeline, disk, row)
        threading.Timer(0.2, disk.goes.set).start()
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
def test_on_a_slow_disk_each_class_has_its_way_and_the_gap_is_declared(
    row: RecordClass,
    fail_open: tuple[str, ...],
    is_refused: bool,
    tmp_path: Path,
    opened: Callable[..., Pipeline],
    disk: Disk,
) -> None:
    """The wait is bounded; what was dropped and what was refused is counted in the trail once it goes on."""
    pipeline = opened(ring=4, wait=0.05, durable_wait=0.05, fail_open=fail_open)
    with held(disk):
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


def test_a_slow_disk_delays_the_durable_only(tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk) -> None:
    pipeline = opened(durable_wait=300.0)
    pipeline.put(record(0), ADMIN)
    with ThreadPoolExecutor(1) as pool, held(disk):
        for number in range(1, 100):
            assert pipeline.put(record(number), WRITE)
        durable = pool.submit(pipeline.put, record(100), ADMIN)
        with pytest.raises(TimeoutError):
            durable.result(timeout=0.2)
        disk.goes.set()
        assert durable.result()
    assert len(ids_in(tmp_path)) == 101


def test_a_durable_record_that_waits_too_long_is_refused_and_withdrawn(
    tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk
) -> None:
    """Behind a disk that hangs; the record does not turn up later, for the answer was no."""
    pipeline = opened(durable_wait=0.1)
    with held(disk):
        pipeline.put(record(0), READ)
        eventually(lambda: pipeline.usage().waiting == 0)
        with pytest.raises(NotRecordedError, match="in time"):
            pipeline.put(record(1), ADMIN)
    pipeline.close()
    assert ids_in(tmp_path) == ["id-0"]
    assert gaps_in(tmp_path)[0]["refused"] == 1


def corrections_in(trail: Path) -> list[str]:
    facts = [each["iamGuard"] for each in facts_in(trail)]
    return [fact["refusedEventID"] for fact in facts if fact["kind"] == "audit_refused"]


def correction(number: int) -> bytes:
    return refused_line(Stamp(NOON, f"correction-{number}"), f"id-{number}")


def test_a_record_that_turns_up_although_its_request_was_refused_is_corrected(
    tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk
) -> None:
    """It was being written when its request stopped waiting; of one that was withdrawn there is nothing to correct."""
    pipeline = opened(durable_wait=0.1)
    with held(disk):
        with pytest.raises(NotRecordedError, match="in time"):
            pipeline.put(record(0), ADMIN, correction=correction(0))
        with pytest.raises(NotRecordedError, match="in time"):
            pipeline.put(record(1), ADMIN, correction=correction(1))
    pipeline.close()
    assert ids_in(tmp_path) == ["id-0"]
    assert corrections_in(tmp_path) == ["id-0"]
    assert gaps_in(tmp_path)[0]["refused"] == 2


def test_a_correction_finds_its_place_where_there_is_none(
    tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk
) -> None:
    """The ring is full just when the disk hangs; without the correction the trail would say Allowed for ever."""
    pipeline = opened(ring=2, durable_wait=0.1)
    disk.may_give_up.clear()
    with held(disk), ThreadPoolExecutor() as other:
        refused = other.submit(pipeline.put, record(0), ADMIN, correction=correction(0))
        eventually(lambda: pipeline.usage().waiting == 0 and pipeline.usage().oldest_age > 0)
        assert pipeline.put(record(1), READ)
        assert pipeline.put(record(2), READ)
        disk.may_give_up.set()
        with pytest.raises(NotRecordedError, match="in time"):
            refused.result()
    pipeline.close()
    assert ids_in(tmp_path) == ["id-0", "id-1", "id-2"]
    assert corrections_in(tmp_path) == ["id-0"]


def test_where_requests_go_on_without_their_records_none_is_called_refused(
    tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk, decide: Callable[..., Decision]
) -> None:
    pipeline = opened(durable_wait=0.1)
    trail = Trail(pipeline, on_failure="ignore")
    call = replace(decide().request, action="iam:GetUser")
    with held(disk):
        trail.note(replace(decide(), request=call), None, started=0.0)
    pipeline.close()
    assert len(ids_in(tmp_path)) == 1
    assert corrections_in(tmp_path) == []


def test_what_is_done_is_told_and_comes_when_it_can(
    tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk
) -> None:
    """Whether it waited or was being written: what it says has happened, so nothing is missing."""
    pipeline = opened(durable_wait=0.1)
    with held(disk):
        for number in range(2):
            with pytest.raises(NotRecordedError, match="written when it can be"):
                pipeline.put(record(number), CHANGE)
        assert pipeline.usage().waiting == 1
    pipeline.close()
    assert ids_in(tmp_path) == ["id-0", "id-1"]
    assert gaps_in(tmp_path) == []
    assert verdicts(tmp_path) == []


def test_what_is_done_and_finds_no_place_is_lost_not_refused(
    tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk
) -> None:
    """The gap says that something happened of which nothing is known."""
    pipeline = opened(ring=1, durable_wait=0.05)
    with held(disk):
        fill(pipeline, disk, CHANGE)
        with pytest.raises(NotRecordedError, match="no place"):
            pipeline.put(record(9), CHANGE)
    pipeline.close()
    [gap] = gaps_in(tmp_path)
    assert gap["lost"] == 1
    assert "refused" not in gap


# --- the disk is broken ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.EROFS])
def test_a_disk_that_fails_refuses_at_once_and_keeps_what_it_took(
    code: int, tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """What was answered is written once it can be; what must be durable is refused without waiting."""
    pipeline = opened(ring=4, wait=300.0, durable_wait=300.0)
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
    assert "the audit trail is written again" in caplog.text


def test_a_disk_that_fails_keeps_what_is_done_and_corrects_nothing(
    tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk
) -> None:
    """A decision that was refused is not in the trail; what a call came to is written as soon as it can be."""
    pipeline = opened()
    pipeline.put(record(0), ADMIN)
    disk.error = OSError(errno.EIO, "Input/output error")
    with pytest.raises(NotRecordedError, match="written when it can be"):
        pipeline.put(record(1), CHANGE)
    with pytest.raises(NotRecordedError):
        pipeline.put(record(2), ADMIN, correction=correction(2))
    disk.error = None
    pipeline.close()
    assert ids_in(tmp_path) == ["id-0", "id-1"]
    assert corrections_in(tmp_path) == []


def test_what_a_failed_sync_leaves_in_the_file_is_corrected(
    tmp_path: Path, opened: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = opened()
    pipeline.put(record(0), ADMIN)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(append_file, "_sync", fail)
        with pytest.raises(NotRecordedError, match="did not get to the disk"):
            pipeline.put(record(1), ADMIN, correction=correction(1))
    pipeline.close()
    assert corrections_in(tmp_path) == ["id-1"]


def test_a_sync_that_fails_refuses_and_writes_nothing_twice(
    tmp_path: Path, opened: Callable[..., Pipeline], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = opened()
    pipeline.put(record(0), ADMIN)

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(append_file, "_sync", fail)
        with pytest.raises(NotRecordedError, match="did not get to the disk"):
            pipeline.put(record(1), ADMIN)
    pipeline.put(record(2), ADMIN)
    pipeline.close()
    assert ids_in(tmp_path) == ["id-0", "id-1", "id-2"]
    assert [gap["reason"] for gap in gaps_in(tmp_path)] == ["SyncFailed", "NotRecorded"]


def test_the_unexpected_leaves_the_shard_and_goes_on(
    tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk
) -> None:
    """A thread that died would leave every request waiting."""
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
def test_what_is_no_line_is_refused_before_it_can_stand_in_the_way(
    line: bytes, tmp_path: Path, opened: Callable[..., Pipeline]
) -> None:
    pipeline = opened()
    with pytest.raises(NotRecordedError):
        pipeline.put(line, WRITE)
    assert pipeline.put(line, DENIAL) is False
    pipeline.put(record(1), ADMIN)
    assert ids_in(tmp_path) == ["id-1"]


def test_a_line_may_be_made_by_the_writer(tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk) -> None:
    """Once, in its thread, however often the batch is tried; the order stays."""
    made: list[str] = []

    def make() -> bytes:
        made.append(threading.current_thread().name)
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
    assert made == ["iam-guard-audit"]


@pytest.mark.parametrize("row", [READ, DENIAL])
def test_a_line_that_the_writer_cannot_make_is_missing_and_the_others_are_kept(
    row: RecordClass, tmp_path: Path, opened: Callable[..., Pipeline], caplog: pytest.LogCaptureFixture
) -> None:
    """The gap has the number, the log has nothing of the record."""

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


# --- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [READ, WRITE, ADMIN, CHANGE])
def test_after_the_close_every_allow_is_refused(row: RecordClass, opened: Callable[..., Pipeline]) -> None:
    pipeline = opened()
    pipeline.put(record(0), READ)
    pipeline.close()
    pipeline.close()
    with pytest.raises(NotRecordedError):
        pipeline.put(record(1), row)
    assert pipeline.put(record(1), DENIAL) is False


def test_closing_on_a_broken_disk_ends_and_says_what_is_lost(
    tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    """The next start finds the shard without its end and declares the gap."""
    pipeline = opened()
    pipeline.put(record(0), ADMIN)
    disk.error = OSError(errno.EIO, "Input/output error")
    pipeline.put(record(1), WRITE)
    pipeline.close()
    assert "1 audit records are lost" in caplog.text
    disk.error = None
    opened().put(record(2), ADMIN)
    assert [gap["reason"] for gap in gaps_in(tmp_path)] == ["ProcessEnded"]


def test_a_pipeline_that_nobody_holds_writes_what_it_took_and_its_thread_ends(tmp_path: Path) -> None:
    pipeline = pipeline_in(tmp_path)
    pipeline.put(record(1), READ)
    thread = pipeline._thread
    assert thread is not None
    del pipeline
    eventually(lambda: not thread.is_alive())
    assert ids_in(tmp_path) == ["id-1"]
    assert verdicts(tmp_path) == []


# --- event loops -----------------------------------------------------------------------------------------------------


def test_nothing_waits_on_an_event_loop(tmp_path: Path, opened: Callable[..., Pipeline], disk: Disk) -> None:
    """A full ring is full at once there; what must be durable is refused, and `may_wait` says so beforehand."""
    pipeline = opened(ring=4, wait=300.0)
    assert (pipeline.may_wait("docs:GetDocument"), pipeline.may_wait("iam:GetUser")) == (False, True)

    async def put(row: RecordClass) -> bool:
        return pipeline.put(record(50), row)

    assert asyncio.run(put(READ))
    with pytest.raises(NotRecordedError, match="event loop"):
        asyncio.run(put(ADMIN))
    pipeline.put(record(0), ADMIN)
    with held(disk):
        fill(pipeline, disk)
        assert pipeline.may_wait("docs:GetDocument")
        began = time.monotonic()
        assert asyncio.run(put(READ)) is False
        with pytest.raises(NotRecordedError):
            asyncio.run(put(WRITE))
        assert time.monotonic() - began < 60
