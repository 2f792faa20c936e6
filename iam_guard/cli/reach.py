"""`iam-guard who-can` and `what-can`: the tables of who may do something, and of what somebody may do.

Must not live here: finding it out (`iam_guard.reach`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

from iam_guard.cli.collecting import collecting_seldom
from iam_guard.cli.options import JSON, STORE
from iam_guard.cli.references import APP, REFERENCE, known_references
from iam_guard.model.context import Given
from iam_guard.policy.grammar import shown
from iam_guard.reach.answers import Ability, Access, AccessAnswer, AccessVerdict
from iam_guard.reach.what_can import what_can
from iam_guard.reach.who_can import who_can
from iam_guard.settings import load
from iam_guard.store.opening import open_store

CONTEXT = click.option(
    "--context", multiple=True, metavar="KEY=VALUE", help="A condition key of the request; again for several values."
)
_COLOURS = {AccessVerdict.ALLOWED: "green", AccessVerdict.CONDITIONAL: "yellow", AccessVerdict.DENIED: "red"}
_MOST_ACTIONS = 12
"""Actions of one row that are shown; JSON has all."""


@click.command("who-can")
@click.argument("action")
@click.argument("resource", default="*")
@CONTEXT
@click.option("--resource-account", help="The account that owns the resource, where the ARN does not say.")
@click.option("--all", "with_denied", is_flag=True, help="Show those too who may not.")
@STORE
@JSON
@collecting_seldom()
def who(
    action: str,
    resource: str,
    context: tuple[str, ...],
    resource_account: str | None,
    with_denied: bool,
    store: str,
    as_json: bool,
) -> None:
    """Say who in the store may do ACTION on RESOURCE (an ARN, `*`, or a pattern), and by which policy.

    Exit code 1 when nobody may.
    """
    settings = load()
    opened = open_store(store, settings, create=False)
    try:
        found = who_can(
            opened, action, resource, context=_context(context), resource_account=resource_account, settings=settings
        )
    finally:
        opened.close()
    told = [each for each in found if with_denied or each.verdict is not AccessVerdict.DENIED]
    if as_json:
        click.echo(json.dumps([each.to_dict() for each in told], indent=2))
    else:
        _print([*map(_access_row, told)], _counted(found, "principal"))
    sys.exit(0 if any(each.verdict is not AccessVerdict.DENIED for each in found) else 1)


@click.command("what-can")
@click.argument("principal")
@click.option("--resource", help="One resource, or a pattern, instead of those that policies name.")
@CONTEXT
@APP
@REFERENCE
@STORE
@JSON
@collecting_seldom()
def what(
    principal: str,
    resource: str | None,
    context: tuple[str, ...],
    app: str | None,
    reference_files: tuple[Path, ...],
    store: str,
    as_json: bool,
) -> None:
    """Say what PRINCIPAL (the ARN of a user, role or root user) may do, and on which resources.

    Exit code 1 when it may do nothing.
    """
    settings, references = load(), known_references(app, reference_files)
    opened = open_store(store, settings, create=False)
    try:
        found = what_can(
            opened, principal, resource=resource, references=references, context=_context(context), settings=settings
        )
    finally:
        opened.close()
    if as_json:
        click.echo(json.dumps([each.to_dict() for each in found], indent=2))
    else:
        _print([*map(_ability_row, found)], "")
    sys.exit(0 if found else 1)


def _context(given: Iterable[str]) -> dict[str, Given]:
    values: dict[str, list[str]] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or ":" not in key:
            message = f"expected KEY=VALUE such as aws:SourceIp=203.0.113.7, got `{text}`"
            raise click.BadParameter(message, param_hint="--context")
        values.setdefault(key, []).append(value)
    return {key: each[0] if len(each) == 1 else each for key, each in values.items()}


# --- tables ------------------------------------------------------------------------------------------------------


def _access_row(access: Access) -> tuple[AccessVerdict, tuple[str, ...], AccessAnswer]:
    return access.verdict, (shown(access.principal), access.kind), access.answer


def _ability_row(ability: Ability) -> tuple[AccessVerdict, tuple[str, ...], AccessAnswer]:
    more = len(ability.actions) - _MOST_ACTIONS
    actions = ", ".join(ability.actions[:_MOST_ACTIONS]) + (f" and {more} more" if more > 0 else "")
    return ability.verdict, (shown(ability.resource), actions), ability.answer


def _print(rows: Sequence[tuple[AccessVerdict, tuple[str, ...], AccessAnswer]], summary: str) -> None:
    width = max((len(cells[0]) for _, cells, _ in rows), default=0)
    for verdict, (first, second), answer in rows:
        click.echo(f"{click.style(f'{verdict.value:11}', fg=_COLOURS[verdict])}  {first:{width}}  {second}")
        for line in _details(answer):
            click.echo(f"             {line}")
    if summary:
        click.echo(summary)


def _details(answer: AccessAnswer) -> Iterator[str]:
    for each in answer.spoken:
        yield shown(f"by {each}" if each.policy and answer.verdict is not AccessVerdict.DENIED else f"{each}")
    if answer.open_keys:
        yield shown(f"depends on {', '.join(answer.open_keys)}")
    if answer.note:
        yield shown(f"if {answer.note}" if answer.verdict is AccessVerdict.CONDITIONAL else answer.note)


def _counted(found: Sequence[Access], what: str) -> str:
    counts = [sum(each.verdict is verdict for each in found) for verdict in AccessVerdict]
    told = ", ".join(f"{count} {verdict.value}" for count, verdict in zip(counts, AccessVerdict, strict=True))
    return f"{len(found)} {what}{'' if len(found) == 1 else 's'}: {told}"
