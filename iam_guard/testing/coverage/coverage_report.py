"""The policy coverage report, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from iam_guard.policy.grammar import shown
from iam_guard.testing.coverage.policy_coverage import FileCoverage, percent
from iam_guard.testing.text_table import aligned

_TITLES = ("Name", "Statements", "Missed", "Targets", "Covered", "Cover", "Missing")


def coverage_text(files: Sequence[FileCoverage]) -> str:
    """Return the table of files, followed by each gap with file, line and column."""
    rows = [_TITLES, *(_row(file) for file in files), _total(files)]
    head, *lines, total = aligned(rows, right=range(1, len(_TITLES) - 1))
    rule = "-" * len(head)
    gaps = [*_gaps(files)]
    return "\n".join([head, rule, *lines, rule, total, *(["", *gaps] if gaps else [])])


def coverage_json(files: Sequence[FileCoverage]) -> dict[str, Any]:
    """Return the report as JSON values; lines and columns from 1, statements from 0."""
    return {
        "percent": rounded(percent(files)),
        "files": [
            {
                "name": file.file.name,
                "statements": file.statements,
                "missed": file.missed,
                "targets": file.targets,
                "covered": file.covered,
                "percent": rounded(percent([file])),
                "gaps": [
                    {
                        "line": gap.place[0],
                        "column": gap.place[1],
                        "statement": gap.target.statement,
                        "element": gap.target.element,
                        "never": gap.target.truth,
                        "what": gap.what,
                    }
                    for gap in file.gaps
                ],
            }
            for file in files
        ],
    }


def rounded(share: float | None) -> float | None:
    """Return a percentage with two digits; None for None."""
    return None if share is None else round(share, 2)


def cover(share: float | None) -> str:
    """Format a percentage as `99%`; 100% only if nothing is missing."""
    if share is None:
        return "n/a"
    return "100%" if share == 100 else f"{int(share)}%"


def _row(covered: FileCoverage) -> tuple[str, ...]:
    lines = dict.fromkeys(gap.place[0] for gap in covered.gaps if not gap.is_implied)
    missing = ", ".join(map(str, lines))
    return shown(covered.file.name), *map(str, covered.counts), cover(percent([covered])), missing


def _total(files: Sequence[FileCoverage]) -> tuple[str, ...]:
    sums = [sum(column) for column in zip(*(file.counts for file in files), strict=True)] or [0, 0, 0, 0]
    return "TOTAL", *map(str, sums), cover(percent(files)), ""


def _gaps(files: Sequence[FileCoverage]) -> Iterator[str]:
    for file in files:
        for gap in file.gaps:
            if not gap.is_implied:
                line, column = gap.place
                yield f"{shown(file.file.name)}:{line}:{column}: {shown(str(gap))}"
