"""The request context: a mapping of condition keys, case-insensitive (rule C-3), with lazily computed values.

A value is a string or, for multivalued keys, a tuple of strings. Other input types (booleans, numbers, datetimes,
addresses, bytes) are converted to their string form here (rule G-15) and nowhere else; unsupported values raise a
`ContextError` that names the key.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import IPv4Address, IPv6Address
from math import isfinite
from typing import Any, TypeAlias

from iam_guard.errors import ContextError

Value: TypeAlias = str | tuple[str, ...]
"""A value as the evaluator gets it."""

Scalar: TypeAlias = str | bool | int | float | Decimal | datetime | bytes | IPv4Address | IPv6Address
Given: TypeAlias = Scalar | Iterable[Scalar] | None
"""A value as callers may pass it; None is an absent key."""

Lazy: TypeAlias = Callable[[], Given]

_MAX_DIGITS = 1000
_TOO_LARGE = 10**_MAX_DIGITS


class Context(Mapping[str, Value]):
    """An immutable mapping from condition key (any letter case) to `Value`.

    Raises `ContextError` for keys that differ by case only (rule C-4), a key that is not a string, and an unsupported
    value. A function is called once, on first use; its errors propagate, its value is checked like any other.
    """

    __slots__ = ("_values",)
    _values: dict[str, object]
    """Maps a lower-case key to its value or a function; a string is final, in subclasses too."""

    def __init__(self, items: Mapping[str, Given | Lazy] | None = None) -> None:
        self._values = values = {}
        if type(items) is dict:
            for key, value in items.items():
                if type(value) is not str or type(key) is not str:
                    break
                values[key.lower()] = value
            else:
                if len(values) == len(items):
                    return  # the common case: strings only
        if items is not None:
            self._values = _checked(items)

    def value(self, folded_key: str) -> Value | None:
        """Return the value of a lower-case key; None if absent."""
        value = self._values.get(folded_key)
        if value is None or isinstance(value, (str, tuple)):
            return value
        return self._compute(folded_key, value)

    def known(self) -> dict[str, Value]:
        """Return the values that are available without calling a function."""
        return {key: value for key, value in self._values.items() if isinstance(value, (str, tuple))}

    def _compute(self, folded_key: str, lazy: object) -> Value | None:
        result = lazy() if callable(lazy) else None
        if result is None:
            del self._values[folded_key]
            return None
        value = normalise(result, folded_key)
        self._values[folded_key] = value
        return value

    def __getitem__(self, key: str) -> Value:
        value = self.value(key.lower())
        if value is None:
            raise KeyError(key)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter([key for key in list(self._values) if self.value(key) is not None])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"Context({', '.join(sorted(self._values))})"


def _checked(items: object) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in _items(items):
        if not isinstance(key, str):
            raise ContextError(f"expected a string as context key, got `{type(key).__name__}`")
        folded = key.lower()
        if folded in values:
            raise ContextError(f"two context keys differ by letter case only: `{key[:200]}`", place=key[:200])
        if value is not None:
            values[folded] = value if callable(value) else normalise(value, key)
    return values


def _items(mapping: object) -> Iterable[tuple[object, Any]]:
    if isinstance(mapping, (dict, Mapping)):
        return mapping.items()
    raise ContextError(f"expected a mapping from condition key to value, got `{type(mapping).__name__}`")


def normalise(value: Given, key: str) -> Value:
    """Convert a value to a string, or to a tuple of strings for a list. Raises `ContextError`."""
    if type(value) is str:
        return value
    if isinstance(value, (str, bool, int, float, Decimal, datetime, bytes, IPv4Address, IPv6Address)):
        return scalar_text(value, key)
    if isinstance(value, Mapping) or not isinstance(value, Iterable):
        raise _unsupported(value, key)
    return tuple(scalar_text(item, key) for item in value)


def scalar_text(scalar: object, key: str) -> str:
    """Return the string form of a scalar (rule G-15); subclasses are formatted as their base type.

    Raises `ContextError` for an unsupported type, NaN and infinity, numbers with too many digits, and datetimes outside
    of the years 1 to 9999.
    """
    match scalar:
        case str():
            return str.__str__(scalar)
        case bool():
            return "true" if scalar else "false"
        case int() if -_TOO_LARGE < scalar < _TOO_LARGE:
            return int.__repr__(scalar)
        case float() if isfinite(scalar):
            return format(Decimal(float.__repr__(scalar)), "f")
        case Decimal() if scalar.is_finite() and abs(scalar.adjusted()) < _MAX_DIGITS:
            return format(scalar, "f")
        case IPv4Address() | IPv6Address():
            return str(scalar)
        case datetime():
            return _datetime_text(scalar, key)
        case bytes():
            return base64.b64encode(scalar).decode("ascii")  # C-19
        case int() | float() | Decimal():
            raise _error(f"expected a finite number of at most {_MAX_DIGITS} digits", key)
        case _:
            raise _unsupported(scalar, key)


def _unsupported(value: object, key: str) -> ContextError:
    return _error(f"expected a scalar or a list of scalars, got `{type(value).__name__}`", key)


def _error(message: str, key: str) -> ContextError:
    return ContextError(message, place=str(key)[:200])


def _datetime_text(moment: datetime, key: str) -> str:
    """Format a datetime as AWS does: `2026-11-24T14:01:46Z`, with a fraction if it has one. Naive means UTC."""
    try:
        moment = moment.replace(tzinfo=UTC) if moment.utcoffset() is None else moment.astimezone(UTC)
    except (OverflowError, ValueError):
        raise _error("expected a datetime with a year from 1 to 9999 in UTC", key) from None
    return moment.isoformat().replace("+00:00", "Z")
