"""Files of cases: each case with its place; invalid ones are reported and skipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from iam_guard.errors import InvalidInput
from iam_guard.testing.case_files import MAX_VALUES, _Loader, entries_of_file, entries_of_text
from iam_guard.testing.case_json import CaseEntry, Unreadable
from iam_guard.testing.case_lines import entries_of_lines


def yaml_file(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "cases.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def only(path: Path) -> Any:
    (entry,) = entries_of_file(path)
    assert isinstance(entry, CaseEntry), entry
    return entry.content


def problem(path: Path) -> Unreadable:
    (entry,) = entries_of_file(path)
    assert isinstance(entry, Unreadable), entry
    return entry


def test_stream_continues_after_invalid_case() -> None:
    """4.3: an answer for each line, in order; empty lines count as lines and have none."""
    lines = ['{"id": 1}', "", "{", "  \t", '{"id": 2, "id": 3}', '{"x": NaN}', "[" * 100_000, '"text"', '{"id": 4}']
    entries = list(entries_of_lines(lines, "in"))
    assert [entry.place for entry in entries] == ["in:1", "in:3", "in:5", "in:6", "in:7", "in:8", "in:9"]
    assert [isinstance(entry, Unreadable) for entry in entries] == [False, True, True, True, True, False, False]


def test_number_with_many_digits_is_refused() -> None:
    """Python refuses to parse it; the stream continues."""
    (entry,) = entries_of_lines(['{"id": ' + "9" * 5000 + "}"], "in")
    assert isinstance(entry, Unreadable)


def test_invalid_utf8_affects_its_line_only(tmp_path: Path) -> None:
    """A replaced character would change the case."""
    path = tmp_path / "cases.jsonl"
    path.write_bytes(b'{"id": "\xff"}\n{"id": "\xc3\xa9"}\n')
    bad, good = entries_of_file(path)
    assert bad == Unreadable(f"{path}:1", "expected UTF-8")
    assert good == CaseEntry(f"{path}:2", {"id": "é"})


@pytest.mark.parametrize("name", ["cases.yaml", "cases.yml"])
def test_yaml_is_recognized_by_suffix(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("- {id: a}\n- {id: b}\n")
    assert list(entries_of_file(path)) == [
        CaseEntry(f"{path}:1", {"id": "a"}),
        CaseEntry(f"{path}:2", {"id": "b"}),
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2012-10-17", "2012-10-17"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("012345678901", "012345678901"),
        ("no", "no"),
        ("on", "on"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("0x10", "0x10"),
        (".inf", ".inf"),
        ("true", True),
        ("null", None),
        ("", None),
        ("17", 17),
        ("-1.5e3", -1500.0),
        ("'17'", "17"),
    ],
)
def test_yaml_values_are_those_of_json(tmp_path: Path, text: str, value: object) -> None:
    """An account id is no octal number, and a version is no date."""
    found = only(yaml_file(tmp_path, f"- x: {text}\n"))["x"]
    assert (found, type(found)) == (value, type(value))


def test_yaml_anchors_and_merges_are_supported(tmp_path: Path) -> None:
    """They keep case files short."""
    path = yaml_file(tmp_path, "- &a {id: a, why: w}\n- {<<: *a, id: b}\n")
    assert [each.content for each in entries_of_file(path) if isinstance(each, CaseEntry)] == [
        {"id": "a", "why": "w"},
        {"id": "b", "why": "w"},
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("- {Effect: Deny, Effect: Allow}\n", "`Effect` is repeated", id="repeated key"),
        pytest.param("- a: {Effect: Deny, 'Effect': Allow}\n", "`Effect` is repeated", id="repeated inside"),
        pytest.param("- {a: [\n", "", id="not closed"),
        pytest.param("- !!python/object/apply:os.system [exit]\n", "expected no YAML tag", id="tag"),
        pytest.param("- ? [a]\n  : b\n", "unhashable", id="key that is no scalar"),
        pytest.param(b"- \xff\n", "UTF-8", id="not UTF-8"),
        pytest.param("- \x07\n", "not allowed", id="control character"),
        pytest.param("- " + "[" * 3000 + "]" * 3000, "", id="deep"),
        pytest.param("- " + "9" * 5000, "", id="many digits"),
        pytest.param("- !!bool perhaps\n", "expected no YAML tag", id="tag that does not fit"),
        pytest.param("- !!timestamp x\n", "expected no YAML tag", id="tag of a date"),
        pytest.param("- &a [*a, *a]\n", "inside of the value that it names", id="list in itself"),
        pytest.param("- &a {b: &b {<<: [*a]}}\n", "inside of the value that it names", id="mapping in itself"),
        pytest.param("- *a\n", "undefined alias", id="alias of nothing"),
        pytest.param("- ? [&a {b: [c]}, *a]\n  : d\n", "unhashable", id="key with an alias"),
    ],
)
def test_invalid_yaml_is_refused_as_a_whole(tmp_path: Path, text: str | bytes, words: str) -> None:
    """G-10 applies to YAML too: parsers resolve a duplicate key differently."""
    assert words in problem(yaml_file(tmp_path, text)).problem


LISTS = ["- &a0 [x, x]", *(f"- &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 30))]
MAPS = ["- &a0 {x: y}", *(f"- &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 10)}]}}" for level in range(1, 30))]


@pytest.mark.parametrize("lines", [LISTS, MAPS], ids=["lists", "merges"])
def test_alias_expansion_is_limited(tmp_path: Path, lines: list[str]) -> None:
    """Thirty lines can mean 10 to the power of 30 values; the line over the limit is reported."""
    path = yaml_file(tmp_path, "\n".join(lines))
    assert problem(path) == Unreadable(f"{path}:8", f"not readable as YAML: expected at most {MAX_VALUES} values")


def test_invalid_yaml_is_reported_with_line(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "- id: a\n- id: b\n  id: c\n")
    assert problem(path).place == f"{path}:3"
    assert problem(yaml_file(tmp_path, b"- id: a\n- id: \xff\n")).place == f"{path}:2"


@pytest.mark.parametrize("name", ["cases.yaml", "cases.jsonl"])
def test_byte_order_mark_is_ignored(tmp_path: Path, name: str) -> None:
    """Windows editors and shells write one."""
    path = tmp_path / name
    path.write_text("{0}\n{0}\n".format('- {"id": "a"}' if name.endswith("yaml") else '{"id": "a"}'), "utf-8-sig")
    assert [each.content for each in entries_of_file(path) if isinstance(each, CaseEntry)] == [{"id": "a"}] * 2
    for text in ('\ufeff{"id": "a"}', '\ufeff{"id": "a"}\n{"id": "b"}'):
        assert isinstance(entries_of_text(text, "in")[0], CaseEntry)


def test_yaml_is_read_with_libyaml() -> None:
    """PyYAML's own scanner takes more than a millisecond per case, and files have thousands."""
    assert not yaml.__with_libyaml__ or issubclass(_Loader, yaml.CSafeLoader)


@pytest.mark.parametrize("text", ["", "id: a", "text"])
def test_yaml_must_be_a_list(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput, match=r"expected a list of cases.*:1:1"):
        list(entries_of_file(yaml_file(tmp_path, text)))
