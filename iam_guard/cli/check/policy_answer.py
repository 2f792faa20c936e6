"""What the commands that check one or two policies share.

Exit codes: 0 PASS, 1 FAIL or a dead part, 2 UNKNOWN or an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import click

from iam_guard.analysis.checks.check_results import CheckResult, CheckVerdict, request_members
from iam_guard.analysis.request_sentences import request_sentence
from iam_guard.analysis.sarif import FileFinding, SarifRule
from iam_guard.cli.check.check_options import COLOURS, CheckAnswer
from iam_guard.cli.kit.reference_options import APP, REFERENCE, known_references
from iam_guard.model.decision import PolicyType
from iam_guard.policy.grammar import shown
from iam_guard.policy.parser import parse

TYPES = {"identity": PolicyType.IDENTITY, "resource": PolicyType.RESOURCE}
POLICY = click.File("r", encoding="utf-8-sig")
TYPE = click.option(
    "--type",
    "type",
    type=click.Choice(list(TYPES)),
    default="identity",
    show_default=True,
    help="Set the type of the policies.",
)
Command = TypeVar("Command", bound=Callable[..., object])


def universe(command: Command) -> Command:
    """Add the options that name the known actions; without them, any action exists."""
    return APP(REFERENCE(command))


def known_actions(app: str | None, files: tuple[Path, ...]) -> list[str] | None:
    """Return the actions of the references, None without any."""
    services = known_references(app, files)
    return [f"{service.name}:{action.name}" for service in services for action in service.actions] if services else None


class CheckedFile(NamedTuple):
    """The file whose statement a result names; without its text, the statement is one of several files."""

    name: str
    text: str | None = None
    type: PolicyType = PolicyType.IDENTITY


def policy_answer(result: CheckResult, file: CheckedFile) -> CheckAnswer:
    """Return what a check of policies prints."""
    return CheckAnswer(result.verdict, result.to_dict, _findings(result, file), _RULES, _lines(result))


def _findings(result: CheckResult, file: CheckedFile) -> Iterator[FileFinding]:
    """Yield the finding of a result that is no PASS, at the statement that it names."""
    if result.passed:
        return
    code = "check-failed" if result.verdict is CheckVerdict.FAIL else "check-undecided"
    message = " ".join([result.message, *(reason.description for reason in result.reasons)])
    if result.witness is not None:
        message += f" For example, {request_sentence(request_members(result.witness))}."
    line, column = 1, 1
    for reason in result.reasons:
        if file.text is not None and reason.statement_index is not None:
            position = parse(file.text, file.type).statements[reason.statement_index].position
            line, column = (line, column) if position is None else (position.line, position.column + 1)
    yield FileFinding(code, "error", shown(message), file.name, line, column)


_RULES = {
    "check-failed": SarifRule("A policy allows requests that the check excludes.", "error"),
    "check-undecided": SarifRule("It was not decided what a policy allows; treat it as failed.", "error"),
}


def _lines(result: CheckResult) -> Iterator[str]:
    yield f"{click.style(result.verdict.value, fg=COLOURS[result.verdict])}  {result.message}"
    yield from (f"  {shown(reason.description)}" for reason in result.reasons)
    if result.witness is not None:
        members = request_members(result.witness)
        yield f"  For example, {shown(request_sentence(members))}."
        yield f"  {json.dumps({'request': members})}"
