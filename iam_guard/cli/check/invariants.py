"""`iam-guard check invariants`: prove sentences about a whole store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click

from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.invariants.declared_services import declared_services
from iam_guard.analysis.invariants.invariant_checks import InvariantResult, check_invariants
from iam_guard.analysis.invariants.invariant_file import read_invariants
from iam_guard.analysis.invariants.store_access import StoreAccess, read_store_access
from iam_guard.analysis.invariants.store_findings import (
    RULES,
    invariant_findings,
    invariant_members,
    overall,
    violation_lines,
)
from iam_guard.cli.check.check_options import COLOURS, CheckAnswer, checking
from iam_guard.cli.kit.commands import STORE
from iam_guard.cli.kit.gc_tuning import relaxed_gc
from iam_guard.cli.kit.progress import progress
from iam_guard.cli.kit.reference_options import APP, REFERENCE, known_references
from iam_guard.errors import InvalidInput
from iam_guard.policy.grammar import shown
from iam_guard.settings import load_settings
from iam_guard.store.opening import open_store

_MAX_SHOWN = 5
"""The maximum number of principals that are shown of one invariant; the other formats have all."""


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@STORE
@APP
@REFERENCE
@checking
@relaxed_gc()
def command(file: Path, store: str, app: str | None, reference_files: tuple[Path, ...]) -> CheckAnswer:
    """Prove that the invariants in FILE hold for all principals of a store: a database URL, or a seed file.

    Exit code 1 if one is broken, with a request that shows it; 2 if that could not be decided.
    """
    settings, services = load_settings(), declared_services(known_references(app, reference_files))
    listed = read_invariants(_text(file), str(file), services.actions, settings.partition)
    with progress("proving") as advance, closing(open_store(store, settings)) as opened:
        access = read_store_access(opened)
        results = check_invariants(access, listed, services.prefixes, advance)
    verdict = overall([result.verdict for result in results])
    return CheckAnswer(
        verdict,
        lambda: {
            "result": verdict.value,
            "invariants": [invariant_members(result, access) for result in results],
        },
        (finding for result in results for finding in invariant_findings(result, str(file))),
        RULES,
        (line for result in results for line in _lines(result, access, file)),
    )


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InvalidInput("expected invariants as YAML or JSON, in UTF-8", place=str(file)) from None


def _lines(result: InvariantResult, access: StoreAccess, file: Path) -> Iterator[str]:
    invariant = result.invariant
    yield f"{click.style(result.verdict.value, fg=COLOURS[result.verdict])}  {shown(invariant.name)}"
    if result.verdict is CheckVerdict.PASS:
        return
    yield f"  {file}:{invariant.line}:{invariant.column}: {shown(invariant.sentence)}"
    for violation in result.violations[:_MAX_SHOWN]:
        yield from (f"  {line}" for line in violation_lines(violation, access))
    hidden = len(result.violations) - _MAX_SHOWN
    if hidden > 0:
        yield f"  … and {hidden} more {'principal' if hidden == 1 else 'principals'}"
    yield from (f"  not decided: {shown(problem)}" for problem in result.problems)
