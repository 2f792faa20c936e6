"""One measurement of policy coverage, from the options that ask for it to the report: for pytest and the command."""

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

    With `paths`, of the policies in those files and folders; without, of all policies that decisions are made with.
    `tests` are the names of policy tests, whose policies do not count. Raises `InvalidInput` where a path has none.
    """

    def __init__(self, paths: Iterable[Path] = (), *, tests: Sequence[str] = PATTERNS) -> None:
        self._files = _distinct(file for path in paths for file in find_policies(path, tests))
        self._coverage = PolicyCoverage()
        self._leaving = ExitStack()

    def __enter__(self) -> Self:
        self._leaving.enter_context(watching_evaluations(self._coverage.note))
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.close()

    def to_plain(self) -> Any:
        """Return what was seen, for `merge` in another process."""
        return self._coverage.to_dict()

    def merge(self, given: Any) -> None:
        """Add what another process saw."""
        self._coverage.merge(given)

    def share(self) -> float | None:
        """Return the percentage of targets that were reached; None where there were none."""
        return percent(self._covered())

    def text(self) -> str:
        """Return the report for a terminal."""
        return coverage_text(self._covered())

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return coverage_json(self._covered())

    def write(self, *, json_file: str | None, html_file: str | None = None) -> None:
        """Write the reports that are wanted."""
        if json_file:
            write_json(json_file, self.to_json())
        if html_file:
            write_text(html_file, coverage_html(self._covered()))

    def _covered(self) -> Sequence[FileCoverage]:
        return self._coverage.of_files(self._files) if self._files else self._coverage.of_all_seen()


def shortfall(share: float | None, least: float | None) -> str | None:
    """Say by how much less was reached than `least` percent; None where it was enough, or nothing is asked.

    Where nothing was measured it is not enough: a threshold that cannot fail guards nothing.
    """
    if least is None or (share is not None and share >= least):
        return None
    if share is None:
        return f"nothing at all is less than the {least:g}% that are asked for"
    return f"{share:.2f}% is less than the {least:g}% that are asked for"


def _distinct(files: Iterable[PolicyFile]) -> list[PolicyFile]:
    return list({file.name: file for file in files}.values())


def write_json(path: str, report: Mapping[str, Any]) -> None:
    """Write a report as JSON to a file, whose folder is made."""
    write_text(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def write_text(path: str, text: str) -> None:
    """Write a file, whose folder is made."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
