"""`iam-guard check dead-statements`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import click

from iam_guard.analysis.checks.dead_statements import DeadKind, DeadPart, DeadParts, check_dead_statements
from iam_guard.analysis.checks.limits import Undecided
from iam_guard.cli.check.policy_answer import POLICY, TYPE, TYPES, known_actions, universe
from iam_guard.cli.kit.commands import Answer, answering
from iam_guard.policy.grammar import shown


@click.command()
@click.argument("policy", type=POLICY)
@TYPE
@universe
@answering
def command(policy: TextIO, type: str, app: str | None, reference_files: tuple[Path, ...]) -> Answer:
    """Find the statements and values that POLICY can do without.

    Exit code 1 if there are any; 2 if some could not be decided and no other one was found.
    """
    try:
        found = check_dead_statements(policy.read(), TYPES[type], actions=known_actions(app, reference_files))
    except Undecided as error:
        click.echo(f"The policy could not be decided: {error}.", err=True)
        sys.exit(2)
    exit_code = 1 if found.parts else 0 if found.is_complete else 2
    return Answer(found.to_dict(), _lines(found), exit_code, indent=2)


def _lines(found: DeadParts) -> Iterator[str]:
    yield from (shown(_dead_sentence(part)) for part in found.parts)
    if not found.parts:
        yield "No dead statements or values." if found.is_complete else "No dead part was found."
    if not found.is_complete:
        yield "Some parts are too complex to decide."


def _dead_sentence(part: DeadPart) -> str:
    """Describe why a part is dead."""
    subject = f"Statement {part.statement_index}" + (f" ({part.statement_id})" if part.statement_id else "")
    others = [index for index in part.covered_by if index != part.statement_index]
    covering = f"statement{'s' if len(others) > 1 else ''} {' and '.join(map(str, others))}"
    match part.kind:
        case DeadKind.UNREACHABLE:
            return f"{subject} is unreachable: no request meets it."
        case DeadKind.DENIED:
            return f"{subject} allows nothing: all of it is denied by {covering}."
        case DeadKind.NO_EFFECT:
            return f"{subject} denies nothing that this policy allows; it still denies what other policies allow."
        case DeadKind.SHADOWED:
            return f"{subject} adds nothing: " + (f"covered by {covering}." if others else "it needs no permission.")
    place = " ".join(part.path)
    return f"{subject} has a redundant value in {place}: {part.value}" + (f" (covered by {covering})" if others else "")
