"""Read JSON lines of cases. An undecodable line becomes an `Unreadable` in its place, so that the stream continues."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from io import BufferedIOBase

from iam_guard.testing.case_json import CaseDecoder, CaseEntry, Unreadable

UNDECODED = "surrogateescape"
"""The error handler for invalid UTF-8: bytes are marked, so that only their line is refused."""

_CHUNK = 1 << 16


def entries_of_lines(lines: Iterable[str], name: str) -> Iterator[CaseEntry | Unreadable]:
    """Decode JSON lines one by one; empty lines are skipped."""
    decoder = CaseDecoder()
    for number, line in enumerate(lines, 1):
        if line and not line.isspace():
            yield replace(decoder.decode(line, f"{name}:{number}"), line=number)


def buffered_lines(stream: BufferedIOBase) -> Iterator[list[str]]:
    """Yield all complete lines as they arrive, so that a client that sends line by line is answered line by line."""
    pending = bytearray()
    while chunk := stream.read1(_CHUNK):
        pending += chunk
        if b"\n" in chunk:
            complete, _, pending = pending.rpartition(b"\n")
            yield complete.decode("utf-8", UNDECODED).split("\n")
    if pending:
        yield [pending.decode("utf-8", UNDECODED)]
