"""The shipping loop of one sink: it reads records from the trail, sends them, and acknowledges confirmed ones.

**At least once.** The trail is the buffer. A failed batch is retried without limit, with exponential back-off; nothing
is dropped, and the lag is reported. Records confirmed but not acknowledged when the process died are sent again.

**A permanently refused record** must not block the others, and no record may be given up while the destination refuses
everything. A refused batch is halved until the record is alone; that record is deferred and the next ones are sent.
Once one of them is confirmed, the deferred record is given up: listed, logged and counted. If none
is confirmed, the destination is at fault, and all are retried with back-off.

**Damage** of the trail stops the sink: no record after the damage is sent until an operator moves past it (`seek`).
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from iam_guard.audit.append_file import append_synced
from iam_guard.audit.consumer.subscription import Delivery, Subscription
from iam_guard.audit.record.record import event_time
from iam_guard.audit.shipping.destination import Gone, Refused, SinkDestination, Unreachable
from iam_guard.audit.shipping.pace import Backoff, Pace, Stop
from iam_guard.errors import GroupIsTaken, IamGuardError
from iam_guard.model.usage import SinkState, SinkUsage

logger = logging.getLogger("iam_guard.audit")

MAX_DEFERRED = 10
"""Maximum refused records in a row that are deferred while the next one is tried."""


@dataclass(frozen=True, slots=True)
class ShipperOptions:
    """When a shipper ends, and whether it is throttled."""

    is_once: bool = False
    """End when all signed records are delivered, or after `Pace.attempts` failures in a row."""
    retries_after_damage: bool = True
    """After damage, check again later; else end."""
    is_throttled: bool = False
    """Use at most half of the CPU time, for the other threads of the process."""


class Shipper:
    """Ships the records of one sink. `run` is for one thread; `usage` is thread-safe."""

    def __init__(
        self,
        name: str,
        subscribe: Callable[[], Subscription],
        connect: Callable[[], SinkDestination],
        refused_list: Path,
        *,
        options: ShipperOptions = ShipperOptions(),
        pace: Pace = Pace(),
    ) -> None:
        self.name = name
        self._subscribe = subscribe
        self._connect = connect
        self._refused_list = refused_list
        self._options = options
        self._pace = pace
        self._backoff = Backoff(pace.first_pause, pace.max_pause)
        self._usage = SinkUsage("waiting")
        self._success: float | None = None
        self._measured = 0.0

    def usage(self) -> SinkUsage:
        """Return the sink's current state and counters."""
        usage, success = self._usage, self._success
        return usage if success is None else usage._replace(success_age=time.monotonic() - success)

    def run(self, stop: Stop) -> None:
        """Ship until a stop is requested or the options end the run; never raise."""
        while not stop.is_requested or self._usage.state == "waiting":
            pause = self._attempt(stop)
            if pause is None:
                return
            if stop.wait(pause):
                break
        self._end()

    # --- one subscription ----------------------------------------------------------------------------------------

    def _attempt(self, stop: Stop) -> float | None:
        """Ship until an error or the end; return the seconds to wait before the next attempt, None to end."""
        try:
            return self._ship(stop)
        except GroupIsTaken as taken:
            if self._options.is_once:
                return self._halt(str(taken))
            self._set_state("standby", lag=None, problem=None)
            self._success = None
            return self._pace.standby
        except (Gone, IamGuardError) as stopping:  # also damage of the trail
            return self._halt(str(stopping))
        except OSError as error:  # in reading or writing the trail, the offsets or the list of refused records
            self._fail(f"{error.strerror or 'failure'} ({type(error).__name__})")
        except Exception as error:  # noqa: BLE001 - otherwise the thread would end silently and ship nothing more
            self._fail(f"unexpected {type(error).__name__}")
        return self._after_failure(0.0)

    def _ship(self, stop: Stop) -> float | None:
        with self._subscribe() as subscription:
            destination = self._connect()
            try:
                if self._usage.state in ("waiting", "standby"):  # failing and stopped stay until a success
                    self._set_state("shipping")
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
                if self._options.is_throttled:
                    stop.wait(time.thread_time() - began)
                continue
            self._succeed()
            if self._options.is_once or stop.is_requested:
                self._measure(subscription, is_due=True)
                break
            self._measure(subscription)
            stop.wait(self._pace.poll)
        self._end()
        return None

    def _measure(self, subscription: Subscription, *, is_due: bool = False) -> None:
        """Measure the lag, if due; and store the offsets of filtered records."""
        now = time.monotonic()
        if is_due or now >= self._measured + self._pace.measure:
            self._measured = now
            subscription.ack()
            self._set_state(self._usage.state, lag=subscription.lag())

    # --- one batch -----------------------------------------------------------------------------------------------

    def _deliver(
        self, subscription: Subscription, destination: SinkDestination, batch: Sequence[Delivery], stop: Stop
    ) -> bool:
        """Deliver or give up every record of a batch; return False if the run ends before."""
        parts = deque([batch])
        deferred: list[tuple[Delivery, str]] = []
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
                if len(parts) > 1 and len(deferred) < MAX_DEFERRED:
                    deferred.append((part[0], str(refusal)))
                    parts.popleft()
                elif self._wait(str(refusal), 0.0, subscription, stop):
                    parts.extendleft([delivery] for delivery, _ in reversed(deferred))
                    deferred.clear()
                else:
                    return False
            except Unreachable as failure:
                if not self._wait(str(failure), failure.retry_after, subscription, stop):
                    return False
            else:
                self._confirm(subscription, part, deferred)
                deferred.clear()
                parts.popleft()
        return True

    def _confirm(
        self, subscription: Subscription, part: Sequence[Delivery], deferred: Sequence[tuple[Delivery, str]]
    ) -> None:
        """Acknowledge delivered records, and give up the deferred ones before them."""
        for delivery, why in deferred:
            self._give_up(delivery, why)
        subscription.ack(*(each.offset for each, _ in deferred), *(each.offset for each in part))
        self._succeed()
        usage = self._usage
        lag = None if usage.lag is None else max(0, usage.lag - len(part) - len(deferred))
        self._set_state("shipping", delivered=usage.delivered + len(part), lag=lag)

    def _give_up(self, delivery: Delivery, why: str) -> None:
        """List a refused record, durably, before it is acknowledged."""
        shard, sequence = delivery.offset
        entry = {
            "time": event_time(datetime.now(UTC)),
            "shard": shard,
            "sequence": sequence,
            "eventID": delivery.record.get("eventID"),
            "why": why,
        }
        append_synced(self._refused_list, json.dumps(entry).encode("ascii") + b"\n")
        logger.error("audit sink %s refused record %s:%s permanently: %s", self.name, shard, sequence, why)
        self._set_state(self._usage.state, refused=self._usage.refused + 1)

    def _wait(self, problem: str, at_least: float, subscription: Subscription, stop: Stop) -> bool:
        """Wait before the next attempt; return False if there is none."""
        self._fail(problem)
        self._measure(subscription)
        pause = self._after_failure(at_least)
        return pause is not None and not stop.wait(pause)

    # --- state -----------------------------------------------------------------------------------------------------

    def _set_state(self, state: SinkState, **changed: int | str | None) -> None:
        self._usage = self._usage._replace(state=state, **changed)  # type: ignore[arg-type]

    def _succeed(self) -> None:
        """Record a success: a batch was confirmed, or no records are left."""
        self._success = time.monotonic()
        self._backoff.reset()
        if self._usage.state in ("failing", "stopped"):
            logger.info("audit sink %s accepts records again", self.name)
            self._set_state("shipping", problem=None)

    def _fail(self, problem: str) -> None:
        if self._usage.state != "failing" or self._usage.problem != problem:
            logger.warning("audit sink %s accepts no records: %s", self.name, problem)
        self._set_state("failing", failures=self._usage.failures + 1, problem=problem)

    def _after_failure(self, at_least: float) -> float | None:
        pause = self._backoff.next(at_least)
        return None if self._options.is_once and self._backoff.tries >= self._pace.attempts else pause

    def _halt(self, problem: str) -> float | None:
        if self._usage.state != "stopped" or self._usage.problem != problem:
            logger.error("audit sink %s stopped: %s", self.name, problem)
        self._set_state("stopped", problem=problem)
        return self._pace.stopped if self._options.retries_after_damage else None

    def _end(self) -> None:
        if self._usage.state in ("waiting", "standby", "shipping"):
            self._set_state("ended")
