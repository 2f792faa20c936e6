"""Notes what the application itself or its operator changes, past the API: nobody was asked, so no decision is noted.

Whoever did it is a program: `userIdentity` names the service, and for the command line `iamGuard.operator` the user of
the machine.
"""

from __future__ import annotations

from iam_guard.audit.trail import Trail
from iam_guard.model.principal import Principal
from iam_guard.model.result import CallResult


class TrailChangeRecorder:
    """A `ChangeRecorder` that notes in a trail. Safe to share between threads."""

    def __init__(self, trail: Trail, service: str = "iam-guard", *, operator: str | None = None) -> None:
        self._trail = trail
        self._principal = Principal.service(service)
        self._operator = operator

    def prepare(self) -> None:
        """Raise `DecisionUnavailable` where nothing would get to the disk: on an event loop, after the end."""
        self._trail.require_ready()

    def note(self, result: CallResult) -> None:
        """Record what was done. Raises `RecordUnavailable`."""
        if self._trail.is_recording:
            self._trail.record_result(result, None, self._principal, operator=self._operator)
