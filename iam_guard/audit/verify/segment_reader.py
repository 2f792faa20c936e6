"""Reading what stands in the files of a segment, for verifying it: hashes of lines, checkpoints that are believed.

Nothing of a file is believed before it is verified, not even how long its lines are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from iam_guard.audit.verify.checkpoint import Checkpoint, notes_of, open_checkpoint
from iam_guard.audit.verify.diagnosis import Signed
from iam_guard.audit.verify.merkle import leaf_hash
from iam_guard.audit.verify.shard import OWN_KIND, Segment, own_facts, place_of
from iam_guard.audit.verify.signed_note import KeyRing, Trust
from iam_guard.audit.verify.verdicts import TrailFinding, Verdict
from iam_guard.errors import InvalidInput

CHUNK = 1024 * 1024
MAX_KEPT_LINE = 1024 * 1024
"""Bytes that are kept of a line without end; ours are far shorter, so it is not ours."""

Progress = Callable[[int], None]
"""Told how many bytes more were read."""


@dataclass(slots=True)
class SegmentLines:
    """The lines of a segment as far as verifying needs them."""

    hashes: list[bytes] = field(default_factory=list)
    own: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """Those that the trail wrote about itself: place in the segment, `iamGuard`."""
    rest: bytes = b""
    """What comes after the last line break."""


def read_lines(path: Path, progress: Progress) -> SegmentLines | None:
    """Hash every line of a file; None where there is no file."""
    read = SegmentLines()
    try:
        for portion in reading_lines(path, progress):
            read = portion
    except FileNotFoundError:
        return None
    return read


def reading_lines(path: Path, progress: Progress = lambda _: None) -> Iterator[SegmentLines]:
    """Hash every line of a file, a portion at each step; what is given is the same each time, and grows."""
    read = SegmentLines()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            progress(len(chunk))
            whole = read.rest + chunk
            parts = whole.split(b"\n")
            read.rest = parts.pop()[:MAX_KEPT_LINE]
            if OWN_KIND in whole:
                _note_own(read, parts)
            read.hashes += [sha256(b"\x00%b\n" % part).digest() for part in parts]
            yield read


def _note_own(read: SegmentLines, parts: list[bytes]) -> None:
    for place, part in enumerate(parts, len(read.hashes)):
        if OWN_KIND in part and (facts := own_facts(part)) is not None:
            read.own.append((place, facts))


def read_sequences(path: Path, shard: str, begin: int = 0) -> list[int | None]:
    """Return what each line from some place on says of its own number; None where it says none, or another shard."""
    found: list[int | None] = []
    rest = b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            parts = (rest + chunk).split(b"\n")
            rest = parts.pop()[:MAX_KEPT_LINE]
            places = [place_of(part + b"\n") for part in parts]
            found += [place[1] if place is not None and place[0] == shard else None for place in places]
    return found[begin:]


def read_hashes(path: Path) -> bytes | None:
    """Return the leaf hashes that stand beside a segment; None where there is no file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def read_retained(segment: Segment, leaves: Sequence[bytes]) -> list[tuple[int, dict[str, Any]] | None]:
    """Return sequence and `iamGuard` of the lines that are kept of a segment that was dropped.

    Each has a place among the hashes of those that were there; None for one that has not.
    """
    try:
        content = segment.retained.read_bytes()
    except FileNotFoundError:
        return []
    found: list[tuple[int, dict[str, Any]] | None] = []
    for line in content.splitlines(keepends=True):
        place, facts = place_of(line), own_facts(line)
        index = -1 if place is None else place[1] - segment.first
        is_there = facts is not None and 0 <= index < len(leaves) and leaf_hash(line) == leaves[index]
        found.append((segment.first + index, facts) if is_there and facts is not None else None)
    return found


def read_checkpoints(
    path: Path, shard: str, ring: KeyRing, *, is_open: bool
) -> tuple[list[Signed], list[TrailFinding]]:
    """Return the checkpoints of a file that are believed, and what is wrong with the others.

    In a file that is being written the last may be half there, which says nothing.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return [], [] if is_open else [TrailFinding(Verdict.MISSING, shard, "the file is not there", path.name)]
    believed: list[Signed] = []
    findings: list[TrailFinding] = []
    for place in notes_of(content):
        if place.torn and is_open:
            continue
        judged = judge(place.note, shard, ring)
        if isinstance(judged, Checkpoint) and not place.torn:
            believed.append(Signed(judged.size, judged.root, path.name, place.number))
            continue
        cut = Verdict.BAD_SIGNATURE, "the note is cut off"
        verdict, detail = cut if isinstance(judged, Checkpoint) else judged
        findings.append(TrailFinding(verdict, shard, detail, path.name, place.number))
    return believed, findings


def judge(note: bytes, shard: str, ring: KeyRing) -> Checkpoint | tuple[Verdict, str]:
    """Return a checkpoint that is believed about this shard, or say why it is not."""
    try:
        opened = open_checkpoint(note, ring)
    except InvalidInput as error:
        return Verdict.BAD_SIGNATURE, f"the checkpoint cannot be read: {error.message}"
    if opened.trust is Trust.BAD_SIGNATURE:
        return Verdict.BAD_SIGNATURE, "the signature of the checkpoint is wrong"
    if opened.trust is Trust.UNKNOWN_KEY:
        names = ", ".join(f"{signature.name}+{signature.key_id.hex()}" for signature in opened.note.signatures)
        return Verdict.UNKNOWN_KEY, f"the checkpoint is signed by `{names}` only"
    if opened.checkpoint.shard != shard:
        return Verdict.BAD_SIGNATURE, f"the checkpoint is about another shard, `{opened.checkpoint.shard}`"
    return opened.checkpoint
