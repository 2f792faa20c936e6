"""The request context: condition key -> value, with case-insensitive keys (rule C-3) and lazily computed values.

A value is a string or a tuple of strings; a tuple is the multivalued form, also with one element or none. Everything
else that callers may hand in (booleans, numbers, instants, addresses, bytes) is turned into its string form here
(rule G-15) and nowhere else; what has none is a `ContextError` that names the key.
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
"""What the evaluator sees."""

Scalar: TypeAlias = str | bool | int | float | Decimal | datetime | bytes | IPv4Address | IPv6Address
Given: TypeAlias = Scalar | Iterable[Scalar] | None
"""What a caller may hand in; None is an absent key."""

Lazy: TypeAlias = Callable[[], Given]

_MAX_DIGITS = 1000
_TOO_LARGE = 10**_MAX_DIGITS


class Context(Mapping[str, Value]):
    """An immutable mapping from condition key (any letter case) to `Value`.

    Raises `ContextError` for two keys that differ by case only (rule C-4), for a key that is no text, and for a value
    that has no string form. A value that is a function is called once, when it is first asked for; what it raises then
    is its own affair, and its value is judged like any other.
    """

    __slots__ = ("_values",)

    def __init__(self, given: Mapping[str, Given | Lazy] | None = None) -> None:
        values: dict[str, object] = {}
        for key, value in () if given is None else _items(given):
            if type(key) is str and type(value) is str and (folded := key.lower()) not in values:
                values[folded] = value  # nearly all are so
                continue
            if not isinstance(key, str):
                raise ContextError(f"expected a text as context key, got `{type(key).__name__}`")
            folded = key.lower()
            if folded in values:
                raise ContextError(f"two context keys differ by letter case only: `{key[:200]}`", place=key[:200])
            if value is not None:
                values[folded] = value if callable(value) else normalise(value, key)
        self._values = values

    def value(self, folded_key: str) -> Value | None:
        """Return the value of a key already in lower case; None when the key is absent."""
        found = self._values.get(folded_key)
        if found is None or isinstance(found, (str, tuple)):
            return found
        return self._compute(folded_key, found)

    def known(self) -> dict[str, Value]:
        """Return what is known without asking anybody: a function that was not asked for its value is not asked now."""
        return {key: value for key, value in self._values.items() if isinstance(value, (str, tuple))}

    def _compute(self, folded_key: str, lazy: object) -> Value | None:
        given = lazy() if callable(lazy) else None
        if given is None:
            del self._values[folded_key]
            return None
        computed = normalise(given, folded_key)
        self._values[folded_key] = computed
        return computed

    def __getitem__(self, key: str) -> Value:
        found = self.value(key.lower())
        if found is None:
            raise KeyError(key)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter([key for key in list(self._values) if self.value(key) is not None])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"Context({', '.join(sorted(self._values))})"


def _items(given: object) -> Iterable[tuple[object, Any]]:
    if isinstance(given, (dict, Mapping)):
        return given.items()
    raise ContextError(f"expected a mapping from condition key to value, got `{type(given).__name__}`")


def normalise(given: Given, key: str) -> Value:
    """Turn what a caller hands in into a string, or into a tuple of strings for a list."""
    if type(given) is str:
        return given
    if isinstance(given, (str, bool, int, float, Decimal, datetime, bytes, IPv4Address, IPv6Address)):
        return scalar_text(given, key)
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise _unknown_kind(given, key)
    return tuple(scalar_text(member, key) for member in given)


def scalar_text(scalar: object, key: str) -> str:
    """Turn one scalar into its string form (rule G-15); raise `ContextError` for what has none.

    That is a value of an unknown kind, an infinite number or none at all, one whose digits would fill the memory, and
    an instant outside of the years 1 to 9999. What inherits from a kind is seen as that kind.
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
            return _instant_text(scalar, key)
        case bytes():
            return base64.b64encode(scalar).decode("ascii")  # C-19
        case int() | float() | Decimal():
            raise _refusal(f"expected a finite number of at most {_MAX_DIGITS} digits", key)
        case _:
            raise _unknown_kind(scalar, key)


def _unknown_kind(value: object, key: str) -> ContextError:
    return _refusal(f"expected a scalar or a list of scalars, got `{type(value).__name__}`", key)


def _refusal(message: str, key: str) -> ContextError:
    return ContextError(message, place=str(key)[:200])


def _instant_text(moment: datetime, key: str) -> str:
    """Write an instant as AWS does: `2026-11-24T14:01:46Z`, a fraction only where there is one. Naive means UTC."""
    try:
        moment = moment.replace(tzinfo=UTC) if moment.utcoffset() is None else moment.astimezone(UTC)
    except (OverflowError, ValueError):
        raise _refusal("expected an instant that has a year from 1 to 9999 in UTC", key) from None
    return moment.isoformat().replace("+00:00", "Z")
