"""What the commands of `iam-guard check` share: formats, colours and exit codes."""

from __future__ import annotations

import click

from iam_guard.analysis.checks.check_results import CheckVerdict

EXIT_CODES = {CheckVerdict.PASS: 0, CheckVerdict.FAIL: 1, CheckVerdict.UNKNOWN: 2}
COLOURS = {CheckVerdict.PASS: "green", CheckVerdict.FAIL: "red", CheckVerdict.UNKNOWN: "yellow"}
FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    show_default=True,
    help="Write this format.",
)
