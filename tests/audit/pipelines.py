"""Pipelines for tests: into a folder, with the key of `trails`; and what came of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from iam_guard.audit.verify.shard import shards_of
from iam_guard.audit.verify.signed_note import KeyRing, SignerKey
from iam_guard.audit.writer.pipeline import Pipeline
from iam_guard.audit.writer.segment_limits import SegmentLimits
from iam_guard.audit.writer.trail_writer import TrailPlace
from tests.audit.trails import KEY, lines_of

ROOT = Path(__file__).resolve().parents[2]


def pipeline_in(trail: Path, limits: SegmentLimits = SegmentLimits(), key: SignerKey = KEY, **options: Any) -> Pipeline:
    patient = {"durable_wait": 30.0}  # a disk that others use may take longer than a request would wait
    return Pipeline(
        TrailPlace(trail, key, KeyRing([key.verifier]), service="docs", limits=limits), **(patient | options)
    )


def facts_in(trail: Path) -> list[dict[str, Any]]:
    """Return all records of a trail."""
    return [json.loads(line) for shard in shards_of(trail) for line in lines_of(shard)]


def ids_in(trail: Path) -> list[str]:
    """Return the ids of the decisions in it."""
    return [each["eventID"] for each in facts_in(trail) if each["iamGuard"]["kind"] == "decision"]


def gaps_in(trail: Path) -> list[dict[str, Any]]:
    return [each["iamGuard"] for each in facts_in(trail) if each["iamGuard"]["kind"] == "audit_gap"]


def eventually(holds: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something holds."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.005)
