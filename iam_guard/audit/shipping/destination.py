"""The interface of a sink's destination: it takes batches of records and confirms or rejects them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeVar

from iam_guard.audit.consumer.subscription import Delivery

Formatted = TypeVar("Formatted")


class SinkDestination(Protocol):
    """Takes batches of records, one at a time and from one thread. Connects at the first batch."""

    def send(self, batch: Sequence[Delivery]) -> None:
        """Send a batch in order and return once every record is confirmed.

        Raises `Unreachable`, `Refused` or `Gone` otherwise; a part of the batch may have been delivered.
        """
        ...

    def close(self) -> None: ...


class NotDelivered(Exception):
    """A batch was not delivered. The message is logged, so it contains nothing of a record or credential."""


class Unreachable(NotDelivered):
    """The destination takes no records at present; retry after at least `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(NotDelivered):
    """The destination permanently refuses a record of this batch."""


class Gone(NotDelivered):
    """The destination permanently takes no records; an operator has to act."""


def format_record(form: Callable[[Mapping[str, Any]], Formatted], record: Mapping[str, Any]) -> Formatted:
    """Format a record; raise `Refused` on failure, so that it doesn't block the records after it."""
    try:
        return form(record)
    except Exception as error:  # noqa: BLE001  its text may contain a part of the record
        raise Refused(f"the record cannot be formatted ({type(error).__name__})") from None


def http_failure(status: int, retry_header: str, now: float) -> NotDelivered:
    """Return the failure for a status other than 2xx; `retry_header` is `Retry-After`, `now` as in `retry_after`."""
    if status in (400, 413, 422):
        return Refused(f"status {status}")
    return Unreachable(f"status {status}", retry_after=retry_after(retry_header, now))


def retry_after(text: str, now: float) -> float:
    """Return the delay in seconds that a header `Retry-After` (RFC 9110, 10.2.3) requests; 0 for a malformed one.

    `now` is in seconds since 1970.
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        time = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    aware = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    return max(0.0, aware.timestamp() - now)
