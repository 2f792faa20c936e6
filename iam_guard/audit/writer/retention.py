"""Dropping what is too old: whole segments, and of them the lines only.

Their leaf hashes and checkpoints stay, a twentieth of the size. So the tree stays whole: later records can be proved as
before, and whoever kept a line elsewhere can still show that it stood here. A record says what was dropped, once, and
is on the disk and signed before anything goes; lines that are missing without one are a finding. When such a record
goes itself, its line is kept in a small file beside the hashes of its segment (`.retained`): the tree proves that it
stood there, so nothing is said again. The compacted copy that questions made of a segment goes with it.

Three things keep a segment that is old. A file `HOLD` in the trail or in its shard (a legal hold). A group of consumers
that has not acknowledged all of it, for so long as the `grace` of the rule; after that it goes unread. And that its
hashes are not those of its lines, for without the lines nobody could tell any more what happened to it.

On a full disk the record has no place, and nothing could ever go. So the file of the lock is filled with room for it,
while there is some; that room is given back, the record is written, the segment goes, and the room is set aside again.

A `Sweep` goes in small steps, since it reads all that it drops, and the writer that takes them has batches to write.
One process at a time sweeps a trail, by a lock that ends with its process and that no child inherits. Must not live
here: when to do it (`retention_schedule`, `cli.audit_drop`).
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from iam_guard.audit.append_file import NO_ROOM, replace_file, sync_folder
from iam_guard.audit.consumer.offsets import FOLDER, Progress, read_groups
from iam_guard.audit.record.record import Stamp
from iam_guard.audit.verify.segment_reader import SegmentLines, read_hashes, reading_lines
from iam_guard.audit.verify.shard import COLUMNS_FOLDER, LOCK, Segment, last_line, place_of, segments_of, shards_of
from iam_guard.audit.verify.trail_events import RETENTION_KIND, retention_line
from iam_guard.audit.writer.disk_reserve import LentRoom
from iam_guard.audit.writer.segment_writer import SegmentWriter
from iam_guard.errors import ConfigurationError

logger = logging.getLogger("iam_guard.audit")

HOLD = "HOLD"
"""A file of this name, whatever is in it, keeps all that stands beside and below it."""

SWEEP_LOCK = ".retention"
"""Who has the lock of this file drops; what is in it is room for saying so on a full disk."""


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """How long lines are kept, and how much longer where a group of consumers has not read them."""

    keep: timedelta
    grace: timedelta = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Kept:
    """A segment that is old and stays, and why."""

    segment: Segment
    why: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """A segment whose lines are gone, or would be; how many lines and bytes."""

    segment: Segment
    lines: int
    size: int


class Sweep:
    """One passage through a trail; `dropped` and `kept` grow with its steps."""

    def __init__(
        self,
        trail: Path,
        rule: RetentionRule,
        writer: Callable[[], SegmentWriter] | None,
        *,
        now: datetime | None = None,
    ) -> None:
        """Get ready. The writer notes in its own shard what is dropped; without one nothing is, only looked for."""
        self._trail = trail
        self._writer = writer
        self._now = now or datetime.now(UTC)
        self._before = _minus(self._now, rule.keep)
        self._unread_before = _minus(self._before, rule.grace)
        self._room: LentRoom | None = None
        self.dropped: list[Dropped] = []
        self.kept: list[Kept] = []

    def steps(self) -> Iterator[None]:
        """Go through the trail, a small step each time; raise `ConfigurationError` where another process does so."""
        with _alone(self._trail, is_needed=self._writer is not None) as lock:
            self._room = None if lock is None else LentRoom(lock)
            groups = read_groups(self._trail / FOLDER)
            for shard in shards_of(self._trail):
                yield
                for segment in _closed(shard):
                    yield from self._segment(segment, groups)

    def run(self) -> None:
        """Take all steps at once."""
        for _ in self.steps():
            pass

    def _segment(self, segment: Segment, groups: Mapping[str, Mapping[str, Progress] | None]) -> Iterator[None]:
        last = last_line(segment.lines)
        if (moment := _time_of(last)) is None or moment >= self._before:
            return
        if (why := self._reason_to_keep(segment, moment, last, groups)) is not None:
            self.kept.append(Kept(segment, why))
            return
        lines = SegmentLines()
        for read in reading_lines(segment.lines):
            yield
            lines = read
        if lines.rest or not lines.hashes or b"".join(lines.hashes) != read_hashes(segment.hashes):
            logger.error("the audit segment `%s` is not dropped: it is not as it was written", segment.lines)
            self.kept.append(Kept(segment, "it is not as it was written"))
            return
        found = Dropped(segment, len(lines.hashes), segment.lines.stat().st_size)
        if self._writer is not None and self._room is not None:
            if not self._retain(self._room, segment, lines):
                self.kept.append(Kept(segment, "there is no room for what it says of earlier ones"))
                return
            self._drop(self._writer, self._room, found)
        self.dropped.append(found)

    def _reason_to_keep(
        self, segment: Segment, moment: datetime, last: bytes, groups: Mapping[str, Mapping[str, Progress] | None]
    ) -> str | None:
        for folder in (self._trail, segment.folder):
            if _is_held(folder):
                return f"`{folder / HOLD}` holds it"
        behind = _groups_behind(segment, last, groups)
        if behind and moment >= self._unread_before:
            return f"the group `{behind[0]}` has not read it"
        if behind and self._writer is not None:
            logger.warning(
                "the audit segment `%s` is dropped, and the group `%s` has not read it", segment.lines, behind[0]
            )
        return None

    def _retain(self, room: LentRoom, segment: Segment, lines: SegmentLines) -> bool:
        """Keep what the lines that go say of earlier ones; False where there is no room for it."""
        (self._trail / COLUMNS_FOLDER / segment.folder.name / f"{segment.name}.parquet").unlink(missing_ok=True)
        said = _said_before(segment, lines)
        try:
            if said:
                room.lend(lambda: replace_file(segment.retained, said))
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            return False
        return True

    def _drop(self, writer: Callable[[], SegmentWriter], room: LentRoom, found: Dropped) -> None:
        segment = found.segment
        stamp = Stamp(self._now, str(uuid.uuid4()))
        line = retention_line(stamp, segment.folder.name, segment.first, segment.first + found.lines - 1)
        room.lend(lambda: writer().declare(line))
        segment.lines.unlink(missing_ok=True)
        sync_folder(segment.folder)
        room.make()


def drop_segments(
    trail: Path, writer: SegmentWriter, older_than: datetime, *, now: datetime | None = None
) -> list[Segment]:
    """Drop the lines of every segment whose last record is older than that; say which.

    The writer notes it in its own shard. Of a shard that has not ended, the last segment stays. Whoever calls this
    decides for the consumers: none is waited for. Raises `ConfigurationError` where another process drops.
    """
    moment = now or datetime.now(UTC)
    sweep = Sweep(trail, RetentionRule(moment - older_than, timedelta(0)), lambda: writer, now=moment)
    sweep.run()
    return [each.segment for each in sweep.dropped]


# --- what keeps a segment --------------------------------------------------------------------------------------------


def _is_held(folder: Path) -> bool:
    """Return whether there is a `HOLD`; where that cannot be told, there is."""
    try:
        (folder / HOLD).lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _groups_behind(segment: Segment, last: bytes, groups: Mapping[str, Mapping[str, Progress] | None]) -> list[str]:
    """Name the groups that have not acknowledged the last line of a segment; of one that cannot be read, say so."""
    place = place_of(last)
    wanted = segment.first if place is None else place[1] + 1
    behind = []
    for name, shards in groups.items():
        progress = None if shards is None else shards.get(segment.folder.name, Progress(0))
        if progress is None or (progress.next < wanted and not progress.is_ended):
            behind.append(name)
    return behind


def _closed(shard: Path) -> list[Segment]:
    segments = segments_of(shard)
    there = segments[:-1] if (shard / LOCK).exists() else segments
    return [segment for segment in there if segment.lines.exists()]


def _time_of(line: bytes) -> datetime | None:
    try:
        moment = datetime.fromisoformat(json.loads(line)["eventTime"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return moment if moment.tzinfo is not None else None


def _minus(moment: datetime, span: timedelta) -> datetime:
    try:
        return moment - span
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def _said_before(segment: Segment, lines: SegmentLines) -> bytes:
    """Return those of the lines that go now that say of others that they went before."""
    places = {place for place, facts in lines.own if facts["kind"] == RETENTION_KIND}
    if not places:
        return b""
    with segment.lines.open("rb") as file:
        return b"".join(line for place, line in enumerate(islice(file, max(places) + 1)) if place in places)


@contextmanager
def _alone(trail: Path, *, is_needed: bool) -> Iterator[int | None]:
    """Keep other processes from sweeping the trail meanwhile; give the descriptor of the lock."""
    if not is_needed:
        yield None
        return
    descriptor = os.open(trail / SWEEP_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise ConfigurationError("another process drops old segments of the trail", place=str(trail)) from None
        yield descriptor
    finally:
        os.close(descriptor)
