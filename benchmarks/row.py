"""What a benchmark reports: one measured value beside its peer's of the same run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `ratio` is the value in units of the peer's, which `peer` names."""

    name: str
    value: float
    unit: str
    ratio: float
    peer: str
