"""Match texts with open values against patterns: what remains after the literal parts have been compared.

`arn:aws:docs:us-east-1:111122223333:document/{id}` against `arn:aws:docs:*:*:document/7*` leaves `{id}` against `7*`.
The pattern is an automaton: a state is the number of pieces (single characters and wildcards) that have been matched.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from iam_guard.evaluation.matching.pattern import Wildcard
from iam_guard.evaluation.matching.pattern_coverage import covers
from iam_guard.evaluation.partial.formula import (
    AllOf,
    Formula,
    Matches,
    OneOf,
    Open,
    Presence,
    Text,
    TextPiece,
    all_of,
    any_of,
)

ACCOUNT: Final = Open("{account}")
"""The account in an ARN: always 12 digits."""
_DIGITS: Final = 12
_RUNS: Final = frozenset({Wildcard.RUN, Wildcard.RUN_IN_FIELD})
_IN_FIELD: Final = frozenset({Wildcard.RUN_IN_FIELD, Wildcard.ONE_IN_FIELD})


def text(pieces: Iterable[TextPiece]) -> Text:
    """Return a text of pieces; adjacent literal texts are joined, empty ones removed."""
    joined: list[TextPiece] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(before := joined[-1], str):
            joined[-1] = before + piece
        elif piece != "":
            joined.append(piece)
    return tuple(joined)


@lru_cache(maxsize=16_384)  # the entries of policies, with the resource types of an application
def match(subject: Text, pattern: Text, wanted: bool) -> Formula:
    """Return the formula of a match, or of its failure; its atoms are about open values only."""
    units = tuple(_units(pattern))
    alternatives = _after(subject, units, frozenset({0}))
    return any_of(alternatives) if wanted else _not(any_of(alternatives))


def _not(formula: Formula) -> Formula:
    """Return the negation of a formula of matches."""
    if isinstance(formula, bool):
        return not formula
    if isinstance(formula, AllOf):
        return any_of(map(_not, formula.parts))
    if hasattr(formula, "parts"):
        return all_of(map(_not, formula.parts))
    return _inverted(formula)


def _units(pattern: Text) -> Iterator[TextPiece]:
    for piece in pattern:
        if isinstance(piece, str):
            yield from piece
        else:
            yield piece


def _after(subject: Text, units: Sequence[TextPiece], states: frozenset[int]) -> Iterator[Formula]:
    """Yield the alternatives of matching a subject from some states on."""
    if not subject:
        yield any(_can_end(units, state) for state in states)
        return
    first, rest = subject[0], subject[1:]
    if isinstance(first, str):
        for place, char in enumerate(first):
            blocked = [state for state in _closure(units, states) if isinstance(_at(units, state), Open)]
            for state in blocked:
                yield _residual(text((first[place:], *rest)), text(units[state:]))
            states = frozenset(_step(units, states, char))
            if not states:
                return
        yield from _after(rest, units, states)
    elif first == ACCOUNT and rest:
        for pattern, following in _over_digits(units, states):
            remaining = any_of(_after(rest, units, following))
            is_free = pattern == (Wildcard.ONE,) * _DIGITS
            yield remaining if is_free else all_of((_account(pattern), remaining))
    else:
        patterns = {text(units[state:]) for state in states}
        yield from (_residual(subject, pattern) for pattern in _widest(patterns))


def _widest(patterns: Collection[Text]) -> Iterator[Text]:
    """Yield the patterns that no other covers."""
    if (Wildcard.RUN,) in patterns:
        yield (Wildcard.RUN,)
        return
    closed = [pattern for pattern in patterns if not any(isinstance(piece, Open) for piece in pattern)]
    for pattern in patterns:
        if pattern not in closed or not any(covers(wide, pattern) for wide in closed if wide != pattern):
            yield pattern


def _at(units: Sequence[TextPiece], state: int) -> TextPiece | None:
    return units[state] if state < len(units) else None


def _can_end(units: Sequence[TextPiece], state: int) -> bool:
    return all(unit in _RUNS for unit in units[state:])


def _closure(units: Sequence[TextPiece], states: Iterable[int]) -> Iterator[int]:
    """Yield the states, and those after runs that match nothing."""
    for state in states:
        yield state
        while _at(units, state) in _RUNS:
            state += 1
            yield state


def _step(units: Sequence[TextPiece], states: Iterable[int], char: str) -> Iterator[int]:
    for state in _closure(units, states):
        unit = _at(units, state)
        if isinstance(unit, Wildcard):
            if char != ":" or unit not in _IN_FIELD:
                yield state if unit in _RUNS else state + 1
        elif unit == char:
            yield state + 1


def _over_digits(units: Sequence[TextPiece], states: frozenset[int]) -> Iterator[tuple[Text, frozenset[int]]]:
    """Yield each pattern of 12 characters that an account can match, with the states afterwards."""
    found: dict[Text, frozenset[int]] = {(): states}
    for _ in range(_DIGITS):
        following: dict[Text, frozenset[int]] = {}
        for pattern, reached in found.items():
            for state in set(_closure(units, reached)):
                unit = _at(units, state)
                if isinstance(unit, Wildcard):
                    piece: TextPiece = Wildcard.ONE
                    after = state if unit in _RUNS else state + 1
                elif isinstance(unit, str) and unit in "0123456789":
                    piece, after = unit, state + 1
                else:
                    continue
                key = (*pattern, piece)
                following[key] = following.get(key, frozenset()) | {after}
        found = following
    yield from found.items()


def _account(pattern: Text) -> Formula:
    if all(isinstance(piece, str) for piece in pattern):
        return OneOf(ACCOUNT.name, frozenset({"".join(map(str, pattern))}), wanted=True)
    return Matches((ACCOUNT,), text(pattern), wanted=True)


def _residual(subject: Text, pattern: Text) -> Formula:
    """Return the formula of a subject that begins with an open value, or is to be compared with one."""
    subject, pattern, is_possible = _without_common_end(subject, pattern)
    if not is_possible:
        return False
    if pattern == (Wildcard.RUN,):
        return all_of(Presence(name, wanted=True) for name in _keys(subject))
    if all(isinstance(piece, str) for piece in pattern):
        return any_of(_equal(subject, "".join(map(str, pattern))))
    if all(isinstance(piece, str) for piece in subject) and isinstance(pattern[0], Open) and len(pattern) == 1:
        value = "".join(map(str, subject))
        return OneOf(pattern[0].name, frozenset({value}), wanted=True) if value else False
    return Matches(subject, pattern, wanted=True)


def _keys(subject: Text) -> Iterator[str]:
    """Yield the condition keys of a subject: other than these, every part of an ARN is present."""
    for piece in subject:
        if isinstance(piece, Open) and not piece.name.startswith("{"):
            yield piece.name


def _without_common_end(subject: Text, pattern: Text) -> tuple[Text, Text, bool]:
    """Remove the literal end that subject and pattern have in common; False if they cannot match."""
    if not (subject and pattern and isinstance(subject[-1], str) and isinstance(pattern[-1], str)):
        return subject, pattern, True
    one, other = subject[-1], pattern[-1]
    length = min(len(one), len(other))
    if one[-length:] != other[-length:]:
        return subject, pattern, False
    return text((*subject[:-1], one[:-length])), text((*pattern[:-1], other[:-length])), True


def _equal(subject: Text, value: str) -> Iterator[Formula]:
    """Yield each way in which a subject equals a text: `a/b/c` is `{x}/{y}` as a and b/c, and as a/b and c."""
    if not subject:
        yield not value
        return
    first, rest = subject[0], subject[1:]
    if isinstance(first, str):
        if value.startswith(first):
            yield from _equal(rest, value[len(first) :])
        return
    if not isinstance(first, Open):
        raise RuntimeError("expected a subject without wildcards")
    if not rest:
        yield OneOf(first.name, frozenset({value}), wanted=True)
        return
    for end in range(len(value) + 1):
        if isinstance(rest[0], Open) or value.startswith(str(rest[0]), end):
            is_first = OneOf(first.name, frozenset({value[:end]}), wanted=True)
            yield all_of((is_first, any_of(_equal(rest, value[end:]))))


def _inverted(atom: Formula) -> Formula:
    match atom:
        case Presence(name, wanted, or_blank):
            return Presence(name, not wanted, or_blank)
        case OneOf(name, values, wanted):
            return OneOf(name, values, not wanted)
        case Matches(subject, pattern, wanted):
            return Matches(subject, pattern, not wanted)
    raise RuntimeError("expected an atom of a match")
