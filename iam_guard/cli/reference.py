"""`iam-guard reference`, and the service authorization references that `module:app` declares.

`app` may be an application, a `Guard`, a `Service`, or a list of services. An application declares the services of its
routes, those of its guard, and those in variables of its module.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from iam_guard.analysis.reference.json_form import reference_json
from iam_guard.analysis.reference.own_references import own_references
from iam_guard.analysis.reference.pages import html_page, markdown
from iam_guard.api.service_features import features_table
from iam_guard.errors import InvalidInput
from iam_guard.guard.guard import Guard
from iam_guard.model.catalogue import Catalogue
from iam_guard.model.reference import ServiceReference
from iam_guard.testing.applications import endpoints_of, load_app
from iam_guard.web.endpoints import catalogues_of
from iam_guard.web.service import Service


@click.command()
@click.argument("app", metavar="[MODULE:APP]", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["md", "html", "json", "features"]),
    default="md",
    show_default=True,
    help="Write this format; `features` is a table of the features of IAM that the services support.",
)
@click.option(
    "--service", "names", multiple=True, help="Write only the service with this prefix; `iam` and `sts` are built in."
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of standard output.",
)
def command(app: str | None, form: str, names: tuple[str, ...], output: Path | None) -> None:
    """Write the service authorization reference of an application: actions, resource types, condition keys."""
    declared = [] if app is None else list(references_of(app))
    if app is None and not names:
        raise click.UsageError("expected MODULE:APP, or --service iam or sts")
    candidates = (*declared, *own_references())
    chosen = [candidate for candidate in candidates if candidate.name in names] if names else declared
    missing = set(names) - {chosen_reference.name for chosen_reference in chosen}
    if missing or not chosen:
        what = f"a service `{min(missing)}`" if missing else "a service"
        raise InvalidInput(f"expected {what} in `{app or 'iam, sts'}`, got {_listed(declared)}", place="service")
    text = {"md": markdown, "html": html_page, "json": reference_json, "features": features_table}[form](chosen)
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text, encoding="utf-8")


def _listed(references: Iterable[ServiceReference]) -> str:
    return ", ".join(f"`{reference.name}`" for reference in references) or "none"


def references_of(app: str) -> tuple[ServiceReference, ...]:
    """Return the references of the services that `module:app` declares, sorted by name."""
    return tuple(catalogue.reference() for catalogue in declared_catalogues(app))


def declared_catalogues(app: str) -> list[Catalogue]:
    """Return the catalogues that `module:app` declares, one per service, sorted by name."""
    joined: dict[str, Catalogue] = {}
    seen: set[int] = set()
    for catalogue in _catalogues(load_app(app), sys.modules.get(app.partition(":")[0])):
        if id(catalogue) not in seen:
            seen.add(id(catalogue))
            joined.setdefault(catalogue.service, Catalogue(catalogue.service)).add(catalogue)
    return [joined[name] for name in sorted(joined)]


def _catalogues(value: Any, module: Any) -> Iterator[Catalogue]:
    match value:
        case Service():
            yield value.catalogue
        case Guard():
            yield from value.catalogues
        case list() | tuple():
            for item in value:
                yield from _catalogues(item, None)
        case _:
            yield from _of_application(value)
            for variable in vars(module).values() if module is not None else ():
                if isinstance(variable, Service):
                    yield variable.catalogue


def _of_application(app: Any) -> Iterator[Catalogue]:
    yield from catalogues_of(endpoints_of(app))
    for middleware in getattr(app, "user_middleware", ()):
        guard = getattr(middleware, "kwargs", {}).get("guard")
        if isinstance(guard, Guard):
            yield from guard.catalogues
