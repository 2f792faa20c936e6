"""`iam-guard lint`: check policies, seeds and cases for errors and risks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from iam_guard.analysis.lint.lint_codes import SEVERITIES
from iam_guard.analysis.lint.linter import Ignored, Linter, LintFinding
from iam_guard.analysis.lint.report import Filterable, as_json, file_findings, sarif, summary, text_report
from iam_guard.analysis.lint.rewriting import fix_file
from iam_guard.analysis.lint.sources import LintedFile, read_sources, sources_of_text
from iam_guard.analysis.sarif import github_commands
from iam_guard.cli.kit.gc_tuning import relaxed_gc
from iam_guard.cli.kit.progress import progress
from iam_guard.cli.kit.reference_options import APP, REFERENCE, catalogues_of_app, joined_references
from iam_guard.errors import InvalidInput
from iam_guard.model.catalogue import Catalogue
from iam_guard.model.decision import PolicyType
from iam_guard.policy.finding_codes import Level
from iam_guard.settings import load_settings

STDIN = Path("-")
STDIN_NAME = "stdin"
_BOM = "\ufeff".encode()
_TYPES = {type.name.lower().replace("_", "-"): type for type in PolicyType}
_COLOURS = {"ERROR": "red", "SECURITY_WARNING": "red", "WARNING": "yellow", "SUGGESTION": "cyan", None: "green"}
_LEVELS = {level.lower().replace("_", "-"): level for level in SEVERITIES}


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
)
@click.option(
    "--type", "type", type=click.Choice(list(_TYPES)), help="Set the policy type of files that are a single policy."
)
@APP
@REFERENCE
@click.option(
    "--min-severity",
    type=click.Choice(list(_LEVELS)),
    default="warning",
    show_default=True,
    help="Report findings of this severity and above.",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="CODE[@PATTERN]",
    help="Ignore a code, everywhere or in matching files, policies or Sids.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    show_default=True,
    help="Write this format.",
)
@click.option("--fix", "fix", is_flag=True, help="Write the fixes that keep access into the files (JSON only).")
@click.option("--unsafe-fixes", "unsafe", is_flag=True, help="Write also the fixes that change access; implies --fix.")
@click.option("--json", "as_json_too", is_flag=True, help="Write JSON, like --format json.")
@relaxed_gc()
def command(
    files: tuple[Path, ...],
    type: str | None,
    app: str | None,
    reference_files: tuple[Path, ...],
    min_severity: str,
    ignore: tuple[str, ...],
    form: str,
    fix: bool,
    unsafe: bool,
    as_json_too: bool,
) -> None:
    """Check FILES for errors and risks: policies (JSON or YAML), seeds, cases; `-` is standard input.

    Each fix was verified: it removes its finding and causes no other. Exit code 0 without findings, 1 with findings
    (with --fix: that are left).
    """
    catalogues = catalogues_of_app(app)
    lists = _list_rule(catalogues)
    linter = Linter(
        joined_references(catalogues, reference_files),
        least=_LEVELS[min_severity],
        ignored=[_ignored(text) for text in ignore],
        partition=load_settings().partition,
        rules=[] if lists is None else [lists],
        fixes=form != "github",
    )
    with progress("checking"):
        linted = [source for file in files for source in _read(file, _TYPES[type] if type else None)]
        if fix or unsafe:
            linted = _fixed(linter, linted, unsafe=unsafe)
        findings = list(dict.fromkeys(finding for source in linted for finding in linter.lint(source)))
    counted = Filterable(lists.statements, lists.filterable) if lists is not None and lists.statements else None
    _print(findings, linted, "json" if as_json_too else form, counted)
    sys.exit(1 if findings else 0)


def _read(file: Path, type: PolicyType | None) -> list[LintedFile]:
    if file != STDIN:
        return read_sources(file, type)
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidInput("cannot read standard input: it is not UTF-8") from None
    return sources_of_text(text, STDIN_NAME, type)


def _fixed(linter: Linter, files: Sequence[LintedFile], *, unsafe: bool) -> list[LintedFile]:
    """Write the fixes of files, print them, and return the files as they are then. The first type of a file counts."""
    fixed: dict[str, LintedFile] = {}
    for file in files:
        if file.name in fixed:
            continue
        rewritten = fix_file(linter, file, unsafe=unsafe)
        fixed[file.name] = rewritten.file
        if rewritten.findings and file.name == STDIN_NAME:
            raise InvalidInput("expected a file, got standard input: --fix writes into files")
        if rewritten.findings:
            _write(Path(file.name), rewritten.file.text)
        for finding in rewritten.findings:
            description = finding.fix.description if finding.fix is not None else ""
            click.echo(f"{finding.file}:{finding.line}:{finding.column}: fixed {finding.code}: {description}", err=True)
    return list(fixed.values())


def _write(path: Path, text: str) -> None:
    """Replace the text of a file; a byte order mark stays."""
    try:
        mark = _BOM if path.read_bytes().startswith(_BOM) else b""
        path.write_bytes(mark + text.encode())
    except OSError as error:
        raise InvalidInput(f"cannot write the file: {error.strerror}", place=str(path)) from None


def _list_rule(catalogues: Sequence[Catalogue]) -> Any:
    """Return the rule about lists of an application with models; it is imported only then."""
    if not any(catalogue.mappings for catalogue in catalogues):
        return None
    return import_module("iam_guard.analysis.lint.rules.lists").FilterableStatements(catalogues)


def _ignored(text: str) -> Ignored:
    try:
        return Ignored.of(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--ignore") from None


def _print(
    findings: Sequence[LintFinding], linted: Sequence[LintedFile], form: str, filterable: Filterable | None
) -> None:
    policies = sum(len(file.policies) for file in linted)
    match form:
        case "json":
            click.echo(as_json(findings, policies, filterable))
        case "sarif":
            click.echo(sarif(findings, version("iam-guard")))
        case "github":
            for line in github_commands(file_findings(findings)):
                click.echo(line)
        case _:
            for line in text_report(findings, {file.name: file.text for file in linted}, _paint):
                click.echo(line)
            click.echo(summary(findings, policies, _paint, filterable))


def _paint(text: str, level: Level | None) -> str:
    return click.style(text, fg=_COLOURS[level])
