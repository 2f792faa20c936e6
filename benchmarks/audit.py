"""The time to record a decision, in microseconds of CPU time, compared with `json.dumps` of the same record.

No SDK of OpenTelemetry is installed. Except for the file, the sink discards the line, so that only serialization is
measured; the file adds the time of the append.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path

from benchmarks.clock import CALIBRATION, Call, calibrate, least
from benchmarks.row import Row
from iam_guard.audit.sinks import FileSink, Sink
from iam_guard.audit.trail import Trail
from iam_guard.model.decision import Decision, Outcome, PolicyRef, PolicyType, Reason
from iam_guard.model.principal import Credential, Principal
from iam_guard.model.request import AccessRequest
from iam_guard.model.request import Call as Facts

ACCOUNT = "111122223333"
PRINCIPALS = 10_000
"""More than the trail caches parts of, so that each is a cache miss in its turn."""

SIGNED = Credential("sigv4", "AKIAIOSFODNN7EXAMPLE", "us-east-1", "docs")
ADA = replace(Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/ada", userid="AIDAEXAMPLEADA0000001"), credential=SIGNED)
POLICY = PolicyRef("ReadDocuments", PolicyType.IDENTITY, f"arn:aws:iam::{ACCOUNT}:policy/ReadDocuments", "0a" * 32)
READING = Reason(PolicyType.IDENTITY, "Allow", POLICY, statement=0, sid="Read", line=5)
REQUEST = AccessRequest(ADA, "docs:GetDocument", f"arn:aws:docs:us-east-1:{ACCOUNT}:document/7")
ALLOW = Decision(Outcome.ALLOWED, REQUEST, (READING,), epoch=42)
DENIAL = Decision(Outcome.IMPLICITLY_DENIED, REQUEST, (Reason(PolicyType.IDENTITY),), epoch=42)
FACTS = Facts(
    "5f2a8a3e-7a64-4f0e-8f6e-8d6f1f7d0c11",
    "http",
    "GET",
    "/documents/{document_id}",
    "docs.example.com",
    "203.0.113.7",
    "Boto3/1.40 md/Botocore#1.40 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.13",
    secure=True,
)
PEER = "json.dumps of the record"


class Forgetful:
    """A sink that keeps only the last line."""

    last = b""

    def write(self, lines: bytes) -> None:
        self.last = lines

    def close(self) -> None:
        """Nothing to close."""


def measure() -> Iterator[Row]:
    """Measure the most frequent records, records that must be searched for secrets, and a file."""
    sink = Forgetful()
    Trail(sink).record_decision(ALLOW, FACTS, started=time.perf_counter())
    record = json.loads(sink.last)
    with tempfile.TemporaryDirectory() as folder:
        file = FileSink(Path(folder, "audit.jsonl"))
        ours = {
            "Allow": _noting(sink, ALLOW),
            "Allow, called as a function": _noting(sink, ALLOW, None),
            "Allow, another of many callers each time": _noting_in_turn(sink),
            "implicit denial": _noting(sink, DENIAL),
            "Allow, a token in the user agent to be masked": _noting(sink, ALLOW, replace(FACTS, user_agent="token=x")),
            "Allow, to a file": _noting(file, ALLOW),
        }
        taken = least({**ours, PEER: lambda: json.dumps(record), CALIBRATION: calibrate})
        file.close()
    for name in ours:
        for peer in (PEER, CALIBRATION):
            yield Row(name, taken[name] * 1e6, "us", taken[name] / taken[peer], peer)


def _noting(sink: Sink, decision: Decision, facts: Facts | None = FACTS) -> Call:
    trail = Trail(sink)
    return lambda: trail.record_decision(decision, facts, started=time.perf_counter())


def _noting_in_turn(sink: Sink) -> Call:
    trail = Trail(sink)
    callers = (
        replace(Principal.from_arn(f"{ADA.arn}{number}", userid=f"{ADA.userid}{number}"), credential=SIGNED)
        for number in range(PRINCIPALS)
    )
    decisions = cycle([replace(ALLOW, request=replace(REQUEST, principal=caller)) for caller in callers])
    return lambda: trail.record_decision(next(decisions), FACTS, started=time.perf_counter())
