"""Verification of one shard, segment by segment: whether its lines make the signed tree.

The state is the tree of all lines so far, or None after lines were lost: then verification continues at the next
segment whose first line has a signed state. `segment_reader` reads the files, `diagnosis` classifies wrong lines.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iam_guard.audit.record.redaction import write
from iam_guard.audit.verify.checkpoint import Checkpoint
from iam_guard.audit.verify.diagnosis import Difference, TrustedCheckpoint, compare_lines, indexes_by_hash, root_matches
from iam_guard.audit.verify.merkle import HASH_BYTES, Tree, leaf_hash
from iam_guard.audit.verify.segment_reader import (
    Progress,
    SegmentLines,
    check_checkpoint,
    is_signed_start,
    read_checkpoints,
    read_hashes,
    read_lines,
    read_retained,
    read_sequences,
)
from iam_guard.audit.verify.shard import Segment, read_segment_start, segments_of
from iam_guard.audit.verify.shard_claims import ClaimCheck, ShardClaim, claims_in
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.audit.verify.verdicts import ShardReport, TrailFinding, Verdict

MAX_FINDINGS = 1000
"""Per shard; further findings are only counted."""

ANCHOR = "the given checkpoint"


@dataclass(frozen=True, slots=True)
class _Context:
    """A segment with everything that its lines are checked against."""

    segment: Segment
    start: Tree
    """The tree before the segment."""
    end: int | None
    """The required number of lines, from the name of the next segment; None in the last segment."""
    checkpoints: list[TrustedCheckpoint]
    stored: bytes | None
    """The stored leaf hashes."""

    @property
    def is_last(self) -> bool:
        return self.end is None

    @property
    def signed(self) -> int:
        """The number of its lines that are signed."""
        first = self.segment.first
        return max([checkpoint.size for checkpoint in self.checkpoints], default=first) - first


class ShardCheck:
    """Verifies one shard."""

    def __init__(
        self,
        shard: Path,
        ring: KeyRing,
        since: Checkpoint | None = None,
        progress: Progress = lambda _: None,
        claims: Sequence[ShardClaim] = (),
    ) -> None:
        """Prepare; `claims` are the claims of other shards about this one."""
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
        self._omitted = 0
        self._dropped: list[tuple[Segment, int, bool]] = []
        """Segments without lines: segment, sequence after its last line, whether it is the shard's last."""
        self._declared_drops: list[tuple[int, str, int]] = []
        """Sequence of the declaring line, shard and first line of the dropped segment."""
        self._peer_claims: list[ShardClaim] = []
        self._claim_check = ClaimCheck(claims)

    def run(self) -> None:
        """Verify the shard's segments in order."""
        segments = self._skip_to_anchor(segments_of(self._path))
        for segment, following in zip(segments, [*segments, None][1:], strict=True):
            self._check_segment(segment, following)
        if self._since is not None and self._since.size > self._next and not segments:
            self._report(Verdict.TRUNCATED_TAIL, "a checkpoint signs lines, and there are none")

    @property
    def _has_ended(self) -> bool:
        return self._end is not None and self._end < self._signed

    @property
    def declared_drops(self) -> list[tuple[str, int]]:
        """Shard and first line of the segments that signed lines of this shard declare dropped."""
        return [(shard, first) for sequence, shard, first in self._declared_drops if sequence < self._signed]

    @property
    def signed_claims(self) -> set[ShardClaim]:
        """The claims about other shards in signed lines of this shard."""
        return {claim for claim in self._peer_claims if claim.sequence < self._signed}

    def report(self) -> ShardReport:
        findings = self._findings
        if self._omitted:
            detail = f"and {self._omitted} more findings"
            findings = [*findings, TrailFinding(findings[-1].verdict, self._shard, detail)]
        dropped = sum(end - segment.first for segment, end, _ in self._dropped)
        return ShardReport(self._shard, self._next, self._signed, self._has_ended, dropped, tuple(findings))

    def report_undeclared_drops(self, declared: set[tuple[str, int]]) -> None:
        """Report dropped segments that no shard declares; `declared` has the `declared_drops` of all shards."""
        for segment, end, is_last in self._dropped:
            if (self._shard, segment.first) not in declared:
                verdict = Verdict.TRUNCATED_TAIL if is_last else Verdict.MISSING
                detail = f"the {end - segment.first} lines of the segment are missing, and no record declares it"
                self._report(verdict, detail, segment.lines.name, None, segment.first)

    def compare_with_claims(self, signed: set[ShardClaim]) -> None:
        """Report where the shard contradicts the signed claims of other shards."""
        largest = self._claim_check.largest(signed)
        is_truncated = any(finding.verdict is Verdict.TRUNCATED_TAIL for finding in self._findings)
        if largest is not None and largest.size > self._next and not is_truncated:
            detail = f"the shard `{largest.by}` claims at least {largest.size} lines"
            self._report(Verdict.TRUNCATED_TAIL, detail, sequence=self._next)
        wrong = next((claim for claim in self._claim_check.mismatches if claim in signed), None)
        if wrong is not None:
            verdict = Verdict.FORKED if wrong.size <= self._signed else Verdict.MODIFIED
            self._report(verdict, f"the root of the first {wrong.size} lines is not the one in the shard `{wrong.by}`")

    # --- segments ------------------------------------------------------------------------------------------------

    def _skip_to_anchor(self, segments: list[Segment]) -> list[Segment]:
        """Leave out the segments before the external checkpoint, if there is one."""
        since = self._since
        if since is None:
            return segments
        for number in range(len(segments) - 1, -1, -1):
            segment = segments[number]
            if 0 < segment.first <= since.size and (opening := read_segment_start(segment)) is not None:
                self._tree, self._next = opening.tree, segment.first
                if since.size == self._next and opening.tree.root() != since.root:
                    self._report(Verdict.FORKED, f"{ANCHOR} has a different root", segment.lines.name, 1, self._next)
                return segments[number:]
        return segments

    def _check_segment(self, segment: Segment, following: Segment | None) -> None:
        if segment.first < self._next:
            self._report(Verdict.MODIFIED, "a segment was inserted", segment.lines.name, None, segment.first)
            return
        if segment.first > self._next:
            count = segment.first - self._next
            self._report(Verdict.MISSING, f"{count} preceding lines are missing", segment.lines.name, 1, self._next)
            self._tree, self._next = None, segment.first
        start = self._tree or self._signed_state(segment)
        if start is None:
            self._report(Verdict.MODIFIED, "the preceding lines are unknown", segment.lines.name, 1, segment.first)
            self._next = following.first if following is not None else self._next
            return
        end = None if following is None else following.first - segment.first
        checkpoints = self._checkpoints(segment, following)  # before the lines, which may grow meanwhile
        context = _Context(segment, start, end, checkpoints, read_hashes(segment.hashes))
        lines = read_lines(segment.lines, self._progress)
        if lines is None:
            self._check_missing_lines(context)
        else:
            self._check_lines(context, lines)

    def _signed_state(self, segment: Segment) -> Tree | None:
        """Return the tree before a segment if the first line has a trusted checkpoint of it."""
        opening = read_segment_start(segment)
        if opening is None or not is_signed_start(opening, self._shard, self._ring):
            return None
        return opening.tree

    def _checkpoints(self, segment: Segment, following: Segment | None) -> list[TrustedCheckpoint]:
        """Return the trusted checkpoints of a segment, sorted by size."""
        trusted, findings = read_checkpoints(segment.checkpoints, self._shard, self._ring, is_open=following is None)
        for finding in findings:
            self._add(finding)
        end = math.inf if following is None else following.first
        for entry in trusted:
            if not segment.first < entry.size <= end:
                self._report(Verdict.REORDERED, "the checkpoint belongs to another segment", entry.file, entry.number)
        if following is not None and (opening := read_segment_start(following)) is not None and opening.previous:
            closing = check_checkpoint(opening.previous, self._shard, self._ring)
            if isinstance(closing, Checkpoint):
                trusted.append(TrustedCheckpoint(closing.size, closing.root, following.lines.name, 1))
        since = self._since
        if since is not None:
            trusted.append(TrustedCheckpoint(since.size, since.root, ANCHOR, None))
        return sorted((each for each in trusted if segment.first < each.size <= end), key=lambda each: each.size)

    # --- lines ---------------------------------------------------------------------------------------------------

    def _check_lines(self, context: _Context, lines: SegmentLines) -> None:
        present = lines.hashes
        if lines.rest and not context.is_last:
            present.append(b"")  # an incomplete line
        is_whole = context.end in (None, len(present))
        if is_whole and all(root_matches(context.start, present, context.checkpoints)):
            indexes: Sequence[int | None] = range(len(present))
            self._advance(context, present)
            self._check_hashes(context, present, len(present))
        else:
            indexes = self._diagnose(context, lines)
        self._collect_events(context, lines, indexes)
        if context.is_last:
            self._check_tail(context, lines, indexes)
        if context.is_last and self._has_ended:
            self._check_incomplete_data(context)

    def _diagnose(self, context: _Context, lines: SegmentLines) -> Sequence[int | None]:
        """Report the wrong lines; return for each present line its index among the signed ones."""
        present, first = lines.hashes, context.segment.first
        signed = self._signed_hashes(context, present)
        expected = context.signed if context.end is None else context.end
        if context.is_last and lines.rest and leaf_hash(lines.rest[:-1] + b"\n") in signed:
            present.append(b"")  # a line whose line break was changed, not removed
        indexes = indexes_by_hash(present, signed)
        if len(signed) < expected:
            sequences = [*read_sequences(context.segment.lines, self._shard), None]
            indexes = [
                sequence - first
                if index is None and sequence is not None and len(signed) <= sequence - first < expected
                else index
                for index, sequence in zip(indexes, sequences, strict=False)
            ]
        differences = compare_lines(indexes, expected, is_last=context.is_last)
        if len(signed) < expected and not any(difference.index >= len(signed) for difference in differences):
            detail = f"lines up to sequence {first + expected - 1} are not what was signed"
            differences.append(Difference(Verdict.MODIFIED, len(signed), len(signed), detail))
        name = context.segment.lines.name
        for difference in differences:
            sequence = None if difference.index < 0 else first + difference.index
            self._report(difference.verdict, difference.detail, name, difference.position + 1, sequence)
        if len(signed) < expected:
            self._tree, self._next = None, first + expected
        else:
            self._advance(context, signed)
            self._check_hashes(context, signed, len(present))
        return indexes

    def _signed_hashes(self, context: _Context, present: list[bytes]) -> list[bytes]:
        """Return the hashes of the signed lines, as far as stored or present hashes match a checkpoint."""
        first, best, best_matches = context.segment.first, list[bytes](), [False] * len(context.checkpoints)
        for leaves in (_split_hashes(context.stored or b""), present):
            matching = root_matches(context.start, leaves, context.checkpoints)
            sizes = [
                each.size - first for each, is_match in zip(context.checkpoints, matching, strict=True) if is_match
            ]
            if sizes and sizes[-1] > len(best):
                best, best_matches = leaves[: sizes[-1]], matching
        for checkpoint, is_match in zip(context.checkpoints, best_matches, strict=True):
            if not is_match and checkpoint.size - first <= len(best):
                detail = "the checkpoint contradicts another valid checkpoint"
                self._report(Verdict.FORKED, detail, checkpoint.file, checkpoint.number, checkpoint.size)
        return best

    def _check_missing_lines(self, context: _Context) -> None:
        """Verify a segment without lines (dropped or removed) by its stored hashes."""
        first, name = context.segment.first, context.segment.lines.name
        expected = context.signed if context.end is None else context.end
        signed = self._signed_hashes(context, [])
        if signed and len(signed) >= expected:
            self._advance(context, signed)
            self._check_hashes(context, signed, len(context.stored or b"") // HASH_BYTES)
            self._check_retained(context, signed)
            self._end = first + expected - 1 if context.is_last else None
            self._dropped.append((context.segment, first + expected, context.is_last))
            return
        verdict = Verdict.TRUNCATED_TAIL if context.is_last else Verdict.MISSING
        self._report(verdict, f"the {expected} lines of the segment and their hashes are missing", name, 1, first)
        self._tree, self._next = None, first + expected

    def _check_retained(self, context: _Context, leaves: Sequence[bytes]) -> None:
        """Collect the earlier drops that the retained lines of a dropped segment declare."""
        for number, retained in enumerate(read_retained(context.segment, leaves), 1):
            if retained is None:
                self._report(Verdict.MODIFIED, "the line is not a dropped one", context.segment.retained.name, number)
            else:
                self._collect_drop(*retained)

    def _advance(self, context: _Context, leaves: Sequence[bytes]) -> None:
        tree = context.start.copy()
        self._claim_check.extend(tree, leaves)
        self._tree, self._next = tree, tree.size
        self._signed = max([self._signed, *(checkpoint.size for checkpoint in context.checkpoints)])

    def _check_hashes(self, context: _Context, leaves: Sequence[bytes], present: int) -> None:
        """Compare the stored hashes with the lines; in an open shard the last hashes may not be written yet."""
        name, first = context.segment.hashes.name, context.segment.first
        stored, expected = context.stored or b"", b"".join(leaves)
        count = len(stored) // HASH_BYTES - max(len(leaves), present)
        if context.is_last and count > 0:
            self._report(Verdict.TRUNCATED_TAIL, f"{count} hashes have no line", name, len(leaves) + 1)
        required = context.signed if context.is_last else len(leaves)
        if context.stored is None or len(stored) < required * HASH_BYTES:
            if required:
                self._report(Verdict.MISSING, "hashes of lines are missing", name, len(stored) // HASH_BYTES + 1)
            stored = stored[: len(stored) // HASH_BYTES * HASH_BYTES]
        common = min(len(stored), len(expected))
        if stored[:common] != expected[:common] or (not context.is_last and len(stored) > len(expected)):
            pairs = zip(_split_hashes(stored), [*leaves, b""], strict=False)
            index = next((index for index, (one, other) in enumerate(pairs) if one != other), len(leaves))
            self._report(Verdict.MODIFIED, "the hash does not match its line", name, index + 1, first + index)

    def _check_tail(self, context: _Context, lines: SegmentLines, indexes: Sequence[int | None]) -> None:
        """Check the lines after the last signed one."""
        first, name, signed = context.segment.first, context.segment.lines.name, context.signed
        last = max((line for line, index in enumerate(indexes) if index is not None and index < signed), default=-1)
        missing = signed - 1 - (indexes[last] or 0) if last >= 0 else signed
        begin = last + 1 + missing
        count = len(lines.hashes) - begin
        if missing or (count <= 0 and not lines.rest):
            return
        if self._has_ended:
            self._report(Verdict.MODIFIED, "lines were inserted after the end", name, begin + 1)
            return
        sequences = read_sequences(context.segment.lines, self._shard)[begin : begin + count]
        for line, sequence in enumerate(sequences, begin):
            if sequence != first + signed + line - begin:
                self._report(Verdict.MODIFIED, "a line without a checkpoint was inserted", name, line + 1)
                return
        half = " and half a line" if lines.rest else ""
        before = 0 if context.checkpoints else first - self._signed  # in earlier segments
        detail = f"{before + count} lines{half} have no checkpoint"
        self._report(Verdict.UNSIGNED_TAIL, detail, name, begin + 1, first + signed - before)

    def _check_incomplete_data(self, context: _Context) -> None:
        """Report incomplete hashes and checkpoints, which an ended shard cannot have."""
        segment, complete = context.segment, len(context.stored or b"") // HASH_BYTES
        if context.stored is not None and len(context.stored) > complete * HASH_BYTES:
            self._report(Verdict.MODIFIED, "half a hash was inserted", segment.hashes.name, complete + 1)
        for finding in read_checkpoints(segment.checkpoints, self._shard, self._ring, is_open=False)[1]:
            if finding not in self._findings:
                self._add(finding)

    def _collect_events(self, context: _Context, lines: SegmentLines, indexes: Sequence[int | None]) -> None:
        """Report gaps; collect declared drops, claims and the end, which count once they are signed."""
        for line, facts in lines.own:
            index = indexes[line] if line < len(indexes) else None
            sequence = context.segment.first + (line if index is None else index)
            if facts["kind"] == "audit_gap":
                self._report(Verdict.GAP, _describe_gap(facts), context.segment.lines.name, line + 1, sequence)
            if index is None:
                continue
            self._collect_drop(sequence, facts)
            if facts["kind"] == "audit_segment":
                self._peer_claims += claims_in(facts, self._shard, sequence)
            if facts["kind"] == "audit_end":
                self._end = sequence

    def _collect_drop(self, sequence: int, facts: Mapping[str, Any]) -> None:
        match facts:
            case {"kind": "audit_retention", "dropped": {"shard": str(shard), "first": int(first)}}:
                self._declared_drops.append((sequence, shard, first))

    # --- findings ------------------------------------------------------------------------------------------------

    def _report(
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
            self._omitted += 1


def _split_hashes(content: bytes) -> list[bytes]:
    complete = len(content) // HASH_BYTES * HASH_BYTES
    return [content[begin : begin + HASH_BYTES] for begin in range(0, complete, HASH_BYTES)]


def _describe_gap(facts: dict[str, Any]) -> str:
    shown = {name: value for name, value in facts.items() if name not in ("version", "kind", "shard", "sequence")}
    return "a gap is declared: " + ", ".join(f"{name} {write(value)}" for name, value in shown.items())  # in ASCII
