"""Collects all problems in a file with their lines, so that they can be fixed together."""

from __future__ import annotations

from collections.abc import Mapping

from iam_guard.errors import SeedError


class Problems:
    """Collects the problems of one file; `name` is its name in the messages.

    `places` has the JSON pointer of each line, if what is read was no text: messages have it instead of the line.
    """

    def __init__(self, name: str, places: Mapping[int, str] | None = None) -> None:
        self.name = name
        self._places = places
        self._found: list[tuple[int, str]] = []
        self._declared: set[tuple[str, ...]] = set()

    def add(self, line: int, message: str, *, inside: str | None = None) -> None:
        """Record a problem at a line of the file; `inside` is a position in a file that the line refers to."""
        message = message if inside is None else f"{message} (at {inside})"
        self._found.append((line, message))

    def declare(self, line: int, what: str, name: str, key: tuple[str, ...]) -> None:
        """Record a problem if this kind of name was declared before with the same key."""
        if name and (what, *key) in self._declared:
            self.add(line, f"the {what} `{name[:200]}` is declared twice")
        self._declared.add((what, *key))

    def fatal(self, line: int, message: str) -> SeedError:
        """Record a problem that ends the reading, and return the error to raise."""
        self.add(line, message)
        return self.error()

    def in_order(self) -> list[tuple[int, str]]:
        """Return the problems with their lines, in the order of the file."""
        return sorted(dict.fromkeys(self._found), key=lambda problem: problem[0])

    def error(self) -> SeedError:
        """Return the error with all problems; its message is the first one."""
        ordered = self.in_order()
        line = ordered[0][0]
        texts = tuple(f"{self._place(line)}: {message}" for line, message in ordered)
        message = f"{texts[0]} (and {len(texts) - 1} more)" if texts[1:] else texts[0]
        return SeedError(message, place=self._place(line), line=line, problems=texts)

    def _place(self, line: int) -> str:
        return f"{self.name}:{line}" if self._places is None else f"{self.name}{self._places.get(line, '')}"

    def raise_any(self) -> None:
        """Raise `SeedError` if there is a problem."""
        if self._found:
            raise self.error()
