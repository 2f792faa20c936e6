"""One sink: at least once, never past what was not confirmed, never for ever at one record, never past damage."""

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
from iam_guard.audit.shipping.pace import LONGEST_RETRY_AFTER, Backoff
from iam_guard.audit.shipping.shipper import MAX_HELD
from iam_guard.audit.verify.shard import segments_of
from iam_guard.audit.writer.segment_limits import SegmentLimits
from iam_guard.errors import GroupIsTaken
from tests.audit.pipelines import ROOT, eventually
from tests.audit.shipping.destinations import ONCE, PATIENT, QUICK, Obedient, ship_once, shippers_to, sink_to
from tests.audit.trails import RING, record, writer_in, written


def wanted(count: int, begin: int = 0) -> list[str]:
    return [f"id-{number}" for number in range(begin, count)]


def refusing(*ids: str) -> object:
    """Refuse every batch with one of these records."""

    def answer(batch: Sequence[Delivery]) -> NotDelivered | None:
        found = [each for each in batch if each.record["eventID"] in ids]
        return Refused("status 413") if found else None

    return answer


def refused_in(trail: Path, name: str = "fake") -> list[dict[str, object]]:
    path = trail / FOLDER / f"ship-{name}.refused.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# --- at least once ---------------------------------------------------------------------------------------------------


def test_everything_that_is_signed_arrives_in_its_order(tmp_path: Path) -> None:
    written(tmp_path, 40, is_ended=False, unsigned=3)
    destination = Obedient()
    shippers = ship_once(tmp_path, sink_to(destination, "-#name=fake&batch=7"))
    assert destination.ids == wanted(37)
    usage = shippers.usage()["fake"]
    assert usage[:5] == ("ended", 3, len(destination.taken), 0, 0)
    assert usage.success_age is not None
    assert destination.closed == 1
    assert destination.threads == {"iam-guard-fake"}


def test_what_was_confirmed_does_not_come_again(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)
    for number in range(20):
        writer.append([record(number)])
        writer.commit()
    writer.checkpoint()
    ship_once(tmp_path, sink_to(Obedient()))
    writer.append([record(20)])
    writer.close()
    second = Obedient()
    ship_once(tmp_path, sink_to(second))
    assert second.ids == wanted(21, 20)


def test_what_does_not_arrive_is_sent_again_until_it_does(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is dropped and nothing is skipped, however often; and the log has it twice, not every time."""
    written(tmp_path, 30)
    failures = iter([Unreachable("status 503")] * 7)
    destination = Obedient(lambda batch: next(failures, None) if len(destination.taken) >= 10 else None)
    caplog.set_level(logging.INFO, "iam_guard.audit")
    shippers = shippers_to(tmp_path, sink_to(destination, "-#name=fake&batch=5"), manner=PATIENT)
    shippers.start()
    eventually(lambda: shippers.usage()["fake"].lag == 0)
    shippers.close()
    assert destination.ids == wanted(30)
    assert shippers.usage()["fake"].failures == 7
    assert [each.message for each in caplog.records] == [
        "the audit sink fake does not take records now: status 503",
        "the audit sink fake takes records again",
    ]


def test_the_lag_is_told_while_nothing_arrives(tmp_path: Path) -> None:
    written(tmp_path, 30)
    shippers = shippers_to(tmp_path, sink_to(Obedient(lambda _: Unreachable("status 500"))), manner=PATIENT)
    shippers.start()
    eventually(lambda: shippers.usage()["fake"].failures > 2)
    usage = shippers.usage()["fake"]
    assert (usage.state, usage.problem, usage.delivered) == ("failing", "status 500", 0)
    assert usage.success_age is not None
    assert 0 < usage.success_age < shippers.usage()["fake"].success_age  # type: ignore[operator]
    assert usage.lag == sum(1 for path in tmp_path.glob("*/*.jsonl") for _ in path.read_bytes().splitlines())
    shippers.close()


def test_a_run_that_ends_gives_up_where_the_other_side_stays_away(tmp_path: Path) -> None:
    written(tmp_path, 10)
    destination = Obedient(lambda _: Unreachable("status 500"))
    assert ship_once(tmp_path, sink_to(destination)).usage()["fake"].state == "failing"
    assert destination.calls == QUICK.attempts
    second = Obedient()
    ship_once(tmp_path, sink_to(second))
    assert second.ids == wanted(10)


def test_a_filter_is_kept_past_records_that_nobody_wants(tmp_path: Path) -> None:
    """Where nothing is sent, it is still remembered how far all was looked at."""
    shard = written(tmp_path, 30)
    destination = Obedient()
    ship_once(tmp_path, sink_to(destination, "-#name=fake&filter=outcome=*Denied"))
    assert destination.taken == []
    kept = json.loads((tmp_path / FOLDER / "ship-fake.json").read_text())["shards"][shard.name]
    assert kept["ended"]


KILLED = """
import os, sys
from pathlib import Path
from tests.audit.shipping.destinations import ONCE, Obedient, ship_once, sink_to
taken = open(sys.argv[2], "a")
def answer(batch):
    for each in batch:
        print(each.record["eventID"], file=taken, flush=True)
    if destination.calls == 3:
        os.kill(os.getpid(), 9)
destination = Obedient(answer)
ship_once(Path(sys.argv[1]), sink_to(destination, "-#name=fake&batch=4"))
"""


def test_a_kill_before_the_acknowledgement_loses_nothing(tmp_path: Path) -> None:
    """What the destination had and nobody acknowledged comes again; all else comes once."""
    trail, taken = tmp_path / "trail", tmp_path / "taken"
    written(trail, 30)
    ends = []
    while 0 not in ends:
        command = [sys.executable, "-c", KILLED, str(trail), str(taken)]
        ends.append(subprocess.run(command, cwd=ROOT, check=False, timeout=300).returncode)
    assert ends[:-1] == [-signal.SIGKILL] * (len(ends) - 1)
    found = [each for each in taken.read_text().split() if each.startswith("id-")]
    assert list(dict.fromkeys(found)) == wanted(30)
    assert len(found) <= 30 + 4 * (len(ends) - 1)


# --- refused for good ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_a_record_that_is_refused_for_good_does_not_stop_the_others(
    tmp_path: Path, batch: int, caplog: pytest.LogCaptureFixture
) -> None:
    """It is counted, logged and listed, and never its content; all others arrive in their order."""
    shard = written(tmp_path, 30)
    destination = Obedient(refusing("id-5", "id-6", "id-20"))  # type: ignore[arg-type]
    shippers = ship_once(tmp_path, sink_to(destination, f"-#name=fake&batch={batch}"))
    assert destination.ids == [each for each in wanted(30) if each not in ("id-5", "id-6", "id-20")]
    usage = shippers.usage()["fake"]
    assert (usage.state, usage.refused, usage.lag) == ("ended", 3, 0)
    listed = refused_in(tmp_path)
    assert [each["eventID"] for each in listed] == ["id-5", "id-6", "id-20"]
    assert {each["shard"] for each in listed} == {shard.name}
    assert {each["why"] for each in listed} == {"status 413"}
    assert len([each for each in caplog.records if "for good: status 413" in each.message]) == 3
    again = Obedient()
    ship_once(tmp_path, sink_to(again))
    assert again.taken == []


def test_a_destination_that_refuses_everything_is_given_nothing_up(tmp_path: Path) -> None:
    """It is the destination that is wrong then: not one record is skipped, whatever restarts."""
    written(tmp_path, 30)
    for _ in range(3):
        shippers = ship_once(tmp_path, sink_to(Obedient(lambda _: Refused("status 400")), "-#name=fake&batch=3"))
        usage = shippers.usage()["fake"]
        assert (usage.state, usage.refused, usage.delivered) == ("failing", 0, 0)
    assert refused_in(tmp_path) == []
    destination = Obedient()
    ship_once(tmp_path, sink_to(destination))
    assert destination.ids == wanted(30)


def test_many_refused_in_a_row_wait_for_one_that_arrives(tmp_path: Path) -> None:
    writer = writer_in(tmp_path, SegmentLimits())
    writer.append([record(number) for number in range(30)])
    writer.close()
    bad = wanted(5 + MAX_HELD + 1, 5)
    shippers = ship_once(tmp_path, sink_to(Obedient(refusing(*bad))))  # type: ignore[arg-type]
    assert shippers.usage()["fake"].state == "failing"
    assert refused_in(tmp_path) == []
    shippers = ship_once(tmp_path, sink_to(Obedient(refusing(*bad[:-1]))))  # type: ignore[arg-type]
    assert shippers.usage()["fake"].refused == MAX_HELD


def test_the_last_record_waits_for_the_one_after_it(tmp_path: Path) -> None:
    """Nobody knows yet whether it is the record or the destination."""
    writer = writer_in(tmp_path)
    writer.append([record(0)])
    writer.append([record(1)])
    writer.checkpoint()
    destination = Obedient(refusing("id-1"))  # type: ignore[arg-type]
    shippers = shippers_to(tmp_path, sink_to(destination), manner=PATIENT)
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
def test_whatever_is_refused_all_others_arrive_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, bad: set[int], batch: int
) -> None:
    trail = tmp_path_factory.mktemp("trail")
    written(trail, 20)
    ids = [f"id-{number}" for number in bad]
    destination = Obedient(refusing(*ids))  # type: ignore[arg-type]
    shippers = ship_once(trail, sink_to(destination, f"-#name=fake&batch={batch}"))
    assert destination.ids == [each for each in wanted(20) if each not in ids]
    assert shippers.usage()["fake"].refused == len(bad)
    assert sorted(str(each["eventID"]) for each in refused_in(trail)) == sorted(ids)


# --- what stops a sink -----------------------------------------------------------------------------------------------


def test_damage_stops_the_sink_until_somebody_goes_on_behind_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is good before it is shipped; a service goes on by itself after the seek, and loses nothing but that."""
    shard = written(tmp_path, 40)
    segments = segments_of(shard)
    segments[2].lines.write_bytes(segments[2].lines.read_bytes().replace(b"Allowed", b"Denied!", 1))
    destination = Obedient()
    shippers = shippers_to(tmp_path, sink_to(destination), manner=PATIENT)
    shippers.start()
    eventually(lambda: shippers.usage()["fake"].state == "stopped")
    assert "MODIFIED" in str(shippers.usage()["fake"].problem)
    before = [each.offset.sequence for each in destination.taken]
    assert before == list(range(len(before)))
    assert len(before) <= segments[3].first
    eventually(lambda: destination.closed > 4)  # it looks again and again, and says it once
    assert shippers.usage()["fake"].state == "stopped"
    assert len([each for each in caplog.records if "has stopped: MODIFIED" in each.message]) == 1

    def move() -> bool:
        try:
            with AuditReader(tmp_path, ring=RING).subscribe("ship-fake") as subscription:
                subscription.seek(Offset(shard.name, segments[3].first))
        except GroupIsTaken:
            return False  # the shipper is just looking
        return True

    eventually(move)
    eventually(lambda: shippers.usage()["fake"].lag == 0 and shippers.usage()["fake"].state == "shipping")
    shippers.close()
    after = [each.offset.sequence for each in destination.taken][len(before) :]
    assert after == list(range(segments[3].first, after[-1] + 1))


def test_an_endpoint_that_is_gone_stops_the_sink(tmp_path: Path) -> None:
    written(tmp_path, 10)
    usage = ship_once(tmp_path, sink_to(Obedient(lambda _: Gone("status 410")))).usage()["fake"]
    assert (usage.state, usage.problem, usage.lag is not None) == ("stopped", "status 410", True)


def test_a_mistake_of_ours_is_a_failure_and_does_not_say_what_was_in_a_record(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def answer(batch: Sequence[Delivery]) -> NotDelivered | None:
        raise ValueError("a secret of a record")

    written(tmp_path, 10)
    usage = ship_once(tmp_path, sink_to(Obedient(answer))).usage()["fake"]
    assert (usage.state, usage.problem) == ("failing", "unexpected ValueError")
    assert "secret" not in caplog.text


def test_offsets_that_cannot_be_kept_are_a_failure_and_no_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk: what arrived comes again, nothing is missing."""
    written(tmp_path, 10)
    real, left = append_file._sync, iter([True] * 3)

    def full(descriptor: int) -> None:
        if destination.calls and next(left, False):
            raise OSError(28, "No space left on device")
        real(descriptor)

    destination = Obedient()
    monkeypatch.setattr(append_file, "_sync", full)
    shippers = shippers_to(tmp_path, sink_to(destination), manner=PATIENT)
    shippers.start()
    eventually(lambda: shippers.usage()["fake"].lag == 0 and shippers.usage()["fake"].state == "shipping")
    shippers.close()
    assert list(dict.fromkeys(destination.ids)) == wanted(10)
    assert shippers.usage()["fake"].failures == 3


def test_a_sink_without_verification_ships_what_is_not_signed(tmp_path: Path) -> None:
    written(tmp_path, 10, is_ended=False, unsigned=4)
    destination = Obedient()
    ship_once(tmp_path, sink_to(destination), ring=None, manner=ONCE)
    assert destination.ids == wanted(10)


# --- pauses ----------------------------------------------------------------------------------------------------------


@given(chance=st.floats(0, 1), tries=st.integers(0, 2000), wanted=st.floats(0, 1e9))
def test_pauses_grow_to_a_limit_and_honour_what_was_asked_for(chance: float, tries: int, wanted: float) -> None:
    backoff = Backoff(0.5, 60.0, lambda: chance)
    backoff.tries = tries
    pause = backoff.next(wanted)
    full = min(60.0, 0.5 * 2.0 ** min(tries, 32))
    assert pause >= full / 2
    assert pause >= min(wanted, LONGEST_RETRY_AFTER)
    assert pause <= max(60.0, LONGEST_RETRY_AFTER)
    backoff.reset()
    assert backoff.next() <= 0.5
