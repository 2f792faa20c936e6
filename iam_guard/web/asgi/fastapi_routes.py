"""The routes of FastAPI: Starlette's with dependencies, included routers, frontends, and declared path parameters.

An included router is one route, with new routes for each inclusion, which are the ones that run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from iam_guard.errors import ConfigurationError
from iam_guard.web.asgi.route_table import MountPath, RouteNode
from iam_guard.web.asgi.starlette_routes import StarletteRoutes
from iam_guard.web.endpoints import Endpoint, endpoint_row

_BY_NAME: Final = ("populate_by_name", "validate_by_name")
"""Settings of a pydantic model that accept a field with an alias by its name too."""


class _Frontend(NamedTuple):
    """A directory of files that is served when no other route matches. Its group calls the dependencies."""

    files: Any
    dependant: Any


class FastApiRoutes(StarletteRoutes):
    """Reads and guards the routes of FastAPI."""

    def reads(self, route: Any) -> bool:
        return hasattr(route, "dependant") or hasattr(route, "effective_route_contexts")

    def nodes(self, route: Any, mount: MountPath) -> Iterator[RouteNode]:
        included = getattr(route, "effective_route_contexts", None)
        for context in [route] if included is None else included():
            effective = getattr(context, "starlette_route", None) or context
            group = getattr(effective, "original_route", effective)
            if not hasattr(group, "add_frontend_route"):
                yield from super().nodes(effective, mount)
                continue
            prefix = getattr(effective, "frontend_prefix", "")
            for frontend in group.routes:
                yield RouteNode(_Frontend(frontend.app, effective.dependant), mount, prefix + frontend.path)

    def guards(self, route: Any) -> list[Any]:
        found, queue = [], [getattr(route, "dependant", None)]
        while queue:
            inner = list(getattr(queue.pop(0), "dependencies", None) or ())
            found += [getattr(dependency, "call", None) for dependency in inner]
            queue += inner
        return found

    def routed(self, scope: Mapping[str, Any]) -> Any:
        return (scope.get("fastapi") or {}).get("effective_route_context")

    def endpoints(self, node: RouteNode) -> Iterator[Endpoint]:
        route = node.route
        if not isinstance(route, _Frontend):
            yield from super().endpoints(node)
            return
        yield endpoint_row(node.template, ("GET", "HEAD"), "frontend", route.files, *self.guards(route))


def frontends_of(app: Any) -> Sequence[Any]:
    """Return the routes of an application that are matched when no other one is; nothing in other frameworks."""
    routes: Sequence[Any] = getattr(getattr(app, "router", app), "_iter_low_priority_routes", list)()
    return routes


# --- declared path parameters -------------------------------------------------------------------------------------


def dependant_of(scope: Mapping[str, Any]) -> Any:
    """Return the declarations of the route of a request, those of an included route first; None without any."""
    if "fastapi" in scope:
        included = getattr((scope["fastapi"] or {}).get("effective_route_context"), "dependant", None)
        if included is not None:
            return included
    return getattr(scope.get("route"), "dependant", None)  # Starlette's routes have no declarations


def converts(dependant: Any, found: Mapping[str, Any], named: Collection[str]) -> bool:
    """Return whether declarations may change path parameters: those that are not in `named`, or of dependencies.

    They don't if all of them are unrestricted strings.
    """
    if not (dependant.dependencies or found.keys() - named):
        return False
    return set(map(type, found.values())) != {str} or not _declares_strings(dependant)


def declared_values(dependant: Any, found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each declared path parameter with its converted value, including the fields of models.

    Raises `ConfigurationError` if the value can't be determined before the handler runs.
    """
    if dependant is None:
        return
    for field in dependant.path_params:
        alias = getattr(field, "validation_alias", None) or field.alias
        is_one = alias in found
        value, errors = field.validate(found[alias] if is_one else dict(found), {}, loc=("path", alias))
        if errors:
            continue
        if is_one:
            yield alias, value
        elif hasattr(value, "model_dump"):
            yield from _fields_of(value, found)
        else:
            raise _unknown_value(alias)
    for dependency in dependant.dependencies:
        yield from declared_values(dependency, found)


def _declares_strings(dependant: Any) -> bool:
    """Return whether each declaration is a `str` without restrictions, as which a string stays as it is."""
    for field in dependant.path_params:
        info = getattr(field, "field_info", None)
        if info is None or info.annotation is not str or info.metadata or getattr(field, "config", None):
            return False
    return all(map(_declares_strings, dependant.dependencies))


def _fields_of(model: Any, found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the path parameters that the fields of a pydantic model were read from, with the values."""
    for name, field in type(model).model_fields.items():
        alias = field.validation_alias  # a name, a list of names (the first that exists counts), or a path
        names = [name] if alias is None else list(getattr(alias, "choices", None) or [alias])
        names += [name] if any(model.model_config.get(setting) for setting in _BY_NAME) else []
        first = next((key for source in names if (key := getattr(source, "path", [source])[0]) in found), None)
        if first is not None:
            yield first, getattr(model, name)
        elif name in model.model_fields_set:
            raise _unknown_value(name)  # a validator or a root model may use any parameter


def _unknown_value(name: str) -> ConfigurationError:
    message = "expected a path parameter whose value is known before the handler runs"
    return ConfigurationError(message, place=name)
