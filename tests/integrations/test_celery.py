"""Tasks of Celery act as the caller who sent them: retries, canvas, eager runs, handlers (integrations/celery)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.contract import needed

needed("celery", "iam_guard_celery")

from celery import Celery, Task, chain, chord, group, signals  # noqa: E402

from iam_guard import Principal, current_principal  # noqa: E402
from iam_guard.errors import ConfigurationError, ExpiredToken, InvalidInput  # noqa: E402
from iam_guard.model.principal import Credential  # noqa: E402
from tests.guard.test_sessions import ACME, ADA, DOCUMENT, World, allow, document, seed  # noqa: E402
from tests.integrations.celery_tasks import answer, application, calling, docs, working  # noqa: E402
from tests.tables import table  # noqa: E402

ADA_ARN = f"arn:aws:iam::{ACME}:user/ada"
BOB = {"name": "bob", "inline": {"P": document(allow("docs:Get*"))}}
BOB_ARN = f"arn:aws:iam::{ACME}:user/bob"
ACTIONS = ("GetIt", "ListThem", "PutIt", "OldOnes", "NewOnes", "DeleteIt")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "iam.json")
    made.edit(seed(ADA, BOB))
    yield made
    made.guard.close()


@pytest.fixture
def app(world: World) -> Celery:
    return application(world.guard)


ada = Principal.from_arn(ADA_ARN)
bob = Principal.from_arn(BOB_ARN)


# --- the caller ---------------------------------------------------------------------------------------------------


def test_task_runs_as_the_caller_of_the_request(world: World, app: Celery) -> None:
    """And is decided: allowed for one, denied for another caller and for none."""
    tasks = app.tasks
    with calling(world.guard, ada):
        adas = tasks["get"].delay(7), tasks["get"].apply_async((8,)), app.send_task("who"), tasks["get"].s(9).delay()
    with calling(world.guard, bob):
        bobs = tasks["who"].delay()
    none = tasks["get"].delay(7)
    anonymous = tasks["who"].delay()
    with working(app):
        assert [answer(result) for result in adas] == ["ada got 7", "ada got 8", ADA_ARN, "ada got 9"]
        assert answer(bobs) == BOB_ARN
        assert answer(anonymous) == "anonymous"
        assert answer(none).startswith("AccessDenied: User: anonymous is not authorized to perform: docs:GetDocument")


@pytest.mark.parametrize("protocol", [1, 2])
def test_worker_decides_as_the_web_process(world: World, app: Celery, protocol: int) -> None:
    """Session tags, session policies, source identity and the moment of the session included."""
    app.conf.task_protocol = protocol
    role = world.role().principal
    tagged = Principal.from_arn(role.arn, role_arn=role.role_arn, tags={"team": "blue"})
    policies = (json.dumps(document(allow("docs:Get*"), allow("docs:List*"))),)
    limited = Principal.from_arn(role.arn, role_arn=role.role_arn, tags={"team": "blue"}, session_policies=policies)
    callers = [
        ada,
        world.enter(world.role()),
        world.enter(world.role(principal=tagged)),
        world.enter(world.role(principal=limited)),
        world.enter(world.role(source_identity="ada@example.com")),
        world.enter(world.user(mfa_at=world.now - timedelta(seconds=60))),
        world.enter(world.federated(ADA_ARN, document(allow("docs:*")))),
    ]
    web, sent = [], []
    for caller in callers:
        with calling(world.guard, caller):
            web.append([docs.decide(action, DOCUMENT).allowed for action in ACTIONS])
            sent.append(app.tasks["may"].delay(ACTIONS, DOCUMENT))
    with working(app):
        assert [answer(result) for result in sent] == web
    assert len({tuple(row) for row in web}) > 4


def test_policies_of_the_moment_decide(world: World, app: Celery) -> None:
    """Not those of the moment of sending."""
    with calling(world.guard, bob):
        assert [docs.decide(action, DOCUMENT).allowed for action in ("GetIt", "PutIt")] == [True, False]
        result = app.tasks["may"].delay(["GetIt", "PutIt"], DOCUMENT)
    world.edit(seed(ADA, {"name": "bob", "inline": {"P": document(allow("docs:Put*"))}}))
    with working(app):
        assert answer(result) == [False, True]


def test_audit_record_names_caller_task_and_request(world: World, app: Celery) -> None:
    with calling(world.guard, ada, "request-of-ada"):
        result = app.tasks["get"].delay(7)
    with working(app):
        answer(result)
    record: Any = world.sink.records[-1]
    assert record["eventSource"] == "docs"
    assert record["requestID"] == "request-of-ada"
    assert record["requestParameters"] == {"path": f"get[{result.id}]"}
    assert record["sourceIPAddress"] is None
    assert record["userIdentity"]["arn"] == ADA_ARN
    assert record["userIdentity"]["invokedBy"].startswith("sealed-principal/")


def test_signature_for_the_service_of_the_request_allows_tasks_of_others(world: World, app: Celery) -> None:
    """As in a handler, whose later decisions may belong to other services."""
    signed = Principal(ada.type, ada.arn, ada.account, credential=Credential("none", service="mail"))
    with calling(world.guard, signed):
        result = app.tasks["get"].delay(7)
    with working(app):
        assert answer(result) == "ada got 7"


# --- retries and canvas -------------------------------------------------------------------------------------------


def test_retries_keep_the_caller(world: World, app: Celery) -> None:
    with calling(world.guard, ada):
        again, flaky = app.tasks["again"].delay(3), app.tasks["flaky"].delay("GetIt", DOCUMENT)
    with working(app):
        assert answer(again) == [ADA_ARN, 3]
        assert answer(flaky) == "ada"


def test_denial_is_not_retried(world: World, app: Celery) -> None:
    """By default not even by `autoretry_for=(Exception,)`; one record."""
    with calling(world.guard, bob):
        result = app.tasks["flaky"].delay("PutIt", DOCUMENT)
    with working(app):
        assert answer(result).startswith(f"AccessDenied: User: {BOB_ARN} is not authorized to perform: docs:PutIt")
    assert [record["errorCode"] for record in world.sink.records if record["eventName"] == "PutIt"] == ["AccessDenied"]


def test_canvas_keeps_the_caller(world: World, app: Celery) -> None:
    """Chains, groups, chords, callbacks, and tasks that tasks send."""
    get, who, fail = app.tasks["get"], app.tasks["who"], app.tasks["fail"]
    heard: list[str] = []

    @app.task(name="listen", shared=False)
    def listen(*_: object) -> None:
        heard.append(current_principal().arn)

    with calling(world.guard, ada):
        chained = chain(who.s(), get.si(1), who.s(), get.si(2))()
        grouped = group(get.s(id) for id in range(4))()
        joined = chord([get.s(1), who.s()])(who.s())
        get.apply_async((3,), link=listen.s())
        fail.apply_async(link_error=listen.s())
        started = app.tasks["start"].delay()
    with working(app):
        assert answer(chained) == "ada got 2"
        assert answer(chained.parent) == ADA_ARN
        assert answer(grouped) == [f"ada got {id}" for id in range(4)]
        assert answer(joined) == ADA_ARN
        assert answer(app.AsyncResult(answer(started))) == ADA_ARN
        with calling(world.guard, bob):
            last = who.delay()
        assert answer(last) == BOB_ARN
    assert heard == [ADA_ARN, ADA_ARN]


def test_eager_task_has_the_caller_of_the_request(world: World, app: Celery) -> None:
    """And gives it back; nested, too."""
    app.conf.task_always_eager = True
    tasks = app.tasks
    with calling(world.guard, ada) as call:
        assert answer(tasks["get"].delay(7)) == "ada got 7"
        assert answer(chain(tasks["who"].s(), tasks["get"].si(2))()) == "ada got 2"
        assert answer(tasks["again"].delay(2)) == [ADA_ARN, 2]
        assert current_principal() is call.principal
    assert answer(tasks["get"].delay(7)).startswith("AccessDenied: User: anonymous")
    with pytest.raises(ConfigurationError, match="no guarded call"):
        current_principal()


def test_task_called_as_a_function_is_part_of_its_caller(world: World, app: Celery) -> None:
    with calling(world.guard, ada):
        assert app.tasks["get"](7) == "ada got 7"
    with pytest.raises(ConfigurationError, match="no guarded call"):
        app.tasks["get"](7)


def test_handlers_and_other_receivers_have_the_caller(world: World, app: Celery) -> None:
    """`before_start`, `on_failure`, `after_return`, and receivers of signals that were connected later."""
    seen: list[tuple[str, str]] = []

    class Observed(Task):  # type: ignore[misc]  # Celery has no types
        def before_start(self, *_: object) -> None:
            seen.append(("before_start", current_principal().name))

        def on_failure(self, *_: object, **__: object) -> None:
            seen.append(("on_failure", current_principal().name))

        def after_return(self, *_: object, **__: object) -> None:
            seen.append(("after_return", current_principal().name))

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            seen.append(("call", current_principal().name))
            return self.run(*args, **kwargs)

    @app.task(name="observed", shared=False, base=Observed)
    def observed() -> None:
        raise ValueError("as ever")

    def received(task: Any, **_: object) -> None:
        if task.name == "observed":
            seen.append(("task_failure", current_principal().name))

    signals.task_failure.connect(lambda sender, **_: received(sender), weak=False, dispatch_uid="of this test")
    with calling(world.guard, ada):
        result = observed.delay()
    with working(app):
        assert answer(result) == "ValueError: as ever"
        answer(app.tasks["who"].delay())
    signals.task_failure.disconnect(dispatch_uid="of this test")
    names = ["before_start", "call", "on_failure", "task_failure", "after_return"]
    assert sorted(seen) == sorted((name, "ada") for name in names)


# --- when the caller ends -----------------------------------------------------------------------------------------


def test_gone_caller_is_refused(world: World, app: Celery) -> None:
    """A user that was deleted meanwhile; the task does not run, and other tasks do."""
    with calling(world.guard, bob):
        result = app.tasks["who"].delay()
    world.edit(seed(ADA))
    with working(app):
        assert (
            answer(result) == "InvalidClientTokenId: the user or role of the sealed principal does not exist any more"
        )
        with calling(world.guard, ada):
            later = app.tasks["who"].delay()
        assert answer(later) == ADA_ARN
    assert [record["errorCode"] for record in world.sink.records] == ["InvalidClientTokenId"]


def test_expired_caller_is_refused(world: World, app: Celery) -> None:
    """After the seconds of the application, and with the session of the request."""
    with calling(world.guard, ada):
        result = app.tasks["flaky"].delay("GetIt", DOCUMENT)
    with calling(world.guard, world.enter(world.role())):
        session = app.tasks["who"].delay()
    world.now += timedelta(hours=1)
    with working(app):
        assert answer(session) == "ExpiredToken: the sealed principal has expired"
    world.now += timedelta(hours=23)
    with calling(world.guard, ada):
        result = app.tasks["flaky"].delay("GetIt", DOCUMENT)
    world.now += timedelta(hours=24)
    with working(app):
        assert answer(result) == "ExpiredToken: the sealed principal has expired"


@table("kind", ["retry", "chain"])
def test_caller_that_ends_during_a_task_is_not_passed_on(tmp_path: Path, kind: str) -> None:
    """The retry or the rest of the chain fails with a clear error, instead of running for ever or not at all."""
    world = World(tmp_path / f"{kind}.json")
    app = application(world.guard, f"tests-{kind}")

    @app.task(name="long", shared=False, bind=True, max_retries=None)
    def long(self: Any) -> str:
        world.now += timedelta(hours=2)
        if kind == "retry":
            raise self.retry(countdown=0)
        return "done"

    with calling(world.guard, world.enter(world.role())):
        result = chain(long.s(), app.tasks["who"].s())()
    with working(app):
        first = answer(result.parent)
        last = first if kind == "retry" else answer(result)
    assert (first == "done") == (kind == "chain")
    assert last == "ExpiredToken: the credential of the caller had ended when the task was sent"
    world.guard.close()


@table(
    "options",
    [
        {"countdown": 3 * 86_400},
        {"eta": "2100-01-01T00:00:00+00:00"},
        {"expires": 3 * 86_400},
    ],
)
def test_waiting_is_added_to_the_seconds(tmp_path: Path, options: dict[str, Any]) -> None:
    """`countdown`, `eta` and `expires` extend the life of the caller; beyond the maximum, sending fails."""
    world = World(tmp_path / "iam.json")
    app = application(world.guard, expires_in=600)
    sealed: list[float] = []
    seal = world.guard.sealed_principals.seal

    def watched(principal: Principal, *, expires_in: float = 0.0, **rest: Any) -> str:
        sealed.append(expires_in)
        return seal(principal, expires_in=expires_in, **rest)

    world.guard.sealed_principals.seal = watched  # type: ignore[method-assign]
    with calling(world.guard, ada):
        if "eta" in options:
            with pytest.raises(InvalidInput, match="starts and expires within 2591400 seconds"):
                app.tasks["who"].apply_async(**options)
        else:
            app.tasks["who"].apply_async(**options)
            assert sealed == [pytest.approx(3 * 86_400 + 600, abs=5)]
    world.guard.close()


def test_caller_that_has_ended_cannot_send(world: World, app: Celery) -> None:
    """The error is raised to the sender, not logged."""
    caller = world.enter(world.role())
    world.now += timedelta(hours=1)
    with calling(world.guard, caller), pytest.raises(ExpiredToken):
        app.tasks["who"].delay()


def test_call_that_is_over_has_no_caller(world: World, app: Celery) -> None:
    with calling(world.guard, ada) as call:
        call.is_over = True
        result = app.tasks["who"].delay()
    with working(app):
        assert answer(result) == "anonymous"


@table(
    ("arguments", "error"),
    [({"expires_in": 0}, InvalidInput), ({"expires_in": 31 * 86_400}, InvalidInput), ({}, ConfigurationError)],
)
def test_wrong_set_up_is_refused(world: World, arguments: dict[str, Any], error: type[Exception]) -> None:
    from iam_guard_celery import guard_tasks

    app = Celery("wrong", set_as_current=False) if arguments else application(world.guard)
    with pytest.raises(error):
        guard_tasks(app, world.guard, **arguments)


def test_caller_of_another_guard_is_refused(world: World, app: Celery, tmp_path: Path) -> None:
    """Their stores may have users of the same name."""
    other = World(tmp_path / "other.json")
    with calling(other.guard, ada), pytest.raises(ConfigurationError, match="guard of the tasks"):
        app.tasks["who"].delay()
    other.guard.close()


def test_example_runs() -> None:
    """Its tasks run as their callers."""
    program = Path(__file__).parents[2] / "integrations" / "celery" / "example" / "celery_app.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", program], capture_output=True, text=True, check=True, timeout=300
    )
    assert [line.partition(" is not")[0] for line in done.stdout.splitlines()] == [
        "ada   document 7, read by ada",
        "ada   document 8, written by ada: document 7, read by ada",
        "rita  document 7, read by rita",
        f"rita  User: arn:aws:iam::{ACME}:user/rita",
        "none  User: anonymous",
    ]
