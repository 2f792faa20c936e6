"""What a benchmark reports: one measured value beside its peer's of the same run."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `ratio` is the value in units of the peer's, which `peer` names."""

    name: str
    value: float
    unit: str
    ratio: float
    peer: str


class Skipped(Exception):
    """Raised by a benchmark that cannot be run on this machine; the message says why."""


def show(value: float) -> str:
    """Write a number with three digits that mean something."""
    if value == 0 or not math.isfinite(value):
        return str(value)
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"
