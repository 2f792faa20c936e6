"""Proofs about a single record, for somebody who has neither the trail nor a reason to believe us.

A proof holds the line as it is stored, where it stands, the hashes that lead from it to a root, and the checkpoint that
signs this root. Whoever has the public key can check it alone: the line hashes into the leaf, leaf and hashes into the
root, the root is the one that was signed. Making one reads the segment of the record and no other.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iam_guard.audit.record.redaction import write
from iam_guard.audit.verify.checkpoint import Checkpoint, notes_of
from iam_guard.audit.verify.merkle import Subtrees, inclusion_proof, leaf_hash, leaf_hashes, verify_inclusion
from iam_guard.audit.verify.peer_checkpoints import durable_checkpoint
from iam_guard.audit.verify.segment_reader import judge
from iam_guard.audit.verify.shard import Segment, place_of, read_opening, segments_of, shards_of, whole_lines
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.errors import InvalidInput

FORMAT = "iam-guard-audit-proof/1"


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That a line is in the tree of a shard."""

    shard: str
    sequence: int
    line: bytes
    path: tuple[bytes, ...]
    checkpoint: bytes

    def to_dict(self) -> dict[str, Any]:
        """Return the proof as what JSON is made of."""
        return {
            "format": FORMAT,
            "shard": self.shard,
            "sequence": self.sequence,
            "line": self.line.decode("ascii"),
            "path": [base64.b64encode(each).decode("ascii") for each in self.path],
            "checkpoint": self.checkpoint.decode(),
        }

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> InclusionProof:
        """Read one back; raise `InvalidInput` for what is none."""
        try:
            if given["format"] != FORMAT or type(given["sequence"]) is not int:
                raise ValueError
            path = tuple(base64.b64decode(each, validate=True) for each in given["path"])
            line, note = given["line"].encode("ascii"), given["checkpoint"].encode()
            return cls(str(given["shard"]), given["sequence"], line, path, note)
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
            raise InvalidInput(f"expected a proof in the form `{FORMAT}`") from None


def prove(trail: Path, event_id: str, ring: KeyRing) -> InclusionProof:
    """Prove that the record with this `eventID` is in the trail.

    Raises `InvalidInput` where there is none, where it has no checkpoint yet, or where the trail does not bear it.
    """
    segment, place, lines = _find(trail, event_id)
    shard = segment.folder.name
    covering = _covering(segment, place, ring)
    opening = read_opening(segment)
    if covering is None or opening is None:
        raise InvalidInput(f"the record `{event_id}` has no checkpoint yet, or none that can be believed")
    note, checkpoint = covering
    index = segment.first + place
    hashes = Subtrees(leaf_hashes(lines), segment.first, opening.tree.state)
    try:
        path = tuple(inclusion_proof(index, checkpoint.size, hashes))
    except ValueError:
        path = ()
    proof = InclusionProof(shard, index, lines[place], path, note)
    problem = problem_of(proof, ring)
    if problem is not None:
        raise InvalidInput(f"the record `{event_id}` cannot be proved, run `iam-guard audit verify`: {problem}")
    return proof


def problem_of(proof: InclusionProof, ring: KeyRing) -> str | None:
    """Return why a proof proves nothing; None where it does."""
    checkpoint = judge(proof.checkpoint, proof.shard, ring)
    if not isinstance(checkpoint, Checkpoint):
        return checkpoint[1]
    if place_of(proof.line) != (proof.shard, proof.sequence):
        return "the line says of itself that it stands elsewhere"
    leaf = leaf_hash(proof.line)
    if not verify_inclusion(leaf, proof.sequence, checkpoint.size, proof.path, checkpoint.root):
        return "the line and the hashes do not make the root that was signed"
    return None


def _find(trail: Path, event_id: str) -> tuple[Segment, int, list[bytes]]:
    """Return the segment of a record, its place there, and the lines of that segment."""
    needle = f'"eventID":{write(event_id)}'.encode("ascii")
    for segment in _segments(trail):
        content = segment.lines.read_bytes()
        if needle in content:
            lines = whole_lines(content)
            for place, line in enumerate(lines):
                if needle in line and _event_id(line) == event_id:
                    return segment, place, lines
    raise InvalidInput(f"there is no record `{event_id}` in the trail", place=str(trail))


def _segments(trail: Path) -> Iterator[Segment]:
    if not trail.is_dir():
        return
    for shard in shards_of(trail):
        yield from (segment for segment in segments_of(shard) if segment.lines.exists())


def _event_id(line: bytes) -> object:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record.get("eventID") if isinstance(record, dict) else None


def _covering(segment: Segment, place: int, ring: KeyRing) -> tuple[bytes, Checkpoint] | None:
    """Return the last believed checkpoint of the segment, if it signs the line at that place."""
    shard = segment.folder.name
    content = segment.checkpoints.read_bytes() if segment.checkpoints.exists() else b""
    notes = [each.note for each in notes_of(content) if not each.torn]
    later = [each for each in segments_of(segment.folder) if each.first > segment.first]
    if later and (opening := read_opening(later[0])) is not None:
        notes.append(opening.previous)
    for note in reversed(notes):
        checkpoint = judge(note, shard, ring)
        if isinstance(checkpoint, Checkpoint):
            return (note, checkpoint) if checkpoint.size > segment.first + place else None
    return None


def latest_checkpoints(trail: Path, ring: KeyRing) -> list[bytes]:
    """Return the last believed checkpoint of each shard, as a note.

    What a checkpoint signs is on the disk before it is given away: the power may go at any time, and whoever keeps it
    elsewhere must never find the trail shorter for that.
    """
    shards = shards_of(trail) if trail.is_dir() else []
    return [found[0] for shard in shards if (found := durable_checkpoint(shard, ring)) is not None]
