"""The results of a benchmark: measured values, each with a peer's value of the same run."""

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
    """Raised by a benchmark that can't run on this machine; the message has the reason."""


def show(value: float) -> str:
    """Format a number with three significant digits."""
    if value == 0 or not math.isfinite(value):
        return str(value)
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"
