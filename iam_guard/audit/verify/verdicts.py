"""What verifying a trail finds, and where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What is found about a place of a trail. `MEANINGS` says it in a sentence."""

    OK = "OK"
    MODIFIED = "MODIFIED"
    REORDERED = "REORDERED"
    MISSING = "MISSING"
    TRUNCATED_TAIL = "TRUNCATED_TAIL"
    FORKED = "FORKED"
    BAD_SIGNATURE = "BAD_SIGNATURE"
    UNKNOWN_KEY = "UNKNOWN_KEY"
    UNSIGNED_TAIL = "UNSIGNED_TAIL"
    GAP = "GAP"


MEANINGS = {
    Verdict.OK: "every line is what a checkpoint signed",
    Verdict.MODIFIED: "a line is not what was signed, or was put in where none belongs",
    Verdict.REORDERED: "lines are as they were signed, but not in their order",
    Verdict.MISSING: "lines that were signed are not there, or a file is not",
    Verdict.TRUNCATED_TAIL: "a checkpoint signs more lines than the shard has",
    Verdict.FORKED: "two checkpoints were signed that contradict each other: the shard was written anew with its key",
    Verdict.BAD_SIGNATURE: "a checkpoint cannot be read, or its signature is wrong",
    Verdict.UNKNOWN_KEY: "a checkpoint is signed by nobody who is known",
    Verdict.UNSIGNED_TAIL: "the last lines have no checkpoint yet, or have it no more",
    Verdict.GAP: "the trail itself says that records are missing",
}


@dataclass(frozen=True, slots=True)
class TrailFinding:
    """One thing that is not as it should be."""

    verdict: Verdict
    shard: str
    detail: str
    file: str | None = None
    line: int | None = None
    """In the file, from 1; of a file of checkpoints the number of the note, of hashes the number of the hash."""
    sequence: int | None = None

    @property
    def place(self) -> str:
        parts = [self.shard, *([] if self.file is None else [self.file])]
        return "/".join(parts) + ("" if self.line is None else f":{self.line}")


@dataclass(frozen=True, slots=True)
class ShardReport:
    """What was found about one shard."""

    shard: str
    lines: int
    """The sequence that its next line would have."""
    signed: int
    """How many of them a good checkpoint covers."""
    has_ended: bool
    """Whether its process closed it; else it is being written, or was left so by a process that was killed."""
    dropped: int
    """Lines whose segments were dropped on purpose; their hashes are verified all the same."""
    findings: tuple[TrailFinding, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What was found about a trail."""

    shards: tuple[ShardReport, ...]
    others: tuple[TrailFinding, ...] = ()
    """What is about no shard that is there."""

    @property
    def findings(self) -> tuple[TrailFinding, ...]:
        return tuple(finding for shard in self.shards for finding in shard.findings) + self.others

    @property
    def is_ok(self) -> bool:
        return not self.findings
