"""Verifying a trail: is every line what was signed, is every line there, and in its order?

A shard is read once, segment by segment. Its lines are hashed, the hashes make the tree, and at the size of each
checkpoint the tree's root must be the checkpoint's. The first line of a segment says the tree's state before it and
brings the checkpoint that signs it; so every segment ends at a checkpoint too, verification can begin at any segment
(`since` a checkpoint that somebody kept elsewhere), and goes on after one that is lost. Only where a root is not right
is it asked what happened (`diagnosis`). Memory: the hashes of one segment.

A checkpoint that is in no order or signed by nobody who is known counts as none; so does one of another shard. Two that
are good and contradict each other are a fork: then the shard was written anew by somebody who has its key.

The first line of a segment also says which other shards there are, and how far they were; a shard that is gone as a
whole, or was cut together with its checkpoints, is found by that.

Reads files and changes none.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from iam_guard.audit.verify.checkpoint import Checkpoint, notes_of, open_checkpoint
from iam_guard.audit.verify.segment_reader import Progress
from iam_guard.audit.verify.shard import segments_of, shards_of
from iam_guard.audit.verify.shard_check import ShardCheck
from iam_guard.audit.verify.shard_claims import ShardClaim, absent_shards, read_claims
from iam_guard.audit.verify.signed_note import KeyRing, Trust
from iam_guard.audit.verify.verdicts import Report, TrailFinding, Verdict
from iam_guard.errors import InvalidInput


def verify_trail(
    trail: Path, ring: KeyRing, *, since: Mapping[str, Checkpoint] | None = None, progress: Progress = lambda _: None
) -> Report:
    """Verify every shard of a trail.

    `since` has a checkpoint for some of the shards, as `read_anchors` reads them: such a shard is verified from the
    segment on in which its checkpoint lies, and must have grown out of it. Raises `InvalidInput` for a folder without
    any shard, for of such a one nothing can be said.
    """
    anchors = dict(since or {})
    said: dict[str, list[ShardClaim]] = {}
    for claim in read_claims(trail) if trail.is_dir() else []:
        said.setdefault(claim.shard, []).append(claim)
    shards = shards_of(trail) if trail.is_dir() else []
    if not shards and not anchors:
        raise InvalidInput("expected the folder of an audit trail, found no shard", place=str(trail))
    checks = []
    for shard in shards:
        check = ShardCheck(shard, ring, anchors.pop(shard.name, None), progress, said.get(shard.name, ()))
        check.run()
        checks.append(check)
    claimed = {claim for check in checks for claim in check.claims}
    believed = {claim for check in checks for claim in check.others}
    for check in checks:
        check.settle(claimed)
        check.compare_with_claims(believed)
    absent = (
        TrailFinding(Verdict.MISSING, shard, "a checkpoint signs this shard, and it is not there") for shard in anchors
    )
    unseen = absent_shards(believed, {shard.name for shard in shards} | (since or {}).keys())
    return Report(tuple(check.report() for check in checks), (*absent, *unseen))


def trail_bytes(trail: Path) -> int:
    """Return how many bytes of lines a trail has, for whoever shows progress."""
    segments = [segment for shard in shards_of(trail) for segment in segments_of(shard)] if trail.is_dir() else []
    return sum(segment.lines.stat().st_size for segment in segments if segment.lines.exists())


def read_anchors(content: bytes, ring: KeyRing, *, place: str) -> dict[str, Checkpoint]:
    """Read checkpoints that were kept elsewhere, of each shard the largest.

    Raises `InvalidInput` for one that is not good: it would be no ground to stand on.
    """
    found: dict[str, Checkpoint] = {}
    for note in notes_of(content):
        whole = note.note if note.note.endswith(b"\n") else note.note + b"\n"
        opened = open_checkpoint(whole, ring)
        if opened.trust is not Trust.GOOD:
            raise InvalidInput(f"the checkpoint cannot be relied on: {opened.trust.value}", place=place)
        checkpoint = opened.checkpoint
        if checkpoint.shard not in found or found[checkpoint.shard].size < checkpoint.size:
            found[checkpoint.shard] = checkpoint
    if not found:
        raise InvalidInput("expected a checkpoint", place=place)
    return found
