"""The queue of forms that hash a password: few are answered at a time, networks take turns, and waiting has limits."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from iam_guard.authn.people.passwords import passwords
from iam_guard.authn.people.passwords.passwords import default_parallel
from iam_guard.console import password_queue
from iam_guard.console.password_queue import THREADS_OF_HASH, in_password_worker
from iam_guard.errors import ServerBusy

CROWD, OTHER = "192.0.2.0", "198.51.100.0"


class Work:
    """Record who begins, and wait until the event is set."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.running = self.most = 0
        self.may_end = threading.Event()
        self._lock = threading.Lock()

    def of(self, name: str) -> Callable[[], str]:
        def work() -> str:
            with self._lock:
                self.begun.append(name)
                self.running += 1
                self.most = max(self.most, self.running)
            assert self.may_end.wait(60)
            with self._lock:
                self.running -= 1
            return name

        return work


@pytest.fixture
def work() -> Iterator[Work]:
    made = Work()
    yield made
    made.may_end.set()


async def put(work: Work, name: str, network: str, hashes: int = 1) -> asyncio.Task[str]:
    """Put a form into the queue, and wait until it is in a line."""
    task = asyncio.ensure_future(in_password_worker(hashes, network, work.of(name)))
    for _ in range(3):
        await asyncio.sleep(0)
    return task


async def fill(work: Work, number: int, network: str = CROWD, hashes: int = 1) -> list[asyncio.Task[str]]:
    """Put forms into the queue, and wait until as many are answered as may be."""
    tasks = [await put(work, network, network, hashes) for _ in range(number)]
    while work.running < min(number, THREADS_OF_HASH * hashes):
        await asyncio.sleep(0.01)
    return tasks


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


def lines() -> dict[str, Any]:
    """Return the lines of the running event loop."""
    return password_queue._queue_of(1).lines


def test_few_forms_are_answered_at_a_time(work: Work) -> None:
    """Waiting takes no thread; all are answered in the end, and no line is left."""

    async def test() -> None:
        before = threading.active_count()
        tasks = await fill(work, 200)
        assert threading.active_count() <= before + THREADS_OF_HASH + 1
        work.may_end.set()
        assert await asyncio.gather(*tasks) == [CROWD] * 200
        assert work.most == THREADS_OF_HASH
        assert lines() == {}

    run(test())


def test_networks_take_turns(work: Work) -> None:
    """A form of another network is behind those of a crowd that are answered, and their places, and no others."""

    async def test() -> None:
        tasks = [*await fill(work, 50), await put(work, "other", OTHER)]
        work.may_end.set()
        await asyncio.gather(*tasks)
        assert work.begun.index("other") <= 2 * THREADS_OF_HASH

    run(test())


def test_full_line_refuses_its_network_only(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """At once; the whole queue has a limit, too."""
    monkeypatch.setattr(password_queue, "MAX_FORMS_OF_NETWORK", 5)
    monkeypatch.setattr(password_queue, "MAX_FORMS", 7)

    async def test() -> None:
        tasks = await fill(work, 5)
        with pytest.raises(ServerBusy) as caught:
            await in_password_worker(1, CROWD, work.of("refused"))
        assert caught.value.retry_after >= 1
        tasks += [await put(work, "other", OTHER) for _ in range(2)]
        with pytest.raises(ServerBusy):
            await in_password_worker(1, "203.0.113.0", work.of("refused"))
        work.may_end.set()
        assert len(await asyncio.gather(*tasks)) == 7
        assert "refused" not in work.begun
        assert await in_password_worker(1, CROWD, work.of("later")) == "later"

    run(test())


def test_form_that_waits_too_long_is_refused(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is answered already is not, however long that takes."""
    monkeypatch.setattr(password_queue, "MAX_WAIT", 0.05)

    async def test() -> None:
        tasks = await fill(work, THREADS_OF_HASH)
        for network in (CROWD, OTHER):
            with pytest.raises(ServerBusy):
                await in_password_worker(1, network, work.of("late"))
        work.may_end.set()
        assert await asyncio.gather(*tasks) == [CROWD] * THREADS_OF_HASH
        assert lines() == {}
        assert "late" not in work.begun

    run(test())


def test_cancelled_form_leaves_the_queue(work: Work) -> None:
    async def test() -> None:
        tasks = await fill(work, 10)
        for task in tasks[THREADS_OF_HASH:]:
            task.cancel()
        await asyncio.wait(tasks[THREADS_OF_HASH:])
        assert lines()[CROWD].forms == THREADS_OF_HASH
        work.may_end.set()
        assert await asyncio.gather(*tasks[:THREADS_OF_HASH]) == [CROWD] * THREADS_OF_HASH
        assert await in_password_worker(1, CROWD, work.of("next")) == "next"

    run(test())


def test_setting_is_the_number_of_hashes(work: Work) -> None:
    """By default, one processor is left to other threads."""

    async def test() -> None:
        tasks = await fill(work, 20, hashes=3)
        work.may_end.set()
        await asyncio.gather(*tasks)
        assert work.most == 3 * THREADS_OF_HASH
        assert password_queue._queue_of(0).threads.total_tokens == THREADS_OF_HASH * default_parallel()

    run(test())


@pytest.mark.parametrize(("processors", "expected"), [(1, 1), (2, 1), (8, 7)])
def test_one_processor_is_left_to_others(processors: int, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those that the process may use."""
    monkeypatch.setattr(passwords.sys, "platform", "linux")
    monkeypatch.setattr(passwords.os, "sched_getaffinity", lambda _: range(processors), raising=False)
    assert default_parallel() == expected
