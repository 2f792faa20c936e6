"""`iam-guard analyze escalation`: the paths by which principals gain more access."""

from __future__ import annotations

import json
import sys
from contextlib import closing

import click

from iam_guard.analysis.escalation.escalation_path import ADMINISTRATOR, Escalations
from iam_guard.analysis.escalation.escalation_search import escalations
from iam_guard.cli.gc_tuning import relaxed_gc
from iam_guard.cli.options import JSON, STORE
from iam_guard.cli.progress import progress
from iam_guard.policy.grammar import shown
from iam_guard.settings import load
from iam_guard.store.open_store import open_store


@click.command()
@STORE
@JSON
@relaxed_gc()
def escalation(store: str, as_json: bool) -> None:
    """Find which principals can become others, or an administrator, and how; and who is an administrator already.

    Exit code 1 if any can become more.
    """
    settings = load()
    with progress("searching"), closing(open_store(store, settings)) as opened:
        found = escalations(opened, settings=settings)
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
    else:
        _print(found)
    sys.exit(1 if found.paths else 0)


def _print(found: Escalations) -> None:
    paths = found.paths
    for administrator in found.administrators:
        click.echo(shown(f"{administrator.principal} is an administrator: {administrator.why}"))
    for path in paths:
        target = click.style(path.target, fg="red") if path.target == ADMINISTRATOR else shown(path.target)
        click.echo(f"{shown(path.start)} -> {target}")
        for number, step in enumerate(path.steps, start=1):
            click.echo(shown(f"  {number}. {step.action} on {step.resource}"))
            click.echo(shown(f"     {step.why}"))
    most = sum(path.target == ADMINISTRATOR for path in paths)
    click.echo(f"{len(paths)} path{'' if len(paths) == 1 else 's'}, {most} to {ADMINISTRATOR}")
