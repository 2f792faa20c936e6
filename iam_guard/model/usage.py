"""How a cache is used, for metrics."""

from __future__ import annotations

from typing import NamedTuple


class CacheUsage(NamedTuple):
    """`entries` of at most `limit` are held. `hits` and `misses` count the questions since the guard was opened."""

    entries: int
    limit: int
    hits: int
    misses: int
