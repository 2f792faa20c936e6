"""`iam-guard check equivalent`."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import click

from iam_guard.analysis.checks.policy_checks import check_equivalent
from iam_guard.cli.check.check_options import CheckAnswer, checking
from iam_guard.cli.check.policy_answer import POLICY, TYPE, TYPES, CheckedFile, known_actions, policy_answer, universe


@click.command()
@click.argument("existing", type=POLICY)
@click.argument("new", type=POLICY)
@TYPE
@universe
@checking
def command(
    existing: TextIO,
    new: TextIO,
    type: str,
    app: str | None,
    reference_files: tuple[Path, ...],
) -> CheckAnswer:
    """Prove that EXISTING and NEW allow the same requests.

    Exit code 1 if only one of them allows a request, which is shown; 2 if that could not be decided.
    """
    actions = known_actions(app, reference_files)
    result = check_equivalent(existing.read(), new.read(), TYPES[type], actions=actions)
    return policy_answer(result, CheckedFile(new.name))
