"""The table of peers. One that is not installed is omitted, and the page says so."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from benchmarks.clock import Call
from benchmarks.peers.peer import Ask, Peer
from benchmarks.world import Question, Rule

PEERS = {
    "with_vakt": "vakt",
    "with_moto": "moto",
    "with_cedar": "cedarpy",
    "with_casbin": "casbin",
    "with_py_abac": "py_abac",
}
"""Module in this package -> the package that it imports."""


def installed() -> list[Peer]:
    """Return the installed peers."""
    return [
        importlib.import_module(f"benchmarks.peers.{name}").PEER for name, needs in PEERS.items() if find_spec(needs)
    ]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A peer with loaded rules."""

    peer: Peer
    ask: Ask

    def call(self, question: Question) -> Call:
        """Return a call that decides the question; it is tried once before, and the answer must be right."""
        answer = self.ask(question)
        if answer is not question.allowed:
            raise SystemExit(f"{self.peer.name} answered {answer} to {question}")
        ask = self.ask
        return lambda: ask(question)


def loaded(rules: Sequence[Rule]) -> list[Loaded]:
    """Load the rules into every peer."""
    return [Loaded(peer, peer.load(rules)) for peer in installed()]
