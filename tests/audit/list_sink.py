"""A sink that keeps its lines in memory, for tests."""

from __future__ import annotations

import json


class ListSink:
    """Collect the lines."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def write(self, lines: bytes) -> None:
        self.lines.append(lines)

    def close(self) -> None:
        """Keep the lines."""

    @property
    def records(self) -> list[dict[str, object]]:
        """Return the lines, parsed."""
        return [json.loads(line) for lines in self.lines for line in lines.splitlines()]
