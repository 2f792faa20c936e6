from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable
from enum import StrEnum
from http import HTTPStatus
from time import thread_time
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iam_guard.errors import PolicyError
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Position
from iam_guard.policy.json_text import read_json, read_strictly
from iam_guard.policy.json_tree import MAX_CHARACTERS, MAX_DEPTH, JsonText, Number, Value, canonical, from_mapping
from tests.policy.strategies import documents, json_values
from tests.tables import table


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
def test_json_of_the_standard_library_is_parsed(value: Any, indent: int | None, ascii: bool) -> None:
    """The values are equal, for any layout and escapes."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii)
    assert decoded(read_json(text).root) == value
    assert decoded(read_json(text.encode()).root) == value


@given(json_values())
def test_canonical_text_depends_on_content_only(value: Any) -> None:
    """The digest of a document does not depend on layout, escapes or the order of keys."""
    texts = {
        canonical(read_json(text).root)
        for text in (json.dumps(value), json.dumps(value, indent=3, ensure_ascii=False, sort_keys=True))
    }
    assert len(texts) == 1
    assert json.loads(texts.pop()) == value


@given(st.text(max_size=40) | st.text('{}[]",:\\u0123d8f -.eE+truefalsn\n', max_size=40))
@example('"\\ud83d\\ude00"')
@example('"\\\\ud83d"')
def test_accepted_text_is_json_for_the_standard_library(text: str) -> None:
    """Everything else is refused with `PolicyError`."""
    try:
        tree = read_json(text)
    except PolicyError:
        return
    assert decoded(tree.root) == json.loads(text)


TOKENS = '{ } [ ] " , : \\ "a" "Statement" "a":1, 1.50 -0 1e400 01 NaN -Infinity \\ud83d\\ude00 \\ud83d \\u0061 \\/'
CHARACTERS = " \n\t\ufeff\u00a0\ud800\x00\x7fä\u0661"
NESTED = ["9" * 5000, "[" * MAX_DEPTH, '{"a":' * MAX_DEPTH, "]" * MAX_DEPTH, "}" * MAX_DEPTH, "[{}]" * 40]
PIECES = st.sampled_from([*TOKENS.split(), *CHARACTERS, *NESTED])


@st.composite
def odd_texts(draw: st.DrawFn) -> str:
    """Draw the JSON text of a policy or of another value, with some pieces inserted, replaced or removed."""
    value = draw(documents(draw(st.sampled_from(PolicyType))) | json_values() | st.lists(json_values()))
    text = json.dumps(value, indent=draw(st.sampled_from([None, 0, 2])), ensure_ascii=draw(st.booleans()))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.sampled_from([0, 0, 1, 5]))
        text = text[:start] + draw(PIECES | st.just("")) + text[end:]
    return text


def reading(read: Callable[[str], JsonText], text: str) -> object:
    """Return all that a reader finds in a text, or why it refuses it."""
    try:
        tree = read(text)
    except PolicyError as error:
        return error.message, error.place, error.line, error.column, error.finding, error.sentence
    paths = list(read_strictly(text).places)
    return repr(tree.root), [(tree.locate(path), tree.position(path, name=True)) for path in paths]


@settings(max_examples=200)
@given(odd_texts())
@example('{"a": [1, 2,]}')
@example('{"a": 1, "a": 2}')
@example('{"a": 1, "\\u0061": 2}')
@example('{"Statement": [{"a": 1, "a": 2}]}')
@example('{"a": [NaN]}')
@example('{"a": "\\ud800"}')
@example('{"a": [' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "]}")
@example('{"a": {"b":' + '{"a":' * (MAX_DEPTH - 2) + "1" + "}" * MAX_DEPTH)
@example('{"a": {"b":' + '{"a":' * (MAX_DEPTH - 1) + "1" + "}" * (MAX_DEPTH + 1))
@example('\ufeff{"a": 1}')
@example('{"a": 1}\u00a0')
@example('{"a": 1}}')
@example('{"a": [1]')
@example('{"a": \u0661}')
@example(' \n{ "a" :\n [ 1 ,\n {"b": [ ] } ] , "c": [ [ ], 2 ] } \n')
def test_every_text_is_read_as_specified(text: str) -> None:
    """The standard library's parser is used only where it finds the same tree and the same places."""
    assert reading(read_json, text) == reading(read_strictly, text)


@given(st.sampled_from(PolicyType).flatmap(documents), st.sampled_from([None, 0, 2]))
def test_policies_are_read_with_the_standard_library(value: dict[str, Any], indent: int | None) -> None:
    """The places of statements are known, and equal those of the specification."""
    tree = read_json(json.dumps(value, indent=indent, ensure_ascii=False))
    statements = [("Statement",), *(("Statement", index) for index in range(len(value["Statement"])))]
    specified = read_strictly(tree.text).places
    listed = statements if isinstance(value["Statement"], list) else statements[:1]
    assert tree.find_places is not None
    assert [tree.places[path] for path in listed] == [specified[path] for path in listed]


@given(st.binary(max_size=40))
def test_bytes_are_parsed_or_refused(source: bytes) -> None:
    """No bytes raise another error than `PolicyError`."""
    try:
        tree = read_json(source)
    except PolicyError:
        return
    assert decoded(tree.root) == json.loads(source)


@table(
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
        ('["abc', "unterminated string", "/0", 1, 1),
        ('["a\\x"]', r"expected a JSON escape sequence, got `\x`", "/0", 1, 3),
        ('["a\\u12"]', r"expected a JSON escape sequence, got `\u`", "/0", 1, 3),
        ('["a\nb"]', r"expected \u000a, got an unescaped control character", "/0", 1, 3),
        ('["\\ud800"]', "expected Unicode text, got an unpaired surrogate", "/0", 1, 1),
        ('["\\ude00\\ud83d"]', "expected Unicode text, got an unpaired surrogate", "/0", 1, 1),
        ('["\ud800"]', "expected Unicode text, got an unpaired surrogate", "", 1, 2),
        ('{"a": 1, "a": 2}', "duplicate key `a` in an object", "", 1, 9),
        ('{"a": 1, "\\u0061": 2}', "duplicate key `a` in an object", "", 1, 9),
        ('{"x": [{"b/": {}, "b/": 2}]}', "duplicate key `b/` in an object", "/x/0", 1, 18),
        ("\ufeff{}", r"expected a value, got `\ufeff`", "", 1, 0),
        ("{}\u00a0", r"expected the end of the document, got `\u00a0`", "", 1, 2),
        ("// c\n{}", "expected a value, got `/`", "", 1, 0),
    ],
)
def test_invalid_json_is_refused_with_its_place(text: str, message: str, place: str, line: int, column: int) -> None:
    """G-10, AA-26: what was expected, what was found, where; lines from 1, columns from 0."""
    with pytest.raises(PolicyError) as refused:
        read_json(text)
    error = refused.value
    assert (error.message, error.place, error.line, error.column) == (message, place, line, column)
    assert (error.finding, error.sentence) == ("JSON_SYNTAX_ERROR", "Syntax errors in policy.")


def test_bytes_that_are_not_utf_8_are_refused() -> None:
    """The message has the offset."""
    with pytest.raises(PolicyError, match="expected UTF-8, got an invalid byte at offset 1"):
        read_json(b"[\xff]")


def test_numbers_keep_their_source_text() -> None:
    """G-15: `1.50` is not `1.5`, and their digests differ."""
    root = read_json("[1.50, -0, 1E+2, 123456789012345678901234567890]").root
    assert canonical(root) == "[1.50,-0,1E+2,123456789012345678901234567890]"


def test_every_value_and_name_has_its_position() -> None:
    """AA-26: a value by its pointer, a member also by its name."""
    tree = read_json('{\n  "a/b": [1,\n    {"~": "x"}]\n}')
    assert tree.locate(("a/b",)) == ("/a~1b", Position(2, 9, 11))
    assert tree.locate(("a/b",), name=True) == ("/a~1b", Position(2, 2, 4))
    assert tree.locate(("a/b", 1, "~")) == ("/a~1b/1/~0", Position(3, 10, 25))
    assert tree.locate(()) == ("", Position(1, 0, 0))
    assert tree.locate(("missing", 7)) == ("", Position(1, 0, 0))


def test_index_into_a_scalar_leads_to_the_scalar() -> None:
    """G-14: the pointer is the place in the text."""
    tree = read_json('{"Statement": {"Action": "s3:Get"}}')
    assert tree.locate(("Statement", 0, "Action", 0))[0] == "/Statement/Action"


def seconds(text: str) -> float:
    begin = thread_time()
    with pytest.raises(PolicyError):
        read_json(text)
    return thread_time() - begin


@table(
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
def test_hostile_text_is_refused_in_linear_time(text: str) -> None:
    """Processor time grows with the length, not with its square."""
    assert seconds(text) < 10


def test_nesting_has_a_limit() -> None:
    """64 levels are accepted, 65 are refused, from text and from a mapping."""
    fine = '{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH
    assert from_mapping(json.loads(fine)).text == canonical(read_json(fine).root) == fine
    for read in (read_json, lambda text: from_mapping(json.loads(text))):
        with pytest.raises(PolicyError, match="nested deeper than 64 levels"):
            read('{"a":' + fine + "}")


def test_size_has_a_limit() -> None:
    """1,048,576 characters, or the caller's limit, from text, bytes and a mapping."""
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
def test_mapping_and_its_text_have_the_same_tree(value: dict[str, Any]) -> None:
    """The tree is equal; only text has places."""
    taken = from_mapping(value)
    assert taken.text == canonical(read_json(json.dumps(value)).root)
    assert decoded(taken.root) == value
    assert taken.locate(tuple(value)[:1])[1] is None


@table(
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
def test_mapping_with_other_values_than_json_is_refused(value: Any, place: str) -> None:
    """A mapping has only values that JSON text decodes to."""
    with pytest.raises(PolicyError) as refused:
        from_mapping(value)
    assert (refused.value.place, refused.value.line) == (place, None)


def test_mapping_that_contains_itself_is_refused() -> None:
    """The recursion ends."""
    endless: dict[str, Any] = {}
    endless["a"] = [endless]
    with pytest.raises(PolicyError, match="nested deeper"):
        from_mapping(endless)


@table(("members", "levels"), [(2, 60), (1000, 5), (MAX_CHARACTERS + 1, 1)])
def test_mapping_with_one_list_many_times_is_refused(members: int, levels: int) -> None:
    """Without this limit the levels alone would allow 2 to the power of 64 values."""
    often: Any = "x"
    for _ in range(levels):
        often = [often] * members
    with pytest.raises(PolicyError, match=f"at most {MAX_CHARACTERS} characters"):
        from_mapping({"a": often})


def test_subclasses_of_json_types_are_accepted_in_a_mapping() -> None:
    """A subclass is treated as its JSON type; nothing else of it is used."""
    mapping: Any = MappingProxyType({Word.EFFECT: (Word.ALLOW, HTTPStatus.OK, OrderedDict(a=True))})
    assert from_mapping(mapping).text == '{"Effect":["Allow",200,{"a":true}]}'
    assert decoded(from_mapping(mapping).root) == {"Effect": ["Allow", 200, {"a": True}]}


class Word(StrEnum):
    EFFECT = "Effect"
    ALLOW = "Allow"


def test_trees_of_the_same_text_are_equal() -> None:
    """Parsing a text twice returns equal trees."""
    assert read_json('{"a": [1]}') == read_json('{"a": [1]}')
    assert isinstance(read_json("1"), JsonText)
