"""What a benchmark asks of a peer: to take the rules of `world`, and to answer its questions.

A peer answers as its users would have it: policies loaded and, where it can, parsed before; the question put into its
own form inside the measured call, since every call has to. Answers that a peer remembers for a question asked before
are left out, ours has none either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from benchmarks.world import Question, Rule

Ask: TypeAlias = Callable[[Question], bool]


@dataclass(frozen=True, slots=True)
class Peer:
    """A library that decides. `load` makes it ready."""

    name: str
    load: Callable[[Sequence[Rule]], Ask]
