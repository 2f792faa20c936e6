"""The principals of zones of trust, kept between analyses of internal access until a change concerns them.

Reading them is the slow part of an analysis. A change of a resource's policy leaves them valid.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from weakref import WeakKeyDictionary

from iam_guard.analysis.findings.internal_access import InternalAccess
from iam_guard.analysis.findings.shared_resources import ZoneOfTrust
from iam_guard.api.access_analyzer.zone_changes import concerns_zone
from iam_guard.forking import on_fork
from iam_guard.model.reference import ServiceReference
from iam_guard.store.cache.change_feed import ChangesSince, State
from iam_guard.store.protocol import SourceStore

MAX_ZONES: Final = 4
"""Zones that are kept for each store."""
MAX_AGE: Final = 300
"""Seconds for which a zone is kept, since policies may depend on the time."""


@dataclass(slots=True)
class _Zone:
    state: State
    access: InternalAccess
    built: int


class _KeptZones:
    """The zones of each store, by their accounts."""

    def __init__(self) -> None:
        self.begin_in_child()
        on_fork(self)

    def begin_in_child(self) -> None:
        self.lock = threading.Lock()
        self.by_store: WeakKeyDictionary[SourceStore, OrderedDict[frozenset[str], _Zone]] = WeakKeyDictionary()


_KEPT: Final = _KeptZones()


@contextmanager
def internal_access(
    store: SourceStore, zone: ZoneOfTrust, now: int, references: Sequence[ServiceReference]
) -> Iterator[InternalAccess]:
    """Yield the access inside of a zone, for one thread at a time. `now` is in seconds since 1970."""
    with _KEPT.lock:
        kept = _KEPT.by_store.setdefault(store, OrderedDict())
        known = kept.pop(zone.accounts, None)
        changes = store.changes(None if known is None else known.state)
        if known is not None and 0 <= now - known.built < MAX_AGE and _is_valid(store, zone, changes):
            known.state = changes.state
        else:
            access = InternalAccess(store, zone.accounts, references=references, now=datetime.fromtimestamp(now, UTC))
            known = _Zone(changes.state, access, now)
        kept[zone.accounts] = known
        while len(kept) > MAX_ZONES:
            kept.popitem(last=False)
        yield known.access


def _is_valid(store: SourceStore, zone: ZoneOfTrust, changes: ChangesSince) -> bool:
    if not changes.names:
        return changes.names is not None
    with store.read_transaction() as records:
        return not concerns_zone(records, zone, changes.names)
