"""Verification of a trail: every signed line is present, unchanged and in order.

Each shard is read once, segment by segment. The hashes of its lines make the tree, whose root is compared at the size
of each checkpoint. The first line of a segment has the tree's state before it and the checkpoint that signs that state,
so verification can start at any segment (`since` an external checkpoint) and continue after a lost one. Only if a root
differs are the lines compared (`diagnosis`). Memory: the hashes of one segment.

A checkpoint that is malformed, of another shard, or signed only by unknown keys is ignored. Two valid checkpoints that
contradict each other are a fork: the shard was rewritten with its key. The first line of a segment also lists the other
shards with their sizes, which reveals shards that were removed or truncated together with their checkpoints.

Reads files only.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from iam_guard.audit.verify.checkpoint import Checkpoint, open_checkpoint, split_notes
from iam_guard.audit.verify.segment_reader import Progress
from iam_guard.audit.verify.shard import require_shards, segments_of, shards_of
from iam_guard.audit.verify.shard_check import ShardCheck
from iam_guard.audit.verify.shard_claims import ShardClaim, missing_shards, read_claims
from iam_guard.audit.verify.signed_note import KeyRing, Trust
from iam_guard.audit.verify.verdicts import Report, TrailFinding, Verdict
from iam_guard.errors import InvalidInput


def verify_trail(
    trail: Path, ring: KeyRing, *, since: Mapping[str, Checkpoint] | None = None, progress: Progress = lambda _: None
) -> Report:
    """Verify every shard of a trail.

    `since` maps shards to external checkpoints (`read_anchors`): such a shard is verified from the segment of its
    checkpoint on, and must be consistent with it. Raises `InvalidInput` for a folder without shards.
    """
    anchors = dict(since or {})
    claims: dict[str, list[ShardClaim]] = {}
    for claim in read_claims(trail):
        claims.setdefault(claim.shard, []).append(claim)
    shards = shards_of(trail) if anchors else require_shards(trail)
    checks = []
    for shard in shards:
        check = ShardCheck(shard, ring, anchors.pop(shard.name, None), progress, claims.get(shard.name, ()))
        check.run()
        checks.append(check)
    declared_drops = {drop for check in checks for drop in check.declared_drops}
    signed_claims = {claim for check in checks for claim in check.signed_claims}
    for check in checks:
        check.report_undeclared_drops(declared_drops)
        check.compare_with_claims(signed_claims)
    anchored = (
        TrailFinding(Verdict.MISSING, shard, "the shard is missing, but a checkpoint signs it") for shard in anchors
    )
    claimed = missing_shards(signed_claims, {shard.name for shard in shards} | (since or {}).keys())
    return Report(tuple(check.report() for check in checks), (*anchored, *claimed))


def first_damage(shard: Path, ring: KeyRing, since: Checkpoint | None = None) -> TrailFinding | None:
    """Return the first finding about a shard, except declared gaps and lines without a checkpoint yet."""
    check = ShardCheck(shard, ring, since)
    check.run()
    harmless = (Verdict.GAP, Verdict.UNSIGNED_TAIL)
    return next((finding for finding in check.report().findings if finding.verdict not in harmless), None)


def trail_bytes(trail: Path) -> int:
    """Return the total size of a trail's lines in bytes, for progress bars."""
    segments = [segment for shard in shards_of(trail) for segment in segments_of(shard)]
    return sum(segment.lines.stat().st_size for segment in segments if segment.lines.exists())


def read_anchors(content: bytes, ring: KeyRing, *, place: str) -> dict[str, Checkpoint]:
    """Read external checkpoints and return the largest of each shard.

    Raises `InvalidInput` if one is malformed or not trusted, or if there is none.
    """
    anchors: dict[str, Checkpoint] = {}
    for entry in split_notes(content):
        note = entry.note if entry.note.endswith(b"\n") else entry.note + b"\n"
        opened = open_checkpoint(note, ring)
        if opened.trust is not Trust.GOOD:
            raise InvalidInput(f"expected a checkpoint with a valid signature, got {opened.trust.value}", place=place)
        checkpoint = opened.checkpoint
        if checkpoint.shard not in anchors or anchors[checkpoint.shard].size < checkpoint.size:
            anchors[checkpoint.shard] = checkpoint
    if not anchors:
        raise InvalidInput("expected at least one checkpoint", place=place)
    return anchors
