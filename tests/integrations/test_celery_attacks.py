"""What the messages, the tasks and the settings of Celery can't do (integrations/celery)."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.contract import needed

needed("celery", "iam_guard_celery")

from celery import Celery, chain, signals  # noqa: E402

from iam_guard import AccessDenied, Principal, current_principal  # noqa: E402
from iam_guard.errors import ConfigurationError, StoreUnavailable  # noqa: E402
from iam_guard.web.call_context import CURRENT_CALL  # noqa: E402
from tests.guard.test_sessions import ACME, ADA, World, allow, document, seed  # noqa: E402
from tests.integrations.celery_tasks import HEADER, altering, answer, application, calling, docs, working  # noqa: E402
from tests.tables import table  # noqa: E402

ADA_ARN = f"arn:aws:iam::{ACME}:user/ada"
BOB_ARN = f"arn:aws:iam::{ACME}:user/bob"
ada, bob = Principal.from_arn(ADA_ARN), Principal.from_arn(BOB_ARN)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "iam.json")
    made.edit(seed(ADA, {"name": "bob", "inline": {"P": document(allow("docs:Get*"))}}))
    yield made
    made.guard.close()


@pytest.fixture
def app(world: World) -> Celery:
    return application(world.guard)


def header_of(world: World, app: Celery, name: str = "who", **options: Any) -> str:
    """Return the header of a task that ada has sent."""
    seen: list[str] = []
    with altering(lambda headers, _: seen.append(headers[HEADER])), calling(world.guard, ada):
        app.send_task(name, **options)
    app.control.purge()
    return seen[0]


# --- headers ------------------------------------------------------------------------------------------------------

CHANGES: dict[str, tuple[Callable[[dict[str, Any], str], object], str]] = {
    "altered": (
        lambda headers, _: headers.update({HEADER: headers[HEADER][:40] + "AAAA" + headers[HEADER][44:]}),
        "altered",
    ),
    "cut": (lambda headers, _: headers.update({HEADER: headers[HEADER][:60]}), "altered, or of another store"),
    "empty": (lambda headers, _: headers.update({HEADER: ""}), "altered, or of another store"),
    "no string": (lambda headers, _: headers.update({HEADER: {"arn": ADA_ARN}}), "altered, or of another store"),
    "an ARN": (lambda headers, _: headers.update({HEADER: ADA_ARN}), "altered, or of another store"),
    "of another task": (lambda headers, adas: headers.update({HEADER: adas}), "another audience"),
    "another request": (lambda headers, _: headers.update({HEADER: headers[HEADER] + "0"}), "another audience"),
    "two callers": (lambda headers, adas: headers.update(headers={HEADER: adas}), "two callers"),
    "no mapping": (lambda headers, _: headers.update(headers=[HEADER]), "cannot be read: AttributeError"),
}


@table("name", CHANGES)
def test_forged_header_is_refused(tmp_path: Path, name: str) -> None:
    """The task does not run, and is not retried; the next one in the process is not affected."""
    world = World(tmp_path / f"{name}.json")
    app = application(world.guard)
    change, message = CHANGES[name]
    ran: list[str] = []

    @app.task(name="ran", shared=False, autoretry_for=(Exception,))
    def run() -> None:
        ran.append(current_principal().arn)

    adas = header_of(world, app)
    with altering(lambda headers, _: change(headers, adas)), calling(world.guard, ada):
        forged = run.delay()
    with working(app):
        refused = answer(forged)
        assert refused.startswith("InvalidClientTokenId: ")
        assert message in refused
        assert answer(app.tasks["who"].delay()) == "anonymous"
    assert ran == []
    world.guard.close()


@table("name", ["task", "id", "application"])
def test_header_is_good_for_its_own_task_only(tmp_path: Path, name: str) -> None:
    """Not for another task, another id, or the queue of another application of the same store."""
    world = World(tmp_path / f"{name}.json")
    app, other = application(world.guard), application(world.guard, "others")
    id = f"one-{name}"  # results are kept by id, in the process
    adas = header_of(world, app, task_id=id)
    target, options = (other if name == "application" else app), {"task_id": f"two-{name}" if name == "id" else id}
    forged = target.send_task("again" if name == "task" else "who", (0,), headers={HEADER: adas}, **options)
    with working(target):
        assert answer(forged) == "InvalidClientTokenId: the principal was sealed for another audience"
    id = f"three-{name}"
    replayed = app.send_task("who", task_id=id, headers={HEADER: header_of(world, app, task_id=id)})
    with working(app):
        assert answer(replayed) == ADA_ARN
    world.guard.close()


def test_message_without_header_is_anonymous(world: World, app: Celery) -> None:
    """Whatever else it claims."""
    claims = {"is_eager": True, "iam_guard_run": {"call": None}, "called_directly": True, HEADER.upper(): "x"}

    def strip(headers: dict[str, Any], _: object) -> None:
        headers.pop(HEADER, None)
        headers.update(claims, IAM_GUARD=ADA_ARN)

    with altering(strip), calling(world.guard, ada):
        result, guarded = app.tasks["who"].delay(), app.tasks["get"].delay(7)
    with working(app):
        assert answer(result) == "anonymous"
        assert answer(guarded).startswith("AccessDenied: User: anonymous")


@table("serializer", ["json", "pickle"])
def test_chain_cannot_change_its_caller(tmp_path: Path, serializer: str) -> None:
    """By a header that a task sets, passes on or adds to its request; nor by options in the message."""
    world = World(tmp_path / f"{serializer}.json")
    world.edit(seed(ADA, {"name": "bob"}))
    app = application(world.guard)
    app.conf.update(task_serializer=serializer, accept_content=["json", "pickle"])
    adas = header_of(world, app)
    who, started = app.tasks["who"], []

    @app.task(name="poisoned", shared=False, bind=True)
    def poisoned(self: Any) -> None:
        self.request.headers = {HEADER: adas}
        vars(self.request)[HEADER] = adas
        started.append(who.apply_async(headers={HEADER: adas}))
        if not self.request.retries:
            raise self.retry(countdown=0)

    with calling(world.guard, bob):
        poison = who.si().set(headers={HEADER: adas}, task_id=f"poison-{serializer}")
        result = chain(poisoned.si(), poison, who.si())()
    with working(app):
        assert answer(result) == BOB_ARN
        assert answer(app.AsyncResult(f"poison-{serializer}")) == BOB_ARN
        assert [answer(sent) for sent in started] == [BOB_ARN, BOB_ARN]
    world.guard.close()


# --- one process, several callers ---------------------------------------------------------------------------------


def test_nothing_is_left_after_a_task(world: World) -> None:
    """Of a task that succeeds, fails or is retried; with other applications in the process."""
    application(world.guard, "others")
    app = application(world.guard)
    application(world.guard, "more")
    kept: list[Any] = []

    @app.task(name="left", shared=False)
    def left() -> None:
        kept.append(CURRENT_CALL.get())
        raise ValueError("as ever")

    app.conf.task_always_eager = True
    with calling(world.guard, ada):
        left.delay()
        app.tasks["again"].delay(2)
    assert CURRENT_CALL.get() is None
    assert kept[0].is_over
    with pytest.raises(ConfigurationError, match="no guarded call"):
        current_principal()


def test_thread_of_a_task_has_no_caller(world: World, app: Celery) -> None:
    """A new thread has none, one with the context of the task only while the task runs."""
    seen: list[object] = []
    may_go_on = threading.Event()

    def act() -> None:
        try:
            seen.append(current_principal().arn)
        except ConfigurationError as error:
            seen.append(error.message.partition(":")[0])
        seen.append(app.tasks["who"].delay())

    @app.task(name="threads", shared=False)
    def threads() -> None:
        plain = threading.Thread(target=act)
        plain.start()
        plain.join()
        later = threading.Thread(
            target=lambda run: (may_go_on.wait(60), run(act)), args=(contextvars.copy_context().run,)
        )
        later.start()
        seen.append(later)

    with calling(world.guard, ada):
        result = threads.delay()
    with working(app):
        answer(result)
        may_go_on.set()
        seen[2].join()  # type: ignore[attr-defined]
        assert [seen[0], answer(seen[1]), seen[3], answer(seen[4])] == [
            "no guarded call is being handled",
            "anonymous",
            "the call is over",
            "anonymous",
        ]


def test_hundred_callers_at_once_keep_apart(world: World, app: Celery) -> None:
    """In the pool of threads."""
    names = [f"user{number}" for number in range(100)]
    world.edit(seed(*({"name": name, "inline": {"P": document(allow("docs:Get*"))}} for name in names)))
    barrier = threading.Barrier(20)

    @app.task(name="together", shared=False)
    @docs.requires("GetDocument", resource="document/{id}")
    def together(id: int) -> list[str]:
        before = current_principal().name
        barrier.wait(60)
        return [before, current_principal().name]

    sent = []
    for number, name in enumerate(names):
        with calling(world.guard, Principal.from_arn(f"arn:aws:iam::{ACME}:user/{name}")):
            sent.append(together.delay(number))
    with working(app, "threads", 20):
        assert [answer(result) for result in sent] == [[name, name] for name in names]


# --- settings and other libraries ---------------------------------------------------------------------------------


def test_task_without_begin_is_refused(world: World, app: Celery) -> None:
    """If another library disconnects the receivers of `task_prerun`."""
    receivers, signals.task_prerun.receivers = signals.task_prerun.receivers, []
    signals.task_prerun.sender_receivers_cache.clear()
    try:
        app.conf.task_always_eager = True
        with calling(world.guard, ada):
            assert answer(app.tasks["get"].delay(7)).startswith("ConfigurationError: expected the signal `task_prerun`")
    finally:
        signals.task_prerun.receivers = receivers
        signals.task_prerun.sender_receivers_cache.clear()


def test_annotation_that_removes_the_decorator_is_refused(world: World) -> None:
    """Celery's `add_around` unwraps `run`, and the guard with it."""
    app = application(world.guard)
    app.conf.task_annotations = {"get": {"@run": lambda run: lambda *args, **kwargs: run(*args, **kwargs)}}
    app.conf.task_always_eager = True
    with calling(world.guard, bob):
        assert answer(app.tasks["get"].delay(7)).startswith("ConfigurationError: expected no annotation `@run`")
        assert answer(app.tasks["who"].delay()) == BOB_ARN


def test_unreachable_store_is_retried(world: World, app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has run yet; the caller is the same afterwards."""
    app.tasks["who"].default_retry_delay = 0
    opened: list[str] = []
    open_principal = world.guard.sealed_principals.open

    def sometimes(text: str, *, audience: str = "") -> Principal:
        opened.append(text)
        if len(opened) < 3:
            raise StoreUnavailable("the store cannot be reached")
        return open_principal(text, audience=audience)

    monkeypatch.setattr(world.guard.sealed_principals, "open", sometimes)
    with calling(world.guard, ada):
        result = app.tasks["who"].delay()
    with working(app):
        assert answer(result) == ADA_ARN
    assert len(opened) == 3
    assert len(set(opened)) == 1


@table("serializer", ["json", "pickle"])
def test_denial_is_a_result(tmp_path: Path, serializer: str) -> None:
    """The sender gets `AccessDenied`, without the decision, whose policies stay in the worker."""
    world = World(tmp_path / f"{serializer}.json")
    app = application(world.guard)
    app.conf.update(result_serializer=serializer, accept_content=["json", "pickle"])
    with calling(world.guard, Principal.from_arn(ADA_ARN)):
        result = app.tasks["flaky"].delay("PutIt", "*")
    with working(app):
        with pytest.raises(AccessDenied, match="not authorized to perform: docs:PutIt") as raised:
            result.get(timeout=60)
        assert raised.value.decision is None
        assert "MultiFactorAuth" not in str(app.backend.get_task_meta(result.id))
    world.guard.close()


def test_sealed_text_is_not_in_the_request(world: World, app: Celery) -> None:
    """Celery's own `debug_task` prints the request."""

    @app.task(name="print", shared=False, bind=True)
    def show(self: Any) -> str:
        return f"{self.request!r} {self.request.headers}"

    with calling(world.guard, ada):
        result = show.delay()
    with working(app):
        text = answer(result)
    assert "<Context: " in text
    assert "igpr_" not in text
    assert HEADER not in text
