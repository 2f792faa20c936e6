"""Values as JSON-compatible ones, and back: a form per member of a class, and one function for each direction.

Reading is strict, for what it reads may come from another process or version: an unknown, missing or mistyped member
raises `InvalidInput` with its JSON pointer.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from ipaddress import ip_address
from types import MappingProxyType
from typing import Any, Final

from iam_guard.errors import ContextError, InvalidInput
from iam_guard.model.context import scalar_text


@dataclass(frozen=True, slots=True)
class Form:
    """How the values of a member are written and read. `read` gets the JSON pointer of the value too."""

    read: Callable[[object, str], Any]
    write: Callable[[Any], object] = lambda value: value
    is_required: bool = False


def json_of_attributes(value: object, forms: Mapping[str, Form]) -> dict[str, object]:
    """Return the attributes of a value as a JSON object, without those that are None."""
    attributes = {name: getattr(value, name) for name in forms}
    return {name: forms[name].write(found) for name, found in attributes.items() if found is not None}


def attributes_of_json(members: object, forms: Mapping[str, Form], place: str = "") -> dict[str, Any]:
    """Return the values in an object that `json_of_attributes` returned, by name. Raises `InvalidInput`."""
    if not isinstance(members, dict):
        raise _unexpected("an object", members, place)
    for name in members:
        if name not in forms:
            raise InvalidInput(f"expected only {', '.join(forms)}, got `{str(name)[:100]}`", place=place or "/")
    missing = [name for name, form in forms.items() if form.is_required and name not in members]
    if missing:
        raise InvalidInput(f"expected the member {missing[0]}", place=place or "/")
    return {name: forms[name].read(found, f"{place}/{name}") for name, found in members.items()}


def object_form(make: Callable[..., object], forms: Mapping[str, Form]) -> Form:
    """Return the form of the objects of a class."""

    def read(value: object, place: str) -> object:
        return make(**attributes_of_json(value, forms, place))

    return Form(read, lambda value: json_of_attributes(value, forms))


def choice_form(choices: Iterable[str], *, is_required: bool = False) -> Form:
    """Return the form of some strings, or of the members of a string enumeration."""
    by_text = {str(choice): choice for choice in choices}

    def read(value: object, place: str) -> str:
        text = _text(value, place)
        if text not in by_text:
            raise InvalidInput(f"expected one of {', '.join(by_text)}, got `{text[:100]}`", place=place)
        return by_text[text]

    return Form(read, str, is_required)


# --- the forms ---------------------------------------------------------------------------------------------------


def _text(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise _unexpected("a string", value, place)
    return value


def _flag(value: object, place: str) -> bool:
    if not isinstance(value, bool):
        raise _unexpected("a boolean", value, place)
    return value


def _texts(value: object, place: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise _unexpected("an array", value, place)
    return tuple(_text(item, f"{place}/{index}") for index, item in enumerate(value))


def _tags(value: object, place: str) -> Mapping[str, str]:
    return MappingProxyType({name: _text(text, place) for name, text in _mapping(value, place).items()})


def _moment(value: object, place: str) -> datetime:
    try:
        text = _text(value, place)
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.isoformat() != text:
        raise InvalidInput("expected a time such as 2026-11-24T14:01:46+00:00", place=place)
    return moment


def _mapping(value: object, place: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _unexpected("an object", value, place)
    return {_text(name, place): member for name, member in value.items()}


def _write_keys(keys: Mapping[str, Any]) -> dict[str, object]:
    return {name: _write_given(value, name) for name, value in keys.items()}


def _write_given(value: Any, key: str) -> object:
    """Write the value of a condition key. Raises `ContextError` for what is none."""
    if value is None:
        return None
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_write_scalar(item, key) for item in value]
    return _write_scalar(value, key)


def _write_scalar(value: object, key: str) -> object:
    text = scalar_text(value, key)
    match value:
        case str():
            return text
        case bool() | int() | float():
            return next(kind(value) for kind in (bool, int, float) if isinstance(value, kind))
        case datetime():
            return {"datetime": value.isoformat()}
        case Decimal():
            return {"decimal": str(value)}
        case bytes():
            return {"bytes": text}
        case _:
            return {"address": text}


def _read_keys(value: object, place: str) -> Mapping[str, Any]:
    members = _mapping(value, place).items()
    return MappingProxyType({name: _read_given(member, f"{place}/{name[:100]}") for name, member in members})


def _read_given(value: object, place: str) -> Any:
    if value is None:
        return None
    return tuple(_read_scalar(item, place) for item in value) if isinstance(value, list) else _read_scalar(value, place)


def _read_scalar(value: object, place: str) -> Any:
    if isinstance(value, (str, bool, int, float)):
        scalar: object = value
    else:
        kind, written = next(iter(value.items()), ("", "")) if isinstance(value, dict) else ("", "")
        if not isinstance(value, dict) or len(value) != 1 or kind not in _SCALARS:
            raise _unexpected(f"a string, number, boolean or one of {', '.join(_SCALARS)}", value, place)
        try:
            scalar = _SCALARS[kind](_text(written, place), place)
        except (ValueError, ArithmeticError):
            raise InvalidInput(f"expected a value of the kind {kind}", place=place) from None
    try:
        scalar_text(scalar, place)
    except ContextError as error:
        raise InvalidInput(error.message, place=place) from None
    return scalar


_SCALARS: Final[Mapping[str, Callable[[str, str], object]]] = {
    "datetime": _moment,
    "decimal": lambda text, _: Decimal(text),
    "bytes": lambda text, _: base64.b64decode(text, validate=True),
    "address": lambda text, _: ip_address(text),
}


def _unexpected(wanted: str, value: object, place: str) -> InvalidInput:
    return InvalidInput(f"expected {wanted}, got `{type(value).__name__}`", place=place or "/")


TEXT: Final = Form(_text)
REQUIRED_TEXT: Final = Form(_text, is_required=True)
FLAG: Final = Form(_flag)
TEXTS: Final = Form(_texts, list)
TAGS: Final = Form(_tags, dict)
MOMENT: Final = Form(_moment, datetime.isoformat)
REQUIRED_MOMENT: Final = Form(_moment, datetime.isoformat, is_required=True)
CONDITION_KEYS: Final = Form(_read_keys, _write_keys)
