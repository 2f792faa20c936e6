"""What a command is made of: options that several have, and what it prints as text, or as JSON with `--json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

import click


class _AccountId(click.types.StringParamType):
    """The id of an account; a copied one may have spaces around it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value).strip()


ACCOUNT_ID: Final = _AccountId()
"""The type of options that name an account."""
ACCOUNT = click.argument("account", type=ACCOUNT_ID)
OWNER = click.option("--account", type=ACCOUNT_ID, help="Set the account that owns the resource if its ARN has none.")
STORE = click.option(
    "--store",
    envvar="IAM_GUARD_STORE",
    default="sqlite:///iam-guard.db",
    show_default=True,
    help="Use the store at this database URL; IAM_GUARD_STORE sets it, too.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON instead of text.")


@dataclass(frozen=True)
class Answer:
    """The result of a command, and its exit code.

    `data` is written with `--json`, indented by `indent` spaces; else `lines`, or one text, to standard output, and
    `notes` to standard error. `warnings` go there in both cases.
    """

    data: Any
    lines: str | Iterable[str]
    exit_code: int = 0
    notes: Iterable[str] = ()
    warnings: Iterable[str] = ()
    indent: int | None = None


def answering(command: Callable[..., Answer]) -> Callable[..., None]:
    """Add the option `--json` to a command, and print the answer that it returns."""

    @JSON
    @wraps(command)
    def answered(*, as_json: bool, **options: Any) -> None:
        answer = command(**options)
        if as_json:
            click.echo(json.dumps(answer.data, indent=answer.indent))
        else:
            for line in [answer.lines] if isinstance(answer.lines, str) else answer.lines:
                click.echo(line)
            for note in answer.notes:
                click.echo(note, err=True)
        for warning in answer.warnings:
            click.echo(warning, err=True)
        if answer.exit_code:
            sys.exit(answer.exit_code)

    return answered
