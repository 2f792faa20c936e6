"""The text of a parameter's value in a resource's ARN: one text for equal values, or a refusal.

A policy compares texts, a handler uses values. So equal values must have one text (`a == b` implies `text_of(a) ==
text_of(b)`), and a type that cannot keep this has none: as `Decimal`, `7`, `7.00` and `7e0` are equal. A text that a
file system reads as another one (`acme/../globex`) names no resource either.
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

EXPECTED: Final = "a string, an integer, a UUID, a date, an IP address or a path"
"""What has a text, for messages."""

_Writer: TypeAlias = Callable[[Any], str]

_CONTROLS: Final = r"\\\x00-\x1f\x7f-\x9f\ud800-\udfff"
_UNFIT: Final = re.compile(f"[{_CONTROLS}]")
"""Characters of no name: file systems, terminals and logs read them otherwise, and UTF-8 has no surrogates."""
_SUSPECT: Final = re.compile(f"[/.{_CONTROLS}]")
"""Those and what segments are made of: one search for a set of characters is all that most values cost."""
_DOTS: Final = re.compile(r"(?:\A|[:/\\])\.{1,2}(?:[/\\]|\Z)")


def text_of(value: object) -> str:
    """Return the canonical text of a parameter's value; for a member of an enumeration, the text of its value.

    Raises `InvalidInput` for a type that has no canonical text, for no value, and for several (a list, say).
    """
    kind = type(value)
    write = _WRITERS.get(kind) or _inherited(kind)
    if write is not None:
        return write(value)
    if value is None or isinstance(value, Collection):
        message = f"expected one value for a part of the resource's ARN, got `{kind.__name__}`"
    else:
        message = f"expected {EXPECTED} for a part of the resource's ARN, got `{kind.__name__}`; use a loader"
    raise InvalidInput(message, place="resource")


def has_text(kind: type) -> bool:
    """Return whether values of a type have a canonical text."""
    return kind in _WRITERS or _inherited(kind) is not None


def is_plain(text: str) -> bool:
    """Return whether a text is one segment without dots, as most are, and so is fit without a closer look."""
    return text != "" and _SUSPECT.search(text) is None


def refuse_unfit(text: str, name: str) -> None:
    """Raise `InvalidInput` where the text of the parameter `name` names no resource; the message does not repeat it."""
    framed = f"/{text}/"
    if _UNFIT.search(text):
        what = "a backslash or control character"
    elif "/../" in framed or "/./" in framed:
        what = "a `.` or `..` segment"
    elif "//" in framed:
        what = "an empty segment"
    else:
        return
    raise InvalidInput(f"expected the parameter `{name}` without {what}", place="resource")


def refuse_dotted_arn(arn: str) -> None:
    """Raise `InvalidInput` for an ARN whose resource has a `.` or `..` segment."""
    if _DOTS.search(arn.split(":", 5)[-1]):
        raise InvalidInput("expected a loader to return an ARN without a `.` or `..` segment", place="resource")


# --- one text for equal values -----------------------------------------------------------------------------------


def _inherited(kind: type) -> _Writer | None:
    """Return what writes an enumeration, or a string or integer that compares and reads as its base does."""
    is_enum = issubclass(kind, Enum)
    for base, write in ((str, str.__str__), (int, _integer)):
        if issubclass(kind, base) and kind is not bool:  # True == 1
            is_same = is_enum or (kind.__str__ is base.__str__ and kind.__repr__ is base.__repr__)
            return write if is_same and kind.__eq__ is base.__eq__ else None
    return _member if is_enum and getattr(kind, "__eq__") is object.__eq__ else None  # noqa: B009


def _member(value: Enum) -> str:
    return text_of(value.value)


def _integer(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:  # Python writes no more than some thousand digits
        raise InvalidInput("expected a shorter integer for a part of the resource's ARN", place="resource") from None


def _moment(value: datetime) -> str:
    """Write a time that has an offset in UTC: it equals the same moment with another offset."""
    offset = value.utcoffset()
    if offset is None:
        return value.isoformat()
    try:
        if value.replace(fold=1 - value.fold).utcoffset() == offset:  # else two moments have one local time
            return value.astimezone(UTC).isoformat()
    except OverflowError:
        pass
    raise InvalidInput("expected a time that exists once, and in UTC too, for a part of the ARN", place="resource")


def _address(value: IPv6Address | IPv6Network) -> str:
    text = str(value)
    if "%" in text:
        raise InvalidInput("expected an IP address without a scope for a part of the resource's ARN", place="resource")
    return text


_WRITERS: Final[Mapping[type, _Writer]] = {
    str: str.__str__,
    int: _integer,
    UUID: str,
    date: date.isoformat,
    datetime: _moment,
    IPv4Address: str,
    IPv4Interface: str,
    IPv4Network: str,
    IPv6Address: _address,
    IPv6Interface: _address,
    IPv6Network: _address,
    PosixPath: str,
    PurePosixPath: str,
}
"""By the exact type: a subclass may be equal to more than its base is."""
