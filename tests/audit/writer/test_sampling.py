"""Sampling: only of allowed reads, declared completely, and off unless it is set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from iam_guard.audit.open_trail import open_sampling
from iam_guard.audit.sinks import FileSink
from iam_guard.audit.trail import Trail
from iam_guard.audit.verify.signing_keys import create_signing_key_file
from iam_guard.audit.writer import record_queue, sampling
from iam_guard.audit.writer.sampling import Sampling
from iam_guard.errors import ConfigurationError, DecisionUnavailable
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.request import AccessRequest, Call
from iam_guard.settings import Settings
from tests.audit.list_sink import ListSink
from tests.audit.pipelines import eventually, facts_in, pipeline_in
from tests.tables import table

Decide = Callable[..., Decision]


def half() -> Callable[[], float]:
    """Keep every other record."""
    chance: Iterator[float] = cycle((0.9, 0.1))
    return lambda: next(chance)


def record_decisions(trail: Trail, decision: Decision, count: int = 1, **more: Any) -> None:
    for _ in range(count):
        trail.record_decision(decision, None, started=time.perf_counter(), **more)


def kinds(records: list[dict[str, Any]]) -> list[str]:
    return [record["iamGuard"]["kind"] for record in records]


def test_sampled_out_records_are_counted_and_declared(decide: Decide) -> None:
    sink = ListSink()
    trail = Trail(sink, sampling=Sampling(0.5, chance=half()))
    record_decisions(trail, decide(), 10)
    assert kinds(sink.records) == ["decision"] * 5
    trail.close()
    [*_, declared] = sink.records
    assert declared["eventName"] == "AuditSampled"
    extension = declared["iamGuard"]
    assert (extension["kind"], extension["fraction"], extension["sampledOut"]) == ("audit_sampled", 0.5, 5)
    assert extension["firstTime"] <= extension["lastTime"]


def test_other_records_are_never_sampled_out(decide: Decide, call: Call) -> None:
    """Denials, writes, our own API, and decisions that differ in shadow mode."""
    sink = ListSink()
    trail = Trail(sink, sampling=Sampling(0.5, chance=lambda: 0.99))
    allowed = decide()

    def of(action: str) -> Decision:
        request = AccessRequest(allowed.request.principal, action, "*")
        return Decision(Outcome.ALLOWED, request, allowed.reasons)

    for decision in (decide(Outcome.IMPLICITLY_DENIED), decide(Outcome.EXPLICITLY_DENIED), of("docs:PutDocument")):
        record_decisions(trail, decision)
    for action in ("docs:Frobnicate", "iam:ListUsers", "sts:GetCallerIdentity"):
        record_decisions(trail, of(action))
    record_decisions(trail, allowed, shadow=decide(Outcome.IMPLICITLY_DENIED))
    assert len(sink.records) == 7
    record_decisions(trail, allowed)
    assert len(sink.records) == 7
    trail.close()
    assert sink.records[-1]["iamGuard"]["sampledOut"] == 1


def test_trail_folder_declares_sampled_out_records(decide: Decide, tmp_path: Path) -> None:
    """Even if nothing else was written."""
    trail = Trail(pipeline_in(tmp_path), sampling=Sampling(0.5, chance=lambda: 0.99))
    record_decisions(trail, decide(), 3)
    trail.close()
    assert kinds(facts_in(tmp_path)) == ["audit_segment", "audit_sampled", "audit_end"]


def test_idle_trail_declares_sampled_out_records(
    decide: Decide, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "DECLARATION_INTERVAL", 0.0)
    monkeypatch.setattr(record_queue, "MAX_SLEEP", 0.05)
    trail = Trail(pipeline_in(tmp_path), sampling=Sampling(0.5, chance=half()))
    record_decisions(trail, decide(), 2)
    eventually(lambda: "audit_sampled" in kinds(facts_in(tmp_path)))
    trail.close()
    assert kinds(facts_in(tmp_path)).count("audit_sampled") == 1


def test_sink_gets_declarations_periodically(decide: Decide, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "DECLARATION_INTERVAL", 0.0)
    sink = ListSink()
    trail = Trail(sink, sampling=Sampling(0.5, chance=lambda: 0.99))
    record_decisions(trail, decide(), 2)
    assert [record["iamGuard"]["sampledOut"] for record in sink.records] == [1, 1]


@pytest.mark.forks
def test_forked_child_counts_separately(decide: Decide) -> None:
    sink = ListSink()
    trail = Trail(sink, sampling=Sampling(0.5, chance=lambda: 0.99))
    record_decisions(trail, decide(), 3)
    child = os.fork()
    if child == 0:
        trail.close()
        os._exit(len(sink.records))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    trail.close()
    assert sink.records[0]["iamGuard"]["sampledOut"] == 3


@pytest.mark.parametrize("where", ["trail/", "audit.jsonl"])
def test_process_exit_without_close_declares_sampled_out(where: str, tmp_path: Path) -> None:
    """Even if all records were left out."""
    script = """
from iam_guard import Principal, open_guard
guard = open_guard("iam.yaml", audit=WHERE, audit_key_file="key", audit_sample_reads=1e-9)
root = Principal.from_arn("arn:aws:iam::111122223333:root")
for _ in range(3):
    assert guard.decide(root, "docs:GetDocument", "arn:aws:docs:us-east-1:111122223333:document/7").allowed
"""
    create_signing_key_file(tmp_path / "key")
    (tmp_path / "iam.yaml").write_text("{version: 1, accounts: [{id: '111122223333'}]}")
    subprocess.run([sys.executable, "-c", script.replace("WHERE", repr(where))], cwd=tmp_path, check=True, timeout=300)
    records = [json.loads(line) for path in tmp_path.rglob("*.jsonl") for line in path.read_text().splitlines()]
    assert [record["iamGuard"]["sampledOut"] for record in records if "sampledOut" in record["iamGuard"]] == [3]


@pytest.mark.parametrize("kept", ["sink", "segments"])
def test_closed_trail_samples_out_nothing(kept: str, decide: Decide, tmp_path: Path) -> None:
    """It could not be declared any more; an Allow is refused."""
    sink = FileSink(tmp_path / "audit.jsonl") if kept == "sink" else pipeline_in(tmp_path)
    trail = Trail(sink, sampling=Sampling(0.5, chance=lambda: 0.99))
    trail.close()
    with pytest.raises(DecisionUnavailable):
        record_decisions(trail, decide())


def test_sampling_is_off_by_default() -> None:
    assert open_sampling(Settings()) is None
    assert open_sampling(Settings(audit_sample_reads=0.1)) is not None


@table("fraction", [0.0, 1.0001, 2, 100])
def test_invalid_fraction_is_rejected(fraction: float) -> None:
    with pytest.raises(ConfigurationError, match="expected a fraction above 0 and up to 1") as caught:
        open_sampling(Settings(audit_sample_reads=fraction))
    assert caught.value.place == "audit_sample_reads"
