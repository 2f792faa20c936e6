"""The limits of a shard's segments."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SegmentLimits:
    """When to sign a checkpoint, flush to the disk, and start the next segment."""

    checkpoint_records: int = 1000
    checkpoint_seconds: float = 1.0
    flush_seconds: float = 1.0
    """Seconds until a line is flushed to the disk for which no request waits; 0 leaves it to the operating system."""
    segment_bytes: int = 64 * 1024 * 1024
    segment_seconds: float = 3600.0
    reserve_bytes: int = 128 * 1024
    """Disk space for the last gap record, its hash and its checkpoint."""
