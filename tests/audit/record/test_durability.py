"""A record that is made for certain may be made later; whatever is not certain is made before the answer."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iam_guard import compile_policies
from iam_guard.audit import trail as trail_module
from iam_guard.audit.record.durability import MAX_KEPT, Durability
from iam_guard.audit.record.line import decision_line
from iam_guard.audit.record.record import Stamp
from iam_guard.audit.trail import Trail
from iam_guard.audit.writer.pipeline import Pipeline
from iam_guard.errors import DecisionUnavailable
from iam_guard.model.decision import Decision, Outcome, PolicyType, Reason
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest, Call
from tests.audit.pipelines import facts_in, ids_in, pipeline_in

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada", userid="AIDAEXAMPLEADA0000001")
DOCUMENT = "arn:aws:docs:us-east-1:111122223333:document/7"
WHY = Reason(PolicyType.IDENTITY, "Allow", statement=0, sid="Write")
CALL = Call("request", "http", "PUT", "/documents/{id}", "docs.example.org", "203.0.113.7", "agent")
STAMP = Stamp(datetime(2026, 5, 4, tzinfo=UTC), "id")


def allow(principal: Principal = ADA, reason: Reason = WHY) -> Decision:
    return Decision(Outcome.ALLOWED, AccessRequest(principal, "docs:PutDocument", DOCUMENT), (reason,), epoch=7)


def known(*decisions: Decision) -> Durability:
    certainty = Durability()
    for each in decisions or (allow(),):
        certainty.made(each)
    return certainty


# --- what is certain -------------------------------------------------------------------------------------------------


def test_a_decision_of_known_parts_is_certain() -> None:
    """Whatever the action, the resource, the trace: these are text."""
    assert not Durability().covers(allow(), CALL)
    assert known().covers(allow(), CALL)
    assert known().covers(allow(), None)
    other = Decision(Outcome.ALLOWED, AccessRequest(ADA, "x:Y", "*", {"aws:a": ["b", 7]}), (WHY,), epoch=None)
    assert known().covers(other, CALL)


@pytest.mark.parametrize(
    "decision",
    [
        allow(principal=replace(ADA)),
        allow(reason=replace(WHY)),
        replace(allow(), error="broken"),
        replace(allow(), epoch="7"),
        Decision(Outcome.ALLOWED, allow().request, (WHY, replace(WHY))),
    ],
)
def test_what_is_not_known_is_not_certain(decision: Decision) -> None:
    """Another caller that is equal is not known either: its parts that count for nothing may be of any kind."""
    assert not known().covers(decision, CALL)


@pytest.mark.parametrize("name", ["request_id", "region", "method", "path", "host", "source_ip", "user_agent"])
@pytest.mark.parametrize("value", [7, b"x", object(), ["x"], type("Text", (str,), {})("x")])
def test_a_fact_of_the_call_that_is_no_text_is_not_certain(name: str, value: Any) -> None:
    facts = {**vars(CALL), name: value}
    assert not known().covers(allow(), Call(**facts))


@pytest.mark.parametrize("name", ["request_id", "region"])
def test_what_every_call_has_must_be_there(name: str) -> None:
    assert not known().covers(allow(), Call(**{**vars(CALL), name: None}))


def test_policies_that_cannot_be_told_are_not_certain() -> None:
    class Broken:
        @property
        def policy_set(self) -> Any:
            raise RuntimeError

        def explain_again(self, decision: Decision) -> Any: ...

    assert not known().covers(replace(allow(), explainer=Broken()), CALL)


def test_a_service_is_written_by_the_record_and_never_certain() -> None:
    service = allow(principal=Principal.service("cloudtrail.amazonaws.com"))
    assert not known(service).covers(service, CALL)


def test_what_is_known_has_a_bound() -> None:
    certainty = Durability()
    for number in range(MAX_KEPT * 2):
        certainty.made(allow(principal=Principal.from_arn(f"arn:aws:iam::111122223333:user/u{number}")))
        assert len(certainty._made) <= MAX_KEPT + 1


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(st.one_of(st.none(), st.text(max_size=5000)), min_size=5, max_size=5),
    resource=st.text(max_size=3000),
    action=st.text(max_size=300),
    context=st.dictionaries(st.text(max_size=20), st.one_of(st.text(max_size=2000), st.lists(st.text())), max_size=40),
    trace=st.one_of(st.none(), st.text(max_size=100)),
)
def test_the_line_of_what_is_certain_can_be_made(
    texts: list[str | None], resource: str, action: str, context: dict[str, Any], trace: str | None
) -> None:
    """INVARIANT: surrogates, length, secrets, marks: nothing of it fails."""
    method, path, host, source_ip, user_agent = texts
    call = Call("r" * 70_000, "http", method, path, host, source_ip, user_agent, secure=True, region="\ud800")
    request = AccessRequest(ADA, action, resource)
    request.read.update({key: tuple(value) if isinstance(value, list) else value for key, value in context.items()})
    decision = Decision(Outcome.ALLOWED, request, (WHY,))
    assert known().covers(decision, call)
    line = decision_line(decision, call, replace(STAMP, trace_id=trace, span_id=trace), duration=1.0)
    assert line.endswith(b"}}\n")
    assert len(line) <= 60 * 1024


# --- in the trail ----------------------------------------------------------------------------------------------------


@pytest.fixture
def makers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads in which lines are made."""
    found: list[str] = []

    def make(*arguments: Any, **options: Any) -> bytes:
        found.append(threading.current_thread().name)
        return decision_line(*arguments, **options)

    monkeypatch.setattr(trail_module, "decision_line", make)
    return found


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return pipeline_in(tmp_path)


def test_the_first_line_of_a_caller_is_made_at_once_and_the_next_by_the_writer(
    tmp_path: Path, pipeline: Pipeline, makers: list[str]
) -> None:
    trail = Trail(pipeline)
    for _ in range(3):
        trail.note(allow(), CALL, started=0.0)
    pipeline.close()
    here = threading.current_thread().name
    assert makers == [here, "iam-guard-audit", "iam-guard-audit"]
    assert len(set(ids_in(tmp_path))) == 3


def test_what_a_writer_made_is_no_reason_to_be_certain(pipeline: Pipeline, makers: list[str]) -> None:
    """Of a request that goes on without its record nobody has waited to see whether it can be made."""
    trail = Trail(pipeline)
    reading = replace(allow(), request=AccessRequest(ADA, "docs:GetDocument", DOCUMENT))
    trail.note(reading, CALL, started=0.0)
    trail.note(allow(), CALL, started=0.0)
    pipeline.close()
    assert sorted(makers) == sorted(["iam-guard-audit", threading.current_thread().name])


def test_a_change_whose_record_cannot_be_made_is_refused(pipeline: Pipeline) -> None:
    """Also when the caller is known: the refusal comes before the answer."""
    trail = Trail(pipeline)
    for _ in range(2):
        trail.note(allow(), CALL, started=0.0)
        with pytest.raises(DecisionUnavailable):
            trail.note(allow(), Call(**{**vars(CALL), "user_agent": object()}), started=0.0)
    pipeline.close()
    assert pipeline.usage().refused == 2


def test_the_line_says_when_the_request_came_and_what_it_read(tmp_path: Path, pipeline: Pipeline) -> None:
    """Not when the writer came to it, nor what somebody asked for since."""
    moments = iter([datetime(2026, 5, 4, 3, 2, second, tzinfo=UTC) for second in range(3)])
    trail = Trail(pipeline, clock=lambda: next(moments))
    condition = {"StringEquals": {"aws:SourceVpc": "vpc-1"}}
    statements = [
        {"Effect": "Allow", "Action": "docs:PutDocument", "Resource": "*"},
        {"Effect": "Allow", "Action": "docs:*", "Resource": "*", "Condition": condition},
    ]
    authorizer = compile_policies(identity=[{"Version": "2012-10-17", "Statement": statements}])
    for _ in range(3):
        decision = authorizer.decide(AccessRequest(ADA, "docs:PutDocument", DOCUMENT))
        read = dict(decision.request.read)
        trail.note(decision, CALL, started=0.0)
        decision.explain()
        assert decision.request.read == read
    pipeline.close()
    assert [each["eventTime"] for each in facts_in(tmp_path) if each["iamGuard"]["kind"] == "decision"] == [
        f"2026-05-04T03:02:0{second}Z" for second in range(3)
    ]
