"""Wildcards match as the rules require, in linear time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iam_guard.evaluation.matching import pattern as pattern_module
from iam_guard.evaluation.matching.pattern import (
    Pattern,
    Wildcard,
    always,
    compile_any,
    compile_glob,
    compile_pattern,
    compile_texts,
    is_literal,
    keep_in_fields,
    literal_prefix,
    match_pattern,
    match_segments,
    read_arn,
    read_wildcards,
)
from tests.effort import effort
from tests.tables import table

# --- one pattern, one text ---------------------------------------------------------------------------------------


@table(
    ("pattern", "text", "expected"),
    [
        ("", "", True),
        ("", "a", False),
        ("abc", "abc", True),
        ("abc", "abcd", False),  # anchored at the end
        ("bc", "abc", False),  # anchored at the beginning
        ("abc", "ABC", False),
        ("*", "", True),
        ("*", "a:b/c\nd", True),
        ("**", "", True),
        ("**", "abc", True),
        ("a*", "a", True),
        ("a*", "ba", False),
        ("*a", "ba", True),
        ("*a", "ab", False),
        ("*a*", "bab", True),
        ("*a*", "bb", False),
        ("a*b", "ab", True),
        ("a*b", "a/:b", True),
        ("aba*aba", "aba", False),  # one text is not used twice
        ("aba*aba", "ababa", False),
        ("aba*aba", "abaaba", True),
        ("a*b*c", "a-b-c", True),
        ("a*b*c", "a-c-b", False),
        ("*ab*ab*", "ab", False),
        ("*ab*ab*", "abab", True),
        ("a*bb", "abbb", True),
        ("?", "", False),
        ("?", "a", True),
        ("?", "ab", False),
        ("?", ":", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("*?", "", False),
        ("*?", "a", True),
        ("?*?", "a", False),
        ("?*?", "ab", True),
        ("a*?b", "ab", False),
        ("a*?b", "axb", True),
        ("a*b?c", "abxbxc", True),
    ],
)
def test_star_matches_any_text_and_question_mark_one_character(pattern: str, text: str, expected: bool) -> None:
    """Rules M-4, C-11: a `*` also matches the empty text; both ends are anchored."""
    assert compile_glob(pattern)(text) is expected


@table("char", [*r".+^$[](){}|\-~&#", "\n", "é", "${a}"])
def test_other_characters_match_themselves(char: str) -> None:
    """Rule M-6: only `*` and `?` are special."""
    matches = compile_glob(f"a{char}b?")
    assert matches(f"a{char}bc")
    assert not matches("axbc")
    assert not matches("abc")


# --- wildcards and colons ----------------------------------------------------------------------------------------


@table(
    ("pattern", "text", "as_resource", "as_condition"),
    [
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/k:1/2", True, True),  # the sixth field crosses everything
        ("arn:aws:s3:::b?k", "arn:aws:s3:::b:k", True, True),
        ("arn:aws:ec2:*:1:i", "arn:aws:ec2:eu:1:i", True, True),
        ("arn:aws:ec2:*:1:i", "arn:aws:ec2::1:i", True, True),
        ("arn:aws:ec2:*:i", "arn:aws:ec2:eu:1:i", True, False),  # a field-final run crosses in a resource alone
        ("arn:aws:ec2:e*:i", "arn:aws:ec2:eu:1:i", True, False),
        ("arn:aws:ec2:*:1:i", "arn:aws:ec2:eu:x:1:i", True, False),
        ("arn:aws:ec2:*u:1:i", "arn:aws:ec2:eu:1:i", True, True),
        ("arn:aws:ec2:*u:1:i", "arn:aws:ec2:e:u:1:i", False, False),  # a run elsewhere in a field stays inside
        ("arn:aws:ec2:?:1:i", "arn:aws:ec2:e:1:i", True, True),
        ("arn:aws:ec2:e?1:i:j", "arn:aws:ec2:e:1:i:j", False, False),  # `?` never is a colon there
        ("arn:aws:s*:e*u:1:i", "arn:aws:s3:x:eu:1:i", True, False),  # a free run, then one that is kept inside
        ("arn:aws:s*:e*u:1:i", "arn:aws:s3:e:u:1:i", False, False),
        ("arn:aws:**:1:i", "arn:aws:a:b:1:i", True, False),  # the last of two runs is field-final
        ("arn:aws:ec2:*?:1:i", "arn:aws:ec2:eu:1:i", True, True),
        ("arn:aws:ec2:*?:1:i", "arn:aws:ec2:e:u:1:i", False, False),
        ("arn:aws:ec2:e?:1:i", "arn:aws:ec2:e::1:i", False, False),  # a field-final `?` has no such freedom
        ("arn:aws:s*:e*u:1:a*z?", "arn:aws:s3:x:eu:1:a:z:", True, False),  # the sixth field is not restricted
        ("arn:aws:s*:e*u:1:a*z?", "arn:aws:s3:eu:1:a:z:", True, True),
        ("arn:*", "arn:aws:s3:::b", True, False),
        ("*:*:*:*:*:*", "a:b:c:d:e:f", True, True),
        ("*:*:*:*:*:*", "a:b:c:d:e", False, False),
    ],
)
def test_wildcards_match_colons_as_the_field_allows(
    pattern: str, text: str, as_resource: bool, as_condition: bool
) -> None:
    """Rules M-12, C-25: in the first five fields only a field-final `*` of a resource matches a colon."""
    pieces = read_wildcards(pattern)
    resource = keep_in_fields(pieces, final_run_is_free=True)
    condition = keep_in_fields(pieces, final_run_is_free=False)
    assert compile_pattern(resource)(text) is as_resource
    assert compile_pattern(condition)(text) is as_condition


# --- laws --------------------------------------------------------------------------------------------------------


def matches_slowly(pattern: Pattern, text: str) -> bool:
    """Match by brute force."""
    if not pattern:
        return not text
    first, rest = pattern[0], pattern[1:]
    match first:
        case str():
            return text.startswith(first) and matches_slowly(rest, text[len(first) :])
        case Wildcard.ONE | Wildcard.ONE_IN_FIELD:
            is_one = bool(text) and (first is Wildcard.ONE or text[0] != ":")
            return is_one and matches_slowly(rest, text[1:])
        case _:
            reach = len(text) if first is Wildcard.RUN else (text + ":").index(":")
            return any(matches_slowly(rest, text[place:]) for place in range(reach + 1))


texts = st.text(alphabet="ab:", max_size=10)
globs = st.text(alphabet="ab:*?", max_size=9)
Reading = Callable[[Pattern], Pattern]
READINGS: dict[str, Reading] = {
    "text": lambda pattern: pattern,
    "resource": lambda pattern: keep_in_fields(pattern, final_run_is_free=True),
    "condition": lambda pattern: keep_in_fields(pattern, final_run_is_free=False),
}


@pytest.mark.parametrize("reading", READINGS)
@given(glob=globs, text=texts)
@example(glob=":::*a*b:*?a:", text=":::aab:bba:")
def test_every_matcher_agrees_with_brute_force(reading: str, glob: str, text: str) -> None:
    """Rules M-4, M-12, C-25: for any matcher that is chosen."""
    pattern = READINGS[reading](read_wildcards(glob))
    assert compile_pattern(pattern)(text) is matches_slowly(pattern, text)


def all_texts(alphabet: str, longest: int) -> Iterator[str]:
    for length in range(longest + 1):
        yield from map("".join, product(alphabet, repeat=length))


@table("reading", READINGS)
@table(("signs", "chars", "longest"), [("ab*", "ab", 5), ("a:*?", "a:", 4)])
def test_all_short_patterns_agree_with_brute_force(reading: str, signs: str, chars: str, longest: int) -> None:
    """Rules M-4, M-12, C-25: all patterns and texts of a few characters, compiled or not."""
    texts_of_alphabet = list(all_texts(chars, 4))
    for glob in all_texts(signs, longest):
        pattern = READINGS[reading](read_wildcards(glob))
        matches = compile_pattern(pattern)
        expected = [text for text in texts_of_alphabet if matches_slowly(pattern, text)]
        assert [text for text in texts_of_alphabet if matches(text)] == expected, glob
        assert [text for text in texts_of_alphabet if match_pattern(pattern, text)] == expected, glob


fields = st.lists(st.text(alphabet="ab*?", max_size=3), min_size=6, max_size=6).map(":".join)


@pytest.mark.parametrize("reading", READINGS)
@given(glob=fields, text=st.lists(st.text(alphabet="ab", max_size=2), min_size=6, max_size=8).map(":".join))
def test_patterns_with_six_fields_agree_with_brute_force(reading: str, glob: str, text: str) -> None:
    """Rules M-12, C-25, for patterns that are ARNs."""
    pattern = READINGS[reading](read_wildcards(glob))
    assert compile_pattern(pattern)(text) is matches_slowly(pattern, text)


@given(patterns=st.lists(globs, max_size=6), text=texts)
def test_list_of_patterns_matches_if_any_does(patterns: Sequence[str], text: str) -> None:
    """Rule M-2: in any order; an empty list matches nothing."""
    expected = any(compile_glob(pattern)(text) for pattern in patterns)
    assert compile_any(map(read_wildcards, patterns))(text) is expected
    assert compile_any(map(read_wildcards, reversed(patterns)))(text) is expected


@table(
    "written",
    [[], ["ab"], ["", "ab"], ["ab*"], ["*ab"], ["*ab*"], ["a?"], ["ab", "b*", "*a", "b?b", "*c*", "d*", "*e"]],
)
def test_list_of_each_kind_of_pattern(written: list[str]) -> None:
    """Rule M-2: literals, prefixes, suffixes and others, alone and together."""
    for order in (written, written[::-1]):
        for matches in (compile_any(map(read_wildcards, order)), compile_texts(order, read_wildcards)):
            for text in map("".join, chain.from_iterable(product("abcde", repeat=length) for length in range(4))):
                assert matches(text) is any(matches_slowly(read_wildcards(glob), text) for glob in written), text


@pytest.mark.parametrize("reading", READINGS)
@given(written=st.lists(globs | fields, max_size=6), values=st.lists(texts | fields, min_size=1, max_size=6))
@example(written=["*a?:b*", "**", "a**:b"], values=["xaa:bx", "", "a:b"])
def test_list_of_texts_matches_if_any_does(reading: str, written: Sequence[str], values: Sequence[str]) -> None:
    """Rule M-2: parsed on demand or not, and for any values before."""
    patterns = [READINGS[reading](read_wildcards(text)) for text in written]
    matches = compile_texts(written, lambda text: READINGS[reading](read_wildcards(text)))
    for value in values:
        assert matches(value) is any(compile_pattern(pattern)(value) for pattern in patterns)


@given(text=globs | fields | st.text(alphabet="a:*", max_size=14), is_free=st.booleans())
@example(text="a*:*b:::*:*", is_free=True)
@example(text="a:b:c:d:e:x*y:z?z:*", is_free=True)
@example(text="a:b:c:d:e:x*y:z?z:*", is_free=False)
def test_arn_is_read_as_its_fields_require(text: str, is_free: bool) -> None:
    """Rules M-12, C-25: the fast reader of a text returns the same pattern."""
    assert read_arn(text, final_run_is_free=is_free) == keep_in_fields(read_wildcards(text), final_run_is_free=is_free)


@given(pattern=globs, text=texts)
def test_matching_text_starts_with_the_literal_prefix(pattern: str, text: str) -> None:
    """So an index by literal prefix finds every candidate."""
    if compile_glob(pattern)(text):
        assert text.startswith(literal_prefix(pattern))
    if is_literal(pattern):
        assert compile_glob(pattern)(text) is (pattern == text)


@table(
    ("text", "prefix"), [("a", "a"), ("a*b", "a"), ("a?b", "a"), ("a${b}", "a"), ("a$b", "a$b"), ("*", ""), ("", "")]
)
def test_literal_prefix_ends_at_a_wildcard_or_variable(text: str, prefix: str) -> None:
    """A `$` that does not start a variable is literal."""
    assert literal_prefix(text) == prefix
    assert is_literal(text) is (text == prefix)


def test_segments_are_anchored() -> None:
    """Rule M-4, for segments that are filled from a request."""
    assert match_segments(["a"], "a")
    assert not match_segments(["a"], "ab")
    assert match_segments(["a", "", "b"], "ab")
    assert not match_segments(["ab", "bc"], "abc")


@table("glob", ["*", "**"])
def test_star_alone_compiles_to_always(glob: str) -> None:
    """Rule M-10: without a comparison, alone or in a list."""
    assert compile_any([("a",), read_wildcards("*"), ("b", Wildcard.ONE)]) is always
    assert compile_pattern(read_wildcards("*")) is always
    assert compile_glob(glob)("") is compile_glob(glob)("a:b") is True


@pytest.mark.parametrize(
    ("glob", "text", "is_matched"),
    [
        ("a?b", "a1b", True),
        ("a?b", "ab1", False),  # another end
        ("a????b", "axb", False),  # too short
        ("a?middle?z", "a12345678z", False),  # a literal is not there
        ("a?z?middle?q", "a1z23456789q", False),
        ("a?z?middle?q", "a1z2middle3q", True),
    ],
)
def test_pattern_that_cannot_match_is_rejected_early(
    glob: str, text: str, is_matched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most patterns of a policy are about other texts, and are rejected by a simple test."""
    matched: list[str] = []
    monkeypatch.setattr(pattern_module, "match_pattern", lambda _, text: bool(matched.append(text)))
    compile_glob(glob)(text)
    assert bool(matched) is is_matched


# --- time --------------------------------------------------------------------------------------------------------

LONG = 2000


@table(
    ("pattern", "text"),
    [
        ("*a" * 20 + "b", "a" * LONG),
        ("*a" * (LONG // 2) + "*b", "a" * LONG),
        ("*" * LONG + "b", "a" * LONG),
        ("*" + "a" * (LONG // 2) + "b*", "a" * LONG),
        ("*a?" * (LONG // 3) + "b", "a" * LONG),
        ("*" + "a?" * (LONG // 4) + "b*", "a" * LONG),
        ("?*" * (LONG // 2) + "b", "a" * LONG),
        ("*:" * (LONG // 2) + "b", ":" * LONG),
        ("*a" * 4 + ":" + "a*a" * 300 + ":*:?*" + "*a" * 300, ("a" * 500 + ":") * 4),
    ],
    ids=lambda text: text[:12],
)
@table("reading", READINGS)
def test_worst_patterns_take_milliseconds(reading: str, pattern: str, text: str) -> None:
    """No pattern takes exponential time: 2,000 characters take at most about 10 ms."""
    matches = compile_pattern(READINGS[reading](read_wildcards(pattern)))
    assert effort(lambda: matches(text)) < 10


def test_time_is_linear_in_the_text() -> None:
    """Ten times the text takes about ten times as long, even with the slowest matcher."""
    matches = compile_glob("*a?" * 100 + "b")

    def cost(length: int) -> float:
        text, times = "a" * length, []
        for _ in range(7):
            begin = time.process_time()
            matches(text)
            times.append(time.process_time() - begin)
        return min(times)

    assert cost(40_000) < 40 * cost(4_000)
