"""Policy variables: their syntax and their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from iam_guard.evaluation.matching.pattern import Pattern, Wildcard, compile_pattern, read_wildcards
from iam_guard.evaluation.matching.variables import (
    FilledTest,
    compile_filled,
    compile_template,
    literal_parts,
    read_template,
    reads_keys,
)
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import LATEST, LEGACY
from tests.tables import table

ALICE = Principal.from_arn("arn:aws:iam::111122223333:user/alice", userid="AIDAALICE", tags={"Team": "red"})
CONTEXT = {
    "docs:Space": "eng",
    "docs:Star": "*",
    "docs:Nested": "${aws:username}",
    "docs:Empty": "",
    "docs:One": ["only"],
    "docs:None": [],
    "aws:TagKeys": "single",
}


def request(context: dict[str, Any] = CONTEXT) -> AccessRequest:
    return AccessRequest(ALICE, "docs:GetPage", "*", context)


def fill(text: str, version: str = LATEST) -> Pattern | None:
    return read_template(text, version, has_wildcards=False).fill(request())


@table(
    ("text", "filled"),
    [
        # V-1, V-6: any single-valued key
        ("${aws:username}", "alice"),
        ("${docs:Space}", "eng"),
        ("a/${aws:username}/b", "a/alice/b"),
        ("${aws:username}${docs:Space}", "aliceeng"),
        # V-7: names in any letter case, tag keys too
        ("${AWS:UserName}", "alice"),
        ("${aws:principaltag/tEAM}", "red"),
        # V-8: defaults
        ("${docs:Absent, 'x'}", "x"),
        ("${docs:Absent, ''}", ""),
        ("${docs:Absent, 'a b:{c}*'}", "a b:{c}*"),
        ("${docs:Space, 'x'}", "eng"),
        # V-9, V-16: no value
        ("${docs:Absent}", None),
        ("a${docs:Absent}", None),
        ("${docs:Empty}", None),
        ("${docs:Empty, 'x'}", None),
        ("${docs:One}", None),
        ("${docs:One, 'x'}", None),
        ("${docs:None, 'x'}", None),
        ("${aws:username}${docs:Absent}", None),
        # V-6: a multivalued key, for any value
        ("${aws:TagKeys}", None),
        ("${aws:tagkeys, 'x'}", None),
        ("${aws:CalledVia, 'x'}", None),
        ("${accounts.google.com:amr, 'x'}", None),
        ("${accounts.google.com:aud, 'x'}", "x"),
        # V-12: filled once
        ("${docs:Nested}", "${aws:username}"),
        # M-20, V-14: the characters themselves
        ("${*}", "*"),
        ("${?}", "?"),
        ("${$}", "$"),
        ("${$}{aws:username}", "${aws:username}"),
        ("a${*}b${?}", "a*b?"),
        # V-15: everything else is text
        ("${aws:username", "${aws:username"),
        ("$aws:username}", "$aws:username}"),
        ("{aws:username}", "{aws:username}"),
        ("${}", "${}"),
        ("${aws:user name}", "${aws:user name}"),
        ("${docs:Absent,'x'}", "${docs:Absent,'x'}"),
        ("${docs:Absent, x}", "${docs:Absent, x}"),
        ("${docs:Absent, 'x}", "${docs:Absent, 'x}"),
        ("${a${aws:username}}", "${aalice}"),
        ("$", "$"),
        ("", ""),
    ],
)
def test_variable_is_filled_from_the_request(text: str, filled: str | None) -> None:
    """Rules V-1, V-6 to V-9, V-12, V-14 to V-16, as marked in the table."""
    pattern = fill(text)
    assert (None if pattern is None else "".join(map(str, pattern))) == filled


@table("text", ["${aws:username}", "${*}", "${docs:Absent, 'x'}", "a${aws:username}b"])
def test_old_version_treats_variables_as_text(text: str) -> None:
    """Rules V-2, G-5."""
    assert fill(text, LEGACY) == (text,)


def test_wildcards_are_special_only_outside_of_variables() -> None:
    """Rules M-20, M-22: a value, a default and `${*}` are literal; the text around them keeps its wildcards."""
    template = read_template("*${docs:Star}?${*}${docs:Absent, '*'}", LATEST)
    assert template.fill(request()) == (Wildcard.RUN, "*", Wildcard.ONE, "**")


def test_text_without_variables_has_a_fixed_pattern() -> None:
    """Special characters alone are resolved once per statement."""
    assert read_template("a*${*}b", LATEST).pattern == ("a", Wildcard.RUN, "*b")
    assert read_template("${docs:Space}", LATEST).pattern is None
    assert read_template("", LATEST).pattern == ()


@given(
    text=st.lists(st.sampled_from(["a", "${", "}", "*", "docs:V", ", '", "'", " ", "${*}", "$"]), max_size=8).map(
        "".join
    )
)
def test_only_texts_that_read_keys_have_no_fixed_pattern(text: str) -> None:
    """Rules V-1, V-15: so texts that read nothing can be tested first."""
    assert reads_keys(text) is (read_template(text, LATEST).pattern is None)


pieces = st.lists(st.sampled_from(["a", "b", "*", "?", "${docs:V}", "${docs:W}", "${*}"]), max_size=7)


@given(pieces=pieces, value=st.text("ab*", max_size=3), text=st.text("ab*", max_size=8))
def test_compiled_template_agrees_with_fill_and_match(pieces: list[str], value: str, text: str) -> None:
    """Rules V-9, M-22."""
    template = read_template("".join([*pieces, "${docs:V}"]), LATEST)
    incoming = request({"docs:V": value, "docs:W": "b"})
    pattern = template.fill(incoming)
    expected = pattern is not None and compile_pattern(pattern)(text)
    assert compile_template(template)(incoming, text) is expected
    assert (pattern is None) is (value == "")


@given(text=st.text("ab*?:/$ {}", max_size=12))
def test_text_without_variables_is_equal_in_both_versions(text: str) -> None:
    """Rule V-15."""
    if "${" not in text:
        assert read_template(text, LATEST).pattern == read_template(text, LEGACY).pattern == read_wildcards(text)


@given(
    texts=st.lists(pieces.map("".join), max_size=4),
    value=st.text("ab*", max_size=3),
    tested=st.lists(st.text("ab*", max_size=8), min_size=1, max_size=4),
    has_wildcards=st.booleans(),
)
@example(texts=["${docs:W}cccc${docs:W}a${*}bbb"], value="b", tested=["xa*bbbb"], has_wildcards=True)
@example(texts=["${docs:W}cccc${docs:W}a${?}bbb"], value="b", tested=["xa?bbbb"], has_wildcards=True)
@example(texts=["${docs:W}cccc${docs:W}a${$}bbb"], value="b", tested=["xa$bbbb"], has_wildcards=False)
def test_list_of_texts_with_variables_passes_if_any_does(
    texts: list[str], value: str, tested: list[str], has_wildcards: bool
) -> None:
    """Rule C-1: compiled on demand or not, for any values before; and the same keys are read."""

    def compile_one(text: str) -> FilledTest:
        return compile_template(read_template(f"{text}${{docs:V}}", LATEST, has_wildcards=has_wildcards))

    def parts(text: str) -> Sequence[str]:
        return literal_parts(f"{text}${{docs:V}}", has_wildcards=has_wildcards)

    passes = compile_filled(texts, compile_one, parts)
    for text in tested:
        one, other = request({"docs:V": value, "docs:W": "b"}), request({"docs:V": value, "docs:W": "b"})
        assert passes(one, text) is any(compile_one(written)(other, text) for written in dict.fromkeys(texts))
        assert one.read == other.read
