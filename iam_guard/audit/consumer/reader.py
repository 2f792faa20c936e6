"""Reading the records of a trail file, line by line.

No line is skipped silently: a malformed one raises with its number, or is passed to a callback. An empty line is no
record (see `sinks`). As CloudTrail specifies, another major version is rejected, a higher minor version is accepted,
and unknown members are kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from iam_guard.audit.record.record import EVENT_VERSION
from iam_guard.errors import InvalidInput

MAX_READ = 1024 * 1024
"""Maximum bytes of a line; the writer's lines are far shorter."""


def read_records(
    path: str | Path, *, on_broken: Callable[[InvalidInput], None] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the records of a file in order.

    A malformed line raises `InvalidInput` with `path:number` as its place; with `on_broken` the error is passed to that
    callback and reading continues.
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
    """Yield line by line; of a longer line than `MAX_READ` only the beginning, without line break."""
    while line := file.readline(MAX_READ):
        yield line
        while not line.endswith(b"\n") and (line := file.readline(MAX_READ)):
            pass


def parse_record(line: bytes) -> dict[str, Any]:
    """Parse one line; raise `ValueError` with the reason for a malformed one."""
    if not line.endswith(b"\n"):
        too_long = len(line) == MAX_READ
        raise ValueError(f"expected a line of at most {MAX_READ} bytes" if too_long else "the last line is incomplete")
    try:
        record = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ValueError("expected a record in JSON") from None
    version = record.get("eventVersion") if isinstance(record, dict) else None
    if not isinstance(version, str):
        raise ValueError("expected a record with an eventVersion")
    if version.partition(".")[0] != EVENT_VERSION.partition(".")[0]:
        raise ValueError(f"expected a record of version {EVENT_VERSION}, got `{version[:20]}`")
    return dict(record)


def _refuse_constant(name: str) -> object:
    raise ValueError(name)
