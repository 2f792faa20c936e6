"""Reading the files of a segment for verification: line hashes, trail events, trusted checkpoints.

File content is untrusted until verified, including the length of its lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from iam_guard.audit.verify.checkpoint import Checkpoint, open_checkpoint, split_notes
from iam_guard.audit.verify.diagnosis import TrustedCheckpoint
from iam_guard.audit.verify.merkle import leaf_hash
from iam_guard.audit.verify.shard import TRAIL_EVENT_MARK, Segment, SegmentStart, shard_and_sequence, trail_event_facts
from iam_guard.audit.verify.signed_note import KeyRing, Trust
from iam_guard.audit.verify.verdicts import TrailFinding, Verdict
from iam_guard.errors import InvalidInput

CHUNK = 1024 * 1024
MAX_INCOMPLETE_LINE = 1024 * 1024
"""Maximum bytes kept of an incomplete line; the writer's lines are far shorter."""

Progress = Callable[[int], None]
"""Called with the number of bytes read since the last call."""


@dataclass(slots=True)
class SegmentLines:
    """The parts of a segment's lines that verification needs."""

    hashes: list[bytes] = field(default_factory=list)
    own: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """The trail's own records: position in the segment, `iamGuard`."""
    rest: bytes = b""
    """The bytes after the last line break."""


def read_lines(path: Path, progress: Progress) -> SegmentLines | None:
    """Hash every line of a file; return None if the file doesn't exist."""
    read = SegmentLines()
    try:
        for portion in iter_line_hashes(path, progress):
            read = portion
    except FileNotFoundError:
        return None
    return read


def iter_line_hashes(path: Path, progress: Progress = lambda _: None) -> Iterator[SegmentLines]:
    """Hash every line of a file, chunk by chunk; yields the same growing object after each chunk."""
    read = SegmentLines()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            progress(len(chunk))
            whole = read.rest + chunk
            parts = whole.split(b"\n")
            read.rest = parts.pop()[:MAX_INCOMPLETE_LINE]
            if TRAIL_EVENT_MARK in whole:
                _collect_trail_events(read, parts)
            read.hashes += [sha256(b"\x00%b\n" % part).digest() for part in parts]
            yield read


def _collect_trail_events(read: SegmentLines, parts: list[bytes]) -> None:
    for position, part in enumerate(parts, len(read.hashes)):
        if TRAIL_EVENT_MARK in part and (facts := trail_event_facts(part)) is not None:
            read.own.append((position, facts))


def read_sequences(path: Path, shard: str) -> list[int | None]:
    """Return the sequence in each line; None for a line without one, or of another shard."""
    sequences: list[int | None] = []
    rest = b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            parts = (rest + chunk).split(b"\n")
            rest = parts.pop()[:MAX_INCOMPLETE_LINE]
            places = [shard_and_sequence(part + b"\n") for part in parts]
            sequences += [place[1] if place is not None and place[0] == shard else None for place in places]
    return sequences


def read_hashes(path: Path) -> bytes | None:
    """Return the stored leaf hashes of a segment; None if the file doesn't exist."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def read_retained(segment: Segment, leaves: Sequence[bytes]) -> list[tuple[int, dict[str, Any]] | None]:
    """Return sequence and `iamGuard` of the lines that are retained of a dropped segment.

    None for a line whose hash is not the segment's leaf hash at its sequence.
    """
    try:
        content = segment.retained.read_bytes()
    except FileNotFoundError:
        return []
    retained: list[tuple[int, dict[str, Any]] | None] = []
    for line in content.splitlines(keepends=True):
        place, facts = shard_and_sequence(line), trail_event_facts(line)
        index = -1 if place is None else place[1] - segment.first
        is_leaf = 0 <= index < len(leaves) and leaf_hash(line) == leaves[index]
        retained.append((segment.first + index, facts) if is_leaf and facts is not None else None)
    return retained


def read_checkpoints(
    path: Path, shard: str, ring: KeyRing, *, is_open: bool
) -> tuple[list[TrustedCheckpoint], list[TrailFinding]]:
    """Return the trusted checkpoints of a file, and a finding for each of the rest.

    In a file that is still being written, an incomplete last note is ignored.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], [] if is_open else [TrailFinding(Verdict.MISSING, shard, "the file is missing", path.name)]
    trusted: list[TrustedCheckpoint] = []
    findings: list[TrailFinding] = []
    for entry in split_notes(content):
        if entry.torn and is_open:
            continue
        checked = check_checkpoint(entry.note, shard, ring)
        if isinstance(checked, Checkpoint) and not entry.torn:
            trusted.append(TrustedCheckpoint(checked.size, checked.root, path.name, entry.number))
            continue
        truncated = Verdict.BAD_SIGNATURE, "the note is truncated"
        verdict, detail = truncated if isinstance(checked, Checkpoint) else checked
        findings.append(TrailFinding(verdict, shard, detail, path.name, entry.number))
    return trusted, findings


def check_checkpoint(note: bytes, shard: str, ring: KeyRing) -> Checkpoint | tuple[Verdict, str]:
    """Return the checkpoint in the note if it is trusted and about this shard, else the verdict and the reason."""
    try:
        opened = open_checkpoint(note, ring)
    except InvalidInput as error:
        return Verdict.BAD_SIGNATURE, f"the checkpoint cannot be read: {error.message}"
    if opened.trust is Trust.BAD_SIGNATURE:
        return Verdict.BAD_SIGNATURE, "the signature of the checkpoint is invalid"
    if opened.trust is Trust.UNKNOWN_KEY:
        names = ", ".join(f"{signature.name}+{signature.key_id.hex()}" for signature in opened.note.signatures)
        return Verdict.UNKNOWN_KEY, f"the checkpoint is signed only by unknown keys: `{names}`"
    if opened.checkpoint.shard != shard:
        return Verdict.BAD_SIGNATURE, f"the checkpoint belongs to another shard: `{opened.checkpoint.shard}`"
    return opened.checkpoint


def is_signed_start(opening: SegmentStart, shard: str, ring: KeyRing) -> bool:
    """Return whether a trusted checkpoint signs the tree before a segment; nothing signs that of the first segment."""
    if not opening.previous:
        return opening.tree.size == 0
    previous = check_checkpoint(opening.previous, shard, ring)
    tree = opening.tree
    return isinstance(previous, Checkpoint) and (previous.size, previous.root) == (tree.size, tree.root())
