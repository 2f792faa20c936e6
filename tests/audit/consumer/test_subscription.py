"""Consumers: at least once, in order, never beyond what is signed, across rotation, new shards, crashes and kills."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from iam_guard.audit.consumer.offsets import FOLDER
from iam_guard.audit.consumer.subscription import AuditReader, Delivery, Offset, Subscription
from iam_guard.audit.verify.shard import segments_of
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.writer.retention import drop_segments
from iam_guard.audit.writer.segment_writer import SegmentWriter
from iam_guard.errors import ConfigurationError, InvalidInput, TrailDamaged
from tests.audit.trails import KEY, NOON, RING, SMALL, STRANGER, lines_of, only_shard, record, writer_in, written


def reader(trail: Path, ring: KeyRing | None = RING) -> AuditReader:
    return AuditReader(trail, ring=ring)


def is_decision(record: dict[str, object]) -> bool:
    return "filler" in record


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.record["eventID"] for delivery in deliveries if is_decision(delivery.record)]


def wanted(count: int, begin: int = 0) -> list[str]:
    return [f"id-{number}" for number in range(begin, count)]


def drain(subscription: Subscription, found: list[Delivery] | None = None) -> list[Delivery]:
    """Take everything that is there now."""
    found = [] if found is None else found
    while batch := subscription.poll():
        found += batch
    return found


def at_noon(trail: Path) -> SegmentWriter:
    """Begin a shard whose own records are not later than those that are written into it."""
    moments = (NOON + timedelta(microseconds=number) for number in itertools.count())
    return SegmentWriter(trail, KEY, service="docs", limits=SMALL, clock=lambda: next(moments))


# --- what is handed out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3, 500])
@pytest.mark.parametrize("verify", [True, False])
def test_every_line_once_and_in_order_through_all_segments(tmp_path: Path, batch: int, verify: bool) -> None:
    shard = written(tmp_path, 40)
    assert len(segments_of(shard)) > 3
    with reader(tmp_path).subscribe(batch=batch, verify=verify, follow=False) as subscription:
        found = list(subscription)
    assert [each.offset for each in found] == [Offset(shard.name, number) for number in range(len(lines_of(shard)))]
    assert [each.record for each in found] == [json.loads(line) for line in lines_of(shard)]


def test_no_record_beyond_the_last_checkpoint_unless_told(tmp_path: Path) -> None:
    written(tmp_path, 20, is_ended=False, unsigned=3)
    with reader(tmp_path).subscribe(follow=False) as signed, reader(tmp_path).subscribe(verify=False) as all_of_it:
        assert ids(list(signed)) == wanted(17)
        assert ids(drain(all_of_it)) == wanted(20)


def test_records_come_when_they_are_signed_while_the_trail_is_written(tmp_path: Path) -> None:
    """Through a checkpoint, a rotation, half a line, a new shard, and the end of a shard."""
    first = writer_in(tmp_path)
    with reader(tmp_path).subscribe(filter=is_decision) as subscription:
        assert subscription.poll() == []
        for number in range(40):
            first.append([record(number)])
            first.commit()
            if number % 7 == 0:
                first.checkpoint()
                assert ids(drain(subscription))[-1] == f"id-{number}"
        first.checkpoint()
        assert ids(drain(subscription)) == wanted(40, 36)
        shard = tmp_path / str(first.shard)
        with segments_of(shard)[-1].lines.open("ab") as file:
            file.write(b'{"half":')
        assert subscription.poll() == []
        second = writer_in(tmp_path)
        second.append([record(100)])
        second.checkpoint()
        assert ids(drain(subscription)) == ["id-100"]
        second.close()
        assert drain(subscription) == []
    first.abandon()


def test_of_several_shards_the_oldest_record_comes_first(tmp_path: Path) -> None:
    writers = [at_noon(tmp_path) for _ in range(3)]
    for number in range(30):
        line = record(number).replace(b"12:00:00Z", b"12:00:%02dZ" % number)
        writers[number % 3].append([line])
    for writer in writers:
        writer.close()
    with reader(tmp_path).subscribe(follow=False, filter=is_decision) as subscription:
        assert ids(list(subscription)) == wanted(30)


def test_iteration_goes_on_after_a_break(tmp_path: Path) -> None:
    """What was fetched and not taken is not lost."""
    written(tmp_path, 10)
    with reader(tmp_path).subscribe("group", follow=False, filter=is_decision) as subscription:
        for delivery in subscription:
            subscription.ack(delivery.offset)
            break
        assert ids(list(subscription)) == wanted(10, 1)


def test_a_filter_that_fails_loses_no_record(tmp_path: Path) -> None:
    written(tmp_path, 10)
    is_failing = True

    def sometimes(each: dict[str, object]) -> bool:
        if is_failing and each["eventID"] == "id-5":
            raise ZeroDivisionError
        return is_decision(each)

    with reader(tmp_path).subscribe(follow=False, filter=sometimes) as subscription:
        assert ids(subscription.poll()) == wanted(5)
        with pytest.raises(ZeroDivisionError):
            subscription.poll()
        is_failing = False
        assert ids(drain(subscription)) == wanted(10, 5)


def test_asynchronously_while_another_thread_writes(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)

    def write() -> None:
        for number in range(60):
            writer.append([record(number)])
            writer.commit()
            time.sleep(0.001)
        writer.close()

    async def consume() -> list[Delivery]:
        found: list[Delivery] = []
        with reader(tmp_path).subscribe("async", filter=is_decision, poll_seconds=0.005) as subscription:
            async with asyncio.timeout(60):
                async for delivery in subscription:
                    found.append(delivery)
                    subscription.ack(delivery.offset)
                    if delivery.record["eventID"] == "id-59":
                        break
        return found

    thread = threading.Thread(target=write)
    thread.start()
    assert ids(asyncio.run(consume())) == wanted(60)
    thread.join()


def test_what_was_fetched_for_a_cancelled_task_is_handed_to_the_next(tmp_path: Path) -> None:
    written(tmp_path, 30)

    async def consume() -> list[str]:
        with reader(tmp_path).subscribe(filter=is_decision, batch=10) as subscription:

            async def first() -> None:
                async for _ in subscription:
                    raise AssertionError("it was cancelled before")

            task = asyncio.create_task(first())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            found: list[Delivery] = []
            async for delivery in subscription:
                found.append(delivery)
                if len(found) == 30:
                    return ids(found)
        return []

    assert asyncio.run(consume()) == wanted(30)


# --- offsets ---------------------------------------------------------------------------------------------------------


def test_a_group_goes_on_after_what_it_acknowledged(tmp_path: Path) -> None:
    written(tmp_path, 20)
    with reader(tmp_path).subscribe("one", filter=is_decision, batch=12) as subscription:
        found = subscription.poll()
        subscription.ack(found[4].offset)
    with reader(tmp_path).subscribe("one", filter=is_decision) as subscription:
        assert ids(drain(subscription)) == wanted(20, 5)
    with reader(tmp_path).subscribe("two", filter=is_decision) as subscription:
        assert ids(drain(subscription)) == wanted(20)


def test_what_the_filter_does_not_want_is_passed_with_the_next_acknowledgement(tmp_path: Path) -> None:
    written(tmp_path, 20)
    with reader(tmp_path).subscribe("one", filter=lambda each: each["eventID"] == "id-3") as subscription:
        [delivery] = drain(subscription)
        assert subscription.lag() > 10
        subscription.ack(delivery.offset)
        assert subscription.lag() == 0
    with reader(tmp_path).subscribe("one") as subscription:
        assert subscription.poll() == []


def test_only_what_was_handed_out_can_be_acknowledged(tmp_path: Path) -> None:
    shard = written(tmp_path, 5)
    with reader(tmp_path).subscribe("one") as subscription:
        for offset in (Offset(shard.name, 0), Offset("no-shard", 0)):
            with pytest.raises(InvalidInput):
                subscription.ack(offset)


def test_one_process_at_a_time_works_for_a_group(tmp_path: Path) -> None:
    written(tmp_path, 5)
    with reader(tmp_path).subscribe("one"):
        with pytest.raises(ConfigurationError, match="another process"):
            reader(tmp_path).subscribe("one")
        reader(tmp_path).subscribe("two").close()
    reader(tmp_path).subscribe("one").close()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format":1,"shards":{"a":{"next":-1}}}', b"\xff", b"[]"])
def test_offsets_that_cannot_be_read_are_an_error(tmp_path: Path, content: bytes) -> None:
    """To begin anew would hand out everything again, and forget what was verified."""
    written(tmp_path / "trail", 5)
    offsets = tmp_path / "offsets"
    offsets.mkdir()
    (offsets / "one.json").write_bytes(content)
    with pytest.raises(InvalidInput, match="offsets"):
        AuditReader(tmp_path / "trail", ring=RING, offsets=offsets).subscribe("one")


def test_what_is_refused(tmp_path: Path) -> None:
    written(tmp_path, 5)
    for group in ("", "../up", "a b", "."):
        with pytest.raises(InvalidInput):
            reader(tmp_path).subscribe(group)
    with pytest.raises(ConfigurationError, match="public key"):
        reader(tmp_path, None).subscribe("one")
    with pytest.raises(InvalidInput):
        reader(tmp_path).subscribe("one", batch=0)
    with pytest.raises(InvalidInput):
        reader(tmp_path).subscribe("one", start=datetime(2026, 1, 1))  # noqa: DTZ001 - that is what is refused


# --- where to start --------------------------------------------------------------------------------------------------


def test_latest_begins_after_what_is_there_and_misses_nothing_after_that(tmp_path: Path) -> None:
    """Also what came while the consumer was away, and shards that began then."""
    writer = writer_in(tmp_path)
    writer.append([record(0)])
    writer.checkpoint()
    with reader(tmp_path).subscribe("one", "latest", filter=is_decision) as subscription:
        assert subscription.poll() == []
    writer.append([record(1)])
    writer.close()
    written(tmp_path, 1)
    with reader(tmp_path).subscribe("one", "latest", filter=is_decision) as subscription:
        assert ids(drain(subscription)) == ["id-1", "id-0"]


def test_a_sequence_and_a_time(tmp_path: Path) -> None:
    number = 0
    clock = lambda: NOON + timedelta(seconds=number)  # noqa: E731 - it reads the number as it is then
    writer = SegmentWriter(tmp_path, KEY, service="docs", limits=SMALL, clock=clock)
    for number in range(30):
        writer.append([record(number).replace(b"12:00:00Z", b"12:00:%02dZ" % number)])
        writer.commit()
    writer.close()
    at = datetime(2026, 11, 24, 12, 0, 17, tzinfo=UTC)
    with reader(tmp_path).subscribe(start=at, filter=is_decision) as subscription:
        assert ids(drain(subscription)) == wanted(30, 17)
    [sequence] = [n for n, line in enumerate(lines_of(only_shard(tmp_path))) if b'"id-21"' in line]
    with reader(tmp_path).subscribe(start=sequence, filter=is_decision) as subscription:
        assert ids(drain(subscription)) == wanted(30, 21)


def test_seek_goes_anywhere_and_is_kept(tmp_path: Path) -> None:
    shard = written(tmp_path, 20)
    with reader(tmp_path).subscribe("one", filter=is_decision) as subscription:
        found = drain(subscription)
        subscription.ack(found[-1].offset)
        subscription.seek(found[15].offset)
        assert ids(drain(subscription)) == wanted(20, 15)
        subscription.seek("latest")
        assert drain(subscription) == []
        subscription.seek("earliest")
        with pytest.raises(InvalidInput):
            subscription.seek(Offset("no-shard", 0))
    with reader(tmp_path).subscribe("one", filter=is_decision) as subscription:
        assert ids(drain(subscription)) == wanted(20)
        assert subscription.lag() == len(lines_of(shard))


def test_a_record_that_was_handed_out_can_be_proved(tmp_path: Path) -> None:
    written(tmp_path, 20)
    proof = reader(tmp_path).prove("id-7")
    assert json.loads(proof.line)["eventID"] == "id-7"


# --- damage ----------------------------------------------------------------------------------------------------------


def change(shard: Path) -> None:
    segment = segments_of(shard)[1]
    segment.lines.write_bytes(segment.lines.read_bytes().replace(b"Allowed", b"Denied!", 1))


def swap(shard: Path) -> None:
    path = segments_of(shard)[1].lines
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1], lines[2] = lines[2], lines[1]
    path.write_bytes(b"".join(lines))


def delete_line(shard: Path) -> None:
    path = segments_of(shard)[1].lines
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:1] + lines[2:]))


def delete_segment(shard: Path) -> None:
    for ending in (".jsonl", ".hashes", ".checkpoints"):
        segments_of(shard)[1].path(ending).unlink(missing_ok=True) if ending != ".jsonl" else None
    (shard / f"{segments_of(shard)[1].name}.jsonl").unlink()


def delete_lines(shard: Path) -> None:
    segments_of(shard)[1].lines.unlink()


def cut_tail(shard: Path) -> None:
    path = segments_of(shard)[-1].lines
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def spoil_signature(shard: Path) -> None:
    path = segments_of(shard)[1].checkpoints
    content = path.read_bytes()
    place = content.index(b"\n\n") + 40
    path.write_bytes(content[:place] + (b"A" if content[place : place + 1] != b"A" else b"B") + content[place + 1 :])


def insert_after_end(shard: Path) -> None:
    path = segments_of(shard)[1].lines
    path.write_bytes(path.read_bytes() + b'{"iamGuard":{}}\n')


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "changed": (change, "MODIFIED"),
    "swapped": (swap, "REORDERED"),
    "line deleted": (delete_line, "MISSING"),
    "segment deleted": (delete_segment, "MISSING"),
    "lines deleted": (delete_lines, "MISSING"),
    "tail cut": (cut_tail, "TRUNCATED_TAIL"),
    "signature": (spoil_signature, "BAD_SIGNATURE"),
    "put in": (insert_after_end, "MODIFIED"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_place_raises_with_its_verdict_and_nothing_of_it_is_handed_out(tmp_path: Path, name: str) -> None:
    shard = written(tmp_path, 40)
    good = [json.loads(line) for line in lines_of(shard)]
    damage, verdict = DAMAGES[name]
    damage(shard)
    with reader(tmp_path).subscribe("one") as subscription:
        found: list[Delivery] = []
        with pytest.raises(TrailDamaged) as raised:
            drain(subscription, found)
        assert raised.value.verdict == verdict
        assert (raised.value.place or "").startswith(shard.name)
        assert [each.record for each in found] == good[: len(found)]
        with pytest.raises(TrailDamaged):  # it does not heal by asking again
            subscription.poll()


def test_after_damage_seek_goes_on_in_the_next_segment(tmp_path: Path) -> None:
    shard = written(tmp_path, 40)
    change(shard)
    with reader(tmp_path).subscribe("one") as subscription:
        with pytest.raises(TrailDamaged):
            drain(subscription)
        following = segments_of(shard)[2].first
        subscription.seek(Offset(shard.name, following))
        assert [each.offset.sequence for each in drain(subscription)] == list(range(following, len(lines_of(shard))))


def test_any_change_of_any_byte_is_seen_before_the_record_is_handed_out(tmp_path: Path) -> None:
    shard = written(tmp_path, 16)
    good = [json.loads(line) for line in lines_of(shard)]
    chosen = random.Random(7)
    for segment in segments_of(shard):
        content = segment.lines.read_bytes()
        for place in chosen.sample(range(len(content)), 40):
            spoiled = bytearray(content)
            spoiled[place] ^= 1 << chosen.randrange(8)
            segment.lines.write_bytes(spoiled)
            found: list[Delivery] = []
            with reader(tmp_path).subscribe(batch=1) as subscription, pytest.raises(TrailDamaged):
                drain(subscription, found)
            assert [each.record for each in found] == good[: len(found)]
        segment.lines.write_bytes(content)


def test_a_stranger_signed_it(tmp_path: Path) -> None:
    written(tmp_path, 10)
    with (
        reader(tmp_path, KeyRing([STRANGER.verifier])).subscribe() as subscription,
        pytest.raises(TrailDamaged, match="UNKNOWN_KEY"),
    ):
        subscription.poll()


def consumed(trail: Path) -> None:
    with reader(trail).subscribe("one") as subscription:
        for delivery in drain(subscription):
            subscription.ack(delivery.offset)


def test_between_two_runs_nothing_that_was_read_may_go(tmp_path: Path) -> None:
    """The kept offset says up to which checkpoint the shard was verified; the trail alone would look whole."""
    shard = written(tmp_path, 20, is_ended=False)
    consumed(tmp_path)
    segment = segments_of(shard)[-1]
    checkpoints, lines = segment.checkpoints.read_bytes(), segment.lines.read_bytes().splitlines(keepends=True)
    segment.checkpoints.write_bytes(b"".join(part + b"\n\n" for part in checkpoints.split(b"\n\n")[:-3]))
    segment.lines.write_bytes(b"".join(lines[:-2]))
    segment.hashes.write_bytes(segment.hashes.read_bytes()[:-64])
    with reader(tmp_path).subscribe("one") as subscription, pytest.raises(TrailDamaged, match="TRUNCATED_TAIL"):
        subscription.poll()


def test_a_shard_that_was_written_anew_by_the_owner_of_the_key_is_a_fork(tmp_path: Path) -> None:
    trail = tmp_path / "trail"
    shard = written(trail, 20, is_ended=False)
    consumed(trail)
    other = written(tmp_path / "other", 24, is_ended=False)
    name = other.name.encode()
    assert len(name) == len(shard.name)
    for path in shard.iterdir():
        path.unlink()
    rewrite(other, shard)
    with reader(trail).subscribe("one") as subscription, pytest.raises(TrailDamaged, match="FORKED"):
        subscription.poll()


def rewrite(source: Path, target: Path) -> None:
    """Write the records of a shard anew under the name of another, as whoever has the key can."""
    writer = writer_in(target.parent / "drafts", replace(SMALL, segment_bytes=10**6))
    moment = target.name
    writer._begun()
    begun = target.parent / "drafts" / str(writer.shard)
    begun.rename(target.parent / "drafts" / moment)
    writer._shard = target.parent / "drafts" / moment
    for number, _ in enumerate(lines_of(source)):
        writer.append([record(number, filler="another")])
        writer.commit()
    writer.checkpoint()
    writer.abandon()
    for path in (target.parent / "drafts" / moment).iterdir():
        path.rename(target / path.name)
    (target.parent / "drafts" / moment).rmdir()
    (target.parent / "drafts").rmdir()


def test_a_shard_that_is_gone_is_missing(tmp_path: Path) -> None:
    shard = written(tmp_path, 5)
    consumed(tmp_path)
    shard.rename(tmp_path / ".away")
    with pytest.raises(TrailDamaged, match="MISSING"):
        reader(tmp_path).subscribe("one")


# --- retention -------------------------------------------------------------------------------------------------------


def test_earliest_is_the_first_that_is_left_when_the_trail_says_what_it_dropped(tmp_path: Path) -> None:
    written(tmp_path, 20)
    writer = writer_in(tmp_path)
    dropped = drop_segments(tmp_path, writer, datetime(2026, 11, 24, tzinfo=UTC) + timedelta(days=1))
    assert dropped
    writer.append([record(100)])
    writer.close()
    with reader(tmp_path).subscribe(filter=is_decision, follow=False) as subscription:
        assert ids(list(subscription))[-1] == "id-100"


def test_what_was_taken_away_without_a_word_is_missing(tmp_path: Path) -> None:
    shard = written(tmp_path, 20)
    segments_of(shard)[0].lines.unlink()
    with pytest.raises(TrailDamaged, match="MISSING"):
        reader(tmp_path).subscribe()


def test_a_consumer_that_retention_overtook_is_told(tmp_path: Path) -> None:
    shard = written(tmp_path, 20)
    with reader(tmp_path).subscribe("slow", batch=2) as subscription:
        subscription.ack(subscription.poll()[-1].offset)
    writer = writer_in(tmp_path)
    drop_segments(tmp_path, writer, datetime(2026, 12, 24, tzinfo=UTC))
    writer.close()
    with reader(tmp_path).subscribe("slow") as subscription:
        with pytest.raises(TrailDamaged, match="MISSING"):
            subscription.poll()
        subscription.seek("earliest")
        assert {each.offset.shard for each in drain(subscription)} >= {str(only_left(tmp_path, shard))}


def only_left(trail: Path, but: Path) -> str:
    [other] = [path.name for path in trail.iterdir() if path.name[0] != "." and path != but]
    return other


# --- kills -----------------------------------------------------------------------------------------------------------

CONSUMER = """
import os, sys
from iam_guard.audit.verify.signed_note import KeyRing, VerifierKey
from iam_guard.audit.consumer.subscription import AuditReader

trail, vkey, out, step = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
log = os.open(out, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
reader = AuditReader(trail, ring=KeyRing([VerifierKey.parse(vkey)]))
with reader.subscribe("killed", filter=lambda each: "filler" in each, poll_seconds=0.002) as subscription:
    offsets = []
    for offset, record in subscription:
        os.write(log, b"%s\\n" % record["eventID"].encode())
        offsets.append(offset)
        if len(offsets) == step:
            subscription.ack(*offsets)
            os.write(log, b"ack\\n")
            offsets = []
"""


@pytest.mark.slow
def test_a_consumer_that_is_killed_at_any_moment_skips_nothing(tmp_path: Path) -> None:
    """SIGKILL, again and again, while three shards are written one after the other, with recovery of nothing.

    Every record comes; between two acknowledgements a record comes once a run; what was acknowledged comes never again.
    """
    trail, out = tmp_path / "trail", tmp_path / "out"
    stop = threading.Event()
    total = 0

    def write() -> None:
        nonlocal total
        while not stop.is_set():
            writer = writer_in(trail)
            for _ in range(150):
                writer.append([record(total)])
                total += 1
                writer.commit()
                time.sleep(0.0005)
            writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    chosen = random.Random(11)
    arguments = [sys.executable, "-c", CONSUMER, str(trail), str(KEY.verifier), str(out), "7"]
    runs: list[list[str]] = []
    try:
        for _ in range(12):
            out.unlink(missing_ok=True)
            process = subprocess.Popen(arguments, start_new_session=True)
            until = time.monotonic() + 60
            while (not out.exists() or not out.stat().st_size) and time.monotonic() < until:
                time.sleep(0.005)
            time.sleep(chosen.random() * 0.15)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            runs.append(out.read_text().splitlines() if out.exists() else [])
    finally:
        stop.set()
        thread.join()
    with reader(trail).subscribe("killed", filter=is_decision) as subscription:
        runs.append(ids(drain(subscription)))
    got = [[line for line in run if not line.startswith("ack")] for run in runs]
    assert {each for run in got for each in run} == set(wanted(total))
    acked: set[str] = set()
    for run in runs:
        fresh: list[str] = []
        for line in run:
            if line.startswith("ack"):
                acked.update(fresh)
                fresh = []
            else:
                assert line not in acked
                fresh.append(line)
    assert all(len(run) == len(set(run)) for run in got)
    assert any(len(run) > 7 for run in runs)


def test_offsets_lie_beside_the_trail_and_no_shard_is_made_of_them(tmp_path: Path) -> None:
    written(tmp_path, 5)
    consumed(tmp_path)
    assert (tmp_path / FOLDER / "one.json").stat().st_mode & 0o777 == 0o600
    with reader(tmp_path).subscribe("two", follow=False) as subscription:
        assert len({each.offset.shard for each in subscription}) == 1
