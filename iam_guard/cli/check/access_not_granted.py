"""`iam-guard check access-not-granted`."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO

import click

from iam_guard.analysis.checks.policy_checks import ListedAccess, check_access_not_granted
from iam_guard.cli.check.check_options import CheckAnswer, checking
from iam_guard.cli.check.policy_answer import POLICY, TYPE, TYPES, CheckedFile, known_actions, policy_answer, universe


@click.command()
@click.argument("policy", type=POLICY)
@click.option("--action", "listed_actions", multiple=True, help="Add an action; default: every action.")
@click.option("--resource", "listed_resources", multiple=True, help="Add a resource; default: every resource.")
@TYPE
@universe
@checking
def command(
    policy: TextIO,
    listed_actions: tuple[str, ...],
    listed_resources: tuple[str, ...],
    type: str,
    app: str | None,
    reference_files: tuple[Path, ...],
) -> CheckAnswer:
    """Prove that POLICY allows none of some actions on any of some resources.

    Exit code 1 if it allows one of them in any context, with such a request; 2 if that could not be decided.
    """
    access = [ListedAccess(listed_actions, listed_resources)]
    actions = known_actions(app, reference_files)
    text = policy.read()
    result = check_access_not_granted(text, access, TYPES[type], actions=actions)
    return policy_answer(result, CheckedFile(policy.name, text, TYPES[type]))
