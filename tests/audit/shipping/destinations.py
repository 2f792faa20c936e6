"""Destinations for tests: one that does what it is told, and shippers that do not wait long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from iam_guard.audit.consumer.subscription import Delivery
from iam_guard.audit.shipping.destination import NotDelivered
from iam_guard.audit.shipping.destinations import FollowingSink
from iam_guard.audit.shipping.pace import Pace
from iam_guard.audit.shipping.shipper import ShipperOptions
from iam_guard.audit.shipping.shippers import Shippers
from iam_guard.audit.shipping.sink_url import SinkUrl
from iam_guard.audit.verify.signed_note import KeyRing
from tests.audit.trails import RING

QUICK = Pace(
    poll=0.01, first_pause=0.005, longest_pause=0.02, standby=0.02, stopped=0.02, measure=0.0, drain=5.0, closing=10.0
)
ONCE = ShipperOptions(is_once=True, is_patient=False)
PATIENT = ShipperOptions()

Answer = Callable[[Sequence[Delivery]], NotDelivered | None]


def take_all(batch: Sequence[Delivery]) -> NotDelivered | None:
    return None


class Obedient:
    """Keeps what it takes; `answer` says what it does not take, and why."""

    def __init__(self, answer: Answer = take_all) -> None:
        self.answer = answer
        self.taken: list[Delivery] = []
        self.calls = 0
        self.closed = 0
        self.threads: set[str] = set()

    def send(self, batch: Sequence[Delivery]) -> None:
        self.calls += 1
        self.threads.add(threading.current_thread().name)
        failure = self.answer(batch)
        if failure is not None:
            raise failure
        self.taken += batch

    def close(self) -> None:
        self.closed += 1

    @property
    def ids(self) -> list[str]:
        """Return the ids of what it took, but for the trail's own records."""
        return [each.record["eventID"] for each in self.taken if "filler" in each.record]


def sink_to(destination: Obedient, text: str = "-#name=fake") -> FollowingSink:
    return FollowingSink(SinkUrl.parse(text), lambda: destination)


def shippers_to(
    trail: Path,
    *sinks: FollowingSink,
    manner: ShipperOptions = ONCE,
    ring: KeyRing | None = RING,
    pace: Pace = QUICK,
) -> Shippers:
    return Shippers(trail, ring, sinks, manner=manner, pace=pace)


def ship_once(trail: Path, *sinks: FollowingSink, **options: Any) -> Shippers:
    """Ship all there is, or as far as it goes; then the threads are gone."""
    shippers = shippers_to(trail, *sinks, **options)
    shippers.start()
    for thread in list(shippers._threads):
        thread.join(30)
        assert not thread.is_alive()
    return shippers
