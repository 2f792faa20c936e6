"""The command `iam-guard`. Exit codes: 0 yes, 1 no or findings, 2 usage or error. Every command has `--json`.

Must not live here: what the commands do; each is a few lines over the rooms below.
"""

from __future__ import annotations

import gc
import importlib
import inspect
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import Any, cast

import click

from iam_guard.asgi.routes import Endpoint, inventory
from iam_guard.errors import IamGuardError, InvalidInput
from iam_guard.settings import load
from iam_guard.store.opening import init_store, open_database
from iam_guard.store.seed import apply_seed, load_seed
from iam_guard.testing.answer import answer
from iam_guard.testing.case_files import UNDECODED, entries_of_file, entries_of_text, lines_at_hand
from iam_guard.testing.case_json import CaseDecoder, CaseEntry, Unreadable
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
    seed = load_seed(file, partition=settings.partition)
    opened = open_database(store, settings)
    try:
        changes = apply_seed(opened, seed, prune=prune)
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
    """Import `module:attribute`; what can be called without arguments is, as uvicorn does with `--factory`."""
    module_name, colon, attribute = name.partition(":")
    if not colon:
        raise click.BadParameter("expected module:app", param_hint="APP")
    sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module_name), attribute)
        return found() if _is_factory(found) else found
    except IamGuardError:
        raise
    except Exception as error:  # whatever the module does, nothing was found out: 2, not 1
        raise click.BadParameter(f"{type(error).__name__}: {error}", param_hint="APP") from error


def _is_factory(found: Any) -> bool:
    if hasattr(found, "routes") or not callable(found):
        return False
    parameters = inspect.signature(found).parameters.values()
    return all(
        each.default is not each.empty or each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) for each in parameters
    )


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


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Let the collector of cycles look less often: policies that are remembered hold many objects and no cycle."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


@main.command()
@_collecting_seldom()
def decide() -> None:
    """Read cases as JSON lines from standard input, write `{"id", "outcome"}` lines in the same order."""
    decoder = CaseDecoder()
    for lines in lines_at_hand(cast(BufferedIOBase, sys.stdin.buffer)):
        entries = (decoder.decode(line, "stdin") for line in lines if line and not line.isspace())
        answers = [json.dumps(answer(entry)) for entry in entries]
        if answers:
            click.echo("\n".join(answers))


@main.command("explain")
@click.argument("file", default="-", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--id", "case_id", help="Which case, where FILE has several.")
@_JSON
def explain_case(file: Path, case_id: str | None, as_json: bool) -> None:
    """Say why a case of FILE (JSON, JSON lines or YAML; else standard input) is allowed or denied.

    Exit code 0 when it is allowed, 1 when it is denied.
    """
    decision = decide_case(read_case(_chosen(_entries(file), case_id).given))
    explanation = decision.explain()
    click.echo(json.dumps(explanation.to_dict()) if as_json else _coloured(explanation.text()))
    sys.exit(2 if decision.error is not None else int(not decision.allowed))


def _entries(file: Path) -> list[CaseEntry | Unreadable]:
    if file == Path("-"):
        return entries_of_text(sys.stdin.buffer.read().decode("utf-8", UNDECODED), "stdin")
    if file.suffix in (".yaml", ".yml"):
        return list(entries_of_file(file))
    return entries_of_text(file.read_text(encoding="utf-8", errors=UNDECODED), str(file))


def _chosen(entries: Sequence[CaseEntry | Unreadable], case_id: str | None) -> CaseEntry:
    named = [
        each for each in entries if case_id is None or (isinstance(each, CaseEntry) and each.member("id") == case_id)
    ]
    match named:
        case [CaseEntry() as chosen]:
            return chosen
        case [Unreadable(place, problem)]:
            raise InvalidInput(problem, place=place)
    if case_id is None:
        raise InvalidInput(f"expected one case, or --id to choose one, got {len(named)} cases")
    raise InvalidInput(f"expected one case with the id `{case_id}`, got {len(named)} of {len(entries)} cases")


def _coloured(text: str) -> str:
    """Colour the marks; click takes the colours out again where the output is no terminal."""
    return text.replace("✓", click.style("✓", fg="green")).replace("✗", click.style("✗", fg="red"))


@main.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_JSON
@_collecting_seldom()
def test(files: tuple[Path, ...], as_json: bool) -> None:
    """Run the cases of FILES (JSON lines or YAML); print failures, then `N passed, N failed`."""
    counts: Counter[bool] = Counter()
    for file in files:
        for entry in entries_of_file(file):
            answered = answer(entry)
            expected = entry.member("expected") if isinstance(entry, CaseEntry) else None
            got = answered.get("outcome", "error")
            counts[got == expected] += 1
            if got != expected:
                failure = {"place": entry.place, **answered, "expected": expected}
                click.echo(json.dumps(failure) if as_json else _failure(failure, got))
    passed, failed = counts[True], counts[False]
    click.echo(json.dumps({"passed": passed, "failed": failed}) if as_json else f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


def _failure(failure: dict[str, Any], got: str) -> str:
    detail = f" ({failure['error']})" if "error" in failure else ""
    return f"{failure['place']}: {failure['id']}: expected {failure['expected']}, got {got}{detail}"
