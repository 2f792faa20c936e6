"""The search for a text that some patterns match and others do not, compared with all short texts."""

from __future__ import annotations

from itertools import product
from random import Random

from iam_guard.analysis.checks.limits import Undecided, Work
from iam_guard.analysis.checks.pattern_search import find_text, includes, search, variable_text, variables_in
from iam_guard.analysis.checks.text_sets import Language, TextSet, TextUnion, open_variables
from iam_guard.evaluation.matching.pattern import Pattern, Wildcard, match_pattern
from tests.tables import table

PIECES: list[str | Wildcard] = ["a", "b", ":", "ab", *Wildcard]
TEXTS = ["".join(chars) for length in range(5) for chars in product("ab:x", repeat=length)]


def random_pattern(random: Random) -> Pattern:
    pieces: list[str | Wildcard] = []
    for piece in random.choices(PIECES, k=random.randint(0, 5)):
        if isinstance(piece, str) and pieces and isinstance(before := pieces[-1], str):
            pieces[-1] = before + piece
        else:
            pieces.append(piece)
    return tuple(pieces)


def texts_of(source: Pattern, also: tuple[Pattern, ...], excluded: frozenset[Pattern]) -> list[str]:
    return [
        text
        for text in TEXTS
        if all(match_pattern(pattern, text) for pattern in (source, *also))
        and not any(match_pattern(pattern, text) for pattern in excluded)
    ]


def test_search_agrees_with_all_short_texts() -> None:
    """A text that is found is one; none is found only if there is none."""
    random = Random(1)
    answers = set()
    for _ in range(800):
        source, *others = [random_pattern(random) for _ in range(random.randint(2, 5))]
        cut = random.randint(0, min(2, len(others)))
        also, excluded = tuple(others[:cut]), frozenset(others[cut:])
        for found in (find_text(source, also, excluded), search(source, also, excluded)):
            if found.text is None:
                assert texts_of(source, also, excluded) == []
            else:
                assert all(match_pattern(pattern, found.text) for pattern in (source, *also))
                assert not any(match_pattern(pattern, found.text) for pattern in excluded)
            answers.add(found.text is None)
    assert answers == {True, False}


def test_includes_agrees_with_all_short_texts() -> None:
    random = Random(2)
    answers = set()
    for _ in range(800):
        wide, narrow = random_pattern(random), random_pattern(random)
        is_wide = all(match_pattern(wide, text) for text in TEXTS if match_pattern(narrow, text))
        answers.add(includes(wide, narrow))
        assert includes(wide, narrow) <= is_wide
    assert answers == {True, False}


def random_union(random: Random) -> TextUnion:
    return TextUnion(random_pattern(random) for _ in range(random.randint(1, 3)))


def test_text_sets_agree_with_all_short_texts() -> None:
    """`meet` and `minus`, several times in a row."""
    random = Random(3)
    for _ in range(250):
        values, expected = TextSet(frozenset(), (Language((Wildcard.RUN,)),)), set(TEXTS)
        for _ in range(random.randint(1, 4)):
            union = random_union(random)
            if random.random() < 0.5:
                values, expected = values.meet(union, Work()), {text for text in expected if union.matches(text)}
            else:
                values, expected = values.minus(union, Work()), {text for text in expected if not union.matches(text)}
        assert {text for text in TEXTS if values.contains(text)} == expected
        assert not expected or values
        assert all(values.contains(text) for text in values.samples(Work()))


VARIABLE = variable_text("aws:username")


@table(
    ("wide", "expected"),
    [
        (("a", Wildcard.RUN, "b"), True),
        ((f"a{VARIABLE}b",), True),
        ((f"a{VARIABLE}", Wildcard.RUN), True),
        (("a", Wildcard.ONE, "b"), False),
        (("a", Wildcard.RUN_IN_FIELD, "b"), False),
        ((f"a{variable_text('username')}b",), False),
        ((f"a{variable_text('xaws:username')}b",), False),
        (("a", Wildcard.RUN, f"{variable_text('username')}b"), False),
        (("axb",), False),
    ],
)
def test_only_runs_and_itself_match_a_variable(wide: Pattern, expected: bool) -> None:
    """V-9, M-22: the value may be any text."""
    assert includes(wide, (f"a{VARIABLE}b",)) is expected


def test_variables_do_not_occur_in_runs() -> None:
    """A run of the source is concrete text, so a variable excludes nothing of it."""
    assert find_text(("a", Wildcard.RUN), (), frozenset({(f"a{VARIABLE}",)})).text is not None
    assert find_text(("a", Wildcard.RUN), ((f"a{VARIABLE}",),), frozenset()).text is None
    assert variables_in(f"x{VARIABLE}y{variable_text('b')}") == ["aws:username", "b"]
    assert open_variables((f"a{VARIABLE}", Wildcard.RUN, "b")) == ("a", Wildcard.RUN, "b")


def test_search_is_bounded() -> None:
    """Patterns whose subset construction is exponential raise instead."""
    run = Wildcard.RUN
    excluded = frozenset({(run, "a", *(Wildcard.ONE,) * 24, run, char, run) for char in "abcdefgh"})
    try:
        found = search((run,), tuple((run, char, run) for char in "abcdefgh"), excluded)
    except Undecided:
        return
    assert found.text is None or not any(match_pattern(pattern, found.text) for pattern in excluded)
