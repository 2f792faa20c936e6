"""One sink: at-least-once delivery, permanently refused records, and damage."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard.audit import append_file
from iam_guard.audit.consumer.offsets import FOLDER
from iam_guard.audit.consumer.subscription import AuditReader, Delivery, Offset
from iam_guard.audit.shipping.destination import Gone, NotDelivered, Refused, Unreachable
from iam_guard.audit.shipping.pace import MAX_RETRY_AFTER, Backoff
from iam_guard.audit.shipping.shipper import MAX_DEFERRED
from iam_guard.audit.verify.shard import segments_of
from iam_guard.audit.writer.segment_writer import SegmentLimits
from iam_guard.errors import GroupIsTaken
from tests.audit.pipelines import ROOT, eventually
from tests.audit.shipping.destinations import ONCE, PATIENT, QUICK, FakeDestination, ship_once, shippers_to, sink_to
from tests.audit.trails import RING, record, writer_in, written


def expected_ids(count: int, begin: int = 0) -> list[str]:
    return [f"id-{number}" for number in range(begin, count)]


def refusing(*ids: str) -> object:
    """Return an answer that refuses every batch with one of these records."""

    def answer(batch: Sequence[Delivery]) -> NotDelivered | None:
        found = [each for each in batch if each.record["eventID"] in ids]
        return Refused("status 413") if found else None

    return answer


def refused_in(trail: Path, name: str = "fake") -> list[dict[str, object]]:
    path = trail / FOLDER / f"ship-{name}.refused.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# --- at least once ---------------------------------------------------------------------------------------------------


def test_signed_records_are_delivered_in_order(tmp_path: Path) -> None:
    written(tmp_path, 40, is_ended=False, unsigned=3)
    destination = FakeDestination()
    shippers = ship_once(tmp_path, sink_to(destination, "-#name=fake&batch=7"))
    assert destination.ids == expected_ids(37)
    usage = shippers.usage()["fake"]
    assert usage[:5] == ("ended", 3, len(destination.received), 0, 0)
    assert usage.success_age is not None
    assert destination.closed == 1
    assert destination.threads == {"iam-guard-fake"}


def test_confirmed_records_are_not_sent_again(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)
    for number in range(20):
        writer.append([record(number)])
        writer.commit()
    writer.checkpoint()
    ship_once(tmp_path, sink_to(FakeDestination()))
    writer.append([record(20)])
    writer.close()
    second = FakeDestination()
    ship_once(tmp_path, sink_to(second))
    assert second.ids == expected_ids(21, 20)


def test_unreachable_destination_is_retried_and_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is dropped or skipped; only the begin and the end of the failure are logged."""
    written(tmp_path, 30)
    failures = iter([Unreachable("status 503")] * 7)
    destination = FakeDestination(lambda batch: next(failures, None) if len(destination.received) >= 10 else None)
    caplog.set_level(logging.INFO, "iam_guard.audit")
    shippers = shippers_to(tmp_path, sink_to(destination, "-#name=fake&batch=5"), options=PATIENT)
    shippers.start()
    eventually(lambda: shippers.usage()["fake"].lag == 0)
    shippers.close()
    assert destination.ids == expected_ids(30)
    assert shippers.usage()["fake"].failures == 7
    assert [each.message for each in caplog.records] == [
        "audit sink fake accepts no records: status 503",
        "audit sink fake accepts records again",
    ]


def test_lag_is_reported_while_unreachable(tmp_path: Path) -> None:
    written(tmp_path, 30)
    shippers = shippers_to(tmp_path, sink_to(FakeDestination(lambda _: Unreachable("status 500"))), options=PATIENT)
    shippers.start()
    eventually(lambda: shippers.usage()["fake"].failures > 2)
    usage = shippers.usage()["fake"]
    assert (usage.state, usage.problem, usage.delivered) == ("failing", "status 500", 0)
    assert usage.success_age is not None
    assert 0 < usage.success_age < shippers.usage()["fake"].success_age  # type: ignore[operator]
    assert usage.lag == sum(1 for path in tmp_path.glob("*/*.jsonl") for _ in path.read_bytes().splitlines())
    shippers.close()


def test_one_off_run_gives_up_after_attempts(tmp_path: Path) -> None:
    written(tmp_path, 10)
    destination = FakeDestination(lambda _: Unreachable("status 500"))
    assert ship_once(tmp_path, sink_to(destination)).usage()["fake"].state == "failing"
    assert destination.calls == QUICK.attempts
    second = FakeDestination()
    ship_once(tmp_path, sink_to(second))
    assert second.ids == expected_ids(10)


def test_filtered_records_advance_the_offsets(tmp_path: Path) -> None:
    """Even if no record is sent."""
    shard = written(tmp_path, 30)
    destination = FakeDestination()
    ship_once(tmp_path, sink_to(destination, "-#name=fake&filter=outcome=*Denied"))
    assert destination.received == []
    kept = json.loads((tmp_path / FOLDER / "ship-fake.json").read_text())["shards"][shard.name]
    assert kept["ended"]


KILLED = """
import os, sys
from pathlib import Path
from tests.audit.shipping.destinations import ONCE, FakeDestination, ship_once, sink_to
received = open(sys.argv[2], "a")
def answer(batch):
    for delivery in batch:
        print(delivery.record["eventID"], file=received, flush=True)
    if destination.calls == 3:
        os.kill(os.getpid(), 9)
destination = FakeDestination(answer)
ship_once(Path(sys.argv[1]), sink_to(destination, "-#name=fake&batch=4"))
"""


def test_kill_before_acknowledgement_loses_nothing(tmp_path: Path) -> None:
    """Received but unacknowledged records are sent again, all others once."""
    trail, received = tmp_path / "trail", tmp_path / "received"
    written(trail, 30)
    ends = []
    while 0 not in ends:
        command = [sys.executable, "-c", KILLED, str(trail), str(received)]
        ends.append(subprocess.run(command, cwd=ROOT, check=False, timeout=300).returncode)
    assert ends[:-1] == [-signal.SIGKILL] * (len(ends) - 1)
    found = [each for each in received.read_text().split() if each.startswith("id-")]
    assert list(dict.fromkeys(found)) == expected_ids(30)
    assert len(found) <= 30 + 4 * (len(ends) - 1)


# --- permanently refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_refused_record_is_listed_and_others_delivered(
    tmp_path: Path, batch: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, logged and listed without its content; all others are delivered in order."""
    shard = written(tmp_path, 30)
    destination = FakeDestination(refusing("id-5", "id-6", "id-20"))  # type: ignore[arg-type]
    shippers = ship_once(tmp_path, sink_to(destination, f"-#name=fake&batch={batch}"))
    assert destination.ids == [each for each in expected_ids(30) if each not in ("id-5", "id-6", "id-20")]
    usage = shippers.usage()["fake"]
    assert (usage.state, usage.refused, usage.lag) == ("ended", 3, 0)
    listed = refused_in(tmp_path)
    assert [each["eventID"] for each in listed] == ["id-5", "id-6", "id-20"]
    assert {each["shard"] for each in listed} == {shard.name}
    assert {each["why"] for each in listed} == {"status 413"}
    assert len([each for each in caplog.records if "permanently: status 413" in each.message]) == 3
    again = FakeDestination()
    ship_once(tmp_path, sink_to(again))
    assert again.received == []


def test_destination_refusing_all_gives_up_no_record(tmp_path: Path) -> None:
    """The destination is at fault then: no record is skipped, even after restarts."""
    written(tmp_path, 30)
    for _ in range(3):
        shippers = ship_once(tmp_path, sink_to(FakeDestination(lambda _: Refused("status 400")), "-#name=fake&batch=3"))
        usage = shippers.usage()["fake"]
        assert (usage.state, usage.refused, usage.delivered) == ("failing", 0, 0)
    assert refused_in(tmp_path) == []
    destination = FakeDestination()
    ship_once(tmp_path, sink_to(destination))
    assert destination.ids == expected_ids(30)


def test_refused_records_in_a_row_wait_for_a_success(tmp_path: Path) -> None:
    writer = writer_in(tmp_path, SegmentLimits())
    writer.append([record(number) for number in range(30)])
    writer.close()
    bad = expected_ids(5 + MAX_DEFERRED + 1, 5)
    shippers = ship_once(tmp_path, sink_to(FakeDestination(refusing(*bad))))  # type: ignore[arg-type]
    assert shippers.usage()["fake"].state == "failing"
    assert refused_in(tmp_path) == []
    shippers = ship_once(tmp_path, sink_to(FakeDestination(refusing(*bad[:-1]))))  # type: ignore[arg-type]
    assert shippers.usage()["fake"].refused == MAX_DEFERRED


def test_refused_last_record_waits_for_the_next(tmp_path: Path) -> None:
    """Until then it is unknown whether the record or the destination is at fault."""
    writer = writer_in(tmp_path)
    writer.append([record(0)])
    writer.append([record(1)])
    writer.checkpoint()
    destination = FakeDestination(refusing("id-1"))  # type: ignore[arg-type]
    shippers = shippers_to(tmp_path, sink_to(destination), options=PATIENT)
    shippers.start()
    eventually(lambda: shippers.usage()["fake"].state == "failing")
    assert refused_in(tmp_path) == []
    writer.append([record(2)])
    writer.checkpoint()
    eventually(lambda: destination.ids == ["id-0", "id-2"])
    eventually(lambda: shippers.usage()["fake"].lag == 0)
    assert [each["eventID"] for each in refused_in(tmp_path)] == ["id-1"]
    shippers.close()
    writer.close()


@settings(max_examples=30)
@given(bad=st.sets(st.integers(0, 19), max_size=6), batch=st.integers(1, 25))
def test_any_refused_set_delivers_others_once_in_order(
    tmp_path_factory: pytest.TempPathFactory, bad: set[int], batch: int
) -> None:
    trail = tmp_path_factory.mktemp("trail")
    written(trail, 20)
    ids = [f"id-{number}" for number in bad]
    destination = FakeDestination(refusing(*ids))  # type: ignore[arg-type]
    shippers = ship_once(trail, sink_to(destination, f"-#name=fake&batch={batch}"))
    assert destination.ids == [each for each in expected_ids(20) if each not in ids]
    assert shippers.usage()["fake"].refused == len(bad)
    assert sorted(str(each["eventID"]) for each in refused_in(trail)) == sorted(ids)


# --- stops and failures ----------------------------------------------------------------------------------------------


def test_damage_stops_the_sink_until_seek(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Records before the damage are shipped; after a seek the running service continues."""
    shard = written(tmp_path, 40)
    segments = segments_of(shard)
    segments[2].lines.write_bytes(segments[2].lines.read_bytes().replace(b"Allowed", b"Denied!", 1))
    destination = FakeDestination()
    shippers = shippers_to(tmp_path, sink_to(destination), options=PATIENT)
    shippers.start()
    eventually(lambda: shippers.usage()["fake"].state == "stopped")
    assert "MODIFIED" in str(shippers.usage()["fake"].problem)
    before = [each.offset.sequence for each in destination.received]
    assert before == list(range(len(before)))
    assert len(before) <= segments[3].first
    eventually(lambda: destination.closed > 4)  # it checks again and again, and logs once
    assert shippers.usage()["fake"].state == "stopped"
    assert len([each for each in caplog.records if "stopped: MODIFIED" in each.message]) == 1

    def move() -> bool:
        try:
            with AuditReader(tmp_path, ring=RING).subscribe("ship-fake") as subscription:
                subscription.seek(Offset(shard.name, segments[3].first))
        except GroupIsTaken:
            return False  # the shipper is checking at this moment
        return True

    eventually(move)
    eventually(lambda: shippers.usage()["fake"].lag == 0 and shippers.usage()["fake"].state == "shipping")
    shippers.close()
    after = [each.offset.sequence for each in destination.received][len(before) :]
    assert after == list(range(segments[3].first, after[-1] + 1))


def test_gone_destination_stops_the_sink(tmp_path: Path) -> None:
    written(tmp_path, 10)
    usage = ship_once(tmp_path, sink_to(FakeDestination(lambda _: Gone("status 410")))).usage()["fake"]
    assert (usage.state, usage.problem, usage.lag is not None) == ("stopped", "status 410", True)


def test_unexpected_error_fails_without_record_content(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def answer(batch: Sequence[Delivery]) -> NotDelivered | None:
        raise ValueError("a secret of a record")

    written(tmp_path, 10)
    usage = ship_once(tmp_path, sink_to(FakeDestination(answer))).usage()["fake"]
    assert (usage.state, usage.problem) == ("failing", "unexpected ValueError")
    assert "secret" not in caplog.text


def test_unwritable_offsets_fail_without_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk, delivered records are sent again, and none is missing."""
    written(tmp_path, 10)
    real, left = append_file._sync, iter([True] * 3)

    def full(descriptor: int) -> None:
        if destination.calls and next(left, False):
            raise OSError(28, "No space left on device")
        real(descriptor)

    destination = FakeDestination()
    monkeypatch.setattr(append_file, "_sync", full)
    shippers = shippers_to(tmp_path, sink_to(destination), options=PATIENT)
    shippers.start()
    eventually(lambda: shippers.usage()["fake"].lag == 0 and shippers.usage()["fake"].state == "shipping")
    shippers.close()
    assert list(dict.fromkeys(destination.ids)) == expected_ids(10)
    assert shippers.usage()["fake"].failures == 3


def test_unverified_sink_ships_unsigned_records(tmp_path: Path) -> None:
    written(tmp_path, 10, is_ended=False, unsigned=4)
    destination = FakeDestination()
    ship_once(tmp_path, sink_to(destination), ring=None, options=ONCE)
    assert destination.ids == expected_ids(10)


# --- pauses ----------------------------------------------------------------------------------------------------------


@given(jitter=st.floats(0, 1), tries=st.integers(0, 2000), requested=st.floats(0, 1e9))
def test_backoff_grows_to_limit_and_honours_retry_after(jitter: float, tries: int, requested: float) -> None:
    backoff = Backoff(0.5, 60.0, lambda: jitter)
    backoff.tries = tries
    pause = backoff.next(requested)
    full = min(60.0, 0.5 * 2.0 ** min(tries, 32))
    assert pause >= full / 2
    assert pause >= min(requested, MAX_RETRY_AFTER)
    assert pause <= max(60.0, MAX_RETRY_AFTER)
    backoff.reset()
    assert backoff.next() <= 0.5
