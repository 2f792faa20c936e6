"""Handlers whose parameters can fill no template, found as they are declared and not with the first request.

Only what is certain is an error: a type of which no value has a canonical text (`parameter_values`). An annotation that
cannot be resolved, or says nothing about the value (`Any`, a type of a validation library), is left to the request.
Must not live here: reading values.
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
from iam_guard.web.parameter_values import EXPECTED, has_text, text_of

_NUMBERS: Final = (bool, float, complex, Decimal, Fraction)
_SPANS: Final = (time, timedelta)
_SEVERAL: Final = (bytes, bytearray, memoryview, list, tuple, set, frozenset, dict)
_REFUSED: Final = (*_NUMBERS, *_SPANS, *_SEVERAL, PureWindowsPath)
_CONVERTORS: Final = frozenset({"float", "decimal", "time", "timedelta"})
"""Those that frameworks bring along, and that make a value of a refused type."""
_CONVERTED: Final = re.compile(r"\{(\w+):(\w+)\}|<(\w+)(?:\([^<>]*\))?:(\w+)>")
"""A path parameter: `{name:convertor}` of Starlette and Litestar, `<convertor:name>` of Flask and Django."""


def refuse_unfit_parameters(handler: Callable[..., Any], names: Collection[str], *, place: str) -> None:
    """Raise `ConfigurationError` where a handler declares a parameter of a template as what has no canonical text."""
    if not names or not callable(handler) or isclass(handler):
        return
    try:
        parameters = signature(handler).parameters
    except (ValueError, TypeError, NameError):  # NameError: annotations that Python evaluates only now
        return
    for name in names:
        parameter = parameters.get(name)
        if parameter is not None and parameter.annotation is not Parameter.empty:
            _refuse(name, _unfit(_resolved(parameter.annotation, handler)), place)


def refuse_unfit_convertors(path: str, names: Collection[str], *, place: str) -> None:
    """Raise `ConfigurationError` where a route makes of a parameter of a template what has no canonical text."""
    for found in _CONVERTED.finditer(path):
        name, convertor = found[1] or found[4], found[2] or found[3]
        if name in names and convertor in _CONVERTORS:
            _refuse(name, convertor, place)


def _refuse(name: str, kind: str | None, place: str) -> None:
    if kind is not None:
        message = f"expected {EXPECTED} as the parameter `{name}` of a resource template, got `{kind}`; use a loader"
        raise ConfigurationError(message, place=place)


def _resolved(annotation: object, handler: Callable[..., Any]) -> object:
    """Return an annotation without its metadata, `Any` for one that cannot be evaluated."""

    def probe() -> None: ...

    probe.__annotations__ = {"value": annotation}
    try:
        return typing.get_type_hints(probe, getattr(unwrap(handler), "__globals__", None))["value"]
    except Exception:  # noqa: BLE001  an annotation may be any expression, of names that are not there yet
        return Any


def _unfit(annotation: Any) -> str | None:
    """Return the name of the first type in an annotation that has no canonical text, None without one."""
    return next((kind.__name__ for kind in _kinds(annotation) if not _may_have_text(kind)), None)


def _kinds(annotation: Any) -> Iterator[type]:
    """Return the types of the values that an annotation allows, as far as it tells; None says nothing."""
    inner = getattr(annotation, "__supertype__", None) or getattr(annotation, "__value__", None)  # NewType, `type X =`
    origin = typing.get_origin(annotation)
    if inner is not None:
        yield from _kinds(inner)
    elif origin in (typing.Union, UnionType):
        for get_arg in typing.get_args(annotation):
            yield from _kinds(get_arg)
    elif origin is typing.Literal:
        yield from (type(get_arg) for get_arg in typing.get_args(annotation) if get_arg is not None)
    else:
        kind = annotation if origin is None else origin
        if isinstance(kind, type) and kind is not type(None):
            yield kind


def _may_have_text(kind: type) -> bool:
    if issubclass(kind, Enum):
        return all(_is_written(member) for member in kind)
    if issubclass(kind, (str, int)):
        return has_text(kind)
    return not issubclass(kind, _REFUSED)


def _is_written(value: object) -> bool:
    try:
        text_of(value)
    except InvalidInput:
        return False
    return True
