"""`iam-guard what-can`: what a principal can do, and on which resources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path

import click

from iam_guard.analysis.access.access_answers import Ability
from iam_guard.analysis.access.what_can import what_can
from iam_guard.cli.access_table import CONTEXT, THROUGH_ROLES, Row, access_lines, answer_details, chain, given_context
from iam_guard.cli.kit.commands import STORE, Answer, answering
from iam_guard.cli.kit.gc_tuning import relaxed_gc
from iam_guard.cli.kit.progress import progress
from iam_guard.cli.kit.reference_options import APP, REFERENCE, known_references
from iam_guard.policy.grammar import shown
from iam_guard.settings import load_settings
from iam_guard.store.opening import open_store

_MAX_ACTIONS = 12
"""The maximum number of actions shown in one row; JSON has all."""


@click.command()
@click.argument("principal")
@click.option("--resource", help="Check this resource or pattern only.")
@CONTEXT
@THROUGH_ROLES
@APP
@REFERENCE
@STORE
@answering
@relaxed_gc()
def command(
    principal: str,
    resource: str | None,
    context: tuple[str, ...],
    through_roles: bool,
    app: str | None,
    reference_files: tuple[Path, ...],
    store: str,
) -> Answer:
    """List what PRINCIPAL (the ARN of a user, role or root user) can do, and on which resources.

    Exit code 1 if it can do nothing.
    """
    settings, references = load_settings(), known_references(app, reference_files)
    with progress("searching"), closing(open_store(store, settings)) as opened:
        found = what_can(
            *(opened, principal),
            resource=resource,
            references=references,
            context=given_context(context),
            settings=settings,
            through_roles=through_roles,
        )
    return Answer(
        [ability.to_dict() for ability in found], _lines(principal, found), exit_code=0 if found else 1, indent=2
    )


def _lines(principal: str, found: Sequence[Ability]) -> Iterator[str]:
    for steps, abilities in groupby(found, key=lambda ability: ability.steps):
        yield from chain(principal, steps)
        yield from access_lines([_row(ability) for ability in abilities])


def _row(ability: Ability) -> Row:
    more = len(ability.actions) - _MAX_ACTIONS
    actions = ", ".join(ability.actions[:_MAX_ACTIONS]) + (f" and {more} more" if more > 0 else "")
    return ability.verdict, (shown(ability.resource), actions), list(answer_details(ability.answer))
