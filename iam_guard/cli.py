"""The command `iam-guard`. Exit codes: 0 yes, 1 no or findings, 2 usage or error. Every command has `--json`.

Must not live here: what the commands do; each is a few lines over the rooms below.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from iam_guard.asgi.routes import Endpoint, inventory
from iam_guard.errors import IamGuardError
from iam_guard.settings import load
from iam_guard.store.opening import init_store, open_database
from iam_guard.store.seed import apply_seed, load_seed
from iam_guard.testing.case_files import CaseEntry, Unreadable, entries_of_file, entries_of_lines
from iam_guard.testing.cases import decide_case, read_case

_STORE = click.option(
    "--store",
    envvar="IAM_GUARD_STORE",
    default="sqlite:///iam-guard.db",
    show_default=True,
    help="Database URL of the store; IAM_GUARD_STORE sets it too.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Write JSON instead of text.")


class _Commands(click.Group):
    """A group that turns our errors into a message and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except IamGuardError as error:
            raise SystemExit(_complain(str(error))) from None


def _complain(message: str) -> int:
    click.echo(f"iam-guard: {message}", err=True)
    return 2


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="iam-guard")
def main() -> None:
    """The access management that AWS gives its own services, for anybody's Python service."""


@main.command()
@_STORE
@_JSON
def init(store: str, as_json: bool) -> None:
    """Create the store, and the key that seals its secrets."""
    opened = init_store(store, load())
    _print_lines([f"the store is ready at epoch {opened.epoch()}"], as_json=as_json)
    opened.close()


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--prune", is_flag=True, help="Remove what the accounts of the file have beyond it.")
@_STORE
@_JSON
def apply(file: Path, prune: bool, store: str, as_json: bool) -> None:
    """Apply a seed FILE: afterwards the store holds what it declares. A bad file changes nothing."""
    settings = load()
    opened = open_database(store, settings)
    try:
        changes = apply_seed(opened, load_seed(file, partition=settings.partition), prune=prune)
    finally:
        opened.close()
    _print_lines(changes.lines, otherwise="no changes", as_json=as_json)


def _print_lines(lines: Sequence[str], *, otherwise: str = "", as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"changes": list(lines)}))
        return
    for line in lines or [otherwise]:
        click.echo(line)


@main.command()
@click.argument("app")
@_JSON
def routes(app: str, as_json: bool) -> None:
    """List the endpoints of APP (`module:app`) and what guards them; exit code 1 when nobody guards one."""
    endpoints = inventory(_load_app(app))
    if as_json:
        click.echo(json.dumps([_as_row(each) for each in endpoints]))
    else:
        _print_endpoints(endpoints)
    sys.exit(0 if all(each.is_guarded for each in endpoints) else 1)


def _load_app(name: str) -> Any:
    """Import `module:attribute`; a function without parameters is called, as uvicorn does with `--factory`."""
    module_name, colon, attribute = name.partition(":")
    if not colon:
        raise click.BadParameter("expected module:app", param_hint="APP")
    sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise click.BadParameter(str(error), param_hint="APP") from None
    return found if hasattr(found, "routes") or not callable(found) else found()


def _as_row(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "path": endpoint.path,
        "methods": list(endpoint.methods),
        "endpoint": endpoint.name,
        "guards": list(endpoint.guards),
    }


def _print_endpoints(endpoints: list[Endpoint]) -> None:
    rows = [(",".join(each.methods) or "ANY", each.path, ", ".join(each.guards) or "UNGUARDED") for each in endpoints]
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    for methods, path, guards in rows:
        click.echo(f"{methods:{widths[0]}}  {path:{widths[1]}}  {guards}")
    missing = sum(1 for each in endpoints if not each.is_guarded)
    click.echo(f"{len(endpoints)} endpoints, {missing} unguarded")


@main.command()
def decide() -> None:
    """Read cases as JSON lines from standard input, write `{"id", "outcome"}` lines in the same order."""
    for entry in entries_of_lines(sys.stdin, "stdin"):
        click.echo(json.dumps(_answer(entry)))


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_JSON
def test(files: tuple[Path, ...], as_json: bool) -> None:
    """Run the cases of FILES (JSON lines or YAML); print failures, then `N passed, N failed`."""
    counts: Counter[bool] = Counter()
    for file in files:
        for entry in entries_of_file(file):
            answer = _answer(entry)
            expected = (
                entry.given.get("expected") if isinstance(entry, CaseEntry) and isinstance(entry.given, dict) else None
            )
            got = answer.get("outcome", "error")
            counts[got == expected] += 1
            if got != expected:
                failure = {"place": entry.place, **answer, "expected": expected}
                click.echo(json.dumps(failure) if as_json else _failure(failure, got))
    passed, failed = counts[True], counts[False]
    click.echo(json.dumps({"passed": passed, "failed": failed}) if as_json else f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def _failure(failure: dict[str, Any], got: str) -> str:
    detail = f" ({failure['error']})" if "error" in failure else ""
    return f"{failure['place']}: {failure['id']}: expected {failure['expected']}, got {got}{detail}"


def _answer(entry: CaseEntry | Unreadable) -> dict[str, Any]:
    """Decide one case; an undecidable one answers `error`, and the stream goes on."""
    if isinstance(entry, Unreadable):
        return {"id": None, "error": entry.problem}
    case_id = entry.given.get("id") if isinstance(entry.given, dict) else None
    try:
        decision = decide_case(read_case(entry.given))
    except IamGuardError as error:
        return {"id": case_id, "error": str(error)}
    if decision.error is not None:
        return {"id": case_id, "error": decision.error}
    return {"id": case_id, "outcome": decision.outcome.value}
