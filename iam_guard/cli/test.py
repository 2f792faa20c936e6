"""`iam-guard test`: decide the cases of files. No store is opened."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click

from iam_guard.cli.kit.commands import JSON
from iam_guard.cli.kit.gc_tuning import relaxed_gc
from iam_guard.cli.kit.progress import progress
from iam_guard.testing.case_json import CaseEntry, Unreadable
from iam_guard.testing.coverage.policy_measurement import PolicyMeasurement, shortfall
from iam_guard.testing.policy_tests import EXPECTED, PolicyTests, entries_of_tests


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--cov", "is_measured", is_flag=True, help="Report statements and conditions that were never tested.")
@click.option(
    "--policies",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    help="Measure the policies in this file or folder; default: all policies that decide.",
)
@click.option("--min", "minimum", type=click.FloatRange(0, 100), help="Fail if coverage is below this percentage.")
@click.option("--html", "html_file", type=click.Path(dir_okay=False), help="Write the coverage as an HTML page, too.")
@JSON
@relaxed_gc()
def command(
    files: tuple[Path, ...],
    is_measured: bool,
    policies: tuple[Path, ...],
    minimum: float | None,
    html_file: str | None,
    as_json: bool,
) -> None:
    """Run the cases of FILES (JSON lines or YAML); print failures, then `N passed, N failed`."""
    if not is_measured and (policies or html_file or minimum is not None):
        raise click.UsageError("--policies, --min and --html need --cov")
    with ExitStack() as stack:
        measured = stack.enter_context(PolicyMeasurement(policies)) if is_measured else None
        failures = stack.enter_context(_printed_at_the_end())
        advance = stack.enter_context(progress("testing", unit="cases"))
        counts = _run(files, stack.enter_context(PolicyTests()), failures, advance, as_json=as_json)
    passed, failed = counts[True], counts[False]
    summary: dict[str, Any] = {"passed": passed, "failed": failed}
    missing = None
    if measured is not None:
        measured.write(json_file=None, html_file=html_file)
        missing = shortfall(measured.share(), minimum)
        summary["coverage"] = measured.to_json()
        if not as_json:
            click.echo("\n".join(["", measured.text(), *([f"policy coverage of {missing}"] if missing else []), ""]))
    click.echo(json.dumps(summary) if as_json else f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or missing else 0)


@contextmanager
def _printed_at_the_end() -> Iterator[list[str]]:
    """Yield a list whose lines are printed after the block, also when it raises, and not into its progress bar."""
    lines: list[str] = []
    try:
        yield lines
    finally:
        for line in lines:
            click.echo(line)


def _run(
    files: Sequence[Path], tests: PolicyTests, failures: list[str], advance: Callable[[int], None], *, as_json: bool
) -> Counter[bool]:
    """Run all cases and describe failures; return the numbers of passed (True) and failed (False) cases."""
    counts: Counter[bool] = Counter()
    for file in files:
        for entry in entries_of_tests(file):
            verdict = tests.decide(entry)
            advance(1)
            id, expected = _id_and_expected(entry)
            counts[verdict.outcome == expected] += 1
            if verdict.outcome != expected:
                result = {"outcome": verdict.outcome} if verdict.problem is None else {"error": verdict.problem}
                failure = {"place": entry.place, "id": id, **result, "expected": expected}
                failures.append(json.dumps(failure) if as_json else _failure(failure, verdict.outcome))
    return counts


def _id_and_expected(entry: CaseEntry | Unreadable) -> tuple[str | int | None, str | int | None]:
    return (None, None) if isinstance(entry, Unreadable) else (entry.member("id"), entry.member("expected"))


def _failure(failure: dict[str, Any], got: str) -> str:
    detail = f" ({failure['error']})" if "error" in failure else ""
    if failure["expected"] not in EXPECTED:
        detail += f"; `expected` is one of {', '.join(EXPECTED)}"
    return f"{failure['place']}: {failure['id']}: expected {failure['expected']}, got {got}{detail}"
