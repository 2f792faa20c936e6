"""`iam-guard check no-new-access`, `equivalent`, `access-not-granted`, `no-public-access` and `dead-statements`.

Exit codes: 0 PASS, 1 FAIL or a dead part, 2 UNKNOWN or an error.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TextIO, TypeVar

import click

from iam_guard.analysis.checks.check_results import CheckResult, CheckVerdict, request_members
from iam_guard.analysis.checks.dead_statements import DeadKind, DeadPart, check_dead_statements
from iam_guard.analysis.checks.limits import Undecided
from iam_guard.analysis.checks.policy_checks import (
    ListedAccess,
    check_access_not_granted,
    check_equivalent,
    check_no_new_access,
    check_no_public_access,
)
from iam_guard.analysis.request_sentences import request_sentence
from iam_guard.analysis.sarif import FileFinding, SarifRule
from iam_guard.cli.check_options import COLOURS, EXIT_CODES, FORMAT, print_findings
from iam_guard.cli.options import JSON
from iam_guard.cli.reference_options import APP, REFERENCE, known_references
from iam_guard.model.decision import PolicyType
from iam_guard.policy.grammar import shown
from iam_guard.policy.parser import parse

_TYPES = {"identity": PolicyType.IDENTITY, "resource": PolicyType.RESOURCE}
_POLICY = click.File("r", encoding="utf-8-sig")
_TYPE = click.option(
    "--type",
    "type",
    type=click.Choice(list(_TYPES)),
    default="identity",
    show_default=True,
    help="Set the type of the policies.",
)
Command = TypeVar("Command", bound=Callable[..., None])


def _universe(command: Command) -> Command:
    """Add the options that name the known actions; without them, any action exists."""
    return APP(REFERENCE(command))


@click.command("no-new-access")
@click.argument("existing", type=_POLICY)
@click.argument("new", type=_POLICY)
@_TYPE
@_universe
@FORMAT
@JSON
def no_new_access(
    existing: TextIO,
    new: TextIO,
    type: str,
    app: str | None,
    reference_files: tuple[Path, ...],
    form: str,
    as_json: bool,
) -> None:
    """Prove that NEW allows no request that EXISTING does not.

    Exit code 1 if it does, with such a request; 2 if that could not be decided. The files are JSON, `-` is standard
    input.
    """
    actions = _actions(app, reference_files)
    old, text = existing.read(), new.read()
    result = check_no_new_access(old, text, _TYPES[type], actions=actions)
    _finish(result, "json" if as_json else form, CheckedFile(new.name, text, _TYPES[type]))


@click.command()
@click.argument("existing", type=_POLICY)
@click.argument("new", type=_POLICY)
@_TYPE
@_universe
@FORMAT
@JSON
def equivalent(
    existing: TextIO,
    new: TextIO,
    type: str,
    app: str | None,
    reference_files: tuple[Path, ...],
    form: str,
    as_json: bool,
) -> None:
    """Prove that EXISTING and NEW allow the same requests.

    Exit code 1 if only one of them allows a request, which is shown; 2 if that could not be decided.
    """
    actions = _actions(app, reference_files)
    result = check_equivalent(existing.read(), new.read(), _TYPES[type], actions=actions)
    _finish(result, "json" if as_json else form, CheckedFile(new.name))


@click.command("access-not-granted")
@click.argument("policy", type=_POLICY)
@click.option("--action", "listed_actions", multiple=True, help="Add an action; default: every action.")
@click.option("--resource", "listed_resources", multiple=True, help="Add a resource; default: every resource.")
@_TYPE
@_universe
@FORMAT
@JSON
def access_not_granted(
    policy: TextIO,
    listed_actions: tuple[str, ...],
    listed_resources: tuple[str, ...],
    type: str,
    app: str | None,
    reference_files: tuple[Path, ...],
    form: str,
    as_json: bool,
) -> None:
    """Prove that POLICY allows none of some actions on any of some resources.

    Exit code 1 if it allows one of them in any context, with such a request; 2 if that could not be decided.
    """
    access = [ListedAccess(listed_actions, listed_resources)]
    actions = _actions(app, reference_files)
    text = policy.read()
    result = check_access_not_granted(text, access, _TYPES[type], actions=actions)
    _finish(result, "json" if as_json else form, CheckedFile(policy.name, text, _TYPES[type]))


@click.command("no-public-access")
@click.argument("policy", type=_POLICY)
@click.option(
    "--resource-type",
    default="AWS::S3::Bucket",
    show_default=True,
    help="Set the type of resource that has the policy.",
)
@FORMAT
@JSON
def no_public_access(policy: TextIO, resource_type: str, form: str, as_json: bool) -> None:
    """Prove that POLICY, a resource-based policy, does not allow everyone.

    Exit code 1 if it does, with a request of such a caller; 2 if that could not be decided.
    """
    text = policy.read()
    result = check_no_public_access(text, resource_type)
    _finish(result, "json" if as_json else form, CheckedFile(policy.name, text, PolicyType.RESOURCE))


@click.command("dead-statements")
@click.argument("policy", type=_POLICY)
@_TYPE
@_universe
@JSON
def dead_statements(
    policy: TextIO, type: str, app: str | None, reference_files: tuple[Path, ...], as_json: bool
) -> None:
    """Find the statements and values that POLICY can do without.

    Exit code 1 if there are any; 2 if some could not be decided and no other one was found.
    """
    try:
        found = check_dead_statements(policy.read(), _TYPES[type], actions=_actions(app, reference_files))
    except Undecided as error:
        click.echo(f"The policy could not be decided: {error}.", err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2))
    else:
        for part in found.parts:
            click.echo(shown(_dead_sentence(part)))
        if not found.parts:
            click.echo("No dead statements or values." if found.is_complete else "No dead part was found.")
        if not found.is_complete:
            click.echo("Some parts are too complex to decide.")
    sys.exit(1 if found.parts else 0 if found.is_complete else 2)


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


def _actions(app: str | None, files: tuple[Path, ...]) -> list[str] | None:
    """Return the actions of the references, None without any."""
    services = known_references(app, files)
    return [f"{service.name}:{action.name}" for service in services for action in service.actions] if services else None


class CheckedFile(NamedTuple):
    """The file whose statement a result names; without its text, the statement is one of several files."""

    name: str
    text: str | None = None
    type: PolicyType = PolicyType.IDENTITY


def _finish(result: CheckResult, form: str, file: CheckedFile) -> None:
    match form:
        case "json":
            click.echo(json.dumps(result.to_dict(), indent=2))
        case "sarif" | "github":
            print_findings(_findings(result, file), _RULES, form)
        case _:
            for line in _lines(result):
                click.echo(line)
    sys.exit(EXIT_CODES[result.verdict])


def _findings(result: CheckResult, file: CheckedFile) -> list[FileFinding]:
    """Return the finding of a result that is no PASS, at the statement that it names."""
    if result.passed:
        return []
    code = "check-failed" if result.verdict is CheckVerdict.FAIL else "check-undecided"
    message = " ".join([result.message, *(reason.description for reason in result.reasons)])
    if result.witness is not None:
        message += f" For example, {request_sentence(request_members(result.witness))}."
    line, column = 1, 1
    for reason in result.reasons:
        if file.text is not None and reason.statement_index is not None:
            position = parse(file.text, file.type).statements[reason.statement_index].position
            line, column = (line, column) if position is None else (position.line, position.column + 1)
    return [FileFinding(code, "error", shown(message), file.name, line, column)]


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
