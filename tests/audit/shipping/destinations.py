"""A fake destination, and shippers with short intervals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from iam_guard.audit.consumer.subscription import Delivery
from iam_guard.audit.shipping.destination import NotDelivered
from iam_guard.audit.shipping.destinations import ConfiguredSink
from iam_guard.audit.shipping.pace import Pace
from iam_guard.audit.shipping.shipper import ShipperOptions
from iam_guard.audit.shipping.shippers import Shippers
from iam_guard.audit.shipping.sink_url import SinkUrl
from iam_guard.audit.verify.signed_note import KeyRing
from tests.audit.trails import RING

QUICK = Pace(
    poll=0.01, first_pause=0.005, max_pause=0.02, standby=0.02, stopped=0.02, measure=0.0, drain=5.0, closing=10.0
)
ONCE = ShipperOptions(is_once=True, retries_after_damage=False)
PATIENT = ShipperOptions()

Answer = Callable[[Sequence[Delivery]], NotDelivered | None]


def accept_all(batch: Sequence[Delivery]) -> NotDelivered | None:
    return None


class FakeDestination:
    """Stores the records it accepts; `answer` returns the failure for a batch, or None."""

    def __init__(self, answer: Answer = accept_all) -> None:
        self.answer = answer
        self.received: list[Delivery] = []
        self.calls = 0
        self.closed = 0
        self.threads: set[str] = set()

    def send(self, batch: Sequence[Delivery]) -> None:
        self.calls += 1
        self.threads.add(threading.current_thread().name)
        failure = self.answer(batch)
        if failure is not None:
            raise failure
        self.received += batch

    def close(self) -> None:
        self.closed += 1

    @property
    def ids(self) -> list[str]:
        """Return the ids of the received records, without trail events."""
        return [each.record["eventID"] for each in self.received if "filler" in each.record]


def sink_to(destination: FakeDestination, text: str = "-#name=fake") -> ConfiguredSink:
    return ConfiguredSink(SinkUrl.parse(text), lambda: destination)


def shippers_to(
    trail: Path,
    *sinks: ConfiguredSink,
    options: ShipperOptions = ONCE,
    ring: KeyRing | None = RING,
    pace: Pace = QUICK,
) -> Shippers:
    return Shippers(trail, ring, sinks, options=options, pace=pace)


def ship_once(trail: Path, *sinks: ConfiguredSink, **keywords: Any) -> Shippers:
    """Ship until the threads end."""
    shippers = shippers_to(trail, *sinks, **keywords)
    shippers.start()
    for thread in list(shippers._threads):
        thread.join(30)
        assert not thread.is_alive()
    return shippers
