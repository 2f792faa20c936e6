"""Inclusion proofs for single records, which an auditor can check without the trail.

A proof has the stored line, its shard and sequence, the hashes on the path to a root, and the checkpoint that signs
that root. Checking it needs only the public key. Creating it reads only the segment of the record.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iam_guard.audit.record.redaction import write
from iam_guard.audit.verify.checkpoint import Checkpoint, split_notes
from iam_guard.audit.verify.merkle import Subtrees, inclusion_proof, leaf_hash, leaf_hashes, verify_inclusion
from iam_guard.audit.verify.peer_checkpoints import durable_checkpoint
from iam_guard.audit.verify.segment_reader import check_checkpoint
from iam_guard.audit.verify.shard import (
    Segment,
    member_in,
    read_segment_start,
    segments_of,
    shard_and_sequence,
    shards_of,
    whole_lines,
)
from iam_guard.audit.verify.signed_note import KeyRing
from iam_guard.errors import InvalidInput

FORMAT = "iam-guard-audit-proof/1"


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """The proof that a line is in the tree of a shard."""

    shard: str
    sequence: int
    line: bytes
    path: tuple[bytes, ...]
    checkpoint: bytes

    def to_dict(self) -> dict[str, Any]:
        """Return the proof as a dictionary for JSON."""
        return {
            "format": FORMAT,
            "shard": self.shard,
            "sequence": self.sequence,
            "line": self.line.decode("ascii"),
            "path": [base64.b64encode(each).decode("ascii") for each in self.path],
            "checkpoint": self.checkpoint.decode(),
        }

    @classmethod
    def from_dict(cls, proof: Mapping[str, Any]) -> InclusionProof:
        """Parse the result of `to_dict`; raise `InvalidInput` for anything else."""
        try:
            if proof["format"] != FORMAT or type(proof["sequence"]) is not int:
                raise ValueError
            path = tuple(base64.b64decode(each, validate=True) for each in proof["path"])
            line, note = proof["line"].encode("ascii"), proof["checkpoint"].encode()
            return cls(str(proof["shard"]), proof["sequence"], line, path, note)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InvalidInput(f"expected a proof in the form `{FORMAT}`") from None


def prove(trail: Path, event_id: str, ring: KeyRing) -> InclusionProof:
    """Prove that the record with this `eventID` is in the trail.

    Raises `InvalidInput` if the record doesn't exist, has no checkpoint yet, or doesn't match its checkpoint.
    """
    segment, position, lines = _find(trail, event_id)
    shard = segment.folder.name
    covering = _covering_checkpoint(segment, position, ring)
    opening = read_segment_start(segment)
    if covering is None or opening is None:
        raise InvalidInput(f"the record `{event_id}` has no checkpoint yet, or none with a valid signature")
    note, checkpoint = covering
    index = segment.first + position
    hashes = Subtrees(leaf_hashes(lines), segment.first, opening.tree.state)
    try:
        path = tuple(inclusion_proof(index, checkpoint.size, hashes))
    except ValueError:
        path = ()
    proof = InclusionProof(shard, index, lines[position], path, note)
    problem = proof_problem(proof, ring)
    if problem is not None:
        raise InvalidInput(f"the record `{event_id}` cannot be proved, run `iam-guard audit verify`: {problem}")
    return proof


def proof_problem(proof: InclusionProof, ring: KeyRing) -> str | None:
    """Return why a proof is invalid; None if it is valid."""
    checkpoint = check_checkpoint(proof.checkpoint, proof.shard, ring)
    if not isinstance(checkpoint, Checkpoint):
        return checkpoint[1]
    if shard_and_sequence(proof.line) != (proof.shard, proof.sequence):
        return "the shard and sequence in the line differ from the proof's"
    leaf = leaf_hash(proof.line)
    if not verify_inclusion(leaf, proof.sequence, checkpoint.size, proof.path, checkpoint.root):
        return "the line and the hashes do not lead to the signed root"
    return None


def _find(trail: Path, event_id: str) -> tuple[Segment, int, list[bytes]]:
    """Return the segment of a record, its position there from 0, and the lines of that segment."""
    needle = f'"eventID":{write(event_id)}'.encode("ascii")
    segments = (segment for shard in shards_of(trail) for segment in segments_of(shard) if segment.lines.exists())
    for segment in segments:
        content = segment.lines.read_bytes()
        if needle in content:
            lines = whole_lines(content)
            for position, line in enumerate(lines):
                if needle in line and member_in(line, "eventID") == event_id:
                    return segment, position, lines
    raise InvalidInput(f"expected a record `{event_id}` in the trail, found none", place=str(trail))


def _covering_checkpoint(segment: Segment, position: int, ring: KeyRing) -> tuple[bytes, Checkpoint] | None:
    """Return the last trusted checkpoint of the segment, with its note, if it signs the line at that position."""
    shard = segment.folder.name
    content = segment.checkpoints.read_bytes() if segment.checkpoints.exists() else b""
    notes = [entry.note for entry in split_notes(content) if not entry.torn]
    later = [other for other in segments_of(segment.folder) if other.first > segment.first]
    if later and (opening := read_segment_start(later[0])) is not None:
        notes.append(opening.previous)
    for note in reversed(notes):
        checkpoint = check_checkpoint(note, shard, ring)
        if isinstance(checkpoint, Checkpoint):
            return (note, checkpoint) if checkpoint.size > segment.first + position else None
    return None


def latest_checkpoints(trail: Path, ring: KeyRing) -> list[bytes]:
    """Return the last trusted checkpoint of each shard, as a note.

    The data under a checkpoint is synced first, so that a power failure never leaves a trail shorter than its published
    checkpoint.
    """
    return [found[0] for shard in shards_of(trail) if (found := durable_checkpoint(shard, ring)) is not None]
