"""What the commands of `iam-guard check` share: formats, findings, colours and exit codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version

import click

from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.sarif import FileFinding, SarifRule, github_commands, sarif_log

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


def print_findings(findings: Iterable[FileFinding], rules: Mapping[str, SarifRule], form: str) -> None:
    """Print findings as `sarif`, or as GitHub annotations."""
    if form == "sarif":
        click.echo(sarif_log(findings, rules, version("iam-guard")))
        return
    for line in github_commands(findings):
        click.echo(line)
