"""Drop old segments: their lines only.

Leaf hashes and checkpoints stay, a twentieth of the size. So the tree is complete: later records can be proved, and a
copy of a line can be proved to have been part of the trail. A record declares each drop, once, and is signed and on
the disk before the lines are deleted; missing lines without such a record are a finding. When that record is dropped
itself, its line is kept in a small file next to the hashes of its segment (`.retained`), where the tree proves it, so
the drop is not declared again. The compacted copy of a segment that queries use is deleted with it.

An old segment is kept in three cases: the trail or its shard has a file `HOLD` (a legal hold); a consumer group has not
acknowledged all of it, until the `grace` of the rule is over; or its hashes do not match its lines, which are needed to
investigate.

On a full disk the record could not be written, and nothing could be dropped. So the lock file reserves space for it
in advance; that space is released, the record written, the lines deleted, and the space reserved again.

A `Sweep` runs in small steps, because it reads all that it drops while its writer has batches to write. One process at
a time sweeps a trail; the lock ends with its process and is not inherited. The schedule is in `retention_schedule`,
the command in `cli.audit_drop`.
"""

from __future__ import annotations

import fcntl
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from iam_guard.audit.append_file import DISK_FULL_ERRORS, replace_file, sync_folder
from iam_guard.audit.consumer.offsets import FOLDER, Groups, Progress, read_groups
from iam_guard.audit.record.record import Stamp
from iam_guard.audit.verify.segment_reader import SegmentLines, iter_line_hashes, read_hashes
from iam_guard.audit.verify.shard import (
    COLUMNS_FOLDER,
    Segment,
    last_line,
    present_segments,
    shard_and_sequence,
    shards_of,
    time_in,
)
from iam_guard.audit.verify.trail_events import RETENTION_KIND, retention_line
from iam_guard.audit.writer.disk_reserve import LockFileReserve
from iam_guard.audit.writer.segment_writer import SegmentWriter
from iam_guard.errors import ConfigurationError

logger = logging.getLogger("iam_guard.audit")

HOLD = "HOLD"
"""A file of this name, with any content, keeps everything in its folder and below."""

SWEEP_LOCK = ".retention"
"""The lock of the sweeping process; its content is the disk space reserved for retention records."""


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """How long lines are kept, and how much longer if a consumer group has not read them."""

    keep: timedelta
    grace: timedelta = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class KeptSegment:
    """An old segment that is kept, and the reason."""

    segment: Segment
    why: str


@dataclass(frozen=True, slots=True)
class DroppedSegment:
    """A segment whose lines were or would be dropped, with their number and size in bytes."""

    segment: Segment
    lines: int
    size: int


class Sweep:
    """One pass through a trail; `dropped` and `kept` grow with its steps."""

    def __init__(
        self,
        trail: Path,
        rule: RetentionRule,
        writer: Callable[[], SegmentWriter] | None,
        *,
        now: datetime | None = None,
    ) -> None:
        """Prepare a sweep. The writer declares the drops in its own shard; without one, it is a dry run."""
        self._trail = trail
        self._writer = writer
        self._now = now or datetime.now(UTC)
        self._before = _subtract(self._now, rule.keep)
        self._unread_before = _subtract(self._before, rule.grace)
        self._reserve: LockFileReserve | None = None
        self.dropped: list[DroppedSegment] = []
        self.kept: list[KeptSegment] = []

    def steps(self) -> Iterator[None]:
        """Sweep in small steps. Raises `ConfigurationError` if another process sweeps."""
        with nullcontext() if self._writer is None else _locked_reserve(self._trail) as self._reserve:
            groups = read_groups(self._trail / FOLDER)
            for shard in shards_of(self._trail):
                yield
                for segment in present_segments(shard)[0]:
                    yield from self._segment(segment, groups)

    def run(self) -> None:
        for _ in self.steps():
            pass

    def _segment(self, segment: Segment, groups: Groups) -> Iterator[None]:
        last = last_line(segment.lines)
        if (moment := _time_of(last)) is None or moment >= self._before:
            return
        if (why := self._reason_to_keep(segment, moment, last, groups)) is not None:
            self.kept.append(KeptSegment(segment, why))
            return
        lines = SegmentLines()
        for lines_so_far in iter_line_hashes(segment.lines):
            yield
            lines = lines_so_far
        if lines.rest or not lines.hashes or b"".join(lines.hashes) != read_hashes(segment.hashes):
            logger.error("the audit segment `%s` is not dropped: its lines do not match its hashes", segment.lines)
            self.kept.append(KeptSegment(segment, "its lines do not match its hashes"))
            return
        candidate = DroppedSegment(segment, len(lines.hashes), segment.lines.stat().st_size)
        if self._writer is not None and self._reserve is not None:
            if not self._retain(self._reserve, segment, lines):
                self.kept.append(KeptSegment(segment, "there is no disk space for its retention records"))
                return
            self._drop(self._writer, self._reserve, candidate)
        self.dropped.append(candidate)

    def _reason_to_keep(self, segment: Segment, moment: datetime, last: bytes, groups: Groups) -> str | None:
        for folder in (self._trail, segment.folder):
            if _has_hold(folder):
                return f"legal hold by `{folder / HOLD}`"
        behind = _groups_behind(segment, last, groups)
        if behind and moment >= self._unread_before:
            return f"consumer group `{behind[0]}` has not read it"
        if behind and self._writer is not None:
            logger.warning(
                "the audit segment `%s` is dropped unread by the consumer group `%s`", segment.lines, behind[0]
            )
        return None

    def _retain(self, reserve: LockFileReserve, segment: Segment, lines: SegmentLines) -> bool:
        """Keep the retention records among the dropped lines; return False if the disk has no space for them."""
        (self._trail / COLUMNS_FOLDER / segment.folder.name / f"{segment.name}.parquet").unlink(missing_ok=True)
        retained = _earlier_retention_lines(segment, lines)
        try:
            if retained:
                reserve.run_with_space(lambda: replace_file(segment.retained, retained))
        except OSError as error:
            if error.errno not in DISK_FULL_ERRORS:
                raise
            return False
        return True

    def _drop(self, writer: Callable[[], SegmentWriter], reserve: LockFileReserve, dropped: DroppedSegment) -> None:
        segment = dropped.segment
        stamp = Stamp(self._now, str(uuid.uuid4()))
        line = retention_line(stamp, segment.folder.name, segment.first, segment.first + dropped.lines - 1)
        reserve.run_with_space(lambda: writer().declare(line))
        segment.lines.unlink(missing_ok=True)
        sync_folder(segment.folder)
        reserve.allocate()


def drop_segments(trail: Path, writer: SegmentWriter, older_than: datetime) -> list[Segment]:
    """Drop the lines of every segment whose last record is older than `older_than`; return the segments.

    The writer declares it in its own shard. The last segment of an open shard stays. Consumer groups are not
    considered. Raises `ConfigurationError` if another process sweeps.
    """
    moment = datetime.now(UTC)
    sweep = Sweep(trail, RetentionRule(moment - older_than, timedelta(0)), lambda: writer, now=moment)
    sweep.run()
    return [dropped.segment for dropped in sweep.dropped]


# --- reasons to keep a segment ---------------------------------------------------------------------------------------


def _has_hold(folder: Path) -> bool:
    """Return whether the folder has a `HOLD` file; True if that cannot be checked."""
    try:
        (folder / HOLD).lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _groups_behind(segment: Segment, last: bytes, groups: Groups) -> list[str]:
    """Return the groups that have not acknowledged the last line of a segment, or whose progress cannot be read."""
    place = shard_and_sequence(last)
    end = segment.first if place is None else place[1] + 1
    behind = []
    for name, shards in groups.items():
        progress = None if shards is None else shards.get(segment.folder.name, Progress(0))
        if progress is None or (progress.next < end and not progress.is_ended):
            behind.append(name)
    return behind


def _time_of(line: bytes) -> datetime | None:
    try:
        moment = datetime.fromisoformat(time_in(line))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _subtract(moment: datetime, span: timedelta) -> datetime:
    try:
        return moment - span
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def _earlier_retention_lines(segment: Segment, lines: SegmentLines) -> bytes:
    """Return the dropped lines that declare earlier drops."""
    places = {place for place, facts in lines.own if facts["kind"] == RETENTION_KIND}
    if not places:
        return b""
    with segment.lines.open("rb") as file:
        return b"".join(line for place, line in enumerate(islice(file, max(places) + 1)) if place in places)


@contextmanager
def _locked_reserve(trail: Path) -> Iterator[LockFileReserve]:
    """Lock the trail against sweeps by other processes; yield the space reserved in the lock file."""
    descriptor = os.open(trail / SWEEP_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise ConfigurationError("another process drops old segments of the trail", place=str(trail)) from None
        yield LockFileReserve(descriptor)
    finally:
        os.close(descriptor)
