"""Usage figures of caches and the audit trail, for metrics and health checks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple


class CacheUsage(NamedTuple):
    """A cache has `entries` of at most `limit`. The other numbers count since the guard was opened.

    `dropped` are the entries that a change of the store has invalidated, counted when they are next asked for.
    """

    entries: int
    limit: int
    hits: int
    misses: int
    dropped: int = 0


class FeedUsage(NamedTuple):
    """How this process follows the changes of the store (`change_feed`).

    `epoch` is None before the store was reached. `lag` is the time in seconds from the oldest change of the last batch
    to its arrival here, by the clocks of both processes. `followed` counts the batches of changes that dropped only
    what they name, `cleared` those that dropped everything, by reason: `change`, `gap` or `history`. `is_notified` is
    whether this process listens for notifications, which a pooler may withhold; without them, it polls only.
    """

    epoch: int | None = None
    lag: float | None = None
    followed: int = 0
    cleared: Mapping[str, int] = MappingProxyType({})
    is_notified: bool = False


class GuardUsage(NamedTuple):
    """The state of a guard's caches, by name, and how they follow the store."""

    caches: Mapping[str, CacheUsage] = MappingProxyType({})
    changes: FeedUsage = FeedUsage()


SinkState = Literal["waiting", "standby", "shipping", "failing", "stopped", "ended"]


class SinkUsage(NamedTuple):
    """The state of a sink that follows the audit trail, in this process; ages are in seconds.

    `standby`: another process ships to the sink, so there is no `lag` here. `failing`: the last delivery failed and is
    retried. `stopped`: an administrator must act, `problem` is the reason. `lag` counts the unconfirmed records of the
    trail, `delivered` the confirmed ones, `failures` the failed attempts, `refused` the records that the sink rejected
    for good. `success_age` is the time since the last confirmation, since it had everything, or since the start.
    """

    state: SinkState
    lag: int | None = None
    delivered: int = 0
    failures: int = 0
    refused: int = 0
    success_age: float | None = None
    problem: str | None = None


class AuditUsage(NamedTuple):
    """The state of the audit trail in this process; ages are in seconds and stay low while the trail is healthy.

    `dropped` counts the missing records of answered requests, `refused` the requests that were refused because their
    record could not be written. `checkpoint_age` is None before the first checkpoint. `dropped_unauthenticated` are
    those of the dropped records whose callers were unauthenticated: any client can increase this number.
    """

    waiting: int
    limit: int
    oldest_age: float
    checkpoint_age: float | None
    dropped: int
    refused: int
    is_failing: bool
    sinks: Mapping[str, SinkUsage] = MappingProxyType({})
    """The sinks that follow the trail, by name."""
    dropped_unauthenticated: int = 0
