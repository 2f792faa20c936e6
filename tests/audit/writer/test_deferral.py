"""The shortest way of a record into the trail: the same records, refusals and counts as on the long way."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace as opentelemetry_trace
from opentelemetry.trace import NonRecordingSpan, SpanContext

from iam_guard.audit.append_file import AppendFile
from iam_guard.audit.record.lanes import ALLOWED, LineRecord
from iam_guard.audit.record.privacy import PrivacyRules, Treatment
from iam_guard.audit.record.record_classes import READ
from iam_guard.audit.trail import Trail
from iam_guard.audit.writer.deferral import DeferredDecision
from iam_guard.audit.writer.pipeline import Pipeline
from iam_guard.audit.writer.record_queue import RecordQueue
from iam_guard.audit.writer.sampling import Sampling
from iam_guard.errors import DecisionUnavailable
from iam_guard.model.decision import Decision, Outcome, PolicyType, Reason
from iam_guard.model.principal import Credential, Principal
from iam_guard.model.request import AccessRequest, Call
from tests.audit.pipelines import ROOT, eventually, facts_in, gaps_in, ids_in, pipeline_in
from tests.audit.trails import record

ACME = "111122223333"
ADA = Principal.from_arn(f"arn:aws:iam::{ACME}:user/ada", userid="AIDAEXAMPLEADA0000001")
CALLERS = [
    ADA,
    replace(ADA, credential=Credential("sigv4", "AKIAADA")),
    Principal.from_arn(f"arn:aws:sts::{ACME}:assumed-role/work/s1", userid="AROAEXAMPLEROLE000001:s1"),
    replace(Principal.from_arn(f"arn:aws:iam::{ACME}:root"), session=MappingProxyType({"aws:MultiFactorAuthAge": 7})),
    Principal.anonymous(),
    Principal.service("cloudtrail.amazonaws.com"),
]
WHY = [Reason(PolicyType.IDENTITY, "Allow", statement=number) for number in range(2)]
ACTIONS = ["docs:GetDocument", "docs:PutDocument", "docs:igk_hunter2.hunter2", "iam:GetUser", "docs:List"]
CALL = Call("request", "http", "GET", "/documents/{id}", "docs.example", "203.0.113.7", "agent", secure=True)
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
FIXED: Any = {"clock": lambda: NOON, "new_id": lambda: "event-1", "timer": lambda: 100.25}


def allow(action: str = "docs:GetDocument", principal: Principal = ADA) -> Decision:
    return Decision(Outcome.ALLOWED, AccessRequest(principal, action, "*"), (WHY[0],), epoch=7)


def warm(trail: Trail) -> None:
    """Start the writer thread, and record a write whose parts later writes repeat."""
    trail.record_decision(allow("docs:PutDocument"), CALL, started=100.0)


@contextmanager
def puts_counted() -> Iterator[Counter[str]]:
    """Count the records that took the shortest way, by their class."""
    count: Counter[str] = Counter()
    put = RecordQueue.put_allowed

    def counting(self: RecordQueue, record: Any) -> bool:
        count[type(record).__name__] += 1
        return put(self, record)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RecordQueue, "put_allowed", counting)
        yield count


@contextmanager
def blocked_writer(pipeline: Pipeline) -> Iterator[None]:
    """Let the writer wait in a write until the end of the block."""
    released, begun, append = threading.Event(), threading.Event(), AppendFile.append

    def wait(file: AppendFile, data: bytes) -> None:
        begun.set()
        assert released.wait(300)
        append(file, data)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(AppendFile, "append", wait)
        pipeline.put(record(0), READ)
        assert begun.wait(60)
        try:
            yield
        finally:
            released.set()
            eventually(lambda: pipeline.usage().waiting == 0)


def test_length_counts_all_that_the_client_chose() -> None:
    """The shortest way adds up a slice of the call's fields."""
    assert {"path", "host", "user_agent", "referer"} < set(Call._fields[2:8])


# --- the law ---------------------------------------------------------------------------------------------------------

ODD = st.sampled_from(["", "x" * 5000, "Bearer hunter2-hunter2", "\ud800", '"', 7, b"x", None, ["a"], "agent"])
CALLS = st.none() | st.just(CALL) | st.builds(CALL._replace, user_agent=ODD, path=ODD, method=ODD, source_ip=ODD)
DECISIONS = st.builds(
    Decision,
    st.sampled_from([Outcome.ALLOWED, Outcome.ALLOWED, Outcome.ALLOWED, Outcome.IMPLICITLY_DENIED]),
    st.builds(AccessRequest, st.sampled_from(CALLERS), st.sampled_from(ACTIONS), st.sampled_from(["*", "a:b", "é"])),
    st.sampled_from([(), (WHY[0],), tuple(WHY), tuple(WHY) * 5]),
    epoch=st.sampled_from([None, 7]),
    stale=st.booleans(),
)
SPANS = st.sampled_from([None, NonRecordingSpan(SpanContext(11, 12, is_remote=True))])


def outcome_of(trail: Trail, question: tuple[Any, Any, Any, Any], *, is_shadowed: bool = False) -> str:
    """Record a decision in a span; return the error, as for an address of a type that cannot be a key."""
    decision, call, span, _ = question
    shadow = replace(decision, outcome=Outcome.EXPLICITLY_DENIED) if is_shadowed else None
    with nullcontext() if span is None else opentelemetry_trace.use_span(span):
        try:
            trail.record_decision(decision, call, started=100.0, shadow=shadow)
        except (DecisionUnavailable, TypeError) as error:
            return type(error).__name__
    return "recorded"


def content(folder: Path) -> list[str]:
    """Return the records of decisions and gaps, without their place in the trail."""
    kept = []
    for fact in facts_in(folder):
        extension = fact["iamGuard"]
        if extension["kind"] in ("decision", "audit_sampled"):
            del extension["shard"], extension["sequence"]
            kept.append(json.dumps(fact))
    return sorted(kept)


@settings(max_examples=60, deadline=None)
@given(
    questions=st.lists(st.tuples(DECISIONS, CALLS, SPANS, st.sampled_from([False, False, False, True])), min_size=1),
    fail_open=st.sampled_from([("read",), (), ("read", "write")]),
    has_rules=st.sampled_from([False, False, True]),
    fraction=st.sampled_from([None, None, 0.5]),
)
def test_both_ways_record_and_refuse_the_same(
    questions: list[tuple[Any, Any, Any, bool]], fail_open: tuple[str, ...], has_rules: bool, fraction: float | None
) -> None:
    """INVARIANT: byte for byte, in the same number, with the same refusals."""
    found = []
    for is_deferring in (True, False):
        with TemporaryDirectory() as folder:
            pipeline = pipeline_in(Path(folder), fail_open=fail_open)
            rules = PrivacyRules({Treatment.DROP: ["/userAgent"]}) if has_rules else None
            sampling = None if fraction is None else Sampling(fraction, chance=iter([0.1, 0.9] * 1000).__next__)
            trail = Trail(pipeline, rules=rules, sampling=sampling, **FIXED)
            if not is_deferring:
                trail._deferral = None
            warm(trail)
            outcomes = [outcome_of(trail, question, is_shadowed=question[3]) for question in questions]
            trail.close()
            usage = pipeline.usage()
            found.append((outcomes, content(Path(folder)), usage.dropped, usage.refused))
    assert found[0] == found[1]


def test_usual_records_take_the_shortest_way(tmp_path: Path) -> None:
    """Reads, and writes whose parts were recorded before; nothing else."""
    pipeline = pipeline_in(tmp_path)
    trail = Trail(pipeline)
    with puts_counted() as count:
        warm(trail)
        assert not count
        usual = [allow(), allow("docs:PutDocument")]
        others = [
            allow("iam:GetUser"),
            allow("docs:PutDocument", replace(ADA)),
            allow(principal=Principal.anonymous()),
            replace(allow(), outcome=Outcome.IMPLICITLY_DENIED),
        ]
        for decision in usual + others:
            trail.record_decision(decision, CALL, started=0.0)
        trail.record_decision(allow(), CALL._replace(user_agent="x" * 5000), started=0.0)
        trail.record_decision(allow(), CALL, started=0.0, shadow=replace(allow(), outcome=Outcome.IMPLICITLY_DENIED))
    pipeline.close()
    assert count == {DeferredDecision.__name__: len(usual)}
    assert len(set(ids_in(tmp_path))) == len(ids_in(tmp_path)) == 1 + len(usual) + len(others) + 2


@pytest.mark.parametrize(
    "options", [{"rules": PrivacyRules({})}, {"sampling": Sampling(1.0)}], ids=["rules", "sampling"]
)
def test_rules_and_sampling_take_the_long_way(options: dict[str, Any], tmp_path: Path) -> None:
    pipeline = pipeline_in(tmp_path)
    trail = Trail(pipeline, **options)
    with puts_counted() as count:
        for _ in range(3):
            trail.record_decision(allow(), CALL, started=0.0)
    pipeline.close()
    assert (count, len(ids_in(tmp_path))) == ({}, 3)


# --- a queue that is full or closed ----------------------------------------------------------------------------------


def test_full_queue_refuses_writes_and_counts_reads(tmp_path: Path) -> None:
    pipeline = pipeline_in(tmp_path, queue_size=4, wait=0.0)
    trail = Trail(pipeline)
    warm(trail)
    with blocked_writer(pipeline):
        before = pipeline.usage().waiting
        for _ in range(4 - before):
            trail.record_decision(allow("docs:PutDocument"), CALL, started=0.0)
        assert pipeline.usage().waiting == 4
        for _ in range(3):
            with pytest.raises(DecisionUnavailable):
                trail.record_decision(allow("docs:PutDocument"), CALL, started=0.0)
            trail.record_decision(allow(), CALL, started=0.0)
        assert pipeline.usage().waiting == 4
    pipeline.close()
    assert (pipeline.usage().dropped, pipeline.usage().refused) == (3, 3)
    [gap] = gaps_in(tmp_path)
    assert (gap["lost"], gap["refused"]) == (3, 3)


@pytest.mark.parametrize("action", ["docs:GetDocument", "docs:PutDocument"])
def test_decisions_during_close_are_recorded_or_refused(action: str, tmp_path: Path) -> None:
    """Each decision that was not refused is in the trail: none is added after the writer's last batch."""
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        pipeline = pipeline_in(folder, queue_size=100_000)
        trail = Trail(pipeline)
        warm(trail)
        recorded: Counter[int] = Counter()

        def work(thread: int, trail: Trail = trail, recorded: Counter[int] = recorded) -> None:
            while True:
                try:
                    trail.record_decision(allow(action), CALL, started=0.0)
                except DecisionUnavailable:
                    return
                recorded[thread] += 1

        with ThreadPoolExecutor(4) as pool:
            works = [pool.submit(work, thread) for thread in range(4)]
            eventually(lambda recorded=recorded: recorded.total() > 50)
            trail.close()
            for done in works:
                done.result(timeout=60)
        assert len(ids_in(folder)) == len(set(ids_in(folder))) == 1 + recorded.total()
        with pytest.raises(DecisionUnavailable):
            trail.record_decision(allow(action), CALL, started=0.0)


def test_threads_lose_no_record(tmp_path: Path) -> None:
    pipeline = pipeline_in(tmp_path, queue_size=100_000)
    trail = Trail(pipeline)
    warm(trail)
    with puts_counted() as count, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: trail.record_decision(allow("docs:PutDocument"), CALL, started=0.0), range(4000)))
    pipeline.close()
    assert count.total() == 4000
    assert len(ids_in(tmp_path)) == len(set(ids_in(tmp_path))) == 4001
    assert gaps_in(tmp_path) == []


def test_first_record_wakes_a_sleeping_writer() -> None:
    """It sleeps for seconds otherwise."""
    queue = RecordQueue(100)
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(queue.take, 1000, 300.0)
        eventually(lambda: queue._wake_counts == (1, 1, 1, 1))
        assert queue.put_allowed(LineRecord(b"1", ALLOWED))
        batch, _ = taken.result(timeout=60)
    assert [one.line for one in batch] == [b"1"]


def test_full_or_closed_lane_accepts_no_record() -> None:
    queue = RecordQueue(100)
    for number in range(100):
        assert queue._quiet_places == 100
        assert queue.put_allowed(LineRecord(b"%d" % number, ALLOWED))
    assert not queue.put_allowed(LineRecord(b"", ALLOWED))
    queue.take(1, 0.0)
    assert queue.put_allowed(LineRecord(b"", ALLOWED))
    queue.close()
    queue.take(50, 0.0)
    assert not queue.put_allowed(LineRecord(b"", ALLOWED))


# --- what a queued record refers to ----------------------------------------------------------------------------------


def test_written_record_frees_its_decision(tmp_path: Path) -> None:
    """Also while its batch is written again and again; and the queue keeps no trail alive."""
    pipeline = pipeline_in(tmp_path)
    trail = Trail(pipeline)
    warm(trail)
    failing, append = threading.Event(), AppendFile.append

    def fail(file: AppendFile, data: bytes) -> None:
        if failing.is_set():
            raise OSError(5, "Input/output error")
        append(file, data)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(AppendFile, "append", fail)
        failing.set()
        decision = allow()
        reference = weakref.ref(decision)
        trail.record_decision(decision, CALL, started=0.0)
        del decision
        eventually(lambda: pipeline.usage().is_failing)
        eventually(lambda: [gc.collect(), reference()][1] is None)  # the thread may just be at it
        failing.clear()
        eventually(lambda: not pipeline.usage().is_failing)
        pipeline.close()
    assert len(ids_in(tmp_path)) == 2


def test_queue_keeps_no_trail_alive(tmp_path: Path) -> None:
    pipeline = pipeline_in(tmp_path)
    trail = Trail(pipeline)
    warm(trail)
    with blocked_writer(pipeline):
        trail.record_decision(allow(), CALL, started=0.0)
        reference = weakref.ref(trail)
        del trail
        gc.collect()
        assert reference() is None
    pipeline.close()
    assert len(ids_in(tmp_path)) == 3


# --- failures before the record is queued ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["clock", "new_id"])
def test_failing_clock_or_id_refuses_writes_and_counts_reads(name: str, tmp_path: Path) -> None:
    is_failing = False
    works = FIXED[name]

    def fail() -> Any:
        if is_failing:
            raise OSError("no randomness")
        return works()

    pipeline = pipeline_in(tmp_path)
    trail = Trail(pipeline, **(FIXED | {name: fail}))
    warm(trail)
    is_failing = True
    with pytest.raises(DecisionUnavailable):
        trail.record_decision(allow("docs:PutDocument"), CALL, started=0.0)
    trail.record_decision(allow(), CALL, started=0.0)
    eventually(lambda: pipeline.usage().dropped)
    pipeline.close()
    assert (pipeline.usage().dropped, pipeline.usage().refused, len(ids_in(tmp_path))) == (1, 1, 1)


# --- forks -----------------------------------------------------------------------------------------------------------

FORKING = """
import os, sys
from pathlib import Path
from iam_guard.audit.trail import Trail
from tests.audit.pipelines import pipeline_in
from tests.audit.writer.test_deferral import CALL, allow, warm
pipeline = pipeline_in(Path(sys.argv[1]))
trail = Trail(pipeline)
warm(trail)
for _ in range(5):
    trail.record_decision(allow(), CALL, started=0.0)
children = []
for _ in range(3):
    children.append(os.fork())
    if not children[-1]:
        assert pipeline.running_queue is None
        break
for _ in range(20):
    trail.record_decision(allow(), CALL, started=0.0)
trail.close()
if not children[-1]:
    os._exit(0)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.forks
def test_forked_processes_record_everything_once(tmp_path: Path) -> None:
    """The parent's queue is not written by a child, and each process has its own ids."""
    command = [sys.executable, "-W", "ignore", "-c", FORKING, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(ids_in(tmp_path)) == len(set(ids_in(tmp_path))) == 6 + 4 * 20
    assert gaps_in(tmp_path) == []
