"""One sink's shipping: records out of the trail, to the destination, acknowledged only when that has confirmed them.

**At least once.** The trail is the buffer. A batch that did not arrive is sent again, after pauses that grow, for as
long as it takes; meanwhile nothing is dropped and the lag is told. What was confirmed and not yet acknowledged when the
process died comes again.

**A record that is refused for good** must not stop the others for ever, and others must not be given up because
everything is refused. A batch that is refused is halved until the record stands alone; that one is held back and the
next ones are sent. As soon as one of them arrives, the record is given up: noted in the list of `refused_records`,
logged and counted. Where none arrives it is the destination that is wrong, and all are tried again, like whatever does
not arrive.

**Damage** of the trail stops the sink: nothing behind the damage is sent, until somebody has looked and gone on behind
it (`seek`).
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from iam_guard.audit.consumer.subscription import Delivery, Subscription
from iam_guard.audit.shipping.destination import Gone, Refused, SinkDestination, Unreachable
from iam_guard.audit.shipping.pace import Backoff, Pace
from iam_guard.audit.shipping.refused_records import RefusedRecords
from iam_guard.audit.shipping.stop_signal import Stop
from iam_guard.errors import GroupIsTaken, IamGuardError, TrailDamaged
from iam_guard.model.usage import SinkState, SinkUsage

logger = logging.getLogger("iam_guard.audit")

MAX_HELD = 10
"""Refused records in a row that are held back while the next one is tried."""


@dataclass(frozen=True, slots=True)
class ShipperOptions:
    """How a shipper ends, and what it leaves to others."""

    is_once: bool = False
    """End when all that is signed has arrived; give up where the destination stays away."""
    is_patient: bool = True
    """After damage, look again later; else end."""
    is_guest: bool = False
    """Leave half of the time to the other threads of the process."""


class Shipper:
    """Ships for one sink. `run` is for one thread; `usage` may be asked from any."""

    def __init__(
        self,
        name: str,
        subscribe: Callable[[], Subscription],
        connect: Callable[[], SinkDestination],
        refused: RefusedRecords,
        *,
        manner: ShipperOptions = ShipperOptions(),
        pace: Pace = Pace(),
    ) -> None:
        self.name = name
        self._subscribe = subscribe
        self._connect = connect
        self._refused = refused
        self._options = manner
        self._pace = pace
        self._backoff = Backoff(pace.first_pause, pace.longest_pause)
        self._usage = SinkUsage("waiting")
        self._success: float | None = None
        self._measured = 0.0

    def usage(self) -> SinkUsage:
        """Return how the sink fares, as of now."""
        usage, success = self._usage, self._success
        return usage if success is None else usage._replace(success_age=time.monotonic() - success)

    def run(self, stop: Stop) -> None:
        """Ship until asked to stop, or as the manner says; raise nothing."""
        while not stop.is_requested or self._usage.state == "waiting":
            pause = self._attempt(stop)
            if pause is None:
                return
            if stop.wait(pause):
                break
        self._end()

    # --- from the beginning to the end of a subscription -------------------------------------------------------------

    def _attempt(self, stop: Stop) -> float | None:
        """Ship until something is in the way; give the seconds after which to try again, None for never."""
        try:
            return self._ship(stop)
        except GroupIsTaken as taken:
            if self._options.is_once:
                return self._halt(str(taken))
            self._become("standby", lag=None, problem=None)
            self._success = None
            return self._pace.standby
        except (TrailDamaged, Gone) as stopping:
            return self._halt(str(stopping))
        except IamGuardError as error:
            return self._halt(str(error))
        except OSError as error:  # the trail, the offsets or the list of refused records cannot be read or kept
            self._fail(f"{error.strerror or 'failure'} ({type(error).__name__})")
            return self._after_failure(0.0)
        except Exception as error:  # noqa: BLE001 - a thread that ends unseen would ship nothing for ever
            self._fail(f"unexpected {type(error).__name__}")
            return self._after_failure(0.0)

    def _ship(self, stop: Stop) -> float | None:
        with self._subscribe() as subscription:
            destination = self._connect()
            try:
                if self._usage.state in ("waiting", "standby"):  # what went wrong before stands until it goes well
                    self._become("shipping")
                self._success = self._success or time.monotonic()
                self._measure(subscription, is_due=True)
                return self._follow(subscription, destination, stop)
            finally:
                destination.close()

    def _follow(self, subscription: Subscription, destination: SinkDestination, stop: Stop) -> float | None:
        while not stop.is_over:
            began = time.thread_time()
            batch = subscription.poll()
            if batch:
                if not self._deliver(subscription, destination, batch, stop):
                    return None
                self._measure(subscription)
                if self._options.is_guest:
                    stop.wait(time.thread_time() - began)
                continue
            self._is_well()
            if self._options.is_once or stop.is_requested:
                self._measure(subscription, is_due=True)
                break
            self._measure(subscription)
            stop.wait(self._pace.poll)
        self._end()
        return None

    def _measure(self, subscription: Subscription, *, is_due: bool = False) -> None:
        """Count what waits, now and then; and keep how far the filter has let pass what nobody wants."""
        now = time.monotonic()
        if is_due or now >= self._measured + self._pace.measure:
            self._measured = now
            subscription.ack()
            self._become(self._usage.state, lag=subscription.lag())

    # --- one batch -----------------------------------------------------------------------------------------------

    def _deliver(
        self, subscription: Subscription, destination: SinkDestination, batch: Sequence[Delivery], stop: Stop
    ) -> bool:
        """Bring every record of a batch to its end; False where there is no more time, or no more patience."""
        parts = deque([batch])
        held: list[tuple[Delivery, str]] = []
        while parts:
            part = parts[0]
            try:
                destination.send(part)
            except Refused as refusal:
                if len(part) > 1:
                    parts.popleft()
                    parts.extendleft((part[len(part) // 2 :], part[: len(part) // 2]))
                    continue
                if len(parts) == 1 and (more := subscription.poll()):
                    parts.append(more)
                if len(parts) > 1 and len(held) < MAX_HELD:
                    held.append((part[0], str(refusal)))
                    parts.popleft()
                elif self._wait(str(refusal), 0.0, subscription, stop):
                    parts.extendleft([each] for each, _ in reversed(held))
                    held.clear()
                else:
                    return False
            except Unreachable as failure:
                if not self._wait(str(failure), failure.retry_after, subscription, stop):
                    return False
            else:
                self._confirm(subscription, part, held)
                held.clear()
                parts.popleft()
        return True

    def _confirm(
        self, subscription: Subscription, part: Sequence[Delivery], held: Sequence[tuple[Delivery, str]]
    ) -> None:
        """Acknowledge what has arrived; what was held back before it is given up."""
        for delivery, why in held:
            self._give_up(delivery, why)
        subscription.ack(*(each.offset for each, _ in held), *(each.offset for each in part))
        self._is_well()
        usage = self._usage
        lag = None if usage.lag is None else max(0, usage.lag - len(part) - len(held))
        self._become("shipping", delivered=usage.delivered + len(part), lag=lag)

    def _give_up(self, delivery: Delivery, why: str) -> None:
        """See to it that the disk has that a record will never be taken, before it counts as worked through."""
        self._refused.note(delivery, why)
        shard, sequence = delivery.offset
        logger.error("the audit sink %s refused the record %s:%s for good: %s", self.name, shard, sequence, why)
        self._become(self._usage.state, refused=self._usage.refused + 1)

    def _wait(self, problem: str, at_least: float, subscription: Subscription, stop: Stop) -> bool:
        """Wait before the next try; False where there is to be none."""
        self._fail(problem)
        self._measure(subscription)
        pause = self._after_failure(at_least)
        return pause is not None and not stop.wait(pause)

    # --- what is told ----------------------------------------------------------------------------------------------

    def _become(self, state: SinkState, **changed: int | str | None) -> None:
        self._usage = self._usage._replace(state=state, **changed)  # type: ignore[arg-type]

    def _is_well(self) -> None:
        """Know that something was confirmed, or that nothing is left."""
        self._success = time.monotonic()
        self._backoff.reset()
        if self._usage.state in ("failing", "stopped"):
            logger.info("the audit sink %s takes records again", self.name)
            self._become("shipping", problem=None)

    def _fail(self, problem: str) -> None:
        if self._usage.state != "failing" or self._usage.problem != problem:
            logger.warning("the audit sink %s does not take records now: %s", self.name, problem)
        self._become("failing", failures=self._usage.failures + 1, problem=problem)

    def _after_failure(self, at_least: float) -> float | None:
        pause = self._backoff.next(at_least)
        return None if self._options.is_once and self._backoff.tries >= self._pace.attempts else pause

    def _halt(self, problem: str) -> float | None:
        if self._usage.state != "stopped" or self._usage.problem != problem:
            logger.error("the audit sink %s has stopped: %s", self.name, problem)
        self._become("stopped", problem=problem)
        return self._pace.stopped if self._options.is_patient else None

    def _end(self) -> None:
        if self._usage.state in ("waiting", "standby", "shipping"):
            self._become("ended")
