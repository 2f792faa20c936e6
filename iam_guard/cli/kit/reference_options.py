"""The options that name service authorization references, of commands that judge policies by them.

An application is imported only if one is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path

import click

from iam_guard.analysis.reference.json_form import read_references
from iam_guard.errors import InvalidInput
from iam_guard.model.catalogue import Catalogue
from iam_guard.model.reference import ServiceReference

APP = click.option("--app", metavar="MODULE:APP", help="Include the services of this application.")
REFERENCE = click.option(
    "--reference",
    "reference_files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Include this service authorization reference, from `iam-guard reference` or from AWS.",
)


def known_references(app: str | None, files: Iterable[Path]) -> tuple[ServiceReference, ...]:
    """Return the references that an application declares and files contain; the last one of a name wins."""
    return joined_references(catalogues_of_app(app), files)


def catalogues_of_app(app: str | None) -> Sequence[Catalogue]:
    """Return what an application declares, one catalogue per service."""
    return () if app is None else import_module("iam_guard.cli.reference").declared_catalogues(app)


def joined_references(declared: Iterable[Catalogue], files: Iterable[Path]) -> tuple[ServiceReference, ...]:
    """Return the references of catalogues and those in files; the last one of a name wins."""
    found = {catalogue.service: catalogue.reference() for catalogue in declared}
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise InvalidInput("expected a service reference as JSON, in UTF-8", place=str(path)) from None
        found |= {read_reference.name: read_reference for read_reference in read_references(text, str(path))}
    return tuple(found.values())
