"""Compares a warm guard with the specification along a history, and finds the smallest request that differs."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

from tests.laws.fast_path.application import Facts
from tests.laws.fast_path.histories import History
from tests.laws.fast_path.wires import Wire

Expected = tuple[Facts, Facts]
"""An answer, and the facts of what was seen: decisions, errors, lines of the audit log, metrics."""
LINES: Final = 2
"""The index of the lines of the audit log in the facts."""


class Comparison:
    """Compares answers, and counts them.

    `has_trail`: the lines of the warm guard are in a folder, and are compared at the end; `lines` has the expected ones
    by request id.
    """

    def __init__(self, history: History, *, has_trail: bool = False) -> None:
        self.history = history
        self.compared = 0
        self.labels = Counter[str]()
        self.lines: dict[str, Any] = {}
        self._has_trail = has_trail

    def round(self, count: int, repeated: int, threads: int = 1) -> None:
        """Send some requests several times in random order, to the specification once; the store does not change."""
        wires = self.history.requests(count)
        expected = asyncio.run(self._specified(wires))
        order = [number for number in range(len(wires)) for _ in range(repeated)]
        orders = [self.history.rng.sample(order, len(order)) for _ in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda order: asyncio.run(self._compared(order, wires, expected)), orders))
        self.compared += len(order) * threads
        self.labels.update(wire.label for wire in wires)
        self.compare_uses()

    def one(self, wire: Wire, repeated: int = 2) -> None:
        """Compare the answers to one request."""
        asyncio.run(self._compared([0] * repeated, [wire], asyncio.run(self._specified([wire]))))

    async def _specified(self, wires: list[Wire]) -> list[Expected]:
        try:
            return [await self.history.specification.answer(wire) for wire in wires]
        except AssertionError as error:  # the reference decides in another way
            error.add_note(self._place())
            raise

    async def _compared(self, order: list[int], wires: list[Wire], expected: list[Expected]) -> None:
        for number in order:
            answer, now = await self.history.fast.answer(wires[number])
            found, wanted = (answer, now.facts()), expected[number]
            if self._has_trail:
                if now.request_id is not None:
                    self.lines[now.request_id] = wanted[1][LINES]
                found, wanted = without_lines(found), without_lines(wanted)
            if found != wanted:
                raise AssertionError(await self._report(wires[number], wanted, found))

    def compare_uses(self) -> None:
        """Compare what was used last; each guard writes it once in a quarter of an hour."""
        self.history.fast.guard.uses.flush()
        assert self.history.fast.store.used == self.history.specification.store.used, self._place()

    def _place(self) -> str:
        return f"seed {self.history.number}, after {self.compared} requests and {self.history.made[-12:]}"

    async def _report(self, wire: Wire, expected: Expected, found: Expected) -> str:
        """Describe a difference, with the smallest request that still has one."""
        small = await self._shrunk(wire)
        parts = [self._place(), f"request: {wire}", f"expected: {expected}", f"found: {found}"]
        parts.append("no request differs any more" if small is None else f"smallest request that differs: {small}")
        return "\n".join(parts)

    async def _shrunk(self, wire: Wire) -> Wire | None:
        """Return the request without what its difference does not need; None if there is none any more."""
        if not await self._differs(wire):
            return None
        candidates = [replace(wire, body=b""), replace(wire, query=b""), replace(wire, keys={})]
        shorter = [wire.headers[:number] + wire.headers[number + 1 :] for number in range(len(wire.headers))]
        candidates += [replace(wire, headers=headers) for headers in shorter]
        for smaller in candidates:
            if smaller != wire and await self._differs(smaller):
                return await self._shrunk(smaller)
        return wire

    async def _differs(self, wire: Wire) -> bool:
        answer, now = await self.history.fast.answer(wire)
        found, expected = (answer, now.facts()), await self.history.specification.answer(wire)
        return found != expected if not self._has_trail else without_lines(found) != without_lines(expected)


def without_lines(expected: Expected) -> Expected:
    answer, facts = expected
    return answer, (*facts[:LINES], *facts[LINES + 1 :])


# --- changes meanwhile -------------------------------------------------------------------------------------------

Observation = tuple[int, int | None, int | None, Expected]
"""The number of a request, the epochs that the guard knew before and after it, and its answer."""


class Concurrent:
    """Threads send requests while another one changes the store; each epoch has the answers of the specification."""

    def __init__(self, history: History, count: int) -> None:
        self._history = history
        self._wires = history.requests(count)
        self._expected: dict[int | None, list[Expected]] = {}
        self._done = threading.Event()
        self.compared = 0
        self.epochs: set[int | None] = set()
        """The epochs that answers named."""

    def run(self, epochs: int, threads: int) -> None:
        """Make so many changes, and compare all answers."""
        asyncio.run(self._specify())
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)  # so that changes come between any two steps
        with ThreadPoolExecutor(threads) as pool:
            observing = [pool.submit(asyncio.run, self._observe(number)) for number in range(threads)]
            try:
                for number in range(epochs):
                    self._history.made.append(self._history.change_rows(is_here=number % 2 == 0))
                    asyncio.run(self._specify())
            finally:
                self._done.set()
                sys.setswitchinterval(interval)
            for future in observing:
                for observation in future.result():
                    self._compare(observation)

    async def _specify(self) -> None:
        epoch = self._history.others.epoch()
        self._expected[epoch] = [await self._history.specification.answer(wire) for wire in self._wires]

    async def _observe(self, number: int) -> list[Observation]:
        rng, guard, found = random.Random(number), self._history.fast.guard, list[Observation]()
        while not self._done.is_set():
            for index in rng.sample(range(len(self._wires)), len(self._wires)):
                before = guard.usage().changes.epoch
                answer, now = await self._history.fast.answer(self._wires[index])
                found.append((index, before, guard.usage().changes.epoch, (answer, now.facts())))
        return found

    def _compare(self, observation: Observation) -> None:
        """Compare with the specification at the one epoch of a request, or its decisions with those at their epochs."""
        index, before, after, found = observation
        place = f"seed {self._history.number}, epochs {before} to {after}, {self._history.made}: {self._wires[index]}"
        for decision in found[1][0]:
            self.epochs.add(decision[2])
            assert before is None or before <= decision[2] <= (after or before), place
        if before == after and before is not None:
            self.compared += 1
            assert found == self._expected[before][index], place
        for number, decision in enumerate(found[1][0]):
            expected = self._expected[decision[2]][index][1][0]
            if number < len(expected) and expected[number][-2] == decision[-2]:  # of the same caller, not renamed since
                assert decision == expected[number], place
