"""`iam-guard check`: the commands that prove what policies allow, imported on use."""

from __future__ import annotations

import click

from iam_guard.cli.group import CommandRow, LazyGroup

COMMANDS = {
    "access-not-granted": CommandRow(
        "policy_checks.access_not_granted", "Prove that POLICY allows none of some actions on any of some resources."
    ),
    "batch": CommandRow(
        "check_batch.batch",
        "Read checks as JSON lines from standard input, write their results as JSON lines in the same order.",
    ),
    "dead-statements": CommandRow(
        "policy_checks.dead_statements", "Find the statements and values that POLICY can do without."
    ),
    "equivalent": CommandRow("policy_checks.equivalent", "Prove that EXISTING and NEW allow the same requests."),
    "invariants": CommandRow(
        "check_invariants.invariants",
        "Prove that the invariants in FILE hold for all principals of a store: a database URL, or a seed file.",
    ),
    "no-new-access": CommandRow(
        "policy_checks.no_new_access", "Prove that NEW allows no request that EXISTING does not."
    ),
    "no-public-access": CommandRow(
        "policy_checks.no_public_access", "Prove that POLICY, a resource-based policy, does not allow everyone."
    ),
    "seed": CommandRow(
        "check_seed.seed",
        "Prove that the store NEW allows no request that OLD does not; both are seed files or database URLs.",
    ),
}


@click.group(cls=LazyGroup, rows=COMMANDS)
def check() -> None:
    """Prove what policies allow: a proof, or a request that shows the opposite. Exit code 0 only if it is proved."""
