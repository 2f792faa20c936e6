"""The consumer's door to a trail: subscribe as a group, get records, acknowledge them.

    reader = AuditReader("trail", ring=ring)
    with reader.subscribe("alerts", start="earliest", filter=is_denial) as subscription:
        for offset, record in subscription:
            handle(record)
            subscription.ack(offset)

**At least once.** What was acknowledged is not handed out again; after a crash everything else is, so a consumer sees a
record twice only if it had not acknowledged it. `ack(offset)` acknowledges all records of that shard up to there, and
of no other shard; of a batch acknowledge every offset, which waits for the disk once. How
far a group has come lies in a file (`offsets`); `start` counts only for a group that is new. A shard that begins later
is read from its beginning.

**Order.** Records of one shard come in their order. Between shards there is only the time: of those that are there,
the oldest comes first.

**Trust.** With `verify`, only records under a good checkpoint are returned, so records come at most a second later;
what is not as it was signed raises `TrailDamaged`, each time that it is asked for, until `seek` goes elsewhere.

A subscription is used by one thread at a time.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, NamedTuple, Self

from iam_guard.audit.consumer.offsets import FOLDER, Anchor, GroupOffsets, Progress
from iam_guard.audit.consumer.reader import parse_record
from iam_guard.audit.consumer.shard_cursor import Line, ShardCursor
from iam_guard.audit.consumer.start_position import Start, lines_of, refuse_undeclared_drops, start_in
from iam_guard.audit.verify.proof import InclusionProof, prove
from iam_guard.audit.verify.shard import shards_of
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.verdicts import Verdict
from iam_guard.errors import ConfigurationError, InvalidInput, TrailDamaged

Record = dict[str, Any]
RecordFilter = Callable[[Record], bool]

_BEGAN = re.compile(r"-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)\.\d+Z\Z", re.ASCII)
"""When a shard began, as its name says."""


class Offset(NamedTuple):
    """Where a record stands."""

    shard: str
    sequence: int


class Delivery(NamedTuple):
    """A record, and what to acknowledge when it has been worked through."""

    offset: Offset
    record: Record


class AuditReader:
    """Reads the trail in a folder, with the keys that are believed."""

    def __init__(self, source: str | Path, *, ring: KeyRing | None = None, offsets: str | Path | None = None) -> None:
        """Read the shards in `source`; offsets of groups are kept in the folder `offsets`, else beside the shards."""
        self._trail = Path(source)
        self._ring = ring
        self._offsets = self._trail / FOLDER if offsets is None else Path(offsets)

    def subscribe(
        self,
        group: str | None = None,
        start: Start = "earliest",
        *,
        filter: RecordFilter | None = None,
        batch: int = 500,
        verify: bool = True,
        follow: bool = True,
        poll_seconds: float = 0.2,
    ) -> Subscription:
        """Begin, or go on where the group was.

        `start` is `"earliest"`, `"latest"`, a sequence, or a time: where a group begins of which nothing is kept.
        Without a group nothing is kept. `batch` is how many records are fetched at most in one go. Iterating waits for
        more records, looking every `poll_seconds`, unless `follow` is off. Raises `GroupIsTaken` where another process
        works for the group, and `ConfigurationError` where there is no key to verify with.
        """
        if verify and (self._ring is None or not self._ring.keys):
            raise ConfigurationError("expected a public key to verify the trail with, or `verify=False`", place="ring")
        if batch < 1:
            raise InvalidInput("expected a batch of one record or more", place="batch")
        kept = GroupOffsets(None if group is None else self._offsets, "_" if group is None else group)
        try:
            settings = _Settings(filter, batch, follow, poll_seconds)
            return Subscription(self._trail, self._ring if verify else None, kept, start, settings)
        except BaseException:
            kept.close()
            raise

    def prove(self, event_id: str) -> InclusionProof:
        """Prove that the record with this `eventID` is in the trail."""
        return prove(self._trail, event_id, self._ring or KeyRing([]))


@dataclass(frozen=True, slots=True)
class _Settings:
    filter: RecordFilter | None
    batch: int
    follow: bool
    poll_seconds: float


class _Shard:
    """One shard of a subscription: what was fetched, handed out and acknowledged."""

    def __init__(self, cursor: ShardCursor) -> None:
        self.cursor = cursor
        self.fetched: list[Line] = []
        """The next lines, the last of them first."""
        self.head: Record | None = None
        self.acked = cursor.position
        self.passed = cursor.position
        """Before this sequence everything was handed out, or the filter did not want it."""
        self.handed: int | None = None
        """The last record that was handed out and is not acknowledged."""

    def key(self) -> tuple[str, str]:
        """Return the sort key: the time of the next record or, before the first read, a time that is not later."""
        moment = _BEGAN.search(self.cursor.shard) if self.head is None else None
        if moment is not None:
            return "{}-{}-{}T{}:{}:{}Z".format(*moment.groups()), self.cursor.shard
        return _time(self.head or {}), self.cursor.shard

    def fill(self) -> bool:
        """See to it that the next record is known; False where there is none yet."""
        if not self.fetched:
            self.fetched = self.cursor.read()[::-1]
        if self.fetched and self.head is None:
            sequence, line = self.fetched[-1]
            try:
                self.head = parse_record(line)
            except ValueError as error:
                raise InvalidInput(str(error), place=f"{self.cursor.shard}:{sequence}") from None
        return bool(self.fetched)

    def take(self) -> Delivery:
        """Take the next record, which `fill` has found."""
        sequence, _ = self.fetched.pop()
        record, self.head = self.head or {}, None
        self.passed = sequence + 1
        return Delivery(Offset(self.cursor.shard, sequence), record)

    @property
    def is_done(self) -> bool:
        return self.cursor.is_ended and not self.fetched

    def progress(self) -> Progress:
        is_ended = self.is_done and self.handed is None
        return Progress(self.acked if self.handed is not None else self.passed, self.cursor.anchor, is_ended)


class Subscription:
    """What a group gets; made by `AuditReader.subscribe`. Iterates, also asynchronously, over `Delivery`."""

    def __init__(
        self, trail: Path, ring: KeyRing | None, kept: GroupOffsets, start: Start, settings: _Settings
    ) -> None:
        self._trail = trail
        self._ring = ring
        self._kept = kept
        self._settings = settings
        self._shards: dict[str, _Shard] = {}
        self._ready: deque[Delivery] = deque()
        self._lock = Lock()
        if kept.is_new:
            kept.put(self._beginning(start))
        self._discover()

    # --- getting records -----------------------------------------------------------------------------------------

    def poll(self) -> list[Delivery]:
        """Return the next records, a batch at most; none where there are no more at present."""
        self._fetch()
        found = list(self._ready)
        self._ready.clear()
        return found

    @property
    def is_idle(self) -> bool:
        """Whether nothing is ready, so that the next record may take a while."""
        return not self._ready

    def __iter__(self) -> Iterator[Delivery]:
        while True:
            if not self._ready:
                self._fetch()
            if self._ready:
                yield self._ready.popleft()
            elif self._settings.follow:
                time.sleep(self._settings.poll_seconds)
            else:
                return

    async def __aiter__(self) -> AsyncIterator[Delivery]:
        """Do the same without blocking the event loop: the trail is read in a thread."""
        while True:
            if not self._ready:
                await asyncio.to_thread(self._fetch)
            if self._ready:
                yield self._ready.popleft()
            elif self._settings.follow:
                await asyncio.sleep(self._settings.poll_seconds)
            else:
                return

    def _fetch(self) -> None:
        """Get a batch ready. What is ready stays so until it is taken, whatever happens to who waits for it."""
        with self._lock:  # an iteration that was cancelled may have left a thread at work
            try:
                self._discover()
                self._merge()
            except Exception:  # first what is good; asked again, it raises again
                if not self._ready:
                    raise

    def _merge(self) -> None:
        """Get records ready in the order of their time, of all shards that have any."""
        active = (each for each in self._shards.values() if not each.is_done)
        heap = [(each.key(), each) for each in active]
        heapify(heap)
        while heap and len(self._ready) < self._settings.batch:
            key, shard = heap[0]
            if not shard.fill():
                heappop(heap)
            elif shard.key() != key:
                heapreplace(heap, (shard.key(), shard))
            else:
                self._take(shard)

    def _take(self, shard: _Shard) -> None:
        is_wanted = self._settings.filter is None or self._settings.filter(shard.head or {})
        delivery = shard.take()
        if is_wanted:
            shard.handed = delivery.offset.sequence
            self._ready.append(delivery)

    # --- where the group is --------------------------------------------------------------------------------------

    def ack(self, *offsets: Offset) -> None:
        """Say that all records up to each offset in its shard were worked through; afterwards the disk has it."""
        for offset in offsets:
            shard = self._shards.get(offset.shard)
            if shard is None or offset.sequence >= shard.passed:
                raise InvalidInput("expected the offset of a record that was handed out", place=offset.shard)
            shard.acked = max(shard.acked, offset.sequence + 1)
            if shard.handed is not None and offset.sequence >= shard.handed:
                shard.handed = None
        self._kept.put({name: each.progress() for name, each in self._shards.items()})

    def seek(self, to: Start | Offset) -> None:
        """Go elsewhere, in all shards or, given an `Offset`, in one; what is handed out next begins there."""
        if isinstance(to, Offset):
            if to.shard not in {each.name for each in self._there()}:
                raise InvalidInput("there is no such shard in the trail", place=to.shard)
            moved: Mapping[str, Progress] = {to.shard: Progress(to.sequence)}
        else:
            moved = self._beginning(to)
        kept = {name: Progress(each.next, self._anchor_of(name)) for name, each in moved.items()}
        self._kept.put(kept)
        self._ready = deque(each for each in self._ready if each.offset.shard not in moved)
        for name in moved:
            self._shards.pop(name, None)
        self._discover()

    def lag(self) -> int:
        """Return how many records of the trail are not acknowledged, those that the filter does not want included."""
        return sum(map(self._left_in, self._there()))

    def _left_in(self, path: Path) -> int:
        known = self._shards.get(path.name)
        at = self._kept.get(path.name) if known is None else known.progress()
        if at is None:
            return lines_of(path)
        return 0 if at.is_ended else max(0, lines_of(path) - at.next)

    def close(self) -> None:
        """Let another process work for the group; what was not acknowledged is handed out again."""
        self._kept.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # --- shards --------------------------------------------------------------------------------------------------

    def _there(self) -> list[Path]:
        return shards_of(self._trail) if self._trail.is_dir() else []

    def _beginning(self, start: Start) -> dict[str, Progress]:
        """Return where to start in each shard that is there."""
        there = self._there()
        if self._ring is not None and start == "earliest":
            refuse_undeclared_drops(there, self._ring)
        return {path.name: Progress(start_in(path, start)) for path in there}

    def _anchor_of(self, name: str) -> Anchor | None:
        shard = self._shards.get(name)
        kept = self._kept.get(name)
        if shard is not None:
            return shard.cursor.anchor
        return None if kept is None else kept.anchor

    def _discover(self) -> None:
        """Begin with shards that are new; none that is known may be gone."""
        there = {path.name: path for path in self._there()}
        gone = sorted((self._kept.shards.keys() | self._shards.keys()) - there.keys())
        if gone:
            detail = "the shard was read before and is not there any more"
            raise TrailDamaged(detail, verdict=Verdict.MISSING.value, place=gone[0])
        for name, path in there.items():
            if name not in self._shards:
                kept = self._kept.get(name) or Progress(0)
                cursor = ShardCursor(path, kept.next, self._ring, kept.anchor)
                cursor.is_ended = kept.is_ended
                self._shards[name] = _Shard(cursor)


def _time(record: Record) -> str:
    """Return the moment of a record as text, which sorts like the moment."""
    moment = record.get("eventTime")
    return moment if isinstance(moment, str) else ""
