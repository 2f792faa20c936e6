"""The work that one check may do, and the error of a check that exceeds it."""

from __future__ import annotations

from dataclasses import dataclass

MAX_STATES = 500_000
"""Maximum number of automaton states that one check visits."""
MAX_BOXES = 20_000
"""Maximum number of boxes that one check splits."""


class Undecided(Exception):
    """A check could not be decided; the text is the reason."""


@dataclass(slots=True)
class Work:
    """What is left of the limits of one check."""

    states: int = MAX_STATES
    boxes: int = MAX_BOXES

    def spend_states(self, count: int) -> None:
        """Count visited states; raise `Undecided` if there were too many."""
        self.states -= count
        if self.states < 0:
            raise Undecided(f"the patterns need more than {MAX_STATES:,} automaton states")

    def spend_box(self) -> None:
        """Count a box; raise `Undecided` if there were too many."""
        self.boxes -= 1
        if self.boxes < 0:
            raise Undecided(f"the statements need more than {MAX_BOXES:,} boxes")
