"""Path parameters converted as the handler declares them: `7`, not `007`, for a parameter declared as `int`.

The decision must be about the value that the handler uses. A guarded function with that parameter already
has the converted value; this module is for guards that run before the handler, and for handlers that get an object from
a dependency with the parameter. FastAPI's routes know how each parameter is declared, an included route before the
route itself; without a declaration, the value is the router's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.web.parameter_values import text_of

ParameterReadings: TypeAlias = Callable[[Mapping[str, Any], str, Any], Iterable[Any]]
"""(the scope, the name of a path parameter, the router's value) -> its value in each declaration."""
_STRINGS: Final = {str}
_BY_NAME: Final = ("populate_by_name", "validate_by_name")
"""Settings of a pydantic model that accept a field with an alias by its name too."""


def declared_parameters(
    scope: Mapping[str, Any], named: Collection[str] = (), *, readings: ParameterReadings
) -> Mapping[str, Any]:
    """Return the path parameters of a call, converted as declared; `readings` returns an adapter's conversions.

    The guarded function already has the parameters in `named`: if these are all, and no dependency declares one,
    nothing is converted again. The same holds if all declarations are unrestricted strings. A value that can't be
    converted stays as it is: the framework rejects it, and no handler runs. Raises `InvalidInput` for a parameter with
    two different values, as it is unknown which one is used.
    """
    found: Mapping[str, Any] = scope.get("path_params") or {}
    dependant = getattr(scope.get("route"), "dependant", None)  # Starlette's routes have no declarations
    included = scope.get("fastapi")
    if included:
        dependant = getattr(included.get("effective_route_context"), "dependant", None) or dependant
    if readings is no_readings and (
        dependant is None
        or not (dependant.dependencies or found.keys() - named)
        or (set(map(type, found.values())) == _STRINGS and _declares_strings(dependant))
    ):
        return found
    read: dict[str, dict[str, Any]] = {name: {} for name in found}
    for name, value in _readings(dependant, found):
        read[name][_reading(value)] = value
    for name, value in found.items():
        read[name] |= {_reading(reading): reading for reading in readings(scope, name, value)}
        if len(read[name]) > 1:
            raise InvalidInput("expected a value that is read in one way", place=f"path parameter {name}")
    return {name: next(iter(values.values()), found[name]) for name, values in read.items()}


def _declares_strings(dependant: Any) -> bool:
    """Return whether each declaration of FastAPI is a `str` without restrictions, as which a string stays as it is."""
    for field in dependant.path_params:
        info = getattr(field, "field_info", None)
        if info is None or info.annotation is not str or info.metadata or getattr(field, "config", None):
            return False
    return all(map(_declares_strings, dependant.dependencies))


def _reading(value: Any) -> str:
    """Return the text by which two values of a parameter are compared, for any type."""
    try:
        return text_of(value)
    except InvalidInput:
        return str(value)


def no_readings(scope: Mapping[str, Any], name: str, value: Any) -> Iterable[Any]:
    """Return nothing: only the router's value counts."""
    return ()


def _readings(dependant: Any, found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield each declared parameter of FastAPI with its converted value, including the fields of models.

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
        yield from _readings(dependency, found)


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
