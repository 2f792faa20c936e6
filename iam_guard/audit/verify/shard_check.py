"""The walk through one shard: which tree its lines make, and whether that is what was signed.

The state of the walk is the tree of all lines so far, or nothing where it was lost: then the next segment whose first
line brings a signed state is the place to go on. What is read of a segment is in `segment_reader`, what is to be said
about lines that are not right in `diagnosis`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iam_guard.audit.record.redaction import write
from iam_guard.audit.verify.checkpoint import Checkpoint
from iam_guard.audit.verify.diagnosis import Difference, Signed, borne, compare, places_by_hash
from iam_guard.audit.verify.merkle import HASH_BYTES, Tree, leaf_hash
from iam_guard.audit.verify.segment_reader import (
    Progress,
    SegmentLines,
    judge,
    read_checkpoints,
    read_hashes,
    read_lines,
    read_retained,
    read_sequences,
)
from iam_guard.audit.verify.shard import Segment, read_opening, segments_of
from iam_guard.audit.verify.shard_claims import Growth, ShardClaim, claims_in
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.verdicts import ShardReport, TrailFinding, Verdict

MAX_FINDINGS = 1000
"""Of one shard; more are counted only."""

ANCHOR = "the given checkpoint"


@dataclass(frozen=True, slots=True)
class _Here:
    """A segment with all that is known about it but its lines."""

    segment: Segment
    start: Tree
    end: int | None
    """How many lines it has to have, by the name of the next segment; None in the last one."""
    checkpoints: list[Signed]
    stored: bytes | None

    @property
    def is_last(self) -> bool:
        return self.end is None

    @property
    def signed(self) -> int:
        """How many of its lines are signed."""
        return (
            max([checkpoint.size for checkpoint in self.checkpoints], default=self.segment.first) - self.segment.first
        )


class ShardCheck:
    """Verifies one shard."""

    def __init__(
        self,
        shard: Path,
        ring: KeyRing,
        since: Checkpoint | None,
        progress: Progress,
        claims: Sequence[ShardClaim] = (),
    ) -> None:
        """Get ready; `claims` are what other shards say of this one."""
        self._path = shard
        self._shard = shard.name
        self._ring = ring
        self._since = since
        self._progress = progress
        self._tree: Tree | None = Tree()
        self._next = 0
        self._signed = 0
        self._end: int | None = None
        self._findings: list[TrailFinding] = []
        self._unsaid = 0
        self.dropped: list[tuple[Segment, int, bool]] = []
        """Segments without lines: which, up to where, whether the last of the shard."""
        self._claims: list[tuple[int, str, int]] = []
        self._others: list[ShardClaim] = []
        self._growth = Growth(claims)

    def run(self) -> None:
        """Walk through the shard."""
        segments = self._begin(segments_of(self._path))
        for segment, following in zip(segments, [*segments[1:], None], strict=True):
            self._segment(segment, following)
        if self._since is not None and self._since.size > self._next and not segments:
            self._say(Verdict.TRUNCATED_TAIL, "a checkpoint signs lines, and there are none")

    @property
    def _has_ended(self) -> bool:
        return self._end is not None and self._end < self._signed

    @property
    def claims(self) -> list[tuple[str, int]]:
        """Shard and first line of segments of which the shard says, signed, that they were dropped."""
        return [(shard, first) for sequence, shard, first in self._claims if sequence < self._signed]

    @property
    def others(self) -> set[ShardClaim]:
        """What the shard says, signed, of other shards."""
        return {other for other in self._others if other.sequence < self._signed}

    def report(self) -> ShardReport:
        """Return what was found; what `dropped` and `claims` have to do with each other is seen with all shards."""
        findings = self._findings
        if self._unsaid:
            findings = [*findings, TrailFinding(findings[-1].verdict, self._shard, f"and {self._unsaid} findings more")]
        dropped = sum(end - segment.first for segment, end, _ in self.dropped)
        return ShardReport(self._shard, self._next, self._signed, self._has_ended, dropped, tuple(findings))

    def settle(self, claimed: set[tuple[str, int]]) -> None:
        """Find those dropped segments of which no shard says so."""
        for segment, end, is_last in self.dropped:
            if (self._shard, segment.first) not in claimed:
                verdict = Verdict.TRUNCATED_TAIL if is_last else Verdict.MISSING
                detail = f"the {end - segment.first} lines of the segment are not there, and nothing says why"
                self._say(verdict, detail, segment.lines.name, None, segment.first)

    def compare_with_claims(self, believed: set[ShardClaim]) -> None:
        """Find where the shard is not what the others say of it."""
        last = self._growth.longest(believed)
        is_cut = any(finding.verdict is Verdict.TRUNCATED_TAIL for finding in self._findings)
        if last is not None and last.size > self._next and not is_cut:
            detail = f"the shard `{last.by}` says that there are {last.size} lines at least"
            self._say(Verdict.TRUNCATED_TAIL, detail, None, None, self._next)
        wrong = next((each for each in self._growth.wrong if each in believed), None)
        if wrong is not None:
            verdict = Verdict.FORKED if wrong.size <= self._signed else Verdict.MODIFIED
            self._say(verdict, f"the first {wrong.size} lines have another root than the shard `{wrong.by}` says")

    # --- segments ------------------------------------------------------------------------------------------------

    def _begin(self, segments: list[Segment]) -> list[Segment]:
        """Leave out the segments before the given checkpoint, whose root stands for them."""
        since = self._since
        if since is None:
            return segments
        for number in range(len(segments) - 1, -1, -1):
            if 0 < segments[number].first <= since.size and (opening := read_opening(segments[number])) is not None:
                self._tree, self._next = opening.tree, segments[number].first
                if since.size == self._next and opening.tree.root() != since.root:
                    self._say(Verdict.FORKED, f"{ANCHOR} has another root", segments[number].lines.name, 1, self._next)
                return segments[number:]
        return segments

    def _segment(self, segment: Segment, following: Segment | None) -> None:
        if segment.first < self._next:
            self._say(Verdict.MODIFIED, "a segment was put in", segment.lines.name, None, segment.first)
            return
        if segment.first > self._next:
            detail = f"{segment.first - self._next} lines before this segment are not there"
            self._say(Verdict.MISSING, detail, segment.lines.name, 1, self._next)
            self._tree, self._next = None, segment.first
        start = self._tree or self._signed_state(segment)
        if start is None:
            detail = "the segment cannot be verified: what stood before it is not known"
            self._say(Verdict.MODIFIED, detail, segment.lines.name, 1, segment.first)
            self._next = following.first if following is not None else self._next
            return
        end = None if following is None else following.first - segment.first
        checkpoints = self._checkpoints(segment, following)  # before the lines, of which there may be more by then
        here = _Here(segment, start, end, checkpoints, read_hashes(segment.hashes))
        lines = read_lines(segment.lines, self._progress)
        if lines is None:
            self._without_lines(here)
        else:
            self._with_lines(here, lines)

    def _signed_state(self, segment: Segment) -> Tree | None:
        """Return the tree before a segment if the first line brings its checkpoint."""
        opening = read_opening(segment)
        found = None if opening is None else judge(opening.previous, self._shard, self._ring)
        if opening is None or not isinstance(found, Checkpoint):
            return None
        return opening.tree if (found.size, found.root) == (opening.tree.size, opening.tree.root()) else None

    def _checkpoints(self, segment: Segment, following: Segment | None) -> list[Signed]:
        """Collect what is signed about the lines of a segment, by size."""
        found, findings = read_checkpoints(segment.checkpoints, self._shard, self._ring, is_open=following is None)
        for finding in findings:
            self._add(finding)
        end = None if following is None else following.first
        for each in found:
            if not segment.first < each.size <= (each.size if end is None else end):
                self._say(Verdict.REORDERED, "the checkpoint belongs to another segment", each.file, each.number)
        if following is not None and (opening := read_opening(following)) is not None and opening.previous:
            closing = judge(opening.previous, self._shard, self._ring)
            if isinstance(closing, Checkpoint):
                found.append(Signed(closing.size, closing.root, following.lines.name, 1))
        since = self._since
        if since is not None:
            found.append(Signed(since.size, since.root, ANCHOR, None))
        return sorted(
            (each for each in found if segment.first < each.size <= (each.size if end is None else end)),
            key=lambda each: each.size,
        )

    # --- lines ---------------------------------------------------------------------------------------------------

    def _with_lines(self, here: _Here, lines: SegmentLines) -> None:
        present = lines.hashes
        if lines.rest and not here.is_last:
            present.append(b"")  # a line that is none
        if len(present) == (here.end or len(present)) and all(borne(here.start, present, here.checkpoints)):
            found: Sequence[int | None] = range(len(present))
            self._go_on(here, present)
            self._check_hashes(here, present, len(present))
        else:
            found = self._diagnose(here, lines)
        self._note_own(here, lines, found)
        if here.is_last:
            self._check_tail(here, lines, found)
        if here.is_last and self._has_ended:
            self._check_remains(here)

    def _diagnose(self, here: _Here, lines: SegmentLines) -> Sequence[int | None]:
        """Return what became of the lines; give which of those that are signed each of them is."""
        present, first = lines.hashes, here.segment.first
        known = self._known(here, present)
        wanted = here.signed if here.end is None else here.end
        if here.is_last and lines.rest and leaf_hash(lines.rest[:-1] + b"\n") in known:
            present.append(b"")  # a line whose line break was changed, and not cut off
        found = places_by_hash(present, known)
        if len(known) < wanted:
            sequences = [*read_sequences(here.segment.lines, self._shard), None]
            found = [
                sequence - first
                if index is None and sequence is not None and len(known) <= sequence - first < wanted
                else index
                for index, sequence in zip(found, sequences, strict=False)
            ]
        differences = compare(found, wanted, is_last=here.is_last)
        if len(known) < wanted and not any(difference.index >= len(known) for difference in differences):
            detail = f"lines up to sequence {first + wanted - 1} are not what was signed"
            differences.append(Difference(Verdict.MODIFIED, len(known), len(known), detail))
        for difference in differences:
            sequence = None if difference.index < 0 else first + difference.index
            self._say(difference.verdict, difference.detail, here.segment.lines.name, difference.place + 1, sequence)
        if len(known) < wanted:
            self._lose(first + wanted)
        else:
            self._go_on(here, known)
            self._check_hashes(here, known, len(present))
        return found

    def _known(self, here: _Here, present: list[bytes]) -> list[bytes]:
        """Return the hashes of the lines that ought to be there, as far as a checkpoint bears them out."""
        first, best, verdicts = here.segment.first, list[bytes](), [False] * len(here.checkpoints)
        for leaves in (_apart(here.stored or b""), present):
            held = borne(here.start, leaves, here.checkpoints)
            sizes = [each.size - first for each, is_borne in zip(here.checkpoints, held, strict=True) if is_borne]
            if sizes and sizes[-1] > len(best):
                best, verdicts = leaves[: sizes[-1]], held
        for each, is_borne in zip(here.checkpoints, verdicts, strict=True):
            if not is_borne and each.size - first <= len(best):
                detail = "the checkpoint contradicts another one that is good as well"
                self._say(Verdict.FORKED, detail, each.file, each.number, each.size)
        return best

    def _without_lines(self, here: _Here) -> None:
        """Take the hashes for the lines: those were dropped, or taken away."""
        first, name = here.segment.first, here.segment.lines.name
        wanted = here.signed if here.end is None else here.end
        known = self._known(here, [])
        if known and len(known) >= wanted:
            self._go_on(here, known)
            self._check_hashes(here, known, len(here.stored or b"") // HASH_BYTES)
            self._note_retained(here, known)
            self._end = first + wanted - 1 if here.is_last else None
            self.dropped.append((here.segment, first + wanted, here.is_last))
            return
        verdict = Verdict.TRUNCATED_TAIL if here.is_last else Verdict.MISSING
        self._say(verdict, f"the {wanted} lines of the segment are not there, nor what stands for them", name, 1, first)
        self._lose(first + wanted)

    def _note_retained(self, here: _Here, leaves: Sequence[bytes]) -> None:
        """See what the dropped lines said of drops before them."""
        for number, found in enumerate(read_retained(here.segment, leaves), 1):
            if found is None:
                detail = "the line is none of those that were dropped"
                self._say(Verdict.MODIFIED, detail, here.segment.retained.name, number)
            else:
                self._note_claim(*found)

    def _go_on(self, here: _Here, leaves: Sequence[bytes]) -> None:
        tree = here.start.copy()
        self._growth.extend(tree, leaves)
        self._tree, self._next = tree, tree.size
        self._signed = max([self._signed, *(checkpoint.size for checkpoint in here.checkpoints)])

    def _lose(self, following: int) -> None:
        self._tree, self._next = None, following

    def _check_hashes(self, here: _Here, leaves: Sequence[bytes], present: int) -> None:
        """Compare the hashes that stand beside the lines, of which in a shard that is written the last may lack."""
        name, first = here.segment.hashes.name, here.segment.first
        stored, wanted = here.stored or b"", b"".join(leaves)
        count = len(stored) // HASH_BYTES - max(len(leaves), present)
        if here.is_last and count > 0:
            self._say(Verdict.TRUNCATED_TAIL, f"{count} hashes are of lines that are not there", name, len(leaves) + 1)
        least = here.signed if here.is_last else len(leaves)
        if here.stored is None or len(stored) < least * HASH_BYTES:
            if least:
                self._say(Verdict.MISSING, "hashes of lines are not there", name, len(stored) // HASH_BYTES + 1)
            stored = stored[: len(stored) // HASH_BYTES * HASH_BYTES]
        common = min(len(stored), len(wanted))
        if stored[:common] != wanted[:common] or (not here.is_last and len(stored) > len(wanted)):
            pairs = zip(_apart(stored), [*leaves, b""], strict=False)
            place = next((place for place, (one, other) in enumerate(pairs) if one != other), len(leaves))
            self._say(Verdict.MODIFIED, "the hash is not that of its line", name, place + 1, first + place)

    def _check_tail(self, here: _Here, lines: SegmentLines, found: Sequence[int | None]) -> None:
        """Look at what comes after the last line that is signed."""
        first, name, signed = here.segment.first, here.segment.lines.name, here.signed
        last = max((place for place, index in enumerate(found) if index is not None and index < signed), default=-1)
        gone = signed - 1 - (found[last] or 0) if last >= 0 else signed
        begin = last + 1 + gone
        count = len(lines.hashes) - begin
        if gone or (count <= 0 and not lines.rest):
            return
        if self._has_ended:
            self._say(Verdict.MODIFIED, "lines were put in after the end", name, begin + 1)
            return
        for place, sequence in enumerate(read_sequences(here.segment.lines, self._shard)[begin : begin + count], begin):
            if sequence != first + signed + place - begin:
                self._say(Verdict.MODIFIED, "a line without a checkpoint was put in", name, place + 1)
                return
        half = " and half a line" if lines.rest else ""
        before = 0 if here.checkpoints else first - self._signed  # in earlier segments
        detail = f"{before + count} lines{half} have no checkpoint"
        self._say(Verdict.UNSIGNED_TAIL, detail, name, begin + 1, first + signed - before)

    def _check_remains(self, here: _Here) -> None:
        """In a shard that has ended nothing is half written: what looks so was put in."""
        segment, whole = here.segment, len(here.stored or b"") // HASH_BYTES
        if here.stored is not None and len(here.stored) > whole * HASH_BYTES:
            self._say(Verdict.MODIFIED, "half a hash was put in", segment.hashes.name, whole + 1)
        for finding in read_checkpoints(segment.checkpoints, self._shard, self._ring, is_open=False)[1]:
            if finding not in self._findings:
                self._add(finding)

    def _note_own(self, here: _Here, lines: SegmentLines, found: Sequence[int | None]) -> None:
        """See what the trail says about itself; what it says of drops and its end is believed once it is signed."""
        for place, facts in lines.own:
            index = found[place] if place < len(found) else None
            sequence = here.segment.first + (place if index is None else index)
            if facts["kind"] == "audit_gap":
                self._say(Verdict.GAP, _gap_in_words(facts), here.segment.lines.name, place + 1, sequence)
            if index is None:
                continue
            self._note_claim(sequence, facts)
            if facts["kind"] == "audit_segment":
                self._others += claims_in(facts, self._shard, sequence)
            if facts["kind"] == "audit_end":
                self._end = sequence

    def _note_claim(self, sequence: int, facts: Mapping[str, Any]) -> None:
        match facts:
            case {"kind": "audit_retention", "dropped": {"shard": str(shard), "first": int(first)}}:
                self._claims.append((sequence, shard, first))

    # --- findings ------------------------------------------------------------------------------------------------

    def _say(
        self,
        verdict: Verdict,
        detail: str,
        file: str | None = None,
        line: int | None = None,
        sequence: int | None = None,
    ) -> None:
        self._add(TrailFinding(verdict, self._shard, detail, file, line, sequence))

    def _add(self, finding: TrailFinding) -> None:
        if len(self._findings) < MAX_FINDINGS:
            self._findings.append(finding)
        else:
            self._unsaid += 1


def _apart(content: bytes) -> list[bytes]:
    """Take a file of hashes apart."""
    whole = len(content) // HASH_BYTES * HASH_BYTES
    return [content[begin : begin + HASH_BYTES] for begin in range(0, whole, HASH_BYTES)]


def _gap_in_words(facts: dict[str, Any]) -> str:
    said = {name: value for name, value in facts.items() if name not in ("version", "kind", "shard", "sequence")}
    return "a gap is declared: " + ", ".join(f"{name} {write(value)}" for name, value in said.items())  # in ASCII
