"""Conversion of values without parts, as one table: medium, type and timestamp format -> row.

Two media: `text` (query forms, XML, URIs, headers) and `json`. Each row reads and writes; both raise ValueError,
TypeError or OverflowError for an invalid value, and `expected` is for the error message. Strict on purpose: no `1_000`,
no `True`, no time without a zone.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, Literal, TypeAlias

from iam_guard.api.protocol.service_model import Shape

Convert: TypeAlias = Callable[[Any], Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(r"-?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][-+]?[0-9]{1,3})?")
_ISO_8601 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[-+][0-9]{2}:[0-9]{2})"
)
_NOT_FINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_BOOLEANS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class ScalarRow:
    """One row: a description of valid values, and the conversions from and to the medium."""

    expected: str
    read: Convert
    write: Convert


def scalar_of(medium: Literal["text", "json"], shape: Shape, timestamp_format: str) -> ScalarRow:
    """Return the row of a shape; `timestamp_format` is the protocol's default."""
    kind = shape.kind if shape.kind != "timestamp" else f"timestamp {shape.timestamp_format or timestamp_format}"
    return SCALARS[medium, kind]


# --- in Python ----------------------------------------------------------------------------------------------------


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return str.__str__(value)


def _integer(value: object, bits: int = 32) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise OverflowError
    return value


def _long(value: object) -> int:
    return _integer(value, 64)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _utc(value: object) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise TypeError
    return value.astimezone(UTC)


# --- in text ------------------------------------------------------------------------------------------------------


def _matching(pattern: re.Pattern[str], text: object) -> str:
    if not pattern.fullmatch(_string(text)):
        raise ValueError
    return _string(text)


def _finite(text: object) -> float:
    number = float(_matching(_NUMBER, text))
    if not math.isfinite(number):
        raise OverflowError
    return number


def _text_integer(within: Callable[[object], int]) -> Convert:
    return lambda text: within(int(_matching(_INTEGER, text)))


def _as_text(convert: Convert) -> Convert:
    return lambda value: str(convert(value))


def _from_number_text(text: str) -> float:
    return _NOT_FINITE[text] if text in _NOT_FINITE else _finite(text)


def _to_number_text(value: object) -> str:
    number = _number(value)
    return next((name for name, special in _NOT_FINITE.items() if repr(special) == repr(number)), repr(number))


def _from_boolean_text(text: str) -> bool:
    if text not in _BOOLEANS:
        raise ValueError
    return _BOOLEANS[text]


def _to_boolean_text(value: object) -> str:
    return str(_boolean(value)).lower()


def _from_base64(text: object) -> bytes:
    return base64.b64decode(_string(text), validate=True)


def _to_base64(value: object) -> str:
    if not isinstance(value, bytes):
        raise TypeError
    return base64.b64encode(value).decode()


# --- in JSON ------------------------------------------------------------------------------------------------------


def _from_json_number(value: object) -> float:
    return _NOT_FINITE[value] if isinstance(value, str) and value in _NOT_FINITE else _number(value)


def _to_json_number(value: object) -> float | str:
    text = _to_number_text(value)
    return text if text in _NOT_FINITE else _number(value)


# --- times --------------------------------------------------------------------------------------------------------


def _from_iso(text: object) -> datetime:
    return datetime.fromisoformat(_matching(_ISO_8601, text)).astimezone(UTC)


def _to_iso(value: object) -> str:
    return _utc(value).isoformat().replace("+00:00", "Z")


def _from_mail(text: object) -> datetime:
    return _utc(parsedate_to_datetime(_string(text)))


def _to_mail(value: object) -> str:
    return format_datetime(_utc(value), usegmt=True)


def _from_epoch(value: object) -> datetime:
    return _EPOCH + timedelta(seconds=_number(value))


def _from_epoch_text(text: object) -> datetime:
    return _from_epoch(_finite(text))


def _to_epoch(value: object) -> int | float:
    micros = (_utc(value) - _EPOCH) // timedelta(microseconds=1)
    return micros / 10**6 if micros % 10**6 else micros // 10**6


# --- the table ----------------------------------------------------------------------------------------------------

_ISO, _MAIL, _EPOCHAL = "timestamp iso8601", "timestamp rfc822", "timestamp unixtimestamp"
_LIKE_ISO, _LIKE_MAIL = "a time like `2026-11-24T14:01:46Z`", "a time like `Tue, 24 Nov 2026 14:01:46 GMT`"
_SINCE_1970, _SMALL, _LARGE = "a time in seconds since 1970", "an integer of 32 bits", "an integer of 64 bits"

SCALARS: Mapping[tuple[str, str], ScalarRow] = {
    ("text", "string"): ScalarRow("a string", _string, _string),
    ("text", "integer"): ScalarRow(_SMALL, _text_integer(_integer), _as_text(_integer)),
    ("text", "long"): ScalarRow(_LARGE, _text_integer(_long), _as_text(_long)),
    ("text", "float"): ScalarRow("a number", _from_number_text, _to_number_text),
    ("text", "double"): ScalarRow("a number", _from_number_text, _to_number_text),
    ("text", "boolean"): ScalarRow("`true` or `false`", _from_boolean_text, _to_boolean_text),
    ("text", "blob"): ScalarRow("base64", _from_base64, _to_base64),
    ("text", _ISO): ScalarRow(_LIKE_ISO, _from_iso, _to_iso),
    ("text", _MAIL): ScalarRow(_LIKE_MAIL, _from_mail, _to_mail),
    ("text", _EPOCHAL): ScalarRow(_SINCE_1970, _from_epoch_text, _as_text(_to_epoch)),
    ("json", "string"): ScalarRow("a string", _string, _string),
    ("json", "integer"): ScalarRow(_SMALL, _integer, _integer),
    ("json", "long"): ScalarRow(_LARGE, _long, _long),
    ("json", "float"): ScalarRow("a number", _from_json_number, _to_json_number),
    ("json", "double"): ScalarRow("a number", _from_json_number, _to_json_number),
    ("json", "boolean"): ScalarRow("`true` or `false`", _boolean, _boolean),
    ("json", "blob"): ScalarRow("base64", _from_base64, _to_base64),
    ("json", _ISO): ScalarRow(_LIKE_ISO, _from_iso, _to_iso),
    ("json", _MAIL): ScalarRow(_LIKE_MAIL, _from_mail, _to_mail),
    ("json", _EPOCHAL): ScalarRow(_SINCE_1970, _from_epoch, _to_epoch),
}
