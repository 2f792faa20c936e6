from __future__ import annotations

import json
from collections import OrderedDict
from enum import StrEnum
from http import HTTPStatus
from time import thread_time
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iam_guard.errors import PolicyError
from iam_guard.policy.document import Position
from iam_guard.policy.json_text import read_json
from iam_guard.policy.json_tree import MAX_CHARACTERS, MAX_DEPTH, JsonText, Number, Value, canonical, from_mapping
from tests.policy.strategies import json_values


def decoded(value: Value) -> Any:
    match value:
        case dict() as members:
            return {name: decoded(each) for name, each in members.items()}
        case list() as elements:
            return [decoded(element) for element in elements]
        case Number(text):
            return json.loads(text)
    return value


@given(json_values(), st.sampled_from([None, 0, 2]), st.booleans())
def test_it_reads_what_the_standard_library_writes(value: Any, indent: int | None, ascii: bool) -> None:
    """The same values come out, whatever the layout and the escapes."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)
    assert decoded(read_json(text).root) == value
    assert decoded(read_json(text.encode()).root) == value


@given(json_values())
def test_canonical_text_is_one_text_for_one_content(value: Any) -> None:
    """The digest of a document does not depend on layout, escapes and the order of keys."""
    texts = {
        canonical(read_json(text).root)
        for text in (json.dumps(value), json.dumps(value, indent=3, ensure_ascii=False, sort_keys=True))
    }
    assert len(texts) == 1
    assert json.loads(texts.pop()) == value


@given(st.text(max_size=40) | st.text('{}[]",:\\u0123d8f -.eE+truefalsn\n', max_size=40))
@example('"\\ud83d\\ude00"')
@example('"\\\\ud83d"')
def test_what_it_reads_is_json(text: str) -> None:
    """Whatever is accepted is JSON to the standard library too; whatever is refused is refused by `PolicyError`."""
    try:
        tree = read_json(text)
    except PolicyError:
        return
    assert decoded(tree.root) == json.loads(text)


@given(st.binary(max_size=40))
def test_bytes_are_read_or_refused(source: bytes) -> None:
    """No other error than `PolicyError` comes out of any bytes."""
    try:
        tree = read_json(source)
    except PolicyError:
        return
    assert decoded(tree.root) == json.loads(source)


@pytest.mark.parametrize(
    ("text", "message", "place", "line", "column"),
    [
        ("", "expected a value, got the end", "", 1, 0),
        ("  \n ", "expected a value, got the end", "", 2, 1),
        ("{} {}", "expected the end of the document, got `{`", "", 1, 3),
        ('{"a": 1,}', "expected a key in double quotes, got `}`", "", 1, 8),
        ("{'a': 1}", "expected a key in double quotes, got `'`", "", 1, 1),
        ('{"a" 1}', "expected `:`, got `1`", "", 1, 5),
        ('{"a": 1\n "b": 2}', 'expected `,` or `}`, got `"`', "", 2, 1),
        ('{"a": [1 2]}', "expected `,` or `]`, got `2`", "/a", 1, 9),
        ("[1,]", "expected a value, got `]`", "/1", 1, 3),
        ("[1", "expected `,` or `]`, got the end", "", 1, 2),
        ('{"a": NaN}', "expected a value, got `NaN`", "/a", 1, 6),
        ("[-Infinity]", "expected a value, got `-Infinity`", "/0", 1, 1),
        ("[Infinity]", "expected a value, got `Infinity`", "/0", 1, 1),
        ("[trueish]", "expected a value, got `trueish`", "/0", 1, 1),
        ("[True]", "expected a value, got `True`", "/0", 1, 1),
        ("[01]", "expected `,` or `]`, got `1`", "", 1, 2),
        ("[1.]", "expected `,` or `]`, got `.`", "", 1, 2),
        ("[.5]", "expected a value, got `.5`", "/0", 1, 1),
        ("[+1]", "expected a value, got `+1`", "/0", 1, 1),
        ("[1e]", "expected `,` or `]`, got `e`", "", 1, 2),
        ('["abc', "the string that begins here is not closed", "/0", 1, 1),
        ('["a\\x"]', r"expected an escape of JSON, got `\x`", "/0", 1, 3),
        ('["a\\u12"]', r"expected an escape of JSON, got `\u`", "/0", 1, 3),
        ('["a\nb"]', r"expected \u000a, got the bare control character", "/0", 1, 3),
        ('["\\ud800"]', "a half surrogate is no character", "/0", 1, 1),
        ('["\\ude00\\ud83d"]', "a half surrogate is no character", "/0", 1, 1),
        ('["\ud800"]', "a half surrogate is no character", "", 1, 2),
        ('{"a": 1, "a": 2}', "the key `a` stands twice in one object", "", 1, 9),
        ('{"a": 1, "\\u0061": 2}', "the key `a` stands twice in one object", "", 1, 9),
        ('{"x": [{"b/": {}, "b/": 2}]}', "the key `b/` stands twice in one object", "/x/0", 1, 18),
        ("\ufeff{}", r"expected a value, got `\ufeff`", "", 1, 0),
        ("{}\u00a0", r"expected the end of the document, got `\u00a0`", "", 1, 2),
        ("// c\n{}", "expected a value, got `/`", "", 1, 0),
    ],
)
def test_what_is_no_json_is_refused_at_its_place(text: str, message: str, place: str, line: int, column: int) -> None:
    """G-10, AA-26: what was expected, what came, where; lines from 1, columns from 0."""
    with pytest.raises(PolicyError) as refused:
        read_json(text)
    error = refused.value
    assert (error.message, error.place, error.line, error.column) == (message, place, line, column)
    assert (error.finding, error.sentence) == ("JSON_SYNTAX_ERROR", "Syntax errors in policy.")


def test_bytes_that_are_not_utf_8_are_refused() -> None:
    """The byte is named."""
    with pytest.raises(PolicyError, match="expected UTF-8, got something else at byte 1"):
        read_json(b"[\xff]")


def test_numbers_keep_their_source_text() -> None:
    """G-15: `1.50` is not `1.5`, and a digest tells them apart."""
    root = read_json("[1.50, -0, 1E+2, 123456789012345678901234567890]").root
    assert canonical(root) == "[1.50,-0,1E+2,123456789012345678901234567890]"


def test_everything_knows_where_it_stands() -> None:
    """AA-26: a value by its pointer, a member also by its name."""
    tree = read_json('{\n  "a/b": [1,\n    {"~": "x"}]\n}')
    assert tree.locate(("a/b",)) == ("/a~1b", Position(2, 9, 11))
    assert tree.locate(("a/b",), name=True) == ("/a~1b", Position(2, 2, 4))
    assert tree.locate(("a/b", 1, "~")) == ("/a~1b/1/~0", Position(3, 10, 25))
    assert tree.locate(()) == ("", Position(1, 0, 0))
    assert tree.locate(("missing", 7)) == ("", Position(1, 0, 0))


def test_a_scalar_stands_for_a_list_of_one() -> None:
    """G-14: the pointer names what is in the text."""
    tree = read_json('{"Statement": {"Action": "s3:Get"}}')
    assert tree.locate(("Statement", 0, "Action", 0))[0] == "/Statement/Action"


def seconds(text: str) -> float:
    begin = thread_time()
    with pytest.raises(PolicyError):
        read_json(text)
    return thread_time() - begin


@pytest.mark.parametrize(
    "text",
    [
        "[" * MAX_CHARACTERS,
        '{"a":' * (MAX_CHARACTERS // 5),
        "[" * MAX_CHARACTERS * 40,
        '"' + "a" * (MAX_CHARACTERS - 1),
        '"' + "\\n" * (MAX_CHARACTERS // 2 - 1),
        '"' + "\\" * (MAX_CHARACTERS - 1),
        "1" * (MAX_CHARACTERS - 1) + "x",
        " " * (MAX_CHARACTERS - 1) + "x",
        "[" + "1," * (MAX_CHARACTERS // 2 - 2) + "x",
        "\n" * (MAX_CHARACTERS - 1),
    ],
    ids=["lists", "objects", "too long", "string", "escapes", "backslashes", "number", "space", "items", "lines"],
)
def test_hostile_text_is_refused_quickly(text: str) -> None:
    """Time of the processor grows with length and not with its square, which would be minutes."""
    assert seconds(text) < 10


def test_nesting_has_a_limit() -> None:
    """64 levels are read, 65 are refused, from text and from a mapping."""
    fine = '{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH
    assert from_mapping(json.loads(fine)).text == canonical(read_json(fine).root) == fine
    for read in (read_json, lambda text: from_mapping(json.loads(text))):
        with pytest.raises(PolicyError, match="nested deeper than 64 levels"):
            read('{"a":' + fine + "}")


def test_size_has_a_limit() -> None:
    """1,048,576 characters, from text, bytes and a mapping, or as few as the caller says."""
    fine = json.dumps({"a": "x" * (MAX_CHARACTERS - 9)})
    assert len(fine) == MAX_CHARACTERS
    read_json(fine)
    for source in (fine + " ", fine.encode() + b" ", b" " * (4 * MAX_CHARACTERS + 1)):
        with pytest.raises(PolicyError, match="expected at most 1048576 characters"):
            read_json(source)
    with pytest.raises(PolicyError, match="expected at most 1048576 characters"):
        from_mapping({"a": "x" * MAX_CHARACTERS})
    for read in (read_json, lambda text, limit: from_mapping(json.loads(text), limit)):
        assert read('{"a":1}', 7).root == {"a": Number("1")}
        with pytest.raises(PolicyError, match="expected at most 6 characters, got 7"):
            read('{"a":1}', 6)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), json_values(), max_size=3))
def test_a_mapping_is_the_text_that_it_is_written_as(value: dict[str, Any]) -> None:
    """The tree is the same but for the places."""
    taken = from_mapping(value)
    assert taken.text == canonical(read_json(json.dumps(value)).root)
    assert decoded(taken.root) == value
    assert taken.locate(tuple(value)[:1])[1] is None


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"a": float("nan")}, "/a"),
        ({"a": [float("inf")]}, "/a/0"),
        ({"a": b"bytes"}, "/a"),
        ({"a": {1}}, "/a"),
        ({"a": object()}, "/a"),
        ({1: "a"}, ""),
        ({"a": {None: 1}}, "/a"),
        ({"a": "\ud800"}, "/a"),
        ({"\ud800": "a"}, ""),
        ({"a": 10**5000}, "/a"),
    ],
)
def test_what_json_cannot_say_is_refused_in_a_mapping(value: Any, place: str) -> None:
    """A mapping holds what JSON text decodes to, and nothing else."""
    with pytest.raises(PolicyError) as refused:
        from_mapping(value)
    assert (refused.value.place, refused.value.line) == (place, None)


def test_a_mapping_that_holds_itself_is_refused() -> None:
    """No recursion without end."""
    endless: dict[str, Any] = {}
    endless["a"] = [endless]
    with pytest.raises(PolicyError, match="nested deeper"):
        from_mapping(endless)


@pytest.mark.parametrize(("members", "levels"), [(2, 60), (1000, 5), (MAX_CHARACTERS + 1, 1)])
def test_a_mapping_that_says_one_thing_very_often_is_refused(members: int, levels: int) -> None:
    """Much is not made out of little; the levels alone would let 2 to the power of 64 values pass."""
    often: Any = "x"
    for _ in range(levels):
        often = [often] * members
    with pytest.raises(PolicyError, match=f"at most {MAX_CHARACTERS} characters"):
        from_mapping({"a": often})


def test_a_mapping_is_of_any_kind_that_json_knows() -> None:
    """What inherits from a kind of JSON is of that kind, and nothing else of it is seen."""
    given: Any = MappingProxyType({Word.EFFECT: (Word.ALLOW, HTTPStatus.OK, OrderedDict(a=True))})
    assert from_mapping(given).text == '{"Effect":["Allow",200,{"a":true}]}'
    assert decoded(from_mapping(given).root) == {"Effect": ["Allow", 200, {"a": True}]}


class Word(StrEnum):
    EFFECT = "Effect"
    ALLOW = "Allow"


def test_a_tree_is_a_value() -> None:
    """Two readings of one text are equal."""
    assert read_json('{"a": [1]}') == read_json('{"a": [1]}')
    assert isinstance(read_json("1"), JsonText)
