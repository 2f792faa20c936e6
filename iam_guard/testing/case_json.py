"""One JSON text -> one decoded case. Policies that come again, letter by letter, are decoded and compiled once.

Most of a line is its policies, and many lines have the same. A text that begins with `{` and was once decoded as one
whole JSON value has the same value wherever a value may stand, since JSON looks neither back nor ahead. So a line whose
policies are known is decoded around them, with a hole in their place; if the hole comes out as the `policies` of the
case, they are put back. In every other event, and for each fault, the line is decoded as a whole: what the memory holds
never changes an entry.
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
"""Of the policies that are remembered; beyond it, all are forgotten."""


@dataclass(eq=False, slots=True)
class SharedPolicies:
    """The policies of all cases that have the same text there; compiled by whoever first decides with them."""

    decoded: Any
    authorizer: Authorizer | None = None


@dataclass(frozen=True, slots=True)
class CaseEntry:
    """One decoded case and where it stands; `shared` are its policies where it was decoded around them.

    Of a file, `path` names it, `line` and `column` (from 1) say where the case begins, and `seed` is the seed by which
    the file wants its cases decided.
    """

    place: str
    given: Any
    shared: SharedPolicies | None = field(default=None, compare=False, repr=False)
    line: int | None = field(default=None, compare=False)
    column: int | None = field(default=None, compare=False)
    path: Path | None = field(default=None, compare=False)
    seed: Path | None = field(default=None, compare=False)

    def member(self, key: str) -> str | int | None:
        """Return a member of the case before its shape is checked: a text that can be printed, or a whole number.

        None where the case has none, or one of another kind, or is no object.
        """
        found = self.given.get(key) if isinstance(self.given, dict) else None
        if isinstance(found, str):
            return found.encode("utf-8", "backslashreplace").decode("utf-8")
        return found if isinstance(found, int) else None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Something that is no case, and why; of a file, where, as of a `CaseEntry`."""

    place: str
    problem: str
    line: int | None = field(default=None, compare=False)
    column: int | None = field(default=None, compare=False)
    path: Path | None = field(default=None, compare=False)


class CaseDecoder:
    """Decodes the cases of one stream, and remembers policies within bounds. For one thread."""

    def __init__(self) -> None:
        self._known: dict[str, SharedPolicies | None] = {}
        self._characters = 0

    def decode(self, text: str, place: str) -> CaseEntry | Unreadable:
        """Decode a text; what is no JSON, or has a key twice, is an `Unreadable`."""
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
        """Decode a case whose policies are an object; None in every event that is not plain."""
        name = _POLICIES.search(text)
        if name is None:
            return None
        start = name.end()
        try:
            shared, end = self._shared(text, start)
            around = text[:start] + _HOLE_TEXT + text[end:]
            given = _AROUND.decode(around)
        except (ValueError, RecursionError):
            return None  # the whole text is decoded then, for the error with the right place
        if not isinstance(given, dict) or given.get("policies") is not _HOLE or around.count(_HOLE_TEXT) > 1:
            return None
        given["policies"] = shared.decoded
        return CaseEntry(place, given, shared)

    def _shared(self, text: str, start: int) -> tuple[SharedPolicies, int]:
        """Return the policies that begin at `start`, and where they end."""
        end = text.rfind("}", start, text.rfind("}")) + 1  # a guess that is right where only texts follow
        known = self._known.get(text[start:end])
        if known is not None:
            return known, end
        decoded, end = _WHOLE.raw_decode(text, start)
        return self._remember(text[start:end], decoded), end

    def _remember(self, written: str, decoded: Any) -> SharedPolicies:
        """Keep policies that come again, and of the others the text alone."""
        policies = self._known.get(written) or SharedPolicies(decoded)
        if written in self._known:
            self._known[written] = policies
            return policies
        self._characters += len(written)
        if self._characters > _MAX_CHARACTERS:
            self._known.clear()
            self._characters = len(written)
        self._known[written] = None
        return policies


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a repeated key (rule G-10): who reads the last one and who reads the first decide differently."""
    found = dict(pairs)
    if len(found) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        repeated = next(key for key, count in counts.items() if count > 1)
        raise ValueError(f"the key `{repeated[:80]}` is repeated")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"`{name}` is no number of JSON")


def _hole(name: str) -> object:
    return _HOLE if name == _HOLE_TEXT else _no_number(name)


_SURROGATE = re.compile("[\ud800-\udfff]")
_POLICIES = re.compile(r'"policies"[ \t\n\r]*:[ \t\n\r]*(?=\{)')
_HOLE = object()
_HOLE_TEXT = "NaN"
"""What stands for the policies: a word that Python's decoder knows and that is no JSON, so no text can feign it."""

_WHOLE = JSONDecoder(object_pairs_hook=_without_repetition, parse_constant=_no_number)
_AROUND = JSONDecoder(object_pairs_hook=_without_repetition, parse_constant=_hole)
