"""A Celery application with guarded tasks on a broker in memory, and workers in threads of the test's process."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import celery.exceptions
from celery import Celery, signals
from celery.contrib.testing.worker import start_worker
from iam_guard_celery import guard_tasks
from kombu import Connection

from iam_guard import AccessDenied, Guard, Principal, Service, current_principal
from iam_guard.model.request import Call
from iam_guard.web.call_context import CurrentCall, serving

SECONDS = 60.0
"""The most that a result takes on a slow machine."""
HEADER = "iam-guard-caller"

docs = Service("docs")


def application(guard: Guard, name: str = "tests", **options: Any) -> Celery:
    """Return a guarded application with the tasks below; `options` are those of `guard_tasks`."""
    app = Celery(name, broker="memory://", backend="cache+memory://", set_as_current=False)
    app.conf.task_default_queue = f"{name}-{secrets.token_hex(4)}"
    app.conf.broker_transport_options = {"polling_interval": 0.01}
    app.conf.update(worker_hijack_root_logger=False, result_expires=None, broker_connection_retry_on_startup=False)
    guard_tasks(app, guard, **options)
    add_tasks(app)
    return app


def add_tasks(app: Celery) -> None:
    @app.task(name="get", shared=False)
    @docs.requires("GetDocument", resource="document/{id}")
    def get(id: int, *_: object) -> str:
        return f"{current_principal().name} got {id}"

    @app.task(name="who", shared=False)
    def who(*_: object) -> str:
        return current_principal().arn

    @app.task(name="may", shared=False)
    def may(actions: list[str], document: str) -> list[bool]:
        return [docs.decide(action, document).allowed for action in actions]

    @app.task(name="again", shared=False, bind=True, max_retries=5)
    def again(self: Any, times: int) -> list[Any]:
        if self.request.retries < times:
            raise self.retry(countdown=0)
        return [current_principal().arn, self.request.retries]

    @app.task(
        name="flaky",
        shared=False,
        bind=True,
        autoretry_for=(Exception,),
        retry_kwargs={"countdown": 0, "max_retries": 2},
    )
    def flaky(self: Any, action: str, document: str) -> str:
        docs.authorize(action, document)
        if self.request.retries < 2:
            raise OSError("not yet")
        return current_principal().name

    @app.task(name="start", shared=False)
    def start() -> str:
        result = app.tasks["who"].delay()
        return str(result.id)

    @app.task(name="fail", shared=False)
    def fail() -> None:
        raise ValueError("as ever")


@contextmanager
def calling(guard: Guard, principal: Principal, request_id: str = "request-1") -> Iterator[CurrentCall]:
    """Handle a request of a caller."""
    with serving(CurrentCall(guard, principal, Call(request_id))) as call:
        yield call


@contextmanager
def working(app: Celery, pool: str = "solo", concurrency: int = 1) -> Iterator[None]:
    """Run a worker in a thread. It waits for messages briefly, since it ends only between two waits."""
    options = {"perform_ping_check": False, "loglevel": "CRITICAL", "shutdown_timeout": SECONDS}
    wait = Connection.drain_events
    briefly = mock.patch.object(Connection, "drain_events", lambda connection, **_: wait(connection, timeout=0.05))
    with briefly, start_worker(app, pool=pool, concurrency=concurrency, **options):
        yield


def answer(result: Any) -> Any:
    """Return the result of a task, or the text of its error with the name of its class. Raises `TimeoutError`."""
    try:
        return result.get(timeout=SECONDS, disable_sync_subtasks=False)
    except celery.exceptions.TimeoutError:
        raise
    except AccessDenied as denied:
        return f"AccessDenied: {denied.message}"
    except Exception as error:  # noqa: BLE001  to be compared
        return f"{type(error).__name__}: {error}"


@contextmanager
def altering(change: Callable[[dict[str, Any], Any], object]) -> Iterator[None]:
    """Change the headers and the body of messages on their way, as a client that can write to the broker."""

    def altered(headers: dict[str, Any], body: Any, **_: object) -> None:
        change(headers, body)

    signals.before_task_publish.connect(altered, weak=False, dispatch_uid=change)
    try:
        yield
    finally:
        signals.before_task_publish.disconnect(dispatch_uid=change)
