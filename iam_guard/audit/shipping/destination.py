"""What a destination is: it takes records, and says when they have arrived or why they have not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from iam_guard.audit.consumer.subscription import Delivery

Formed = TypeVar("Formed")


class SinkDestination(Protocol):
    """Takes batches of records, one at a time and from one thread. Connects when it is first given one."""

    def send(self, batch: Sequence[Delivery]) -> None:
        """Return when the other side has confirmed every record of the batch, in its order.

        Raises `Unreachable`, `Refused` or `Gone` when it has not; a part of the batch may have arrived all the same.
        """
        ...

    def close(self) -> None: ...


class NotDelivered(Exception):
    """A batch did not arrive. The message goes into logs: nothing of a record and nothing of a credential is in it."""


class Unreachable(NotDelivered):
    """The other side cannot take anything now, whatever it is; try again, not before `retry_after` seconds."""

    def __init__(self, message: str, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Refused(NotDelivered):
    """The other side does not take something in this batch, and will not take it later either."""


class Gone(NotDelivered):
    """The other side wants nothing any more; somebody must look at it."""


def formed(form: Callable[[Mapping[str, Any]], Formed], record: Mapping[str, Any]) -> Formed:
    """Return a record in another form; raise `Refused` where it has none, so that it does not stop those behind it."""
    try:
        return form(record)
    except Exception as error:  # noqa: BLE001  its text may hold a part of the record
        raise Refused(f"the record has no such form ({type(error).__name__})") from None
