"""Reading a trail's file back, line by line.

Nothing is skipped silently: a line that is no record raises with its number, or is handed to whoever wants to read on.
An empty line holds nothing (see `sinks`).

Versions are compared as CloudTrail asks for: another major version is refused, a higher minor version is read and its
unknown members are kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from iam_guard.audit.record.record import EVENT_VERSION
from iam_guard.errors import InvalidInput

MAX_READ = 1024 * 1024
"""Bytes of a line that are read at most; our own are far shorter."""


def read(path: str | Path, *, on_broken: Callable[[InvalidInput], None] | None = None) -> Iterator[dict[str, Any]]:
    """Return the records of a file in their order.

    A broken line raises `InvalidInput` with `path:number` as its place; with `on_broken` the error is handed over
    instead and reading goes on.
    """
    with open(path, "rb") as file:
        for number, line in enumerate(_lines(file), 1):
            if line == b"\n":
                continue
            try:
                yield parse_record(line)
            except ValueError as error:
                broken = InvalidInput(str(error), place=f"{path}:{number}")
                if on_broken is None:
                    raise broken from None
                on_broken(broken)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Return line by line with a limit; of a longer line the beginning only, without line break."""
    while line := file.readline(MAX_READ):
        yield line
        while not line.endswith(b"\n") and (line := file.readline(MAX_READ)):
            pass


def parse_record(line: bytes) -> dict[str, Any]:
    """Read one line; raise `ValueError` that says what is wrong with it."""
    if not line.endswith(b"\n"):
        raise ValueError(
            f"the line is longer than {MAX_READ} bytes" if len(line) == MAX_READ else "the last line is torn"
        )
    try:
        record = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ValueError("the line is broken: no JSON") from None
    version = record.get("eventVersion") if isinstance(record, dict) else None
    if not isinstance(version, str):
        raise ValueError("the line is broken: no record with an eventVersion")
    if version.partition(".")[0] != EVENT_VERSION.partition(".")[0]:
        raise ValueError(f"expected a record of version {EVENT_VERSION}, got `{version[:20]}`")
    return dict(record)


def _refuse_constant(name: str) -> object:
    raise ValueError(name)
