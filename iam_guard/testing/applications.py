"""Load an application of any supported framework by name, and list its endpoints with what guards them.

Adapters register the inventory of their framework as entry points; that of Starlette, and of frameworks built on it, is
here. The route map is that of the guard in front of the application.
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
from iam_guard.web.route_maps.route_map import RouteMap

ADAPTERS: Final = "iam_guard.inventory"
"""Entry points with functions that return the endpoints of an application, None for another framework."""
MAPS: Final = "iam_guard.route_map"
"""Entry points with functions that return the route map of an application, None for one without a map."""


def endpoints_of(app: Any, route_map: RouteMap | None = None) -> list[Endpoint]:
    """Return the endpoints of an application, with the given route map or that of its guard.

    Raises `ConfigurationError` for a map with routes that the application does not have.
    """
    mapped = route_map or map_of(app)
    listed: list[Endpoint] | None = _from_adapters(ADAPTERS, app)
    endpoints = inventory(app) if listed is None else listed
    return endpoints if mapped is None else mapped.joined(endpoints)


def map_of(app: Any) -> RouteMap | None:
    """Return the route map of the guard in front of the application."""
    adapter_map: RouteMap | None = _from_adapters(MAPS, app)
    if adapter_map is not None:
        return adapter_map
    if isinstance(app, GuardMiddleware):
        return app.route_map
    for middleware in (*getattr(app, "user_middleware", ()), *_of_litestar(app)):
        if GuardMiddleware in (getattr(middleware, "cls", None), getattr(middleware, "middleware", None)):
            found: RouteMap | None = middleware.kwargs.get("routes")
            return found
    return None


def _from_adapters(group: str, app: Any) -> Any:
    """Query the entry points of a group; they are named after the framework's package, and loaded only if it is."""
    functions = (entry_point.load() for entry_point in entry_points(group=group) if entry_point.name in sys.modules)
    return next((found for function in functions if (found := function(app)) is not None), None)


def _of_litestar(app: Any) -> list[Any]:
    """Return the middlewares of a Litestar application; in other frameworks `middleware` is a method."""
    found = getattr(app, "middleware", None)
    return found if isinstance(found, list) else []


def load_app(name: str) -> Any:
    """Import `module:attribute`, also from the current folder, and call it if it is a factory without arguments.

    Raises `InvalidInput` if it cannot be imported.
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
    except Exception as error:  # the module may raise anything
        problem = f"{type(error).__name__}: {error}"
        raise InvalidInput(f"cannot import `{name[:200]}`: {problem}") from error


def _is_factory(found: Any) -> bool:
    if hasattr(found, "routes") or not callable(found):
        return False
    parameters = inspect.signature(found).parameters.values()
    return all(
        parameter.default is not parameter.empty or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        for parameter in parameters
    )
