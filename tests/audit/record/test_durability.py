"""A line whose creation cannot fail may be made after the response; any other is made before."""

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
from iam_guard.audit.record.durability import MAX_CACHED, Durability
from iam_guard.audit.record.line import decision_line
from iam_guard.audit.record.record import Stamp
from iam_guard.audit.trail import Trail
from iam_guard.audit.writer import deferral
from iam_guard.audit.writer.pipeline import Pipeline
from iam_guard.errors import DecisionUnavailable
from iam_guard.model.decision import Decision, Outcome, PolicyType, Reason
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest, Call
from tests.audit.pipelines import facts_in, ids_in, pipeline_in
from tests.tables import table

ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada", userid="AIDAEXAMPLEADA0000001")
DOCUMENT = "arn:aws:docs:us-east-1:111122223333:document/7"
WHY = Reason(PolicyType.IDENTITY, "Allow", statement=0, sid="Write")
CALL = Call("request", "http", "PUT", "/documents/{id}", "docs.example.org", "203.0.113.7", "agent")
STAMP = Stamp(datetime(2026, 5, 4, tzinfo=UTC), "id")


def allow(principal: Principal = ADA, reason: Reason = WHY) -> Decision:
    return Decision(Outcome.ALLOWED, AccessRequest(principal, "docs:PutDocument", DOCUMENT), (reason,), epoch=7)


def recorded(*decisions: Decision) -> Durability:
    durability = Durability()
    for decision in decisions or (allow(),):
        durability.record_success(decision)
    return durability


# --- guaranteed lines ------------------------------------------------------------------------------------------------


def test_decision_of_recorded_parts_is_guaranteed() -> None:
    """Any action, resource and trace: these are strings."""
    assert not Durability().is_guaranteed(allow(), CALL)
    assert recorded().is_guaranteed(allow(), CALL)
    assert recorded().is_guaranteed(allow(), None)
    other = Decision(Outcome.ALLOWED, AccessRequest(ADA, "x:Y", "*", {"aws:a": ["b", 7]}), (WHY,), epoch=None)
    assert recorded().is_guaranteed(other, CALL)


@table(
    "decision",
    [
        allow(principal=replace(ADA)),
        allow(reason=replace(WHY)),
        replace(allow(), error="broken"),
        replace(allow(), epoch="7"),
        Decision(Outcome.ALLOWED, allow().request, (WHY, replace(WHY))),
    ],
)
def test_decision_with_new_parts_is_not_guaranteed(decision: Decision) -> None:
    """An equal caller is new too: its ignored fields may have any type."""
    assert not recorded().is_guaranteed(decision, CALL)


@table("name", ["request_id", "region", "method", "path", "host", "source_ip", "user_agent"])
@table("value", [7, b"x", object(), ["x"], type("Text", (str,), {})("x")])
def test_call_with_non_string_fact_is_not_guaranteed(name: str, value: Any) -> None:
    facts = {**CALL._asdict(), name: value}
    assert not recorded().is_guaranteed(allow(), Call(**facts))


@table("name", ["request_id", "region"])
def test_call_without_required_fact_is_not_guaranteed(name: str) -> None:
    assert not recorded().is_guaranteed(allow(), Call(**{**CALL._asdict(), name: None}))


def test_failing_policy_set_is_not_guaranteed() -> None:
    class Broken:
        @property
        def policy_set(self) -> Any:
            raise RuntimeError

        def explain_decision(self, decision: Decision) -> Any: ...

    assert not recorded().is_guaranteed(replace(allow(), explainer=Broken()), CALL)


def test_service_caller_is_never_guaranteed() -> None:
    service = allow(principal=Principal.service("cloudtrail.amazonaws.com"))
    assert not recorded(service).is_guaranteed(service, CALL)


def test_recorded_parts_have_a_maximum_number() -> None:
    durability = Durability()
    for number in range(MAX_CACHED * 2):
        durability.record_success(allow(principal=Principal.from_arn(f"arn:aws:iam::111122223333:user/u{number}")))
        assert len(durability._recorded) <= MAX_CACHED + 1


@settings(max_examples=200, deadline=None)
@given(
    texts=st.lists(st.one_of(st.none(), st.text(max_size=5000)), min_size=5, max_size=5),
    resource=st.text(max_size=3000),
    action=st.text(max_size=300),
    context=st.dictionaries(st.text(max_size=20), st.one_of(st.text(max_size=2000), st.lists(st.text())), max_size=40),
    trace=st.one_of(st.none(), st.text(max_size=100)),
)
def test_guaranteed_line_never_fails(
    texts: list[str | None], resource: str, action: str, context: dict[str, Any], trace: str | None
) -> None:
    """INVARIANT: surrogates, length, secrets and quotes do not make it fail."""
    method, path, host, source_ip, user_agent = texts
    call = Call("r" * 70_000, "http", method, path, host, source_ip, user_agent, secure=True, region="\ud800")
    request = AccessRequest(ADA, action, resource)
    request.read.update({key: tuple(value) if isinstance(value, list) else value for key, value in context.items()})
    decision = Decision(Outcome.ALLOWED, request, (WHY,))
    assert recorded().is_guaranteed(decision, call)
    line = decision_line(decision, call, replace(STAMP, trace_id=trace, span_id=trace), duration=1.0)
    assert line.endswith(b"}}\n")
    assert len(line) <= 60 * 1024


# --- in the trail ----------------------------------------------------------------------------------------------------


@pytest.fixture
def makers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads that make lines."""
    thread_names: list[str] = []

    def make(*arguments: Any, **options: Any) -> bytes:
        thread_names.append(threading.current_thread().name)
        return decision_line(*arguments, **options)

    for module in (trail_module, deferral):
        monkeypatch.setattr(module, "decision_line", make)
    return thread_names


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return pipeline_in(tmp_path)


def test_second_line_of_a_caller_is_made_by_the_writer(tmp_path: Path, pipeline: Pipeline, makers: list[str]) -> None:
    trail = Trail(pipeline)
    for _ in range(3):
        trail.record_decision(allow(), CALL, started=0.0)
    pipeline.close()
    here = threading.current_thread().name
    assert makers == [here, "iam-guard-audit", "iam-guard-audit"]
    assert len(set(ids_in(tmp_path))) == 3


def test_line_made_by_the_writer_gives_no_guarantee(pipeline: Pipeline, makers: list[str]) -> None:
    """The request proceeds without its record, so whether the line could be made was not checked."""
    trail = Trail(pipeline)
    reading = replace(allow(), request=AccessRequest(ADA, "docs:GetDocument", DOCUMENT))
    trail.record_decision(reading, CALL, started=0.0)
    trail.record_decision(allow(), CALL, started=0.0)
    pipeline.close()
    assert sorted(makers) == sorted(["iam-guard-audit", threading.current_thread().name])


def test_change_with_failing_record_is_refused(pipeline: Pipeline) -> None:
    """Even for a recorded caller: before the response."""
    trail = Trail(pipeline)
    for _ in range(2):
        trail.record_decision(allow(), CALL, started=0.0)
        with pytest.raises(DecisionUnavailable):
            trail.record_decision(allow(), Call(**{**CALL._asdict(), "user_agent": object()}), started=0.0)
    pipeline.close()
    assert pipeline.usage().refused == 2


def test_deferred_line_has_the_time_and_keys_of_its_request(tmp_path: Path, pipeline: Pipeline) -> None:
    """Not the time of the writer, nor keys read by later questions."""
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
        trail.record_decision(decision, CALL, started=0.0)
        decision.explain()
        assert decision.request.read == read
    pipeline.close()
    assert [fact["eventTime"] for fact in facts_in(tmp_path) if fact["iamGuard"]["kind"] == "decision"] == [
        f"2026-05-04T03:02:0{second}Z" for second in range(3)
    ]
