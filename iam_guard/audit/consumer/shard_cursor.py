"""A cursor that reads a shard from a given record on, while it is being written, up to its last checkpoint.

The cursor moves from checkpoint to checkpoint. It reads a checkpoint before its lines, because the writer writes them
in the opposite order; so the signed lines must exist. It hashes them into its tree and returns them only if the root is
the checkpoint's. Lines without a checkpoint are read again the next time: until they are signed, a recovery or a full
disk may remove them. A cursor starts at the first line of its record's segment, which has the signed state before it.

On damage the verifier (`shard_check`) finds the verdict, and the cursor raises `TrailDamaged` without moving, so the
next read raises again. Without keys, nothing is verified, and every complete line with the right sequence is returned.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NoReturn

from iam_guard.audit.consumer.start_position import lines_of
from iam_guard.audit.verify.checkpoint import Checkpoint, split_notes
from iam_guard.audit.verify.merkle import Tree, leaf_hashes
from iam_guard.audit.verify.segment_reader import check_checkpoint
from iam_guard.audit.verify.shard import Segment, read_segment_start, segments_of, shard_and_sequence, trail_event_facts
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.trail_verifier import first_damage
from iam_guard.audit.verify.verdicts import TrailFinding, Verdict
from iam_guard.errors import TrailDamaged

MAX_LINE = 256 * 1024
"""Maximum bytes of a line; the writer's lines are far shorter."""

UNVERIFIED_LINES = 1000
"""Number of lines per read without verification."""

Line = tuple[int, bytes]
"""A sequence and its line."""


class ShardCursor:
    """Reads one shard; `position` is the sequence of the next line to return."""

    def __init__(self, shard: Path, position: int, ring: KeyRing | None, anchor: Checkpoint | None = None) -> None:
        """Start at the sequence `position`; with an `anchor`, the shard must be consistent with that checkpoint."""
        self.shard = shard.name
        self.position = position
        self.is_ended = False
        """Whether the shard has ended and its last line was returned."""
        self._path = shard
        self._ring = ring
        self._anchor = self._unchecked_anchor = anchor
        self._tree = Tree()
        self._bytes = 0
        self._note_bytes = 0
        self._pending: list[Checkpoint] = []
        self._segment: Segment | None = None
        self._next_line = 0
        self._is_closed = False
        self._last: bytes = b""

    @property
    def anchor(self) -> Checkpoint | None:
        """The last verified checkpoint, with which the shard must be consistent when it is read again."""
        if self._ring is None:
            return self._anchor
        if self._unchecked_anchor is not None and self._unchecked_anchor.size > self._tree.size:
            return self._unchecked_anchor
        return self._verified_checkpoint()

    def read(self) -> list[Line]:
        """Return the next lines up to a checkpoint; none if there are no more yet. Raises `TrailDamaged`."""
        while not self.is_ended:
            lines = self._step()
            if lines is None:
                break
            new = [line for line in lines if line[0] >= self.position]
            if lines:
                self._last = lines[-1][1]
            if new:
                self.position = new[-1][0] + 1
                return new
        return []

    def _step(self) -> list[Line] | None:
        """Return the next lines, some possibly before `position`; empty after a change of segment, None at the end."""
        segment = self._segment or self._first_segment()
        if segment is None:
            return None
        following = self._following(segment) if not self._pending else None
        if self._ring is None:
            lines = self._unverified(segment)
        else:
            if not self._pending:
                self._pending = self._signed(self._ring, segment, following)
            if self._pending:
                return self._verified(segment, self._pending[0])
            lines = []
        if lines:
            return lines
        if following is not None:
            self._enter(segment, following)
            return []
        facts = trail_event_facts(self._last)
        self.is_ended = facts is not None and facts["kind"] == "audit_end"
        return None

    # --- segments ------------------------------------------------------------------------------------------------

    def _first_segment(self) -> Segment | None:
        """Go to the first line of the segment of `position` and return it; None if there is no segment yet."""
        segments = segments_of(self._path) if self._path.is_dir() else []
        candidates = [segment for segment in segments if segment.first <= self.position]
        if not candidates:
            if segments or self._anchor is not None or not self._path.is_dir():
                self._damaged(Verdict.MISSING, "the segment of the next record is missing")
            return None
        segment = candidates[-1]
        opening = read_segment_start(segment)
        if not segment.lines.exists():
            if self.position < lines_of(self._path):
                self._dropped(segment)
            self.is_ended = True  # the last segment is dropped only if the shard has ended
            return None
        if self._ring is not None:
            self._tree = self._signed_state(self._ring, segment)
        else:
            self._tree = Tree() if opening is None else opening.tree
        self._open(segment)
        return segment

    def _signed_state(self, ring: KeyRing, segment: Segment) -> Tree:
        opening = read_segment_start(segment)
        if opening is not None and segment.first == 0 and not opening.previous:
            return opening.tree
        if opening is None:
            self._damaged(Verdict.MODIFIED, "the first line of the segment is malformed", segment)
        previous = check_checkpoint(opening.previous, self.shard, ring)
        if not isinstance(previous, Checkpoint):
            self._damaged(*previous, segment)
        if (previous.size, previous.root) != (opening.tree.size, opening.tree.root()):
            self._damaged(Verdict.MODIFIED, "the state in the first line is not what was signed", segment)
        anchor = self._unchecked_anchor
        if anchor is not None and anchor.size == previous.size and anchor.root != previous.root:
            self._damaged(Verdict.FORKED, "the shard is not consistent with its last verified checkpoint", segment)
        return opening.tree.copy()

    def _open(self, segment: Segment) -> None:
        self._segment, self._bytes, self._note_bytes, self._pending = segment, 0, 0, []
        self._next_line, self._is_closed = segment.first, False

    def _following(self, segment: Segment) -> Segment | None:
        segments = segments_of(self._path) if self._path.is_dir() else []
        return next((later for later in segments if later.first > segment.first), None)

    def _enter(self, segment: Segment, following: Segment) -> None:
        count = self._tree.size if self._ring is not None else self._next_line
        size = segment.lines.stat().st_size if segment.lines.exists() else self._bytes
        if count != following.first or size != self._bytes:
            self._damaged(Verdict.MODIFIED, "the segment does not end where the next one begins", segment)
        if not following.lines.exists():
            self._dropped(following)
        self._open(following)

    # --- lines ---------------------------------------------------------------------------------------------------

    def _signed(self, ring: KeyRing, segment: Segment, following: Segment | None) -> list[Checkpoint]:
        """Return the new checkpoints, including the one in the next segment's first line and the anchor."""
        checkpoints, read = self._new_notes(ring, segment)
        if following is not None and not self._is_closed:
            opening = read_segment_start(following)
            if opening is None and not following.lines.exists():
                self._dropped(following)
            if opening is None:
                self._damaged(Verdict.MODIFIED, "the first line of the segment is malformed", following)
            closing = check_checkpoint(opening.previous, self.shard, ring)
            if not isinstance(closing, Checkpoint):
                self._damaged(*closing, following)
            checkpoints.append(closing)
        anchor = self._unchecked_anchor
        if anchor is not None and (following is None or anchor.size <= following.first):
            if anchor.size > self._tree.size:
                checkpoints.append(anchor)
            self._unchecked_anchor = None
        self._note_bytes += read
        self._is_closed = following is not None
        return sorted(checkpoints, key=lambda checkpoint: checkpoint.size)

    def _new_notes(self, ring: KeyRing, segment: Segment) -> tuple[list[Checkpoint], int]:
        """Return the checkpoints of complete notes that were not read yet, and their length in bytes."""
        try:
            with segment.checkpoints.open("rb") as file:
                file.seek(self._note_bytes)
                content = file.read()
        except FileNotFoundError:
            return [], 0
        checkpoints: list[Checkpoint] = []
        read = 0
        for entry in split_notes(content):
            if entry.torn:
                break
            checked = check_checkpoint(entry.note, self.shard, ring)
            if not isinstance(checked, Checkpoint):
                self._damaged(*checked, segment)
            checkpoints.append(checked)
            read = entry.begin + len(entry.note) + 1
        return checkpoints, read

    def _verified(self, segment: Segment, checkpoint: Checkpoint) -> list[Line]:
        """Return the lines up to a checkpoint if their root matches; otherwise raise without moving the cursor."""
        begin, tree = self._tree.size, self._tree.copy()
        lines = list(islice(self._lines(segment), max(0, checkpoint.size - begin)))
        tree.extend(leaf_hashes(lines))
        if tree.size != checkpoint.size or tree.root() != checkpoint.root:
            self._damaged(Verdict.MODIFIED, f"the first {checkpoint.size} lines are not what was signed", segment)
        self._tree = tree
        self._bytes += sum(map(len, lines))
        del self._pending[0]
        return list(enumerate(lines, begin))

    def _unverified(self, segment: Segment) -> list[Line]:
        lines = list(islice(self._lines(segment), UNVERIFIED_LINES))
        numbered = list(enumerate(lines, self._next_line))
        for sequence, line in numbered:
            if shard_and_sequence(line) != (self.shard, sequence):
                self._damaged(Verdict.MODIFIED, f"expected the line with sequence {sequence}", segment)
        self._next_line += len(lines)
        self._bytes += sum(map(len, lines))
        return numbered

    def _lines(self, segment: Segment) -> Iterator[bytes]:
        """Yield complete lines from the cursor's byte offset on."""
        try:
            file = segment.lines.open("rb")
        except FileNotFoundError:
            self._dropped(segment)
        with file:
            file.seek(self._bytes)
            while (line := file.readline(MAX_LINE)).endswith(b"\n"):
                yield line

    # --- damage --------------------------------------------------------------------------------------------------

    def _dropped(self, segment: Segment) -> NoReturn:
        detail = "the lines were dropped or removed before they were read; `seek` continues after them"
        raise TrailDamaged(detail, verdict=Verdict.MISSING.value, place=f"{self.shard}/{segment.lines.name}")

    def _damaged(self, verdict: Verdict, detail: str, segment: Segment | None = None) -> NoReturn:
        """Raise `TrailDamaged` with the verifier's first finding, else with the given verdict and detail."""
        place = self.shard if segment is None else f"{self.shard}/{segment.lines.name}"
        if self._ring is not None and self._path.is_dir():
            finding = self._diagnosis(self._ring)
            if finding is not None:
                verdict, detail, place = finding.verdict, finding.detail, finding.place
        raise TrailDamaged(detail, verdict=verdict.value, place=place)

    def _diagnosis(self, ring: KeyRing) -> TrailFinding | None:
        """Return the verifier's first finding since the last verified line, else since the given anchor."""
        for anchor in dict.fromkeys([self._verified_checkpoint(), self._anchor]):
            damage = first_damage(self._path, ring, anchor)
            if damage is not None:
                return damage
        return None

    def _verified_checkpoint(self) -> Checkpoint | None:
        return Checkpoint(f"/{self.shard}", self._tree.size, self._tree.root()) if self._tree.size else None
