"""`ContextEntries`: the condition keys of a simulation, validated by their types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from iam_guard.errors import InvalidInput
from iam_guard.model.context import Value
from iam_guard.policy import value_parsing

_TYPES: Mapping[str, tuple[str, Callable[[str], object]] | None] = {
    # type: AWS's name of the format and the parser of a request value, None if every text is valid
    "string": None,
    "boolean": None,
    "numeric": ("numeric format", value_parsing.number),
    "date": ("DateTime format", value_parsing.instant_in_request),
    "ip": ("IP address", value_parsing.address),
    "binary": ("base-64 encoded binary format", value_parsing.octets),
}


def read_context(entries: Iterable[Mapping[str, Any]]) -> dict[str, Value]:
    """Return the values by lower-case key (C-3). Raises `InvalidInput` with AWS's messages."""
    context: dict[str, Value] = {}
    for entry in entries:
        name = entry.get("ContextKeyName")
        if not name:
            raise InvalidInput("ContextKeyName cannot be null or empty.", place="ContextEntries")
        if name.lower() in context:
            raise InvalidInput(f"Duplicate context key: {name}.", place="ContextEntries")
        context[name.lower()] = _value(name, entry.get("ContextKeyType"), entry.get("ContextKeyValues", ()))
    return context


def _value(name: str, type: str | None, texts: Sequence[str]) -> Value:
    kind = "" if type is None else type
    scalar, is_list = kind.removesuffix("List"), kind.endswith("List")
    if scalar not in _TYPES:
        raise InvalidInput(f"Context key {name} has invalid type {kind or 'null'}.", place="ContextEntries")
    if not texts:
        raise InvalidInput(f"Context values for context key {name} cannot be null or empty.", place="ContextEntries")
    if not is_list and len(texts) != 1:
        raise InvalidInput(
            f"Context key {kind} expected a single value, but received {len(texts)}.", place="ContextEntries"
        )
    values = tuple(_text(name, scalar, text) for text in texts)
    return values if is_list else values[0]


def _text(name: str, scalar: str, text: str) -> str:
    if scalar == "boolean":
        return "true" if text.lower() == "true" else "false"  # as AWS: every other value is false
    form = _TYPES[scalar]
    if form is not None and form[1](text) is None:
        raise InvalidInput(f"Invalid context value for key {name}: expected {form[0]}.", place="ContextEntries")
    return text
