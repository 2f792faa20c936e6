"""The canonical text of a parameter's value in a resource's ARN.

Policies compare texts, and handlers compare values. So equal values must have the same text (`a == b` implies
`text_of(a) == text_of(b)`), and a type for which that is not guaranteed has no text: the `Decimal` values `7`, `7.00`
and `7e0` are equal. A text that a file system may normalize (`acme/../globex`) is rejected too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import PosixPath, PurePosixPath
from typing import Any, Final, TypeAlias
from uuid import UUID

from iam_guard.errors import InvalidInput

SUPPORTED: Final = "a string, an integer, a UUID, a date, an IP address or a path"
"""The supported types, for messages."""

_Writer: TypeAlias = Callable[[Any], str]

_CONTROLS: Final = r"\\\x00-\x1f\x7f-\x9f\ud800-\udfff"
_FORBIDDEN: Final = re.compile(f"[{_CONTROLS}]")
"""Characters that file systems, terminals and logs may interpret, and surrogates, which UTF-8 can't encode."""
_SUSPECT: Final = re.compile(f"[/.{_CONTROLS}]")
"""These, and the characters `/` and `.` of segments: most values need only this one search."""
_DOTS: Final = re.compile(r"(?:\A|[:/\\])\.{1,2}(?:[/\\]|\Z)")


def text_of(value: object) -> str:
    """Return the canonical text of a parameter's value; for a member of an enumeration, the text of its value.

    Raises `InvalidInput` for a type without canonical text, for None, and for collections.
    """
    kind = type(value)
    write = _WRITERS.get(kind) or _inherited_writer(kind)
    if write is not None:
        return write(value)
    if value is None or isinstance(value, Collection):
        message = f"expected one value for a part of the resource's ARN, got `{kind.__name__}`"
    else:
        message = f"expected {SUPPORTED} for a part of the resource's ARN, got `{kind.__name__}`; use a loader"
    raise InvalidInput(message, place="resource")


def has_text(kind: type) -> bool:
    """Return whether the values of a type have a canonical text."""
    return kind in _WRITERS or _inherited_writer(kind) is not None


def is_plain(text: str) -> bool:
    """Return whether a text is one segment without dots, and needs no further check."""
    return text != "" and _SUSPECT.search(text) is None


def check_text(text: str, name: str) -> None:
    """Raise `InvalidInput` if the text can't be part of a resource name; the message does not repeat the text."""
    framed = f"/{text}/"
    if _FORBIDDEN.search(text):
        what = "a backslash or control character"
    elif "/../" in framed or "/./" in framed:
        what = "a `.` or `..` segment"
    elif "//" in framed:
        what = "an empty segment"
    else:
        return
    raise InvalidInput(f"expected the parameter `{name}` without {what}", place="resource")


def check_arn_segments(arn: str) -> None:
    """Raise `InvalidInput` for an ARN with a `.` or `..` segment in its resource."""
    if _DOTS.search(arn.split(":", 5)[-1]):
        raise InvalidInput("expected a loader to return an ARN without a `.` or `..` segment", place="resource")


# --- one text for equal values -----------------------------------------------------------------------------------


def _inherited_writer(kind: type) -> _Writer | None:
    """Return the writer for an enumeration, or for a subclass of `str` or `int` that inherits comparison and text."""
    is_enum = issubclass(kind, Enum)
    for base, write in ((str, str.__str__), (int, _integer_text)):
        if issubclass(kind, base) and kind is not bool:  # True == 1
            is_same = is_enum or (kind.__str__ is base.__str__ and kind.__repr__ is base.__repr__)
            return write if is_same and kind.__eq__ is base.__eq__ else None
    return _member_text if is_enum and getattr(kind, "__eq__") is object.__eq__ else None  # noqa: B009


def _member_text(value: Enum) -> str:
    return text_of(value.value)


def _integer_text(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:  # Python limits the digits of this conversion
        raise InvalidInput("expected a shorter integer for a part of the resource's ARN", place="resource") from None


def _datetime_text(value: datetime) -> str:
    """Return a time with an offset in UTC: it is equal to the same moment with another offset."""
    offset = value.utcoffset()
    if offset is None:
        return value.isoformat()
    try:
        if value.replace(fold=1 - value.fold).utcoffset() == offset:  # otherwise two moments have this local time
            return value.astimezone(UTC).isoformat()
    except OverflowError:
        pass
    raise InvalidInput("expected an unambiguous time that exists in UTC for a part of the ARN", place="resource")


def _ip_text(value: IPv6Address | IPv6Network) -> str:
    text = str(value)
    if "%" in text:
        raise InvalidInput("expected an IP address without a scope for a part of the resource's ARN", place="resource")
    return text


_WRITERS: Final[Mapping[type, _Writer]] = {
    str: str.__str__,
    int: _integer_text,
    UUID: str,
    date: date.isoformat,
    datetime: _datetime_text,
    IPv4Address: str,
    IPv4Interface: str,
    IPv4Network: str,
    IPv6Address: _ip_text,
    IPv6Interface: _ip_text,
    IPv6Network: _ip_text,
    PosixPath: str,
    PurePosixPath: str,
}
"""By the exact type: a subclass may compare equal to more values than its base."""
