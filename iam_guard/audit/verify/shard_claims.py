"""Claims: the checkpoints of other shards in the first lines of segments (`peer_checkpoints`), and their verification.

Claims are read before any shard is verified, because a claim written during verification may be about later lines. A
claim counts once a checkpoint signs the line that contains it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from iam_guard.audit.verify.merkle import HASH_BYTES, Tree
from iam_guard.audit.verify.shard import segment_start_facts, segments_of, shards_of
from iam_guard.audit.verify.verdicts import TrailFinding, Verdict


class ShardClaim(NamedTuple):
    """The claim that a shard exists and, with a `root`, that its first `size` lines have this root."""

    by: str
    """The shard that contains the claim, in the line `sequence`."""
    sequence: int
    shard: str
    size: int = 0
    root: bytes = b""


def claims_in(facts: dict[str, Any], by: str, sequence: int) -> list[ShardClaim]:
    """Parse the claims in the first line of a segment; malformed ones are ignored."""
    claims = []
    others = facts.get("others")
    for other in others if isinstance(others, list) else []:
        match other:
            case {"shard": str(shard), "size": int(size), "root": str(root)} if size > 0:
                claims.append(ShardClaim(by, sequence, shard, size, _root(root)))
            case {"shard": str(shard)}:
                claims.append(ShardClaim(by, sequence, shard))
    return [claim for claim in claims if claim.shard != by]


def _root(text: str) -> bytes:
    try:
        root = bytes.fromhex(text)
    except ValueError:
        return b""
    return root if len(root) == HASH_BYTES else b""


def read_claims(trail: Path) -> list[ShardClaim]:
    """Read the claims of all segments, signed or not."""
    return [
        claim
        for shard in shards_of(trail)
        for segment in segments_of(shard)
        if (facts := segment_start_facts(segment)) is not None
        for claim in claims_in(facts, shard.name, segment.first)
    ]


class ClaimCheck:
    """Compares a shard's growing tree with the claims about it, and collects those that don't match."""

    def __init__(self, claims: Iterable[ShardClaim]) -> None:
        self.claims = sorted((claim for claim in claims if claim.root), key=lambda claim: claim.size)
        self.mismatches: list[ShardClaim] = []

    def extend(self, tree: Tree, leaves: Sequence[bytes]) -> None:
        """Append leaves to a tree, and compare its root at the size of each claim."""
        begin = tree.size
        for claim in self.claims:
            if begin < claim.size <= begin + len(leaves):
                tree.extend(leaves[tree.size - begin : claim.size - begin])
                if tree.root() != claim.root:
                    self.mismatches.append(claim)
        tree.extend(leaves[tree.size - begin :])

    def largest(self, signed: set[ShardClaim]) -> ShardClaim | None:
        """Return the signed claim with the largest size."""
        return next((claim for claim in reversed(self.claims) if claim in signed), None)


def missing_shards(signed: Iterable[ShardClaim], present: set[str]) -> list[TrailFinding]:
    """Return a finding for each shard that a signed claim names and that doesn't exist."""
    claimants: dict[str, str] = {}
    for claim in sorted(signed):
        if claim.shard not in present:
            claimants.setdefault(claim.shard, claim.by)
    return [
        TrailFinding(Verdict.MISSING, shard, f"the shard is missing, but the shard `{by}` lists it")
        for shard, by in sorted(claimants.items())
    ]
