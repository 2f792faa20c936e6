"""Decode one JSON text into a case. Repeated policies, equal as text, are decoded and compiled once.

Strategy. Most of a line is its policies, and many lines have the same. A text that begins with `{` and was once decoded
as one whole JSON value has that value at any position, since JSON is context-free. A line with cached policies is
decoded with a placeholder in their place; if the placeholder becomes the case's `policies`, they are put back. In all
other cases, and for every error, the line is decoded as a whole, so the cache never changes an entry.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from json import JSONDecodeError, JSONDecoder
from pathlib import Path
from typing import Any

from iam_guard.evaluation.authorizer import Authorizer

_MAX_CHARACTERS = 8_000_000
"""The maximum size of the policy cache; the cache is cleared beyond it."""


@dataclass(eq=False, slots=True)
class SharedPolicies:
    """The policies of all cases with the same text; compiled on first use."""

    decoded: Any
    authorizer: Authorizer | None = None


@dataclass(frozen=True, slots=True)
class CaseEntry:
    """One decoded case and its place; `shared` are its policies if they came from the cache.

    In a file, `path` is the file, `line` and `column` (from 1) are the start of the case, and `seed` is the seed that
    decides the cases.
    """

    place: str
    content: Any
    shared: SharedPolicies | None = field(default=None, compare=False, repr=False)
    line: int | None = field(default=None, compare=False)
    column: int | None = field(default=None, compare=False)
    path: Path | None = field(default=None, compare=False)
    seed: Path | None = field(default=None, compare=False)

    def member(self, key: str) -> str | int | None:
        """Return a member before the case is validated: a printable string or an integer; None if there is none."""
        found = self.content.get(key) if isinstance(self.content, dict) else None
        if isinstance(found, str):
            return found.encode("utf-8", "backslashreplace").decode("utf-8")
        return found if isinstance(found, int) else None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that is no case, and why. The place is as in `CaseEntry`."""

    place: str
    problem: str
    line: int | None = field(default=None, compare=False)
    column: int | None = field(default=None, compare=False)
    path: Path | None = field(default=None, compare=False)


class CaseDecoder:
    """Decodes the cases of one stream with a bounded cache of policies. Not thread-safe."""

    def __init__(self) -> None:
        self._policies: dict[str, SharedPolicies | None] = {}
        self._characters = 0

    def decode(self, text: str, place: str) -> CaseEntry | Unreadable:
        """Decode a text. Invalid JSON, or JSON with a duplicate key, becomes an `Unreadable`."""
        if not text.isascii() and _SURROGATE.search(text):
            return Unreadable(place, "expected UTF-8")
        try:
            return self._decode_around_policies(text, place) or CaseEntry(place, _WHOLE.decode(text))
        except RecursionError:
            return Unreadable(place, "the case is nested too deeply")
        except ValueError as error:
            line, column = (error.lineno, error.colno) if isinstance(error, JSONDecodeError) else (None, None)
            return Unreadable(place, f"expected a case as JSON object: {error}", line, column)

    def _decode_around_policies(self, text: str, place: str) -> CaseEntry | None:
        """Decode a case around its cached policies; None if the whole text must be decoded."""
        name = _POLICIES.search(text)
        if name is None:
            return None
        start = name.end()
        try:
            shared, end = self._shared(text, start)
            around = text[:start] + _PLACEHOLDER_TEXT + text[end:]
            content = _AROUND.decode(around)
        except (ValueError, RecursionError):
            return None  # decoding the whole text reports the error with its position
        if (
            not isinstance(content, dict)
            or content.get("policies") is not _PLACEHOLDER
            or around.count(_PLACEHOLDER_TEXT) > 1
        ):
            return None
        content["policies"] = shared.decoded
        return CaseEntry(place, content, shared)

    def _shared(self, text: str, start: int) -> tuple[SharedPolicies, int]:
        """Return the policies that begin at `start`, and their end."""
        end = text.rfind("}", start, text.rfind("}")) + 1  # a guess, right if only strings follow
        cached = self._policies.get(text[start:end])
        if cached is not None:
            return cached, end
        decoded, end = _WHOLE.raw_decode(text, start)
        return self._cache(text[start:end], decoded), end

    def _cache(self, text: str, decoded: Any) -> SharedPolicies:
        """Cache policies that occur again; on their first occurrence, only the text."""
        policies = self._policies.get(text) or SharedPolicies(decoded)
        if text in self._policies:
            self._policies[text] = policies
            return policies
        self._characters += len(text)
        if self._characters > _MAX_CHARACTERS:
            self._policies.clear()
            self._characters = len(text)
        self._policies[text] = None
        return policies


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a duplicate key (rule G-10), which parsers resolve differently."""
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        repeated = next(key for key, count in counts.items() if count > 1)
        raise ValueError(f"the key `{repeated[:80]}` is repeated")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"`{name}` is not a JSON number")


def _placeholder(name: str) -> object:
    return _PLACEHOLDER if name == _PLACEHOLDER_TEXT else _no_number(name)


_SURROGATE = re.compile("[\ud800-\udfff]")
_POLICIES = re.compile(r'"policies"[ \t\n\r]*:[ \t\n\r]*(?=\{)')
_PLACEHOLDER = object()
_PLACEHOLDER_TEXT = "NaN"
"""The placeholder: a word that Python's decoder accepts and JSON doesn't have, so no valid text contains it."""

_WHOLE = JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_no_number)
_AROUND = JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_placeholder)
