"""Path parameters as those have them who declare them: `7` and not `007` where somebody has declared an `int`.

What is decided about must be what the handler will use (design 5). A function that is guarded, and names the parameter,
has it already; this is for the others: a guard that runs before the handler, or a handler that gets from a dependency
what that has found by the parameter. FastAPI's routes say how each parameter is declared; where nothing is declared,
the parameter is what the router found.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.web.call_context import path_parameters
from iam_guard.web.parameter_values import text_of

ParameterReadings: TypeAlias = Callable[[Mapping[str, Any], str, Any], Iterable[Any]]
"""(the scope, a path parameter, what the router found) -> what those read who declare it."""
_BY_NAME: Final = ("populate_by_name", "validate_by_name")
"""Settings of a pydantic model by which a field with an alias is found by its name too."""


def declared_parameters(
    scope: Mapping[str, Any], named: Collection[str] = (), *, readings: ParameterReadings
) -> Mapping[str, Any]:
    """Return the path parameters of a call as they are declared; `readings` gives what an adapter knows of one.

    Those that are `named` by the function that is guarded it has already, as it reads them: where it names all, and
    nothing else declares any, nothing is read a second time. One that cannot be read stays as it came: the framework
    refuses it, and no handler runs. Raises `InvalidInput` for one that is read in two ways, since nobody knows which of
    them is used.
    """
    found = path_parameters(scope)
    dependant = _dependant_of(scope)
    if readings is no_readings and (dependant is None or not (dependant.dependencies or found.keys() - named)):
        return found  # with Starlette's routes nobody declares anything
    read: dict[str, dict[str, Any]] = {name: {} for name in found}
    for name, value in _readings(dependant, found):
        read[name][_reading(value)] = value
    for name, value in found.items():
        read[name] |= {_reading(reading): reading for reading in readings(scope, name, value)}
        if len(read[name]) > 1:
            raise InvalidInput("expected a value that is read in one way", place=f"path parameter {name}")
    return {name: next(iter(values.values()), found[name]) for name, values in read.items()}


def _reading(value: Any) -> str:
    """Return the text by which readings of one parameter are compared; one that fills no template has a text too."""
    try:
        return text_of(value)
    except InvalidInput:
        return str(value)


def no_readings(scope: Mapping[str, Any], name: str, value: Any) -> Iterable[Any]:
    """Know nothing of a parameter but what the router found."""
    return ()


def _dependant_of(scope: Mapping[str, Any]) -> Any:
    """Find what FastAPI knows of a route's parameters: of the included route, else of the route itself."""
    told = scope.get("fastapi")
    if told:
        declared = getattr(told.get("effective_route_context"), "dependant", None)
        if declared:
            return declared
    return getattr(scope.get("route"), "dependant", None)


def _readings(dependant: Any, found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Return what each declaration of FastAPI reads, a model of several parameters included.

    Raises `ConfigurationError` for one that cannot be told, since the decision could be about something else.
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
            raise _untold(alias)
    for dependency in dependant.dependencies:
        yield from _readings(dependency, found)


def _fields_of(model: Any, found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Return what a model of pydantic has read of which parameter; how it would be written again says neither."""
    for name, field in type(model).model_fields.items():
        alias = field.validation_alias  # a name, several of which the first counts that is there, or a path
        names = [name] if alias is None else list(getattr(alias, "choices", None) or [alias])
        names += [name] if any(model.model_config.get(each) for each in _BY_NAME) else []
        first = next((each for way in names if (each := getattr(way, "path", [way])[0]) in found), None)
        if first is not None:
            yield first, getattr(model, name)
        elif name in model.model_fields_set:
            raise _untold(name)  # a validator or a root has it from whatever parameter


def _untold(name: str) -> ConfigurationError:
    message = "a path parameter is declared in a way that cannot be told before the handler runs"
    return ConfigurationError(message, place=name)
