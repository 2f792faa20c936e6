"""Which resources may have a record in the store, so that the others need no query (rule T-9).

    `may_have`   the store has
    EveryArn     not loaded yet, or more than `MAX_FILTERED`: each ARN is looked up
    set          fewer than `MAX_EXACT` resources with a record
    ArnFilter    more; one ARN in 200 without a record is looked up needlessly at most, and it takes 4 MiB

INVARIANT: an ARN outside `may_have` has no record at the state of the cache. A change adds the ARNs that it names
before the cache moves to its state, and whatever invalidates everything drops all ARNs.

While ARNs are loaded (`arn_loader`), those that changes name are collected apart: the changes that the cache follows,
and those between the state at which loading began and the snapshot of each page. An ARN that is neither in its page nor
named had no record in the snapshot of the page, so none when loading began, so none now, even if the two are on
different histories since.

Not thread-safe: the caller must hold a lock, except for `absent_for`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from typing import Final

from iam_guard.store.cache.change_feed import State
from iam_guard.store.cache.generations import Generation
from iam_guard.store.protocol import ResourceRecord

MAX_EXACT: Final = 10_000
"""Number of ARNs from which a filter is used: as a set, they take 2 MB."""
MAX_FILTERED: Final = 2_000_000
"""Number of ARNs from which none are kept."""
_PREFIX: Final = "resource:"
_FILTER_BITS: Final = 1 << 25
_MASK: Final = _FILTER_BITS - 1


class EveryArn(Container[str]):
    def __contains__(self, arn: object) -> bool:
        return True


class ArnFilter(Container[str]):
    """A Bloom filter with three bits for each ARN. Hashes are those of this process and the ones forked from it."""

    __slots__ = ("_bits",)

    def __init__(self) -> None:
        self._bits = bytearray(_FILTER_BITS // 8)

    def __contains__(self, arn: object) -> bool:
        bits = self._bits
        position = hash(arn)
        step = position >> 25 | 1
        for _ in range(3):
            if not bits[(position & _MASK) >> 3] >> (position & 7) & 1:
                return False
            position += step
        return True

    def update(self, arns: Iterable[str]) -> None:
        bits = self._bits
        for arn in arns:
            position = hash(arn)
            step = position >> 25 | 1
            for _ in range(3):
                bits[(position & _MASK) >> 3] |= 1 << (position & 7)
                position += step


class ArnsLoad:
    """ARNs that are being loaded. `named` are those of changes since the state `since`."""

    def __init__(self, since: State) -> None:
        self.since = since
        self.named: set[str] = set()
        self.last: str | None = None
        self.found: set[str] | ArnFilter = set()
        self.count = 0

    def collect(self, arns: Sequence[str]) -> None:
        """Add a page. Only the loading thread calls this, without a lock."""
        self.count += len(arns)
        if self.count >= MAX_EXACT and isinstance(self.found, set):
            found, self.found = self.found, ArnFilter()
            self.found.update(found)
        self.found.update(arns)
        if arns:
            self.last = arns[-1]


class StoredArns:
    """The ARNs that may have a record at the state of a cache. `absent` is the record of any other ARN.

    `absent` has a generation, which ends when ARNs are added or dropped.
    """

    def __init__(self) -> None:
        self.may_have: Container[str] = EveryArn()
        self.absent = _absent_at(0)
        self._known: set[str] | ArnFilter | None = None
        """`may_have`, if ARNs are loaded."""
        self._room = 0
        """How many ARNs may be added before they are loaded again; a set may grow to twice its limit."""
        self._load: ArnsLoad | None = None
        self._tried: State | None = None
        self._are_too_many = False

    def absent_for(self, arn: str) -> ResourceRecord | None:
        """Return the record of an ARN that has none in the store; None if it may have one. Thread-safe."""
        absent = self.absent  # before the look-up: after a change that names this ARN, it has ended
        return None if arn in self.may_have else absent

    def add(self, names: Iterable[str]) -> None:
        """Add the ARNs that a change names (`invalidation`)."""
        arns = named_arns(names)
        if not arns:
            return
        if self._load is not None:
            self._load.named.update(arns)
        if self._known is not None:
            self._end_absent()
            self._known.update(arns)
            self.absent = _absent_at(self.absent.epoch)
            self._room -= len(arns)
            if self._room < 0:
                self.drop()

    def drop(self) -> None:
        """Drop all ARNs, also those that are being loaded."""
        self._load = self._known = None
        self._end_absent()
        self.may_have = EveryArn()

    # --- loading -------------------------------------------------------------------------------------------------

    def is_wanted(self, state: State | None) -> bool:
        """Return whether ARNs should be loaded: once for each state, since the next one may make it possible."""
        is_idle = self._known is None and self._load is None and not self._are_too_many
        return is_idle and state is not None and state is not self._tried

    def begin(self, state: State | None) -> ArnsLoad | None:
        """Begin to load ARNs at the state of the cache, if that is wanted."""
        if state is None or not self.is_wanted(state):
            return None
        self._tried = state
        self._load = ArnsLoad(state)
        return self._load

    def is_loading(self, load: ArnsLoad) -> bool:
        return self._load is load

    def abandon(self) -> None:
        """Cancel the load that has begun."""
        self._load = None

    def retry(self) -> None:
        """Let ARNs be loaded that could not be loaded at this state."""
        self._tried = None

    def finish(self, load: ArnsLoad) -> None:
        """Use the ARNs of a load whose last page was read."""
        self._load = None
        count = load.count + len(load.named)
        if count > MAX_FILTERED:
            self._are_too_many = True
            return
        load.found.update(load.named)
        self._room = (MAX_FILTERED if isinstance(load.found, ArnFilter) else 2 * MAX_EXACT) - count
        self.absent = _absent_at(load.since.epoch)
        self._known = self.may_have = load.found

    def _end_absent(self) -> None:
        for generation in self.absent.generations:
            generation.is_current = False


def named_arns(names: Iterable[str]) -> list[str]:
    """Return the ARNs of resources among the names of a change."""
    return [name.removeprefix(_PREFIX) for name in names if name.startswith(_PREFIX)]


def _absent_at(epoch: int) -> ResourceRecord:
    return ResourceRecord(epoch, "", generations=(Generation(),))
