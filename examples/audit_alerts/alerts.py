"""A consumer of the audit trail: it raises an alert when a principal is denied repeatedly.

    python alerts.py trail --key 'docs.example.com/audit+1a2b3c4d+AX…' --limit 5 --seconds 60

An alert is one JSON object per line on standard output; replace that with a pager. A record is acknowledged when it is
too old to count, not when it was read. So after a crash the denials that still count are delivered again and the
count is complete; an alert may be repeated then: use its `id` to detect duplicates.
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from iam_guard.audit import (
    AuditReader,
    KeyRing,
    Offset,
    Subscription,
    VerifierKey,
    action_of,
    principal_of,
    record_filter,
)


@dataclass(frozen=True)
class Alert:
    """A principal was denied too often."""

    id: str
    principal: str
    denials: int
    first: str
    last: str
    actions: list[str]


class RepeatedDenials:
    """Counts the denials of each principal in a sliding window of time."""

    def __init__(self, limit: int, window: timedelta) -> None:
        self._limit = limit
        self._window = window
        self._seen: dict[str, deque[dict[str, Any]]] = {}
        self._quiet_until: dict[str, datetime] = {}

    def see(self, record: dict[str, Any]) -> Alert | None:
        """Count a denial; return an alert at the limit, and no other for the length of the window."""
        principal, now = principal_of(record), moment_of(record)
        denials = self._seen.setdefault(principal, deque())
        denials.append(record)
        while denials and moment_of(denials[0]) <= now - self._window:
            denials.popleft()
        if len(denials) < self._limit or now < self._quiet_until.get(principal, now):
            return None
        self._quiet_until[principal] = now + self._window
        first = denials[0]
        actions = sorted({action_of(denial) for denial in denials})
        identity = f"{principal}/{first['eventID']}"
        return Alert(identity, principal, len(denials), first["eventTime"], record["eventTime"], actions)


def moment_of(record: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(record["eventTime"])


def alerts(subscription: Subscription, limit: int, window: timedelta) -> Iterator[Alert]:
    """Yield alerts, and acknowledge records that do not count any more."""
    counted = RepeatedDenials(limit, window)
    pending: deque[tuple[datetime, Offset]] = deque()
    for offset, record in subscription:
        alert = counted.see(record)
        if alert is not None:
            yield alert
        now = moment_of(record)
        pending.append((now, offset))
        old: list[Offset] = []
        while pending[0][0] <= now - window:
            old.append(pending.popleft()[1])
        if old:
            subscription.ack(*old)


def main() -> None:
    parser = argparse.ArgumentParser(description="Raise an alert when a principal is denied repeatedly.")
    parser.add_argument("trail")
    parser.add_argument("--key", required=True, action="append", help="a public key of the trail")
    parser.add_argument("--limit", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--once", action="store_true", help="exit after the last record")
    options = parser.parse_args()
    ring = KeyRing([VerifierKey.parse(key) for key in options.key])
    reader, denied = AuditReader(options.trail, ring=ring), record_filter(["outcome=*Denied"])
    with reader.subscribe("repeated-denials", filter=denied, follow=not options.once) as subscription:
        for alert in alerts(subscription, options.limit, timedelta(seconds=options.seconds)):
            print(json.dumps(asdict(alert)), flush=True)


if __name__ == "__main__":
    main()
