"""Measure and report policy coverage, for pytest and the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Self

from iam_guard.evaluation.authorizer import Authorizer
from iam_guard.evaluation.plan import Plan
from iam_guard.model.decision import Decision
from iam_guard.testing.coverage.coverage_html import coverage_html
from iam_guard.testing.coverage.coverage_report import coverage_json, coverage_text
from iam_guard.testing.coverage.policy_coverage import FileCoverage, PolicyCoverage, percent
from iam_guard.testing.coverage.policy_sources import find_policies
from iam_guard.testing.file_names import PATTERNS


@contextmanager
def replaced(owner: type, name: str, method: object) -> Iterator[None]:
    """Replace a method of a class inside the block, as `unittest.mock` does, which imports asyncio."""
    original = getattr(owner, name)
    setattr(owner, name, method)
    try:
        yield
    finally:
        setattr(owner, name, original)


def without_plans() -> AbstractContextManager[None]:
    """Let guards decide every request by the evaluator inside the block, which can be watched."""
    return replaced(Plan, "allow", lambda *_: None)


@contextmanager
def watching_evaluations(record: Callable[[Authorizer, Decision], None]) -> Iterator[None]:
    """Call `record` with every decision of policies inside the block.

    The method that decides is replaced by one that reports, so the product pays nothing otherwise. Watchers can't
    change a decision, and are removed in reverse order.
    """
    decide = Authorizer.decide

    @wraps(decide)
    def watched(self: Authorizer, *args: Any, **kwargs: Any) -> Decision:
        decision = decide(self, *args, **kwargs)
        record(self, decision)
        return decision

    with replaced(Authorizer, "decide", watched), without_plans():
        yield


class PolicyMeasurement(PolicyCoverage):
    """Policy coverage that is measured while it is entered.

    `paths` are files and folders with the policies to report; by default all policies that decide. `tests` are patterns
    of policy test files, whose policies don't count. Raises `InvalidInput` for a path without policies.
    """

    def __init__(self, paths: Iterable[Path] = (), *, tests: Sequence[str] = PATTERNS) -> None:
        super().__init__()
        self._files = {file.name: file for path in paths for file in find_policies(path, tests)}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(watching_evaluations(self.add))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

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
        return self.of_files(self._files.values()) if self._files else self.of_all_seen()


def shortfall(share: float | None, minimum: float | None) -> str | None:
    """Return how coverage misses a minimum percentage; None if it doesn't, or there is no minimum.

    Without any measurement the minimum is missed.
    """
    if minimum is None or (share is not None and share >= minimum):
        return None
    if share is None:
        return f"nothing was measured, expected at least {minimum:g}%"
    return f"{share:.2f}% is below the minimum of {minimum:g}%"


def write_json(path: str, report: Mapping[str, Any]) -> None:
    """Write a report as JSON to a file; creates its folder."""
    write_text(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def write_text(path: str, text: str) -> None:
    """Write a file; creates its folder."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
