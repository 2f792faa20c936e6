"""What the commands that check whole stores share: formats, colours, exit codes, and the services they know."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import click

from iam_guard.analysis.checks.check_results import CheckVerdict
from iam_guard.analysis.reference.own_references import own_references
from iam_guard.cli.reference_options import known_references

EXIT_CODES = {CheckVerdict.PASS: 0, CheckVerdict.FAIL: 1, CheckVerdict.UNKNOWN: 2}
COLOURS = {CheckVerdict.PASS: "green", CheckVerdict.FAIL: "red", CheckVerdict.UNKNOWN: "yellow"}
FORMAT = click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    show_default=True,
    help="Write this format.",
)


class KnownServices(NamedTuple):
    """`prefixes`, in lower case, of the services that the application declares; all `actions`, None for any."""

    prefixes: frozenset[str]
    actions: tuple[str, ...] | None


def declared_services(app: str | None, files: Iterable[Path]) -> KnownServices:
    """Return the services of an application and of references; with any, IAM's and STS's actions exist, too."""
    declared = known_references(app, files)
    prefixes = frozenset(service.name.lower() for service in declared)
    if not declared:
        return KnownServices(prefixes, None)
    listed = {service.name: service for service in (*own_references(), *declared)}
    actions = [f"{service.name}:{action.name}" for service in listed.values() for action in service.actions]
    return KnownServices(prefixes, tuple(actions))
