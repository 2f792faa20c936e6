"""The queue of calls that no request waits for: its bound, failures, its end, and forks."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from functools import partial

import pytest

from iam_guard.authn.people.work_queue import MAX_OF_ONE, MAX_WAITING, WorkQueue


def finish(queue: WorkQueue) -> None:
    """Wait until all calls are made."""
    done = threading.Event()
    assert queue.put("", done.set)
    assert done.wait(60)


def test_calls_are_made_in_their_order() -> None:
    queue, made = WorkQueue("test"), list[int]()
    for number in range(100):
        assert queue.put(str(number), lambda number=number: made.append(number))
        if number % 10 == 0:
            finish(queue)
    finish(queue)
    assert made == list(range(100))


def test_full_queue_drops_calls_and_logs_it_once(caplog: pytest.LogCaptureFixture) -> None:
    """A source fills only its part, and another still has room."""
    queue, begun, go = WorkQueue("test"), threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        go.wait(600)

    assert queue.put("first", wait)
    assert begun.wait(60)
    assert [queue.put("first", wait) for _ in range(MAX_OF_ONE + 3)] == [True] * MAX_OF_ONE + [False] * 3
    assert caplog.messages == ["test dropped: too many are waiting"]
    rest = MAX_WAITING - MAX_OF_ONE
    assert [queue.put(str(number), wait) for number in range(rest + 3)] == [True] * rest + [False] * 3
    assert caplog.messages == ["test dropped: too many are waiting"] * 2
    go.set()
    queue.close()
    assert not queue.put("last", wait)


@pytest.mark.parametrize("failure", [lambda: 1 / 0, sys.exit], ids=["error", "exit"])
def test_failures_are_logged_once_until_a_success(
    failure: Callable[[], object], caplog: pytest.LogCaptureFixture
) -> None:
    """With the type only: the message of an error may have a secret."""
    caplog.set_level(logging.DEBUG)
    queue = WorkQueue("test")
    for _ in range(3):
        queue.put("", failure)  # type: ignore[arg-type]
    finish(queue)
    queue.put("", failure)  # type: ignore[arg-type]
    finish(queue)
    assert len(caplog.messages) == 2
    assert all(message.startswith("test failed: ") and "division" not in message for message in caplog.messages)


def test_unused_queue_has_no_thread() -> None:
    """Nor has one after its last call, so that it can be collected."""
    queue, name = WorkQueue("of a test"), "iam-guard-of-a-test"
    assert name not in {thread.name for thread in threading.enumerate()}
    finish(queue)
    queue.close()
    assert name not in {thread.name for thread in threading.enumerate()}


def test_close_makes_the_calls_that_are_left() -> None:
    queue, made = WorkQueue("test"), list[int]()
    for number in range(MAX_OF_ONE):
        queue.put("", lambda number=number: made.append(number))
    queue.close()
    assert len(made) == MAX_OF_ONE


def test_queue_can_be_closed_by_a_call() -> None:
    """As by a function of the application that closes its guard."""
    queue = WorkQueue("test")
    queue.put("", queue.close)
    queue.close()
    assert not queue.put("", queue.close)


def test_forked_process_makes_its_own_calls_only() -> None:
    queue, go, made = WorkQueue("test"), threading.Event(), list[int]()
    queue.put("", partial(go.wait, 60))  # type: ignore[arg-type]
    queue.put("", lambda: made.append(1))
    child = os.fork()
    if child == 0:
        queue.put("", lambda: made.append(2))
        queue.close()
        os._exit(0 if made == [2] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    go.set()
    queue.close()
    assert made == [1]
