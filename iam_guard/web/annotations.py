"""Check at declaration time that the parameters of a handler can fill a resource template.

Only a type without any canonical text (`parameter_values`) is an error. An annotation that can't be resolved, or that
doesn't restrict the value (`Any`, a type of a validation library), is checked with each request.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Collection, Iterator
from datetime import time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from inspect import Parameter, isclass, signature, unwrap
from pathlib import PureWindowsPath
from types import UnionType
from typing import Any, Final

from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.web.parameter_values import SUPPORTED, has_text, text_of

_UNSUPPORTED_TYPES: Final = (
    *(bool, float, complex, Decimal, Fraction, time, timedelta, PureWindowsPath),
    *(bytes, bytearray, memoryview, list, tuple, set, frozenset, dict),
)
_UNSUPPORTED_CONVERTORS: Final = frozenset({"float", "decimal", "time", "timedelta"})
"""Convertors that come with the frameworks and return a value of an unsupported type."""
_CONVERTED_PARAMETER: Final = re.compile(r"\{(\w+):(\w+)\}|<(\w+)(?:\([^<>]*\))?:(\w+)>")
"""A path parameter: `{name:convertor}` of Starlette and Litestar, `<convertor:name>` of Flask and Django."""
_ROUTE_PARAMETER: Final = re.compile(r"\{(\w+)[:}]|\?P<(\w+)>|<(?:\w+(?:\([^<>]*\))?:)?(\w+)>")
"""A path parameter, with or without convertor, or as a group in a regular expression of Django."""


def check_parameter_types(handler: Callable[..., Any], names: Collection[str], *, place: str) -> None:
    """Raise `ConfigurationError` if the annotation of a template parameter has no canonical text."""
    if not names or not callable(handler) or isclass(handler):
        return
    try:
        parameters = signature(handler).parameters
    except (ValueError, TypeError, NameError):  # NameError: annotations that Python evaluates only now
        return
    for name in names:
        parameter = parameters.get(name)
        if parameter is not None and parameter.annotation is not Parameter.empty:
            _refuse(name, _first_unsupported(_resolve(parameter.annotation, handler)), place)


def handler_parameters(handler: Callable[..., Any]) -> list[str] | None:
    """Return the names of a handler's parameters; None if they are unknown, or may have any name."""
    if not callable(handler) or isclass(handler):
        return None
    try:
        parameters = signature(handler).parameters.values()
    except (ValueError, TypeError, NameError):
        return None
    return None if any(item.kind is item.VAR_KEYWORD for item in parameters) else [item.name for item in parameters]


def route_parameters(route: str) -> list[str]:
    """Return the names of the parameters in the template of a route."""
    return [next(filter(None, match.groups())) for match in _ROUTE_PARAMETER.finditer(route)]


def check_convertors(path: str, names: Collection[str], *, place: str) -> None:
    """Raise `ConfigurationError` if the route converts a template parameter to a type without canonical text."""
    for match in _CONVERTED_PARAMETER.finditer(path):
        name, convertor = match[1] or match[4], match[2] or match[3]
        if name in names and convertor in _UNSUPPORTED_CONVERTORS:
            _refuse(name, convertor, place)


def _refuse(name: str, kind: str | None, place: str) -> None:
    if kind is not None:
        message = f"expected {SUPPORTED} as the parameter `{name}` of a resource template, got `{kind}`; use a loader"
        raise ConfigurationError(message, place=place)


def _resolve(annotation: object, handler: Callable[..., Any]) -> object:
    """Return an annotation without its metadata; `Any` if it can't be evaluated."""

    def probe() -> None: ...

    probe.__annotations__ = {"value": annotation}
    try:
        return typing.get_type_hints(probe, getattr(unwrap(handler), "__globals__", None))["value"]
    except Exception:  # noqa: BLE001  an annotation may be any expression, with names that aren't defined yet
        return Any


def _first_unsupported(annotation: Any) -> str | None:
    """Return the name of the first type in an annotation without canonical text, None if all have one."""
    return next((kind.__name__ for kind in _value_types(annotation) if not _may_have_text(kind)), None)


def _value_types(annotation: Any) -> Iterator[type]:
    """Yield the types that an annotation allows, without `None`."""
    inner = getattr(annotation, "__supertype__", None) or getattr(annotation, "__value__", None)  # NewType, `type X =`
    origin = typing.get_origin(annotation)
    if inner is not None:
        yield from _value_types(inner)
    elif origin in (typing.Union, UnionType):
        for argument in typing.get_args(annotation):
            yield from _value_types(argument)
    elif origin is typing.Literal:
        yield from (type(argument) for argument in typing.get_args(annotation) if argument is not None)
    else:
        kind = annotation if origin is None else origin
        if isinstance(kind, type) and kind is not type(None):
            yield kind


def _may_have_text(kind: type) -> bool:
    if issubclass(kind, Enum):
        return all(_is_supported_member(member) for member in kind)
    if issubclass(kind, (str, int)):
        return has_text(kind)
    return not issubclass(kind, _UNSUPPORTED_TYPES)


def _is_supported_member(value: object) -> bool:
    try:
        text_of(value)
    except InvalidInput:
        return False
    return True
