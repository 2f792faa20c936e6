"""Find a text that some patterns match and others do not.

`find_text` is exact: it returns a text, or None if there is none. It raises `Undecided` beyond a limit of states.

Strategy. Most questions are answered by a guess (the pattern with readable texts in place of its wildcards), or by one
excluded pattern that covers the first one. The others are answered by a depth-first search through the subset
construction: a pattern is a nondeterministic automaton, and all positions in all patterns are the bits of one integer.
The alphabet is the characters of the patterns, the colon, and one that no pattern contains.

A policy variable is written with characters of a private plane (`variable_text`) and represents whatever text it has.
It occurs in a text only where the `source` has it; `*` matches it, `?` and a run that ends at colons do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from iam_guard.analysis.checks.limits import Undecided
from iam_guard.evaluation.matching.pattern import Matcher, Pattern, Wildcard, compile_pattern
from iam_guard.evaluation.matching.pattern_coverage import Unit, units_of

PRIVATE = "\U000f0000"
"""The first character of those that represent variables; no policy contains them (rule G-12)."""
_FIRST, _LAST = ord(PRIVATE), 0xFFFFD
_BEGIN, _END = "\U000ffffc", "\U000ffffd"
_UNUSED = "\U0010ffff"
_MAX_STATES = 30_000
_MAX_STATES_OF_A_COVER = 500
_RUN, _ONE, _RUN_IN_FIELD, _ONE_IN_FIELD = Wildcard
_RUNS = (_RUN, _RUN_IN_FIELD)
_FIELDS = ("example", "aws", "example", "us-east-1", "123456789012", "example")
"""What a run is replaced with in a guess, by the number of colons before it."""


def variables_in(text: str) -> list[str]:
    """Return the names that the variables of a text were written with."""
    if text.isascii():
        return []
    parts = [part.partition(_END)[0] for part in text.split(_BEGIN)[1:]]
    return ["".join(chr(ord(char) - _FIRST) for char in part) for part in parts]


def divide_at_variables(text: str) -> list[str]:
    """Return the texts between variables, and the names of the variables in between."""
    parts: list[str] = []
    for before in text.split(_BEGIN):
        name, _, after = before.rpartition(_END)
        parts += ["".join(chr(ord(char) - _FIRST) for char in name), after] if parts else [before]
    return parts


ACTION_SHAPE: Pattern = (*(some := (_ONE_IN_FIELD, _RUN_IN_FIELD)), ":", *some)
"""`service:Name`: both parts have at least one character."""


class SearchResult(NamedTuple):
    """The result of a search: a text or None, and the number of states visited."""

    text: str | None
    states: int


def is_variable(char: str) -> bool:
    """Return whether a character represents a policy variable."""
    return _FIRST <= ord(char) <= _LAST


def variable_text(name: str) -> str:
    """Return the characters that represent a variable."""
    if name >= PRIVATE or max(name) >= "\uff00":
        raise Undecided("a variable has characters that policies must not have")
    return _BEGIN + "".join(chr(_FIRST + ord(char)) for char in name) + _END


@lru_cache(maxsize=65_536)
def has_variable(pattern: Pattern) -> bool:
    """Return whether a pattern contains the character of a variable."""
    return any(isinstance(piece, str) and not piece.isascii() and any(map(is_variable, piece)) for piece in pattern)


@lru_cache(maxsize=65_536)
def matcher_of(pattern: Pattern) -> Matcher:
    """Compile a pattern; cached."""
    return _is_action if pattern == ACTION_SHAPE else compile_pattern(pattern)


def _is_action(text: str) -> bool:
    return text.count(":") == 1 and text[0] != ":" and text[-1] != ":"


@lru_cache(maxsize=65_536)
def literal_of(pattern: Pattern) -> str | None:
    """Return the only text that a pattern matches; None if it has wildcards or variables."""
    if len(pattern) > 1 or (pattern and not isinstance(pattern[0], str)) or has_variable(pattern):
        return None
    return str(pattern[0]) if pattern else ""


@lru_cache(maxsize=65_536)
def guess(pattern: Pattern, run: str | None = None) -> str:
    """Return a readable text that a pattern matches; `run` replaces every run."""
    text, before = "", None
    for piece in pattern:
        if isinstance(piece, str):
            text += piece
        elif piece in _RUNS:
            word = run if run is not None else _FIELDS[min(text.count(":"), 5)] if text[:4] == "arn:" else "example"
            text += word[1:] if before in (_ONE, _ONE_IN_FIELD) and word else word
        else:
            text += "e"
        before = piece
    return text


@lru_cache(maxsize=65_536)
def includes(wide: Pattern, narrow: Pattern) -> bool:
    """Return whether `wide` matches every text that `narrow` matches; False if that is too complex to determine."""
    if wide in ((_RUN,), narrow):
        return True
    if not has_variable(narrow) and not matcher_of(wide)(guess(narrow, "")):
        return False
    if (literal := literal_of(narrow)) is not None:
        return matcher_of(wide)(literal)
    wildcards = _wildcards(wide)
    is_in_field = not has_variable(narrow) and _wildcards(narrow) <= _ALL_IN_FIELD
    if wildcards <= _ANY_LENGTH or (is_in_field and wildcards <= _ANY_LENGTH_IN_FIELD):
        # only a run of `wide` matches this character, and it matches all that the wildcard of `narrow` does
        return matcher_of(wide)("".join(piece if isinstance(piece, str) else _UNUSED for piece in narrow))
    try:
        return search(narrow, (), frozenset((wide,)), _MAX_STATES_OF_A_COVER).text is None
    except Undecided:
        return False


def _wildcards(pattern: Pattern) -> frozenset[str | Wildcard]:
    return frozenset(pattern) & _WILDCARDS


_WILDCARDS = frozenset(Wildcard)
_ANY_LENGTH, _ANY_LENGTH_IN_FIELD = frozenset((_RUN,)), frozenset((_RUN, _RUN_IN_FIELD))
_ALL_IN_FIELD = frozenset((_RUN_IN_FIELD, _ONE_IN_FIELD))


@lru_cache(maxsize=65_536)
def may_overlap(one: Pattern, other: Pattern) -> bool:
    """Return False if no text matches both, by their literal beginnings and ends; True in doubt."""
    first, second = beginning_of(one), beginning_of(other)
    if not (first.startswith(second) or second.startswith(first)):
        return False
    first, second = _end(one), _end(other)
    return first.endswith(second) or second.endswith(first)


@lru_cache(maxsize=65_536)
def beginning_of(pattern: Pattern) -> str:
    """Return what every text of a pattern begins with."""
    return _until_variable(pattern[0]) if pattern and isinstance(pattern[0], str) else ""


@lru_cache(maxsize=65_536)
def _end(pattern: Pattern) -> str:
    return _until_variable(pattern[-1][::-1])[::-1] if pattern and isinstance(pattern[-1], str) else ""


def _until_variable(text: str) -> str:
    if text.isascii():
        return text
    return text[: next((index for index, char in enumerate(text) if is_variable(char)), len(text))]


@lru_cache(maxsize=65_536)
def find_text(source: Pattern, also: tuple[Pattern, ...], excluded: frozenset[Pattern]) -> SearchResult:
    """Return a text that `source` and all of `also` match and none of `excluded`; no text if there is none.

    Raises `Undecided` if that is too complex to determine.
    """
    excluded = frozenset(pattern for pattern in excluded if may_overlap(pattern, source))
    if not has_variable(source):
        for run in (None, ""):
            text = guess(source, run)
            if _is_found(text, also, excluded):
                return SearchResult(text, 1)
        for pattern in also if not any(map(has_variable, also)) else ():
            for run in (None, ""):
                text = guess(pattern, run)
                if matcher_of(source)(text) and _is_found(text, also, excluded):
                    return SearchResult(text, 1)
        for text in _joined((source, *also)) if also else ():
            if _is_found(text, (source, *also), excluded):
                return SearchResult(text, 1)
    for pattern in excluded:
        if includes(pattern, source) or any(includes(pattern, narrow) for narrow in also if not has_variable(source)):
            return SearchResult(None, 1)
    return search(source, also, excluded)


def _joined(patterns: Sequence[Pattern]) -> Iterator[str]:
    """Yield texts that patterns with a run after their beginning and before their end match, if they overlap."""
    begin, end = max(map(beginning_of, patterns), key=len), max(map(_end, patterns), key=len)
    inner = [piece for pattern in patterns for piece in pattern[1:-1]]
    middle = "".join(piece if isinstance(piece, str) else "" if piece in _RUNS else "e" for piece in inner)
    shared = next((size for size in range(len(end) - 1, 0, -1) if begin.endswith(end[:size])), 0)
    if shared and not middle:
        yield begin + end[shared:]
    yield begin + middle + end


def _is_found(text: str, also: Iterable[Pattern], excluded: Iterable[Pattern]) -> bool:
    return all(matcher_of(pattern)(text) for pattern in also) and not any(
        matcher_of(pattern)(text) for pattern in excluded
    )


# --- the search --------------------------------------------------------------------------------------------------


class _Automaton:
    """One pattern: `accepting` maps a character to the units that accept it, as bits."""

    __slots__ = ("accepting", "final_runs", "in_field", "length", "literals", "others", "runs")

    def __init__(self, pattern: Pattern) -> None:
        units = units_of(pattern)
        self.length = len(units)
        self.runs = _bits(units, _RUNS)
        self.final_runs = 1 << self.length - 1 if units and units[-1] is _RUN else 0
        self.in_field = _bits(units, (_RUN_IN_FIELD, _ONE_IN_FIELD))
        self.others = _bits(units, tuple(Wildcard))
        self.literals: dict[str, int] = {}
        for index, unit in enumerate(units):
            if isinstance(unit, str):
                self.literals[unit] = self.literals.get(unit, 0) | 1 << index

    def accepts(self, char: str, *, is_source: bool) -> int:
        literal = self.literals.get(char, 0)
        if is_variable(char):
            return literal if is_source else literal | (self.runs & ~self.in_field)
        return literal | (self.others & ~self.in_field if char == ":" else self.others)


def _bits(units: Iterable[Unit], wanted: tuple[Wildcard, ...]) -> int:
    return sum(1 << index for index, unit in enumerate(units) if unit in wanted)


_automaton = lru_cache(maxsize=65_536)(_Automaton)


class _Product:
    """All patterns side by side in one integer, with one more bit for the end of each."""

    def __init__(self, source: Pattern, also: tuple[Pattern, ...], excluded: Iterable[Pattern]) -> None:
        self.start = self.runs = self.cut = self.bad = self.wild = 0
        self.needed: list[tuple[int, int]] = []
        """The bits of each pattern that must match, and its end."""
        self.literals: dict[str, int] = {}
        places = []
        offset = 0
        for number, pattern in enumerate((source, *also, *excluded)):
            automaton = _automaton(pattern)
            end = 1 << offset + automaton.length
            places.append((automaton, offset, number == 0))
            self.start |= 1 << offset
            self.runs |= automaton.runs << offset
            self.wild |= automaton.others << offset
            if number <= len(also):
                self.needed.append(((1 << automaton.length + 1) - 1 << offset, end))
            else:
                self.bad |= end
                self.cut |= automaton.final_runs << offset
            for char, bits in automaton.literals.items():
                self.literals[char] = self.literals.get(char, 0) | bits << offset
            offset += automaton.length + 1
        self.alphabet = [_UNUSED, *sorted(self.literals.keys() | {":"})]
        self._needed_at = [(char, -1 if char in (_UNUSED, ":") else self.literals[char]) for char in self.alphabet]
        self._accepting = {
            char: sum(automaton.accepts(char, is_source=first) << start for automaton, start, first in places)
            for char in self.alphabet
        }
        self.start = self.closure(self.start)

    def closure(self, state: int) -> int:
        while (extended := state | (state & self.runs) << 1) != state:
            state = extended
        return state

    def step(self, state: int, char: str) -> int:
        matched = state & self._accepting[char]
        return self.closure((matched & self.runs) | (matched & ~self.runs) << 1)

    def is_dead(self, state: int) -> bool:
        if state & self.cut:
            return True
        for bits, _ in self.needed:  # noqa: SIM110  the hottest loop
            if not state & bits:
                return True
        return False

    def is_accepted(self, state: int) -> bool:
        return not state & self.bad and all(state & end for _, end in self.needed)

    def characters(self, state: int) -> list[str]:
        """Return the characters that differ from each other in a state; the colon can always differ."""
        return [char for char, bits in self._needed_at if state & bits]


@lru_cache(maxsize=65_536)
def search(
    source: Pattern, also: tuple[Pattern, ...], excluded: frozenset[Pattern], max_states: int = _MAX_STATES
) -> SearchResult:
    """Search like `find_text`, without its shortcuts."""
    product = _Product(source, also, sorted(excluded, key=str))
    before: dict[int, tuple[int, str] | None] = {product.start: None}
    pending = [product.start] if not product.is_dead(product.start) else []
    while pending:
        state = pending.pop()
        if product.is_accepted(state):
            return SearchResult(_text(before, state), len(before))
        for char in reversed(product.characters(state)):
            following = product.step(state, char)
            if following not in before and not product.is_dead(following):
                before[following] = state, char
                pending.append(following)
        if len(before) > max_states:
            raise Undecided("the patterns are too complex to compare")
    return SearchResult(None, len(before))


def _text(before: dict[int, tuple[int, str] | None], state: int) -> str:
    chars = []
    while (step := before[state]) is not None:
        state, char = step
        chars.append(char)
    return "".join(reversed(chars))
