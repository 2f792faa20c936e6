"""The lanes of the record queue: a flood in one takes no capacity from another, and lost records are declared."""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from iam_guard.audit.append_file import AppendFile
from iam_guard.audit.record.lanes import ALLOWED, DENIED, DURABLE, LANES, UNAUTHENTICATED, caller_of
from iam_guard.audit.record.record_classes import ADMIN, CHANGE, CLASSES, DENIAL, READ, WRITE, lane_of
from iam_guard.audit.trail import Trail
from iam_guard.audit.writer.pipeline import Pipeline
from iam_guard.audit.writer.record_queue import RecordQueue
from iam_guard.errors import InvalidClientTokenId, StoreUnavailable
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest, Call
from tests.audit.pipelines import eventually, facts_in, gaps_in, pipeline_in
from tests.audit.trails import record

PAGE = Path(__file__).resolve().parents[3] / "docs/explanation/audit-failures.md"
ACCOUNT = "111122223333"
ADA, EVE = (Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/{name}") for name in ("ada", "eve"))
LONG = "x" * 60_000


def decision(principal: Principal, action: str, *, allowed: bool) -> Decision:
    outcome = Outcome.ALLOWED if allowed else Outcome.IMPLICITLY_DENIED
    return Decision(outcome, AccessRequest(principal, action, "*"), ())


def from_address(number: int, agent: str = "curl") -> Call:
    return Call(f"request-{number}", "http", "GET", "/documents/7", "docs.example", f"198.51.100.{number}", agent)


@contextmanager
def slow_disk(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Iterator[threading.Event]:
    """Delay every write, at most until the event is set."""
    released, append = threading.Event(), AppendFile.append

    def wait(file: AppendFile, data: bytes) -> None:
        released.wait(seconds)
        append(file, data)

    with monkeypatch.context() as patched:
        patched.setattr(AppendFile, "append", wait)
        yield released
        released.set()


def block_writer(pipeline: Pipeline) -> None:
    """Let the writer take one record and block on it."""
    pipeline.put(record(0), READ)
    eventually(lambda: pipeline.usage().waiting == 0 and pipeline.usage().oldest_age > 0)


def test_lane_depends_on_class_and_authentication() -> None:
    lanes = {(row.name, signed): lane_of(row, is_signed_in=signed) for row in CLASSES for signed in (True, False)}
    assert lanes == {
        **{(row.name, signed): DURABLE for row in (ADMIN, CHANGE) for signed in (True, False)},
        **{(row.name, True): ALLOWED for row in (READ, WRITE)},
        (DENIAL.name, True): DENIED,
        **{(row.name, False): UNAUTHENTICATED for row in (READ, WRITE, DENIAL)},
    }


def test_documentation_lists_the_lanes() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| **")]
    assert rows == [
        f"| **{lane.name}** | {lane.description} | `audit_queue_size`{f' / {lane.part}' if lane.part > 1 else ''} |"
        f" {'as many places as are still free' if lane.is_fair else 'all'} |"
        for lane in LANES
    ]


def test_sessions_of_one_role_share_its_lane_capacity() -> None:
    """A caller that opens many sessions gets no larger share of a lane."""
    sessions = [Principal.from_arn(f"arn:aws:sts::{ACCOUNT}:assumed-role/work/{name}") for name in ("a", "b")]
    assert len({caller_of(session, None) for session in sessions}) == 1
    assert caller_of(ADA, None) != caller_of(EVE, None)
    assert caller_of(None, from_address(3)) == caller_of(Principal.anonymous(), from_address(3)) == "198.51.100.3"


def test_full_lane_leaves_other_lanes_their_capacity() -> None:
    for flooded in LANES:
        queue, number = RecordQueue(8), 0
        while queue.put(b"", wait=0.0, lane=flooded, caller=str(number)):
            number += 1
        for other in LANES:
            assert queue.has_capacity(other, "other") is (other is not flooded), (flooded.name, other.name)


def test_flooding_caller_gets_half_of_a_fair_lane() -> None:
    """Two get a third each, and the next caller still finds a place; taking records frees places."""
    queue = RecordQueue(120)

    def flood(caller: str) -> int:
        count = 0
        while queue.put(b"", wait=0.0, lane=DENIED, caller=caller):
            count += 1
        return count

    assert [flood(caller) for caller in ("eve", "mallory", "ada")] == [30, 15, 8]
    batch, _ = queue.take(1000, 0.0)
    assert len(batch) == 53
    assert flood("eve") == 30
    queue.fail(batch[:1], None, OSError())
    assert queue.put(b"", wait=0.0, lane=DENIED, caller="eve") is False
    assert queue.put(b"", wait=0.0, lane=DENIED, caller="ada") is True


def test_batch_contains_durable_records_then_the_oldest() -> None:
    queue = RecordQueue(100)
    for number, lane in enumerate((UNAUTHENTICATED, ALLOWED, DENIED, UNAUTHENTICATED, DURABLE, ALLOWED)):
        assert queue.put(b"%d" % number, wait=0.0, lane=lane, caller=str(number))
    assert [[record.line for record in queue.take(3, 0.0)[0]] for _ in range(3)] == [
        [b"0", b"1", b"4"],
        [b"2", b"3", b"5"],
        [],
    ]


def test_batch_with_a_durable_record_is_short() -> None:
    queue = RecordQueue(4000)
    for _ in range(2000):
        assert queue.put(b"", wait=0.0)
    assert queue.put(b"", wait=0.0, lane=DURABLE)
    assert [len(queue.take(1000, 0.0)[0]) for _ in range(2)] == [101, 1000]


def test_durable_records_succeed_during_a_flood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Denials of unauthenticated callers arrive faster than the disk accepts them; administrative calls succeed."""
    pipeline = pipeline_in(tmp_path, queue_size=400, durable_wait=5.0)
    trail, stop = Trail(pipeline), threading.Event()

    def flood(number: int) -> None:
        while not stop.is_set():
            for _ in range(50):
                trail.record_authentication(InvalidClientTokenId(), from_address(number, LONG), credential_id=LONG)
            time.sleep(0.001)

    with slow_disk(monkeypatch, 0.05):
        floods = [threading.Thread(target=flood, args=(number,)) for number in range(2)]
        for thread in floods:
            thread.start()
        eventually(lambda: pipeline.usage().dropped > 200)
        for _ in range(5):
            trail.record_decision(
                decision(ADA, "iam:CreateUser", allowed=True), from_address(9), started=0.0
            )  # raises if late
            trail.record_decision(decision(EVE, "docs:GetDocument", allowed=False), from_address(9), started=0.0)
        stop.set()
        for thread in floods:
            thread.join()
    pipeline.close()
    facts = facts_in(tmp_path)
    kept = [fact["eventName"] for fact in facts if fact["iamGuard"]["kind"] == "decision"]
    assert sorted(kept) == ["CreateUser"] * 5 + ["GetDocument"] * 5
    usage, gaps = pipeline.usage(), gaps_in(tmp_path)
    assert usage.refused == 0
    assert sum(gap["lost"] for gap in gaps) == sum(gap["unauthenticated"] for gap in gaps) == usage.dropped
    assert usage.dropped == usage.dropped_unauthenticated
    assert max(len(str(fact)) for fact in facts) < 10_000


def test_flood_of_own_denials_is_recorded_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the caller's share, with the loss declared; another caller's records still fit."""
    pipeline = pipeline_in(tmp_path, queue_size=80, wait=0.0)
    trail = Trail(pipeline)
    with slow_disk(monkeypatch, 30.0) as released:
        block_writer(pipeline)
        for _ in range(500):
            trail.record_error(InvalidClientTokenId(), from_address(1))  # to hide the denials that follow
        for _ in range(500):
            trail.record_decision(decision(EVE, "docs:GetDocument", allowed=False), None, started=0.0)
        trail.record_decision(decision(ADA, "docs:GetDocument", allowed=False), None, started=0.0)
        released.set()
    pipeline.close()
    arns = [
        fact["userIdentity"].get("arn") for fact in facts_in(tmp_path) if fact["iamGuard"].get("outcome") != "Allowed"
    ]
    assert (arns.count(EVE.arn), arns.count(ADA.arn)) == (20, 1)
    assert sum(gap["lost"] for gap in gaps_in(tmp_path)) == pipeline.usage().dropped == 480 + 490
    assert sum(gap["unauthenticated"] for gap in gaps_in(tmp_path)) == 490


def test_unauthenticated_request_never_waits_for_capacity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would block server threads; and no line is made if it does not fit."""
    pipeline = pipeline_in(tmp_path, queue_size=4, wait=30.0)
    trail, made = Trail(pipeline), []
    monkeypatch.setattr("iam_guard.audit.trail.authentication_record", lambda *_, **__: made.append(1) or {"a": {}})
    with slow_disk(monkeypatch, 30.0) as released:
        block_writer(pipeline)
        began = time.monotonic()
        for number in range(20):
            trail.record_authentication(InvalidClientTokenId(), from_address(number))
        assert time.monotonic() - began < 10
        assert len(made) == 1
        released.set()
    pipeline.close()


class Body:
    """Represents the objects of a request."""


def refused_with(body: Body) -> StoreUnavailable:
    """Raise and catch an error in a frame that references the body."""
    try:
        raise StoreUnavailable("away")
    except StoreUnavailable as error:
        return error


def test_queued_record_keeps_no_reference_to_its_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither through the traceback of an error nor through the long strings of a call."""
    pipeline = pipeline_in(tmp_path)
    trail = Trail(pipeline)
    recorders: list[Callable[[StoreUnavailable, Call], None]] = [
        lambda error, call: trail.record_authentication(error, call),
        lambda error, call: trail.record_error(error, call),
        lambda error, call: trail.record_error(error, call, EVE),
        lambda error, call: trail.record_decision(decision(EVE, "docs:Get", allowed=False), call, started=0.0),
        lambda error, call: trail.record_decision(
            decision(Principal.anonymous(), "docs:Get", allowed=False), call, started=0.0
        ),
        lambda error, call: trail.record_decision(
            decision(Principal.anonymous(), "docs:Get", allowed=True), call, started=0.0
        ),
    ]
    with slow_disk(monkeypatch, 30.0) as released:
        block_writer(pipeline)
        for record_with in recorders:
            body, call = Body(), from_address(1, LONG)
            error = refused_with(body)
            reference, count = weakref.ref(body), sys.getrefcount(call)
            record_with(error, call)
            del body, error
            assert reference() is None
            assert sys.getrefcount(call) == count
        released.set()
    pipeline.close()
    assert len(facts_in(tmp_path)) == 3 + len(recorders)


def test_long_strings_of_unauthenticated_caller_are_truncated(tmp_path: Path) -> None:
    """A secret at the truncation point is masked."""
    key = "Zx9/Qw3+Er7Ty1Ui5Op2As6Df0Gh4Jk8Lz3Xc7Vb"
    pipeline = pipeline_in(tmp_path)
    trail = Trail(pipeline)
    trail.record_authentication(
        InvalidClientTokenId(), from_address(1, "-" * 490 + f" {key} {LONG}"), credential_id=LONG
    )
    path = Call("request-2", "http", "GET", "/" + "p" * 30_000, "h" * 30_000, "198.51.100.1", secure=True)
    trail.record_decision(decision(Principal.anonymous(), "docs:GetDocument", allowed=False), path, started=0.0)
    pipeline.close()
    first, second = [fact for fact in facts_in(tmp_path) if not fact["iamGuard"]["kind"].startswith("audit_")]
    assert key[:12] not in str(first)
    assert "/userAgent" in first["iamGuard"]["truncated"]
    assert {"/requestParameters/path", "/requestParameters/host"} <= set(second["iamGuard"]["truncated"])
    assert max(len(str(fact)) for fact in (first, second)) < 5000


def test_short_record_of_unauthenticated_caller_is_complete(tmp_path: Path, call: Call) -> None:
    pipeline = pipeline_in(tmp_path)
    Trail(pipeline).record_authentication(InvalidClientTokenId(), call._replace(user_agent="a" * 1500))
    pipeline.close()
    [kept] = [fact for fact in facts_in(tmp_path) if fact["iamGuard"]["kind"] == "authentication"]
    assert kept["userAgent"] == "a" * 1500
    assert "truncated" not in kept["iamGuard"]
