"""The list of what a destination refused for good: which record, why and when. The records themselves are in the trail.

    {"time": "…", "shard": "docs-…", "sequence": 17, "eventID": "…", "why": "status 413"}

It lies beside the offsets of the sink's group, and the disk has an entry before the record counts as worked through.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from iam_guard.audit.append_file import AppendFile
from iam_guard.audit.consumer.subscription import Delivery
from iam_guard.audit.record.record import event_time


def _now() -> datetime:
    return datetime.now(UTC)


class RefusedRecords:
    """One sink's list; the file is made with the first entry."""

    def __init__(self, path: Path, *, clock: Callable[[], datetime] = _now) -> None:
        self._path = path
        self._clock = clock

    def note(self, delivery: Delivery, why: str) -> None:
        """Keep that a record was given up; raise `OSError` when that cannot be kept."""
        entry = {
            "time": event_time(self._clock()),
            "shard": delivery.offset.shard,
            "sequence": delivery.offset.sequence,
            "eventID": delivery.record.get("eventID"),
            "why": why,
        }
        file = AppendFile(self._path)
        try:
            file.append(json.dumps(entry).encode("ascii") + b"\n")
            file.sync()
        finally:
            file.close()
