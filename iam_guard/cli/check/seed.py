"""`iam-guard check seed`: what a changed seed allows that it did not before."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import click

from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.invariants.declared_services import declared_services
from iam_guard.analysis.invariants.policy_places import PolicyPlaces
from iam_guard.analysis.invariants.store_access import StoreAccess, read_store_access
from iam_guard.analysis.invariants.store_comparison import NewAccess, StoreComparison
from iam_guard.analysis.invariants.store_findings import (
    RULES,
    new_access_finding,
    new_access_members,
    overall,
    place_of,
    violation_lines,
)
from iam_guard.cli.check.check_options import COLOURS, CheckAnswer, checking
from iam_guard.cli.kit.gc_tuning import relaxed_gc
from iam_guard.cli.kit.progress import progress
from iam_guard.cli.kit.reference_options import APP, REFERENCE, known_references
from iam_guard.policy.grammar import shown
from iam_guard.settings import Settings, load_settings
from iam_guard.store.location import is_seed_file
from iam_guard.store.opening import open_store


@click.command()
@click.argument("old")
@click.argument("new")
@APP
@REFERENCE
@checking
@relaxed_gc()
def command(old: str, new: str, app: str | None, reference_files: tuple[Path, ...]) -> CheckAnswer:
    """Prove that the store NEW allows no request that OLD does not; both are seed files or database URLs.

    Compares each principal through all its policies, and each resource's and role's policy. Exit code 1 if a request is
    allowed by NEW only, with such a request; 2 if that could not be decided.
    """
    settings, services = load_settings(), declared_services(known_references(app, reference_files))
    with progress("comparing") as advance:
        before, after = _read(old, settings), _read(new, settings)
        comparison = StoreComparison(before, after, services.prefixes, services.actions, advance)
        found = [*comparison.new_access()]
    places = PolicyPlaces(Path(new) if is_seed_file(new) else None)
    verdict = overall([one.result.verdict for one in found])
    return CheckAnswer(
        verdict,
        lambda: {"result": verdict.value, "newAccess": [new_access_members(one, after, places) for one in found]},
        (new_access_finding(one, places, new) for one in found),
        RULES,
        _report(verdict, found, after, places),
    )


def _read(store: str, settings: Settings) -> StoreAccess:
    with closing(open_store(store, settings)) as opened:
        return read_store_access(opened)


def _report(
    verdict: CheckVerdict, found: Sequence[NewAccess], access: StoreAccess, places: PolicyPlaces
) -> Iterator[str]:
    message = "The new store allows no request that the old one does not."
    if found:
        message = "The new store allows requests that the old one does not, or that was not decided."
    yield f"{click.style(verdict.value, fg=COLOURS[verdict])}  {message}"
    for one in found:
        yield from _lines(one, access, places)


def _lines(found: NewAccess, access: StoreAccess, places: PolicyPlaces) -> Iterator[str]:
    place = place_of(found.result, places)
    where = "" if place is None else f"{place.file}:{place.line}:{place.column}: "
    yield f"{where}{found.subject} {shown(found.name)}"
    yield from (f"  {line}" for line in violation_lines(found.result, access))
