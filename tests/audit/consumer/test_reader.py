"""Reading a trail file: every record, or an error with the line number."""

from __future__ import annotations

from pathlib import Path

import pytest

from iam_guard.audit.consumer.reader import MAX_READ, read_records
from iam_guard.errors import InvalidInput

GOOD = b'{"eventVersion":"1.11","eventID":"1"}\n'

MALFORMED = {
    "not JSON": (b"{\n", "in JSON"),
    "two records on a line": (GOOD[:-1] + GOOD, "in JSON"),
    "not an object": (b"[]\n", "with an eventVersion"),
    "no version": (b'{"eventID":"1"}\n', "with an eventVersion"),
    "version not a string": (b'{"eventVersion":1.11}\n', "with an eventVersion"),
    "another major version": (b'{"eventVersion":"2.0"}\n', "expected a record of version 1.11, got `2.0`"),
    "not a number": (b'{"eventVersion":"1.11","x":NaN}\n', "in JSON"),
    "not UTF-8": (b'{"eventVersion":"1.11","x":"\xff"}\n', "in JSON"),
    "deeply nested": (b"[" * 200_000 + b"\n", "in JSON"),
    "too long": (b'{"eventVersion":"1.11","x":"' + b"x" * (3 * MAX_READ) + b'"}\n', "a line of at most"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_line_raises_with_its_number(name: str, tmp_path: Path) -> None:
    """After the records before it."""
    text, message = MALFORMED[name]
    file = tmp_path / "audit.jsonl"
    file.write_bytes(GOOD + text + GOOD)
    records = read_records(file)
    assert next(records)["eventID"] == "1"
    with pytest.raises(InvalidInput, match=message) as caught:
        next(records)
    assert caught.value.place == f"{file}:2"


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_line_with_callback_is_reported_and_skipped(name: str, tmp_path: Path) -> None:
    """`on_broken` is called once for each, and all other records are returned."""
    text, _ = MALFORMED[name]
    file = tmp_path / "audit.jsonl"
    file.write_bytes(GOOD + text + GOOD + text + GOOD)
    broken: list[InvalidInput] = []
    assert len(list(read_records(file, on_broken=broken.append))) == 3
    assert [error.place for error in broken] == [f"{file}:2", f"{file}:4"]


@pytest.mark.parametrize("cut", range(1, len(GOOD)))
def test_incomplete_last_line_raises(cut: int, tmp_path: Path) -> None:
    """Even if it is complete JSON without its line break."""
    file = tmp_path / "audit.jsonl"
    file.write_bytes(GOOD + GOOD[:cut])
    records = read_records(file)
    next(records)
    with pytest.raises(InvalidInput, match="the last line is incomplete"):
        next(records)


def test_higher_minor_version_and_unknown_members_are_kept(tmp_path: Path) -> None:
    """CloudTrail's rule: same major version, any minor."""
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b'{"eventVersion":"1.42","new":{"x":1}}\n')
    assert list(read_records(file)) == [{"eventVersion": "1.42", "new": {"x": 1}}]


def test_empty_file_and_empty_lines_have_no_records(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    file.write_bytes(b"")
    assert list(read_records(file)) == []
    file.write_bytes(GOOD + b"\n" + GOOD)
    assert len(list(read_records(file))) == 2


def test_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        next(read_records(tmp_path / "audit.jsonl"))
