"""The clock of the AWS API in tests: it is stopped during a test, however long the test takes."""

from __future__ import annotations

from datetime import UTC, datetime


class StoppableClock:
    """Returns the current time or, while it is stopped, the time of `stop`."""

    def __init__(self) -> None:
        self._stopped: datetime | None = None

    def __call__(self) -> datetime:
        return self._stopped or datetime.now(UTC)

    def stop(self) -> None:
        self._stopped = datetime.now(UTC).replace(microsecond=0)

    def resume(self) -> None:
        self._stopped = None

    def seconds(self) -> int:
        """Return the seconds since 1970."""
        return int(self().timestamp())


CLOCK = StoppableClock()
"""The clock of the servers that a test process runs in a thread."""
