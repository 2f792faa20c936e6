"""Record changes that the application or its operator makes outside the API; there is no decision to record for these.

`userIdentity` is the service, which acts without a decision. `iamGuard.caller` is the caller in whose request the
application made the change; for the command line, `iamGuard.operator` is the user of the machine.
"""

from __future__ import annotations

from collections.abc import Callable

from iam_guard.audit.trail import Trail
from iam_guard.model.principal import Principal
from iam_guard.model.result import CallResult, ServedRequest


class TrailChangeRecorder:
    """A `ChangeRecorder` that writes to a trail. Safe to share between threads."""

    def __init__(
        self,
        trail: Trail,
        service: str = "iam-guard",
        *,
        operator: str | None = None,
        served: Callable[[], ServedRequest | None] = lambda: None,
    ) -> None:
        """Write to a trail; `served` returns the request that the present code serves."""
        self._trail = trail
        self._served = served
        self._principal = Principal.service(service)
        self._operator = operator

    def prepare(self) -> None:
        """Raise `DecisionUnavailable` if a record could not be written now: on an event loop, or after `close`."""
        self._trail.require_ready()

    def record(self, result: CallResult) -> None:
        """Record the change. Raises `RecordUnavailable`."""
        if self._trail.is_recording:
            call, caller = self._served() or (None, None)
            self._trail.record_result(result, call, self._principal, operator=self._operator, caller=caller)
