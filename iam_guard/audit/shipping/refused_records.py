"""The list of records that a destination refused permanently; the records themselves are in the trail.

    {"time": "…", "shard": "docs-…", "sequence": 17, "eventID": "…", "why": "status 413"}

The file is next to the offsets of the sink's group. An entry is synced before its record is acknowledged.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from iam_guard.audit.append_file import append_synced
from iam_guard.audit.consumer.subscription import Delivery
from iam_guard.audit.record.record import event_time


class RefusedRecords:
    """One sink's list of refused records; the file is created with the first entry."""

    def __init__(self, path: Path, *, clock: Callable[[], datetime] = partial(datetime.now, UTC)) -> None:
        self._path = path
        self._clock = clock

    def add(self, delivery: Delivery, why: str) -> None:
        """Append an entry and sync it; raise `OSError` on failure."""
        entry = {
            "time": event_time(self._clock()),
            "shard": delivery.offset.shard,
            "sequence": delivery.offset.sequence,
            "eventID": delivery.record.get("eventID"),
            "why": why,
        }
        append_synced(self._path, json.dumps(entry).encode("ascii") + b"\n")
