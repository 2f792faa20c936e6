"""Comparisons of two patterns, verified with the matcher on all short texts."""

from __future__ import annotations

import itertools

from hypothesis import example, given, settings
from hypothesis import strategies as st

from iam_guard.evaluation.matching.pattern import Pattern, Wildcard, compile_pattern
from iam_guard.evaluation.matching.pattern_coverage import (
    arn_pattern,
    covers,
    intended_patterns,
    open_patterns,
    overlaps,
)

TEXTS = ["".join(letters) for length in range(5) for letters in itertools.product("ab:z", repeat=length)]
LATEST = "2012-10-17"


def _joined(pieces: list[str | Wildcard]) -> Pattern:
    joined: list[str | Wildcard] = []
    for piece in pieces:
        if isinstance(piece, str) and joined and isinstance(before := joined[-1], str):
            joined[-1] = before + piece
        else:
            joined.append(piece)
    return tuple(joined)


PATTERNS = st.lists(st.sampled_from(["a", "b", ":", *Wildcard]), max_size=4).map(_joined)


def matched(pattern: Pattern) -> set[str]:
    return set(filter(compile_pattern(pattern), TEXTS))


def _units(pattern: Pattern) -> int:
    """Return the number of characters and wildcards."""
    return sum(len(piece) if isinstance(piece, str) else 1 for piece in pattern)


@given(PATTERNS, PATTERNS)
@example((Wildcard.ONE, Wildcard.RUN_IN_FIELD), (Wildcard.RUN, "aaa"))  # five characters distinguish them: `a:aaa`
@settings(max_examples=600, deadline=None)
def test_covers_and_overlaps_are_exact(one: Pattern, other: Pattern) -> None:
    """M-4, M-12: for all texts of up to four characters."""
    mine, theirs = matched(one), matched(other)
    if covers(one, other):
        assert theirs <= mine
    elif _units(one) + _units(other) <= 5:  # short texts distinguish them
        assert not theirs <= mine
    if mine & theirs:
        assert overlaps(one, other)
    assert overlaps(one, other) == overlaps(other, one)


def test_pattern_covers_itself_and_star_covers_it() -> None:
    """The ends of the order."""
    assert covers(arn_pattern("arn:aws:docs:*:*:a*"), arn_pattern("arn:aws:docs:*:*:a*"))
    assert covers((Wildcard.RUN,), arn_pattern("arn:aws:docs:*:*:a*"))
    assert not covers(arn_pattern("arn:aws:docs:*:*:a*"), (Wildcard.RUN,))


def test_question_mark_does_not_cover_star() -> None:
    """A `?` does not cover a `*`, and a `*` covers every `?`."""
    assert not covers(("a", Wildcard.ONE), ("a", Wildcard.RUN))
    assert covers(("a", Wildcard.RUN), ("a", Wildcard.ONE))
    assert not covers((Wildcard.RUN, Wildcard.ONE), (Wildcard.RUN,))


def test_complex_pattern_is_not_covered() -> None:
    """An extremely complex pattern returns soon, and without coverage."""
    wide = tuple(itertools.chain.from_iterable((Wildcard.RUN, "a", Wildcard.ONE) for _ in range(40)))
    assert not covers(wide, tuple(reversed(wide)))
    assert overlaps(wide, tuple(reversed(wide)))


def test_open_patterns_replace_variables() -> None:
    """V-4: a variable in the sixth field can have any value."""
    [pattern] = open_patterns("arn:aws:docs:*:*:home/${aws:username}/x", LATEST)
    assert compile_pattern(pattern)("arn:aws:docs:r:1:home/ann/x")
    [legacy] = open_patterns("arn:aws:docs:*:*:home/${aws:username}/x", "2008-10-17")
    assert not compile_pattern(legacy)("arn:aws:docs:r:1:home/ann/x")


def test_intended_pattern_stays_within_its_fields() -> None:
    """M-12: a `*` at the end of a field matches colons, which its author hardly intends."""
    entry, odd = "arn:aws:docs:*:*:folder/*", "arn:aws:docs:r:1:document/a:b:folder/c"
    assert compile_pattern(open_patterns(entry, LATEST)[0])(odd)
    assert not compile_pattern(intended_patterns(entry, LATEST)[0])(odd)
    assert intended_patterns("arn:aws:docs:a*b", LATEST) == open_patterns("arn:aws:docs:a*b", LATEST)
    [twice] = intended_patterns("arn:aws:do*cs:*:*:folder/*", LATEST)
    assert not compile_pattern(twice)(odd)
    assert compile_pattern(twice)("arn:aws:do-cs:r:1:folder/a:b")
    assert not compile_pattern(twice)("arn:aws:do:cs:1:folder/a")
    assert covers(twice, arn_pattern("arn:aws:do*xcs:*:*:folder/*"))
