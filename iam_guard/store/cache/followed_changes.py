"""What a cache knows of the changes of its store: the present state, and which answers are valid at it (rule T-9).

Not thread-safe: the caller must hold a lock. `state` may be read without it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Collection, Iterable
from typing import Final

from iam_guard.errors import StoreUnavailable
from iam_guard.model.usage import FeedUsage
from iam_guard.store.cache.cache_regions import CacheRegion
from iam_guard.store.cache.change_feed import EVERYTHING, ChangesSince, DropReason, State, Step
from iam_guard.store.cache.generations import STALE, Generations, Held
from iam_guard.store.policies.stored_arns import StoredArns

logger = logging.getLogger("iam_guard.store")

_RECENT: Final = 1_000
"""Number of latest changes with which a loaded answer is compared before it is cached."""
_REASONS: Final[dict[DropReason, str]] = {
    "change": "a change of the store affects everything",
    "gap": "the store's changes cannot be followed: rows of the feed are missing",
    "history": "the store has another history: it was restored or replaced, or a replica is behind",
}


class FollowedChanges:
    """Follows the changes of a store, and holds the current generations of what its answers depend on.

    The answers in `regions` are dropped when everything is invalid.
    """

    def __init__(self, regions: Collection[CacheRegion]) -> None:
        self._regions = regions
        self.state: State | None = None
        """The state at which everything current is valid; None before the first poll.

        INVARIANT: generations end, and ARNs are added, before it is replaced. So what is current is valid at it, as
        long as this is the same object.
        """
        self.history = 0
        """The number of times that everything was invalidated."""
        self.generations = Generations()
        self.arns = StoredArns()
        """The resources that may have a record at `state`."""
        self._recent: deque[tuple[int, frozenset[str]]] = deque(maxlen=_RECENT)
        self._recent_since = 0
        """`_recent` has all changes after this epoch: the epoch that each led to, and what it named."""
        self._lag: float | None = None
        self._followed = 0
        self._cleared = Counter[str]()

    def known_state(self) -> State:
        """Return the state. Raises `StoreUnavailable` before the first poll, and after the store was lost."""
        state = self.state
        if state is None:
            raise StoreUnavailable("the store has not been reached yet, or it was lost")
        return state

    def usage(self, *, is_notified: bool) -> FeedUsage:
        epoch = None if self.state is None else self.state.epoch
        return FeedUsage(epoch, self._lag, self._followed, dict(self._cleared), is_notified)

    def follow(self, changes: ChangesSince) -> None:
        """Invalidate what changes name, and move to the state that they led to."""
        if changes.state == self.state:
            return
        if changes.names is None:
            self._end_all(changes.reason or "change", changes.state.epoch)
        else:
            self.generations.end(changes.names)
            self.arns.add(changes.names)
            if len(self._recent) == _RECENT:
                self._recent_since = self._recent[0][0]
            self._recent.append((changes.state.epoch, changes.names))
            self._followed += 1
        if changes.committed is not None:
            self._lag = max(0.0, time.time() - changes.committed)
        self.state = changes.state

    def follow_step(self, step: Step, names: frozenset[str]) -> bool:
        """Follow a change of this process; return False if it does not start from the known state."""
        if self.state != step.before:
            return False
        self.follow(
            ChangesSince(step.after, None, "change") if EVERYTHING in names else ChangesSince(step.after, names)
        )
        return True

    def hold(self, names: tuple[str, ...], *, history: int, since: int) -> Held:
        """Return the generations of what an answer depends on that was loaded at epoch `since`, or just after.

        They are `STALE` if something that it depends on has changed since; `history` is that of before.
        """
        if history != self.history or not self._is_unchanged(names, since):
            return STALE
        return self.generations.of(names)

    def _is_unchanged(self, names: Iterable[str], since: int) -> bool:
        if self.state is None or not self._recent_since <= since <= self.state.epoch:
            return False
        for epoch, changed in reversed(self._recent):
            if epoch <= since:
                return True
            if not changed.isdisjoint(names):
                return False
        return True

    def lose(self) -> None:
        """Invalidate everything, and the state too: nothing is known of the store until the next poll."""
        self._drop_all()
        self._cleared["history"] += 1
        self.state = None

    def _drop_all(self) -> None:
        self.generations.end_all()
        self.arns.drop()
        for region in self._regions:
            region.clear()
        self._recent.clear()
        self.history += 1

    def _end_all(self, reason: DropReason, epoch: int) -> None:
        self._drop_all()
        self._recent_since = epoch
        if reason != "first":
            self._cleared[reason] += 1
            before = None if self.state is None else self.state.epoch
            level = logging.INFO if reason == "change" else logging.WARNING
            logger.log(level, "%s: all cached answers are dropped (epoch %s, now %d)", _REASONS[reason], before, epoch)
