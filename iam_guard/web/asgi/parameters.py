"""Path parameters converted as the handler declares them: `7`, not `007`, for a parameter declared as `int`.

The decision must be about the value that the handler uses. A guarded function with that parameter already
has the converted value; this module is for guards that run before the handler, and for handlers that get an object from
a dependency with the parameter. FastAPI's routes know how each parameter is declared; without a declaration, the value
is the router's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeAlias

from iam_guard.errors import InvalidInput
from iam_guard.web.asgi.fastapi_routes import converts, declared_values, dependant_of
from iam_guard.web.parameter_values import text_of

ParameterReadings: TypeAlias = Callable[[Mapping[str, Any], str, Any], Iterable[Any]]
"""(the scope, the name of a path parameter, the router's value) -> its value in each declaration."""


def declared_parameters(
    scope: Mapping[str, Any], named: Collection[str] = (), *, readings: ParameterReadings
) -> Mapping[str, Any]:
    """Return the path parameters of a call, converted as declared; `readings` returns an adapter's conversions.

    The guarded function already has the parameters in `named`: if these are all, and no dependency declares one,
    nothing is converted again. A value that can't be converted stays as it is: the framework rejects it, and no handler
    runs. Raises `InvalidInput` for a parameter with two different values, as it is unknown which one is used.
    """
    found: Mapping[str, Any] = scope.get("path_params") or {}
    dependant = dependant_of(scope)
    if readings is no_readings and (dependant is None or not converts(dependant, found, named)):
        return found
    read: dict[str, dict[str, Any]] = {name: {} for name in found}
    for name, value in declared_values(dependant, found):
        read[name][_reading(value)] = value
    for name, value in found.items():
        read[name] |= {_reading(reading): reading for reading in readings(scope, name, value)}
        if len(read[name]) > 1:
            raise InvalidInput("expected a value that is read in one way", place=f"path parameter {name}")
    return {name: next(iter(values.values()), found[name]) for name, values in read.items()}


def _reading(value: Any) -> str:
    """Return the text by which two values of a parameter are compared, for any type."""
    try:
        return text_of(value)
    except InvalidInput:
        return str(value)


def no_readings(scope: Mapping[str, Any], name: str, value: Any) -> Iterable[Any]:
    """Return nothing: only the router's value counts."""
    return ()
