"""Reading one shard from some record on, while it is written, and no further than it is signed.

The cursor goes from checkpoint to checkpoint. It reads checkpoints first and lines afterwards, since a writer writes
them the other way round; so the lines that a checkpoint signs must be there. It hashes them into the tree that it
carries along, and hands them out only when the root is the checkpoint's. What has no checkpoint yet is read anew the
next time: until it is signed, a recovery or a full disk may take it back. A cursor begins at the head of the segment in
which its record lies, whose first line brings the signed state of all before it.

Where something is not right, the verifier of the trail (`shard_check`) is asked what it is, and the cursor raises with
its verdict; its own state stays, so asking again raises again. Given no keys, it verifies nothing and hands out every
whole line that says the right number of itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NoReturn

from iam_guard.audit.consumer.offsets import Anchor
from iam_guard.audit.consumer.start_position import lines_of
from iam_guard.audit.verify.checkpoint import Checkpoint, notes_of
from iam_guard.audit.verify.merkle import Tree, leaf_hashes
from iam_guard.audit.verify.segment_reader import judge
from iam_guard.audit.verify.shard import Segment, own_facts, place_of, read_opening, segments_of
from iam_guard.audit.verify.shard_check import ShardCheck
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.verdicts import TrailFinding, Verdict
from iam_guard.errors import TrailDamaged

MAX_LINE = 256 * 1024
"""Bytes of a line that are read at most; ours are far shorter."""

UNVERIFIED_LINES = 1000
"""How many lines are handed out at once where no checkpoint says it."""

Line = tuple[int, bytes]
"""A sequence and the line."""

_HARMLESS = (Verdict.GAP, Verdict.UNSIGNED_TAIL)


class ShardCursor:
    """Reads one shard; `position` is the sequence of the next line that is handed out."""

    def __init__(self, shard: Path, position: int, ring: KeyRing | None, anchor: Anchor | None = None) -> None:
        """Stand before the record `position`; with an `anchor`, the shard must have grown out of that checkpoint."""
        self.shard = shard.name
        self.position = position
        self.is_ended = False
        """Whether the last line was handed out after which nothing comes."""
        self._path = shard
        self._ring = ring
        self._given = self._wanted = anchor
        self._tree = Tree()
        self._bytes = 0
        self._note_bytes = 0
        self._due: list[Checkpoint] = []
        self._segment: Segment | None = None
        self._next_line = 0
        self._is_closed = False
        self._last: bytes = b""

    @property
    def anchor(self) -> Anchor | None:
        """The last checkpoint that was verified: that from which the shard must have grown when it is read again."""
        if self._ring is None:
            return self._given
        if self._wanted is not None and self._wanted.size > self._tree.size:
            return self._wanted
        return Anchor(self._tree.size, self._tree.root()) if self._tree.size else None

    def read(self) -> list[Line]:
        """Return the next lines, which are some at most; none where there are no more yet. Raises `TrailDamaged`."""
        while not self.is_ended:
            lines = self._step()
            if lines is None:
                break
            given = [line for line in lines if line[0] >= self.position]
            if lines:
                self._last = lines[-1][1]
            if given:
                self.position = given[-1][0] + 1
                return given
        return []

    def _step(self) -> list[Line] | None:
        """Take one step: lines that are not all to be handed out, or None where there is no step to take."""
        if self._segment is None and not self._begin():
            return None
        segment = self._here
        following = self._following() if not self._due else None
        if self._ring is None:
            lines = self._unverified(segment)
        else:
            if not self._due:
                self._due = self._signed(self._ring, segment, following)
            if self._due:
                return self._verified(segment, self._due[0])
            lines = []
        if lines:
            return lines
        if following is not None:
            self._enter(segment, following)
            return []
        self._see_end()
        return None

    # --- segments ------------------------------------------------------------------------------------------------

    @property
    def _here(self) -> Segment:
        if self._segment is None:
            raise AssertionError("the cursor has not begun")
        return self._segment

    def _begin(self) -> bool:
        """Go to the head of the segment of `position`; False where there is no segment yet."""
        segments = segments_of(self._path) if self._path.is_dir() else []
        wanted = [each for each in segments if each.first <= self.position]
        if not wanted:
            if segments or self._given is not None or not self._path.is_dir():
                self._damaged(Verdict.MISSING, "the segment of the next record is not there")
            return False
        segment = wanted[-1]
        opening = read_opening(segment)
        if not segment.lines.exists():
            if self.position < lines_of(self._path):
                self._dropped(segment)
            self.is_ended = True  # only of a shard that has ended the last segment is dropped
            return False
        if self._ring is not None:
            self._tree = self._signed_state(self._ring, segment)
        else:
            self._tree = Tree() if opening is None else opening.tree
        self._open(segment)
        return True

    def _signed_state(self, ring: KeyRing, segment: Segment) -> Tree:
        opening = read_opening(segment)
        if opening is not None and segment.first == 0 and not opening.previous:
            return opening.tree
        if opening is None:
            self._damaged(Verdict.MODIFIED, "the segment does not open", segment)
        found = judge(opening.previous, self.shard, ring)
        if not isinstance(found, Checkpoint):
            self._damaged(*found, segment)
        if (found.size, found.root) != (opening.tree.size, opening.tree.root()):
            self._damaged(Verdict.MODIFIED, "the segment opens with another state than was signed", segment)
        if self._wanted is not None and self._wanted.size == found.size and self._wanted.root != found.root:
            self._damaged(Verdict.FORKED, "the shard did not grow out of the checkpoint that was verified", segment)
        return opening.tree.copy()

    def _open(self, segment: Segment) -> None:
        self._segment, self._bytes, self._note_bytes, self._due = segment, 0, 0, []
        self._next_line, self._is_closed = segment.first, False

    def _following(self) -> Segment | None:
        later = (
            [segment for segment in segments_of(self._path) if segment.first > self._here.first]
            if self._path.is_dir()
            else []
        )
        return later[0] if later else None

    def _enter(self, segment: Segment, following: Segment) -> None:
        count = self._tree.size if self._ring is not None else self._next_line
        bytes_there = segment.lines.stat().st_size if segment.lines.exists() else self._bytes
        if count != following.first or bytes_there != self._bytes:
            self._damaged(Verdict.MODIFIED, "the segment does not end where the next one begins", segment)
        if not following.lines.exists():
            self._dropped(following)
        self._open(following)

    def _see_end(self) -> None:
        facts = own_facts(self._last)
        self.is_ended = facts is not None and facts["kind"] == "audit_end"

    # --- lines ---------------------------------------------------------------------------------------------------

    def _signed(self, ring: KeyRing, segment: Segment, following: Segment | None) -> list[Checkpoint]:
        """Return the checkpoints that nobody has looked at yet, with the one that the next segment opens with."""
        found, read = self._new_notes(ring, segment)
        if following is not None and not self._is_closed:
            opening = read_opening(following)
            if opening is None and not following.lines.exists():
                self._dropped(following)
            if opening is None:
                self._damaged(Verdict.MODIFIED, "the segment does not open", following)
            closing = judge(opening.previous, self.shard, ring)
            if not isinstance(closing, Checkpoint):
                self._damaged(*closing, following)
            found.append(closing)
        wanted = self._wanted
        if wanted is not None and (following is None or wanted.size <= following.first):
            if wanted.size > self._tree.size:
                found.append(Checkpoint(f"/{self.shard}", wanted.size, wanted.root))
            self._wanted = None
        self._note_bytes += read
        self._is_closed = following is not None
        return sorted(found, key=lambda each: each.size)

    def _new_notes(self, ring: KeyRing, segment: Segment) -> tuple[list[Checkpoint], int]:
        """Return the whole notes that were not read yet, and how many bytes they take."""
        try:
            with segment.checkpoints.open("rb") as file:
                file.seek(self._note_bytes)
                content = file.read()
        except FileNotFoundError:
            return [], 0
        found: list[Checkpoint] = []
        read = 0
        for place in notes_of(content):
            if place.torn:
                break
            judged = judge(place.note, self.shard, ring)
            if not isinstance(judged, Checkpoint):
                self._damaged(*judged, segment)
            found.append(judged)
            read = place.begin + len(place.note) + 1
        return found, read

    def _verified(self, segment: Segment, checkpoint: Checkpoint) -> list[Line]:
        """Return the lines up to a checkpoint if it matches their root; otherwise the cursor does not move."""
        begin, tree = self._tree.size, self._tree.copy()
        lines = list(islice(self._lines(segment), max(0, checkpoint.size - begin)))
        tree.extend(leaf_hashes(lines))
        if tree.size != checkpoint.size or tree.root() != checkpoint.root:
            self._damaged(Verdict.MODIFIED, f"the first {checkpoint.size} lines are not what was signed", segment)
        self._tree = tree
        self._bytes += sum(map(len, lines))
        del self._due[0]
        return list(enumerate(lines, begin))

    def _unverified(self, segment: Segment) -> list[Line]:
        lines = list(islice(self._lines(segment), UNVERIFIED_LINES))
        for number, line in enumerate(lines, self._next_line):
            if place_of(line) != (self.shard, number):
                self._damaged(Verdict.MODIFIED, f"expected the line with sequence {number}", segment)
        found = list(enumerate(lines, self._next_line))
        self._next_line += len(lines)
        self._bytes += sum(map(len, lines))
        return found

    def _lines(self, segment: Segment) -> Iterator[bytes]:
        """Return whole lines from where the cursor stands."""
        try:
            file = segment.lines.open("rb")
        except FileNotFoundError:
            self._dropped(segment)
        with file:
            file.seek(self._bytes)
            while (line := file.readline(MAX_LINE)).endswith(b"\n"):
                yield line

    # --- what is wrong -------------------------------------------------------------------------------------------

    def _dropped(self, segment: Segment) -> NoReturn:
        detail = "the lines were dropped or taken away before they were read; `seek` to go on after them"
        raise TrailDamaged(detail, verdict=Verdict.MISSING.value, place=f"{self.shard}/{segment.lines.name}")

    def _damaged(self, verdict: Verdict, detail: str, segment: Segment | None = None) -> NoReturn:
        """Raise with what the verifier finds from the last checkpoint on, else with what was seen here."""
        place = self.shard if segment is None else f"{self.shard}/{segment.lines.name}"
        if self._ring is not None and self._path.is_dir():
            finding = self._diagnosis(self._ring)
            if finding is not None:
                verdict, detail, place = finding.verdict, finding.detail, finding.place
        raise TrailDamaged(detail, verdict=verdict.value, place=place)

    def _diagnosis(self, ring: KeyRing) -> TrailFinding | None:
        """Ask the verifier, from the last line that was good on, and then from the checkpoint that was given."""
        verified = Anchor(self._tree.size, self._tree.root()) if self._tree.size else None
        for anchor in dict.fromkeys([verified, self._given]):
            since = None if anchor is None else Checkpoint(f"/{self.shard}", anchor.size, anchor.root)
            check = ShardCheck(self._path, ring, since, lambda _: None)
            check.run()
            for finding in check.report().findings:
                if finding.verdict not in _HARMLESS:
                    return finding
        return None
