"""`iam-guard matrix`: show who may do what, and compare it with an approved state."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import click

from iam_guard.cli.kit.commands import JSON
from iam_guard.cli.kit.progress import progress
from iam_guard.cli.kit.reference_options import known_references
from iam_guard.cli.kit.terminal import coloured
from iam_guard.errors import InvalidInput
from iam_guard.factory import open_guard
from iam_guard.testing.coverage.route_coverage import guarding_actions
from iam_guard.testing.coverage.route_measurement import load_application
from iam_guard.testing.matrix import AccessMatrix, access_matrix, changes
from iam_guard.testing.matrix_files import MatrixDescription, matrix_csv, read_approved, read_description
from iam_guard.testing.matrix_renderings import matrix_html, matrix_json, matrix_svg, matrix_text

_FORMS: dict[str, Callable[[AccessMatrix], str]] = {
    "text": lambda matrix: matrix_text(matrix) + "\n",
    "html": matrix_html,
    "svg": matrix_svg,
    "csv": matrix_csv,
    "json": lambda matrix: json.dumps(matrix_json(matrix)) + "\n",
}
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--store",
    help="Use this store, a database URL or a seed, instead of the seed of FILE; IAM_GUARD_STORE if FILE has no seed.",
)
@click.option("--app", help="Use the actions that guard MODULE:APP, if FILE names none.")
@click.option(
    "--format", "form", type=click.Choice(list(_FORMS)), help="Set the format; default: by the suffix of --output."
)
@click.option("--output", type=_FILE, help="Write to this file instead of the terminal.")
@click.option("--check", "approved", type=_FILE, help="List changes since this CSV was approved; exit code 1 if any.")
@click.option("--approve", "approving", type=_FILE, help="Write the CSV that --check compares with.")
@JSON
def command(
    file: Path,
    store: str | None,
    app: str | None,
    form: str | None,
    output: Path | None,
    approved: Path | None,
    approving: Path | None,
    as_json: bool,
) -> None:
    """Show who may do what, as FILE describes, in several formats; compare it with an approved state."""
    evaluated = _evaluate(read_description(file), store, app)
    if approving is not None:
        approving.write_text(matrix_csv(evaluated), encoding="utf-8")
        return
    if approved is not None:
        found = changes(read_approved(approved), evaluated.outcomes)
        click.echo(json.dumps({"changes": found}) if as_json else "\n".join(found) or "no changes")
        sys.exit(1 if found else 0)
    suffix = "" if output is None else output.suffix[1:]
    chosen = "json" if as_json else form or (suffix if suffix in _FORMS else "text")
    written = _FORMS[chosen](evaluated)
    if output is None:
        click.echo(coloured(written) if chosen == "text" else written, nl=False)
    else:
        output.write_text(written, encoding="utf-8")


def _evaluate(description: MatrixDescription, store: str | None, app: str | None) -> AccessMatrix:
    where = store or description.seed or os.environ.get("IAM_GUARD_STORE")
    if not where:
        raise InvalidInput("expected a `seed` in the file, --store, or IAM_GUARD_STORE")
    actions = description.actions
    if not actions and app is not None:
        actions = tuple(guarding_actions(load_application(app)))
    if not actions:
        raise InvalidInput("expected `actions` in the file, or --app")
    with progress("deciding"), closing(open_guard(where, audit="")) as guard:
        return access_matrix(
            guard,
            principals=description.principals,
            actions=actions,
            resources=description.resources,
            context=dict(description.context),
            references=known_references(app, ()),
        )
