"""How a cache is used and how the audit trail fares, for metrics and health checks."""

from __future__ import annotations

from typing import NamedTuple


class CacheUsage(NamedTuple):
    """`entries` of at most `limit` are held. `hits` and `misses` count the questions since the guard was opened."""

    entries: int
    limit: int
    hits: int
    misses: int


class AuditUsage(NamedTuple):
    """How the audit trail of this process fares; ages are in seconds. Where all is well, nothing grows old.

    `dropped` counts the records that are missing of requests that were answered, `refused` the requests that were
    refused because their record could not be kept. `checkpoint_age` is None before the first checkpoint.
    """

    waiting: int
    limit: int
    oldest_age: float
    checkpoint_age: float | None
    dropped: int
    refused: int
    is_failing: bool
