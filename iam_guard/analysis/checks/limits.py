"""The work of one check: its limits, the error of a check that exceeds them, and what its proof rests on."""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_STATES = 500_000
"""Maximum number of automaton states that one check visits."""
MAX_BOXES = 20_000
"""Maximum number of boxes that one check splits."""
MAX_REQUESTS = 20_000
"""Maximum number of requests that one analysis tries, to confirm what it has found."""
MAX_CALLERS = 2_000
"""Maximum number of typical callers of one check."""


class Undecided(Exception):
    """A check could not be decided; the text is the reason."""


@dataclass(slots=True)
class Work:
    """What is left of the limits of one check, and its proof.

    `covered` maps an Allow statement of the new policy to the statements that take requests away from it: whether it is
    an Allow of the existing policy (else a Deny of the new one), and its index.
    """

    states: int = MAX_STATES
    boxes: int = MAX_BOXES
    requests: int = MAX_REQUESTS
    covered: dict[int, set[tuple[bool, int]]] = field(default_factory=dict)

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

    def spend_requests(self, count: int = 1) -> None:
        """Count requests that were tried; raise `Undecided` if there were too many."""
        self.requests -= count
        if self.requests < 0:
            raise Undecided(f"more than {MAX_REQUESTS:,} requests would have to be tried")
