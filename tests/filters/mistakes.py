"""Wrong declarations that verification must name: each is planted by a function, and found as a mismatch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

BOTH, SQLITE, POSTGRESQL = ("sqlite", "postgresql"), ("sqlite",), ("postgresql",)
Plant = TypeVar("Plant", bound=Callable[..., Any])


@dataclass(frozen=True)
class Mistake:
    """A wrong declaration, and the mismatch that names it."""

    plant: Callable[..., Any]
    dialects: tuple[str, ...]
    name: str
    says: str


class Mistakes(list[Mistake]):
    """The mistakes of one kind of models, collected by decorators."""

    def found_as(self, name: str, says: str, dialects: tuple[str, ...] = BOTH) -> Callable[[Plant], Plant]:
        def add(plant: Plant) -> Plant:
            self.append(Mistake(plant, dialects, name, says))
            return plant

        return add
