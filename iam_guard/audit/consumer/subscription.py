"""The consumer interface of a trail: subscribe as a group, get records, acknowledge them.

    reader = AuditReader("trail", ring=ring)
    with reader.subscribe("alerts", start="earliest", filter=is_denial) as subscription:
        for offset, record in subscription:
            handle(record)
            subscription.ack(offset)

**At least once.** Acknowledged records are not delivered again; unacknowledged ones are, after a crash. `ack(offset)`
acknowledges all records of that shard up to the offset. For a batch, pass every offset to one `ack`, which waits for
the disk once. Offsets are stored in a file (`offsets`); `start` applies only to a new group. A shard that begins later
is read from its beginning.

**Order.** Records of one shard are delivered in order. Between shards, the record with the oldest time comes first.

**Trust.** With `verify`, only records under a valid checkpoint are delivered, which delays them by a second at most.
Damage raises `TrailDamaged`, on each read, until a `seek`.

A subscription is used by one thread at a time.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Self

from iam_guard.audit.consumer.offsets import FOLDER, GroupOffsets, Progress
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

_SHARD_START = re.compile(r"-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)\.\d+Z\Z", re.ASCII)
"""The start time in a shard's name."""


class Offset(NamedTuple):
    """The shard and sequence of a record."""

    shard: str
    sequence: int


class Delivery(NamedTuple):
    """A record, and the offset to acknowledge after processing it."""

    offset: Offset
    record: Record


class AuditReader:
    """Reads the trail in a folder and verifies it with the trusted keys."""

    def __init__(self, source: str | Path, *, ring: KeyRing | None = None, offsets: str | Path | None = None) -> None:
        """Read the shards in `source`; store offsets in the folder `offsets`, by default in `source`."""
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
        """Subscribe from the stored offsets of the group, or from `start` if it has none.

        `start` is `"earliest"`, `"latest"`, a sequence, or a time. Without a group, offsets are not stored. `batch` is
        the maximum number of records per fetch. Iteration waits for more records, polling every `poll_seconds`, unless
        `follow` is False. Raises `GroupIsTaken` if another process consumes for the group, and `ConfigurationError`
        if there is no key to verify with.
        """
        if verify and (self._ring is None or not self._ring.keys):
            raise ConfigurationError("expected a public key to verify the trail with, or `verify=False`", place="ring")
        if batch < 1:
            raise InvalidInput(f"expected a batch of at least one record, got {batch}", place="batch")
        offsets = GroupOffsets(None if group is None else self._offsets, "_" if group is None else group)
        try:
            settings = _Settings(filter, batch, follow, poll_seconds)
            return Subscription(self._trail, self._ring if verify else None, offsets, start, settings)
        except BaseException:
            offsets.close()
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
    """One shard of a subscription: fetched, delivered and acknowledged records."""

    def __init__(self, cursor: ShardCursor) -> None:
        self.cursor = cursor
        self.fetched: list[Line] = []
        """The next lines in reverse order."""
        self.head: Record | None = None
        self.acked = cursor.position
        self.processed = cursor.position
        """All records before this sequence were delivered or filtered out."""
        self.unacked: int | None = None
        """The last record that was delivered and is not acknowledged."""

    def key(self) -> tuple[str, str]:
        """Return the sort key: the time of the next record or, before the first read, the shard's start time."""
        start = _SHARD_START.search(self.cursor.shard) if self.head is None else None
        if start is not None:
            return "{}-{}-{}T{}:{}:{}Z".format(*start.groups()), self.cursor.shard
        return _time(self.head or {}), self.cursor.shard

    def fill(self) -> bool:
        """Load the next record into `head`; return False if there is none yet."""
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
        """Remove and return the next record, after `fill`."""
        sequence, _ = self.fetched.pop()
        record, self.head = self.head or {}, None
        self.processed = sequence + 1
        return Delivery(Offset(self.cursor.shard, sequence), record)

    @property
    def is_done(self) -> bool:
        return self.cursor.is_ended and not self.fetched

    def progress(self) -> Progress:
        is_ended = self.is_done and self.unacked is None
        return Progress(self.acked if self.unacked is not None else self.processed, self.cursor.anchor, is_ended)


class Subscription:
    """The records of a group; created by `AuditReader.subscribe`. Iterates, also asynchronously, over `Delivery`."""

    def __init__(
        self, trail: Path, ring: KeyRing | None, offsets: GroupOffsets, start: Start, settings: _Settings
    ) -> None:
        self._trail = trail
        self._ring = ring
        self._offsets = offsets
        self._settings = settings
        self._shards: dict[str, _Shard] = {}
        self._ready: deque[Delivery] = deque()
        self._lock = Lock()
        if offsets.is_new:
            offsets.put(self._start_positions(start))
        self._discover()

    # --- getting records -----------------------------------------------------------------------------------------

    def poll(self) -> list[Delivery]:
        """Return the next records, at most a batch; none if there are no more at present."""
        self._fetch()
        deliveries = list(self._ready)
        self._ready.clear()
        return deliveries

    @property
    def is_idle(self) -> bool:
        """Whether no fetched record is left, so the next one needs a fetch."""
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
        """Iterate without blocking the event loop: a worker thread reads the trail."""
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
        """Fetch up to a batch into `_ready`, where records stay until delivered, even if the caller is cancelled."""
        with self._lock:  # a cancelled iteration may have left a thread running
            try:
                self._discover()
                self._merge()
            except Exception:  # deliver the valid records first; the next fetch raises again
                if not self._ready:
                    raise

    def _merge(self) -> None:
        """Append records of all shards to `_ready`, ordered by time."""
        heap = [(shard.key(), shard) for shard in self._shards.values() if not shard.is_done]
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
        is_match = self._settings.filter is None or self._settings.filter(shard.head or {})
        delivery = shard.take()
        if is_match:
            shard.unacked = delivery.offset.sequence
            self._ready.append(delivery)

    # --- offsets of the group ------------------------------------------------------------------------------------

    def ack(self, *offsets: Offset) -> None:
        """Acknowledge all records up to each offset in its shard; the offsets are synced to disk on return."""
        for offset in offsets:
            shard = self._shards.get(offset.shard)
            if shard is None or offset.sequence >= shard.processed:
                raise InvalidInput("expected the offset of a delivered record", place=offset.shard)
            shard.acked = max(shard.acked, offset.sequence + 1)
            if shard.unacked is not None and offset.sequence >= shard.unacked:
                shard.unacked = None
        self._offsets.put({name: shard.progress() for name, shard in self._shards.items()})

    def seek(self, to: Start | Offset) -> None:
        """Move to another position, in all shards or, given an `Offset`, in one shard."""
        if isinstance(to, Offset):
            if to.shard not in {path.name for path in shards_of(self._trail)}:
                raise InvalidInput("expected a shard of the trail", place=to.shard)
            moved = {to.shard: Progress(to.sequence)}
        else:
            moved = self._start_positions(to)
        for name, progress in moved.items():
            known = self._progress_of(name)
            moved[name] = Progress(progress.next, None if known is None else known.anchor)
        self._offsets.put(moved)
        self._ready = deque(each for each in self._ready if each.offset.shard not in moved)
        for name in moved:
            self._shards.pop(name, None)
        self._discover()

    def lag(self) -> int:
        """Return the number of unacknowledged records in the trail, regardless of the filter."""
        return sum(map(self._lag_of, shards_of(self._trail)))

    def _lag_of(self, path: Path) -> int:
        progress = self._progress_of(path.name)
        if progress is None:
            return lines_of(path)
        return 0 if progress.is_ended else max(0, lines_of(path) - progress.next)

    def close(self) -> None:
        """Release the group; unacknowledged records are delivered again to the next subscription."""
        self._offsets.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- shards --------------------------------------------------------------------------------------------------

    def _start_positions(self, start: Start) -> dict[str, Progress]:
        paths = shards_of(self._trail)
        if self._ring is not None and start == "earliest":
            refuse_undeclared_drops(paths, self._ring)
        return {path.name: Progress(start_in(path, start)) for path in paths}

    def _progress_of(self, name: str) -> Progress | None:
        shard = self._shards.get(name)
        return self._offsets.shards.get(name) if shard is None else shard.progress()

    def _discover(self) -> None:
        """Add cursors for new shards; raise `TrailDamaged` if a shard that was read before is missing."""
        paths = {path.name: path for path in shards_of(self._trail)}
        missing = sorted((self._offsets.shards.keys() | self._shards.keys()) - paths.keys())
        if missing:
            detail = "the shard was read before and is missing"
            raise TrailDamaged(detail, verdict=Verdict.MISSING.value, place=missing[0])
        for name, path in paths.items():
            if name not in self._shards:
                progress = self._offsets.shards.get(name) or Progress(0)
                cursor = ShardCursor(path, progress.next, self._ring, progress.anchor)
                cursor.is_ended = progress.is_ended
                self._shards[name] = _Shard(cursor)


def _time(record: Record) -> str:
    """Return the time of a record as a string that sorts by time."""
    time = record.get("eventTime")
    return time if isinstance(time, str) else ""
