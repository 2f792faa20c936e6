"""Pipelines for tests that write to a folder with the key of `trails`, and what they wrote."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from iam_guard.audit.verify.shard import shards_of
from iam_guard.audit.verify.signed_note import KeyRing, SignerKey
from iam_guard.audit.writer.pipeline import Pipeline
from iam_guard.audit.writer.segment_writer import SegmentLimits
from iam_guard.audit.writer.trail_writer import TrailConfig
from tests.audit.trails import KEY, lines_of

ROOT = Path(__file__).resolve().parents[2]


def pipeline_in(trail: Path, limits: SegmentLimits = SegmentLimits(), key: SignerKey = KEY, **options: Any) -> Pipeline:
    defaults = {"durable_wait": 30.0}  # a busy disk may take longer than a request would wait
    return Pipeline(
        TrailConfig(trail, key, KeyRing([key.verifier]), service="docs", limits=limits), **(defaults | options)
    )


def facts_in(trail: Path) -> list[dict[str, Any]]:
    """Return all records of a trail."""
    return [json.loads(line) for shard in shards_of(trail) for line in lines_of(shard)]


def ids_in(trail: Path) -> list[str]:
    """Return the ids of the decisions in a trail."""
    return [fact["eventID"] for fact in facts_in(trail) if fact["iamGuard"]["kind"] == "decision"]


def gaps_in(trail: Path) -> list[dict[str, Any]]:
    return [fact["iamGuard"] for fact in facts_in(trail) if fact["iamGuard"]["kind"] == "audit_gap"]


def eventually(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until the condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.005)
