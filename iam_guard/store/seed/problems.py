"""What is wrong with a seed: every problem with its line, so that one look at the file mends them all."""

from __future__ import annotations

from iam_guard.errors import SeedError


class Problems:
    """Collects the problems of one seed; `name` is how the file is called in them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._found: list[tuple[int, str]] = []

    def add(self, line: int, message: str, *, inside: str | None = None) -> None:
        """Record a problem at a line of the seed; `inside` is a place in a file that the seed names there."""
        message = message if inside is None else f"{message} (at {inside})"
        self._found.append((line, f"{self.name}:{line}: {message}"))

    def fatal(self, line: int, message: str) -> SeedError:
        """Record a problem after which nothing more can be read, and give the error to raise."""
        self.add(line, message)
        return self.error()

    def error(self) -> SeedError:
        """Make the one error that tells the first problem and holds all of them, in the order of the file."""
        ordered = sorted(dict.fromkeys(self._found), key=lambda problem: problem[0])
        line, message = ordered[0]
        more = len(ordered) - 1
        message = f"{message} (and {more} more)" if more else message
        return SeedError(
            message, place=f"{self.name}:{line}", line=line, problems=tuple(message for _, message in ordered)
        )

    def raise_any(self) -> None:
        """Raise `SeedError` if there is a problem."""
        if self._found:
            raise self.error()
