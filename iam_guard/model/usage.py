"""How a cache is used and how the audit trail fares, for metrics and health checks."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple


class CacheUsage(NamedTuple):
    """`entries` of at most `limit` are held. `hits` and `misses` count the questions since the guard was opened."""

    entries: int
    limit: int
    hits: int
    misses: int


SinkState = Literal["waiting", "standby", "shipping", "failing", "stopped", "ended"]


class SinkUsage(NamedTuple):
    """How a sink that follows the audit trail fares in this process; ages are in seconds.

    `standby`: another process ships for it, so there is no `lag` here. `failing`: what was sent last did not arrive,
    and is tried again. `stopped`: somebody must look, `problem` says at what. `lag` counts the records of the trail
    that the sink has not confirmed, `delivered` those that it has. `failures` counts attempts, `refused` the records
    that it will never take. `success_age` is the time since it confirmed something, had everything, or began.
    """

    state: SinkState
    lag: int | None = None
    delivered: int = 0
    failures: int = 0
    refused: int = 0
    success_age: float | None = None
    problem: str | None = None


_NO_SINKS: Mapping[str, SinkUsage] = MappingProxyType({})


class AuditUsage(NamedTuple):
    """How the audit trail of this process fares; ages are in seconds. Where all is well, nothing grows old.

    `dropped` counts the records that are missing of requests that were answered, `refused` the requests that were
    refused because their record could not be kept. `checkpoint_age` is None before the first checkpoint.
    `dropped_unauthenticated` of those that were dropped were of callers that were not signed in: anyone can make these
    grow.
    """

    waiting: int
    limit: int
    oldest_age: float
    checkpoint_age: float | None
    dropped: int
    refused: int
    is_failing: bool
    sinks: Mapping[str, SinkUsage] = _NO_SINKS
    """The sinks that follow the trail, by their names."""
    dropped_unauthenticated: int = 0
