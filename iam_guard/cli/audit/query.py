"""`iam-guard audit query`: run SQL or a predefined query on a trail."""

from __future__ import annotations

import json
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from iam_guard.cli.kit.audit_sources import FOLDER, KEYS, trusted_keys
from iam_guard.cli.kit.commands import JSON, STORE
from iam_guard.cli.kit.progress import progress
from iam_guard.cli.kit.terminal import terminal_safe
from iam_guard.testing.text_table import aligned, fitted


@click.command()
@click.argument("folder", type=FOLDER)
@click.argument("sql", required=False)
@click.option(
    "--who-used", metavar="ROLE", help="List who used this role (ARN or name), for which actions, first and last."
)
@click.option("--denied", is_flag=True, help="List denials by caller, action and reason, with their number.")
@click.option(
    "--first-and-last-use",
    metavar="PRINCIPAL",
    help="List the first and last use of each action by a principal or role.",
)
@click.option(
    "--by",
    metavar="PRINCIPAL",
    help="List the requests of a principal or role, and the changes that the application made on its requests.",
)
@click.option("--changes", is_flag=True, help="List changes, issued sessions and failed calls of the IAM and STS API.")
@click.option("--no-verify", is_flag=True, help="Skip verification; requires no key.")
@KEYS
@STORE
@JSON
def command(
    folder: Path,
    sql: str | None,
    who_used: str | None,
    denied: bool,
    first_and_last_use: str | None,
    by: str | None,
    changes: bool,
    no_verify: bool,
    keys: tuple[str, ...],
    store: str,
    as_json: bool,
) -> None:
    """Query the trail in FOLDER with SQL over the view `records`, or with a predefined query."""
    options = {
        "who-used": who_used,
        "denied": "" if denied else None,
        "first-and-last-use": first_and_last_use,
        "by": by,
        "changes": "" if changes else None,
    }
    chosen = [(name, value) for name, value in options.items() if value is not None]
    if len(chosen) + (sql is not None) != 1:
        raise click.UsageError("expected SQL, --who-used, --denied, --first-and-last-use, --by or --changes")
    ring = None if no_verify else trusted_keys(keys, store)
    module = import_module("iam_guard.audit.consumer.query")
    question, value = (sql, None) if sql is not None else (module.QUESTIONS[chosen[0][0]], chosen[0][1] or None)
    with progress("querying"):
        answer = module.query_trail(folder, ring, question, value)
    if as_json:
        for row in answer.rows:
            click.echo(json.dumps(dict(zip(answer.columns, row, strict=True)), default=str))
    else:
        _print(answer.columns, answer.rows)


def _print(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print a table that fits the terminal, or whole lines into a pipe; without terminal control characters."""
    cells = [tuple("" if cell is None else terminal_safe(str(cell)) for cell in row) for row in rows]
    lines = whole = aligned([columns, *cells])
    if sys.stdout.isatty():
        lines = fitted(columns, cells, shutil.get_terminal_size().columns)
    for line in lines:
        click.echo(line)
    if lines != whole and any("…" in line for line in lines):
        click.echo("iam-guard: long cells are shortened to the width of the terminal; --json shows them", err=True)
