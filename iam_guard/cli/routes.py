"""`iam-guard routes`: list what guards the endpoints of an application."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from iam_guard.cli.kit.commands import JSON
from iam_guard.testing.applications import endpoints_of, load_app
from iam_guard.testing.text_table import aligned
from iam_guard.web.endpoints import Endpoint, check_handler_parameters
from iam_guard.web.route_maps.route_map_files import read_route_map


@click.command()
@click.argument("app")
@click.option(
    *("--map", "route_map"),
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Use this route map (YAML, or OpenAPI with `x-iam-action`); default: that of the application's guard.",
)
@JSON
def command(app: str, route_map: Path | None, as_json: bool) -> None:
    """List the endpoints of APP (`module:app`) and what guards them; exit code 1 if one is unguarded."""
    loaded = load_app(app)
    endpoints = endpoints_of(loaded, None if route_map is None else read_route_map(route_map))
    if not endpoints:
        raise click.BadParameter("expected an application with endpoints, found none", param_hint="APP")
    if as_json:
        click.echo(json.dumps([_as_row(endpoint) for endpoint in endpoints]))
    else:
        _print_endpoints(endpoints)
    check_handler_parameters(endpoints)  # as the start-up does, after the list that helps to find the mistake
    sys.exit(0 if all(endpoint.is_guarded for endpoint in endpoints) else 1)


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
        (",".join(endpoint.methods) or "ANY", endpoint.address, ", ".join(endpoint.guards) or "UNGUARDED")
        for endpoint in endpoints
    ]
    for line in aligned(rows):
        click.echo(line)
    missing = sum(1 for endpoint in endpoints if not endpoint.is_guarded)
    click.echo(f"{len(endpoints)} endpoints, {missing} unguarded")
