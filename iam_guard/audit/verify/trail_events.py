"""The records that a trail writes about itself: where a segment begins, a gap, what was dropped or left out, the end.

They have CloudTrail's shape like all others, so whoever reads a trail reads them too, and they are leaves of the tree
like all others, so nobody can take a declared gap back. What they say is ours alone, nothing of a caller's, so they are
written as they are: what looks for secrets would take a signature for one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from iam_guard.audit.record.identity import present
from iam_guard.audit.record.record import EVENT_VERSION, IAM_GUARD_VERSION, Stamp, event_time
from iam_guard.audit.record.redaction import write
from iam_guard.audit.verify.peer_checkpoints import PeerCheckpoint

FORMAT = 1
"""Of segments and what stands beside them."""

OwnKind = Literal["segment", "gap", "retention", "end", "refused", "sampled"]
RETENTION_KIND = "audit_retention"
_EVENT_NAME: Mapping[OwnKind, str] = {
    "segment": "AuditSegment",
    "gap": "AuditGap",
    "retention": "AuditRetention",
    "end": "AuditEnd",
    "refused": "AuditRefused",
    "sampled": "AuditSampled",
}


def segment_line(
    stamp: Stamp, state: Sequence[bytes], previous: str | None, others: Sequence[PeerCheckpoint] = ()
) -> bytes:
    """Open a segment: the roots that all lines before it make, the checkpoint that signs them, the other shards."""
    members: dict[str, object] = {"format": FORMAT, "previous": previous, "state": [each.hex() for each in state]}
    if others:
        members["others"] = [_other(other) for other in others]
    return _own_line("segment", stamp, members)


def _other(shard: PeerCheckpoint) -> dict[str, object]:
    known = shard.checkpoint
    return {"shard": shard.name} | ({} if known is None else {"size": known.size, "root": known.root.hex()})


@dataclass(frozen=True, slots=True)
class Gap:
    """Records that should be here and are not."""

    reason: str
    """A word: `DiskFull`, `SegmentAltered`, `SyncFailed`, `ProcessEnded`, `ShardDamaged`, or the caller's own."""
    lost: int | None = None
    """Their number, where it is known."""
    refused: int | None = None
    """How many requests were refused besides, because their record could not be kept."""
    unauthenticated: int | None = None
    """How many of those that are lost were of callers that were not signed in."""
    first: datetime | None = None
    """When the first of them came."""
    last: datetime | None = None
    cut_bytes: int | None = None
    """The half line that was cut off."""
    unsigned: int | None = None
    """How many of the lines before had no checkpoint yet and were taken as they were found."""
    about: str | None = None
    """The shard that is meant, where it is another one."""


def gap_line(stamp: Stamp, gap: Gap) -> bytes:
    """Declare a gap."""
    members: dict[str, object] = {
        "reason": gap.reason,
        "lost": gap.lost,
        "refused": gap.refused,
        "unauthenticated": gap.unauthenticated,
        "firstTime": None if gap.first is None else event_time(gap.first),
        "lastTime": None if gap.last is None else event_time(gap.last),
        "cutBytes": gap.cut_bytes,
        "unsigned": gap.unsigned,
        "about": gap.about,
    }
    return _own_line("gap", stamp, present(members))


def retention_line(stamp: Stamp, shard: str, first: int, last: int) -> bytes:
    """Say that the lines of a segment are dropped on purpose; their hashes and checkpoints stay."""
    return _own_line("retention", stamp, {"dropped": {"shard": shard, "first": first, "last": last}})


def refused_line(stamp: Stamp, event_id: str) -> bytes:
    """Say that a request was refused for want of its record, which stands in the trail all the same."""
    return _own_line("refused", stamp, {"refusedEventID": event_id})


def refused_event(record: Mapping[str, Any]) -> str | None:
    """Return the id of the decision that such a record names: it allowed, and nothing was done; None for any other."""
    said = record.get("iamGuard")
    if not isinstance(said, dict) or said.get("kind") != "audit_refused":
        return None
    named = said.get("refusedEventID")
    return named if isinstance(named, str) else None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Records that were left out on purpose: of requests that only read, and were allowed."""

    fraction: float
    """The share that is kept."""
    count: int
    first: datetime
    last: datetime


def sampled_line(stamp: Stamp, left_out: LeftOut) -> bytes:
    """Declare what was left out since the last such line of the process."""
    members = {
        "fraction": left_out.fraction,
        "sampledOut": left_out.count,
        "firstTime": event_time(left_out.first),
        "lastTime": event_time(left_out.last),
    }
    return _own_line("sampled", stamp, members)


def end_line(stamp: Stamp) -> bytes:
    """Say that nothing comes after this in the shard."""
    return _own_line("end", stamp, {})


def _own_line(kind: OwnKind, stamp: Stamp, members: Mapping[str, object]) -> bytes:
    record = {
        "eventVersion": EVENT_VERSION,
        "userIdentity": {"type": "AWSService", "invokedBy": "iam-guard"},
        "eventTime": event_time(stamp.time),
        "eventSource": "iam-guard",
        "eventName": _EVENT_NAME[kind],
        "awsRegion": stamp.region,
        "sourceIPAddress": "iam-guard",
        "userAgent": "iam-guard",
        "requestParameters": None,
        "responseElements": None,
        "eventID": stamp.event_id,
        "readOnly": False,
        "eventType": "AwsServiceEvent",
        "managementEvent": True,
        "recipientAccountId": None,
        "eventCategory": "Management",
        "iamGuard": {"version": IAM_GUARD_VERSION, "kind": f"audit_{kind}", **members},
    }
    return write(record).encode("ascii") + b"\n"
