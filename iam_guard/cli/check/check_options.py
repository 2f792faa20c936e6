"""What the commands of `iam-guard check` share: formats, findings, colours and exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from importlib.metadata import version
from typing import Any

import click

from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.sarif import FileFinding, SarifRule, github_commands, sarif_log
from iam_guard.cli.kit.commands import JSON

_EXIT_CODES = {CheckVerdict.PASS: 0, CheckVerdict.FAIL: 1, CheckVerdict.UNKNOWN: 2}
COLOURS = {CheckVerdict.PASS: "green", CheckVerdict.FAIL: "red", CheckVerdict.UNKNOWN: "yellow"}
FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    show_default=True,
    help="Write this format.",
)


@dataclass(frozen=True)
class CheckAnswer:
    """What a check prints in each format, of which only the asked one is computed. Its verdict is the exit code."""

    verdict: CheckVerdict
    data: Callable[[], Any]
    findings: Iterable[FileFinding]
    rules: Mapping[str, SarifRule]
    lines: Iterable[str]


def checking(command: Callable[..., CheckAnswer]) -> Callable[..., None]:
    """Add the options `--format` and `--json` to a command, and print the answer that it returns."""

    @FORMAT
    @JSON
    @wraps(command)
    def checked(*, form: str, as_json: bool, **options: Any) -> None:
        answer = command(**options)
        match "json" if as_json else form:
            case "json":
                click.echo(json.dumps(answer.data(), indent=2))
            case "text":
                for line in answer.lines:
                    click.echo(line)
            case _:
                _print_findings(answer.findings, answer.rules, form)
        sys.exit(_EXIT_CODES[answer.verdict])

    return checked


def _print_findings(findings: Iterable[FileFinding], rules: Mapping[str, SarifRule], form: str) -> None:
    """Print findings as `sarif`, or as GitHub annotations."""
    if form == "sarif":
        click.echo(sarif_log(findings, rules, version("iam-guard")))
        return
    for line in github_commands(findings):
        click.echo(line)
