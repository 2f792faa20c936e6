"""The interface of a peer: load the rules of `world`, and answer its questions.

A peer is used as in practice: policies are loaded and, if it can, parsed before; the measured call includes converting
the question to its format. Caches of answers are turned off, since ours has none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from benchmarks.world import Question, Rule

Ask: TypeAlias = Callable[[Question], bool]


@dataclass(frozen=True, slots=True)
class Peer:
    """A library that decides. `load` prepares it."""

    name: str
    load: Callable[[Sequence[Rule]], Ask]
