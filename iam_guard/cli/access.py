"""`iam-guard who-can` and `what-can`: which principals can perform an action, and what a principal can do."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import TypeAlias

import click

from iam_guard.analysis.access.access_answers import Ability, Access, AccessAnswer, AccessVerdict, RoleStep
from iam_guard.analysis.access.what_can import what_can
from iam_guard.analysis.access.who_can import who_can
from iam_guard.cli.gc_tuning import relaxed_gc
from iam_guard.cli.options import ACCOUNT_ID, JSON, STORE
from iam_guard.cli.progress import progress
from iam_guard.cli.reference_options import APP, REFERENCE, known_references
from iam_guard.model.context import Given
from iam_guard.policy.grammar import shown
from iam_guard.settings import load
from iam_guard.store.open_store import open_store

CONTEXT = click.option(
    "--context", multiple=True, metavar="KEY=VALUE", help="Set a condition key of the request; repeat for more values."
)
THROUGH_ROLES = click.option(
    "--through-roles", is_flag=True, help="Include access gained by assuming roles, also in a chain."
)
_COLOURS = {AccessVerdict.ALLOWED: "green", AccessVerdict.CONDITIONAL: "yellow", AccessVerdict.DENIED: "red"}
_MAX_ACTIONS = 12
"""The maximum number of actions shown in one row; JSON has all."""


@click.command("who-can")
@click.argument("action")
@click.argument("resource", default="*")
@CONTEXT
@click.option("--resource-account", type=ACCOUNT_ID, help="Set the account that owns the resource if its ARN has none.")
@THROUGH_ROLES
@APP
@REFERENCE
@click.option("--all", "with_denied", is_flag=True, help="Show denied principals, too.")
@STORE
@JSON
@relaxed_gc()
def who(
    action: str,
    resource: str,
    context: tuple[str, ...],
    resource_account: str | None,
    through_roles: bool,
    app: str | None,
    reference_files: tuple[Path, ...],
    with_denied: bool,
    store: str,
    as_json: bool,
) -> None:
    """List which principals can perform ACTION on RESOURCE (an ARN, `*`, or a pattern), and by which policy.

    Exit code 1 if no principal can. An unknown action of IAM, of STS or of the given services is an error.
    """
    settings, references = load(), known_references(app, reference_files)
    with progress("searching"), closing(open_store(store, settings)) as opened:
        found = who_can(
            *(opened, action, resource),
            context=_context(context),
            resource_account=resource_account,
            references=references,
            settings=settings,
            through_roles=through_roles,
        )
    listed = [access for access in found if with_denied or access.verdict is not AccessVerdict.DENIED]
    if as_json:
        click.echo(json.dumps([access.to_dict() for access in listed], indent=2))
    else:
        _print([_access_row(access) for access in listed])
        click.echo(_counted(found, "principal"))
    sys.exit(0 if any(access.verdict is not AccessVerdict.DENIED for access in found) else 1)


@click.command("what-can")
@click.argument("principal")
@click.option("--resource", help="Check this resource or pattern only.")
@CONTEXT
@THROUGH_ROLES
@APP
@REFERENCE
@STORE
@JSON
@relaxed_gc()
def what(
    principal: str,
    resource: str | None,
    context: tuple[str, ...],
    through_roles: bool,
    app: str | None,
    reference_files: tuple[Path, ...],
    store: str,
    as_json: bool,
) -> None:
    """List what PRINCIPAL (the ARN of a user, role or root user) can do, and on which resources.

    Exit code 1 if it can do nothing.
    """
    settings, references = load(), known_references(app, reference_files)
    with progress("searching"), closing(open_store(store, settings)) as opened:
        found = what_can(
            *(opened, principal),
            resource=resource,
            references=references,
            context=_context(context),
            settings=settings,
            through_roles=through_roles,
        )
    if as_json:
        click.echo(json.dumps([ability.to_dict() for ability in found], indent=2))
    else:
        for steps, abilities in groupby(found, key=lambda ability: ability.steps):
            for line in _chain(principal, steps):
                click.echo(line)
            _print([_ability_row(ability) for ability in abilities])
    sys.exit(0 if found else 1)


def _context(options: Iterable[str]) -> dict[str, Given]:
    values: dict[str, list[str]] = {}
    for text in options:
        key, equals, value = text.partition("=")
        if not equals or ":" not in key:
            message = f"expected KEY=VALUE such as aws:SourceIp=203.0.113.7, got `{text}`"
            raise click.BadParameter(message, param_hint="--context")
        values.setdefault(key, []).append(value)
    return {key: texts[0] if len(texts) == 1 else texts for key, texts in values.items()}


# --- tables ------------------------------------------------------------------------------------------------------


_Row: TypeAlias = tuple[AccessVerdict, tuple[str, str], Sequence[str]]


def _access_row(access: Access) -> _Row:
    details = [*_chain(access.principal, access.steps), *_details(access.answer)]
    return access.verdict, (shown(access.principal), access.kind), details


def _ability_row(ability: Ability) -> _Row:
    more = len(ability.actions) - _MAX_ACTIONS
    actions = ", ".join(ability.actions[:_MAX_ACTIONS]) + (f" and {more} more" if more > 0 else "")
    return ability.verdict, (shown(ability.resource), actions), list(_details(ability.answer))


def _print(rows: Sequence[_Row]) -> None:
    width = max((len(cells[0]) for _, cells, _ in rows), default=0)
    for verdict, (first, second), details in rows:
        click.echo(f"{click.style(f'{verdict.value:11}', fg=_COLOURS[verdict])}  {first:{width}}  {second}")
        for line in details:
            click.echo(f"             {line}")


def _chain(principal: str, steps: Sequence[RoleStep]) -> Iterator[str]:
    """Return the chain of assumed roles, and why each may be assumed."""
    if steps:
        yield shown(" -> ".join(_short(arn, principal) for arn in (principal, *(step.role for step in steps))))
    for step in steps:
        for line in _details(step.answer):
            yield f"  {_short(step.role, principal)}: {line}"


def _short(arn: str, principal: str) -> str:
    """Shorten an ARN to its resource part if it is of the principal's service and account."""
    service_and_account = principal.split(":")[:5]
    return arn.split(":", 5)[5] if arn.startswith("arn:") and arn.split(":")[:5] == service_and_account else arn


def _details(answer: AccessAnswer) -> Iterator[str]:
    for statement in answer.spoken:
        is_grant = statement.policy and answer.verdict is not AccessVerdict.DENIED
        yield shown(f"by {statement}" if is_grant else f"{statement}")
    if answer.open_keys:
        yield shown(f"depends on {', '.join(answer.open_keys)}")
    if answer.note:
        yield shown(f"if {answer.note}" if answer.verdict is AccessVerdict.CONDITIONAL else answer.note)


def _counted(found: Sequence[Access], what: str) -> str:
    counts = [sum(access.verdict is verdict for access in found) for verdict in AccessVerdict]
    verdicts = ", ".join(f"{count} {verdict.value}" for count, verdict in zip(counts, AccessVerdict, strict=True))
    return f"{len(found)} {what}{'' if len(found) == 1 else 's'}: {verdicts}"
