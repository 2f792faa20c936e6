"""The bounds of a shard's segments: when a checkpoint is signed, when the disk has it, when the next segment begins."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SegmentLimits:
    """When a checkpoint is signed, the disk is asked for what was written, and a segment is full."""

    checkpoint_records: int = 1000
    checkpoint_seconds: float = 1.0
    flush_seconds: float = 1.0
    """After how long the disk has a line for which nobody waits; 0 for when the system sees fit."""
    segment_bytes: int = 64 * 1024 * 1024
    segment_seconds: float = 3600.0
    reserve_bytes: int = 128 * 1024
    """Room for the last gap record, its hash and its checkpoint."""
