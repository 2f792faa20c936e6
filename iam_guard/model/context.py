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
from types import MappingProxyType
from typing import Any, TypeAlias

from iam_guard.errors import ConfigurationError, ContextError

Value: TypeAlias = str | tuple[str, ...]
"""A value as the evaluator gets it."""

Scalar: TypeAlias = str | bool | int | float | Decimal | datetime | bytes | IPv4Address | IPv6Address
Given: TypeAlias = Scalar | Iterable[Scalar] | None
"""A value as callers may pass it; None is an absent key."""

Lazy: TypeAlias = Callable[[], Given]

NO_KEYS: Mapping[str, Any] = MappingProxyType({})

_MAX_DIGITS = 1000
_TOO_LARGE = 10**_MAX_DIGITS
_RESOURCE_TAG = "aws:resourcetag/"
_NOT_OF_RESOURCES = ("aws:", "iam:", "sts:")
"""Prefixes of keys that an application's resource cannot have."""


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

    @classmethod
    def of_resource(
        cls,
        given: Mapping[str, Given | Lazy] | None,
        tags: Mapping[str, str],
        keys: Mapping[str, Given | Lazy],
        account: str | None,
    ) -> Context:
        """Return what is given by hand, then the keys of a resource: of its tags, its own, its owner's account."""
        context = Context(given)
        values = resource_values(tags, keys)
        if account is not None:
            values.setdefault("aws:resourceaccount", account)
        context._values = laid_over(values, context._values)
        return context

    def value(self, folded_key: str) -> Value | None:
        """Return the value of a lower-case key; None if absent."""
        value = self._values.get(folded_key)
        if value is None or isinstance(value, (str, tuple)):
            return value
        return self._compute(folded_key, value)

    def has(self, folded_key: str) -> bool:
        """Return whether a lower-case key was given, without computing its value."""
        return folded_key in self._values

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
        return iter([key for key in list(self._values) if self._is_present(key)])

    def _is_present(self, folded_key: str) -> bool:
        """Return whether a key has a value. A key of a resource that cannot be read is left out."""
        try:
            return self.value(folded_key) is not None
        except Exception:
            if type(self._values[folded_key]) is _ResourceValue:
                return False
            raise

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"Context({', '.join(sorted(self._values))})"


# --- of a resource -----------------------------------------------------------------------------------------------


def resource_values(tags: Mapping[str, str], keys: Mapping[str, Given | Lazy]) -> dict[str, object]:
    """Return the values of a resource's tags (`aws:ResourceTag/*`) and own keys, by key in lower case.

    A value that cannot be used is a function that raises: `ContextError` for names that differ by letter case only
    (rule C-4), a tag that is not a string and an unsupported value, `ConfigurationError` for a key of AWS, IAM or STS.
    So these affect only the decisions that read them. Raises `ConfigurationError` for a key that is not a string.
    """
    values: dict[str, object] = {}
    for tag, text in tags.items():
        key = _RESOURCE_TAG + tag.lower()
        if type(text) is not str or key in values:
            _add_unusual_tag(values, key, tag, text)
        else:
            values[key] = text
    if keys:
        _add_keys(values, keys)
    return values


def _add_keys(values: dict[str, object], keys: Mapping[str, Given | Lazy]) -> None:
    for name, value in keys.items():
        if not isinstance(name, str):
            raise ConfigurationError(f"expected a string as a resource's key, got `{type(name).__name__}`")
        folded = name.lower()
        if folded.startswith(_NOT_OF_RESOURCES):
            message = "expected a condition key of the application among a resource's keys"
            values[folded] = _ResourceValue(folded, error=ConfigurationError(message, place=name[:200]))
        elif folded in values:
            message = f"two keys of the resource differ by letter case only: `{name[:200]}`"
            values[folded] = _ResourceValue(folded, error=ContextError(message, place=name[:200]))
        elif value is not None:
            values[folded] = value if type(value) is str else _ResourceValue(folded, value).if_known()


def laid_over(values: dict[str, object], given: dict[str, object]) -> dict[str, object]:
    """Return a resource's values, with those given by hand; a function that returns None leaves the resource's."""
    if values.keys().isdisjoint(given):
        return values | given
    for key, value in given.items():
        has_fallback = callable(value) and key in values
        values[key] = _ResourceValue(key, values[key], given=value) if has_fallback else value
    return values


def _add_unusual_tag(values: dict[str, object], key: str, tag: str, text: object) -> None:
    if text is None:
        return
    message = f"two resource tags differ by letter case only: `{tag[:200]}`"  # C-4
    if key not in values:
        if isinstance(text, str):
            values[key] = str.__str__(text)
            return
        message = f"expected a string as the resource tag `{tag[:200]}`, got `{type(text).__name__}`"
    values[key] = _ResourceValue(key, error=ContextError(message, place="aws:ResourceTag"))


class _ResourceValue:
    """A function that returns a value of a resource; once it raised, it always raises."""

    __slots__ = ("_error", "_given", "_key", "_value")

    def __init__(self, key: str, value: Any = None, *, given: Any = None, error: Exception | None = None) -> None:
        self._key, self._value, self._given, self._error = key, value, given, error

    def if_known(self) -> object:
        """Return the value if that takes no function of the application and raises nothing; else this."""
        if callable(self._value):
            return self
        try:
            return self()
        except Exception:  # noqa: BLE001  each decision that reads the key raises it
            return self

    def __call__(self) -> Value | None:
        if self._error is not None:
            raise self._error.with_traceback(None)
        given = None if self._given is None else self._given()
        if given is not None:
            return normalise(given, self._key)
        try:
            value = self._value() if callable(self._value) else self._value
            return None if value is None else normalise(value, self._key)
        except Exception as error:
            self._error = error
            raise


# --- conversion --------------------------------------------------------------------------------------------------


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
