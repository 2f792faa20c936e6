"""Generations: objects that record whether what was derived from the store is still valid.

A cached answer has the generations of the names that it depends on (`cache_regions.names_of`), and so has everything
derived from it: prepared callers, admitted sessions. A change ends the generations of the names that it invalidates. So
its cost depends on the number of these names, not on the size of the caches.

Not thread-safe: the caller must hold a lock. `is_current` may be read without it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias
from weakref import WeakValueDictionary


class Generation:
    """The validity of what depends on one name: current until a change invalidates that name."""

    __slots__ = ("__weakref__", "is_current")

    def __init__(self) -> None:
        self.is_current = True


Held: TypeAlias = tuple[Generation, ...]
"""The generations that something depends on."""


def are_current(held: Held) -> bool:
    """Return whether all of these generations are current; True for none."""
    for generation in held:  # noqa: SIM110  `all` takes three times as long
        if not generation.is_current:
            return False
    return True


_ENDED: Final = Generation()
_ENDED.is_current = False
STALE: Final[Held] = (_ENDED,)
"""The generations of an answer that must not be used again: it changed while it was loaded."""


class Generations:
    """The current generations by name, each as long as something refers to it."""

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
