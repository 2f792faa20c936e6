"""`iam-guard routes`: what guards the endpoints of an application; and finding an application for other commands.

Must not live here: how endpoints are found (`iam_guard.asgi.routes`).
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import click

from iam_guard.asgi.middleware import GuardMiddleware
from iam_guard.asgi.routes import inventory
from iam_guard.cli.options import JSON
from iam_guard.enforcement.endpoints import Endpoint
from iam_guard.enforcement.route_map import RouteMap
from iam_guard.enforcement.route_map_files import read_route_map
from iam_guard.errors import IamGuardError
from iam_guard.testing.text_table import aligned

ADAPTERS: Final = "iam_guard.inventory"
"""The group of entry points: functions that give the endpoints of an application, None for one of another framework."""
MAPS: Final = "iam_guard.route_map"
"""The same for its route map, None for an application without one; the endpoints are then told without it."""


@click.command()
@click.argument("app")
@click.option(
    *("--map", "route_map"),
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A route map (YAML, or OpenAPI with `x-iam-action`); else the one that the application's guard has.",
)
@JSON
def routes(app: str, route_map: Path | None, as_json: bool) -> None:
    """List the endpoints of APP (`module:app`) and what guards them; exit code 1 when nobody guards one."""
    loaded = load_app(app)
    mapped = _map_of(loaded) if route_map is None else read_route_map(route_map)
    endpoints = inventory_of(loaded) if mapped is None else mapped.joined(inventory_of(loaded))
    if not endpoints:
        raise click.BadParameter("no endpoints were found: expected an application", param_hint="APP")
    if as_json:
        click.echo(json.dumps([_as_row(each) for each in endpoints]))
    else:
        _print_endpoints(endpoints)
    sys.exit(0 if all(each.is_guarded for each in endpoints) else 1)


def inventory_of(app: Any) -> list[Endpoint]:
    """List the endpoints of an application of whatever framework: adapters know theirs, and say so as entry points.

    An entry point has the name of the framework's package; one whose package is not there is not loaded.
    """
    found: list[Endpoint] | None = _told_by_adapters(ADAPTERS, app)
    return inventory(app) if found is None else found


def _told_by_adapters(group: str, app: Any) -> Any:
    loaded = (each.load() for each in entry_points(group=group) if each.name in sys.modules)
    return next((found for tell in loaded if (found := tell(app)) is not None), None)


def load_app(name: str) -> Any:
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


def _map_of(app: Any) -> RouteMap | None:
    """Find the map of the guard that stands before the application, or will."""
    told: RouteMap | None = _told_by_adapters(MAPS, app)
    if told is not None:
        return told
    if isinstance(app, GuardMiddleware):
        return app.route_map
    for each in (*getattr(app, "user_middleware", ()), *_of_litestar(app)):
        if GuardMiddleware in (getattr(each, "cls", None), getattr(each, "middleware", None)):
            found: RouteMap | None = each.kwargs.get("routes")
            return found
    return None


def _of_litestar(app: Any) -> list[Any]:
    """List the middlewares of an application of Litestar; of others the name is a method."""
    found = getattr(app, "middleware", None)
    return found if isinstance(found, list) else []


def _is_factory(found: Any) -> bool:
    if hasattr(found, "routes") or not callable(found):
        return False
    parameters = inspect.signature(found).parameters.values()
    return all(
        each.default is not each.empty or each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) for each in parameters
    )


def _as_row(endpoint: Endpoint) -> dict[str, Any]:
    return {
        **({} if endpoint.host is None else {"host": endpoint.host}),
        "path": endpoint.path,
        "methods": list(endpoint.methods),
        "endpoint": endpoint.name,
        "guards": list(endpoint.guards),
    }


def _print_endpoints(endpoints: list[Endpoint]) -> None:
    rows = [
        (",".join(each.methods) or "ANY", each.address, ", ".join(each.guards) or "UNGUARDED") for each in endpoints
    ]
    for line in aligned(rows):
        click.echo(line)
    missing = sum(1 for each in endpoints if not each.is_guarded)
    click.echo(f"{len(endpoints)} endpoints, {missing} unguarded")
