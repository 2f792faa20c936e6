"""`iam-guard analyze`: the commands that find access in a store, imported on use."""

from __future__ import annotations

import click

from iam_guard.cli.group import CommandRow, LazyGroup

COMMANDS = {
    "external": CommandRow(
        "analyze_external.external", "Find which resources and roles callers from outside of their account can access."
    ),
    "internal": CommandRow(
        "analyze_internal.internal", "Find which users and roles of its account and organization can access RESOURCES."
    ),
    "unused": CommandRow(
        "analyze_unused.unused", "Find roles, access keys, passwords and permissions that were not used for some time."
    ),
    "escalation": CommandRow(
        "analyze_escalation.escalation", "Find which principals can become others, or an administrator, and how."
    ),
    "report": CommandRow(
        "analyze_report.report", "Write external access, unused access and escalation as one HTML page for people."
    ),
}


@click.group(cls=LazyGroup, rows=COMMANDS)
def analyze() -> None:
    """Find access that a store allows: from outside, inside, unused, and paths to more. Exit code 1 if there is any."""
