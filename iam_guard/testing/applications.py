"""Applications of whatever framework: their endpoints with what guards each, and finding one by its name.

Adapters know the routes of their framework, and say so as entry points; those of Starlette and what is built on it are
known here. A route map counts as the guard that stands before the application has it.
"""

from __future__ import annotations

import inspect
import os
import pkgutil
import sys
from importlib.metadata import entry_points
from typing import Any, Final

from iam_guard.errors import IamGuardError, InvalidInput
from iam_guard.web.asgi.middleware import GuardMiddleware
from iam_guard.web.asgi.routes import inventory
from iam_guard.web.endpoints import Endpoint
from iam_guard.web.route_map import RouteMap

ADAPTERS: Final = "iam_guard.inventory"
"""The group of entry points: functions that give the endpoints of an application, None for one of another framework."""
MAPS: Final = "iam_guard.route_map"
"""The same for its route map, None for an application without one; the endpoints are then told without it."""


def endpoints_of(app: Any, route_map: RouteMap | None = None) -> list[Endpoint]:
    """List the endpoints of an application, with its route map: the one given, or the one that its guard has.

    Raises `ConfigurationError` for a map with routes that the application has not.
    """
    mapped, endpoints = route_map or map_of(app), inventory_of(app)
    return endpoints if mapped is None else mapped.joined(endpoints)


def inventory_of(app: Any) -> list[Endpoint]:
    """List the endpoints of an application without the map.

    An entry point has the name of the framework's package; one whose package is not there is not loaded.
    """
    found: list[Endpoint] | None = _told_by_adapters(ADAPTERS, app)
    return inventory(app) if found is None else found


def map_of(app: Any) -> RouteMap | None:
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


def _told_by_adapters(group: str, app: Any) -> Any:
    loaded = (entry_point.load() for entry_point in entry_points(group=group) if entry_point.name in sys.modules)
    return next((found for tell in loaded if (found := tell(app)) is not None), None)


def _of_litestar(app: Any) -> list[Any]:
    """List the middlewares of an application of Litestar; of others the name is a method."""
    found = getattr(app, "middleware", None)
    return found if isinstance(found, list) else []


def load_app(name: str) -> Any:
    """Import `module:attribute`, from the current folder too; what can be called without arguments is, as uvicorn does
    with `--factory`.

    Raises `InvalidInput` for what cannot be found.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise InvalidInput(f"expected module:app, got `{name[:200]}`")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = pkgutil.resolve_name(name)
        return found() if _is_factory(found) else found
    except IamGuardError:
        raise
    except Exception as error:  # whatever the module does, nothing was found out
        problem = f"{type(error).__name__}: {error}"
        raise InvalidInput(f"expected module:app, got `{name[:200]}`: {problem}") from error


def _is_factory(found: Any) -> bool:
    if hasattr(found, "routes") or not callable(found):
        return False
    parameters = inspect.signature(found).parameters.values()
    return all(
        parameter.default is not parameter.empty or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        for parameter in parameters
    )
