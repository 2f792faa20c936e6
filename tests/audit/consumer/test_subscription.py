"""Consumers: at least once, in order, signed records only, across segments, new shards, crashes and kills."""

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
from tests.audit.trails import KEY, NOON, RING, SMALL, UNTRUSTED_KEY, lines_of, only_shard, record, writer_in, written


def reader(trail: Path, ring: KeyRing | None = RING) -> AuditReader:
    return AuditReader(trail, ring=ring)


def is_decision(record: dict[str, object]) -> bool:
    return "filler" in record


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.record["eventID"] for delivery in deliveries if is_decision(delivery.record)]


def expected_ids(count: int, begin: int = 0) -> list[str]:
    return [f"id-{number}" for number in range(begin, count)]


def drain(subscription: Subscription, found: list[Delivery] | None = None) -> list[Delivery]:
    """Poll until nothing is left."""
    found = [] if found is None else found
    while batch := subscription.poll():
        found += batch
    return found


def writer_at_noon(trail: Path) -> SegmentWriter:
    """Return a writer whose trail events are not later than the written records."""
    times = (NOON + timedelta(microseconds=number) for number in itertools.count())
    return SegmentWriter(trail, KEY, service="docs", limits=SMALL, clock=lambda: next(times))


# --- delivery --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 3, 500])
@pytest.mark.parametrize("verify", [True, False])
def test_subscription_delivers_every_line_once_in_order(tmp_path: Path, batch: int, verify: bool) -> None:
    shard = written(tmp_path, 40)
    assert len(segments_of(shard)) > 3
    with reader(tmp_path).subscribe(batch=batch, verify=verify, follow=False) as subscription:
        found = list(subscription)
    assert [each.offset for each in found] == [Offset(shard.name, number) for number in range(len(lines_of(shard)))]
    assert [each.record for each in found] == [json.loads(line) for line in lines_of(shard)]


def test_unsigned_records_are_delivered_only_unverified(tmp_path: Path) -> None:
    written(tmp_path, 20, is_ended=False, unsigned=3)
    with reader(tmp_path).subscribe(follow=False) as signed, reader(tmp_path).subscribe(verify=False) as all_of_it:
        assert ids(list(signed)) == expected_ids(17)
        assert ids(drain(all_of_it)) == expected_ids(20)


def test_records_are_delivered_once_signed(tmp_path: Path) -> None:
    """Through checkpoints, new segments, half a line, a new shard, and the end of a shard."""
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
        assert ids(drain(subscription)) == expected_ids(40, 36)
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


def test_shards_are_merged_by_time(tmp_path: Path) -> None:
    writers = [writer_at_noon(tmp_path) for _ in range(3)]
    for number in range(30):
        line = record(number).replace(b"12:00:00Z", b"12:00:%02dZ" % number)
        writers[number % 3].append([line])
    for writer in writers:
        writer.close()
    with reader(tmp_path).subscribe(follow=False, filter=is_decision) as subscription:
        assert ids(list(subscription)) == expected_ids(30)


def test_iteration_after_break_continues(tmp_path: Path) -> None:
    """Fetched records that were not taken are not lost."""
    written(tmp_path, 10)
    with reader(tmp_path).subscribe("group", follow=False, filter=is_decision) as subscription:
        for delivery in subscription:
            subscription.ack(delivery.offset)
            break
        assert ids(list(subscription)) == expected_ids(10, 1)


def test_filter_that_raises_loses_no_record(tmp_path: Path) -> None:
    written(tmp_path, 10)
    is_failing = True

    def sometimes(each: dict[str, object]) -> bool:
        if is_failing and each["eventID"] == "id-5":
            raise ZeroDivisionError
        return is_decision(each)

    with reader(tmp_path).subscribe(follow=False, filter=sometimes) as subscription:
        assert ids(subscription.poll()) == expected_ids(5)
        with pytest.raises(ZeroDivisionError):
            subscription.poll()
        is_failing = False
        assert ids(drain(subscription)) == expected_ids(10, 5)


def test_async_iteration_while_another_thread_writes(tmp_path: Path) -> None:
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
    assert ids(asyncio.run(consume())) == expected_ids(60)
    thread.join()


def test_records_fetched_by_cancelled_task_are_delivered(tmp_path: Path) -> None:
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

    assert asyncio.run(consume()) == expected_ids(30)


# --- offsets ---------------------------------------------------------------------------------------------------------


def test_group_continues_after_acknowledged_records(tmp_path: Path) -> None:
    written(tmp_path, 20)
    with reader(tmp_path).subscribe("one", filter=is_decision, batch=12) as subscription:
        found = subscription.poll()
        subscription.ack(found[4].offset)
    with reader(tmp_path).subscribe("one", filter=is_decision) as subscription:
        assert ids(drain(subscription)) == expected_ids(20, 5)
    with reader(tmp_path).subscribe("two", filter=is_decision) as subscription:
        assert ids(drain(subscription)) == expected_ids(20)


def test_filtered_records_are_acknowledged_with_the_next_ack(tmp_path: Path) -> None:
    written(tmp_path, 20)
    with reader(tmp_path).subscribe("one", filter=lambda each: each["eventID"] == "id-3") as subscription:
        [delivery] = drain(subscription)
        assert subscription.lag() > 10
        subscription.ack(delivery.offset)
        assert subscription.lag() == 0
    with reader(tmp_path).subscribe("one") as subscription:
        assert subscription.poll() == []


def test_ack_of_undelivered_offset_raises(tmp_path: Path) -> None:
    shard = written(tmp_path, 5)
    with reader(tmp_path).subscribe("one") as subscription:
        for offset in (Offset(shard.name, 0), Offset("no-shard", 0)):
            with pytest.raises(InvalidInput):
                subscription.ack(offset)


def test_group_in_use_raises(tmp_path: Path) -> None:
    written(tmp_path, 5)
    with reader(tmp_path).subscribe("one"):
        with pytest.raises(ConfigurationError, match="another process"):
            reader(tmp_path).subscribe("one")
        reader(tmp_path).subscribe("two").close()
    reader(tmp_path).subscribe("one").close()


@pytest.mark.parametrize("content", [b"", b"{}", b'{"format":1,"shards":{"a":{"next":-1}}}', b"\xff", b"[]"])
def test_malformed_offsets_file_raises(tmp_path: Path, content: bytes) -> None:
    """Starting over would deliver all records again and lose the verified checkpoints."""
    written(tmp_path / "trail", 5)
    offsets = tmp_path / "offsets"
    offsets.mkdir()
    (offsets / "one.json").write_bytes(content)
    with pytest.raises(InvalidInput, match="offsets"):
        AuditReader(tmp_path / "trail", ring=RING, offsets=offsets).subscribe("one")


def test_subscribe_with_invalid_arguments_raises(tmp_path: Path) -> None:
    written(tmp_path, 5)
    for group in ("", "../up", "a b", "."):
        with pytest.raises(InvalidInput):
            reader(tmp_path).subscribe(group)
    with pytest.raises(ConfigurationError, match="public key"):
        reader(tmp_path, None).subscribe("one")
    with pytest.raises(InvalidInput):
        reader(tmp_path).subscribe("one", batch=0)
    with pytest.raises(InvalidInput):
        reader(tmp_path).subscribe("one", start=datetime(2026, 1, 1))  # noqa: DTZ001 - under test


# --- start position --------------------------------------------------------------------------------------------------


def test_start_latest_delivers_all_later_records(tmp_path: Path) -> None:
    """Including records and shards written while no consumer was running."""
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


def test_start_at_sequence_or_time(tmp_path: Path) -> None:
    number = 0
    clock = lambda: NOON + timedelta(seconds=number)  # noqa: E731 - it reads the number as it is then
    writer = SegmentWriter(tmp_path, KEY, service="docs", limits=SMALL, clock=clock)
    for number in range(30):
        writer.append([record(number).replace(b"12:00:00Z", b"12:00:%02dZ" % number)])
        writer.commit()
    writer.close()
    at = datetime(2026, 11, 24, 12, 0, 17, tzinfo=UTC)
    with reader(tmp_path).subscribe(start=at, filter=is_decision) as subscription:
        assert ids(drain(subscription)) == expected_ids(30, 17)
    [sequence] = [n for n, line in enumerate(lines_of(only_shard(tmp_path))) if b'"id-21"' in line]
    with reader(tmp_path).subscribe(start=sequence, filter=is_decision) as subscription:
        assert ids(drain(subscription)) == expected_ids(30, 21)


def test_seek_moves_and_is_stored(tmp_path: Path) -> None:
    shard = written(tmp_path, 20)
    with reader(tmp_path).subscribe("one", filter=is_decision) as subscription:
        found = drain(subscription)
        subscription.ack(found[-1].offset)
        subscription.seek(found[15].offset)
        assert ids(drain(subscription)) == expected_ids(20, 15)
        subscription.seek("latest")
        assert drain(subscription) == []
        subscription.seek("earliest")
        with pytest.raises(InvalidInput):
            subscription.seek(Offset("no-shard", 0))
    with reader(tmp_path).subscribe("one", filter=is_decision) as subscription:
        assert ids(drain(subscription)) == expected_ids(20)
        assert subscription.lag() == len(lines_of(shard))


def test_reader_proves_record(tmp_path: Path) -> None:
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
    "inserted": (insert_after_end, "MODIFIED"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_raises_verdict_before_delivery(tmp_path: Path, name: str) -> None:
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
        with pytest.raises(TrailDamaged):  # again
            subscription.poll()


def test_seek_after_damage_continues(tmp_path: Path) -> None:
    shard = written(tmp_path, 40)
    change(shard)
    with reader(tmp_path).subscribe("one") as subscription:
        with pytest.raises(TrailDamaged):
            drain(subscription)
        following = segments_of(shard)[2].first
        subscription.seek(Offset(shard.name, following))
        assert [each.offset.sequence for each in drain(subscription)] == list(range(following, len(lines_of(shard))))


def test_changed_byte_raises_before_delivery(tmp_path: Path) -> None:
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


def test_trail_signed_by_unknown_key_raises(tmp_path: Path) -> None:
    written(tmp_path, 10)
    with (
        reader(tmp_path, KeyRing([UNTRUSTED_KEY.verifier])).subscribe() as subscription,
        pytest.raises(TrailDamaged, match="UNKNOWN_KEY"),
    ):
        subscription.poll()


def consumed(trail: Path) -> None:
    with reader(trail).subscribe("one") as subscription:
        for delivery in drain(subscription):
            subscription.ack(delivery.offset)


def test_shard_truncated_between_runs_raises(tmp_path: Path) -> None:
    """The stored offsets have the last verified checkpoint; the truncated trail itself is consistent."""
    shard = written(tmp_path, 20, is_ended=False)
    consumed(tmp_path)
    segment = segments_of(shard)[-1]
    checkpoints, lines = segment.checkpoints.read_bytes(), segment.lines.read_bytes().splitlines(keepends=True)
    segment.checkpoints.write_bytes(b"".join(part + b"\n\n" for part in checkpoints.split(b"\n\n")[:-3]))
    segment.lines.write_bytes(b"".join(lines[:-2]))
    segment.hashes.write_bytes(segment.hashes.read_bytes()[:-64])
    with reader(tmp_path).subscribe("one") as subscription, pytest.raises(TrailDamaged, match="TRUNCATED_TAIL"):
        subscription.poll()


def test_shard_rewritten_with_key_between_runs_is_forked(tmp_path: Path) -> None:
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
    """Write the records of a shard under the name of another, as an attacker with the key can."""
    drafts = target.parent / "drafts"
    writer = writer_in(drafts, replace(SMALL, segment_bytes=10**6))
    writer._current_segment()
    (drafts / str(writer.shard)).rename(drafts / target.name)
    writer._shard = drafts / target.name
    for number, _ in enumerate(lines_of(source)):
        writer.append([record(number, filler="another")])
        writer.commit()
    writer.checkpoint()
    writer.abandon()
    for path in (drafts / target.name).iterdir():
        path.rename(target / path.name)
    (drafts / target.name).rmdir()
    drafts.rmdir()


def test_shard_removed_between_runs_is_missing(tmp_path: Path) -> None:
    shard = written(tmp_path, 5)
    consumed(tmp_path)
    shard.rename(tmp_path / ".away")
    with pytest.raises(TrailDamaged, match="MISSING"):
        reader(tmp_path).subscribe("one")


# --- retention -------------------------------------------------------------------------------------------------------


def test_start_earliest_skips_declared_drops(tmp_path: Path) -> None:
    written(tmp_path, 20)
    writer = writer_in(tmp_path)
    dropped = drop_segments(tmp_path, writer, datetime(2026, 11, 24, tzinfo=UTC) + timedelta(days=1))
    assert dropped
    writer.append([record(100)])
    writer.close()
    with reader(tmp_path).subscribe(filter=is_decision, follow=False) as subscription:
        assert ids(list(subscription))[-1] == "id-100"


def test_undeclared_drop_is_missing(tmp_path: Path) -> None:
    shard = written(tmp_path, 20)
    segments_of(shard)[0].lines.unlink()
    with pytest.raises(TrailDamaged, match="MISSING"):
        reader(tmp_path).subscribe()


def test_consumer_behind_retention_raises_until_seek(tmp_path: Path) -> None:
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
def test_killed_consumer_skips_nothing(tmp_path: Path) -> None:
    """SIGKILL, repeatedly, while shards are written one after the other.

    Every record is delivered; each run delivers a record at most once; acknowledged records are not delivered again.
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
    assert {each for run in got for each in run} == set(expected_ids(total))
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


def test_offsets_folder_is_private_and_no_shard(tmp_path: Path) -> None:
    written(tmp_path, 5)
    consumed(tmp_path)
    assert (tmp_path / FOLDER / "one.json").stat().st_mode & 0o777 == 0o600
    with reader(tmp_path).subscribe("two", follow=False) as subscription:
        assert len({each.offset.shard for each in subscription}) == 1
