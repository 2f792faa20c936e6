"""What `iam-guard who-can` and `what-can` share: options, and the rows of their tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

import click

from iam_guard.analysis.access.access_answers import AccessAnswer, AccessVerdict, RoleStep
from iam_guard.model.context import Given
from iam_guard.policy.grammar import shown

CONTEXT = click.option(
    "--context", multiple=True, metavar="KEY=VALUE", help="Set a condition key of the request; repeat for more values."
)
THROUGH_ROLES = click.option(
    "--through-roles", is_flag=True, help="Include access gained by assuming roles, also in a chain."
)
_COLOURS = {AccessVerdict.ALLOWED: "green", AccessVerdict.CONDITIONAL: "yellow", AccessVerdict.DENIED: "red"}

Row: TypeAlias = tuple[AccessVerdict, tuple[str, str], Sequence[str]]
"""A verdict, two cells, and lines below them."""


def given_context(options: Iterable[str]) -> dict[str, Given]:
    """Return the condition keys of the option `--context`. Raises `click.BadParameter`."""
    values: dict[str, list[str]] = {}
    for text in options:
        key, equals, value = text.partition("=")
        if not equals or ":" not in key:
            message = f"expected KEY=VALUE such as aws:SourceIp=203.0.113.7, got `{text}`"
            raise click.BadParameter(message, param_hint="--context")
        values.setdefault(key, []).append(value)
    return {key: texts[0] if len(texts) == 1 else texts for key, texts in values.items()}


def access_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Return the lines of a table."""
    width = max((len(cells[0]) for _, cells, _ in rows), default=0)
    for verdict, (first, second), details in rows:
        yield f"{click.style(f'{verdict.value:11}', fg=_COLOURS[verdict])}  {first:{width}}  {second}"
        yield from (f"             {line}" for line in details)


def chain(principal: str, steps: Sequence[RoleStep]) -> Iterator[str]:
    """Return the chain of assumed roles, and why each may be assumed."""
    if steps:
        yield shown(" -> ".join(_short(arn, principal) for arn in (principal, *(step.role for step in steps))))
    for step in steps:
        for line in answer_details(step.answer):
            yield f"  {_short(step.role, principal)}: {line}"


def _short(arn: str, principal: str) -> str:
    """Shorten an ARN to its resource part if it is of the principal's service and account."""
    service_and_account = principal.split(":")[:5]
    return arn.split(":", 5)[5] if arn.startswith("arn:") and arn.split(":")[:5] == service_and_account else arn


def answer_details(answer: AccessAnswer) -> Iterator[str]:
    for statement in answer.spoken:
        is_grant = statement.policy and answer.verdict is not AccessVerdict.DENIED
        yield shown(f"by {statement}" if is_grant else f"{statement}")
    if answer.open_keys:
        yield shown(f"depends on {', '.join(answer.open_keys)}")
    if answer.note:
        yield shown(f"if {answer.note}" if answer.verdict is AccessVerdict.CONDITIONAL else answer.note)
