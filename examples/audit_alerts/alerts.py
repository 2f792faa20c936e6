"""A consumer of the audit trail: it raises an alert when somebody is denied again and again.

    python alerts.py trail --key 'docs.example.com/audit+1a2b3c4d+AX…' --limit 5 --seconds 60

An alert is one JSON object a line on standard output; put a pager in its place. A record is acknowledged when it is too
old to count any more, not when it was seen. So after a crash the denials that still count are handed out again and the
count is whole; an alert may come twice then, and has an `id` to know it by.
"""

from __future__ import annotations

import argparse
import json
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from iam_guard.audit.consumer.record_filter import action_of, principal_of, record_filter
from iam_guard.audit.consumer.subscription import AuditReader, Offset, Subscription
from iam_guard.audit.verify.signed_note import KeyRing, VerifierKey


@dataclass(frozen=True)
class Alert:
    """Somebody was denied too often."""

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
        """Count a denial; give an alert when it is one too many, and no other for the length of the window."""
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
    """Return alerts as they come, and acknowledge what does not count any more."""
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
    parser = argparse.ArgumentParser(description="Raise an alert when somebody is denied again and again.")
    parser.add_argument("trail")
    parser.add_argument("--key", required=True, action="append", help="a public key of the trail")
    parser.add_argument("--limit", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--once", action="store_true", help="end when there is nothing more to read")
    given = parser.parse_args()
    ring = KeyRing([VerifierKey.parse(each) for each in given.key])
    reader, denied = AuditReader(given.trail, ring=ring), record_filter(["outcome=*Denied"])
    with reader.subscribe("repeated-denials", filter=denied, follow=not given.once) as subscription:
        for alert in alerts(subscription, given.limit, timedelta(seconds=given.seconds)):
            print(json.dumps(asdict(alert)), flush=True)


if __name__ == "__main__":
    main()
