"""Trail events, the trail's own records: start of a segment, gap, retention, refused request, sampling, end.

They have CloudTrail's shape like all records, and are leaves of the tree, so a declared gap can't be removed. They
contain no caller input and are written without redaction, which would take a signature for a secret.
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
"""The version of the segment file format."""

TrailEventKind = Literal["segment", "gap", "retention", "end", "refused", "sampled"]
RETENTION_KIND = "audit_retention"


def segment_line(
    stamp: Stamp, state: Sequence[bytes], previous: str | None, others: Sequence[PeerCheckpoint] = ()
) -> bytes:
    """Return the first line of a segment: the tree's state before it, the checkpoint of that tree, the other shards."""
    members: dict[str, object] = {"format": FORMAT, "previous": previous, "state": [root.hex() for root in state]}
    if others:
        members["others"] = [_peer(peer) for peer in others]
    return _event_line("segment", stamp, members)


def _peer(peer: PeerCheckpoint) -> dict[str, object]:
    checkpoint = peer.checkpoint
    size_and_root = {} if checkpoint is None else {"size": checkpoint.size, "root": checkpoint.root.hex()}
    return {"shard": peer.name, **size_and_root}


@dataclass(frozen=True, slots=True)
class Gap:
    """Records that are missing from the trail."""

    reason: str
    """A word: `DiskFull`, `SegmentAltered`, `SyncFailed`, `ProcessEnded`, `ShardDamaged`, or the caller's own."""
    lost: int | None = None
    """The number of lost records, if known."""
    refused: int | None = None
    """The number of requests refused in addition, because their record could not be written."""
    unauthenticated: int | None = None
    """The number of lost records of unauthenticated callers."""
    first: datetime | None = None
    """The time of the first lost record."""
    last: datetime | None = None
    cut_bytes: int | None = None
    """The length of an incomplete last line that was removed."""
    unsigned: int | None = None
    """The number of preceding lines that had no checkpoint yet and were accepted unverified."""
    about: str | None = None
    """The shard with the gap, if it is another one."""


def gap_line(stamp: Stamp, gap: Gap) -> bytes:
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
    return _event_line("gap", stamp, present(members))


def retention_line(stamp: Stamp, shard: str, first: int, last: int) -> bytes:
    """Return the line that declares a segment's lines dropped by retention; its hashes and checkpoints stay."""
    return _event_line("retention", stamp, {"dropped": {"shard": shard, "first": first, "last": last}})


def refused_line(stamp: Stamp, event_id: str) -> bytes:
    """Return the line that declares a request refused, though its decision was recorded as allowed."""
    return _event_line("refused", stamp, {"refusedEventID": event_id})


def refused_event(record: Mapping[str, Any]) -> str | None:
    """Return the event id that a `refused_line` names; None for any other record."""
    facts = record.get("iamGuard")
    if not isinstance(facts, dict) or facts.get("kind") != "audit_refused":
        return None
    event_id = facts.get("refusedEventID")
    return event_id if isinstance(event_id, str) else None


@dataclass(frozen=True, slots=True)
class SampledOut:
    """The records of allowed read requests that sampling left out."""

    fraction: float
    """The fraction that is kept."""
    count: int
    first: datetime
    last: datetime


def sampled_line(stamp: Stamp, left_out: SampledOut) -> bytes:
    """Return the line that declares the records left out since the last such line of the process."""
    members = {
        "fraction": left_out.fraction,
        "sampledOut": left_out.count,
        "firstTime": event_time(left_out.first),
        "lastTime": event_time(left_out.last),
    }
    return _event_line("sampled", stamp, members)


def end_line(stamp: Stamp) -> bytes:
    """Return the last line of a shard."""
    return _event_line("end", stamp, {})


def _event_line(kind: TrailEventKind, stamp: Stamp, members: Mapping[str, object]) -> bytes:
    record = {
        "eventVersion": EVENT_VERSION,
        "userIdentity": {"type": "AWSService", "invokedBy": "iam-guard"},
        "eventTime": event_time(stamp.time),
        "eventSource": "iam-guard",
        "eventName": f"Audit{kind.capitalize()}",
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
