"""Policy variables: `${key}`, `${key, 'default'}`, `${*}`, `${?}`, `${$}` (rules V-1 to V-16, M-20, M-22, G-5).

A text is parsed once into a template; each request fills it. A variable's value is literal text, never a wildcard or
another variable. A malformed variable is literal text (V-15).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from iam_guard.evaluation.matching.condition_keys import is_multivalued
from iam_guard.evaluation.matching.pattern import (
    Pattern,
    Piece,
    Wildcard,
    match_pattern,
    match_segments,
    read_wildcards,
)
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import LATEST

_ANY_VARIABLE = r"\$\{(?:[*?$]|[^\s{}',]+(?:, '[^']*')?)\}"
_WITH_KEY = re.compile(r"\$\{(?![*?$]\})[^\s{}',]+(?:, '[^']*')?\}")
_BETWEEN_VARIABLES = re.compile(_ANY_VARIABLE)
_BETWEEN_WILDCARDS = re.compile(rf"{_ANY_VARIABLE}|[*?]")
_VARIABLE = re.compile(r"\$\{(?:(?P<special>[*?$])|(?P<key>[^\s{}',]+)(?:, '(?P<default>[^']*)')?)\}")  # V-1


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable whose value the request supplies. `key` is in lower case (rule V-7)."""

    key: str
    default: str | None = None

    def value(self, request: AccessRequest) -> str | None:
        """Return the text of the variable; None for no value."""
        value = request.value(self.key)
        if value is None:
            return self.default  # V-8, V-9
        return value if value and isinstance(value, str) else None  # V-16


@dataclass(frozen=True, slots=True)
class NoValue:
    """A variable that never has a value, because its key is multivalued (rule V-6)."""

    key: str

    def value(self, request: AccessRequest) -> None:
        """Return None."""


Part: TypeAlias = str | Variable | NoValue
TemplatePiece: TypeAlias = Part | Wildcard
_VARIABLES: frozenset[type] = frozenset({Variable, NoValue})

FilledTest: TypeAlias = Callable[[AccessRequest, str], bool]
"""Return whether a text matches with the variables filled from the request."""


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed policy text."""

    pieces: tuple[TemplatePiece, ...]

    @property
    def pattern(self) -> Pattern | None:
        """The pattern; None if the template has variables."""
        has_variables = not _VARIABLES.isdisjoint(map(type, self.pieces))
        return None if has_variables else tuple([piece for piece in self.pieces if isinstance(piece, (str, Wildcard))])

    @property
    def variables(self) -> tuple[Variable | NoValue, ...]:
        """The variables, in order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, (Variable, NoValue)))

    def fill(self, request: AccessRequest) -> Pattern | None:
        """Return the pattern with the request's values; None if a variable has no value (rules V-9, V-12)."""
        pattern: list[Piece] = []
        for piece in self.pieces:
            text = piece if isinstance(piece, (str, Wildcard)) else piece.value(request)
            if text is None:
                return None
            if isinstance(text, str) and pattern and isinstance(before := pattern[-1], str):
                pattern[-1] = before + text
            else:
                pattern.append(text)
        return tuple(pattern)


def compile_template(template: Template, read: Callable[[Pattern], Pattern] | None = None) -> FilledTest:
    """Compile a template with variables into a test of a text; it fails if a variable has no value (rule V-9).

    `read` is applied to the filled pattern, for restrictions that depend on the values (rule C-25).
    """
    first, last = template.pieces[0], template.pieces[-1]
    begin, end = first if isinstance(first, str) else "", last if isinstance(last, str) else ""
    longest = max([piece for piece in template.pieces[1:] if isinstance(piece, str)], key=len, default="")
    segments: list[list[Part]] | None = None
    is_split = False

    def matches(request: AccessRequest, text: str) -> bool:
        nonlocal segments, is_split
        if not (text.startswith(begin) and text.endswith(end) and longest in text):
            return False  # for any values of the variables
        if not is_split:  # on demand: most templates never get here
            segments, is_split = _segments(template), True
        if segments is not None and read is None:
            return _matches_segments(segments, request, text)
        pattern = template.fill(request)
        return pattern is not None and match_pattern(read(pattern) if read else pattern, text)

    return matches


def compile_filled(
    texts: Iterable[str], compile: Callable[[str], FilledTest], literals: Callable[[str], Sequence[str]]
) -> FilledTest:
    """Compile policy texts with variables into one test that passes if that of any text does.

    A text is compiled once the test gets a value that its literal parts allow, as `literals` returns them. These are
    the conditions under which `compile_template` reads a variable, so the same keys are read.
    """
    entries = tuple([(text, *_needs(literals(text))) for text in dict.fromkeys(texts)])
    compiled: dict[str, FilledTest] = {}

    def passes(request: AccessRequest, value: str) -> bool:
        for text, begin, part, end in entries:
            if part in value and value.startswith(begin) and value.endswith(end):
                test = compiled.get(text)
                if test is None:
                    test = compiled[text] = compile(text)
                if test(request, value):
                    return True
        return False

    return passes


def _needs(parts: Sequence[str]) -> tuple[str, str, str]:
    return parts[0], max(parts[1:], key=len, default=""), parts[-1]


def literal_parts(text: str, *, has_wildcards: bool = True) -> Sequence[str]:
    """Return the texts between variables and wildcards; only an empty one if variables for special characters join."""
    if "${*}" in text or "${?}" in text or "${$}" in text:
        return ("",)
    return (_BETWEEN_WILDCARDS if has_wildcards else _BETWEEN_VARIABLES).split(text)


def _segments(template: Template) -> list[list[Part]] | None:
    """Split at the free runs; None if there is another wildcard."""
    segments: list[list[Part]] = [[]]
    for piece in template.pieces:
        if piece is Wildcard.RUN:
            segments.append([])
        elif isinstance(piece, Wildcard):
            return None
        else:
            segments[-1].append(piece)
    return segments


def _matches_segments(segments: Sequence[Sequence[Part]], request: AccessRequest, text: str) -> bool:
    filled = []
    for segment in segments:
        whole = ""
        for piece in segment:
            value = piece if isinstance(piece, str) else piece.value(request)
            if value is None:
                return False
            whole += value
        filled.append(whole)
    return match_segments(filled, text)


def has_variables(text: str, version: str) -> bool:
    """Return whether a policy text may have variables."""
    return version == LATEST and "${" in text


def reads_keys(text: str) -> bool:
    """Return whether a policy text has a variable with a key, where variables are supported."""
    return _WITH_KEY.search(text) is not None


def read_template(text: str, version: str, *, has_wildcards: bool = True) -> Template:
    """Parse a policy text. Variables are supported in version 2012-10-17 only (rules V-2, G-5)."""
    return join(read_pieces(text, version, has_wildcards=has_wildcards))


def variable_keys(text: str, version: str) -> list[str]:
    """Return the keys of the variables in a policy text, in the spelling of the text."""
    variables = _VARIABLE.finditer(text) if has_variables(text, version) else ()  # V-2, G-5
    return [variable["key"] for variable in variables if variable["key"] is not None]


def replace_variables(text: str, version: str, keys: Collection[str]) -> str:
    """Return the text with a `*` in place of the variables of some keys (lower case)."""
    if version != LATEST:
        return text
    return _VARIABLE.sub(lambda found: "*" if (found["key"] or "").lower() in keys else found[0], text)


def substitute_variables(text: str, version: str, values: Mapping[str, str | None], no_value: str) -> str:
    """Return the text with values in place of the variables of some keys (lower case); they must be literal text.

    None is an absent key: its variables become their default (rule V-8), or `no_value`.
    """
    if version != LATEST:
        return text

    def fill(found: re.Match[str]) -> str:
        key = (found["key"] or "").lower()
        if key not in values:
            return found[0]
        value = values[key] if values[key] is not None else found["default"]
        return no_value if value is None else value

    return _VARIABLE.sub(fill, text)


def join(pieces: Iterable[TemplatePiece]) -> Template:
    """Create a template from pieces; adjacent literal texts are joined."""
    joined: list[TemplatePiece] = []
    for piece in pieces:
        if not isinstance(piece, str):
            joined.append(piece)
        elif joined and isinstance(before := joined[-1], str):
            joined[-1] = before + piece
        elif piece:
            joined.append(piece)
    return Template(tuple(joined))


def read_pieces(text: str, version: str, *, has_wildcards: bool = True) -> Iterator[TemplatePiece]:
    """Yield the pieces of a policy text; literal texts can be empty or adjacent."""
    position = 0
    for variable in _VARIABLE.finditer(text) if version == LATEST else ():  # V-2, G-5
        yield from _plain(text[position : variable.start()], has_wildcards)
        yield _variable(variable)
        position = variable.end()
    yield from _plain(text[position:], has_wildcards)


def _plain(text: str, has_wildcards: bool) -> Pattern:
    return read_wildcards(text) if has_wildcards else (text,)


def _variable(found: re.Match[str]) -> TemplatePiece:
    special = found["special"]
    if special:
        return special  # M-20, V-14
    key = found["key"].lower()
    return NoValue(key) if is_multivalued(key) else Variable(key, found["default"])
