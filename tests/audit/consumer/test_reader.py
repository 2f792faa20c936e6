"""Reading back: every record, or an error that names the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from iam_guard.audit.consumer.reader import MAX_READ, read
from iam_guard.errors import InvalidInput

GOOD = b'{"eventVersion":"1.11","eventID":"1"}\n'

BROKEN = {
    "no JSON": (b"{\n", "no JSON"),
    "two records on a line": (GOOD[:-1] + GOOD, "no JSON"),
    "no object": (b"[]\n", "no record"),
    "no version": (b'{"eventID":"1"}\n', "no record"),
    "a version that is no text": (b'{"eventVersion":1.11}\n', "no record"),
    "another major version": (b'{"eventVersion":"2.0"}\n', "expected a record of version 1.11, got `2.0`"),
    "not a number": (b'{"eventVersion":"1.11","x":NaN}\n', "no JSON"),
    "no UTF-8": (b'{"eventVersion":"1.11","x":"\xff"}\n', "no JSON"),
    "nested without end": (b"[" * 200_000 + b"\n", "no JSON"),
    "too long": (b'{"eventVersion":"1.11","x":"' + b"x" * (3 * MAX_READ) + b'"}\n', "longer than"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_line_raises_with_its_number(name: str, tmp_path: Path) -> None:
    """The records before a broken line are given, then its number is told."""
    text, message = BROKEN[name]
    file = tmp_path / "audit.jsonl"
    file.write_bytes(GOOD + text + GOOD)
    records = read(file)
    assert next(records)["eventID"] == "1"
    with pytest.raises(InvalidInput, match=message) as caught:
        next(records)
    assert caught.value.place == f"{file}:2"


@pytest.mark.parametrize("name", BROKEN)
def test_reader_goes_on_after_a_broken_line_when_asked(name: str, tmp_path: Path) -> None:
    """With `on_broken` each broken line is told once and all other records are given."""
    text, _ = BROKEN[name]
    file = tmp_path / "audit.jsonl"
    file.write_bytes(GOOD + text + GOOD + text + GOOD)
    broken: list[InvalidInput] = []
    assert len(list(read(file, on_broken=broken.append))) == 3
    assert [error.place for error in broken] == [f"{file}:2", f"{file}:4"]


@pytest.mark.parametrize("cut", range(1, len(GOOD)))
def test_torn_last_line_is_told_as_such(cut: int, tmp_path: Path) -> None:
    """A last line without its line break is torn, also when what is there is whole JSON."""
    file = tmp_path / "audit.jsonl"
    file.write_bytes(GOOD + GOOD[:cut])
    records = read(file)
    next(records)
    with pytest.raises(InvalidInput, match="the last line is torn"):
        next(records)


def test_higher_minor_version_and_unknown_members_are_kept(tmp_path: Path) -> None:
    """CloudTrail's rule: same major version, any minor; what is not known stays."""
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b'{"eventVersion":"1.42","new":{"x":1}}\n')
    assert list(read(file)) == [{"eventVersion": "1.42", "new": {"x": 1}}]


def test_empty_file_and_empty_lines_hold_nothing(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"")
    assert list(read(file)) == []
    file.write_bytes(GOOD + b"\n" + GOOD)
    assert len(list(read(file))) == 2


def test_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        next(read(tmp_path / "audit.jsonl"))
