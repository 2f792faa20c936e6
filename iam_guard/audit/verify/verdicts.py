"""The results of verifying a trail: verdicts, findings and reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The kind of a finding; `MEANINGS` has a sentence for each."""

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
    Verdict.MODIFIED: "a line is not what was signed, or was inserted",
    Verdict.REORDERED: "lines are unchanged, but out of order",
    Verdict.MISSING: "signed lines or files are missing",
    Verdict.TRUNCATED_TAIL: "a checkpoint signs more lines than the shard has",
    Verdict.FORKED: "two valid checkpoints contradict each other: the shard was rewritten with its key",
    Verdict.BAD_SIGNATURE: "a checkpoint cannot be parsed, or its signature is invalid",
    Verdict.UNKNOWN_KEY: "a checkpoint is signed only by unknown keys",
    Verdict.UNSIGNED_TAIL: "the last lines have no checkpoint yet, or no longer",
    Verdict.GAP: "the trail declares that records are missing",
}


@dataclass(frozen=True, slots=True)
class TrailFinding:
    """One problem in a trail, and where it is."""

    verdict: Verdict
    shard: str
    detail: str
    file: str | None = None
    line: int | None = None
    """The line in the file, from 1; in a checkpoint file the number of the note, in a hash file that of the hash."""
    sequence: int | None = None

    @property
    def place(self) -> str:
        parts = [self.shard, *([] if self.file is None else [self.file])]
        return "/".join(parts) + ("" if self.line is None else f":{self.line}")


@dataclass(frozen=True, slots=True)
class ShardReport:
    """The result for one shard."""

    shard: str
    lines: int
    """The number of lines, which is the sequence of the next one."""
    signed: int
    """The number of lines under a valid checkpoint."""
    has_ended: bool
    """Whether its process closed it; else it is being written, or its process was killed."""
    dropped: int
    """The number of lines dropped by retention; their hashes are verified."""
    findings: tuple[TrailFinding, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """The result for a trail."""

    shards: tuple[ShardReport, ...]
    others: tuple[TrailFinding, ...] = ()
    """Findings about shards that don't exist."""

    @property
    def findings(self) -> tuple[TrailFinding, ...]:
        return tuple(finding for shard in self.shards for finding in shard.findings) + self.others

    @property
    def is_ok(self) -> bool:
        return not self.findings
