"""Measure and report policy coverage, for pytest and the command line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from iam_guard.testing.coverage_html import coverage_html
from iam_guard.testing.coverage_report import coverage_json, coverage_text
from iam_guard.testing.decision_watcher import watching_evaluations
from iam_guard.testing.file_names import PATTERNS
from iam_guard.testing.policy_coverage import FileCoverage, PolicyCoverage, percent
from iam_guard.testing.policy_sources import PolicyFile, find_policies


class PolicyMeasurement:
    """Measures policy coverage while it is entered.

    `paths` are files and folders with the policies to report; by default all policies that decide. `tests` are patterns
    of policy test files, whose policies don't count. Raises `InvalidInput` for a path without policies.
    """

    def __init__(self, paths: Iterable[Path] = (), *, tests: Sequence[str] = PATTERNS) -> None:
        self._files = _distinct(file for path in paths for file in find_policies(path, tests))
        self._coverage = PolicyCoverage()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(watching_evaluations(self._coverage.add))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def to_plain(self) -> Any:
        """Return the results as plain values, for `merge` in another process."""
        return self._coverage.to_dict()

    def merge(self, results: Any) -> None:
        """Add the results of another process."""
        self._coverage.merge(results)

    def share(self) -> float | None:
        """Return the percentage of targets that were reached; None without targets."""
        return percent(self._covered())

    def text(self) -> str:
        """Return the report as text."""
        return coverage_text(self._covered())

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return coverage_json(self._covered())

    def write(self, *, json_file: str | None, html_file: str | None = None) -> None:
        """Write the requested reports."""
        if json_file:
            write_json(json_file, self.to_json())
        if html_file:
            write_text(html_file, coverage_html(self._covered()))

    def _covered(self) -> Sequence[FileCoverage]:
        return self._coverage.of_files(self._files) if self._files else self._coverage.of_all_seen()


def shortfall(share: float | None, minimum: float | None) -> str | None:
    """Return how coverage misses a minimum percentage; None if it doesn't, or there is no minimum.

    Without any measurement the minimum is missed.
    """
    if minimum is None or (share is not None and share >= minimum):
        return None
    if share is None:
        return f"nothing was measured, expected at least {minimum:g}%"
    return f"{share:.2f}% is below the minimum of {minimum:g}%"


def _distinct(files: Iterable[PolicyFile]) -> list[PolicyFile]:
    return list({file.name: file for file in files}.values())


def write_json(path: str, report: Mapping[str, Any]) -> None:
    """Write a report as JSON to a file; creates its folder."""
    write_text(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def write_text(path: str, text: str) -> None:
    """Write a file; creates its folder."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
