"""Path parameters as those have them who declare them: `7` and not `007` where somebody has declared an `int`.

What is decided about must be what the handler will use (design 5). A function that is guarded, and names the parameter,
has it already; this is for the others: a guard that runs before the handler, or a handler that gets from a dependency
what that has found by the parameter. FastAPI's routes say how each parameter is declared; where nothing is declared,
the parameter is what the router found. Must not live here: filling templates, calling loaders (`enforcement`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from iam_guard.enforcement.context import path_parameters
from iam_guard.errors import InvalidInput

ParameterReadings: TypeAlias = Callable[[Mapping[str, Any], str, Any], Iterable[Any]]
"""(the scope, a path parameter, what the router found) -> what those read who declare it."""


def declared_parameters(scope: Mapping[str, Any], readings: ParameterReadings) -> Mapping[str, Any]:
    """Give the path parameters of a call as they are declared; `readings` gives what an adapter knows of one.

    One that cannot be read stays as it came: the framework refuses it, and no handler runs. Raises `InvalidInput` for
    one that is read in two ways, since nobody knows which of them is used.
    """
    found = path_parameters(scope)
    dependant = _dependant_of(scope)
    declared = dict(found)
    for name, value in found.items():
        read = {str(each): each for each in (*_readings(dependant, name, value), *readings(scope, name, value))}
        if len(read) > 1:
            raise InvalidInput("expected a value that is read in one way", place=f"path parameter {name}")
        declared.update((name, each) for each in read.values())
    return declared


def no_readings(scope: Mapping[str, Any], name: str, value: Any) -> Iterable[Any]:
    """Know nothing of a parameter but what the router found."""
    return ()


def _dependant_of(scope: Mapping[str, Any]) -> Any:
    """Find what FastAPI knows of a route's parameters: of the included route, else of the route itself."""
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    return getattr(context, "dependant", None) or getattr(scope.get("route"), "dependant", None)


def _readings(dependant: Any, name: str, value: Any) -> Iterator[Any]:
    if dependant is None:
        return
    for field in dependant.path_params:
        if field.alias == name:
            read, errors = field.validate(value, {}, loc=("path", name))
            if not errors:
                yield read
    for each in dependant.dependencies:
        yield from _readings(each, name, value)
