"""What the segments of a trail say of the other shards, compared with what these are.

What is said is read before any shard is walked through: what is said later may be about lines that came later. It is
believed once a checkpoint signs the line in which it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from iam_guard.audit.verify.merkle import HASH_BYTES, Tree
from iam_guard.audit.verify.shard import opening_facts, segments_of, shards_of
from iam_guard.audit.verify.verdicts import TrailFinding, Verdict


class ShardClaim(NamedTuple):
    """That a shard is there and, where there is a `root`, of how many lines that is the root."""

    by: str
    """The shard in which it stands, and the sequence of the line."""
    sequence: int
    shard: str
    size: int = 0
    root: bytes = b""


def claims_in(facts: dict[str, Any], by: str, sequence: int) -> list[ShardClaim]:
    """Read what the first line of a segment says of other shards; what is in no order says nothing."""
    found = []
    said = facts.get("others")
    for each in said if isinstance(said, list) else []:
        match each:
            case {"shard": str(shard), "size": int(size), "root": str(root)} if size > 0:
                found.append(ShardClaim(by, sequence, shard, size, _root(root)))
            case {"shard": str(shard)}:
                found.append(ShardClaim(by, sequence, shard))
    return [each for each in found if each.shard != by]


def _root(text: str) -> bytes:
    try:
        root = bytes.fromhex(text)
    except ValueError:
        return b""
    return root if len(root) == HASH_BYTES else b""


def read_claims(trail: Path) -> list[ShardClaim]:
    """Read what all segments say, whether or not it can be believed."""
    return [
        claim
        for shard in shards_of(trail)
        for segment in segments_of(shard)
        if (facts := opening_facts(segment)) is not None
        for claim in claims_in(facts, shard.name, segment.first)
    ]


class Growth:
    """Lets a shard's tree grow past what is said of it, and keeps what is not so."""

    def __init__(self, claims: Iterable[ShardClaim]) -> None:
        self.claims = sorted((claim for claim in claims if claim.root), key=lambda each: each.size)
        self.wrong: list[ShardClaim] = []

    def extend(self, tree: Tree, leaves: Sequence[bytes]) -> None:
        """Add leaves to a tree, and look at its root wherever somebody said one."""
        begin = tree.size
        for claim in self.claims:
            if begin < claim.size <= begin + len(leaves):
                tree.extend(leaves[tree.size - begin : claim.size - begin])
                if tree.root() != claim.root:
                    self.wrong.append(claim)
        tree.extend(leaves[tree.size - begin :])

    def longest(self, believed: set[ShardClaim]) -> ShardClaim | None:
        """Return the claim of the most lines."""
        return next((claim for claim in reversed(self.claims) if claim in believed), None)


def absent_shards(believed: Iterable[ShardClaim], there: set[str]) -> list[TrailFinding]:
    """Find shards that others name and that are not there."""
    namers: dict[str, str] = {}
    for claim in sorted(believed):
        if claim.shard not in there:
            namers.setdefault(claim.shard, claim.by)
    return [
        TrailFinding(Verdict.MISSING, shard, f"the shard `{by}` names this one, and it is not there")
        for shard, by in sorted(namers.items())
    ]
