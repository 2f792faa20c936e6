"""Generations: objects that tell whether what was derived from the store is still valid.

An answer of the store holds the generations of the names that it depends on (`invalidation.names_of`), and so does
everything derived from it: prepared callers, admitted sessions. A change ends the generations of what it names. So it
costs time by what has changed, not by what is cached.

Not thread-safe: the caller must hold a lock. `is_current` may be read without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias
from weakref import WeakValueDictionary


class Generation:
    """Current until a change names what it stands for."""

    __slots__ = ("__weakref__", "is_current")

    def __init__(self) -> None:
        self.is_current = True


Held: TypeAlias = tuple[Generation, ...]
"""The generations that something depends on."""


def are_current(held: Held) -> bool:
    """Return whether nothing has changed in what these generations stand for; True without any."""
    for generation in held:  # noqa: SIM110  `all` takes three times as long
        if not generation.is_current:
            return False
    return True


_ENDED: Final = Generation()
_ENDED.is_current = False
STALE: Final[Held] = (_ENDED,)
"""What an answer holds that is valid in no known state: it changed while it was loaded."""


class Generations:
    """The current generations that something holds, by name."""

    def __init__(self) -> None:
        self._current: WeakValueDictionary[str, Generation] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._current)

    def of(self, names: Iterable[str]) -> Held:
        """Return the current generations of these names."""
        return tuple([self._of(name) for name in names])

    def _of(self, name: str) -> Generation:
        known = self._current.get(name)
        if known is None:
            known = self._current[name] = Generation()
        return known

    def end(self, names: Iterable[str]) -> None:
        """End the generations of these names."""
        for name in names:
            if (generation := self._current.pop(name, None)) is not None:
                generation.is_current = False

    def end_all(self) -> None:
        for generation in list(self._current.values()):
            generation.is_current = False
        self._current.clear()
