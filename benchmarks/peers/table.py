"""The peers: what is asked beside us. One that is not installed is left out, and the page says so."""

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
"""Module here -> what it imports."""


def installed() -> list[Peer]:
    """Return the peers that are there."""
    return [
        importlib.import_module(f"benchmarks.peers.{name}").PEER for name, needs in PEERS.items() if find_spec(needs)
    ]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A peer that took some rules."""

    peer: Peer
    ask: Ask

    def call(self, question: Question) -> Call:
        """Return a call that asks; the answer is asked for once before, and must be right."""
        answer = self.ask(question)
        if answer is not question.allowed:
            raise SystemExit(f"{self.peer.name} answered {answer} to {question}")
        ask = self.ask
        return lambda: ask(question)


def loaded(rules: Sequence[Rule]) -> list[Loaded]:
    """Load the rules into every peer."""
    return [Loaded(peer, peer.load(rules)) for peer in installed()]
