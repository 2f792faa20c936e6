"""`iam-guard check no-new-access`."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import click

from iam_guard.analysis.checks.policy_checks import check_no_new_access
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
    """Prove that NEW allows no request that EXISTING does not.

    Exit code 1 if it does, with such a request; 2 if that could not be decided. The files are JSON, `-` is standard
    input.
    """
    actions = known_actions(app, reference_files)
    old, text = existing.read(), new.read()
    result = check_no_new_access(old, text, TYPES[type], actions=actions)
    return policy_answer(result, CheckedFile(new.name, text, TYPES[type]))
