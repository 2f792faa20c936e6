"""Decoding of cases: the cache of policies never changes the result."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iam_guard.testing import case_json
from iam_guard.testing.case_json import CaseDecoder, CaseEntry, Unreadable
from tests.tables import table

POLICIES = (
    "{}",
    '{"identity": []}',
    '{"identity": [{"policies": {}}]}',
    '{"identity": [{"Statement": []}], "policies": {"a": "}"}}',
    '{"a": "\\"policies\\": {", "b": "NaN"}',
    '{"a": 1, "a": 2}',
    '{"a": NaN}',
    '{"a": 1}}',
    '{"a": "é\\ud83d\\ude00"}',
)
KEYS = ("policies", "policies", "policies", "pol\\u0069cies", "id", "why", "NaN", '\\"policies\\"', "policies ", "")
SCALARS = ("1", "-0.0", "1e400", "null", "true", '""', '"}"', '"\\"policies\\": {"', '"NaN"', "NaN", "-Infinity", "tru")
SPACE = st.sampled_from(["", "", " ", "  ", "\t", "\r\n", "\u00a0"])


@st.composite
def objects(draw: st.DrawFn, depth: int = 0) -> str:
    """Draw the text of something like an object, with `policies` in unusual places."""
    inside = [objects(depth=depth + 1)] if depth < 2 else []
    values = st.one_of(st.sampled_from(POLICIES), st.sampled_from(POLICIES), st.sampled_from(SCALARS), *inside)
    members = [
        f'{draw(SPACE)}"{draw(st.sampled_from(KEYS))}"{draw(SPACE)}:{draw(SPACE)}{draw(values)}{draw(SPACE)}'
        for _ in range(draw(st.integers(0, 3)))
    ]
    return draw(SPACE) + "{" + ",".join(members) + "}" + draw(SPACE)


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError
    return dict(pairs)


def no_constant(name: str) -> Any:
    raise ValueError(name)


def plainly(text: str) -> Any:
    """Decode without a cache."""
    try:
        return json.loads(text, object_pairs_hook=unique_keys, parse_constant=no_constant)
    except ValueError:
        return Unreadable


def decoded(entry: CaseEntry | Unreadable) -> Any:
    return entry.content if isinstance(entry, CaseEntry) else Unreadable


@given(st.lists(objects(), min_size=1, max_size=5), st.integers(1, 3))
@example(['{"request": {"policies": {}}, "policies": {}}', '{"request": {"policies": {}}, "policies": 1}'], 3)
@example(['{"policies": {}, "policies": {}}'], 3)
@example(['{"policies": {}, "why": NaN}', '{"why": "NaN", "policies": {}}'], 3)
@example(['{"policies": NaN, "request": {"policies": {}}}'], 3)
@example(['{"why": "\\"policies\\": {", "policies": {"a": 1}}'], 3)
@example(['{"policies": {"a": 1}}, {"policies": {"a": 1}}'], 3)
@example(['{"policies": {"a": 1}, "why": "}"}', '{"policies": {"a": 1}, "request": {}}'], 3)
@example(['{"policies": {"a": 1} "why": ""}', '{"policies": {"a": 1}'], 3)
@example(['{"policies": {}, "id": 1, "id": 2}', '{"a": {"b": 1, "b": 2}, "policies": {}}'], 3)
@example(['[{"policies": {}}]', '"\\"policies\\": {}"'], 3)
@example(['["policies": {}]', '{"policies": {}: 1}', '"policies": {}'], 3)
def test_cache_never_changes_result(texts: list[str], times: int) -> None:
    """For any texts in any order: the same value with the same order of keys, or an error in both."""
    decoder = CaseDecoder()
    for text in texts * times:
        assert repr(decoded(decoder.decode(text, "x"))) == repr(plainly(text)), text


@given(st.lists(objects(), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_cache_never_changes_result_of_broken_text(texts: list[str], rng: random.Random) -> None:
    """For texts that were cut or shuffled after similar ones were cached."""
    decoder = CaseDecoder()
    for text in [*texts, *texts]:
        decoder.decode(text, "x")
        cut, again = sorted(rng.choices(range(len(text) + 1), k=2))
        for broken in (text[:cut] + text[again:], text[:cut] + rng.choice('{}",:N') + text[cut:]):
            assert repr(decoded(decoder.decode(broken, "x"))) == repr(plainly(broken)), broken


def line(number: int, policies: str, **more: object) -> str:
    rest = json.dumps({"expected": "Allowed", **more})[1:]
    return f'{{"id": "c{number}", "request": {{}}, "policies": {policies}, {rest}'


def test_repeated_policies_are_shared() -> None:
    """From the second time on, they are one object, for any rest of the line."""
    decoder = CaseDecoder()
    lines = [line(1, POLICIES[3]), line(2, POLICIES[3]), line(3, POLICIES[3]), line(4, POLICIES[3], why="a } {")]
    entries = [decoder.decode(each, "x") for each in lines]
    shared = [entry.shared for entry in entries if isinstance(entry, CaseEntry)]
    assert len(shared) == len(lines)
    assert shared[0] is not shared[1]
    assert shared[1] is shared[2] is shared[3]
    assert shared[1] is not None
    assert shared[1].decoded == json.loads(POLICIES[3])


def test_policies_are_compared_as_text() -> None:
    """Another layout is another text."""
    decoder = CaseDecoder()
    entries = [decoder.decode(line(1, text), "x") for text in ('{"a": 1}', '{"a":1}', '{"a": 1.0}', '{"a": true}') * 2]
    values = [entry.content["policies"]["a"] for entry in entries if isinstance(entry, CaseEntry)]
    assert [repr(value) for value in values] == ["1", "1", "1.0", "True"] * 2


def test_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cleared at the limit, and decoding goes on."""
    monkeypatch.setattr(case_json, "_MAX_CHARACTERS", 100)
    decoder = CaseDecoder()
    for number in range(50):
        for _ in range(3):
            entry = decoder.decode(line(number, f'{{"identity": [{number}]}}'), "x")
            assert decoded(entry)["policies"] == {"identity": [number]}
        assert sum(map(len, decoder._policies)) <= 100


@table(
    ("text", "problem"),
    [
        ('{"policies": {"a": 1, "a": 2}}', "expected a case as JSON object: the key `a` is repeated"),
        ('{"policies": {}, "policies": {}}', "expected a case as JSON object: the key `policies` is repeated"),
        ('{"policies": {"a": NaN}}', "expected a case as JSON object: `NaN` is not a JSON number"),
        ('{"policies": {}, "a": Infinity}', "expected a case as JSON object: `Infinity` is not a JSON number"),
        ('{"policies": {"abc": 1}, ]', "expected a case as JSON object: Expecting property name enclosed in double"),
        ('{"policies": ' + '{"a":' * 100_000, "the case is nested too deeply"),
        ('{"policies": {"a": "\udc80"}}', "expected UTF-8"),
    ],
)
def test_fault_has_its_place_in_the_line(text: str, problem: str) -> None:
    """G-10: also inside or next to cached policies."""
    decoder = CaseDecoder()
    for known in ('{"policies": {}}', '{"policies": {"abc": 1}}') * 2:
        decoder.decode(known, "x")
    entry = decoder.decode(text, "in:7")
    assert isinstance(entry, Unreadable)
    assert (entry.place, entry.problem[: len(problem)]) == ("in:7", problem)
    if "line 1" in entry.problem:
        assert f"(char {len(text) - 1})" in entry.problem
