"""The hinge and the world: a store that changes, fails or is slow, a sink that fails, many threads (guard.py, T-9)."""

from __future__ import annotations

import gc
import json
import logging
import threading
import time
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from iam_guard import Decision, Guard, GuardMiddleware, Principal, Service, open_guard
from iam_guard.audit.consumer.reader import read
from iam_guard.audit.sinks import ListSink, open_sink
from iam_guard.audit.trail import Trail
from iam_guard.errors import DecisionUnavailable, StoreUnavailable
from iam_guard.factory import guard_on
from iam_guard.settings import Settings
from iam_guard.store.cached_store import CachedStore
from iam_guard.store.open_store import open_database, open_store
from iam_guard.store.protocol import Store
from iam_guard.store.schema import service_uses
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.audit.pipelines import eventually
from tests.conftest import ADA as ADA_KEY
from tests.conftest import RITA as RITA_KEY
from tests.conftest import Sign

ACME = "111122223333"
ADA = Principal.from_arn(f"arn:aws:iam::{ACME}:user/ada")
RITA = Principal.from_arn(f"arn:aws:iam::{ACME}:user/rita")
DOCUMENT = f"arn:aws:docs:us-east-1:{ACME}:document/7"


def seed(action: str, users: tuple[str, ...] = ("ada",)) -> str:
    """Return a seed whose users may do `action`."""
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}
    return json.dumps(
        {
            "version": 1,
            "accounts": [{"id": ACME, "users": [{"name": name, "inline": {"P": policy}} for name in users]}],
        }
    )


class Failing:
    """A store around a store that fails as it is told to."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.error: Exception | None = None
        self.threads: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        def asked(*arguments: Any) -> Any:
            self.threads.add(threading.current_thread().name)
            if self.error is not None:
                raise self.error
            return getattr(self.inner, name)(*arguments)

        return asked


class World:
    """A guard on a store that fails as it is told to, a clock that goes as it is told to, records in memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_text(seed("docs:*"))
        settings = Settings(epoch_poll=1.0, max_staleness=10.0)
        self.now = 0.0
        self.store = Failing(open_store(str(path), settings))
        self.sink = ListSink()
        self.cached = CachedStore(self.store, settings, clock=lambda: self.now)  # type: ignore[arg-type]
        self.guard = Guard(self.cached, Trail(self.sink), settings)

    def decide(self, principal: Principal = ADA) -> Decision:
        return self.guard.decide(principal, "docs:Get", DOCUMENT)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "iam.json")
    yield made
    made.store.error = None
    made.guard.close()


# --- a store that changes ---


def test_an_edit_is_seen_after_a_refresh(world: World) -> None:
    """And the decision carries the newer epoch."""
    before = world.decide()
    world.path.write_text(seed("docs:Put*"))
    assert world.decide().allowed
    world.guard.refresh()
    after = world.decide()
    assert (before.allowed, after.allowed) == (True, False)
    assert before.epoch is not None
    assert after.epoch is not None
    assert after.epoch > before.epoch


def test_an_edit_is_seen_after_the_poll(world: World) -> None:
    """T-5: revocation takes `epoch_poll` at most, once the file has rested."""
    assert world.decide().allowed
    world.path.write_text(seed("docs:*", users=("rita",)))
    time.sleep(0.1)
    world.now = 0.9
    assert world.decide().allowed
    world.now = 1.0
    gone = world.decide()
    assert [reason.note for reason in gone.reasons] == ["the principal does not exist (any more)"]


def test_a_bad_edit_changes_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """4.2: the last good state stays, and the log says so."""
    assert world.decide().allowed
    world.path.write_text("version: 2")
    world.guard.refresh()
    assert world.decide().allowed
    assert "the last good state stays" in caplog.text


# --- a store that fails ---


def test_a_failing_store_is_bridged_and_said_so_then_everything_is_denied(world: World) -> None:
    """T: static stability up to `max_staleness`, marked in decision and record, then denials."""
    assert world.decide().stale is False
    world.store.error = StoreUnavailable("the database is away")
    world.now = 9.0
    bridged = world.decide()
    assert (bridged.allowed, bridged.stale) == (True, True)
    world.now = 11.0
    refused = world.decide()
    assert (refused.allowed, refused.stale, refused.error is None) == (False, True, False)
    with pytest.raises(DecisionUnavailable):
        world.guard.authorize(ADA, "docs:Get", DOCUMENT)
    world.store.error = None
    world.now = 13.0
    eventually(lambda: not world.cached.stale)
    assert (world.decide().allowed, world.decide().stale) == (True, False)
    noted = [record["iamGuard"] for record in world.sink.records]
    assert [each["stale"] for each in noted] == [False, True, True, True, False, False]  # type: ignore[index]


def test_who_was_not_asked_about_before_is_denied_while_the_store_fails(world: World) -> None:
    """What is not remembered cannot be known."""
    assert world.decide().allowed
    world.store.error = StoreUnavailable("the database is away")
    refused = world.decide(RITA)
    assert (refused.allowed, refused.error) == (False, "the database is away")


def test_an_unexpected_error_denies_and_is_noted_without_its_words(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """E-6; whatever an exception says may be secret."""
    assert world.decide().allowed
    world.store.error = RuntimeError("password=hunter2")
    refused = world.decide(RITA)
    assert (refused.allowed, refused.error) == (False, "unexpected RuntimeError")
    _, record = world.sink.records
    assert record["errorCode"] == "ServiceUnavailable"
    assert "hunter2" not in json.dumps(record) + caplog.text
    assert [each.levelno for each in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize(("principal", "resource"), [(Principal.anonymous(), "*"), (ADA, DOCUMENT), (ADA, "*")])
def test_a_store_that_is_due_is_not_asked_on_the_event_loop(world: World, principal: Principal, resource: str) -> None:
    """A store that hangs must not stop the requests that need none; anonymous callers could bring that about."""
    world.guard.decide(principal, "docs:Get", resource)
    noted = len(world.sink.records)
    decided = world.guard.decide_from_cache(principal, "docs:Get", resource)
    assert decided is not None
    assert decided.allowed is (principal is ADA)
    assert len(world.sink.records) == noted + 1
    world.now = 1.5
    assert world.guard.decide_from_cache(principal, "docs:Get", resource) is None
    assert len(world.sink.records) == noted + 1


# --- a sink that fails ---


NO_FULL_DEVICE = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Guard]:
    """A guard whose audit file takes nothing."""
    path = tmp_path / "iam.json"
    path.write_text(seed("docs:Get*"))
    opened = open_guard(path, audit="/dev/full")
    yield opened
    opened.close()


@NO_FULL_DEVICE
def test_an_allow_that_cannot_be_noted_is_none(full: Guard) -> None:
    """And a denial stays the denial that it is."""
    with pytest.raises(DecisionUnavailable, match="audit record"):
        full.decide(ADA, "docs:Get", DOCUMENT)
    assert full.decide(ADA, "docs:Put", DOCUMENT).reasons[0].policy_type == "identity-based policy"
    with pytest.raises(DecisionUnavailable):
        full.decide_many(ADA, [("docs:Put", DOCUMENT), ("docs:Get", DOCUMENT)])


def guarded(guard: Guard, ran: list[str]) -> TestClient:
    docs = Service("docs")

    @docs.requires("GetDocument", resource="document/{document_id}")
    async def get(request: Request) -> Response:
        ran.append("get")
        return PlainTextResponse("read")

    @docs.requires("PutDocument", resource="document/{document_id}")
    def put(request: Request) -> Response:
        ran.append("put")
        return PlainTextResponse("written")

    path = "/documents/{document_id}"
    routes = [Route(path, get), Route(path, put, methods=["PUT"])]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=guard)]))


@NO_FULL_DEVICE
def test_over_http_an_allow_that_cannot_be_noted_is_503(guard: Guard, sign: Sign) -> None:
    """The handler does not run; who is denied hears the same as ever."""
    ran: list[str] = []
    full = Guard(guard._store, Trail(open_sink("/dev/full")), guard.settings)
    client = guarded(full, ran)
    allowed = client.get("/documents/7", headers=sign(ADA_KEY, "GET", "/documents/7"))
    put = client.put("/documents/7", headers=sign(ADA_KEY, "PUT", "/documents/7"))
    assert (allowed.status_code, put.status_code, ran) == (503, 503, [])
    assert allowed.json()["detail"] == "no decision can be made at the moment, so the request is denied"
    assert client.put("/documents/7", headers=sign(RITA_KEY, "PUT", "/documents/7")).status_code == 403
    assert client.get("/documents/7").status_code == 401
    assert ran == []
    full.close()


# --- what was used last ---


def test_what_was_used_is_written_when_the_guard_is_closed(tmp_path: Path) -> None:
    """R-34: and only then, if nobody had the time before; the epoch stays."""
    settings = Settings(sealing_keys=("dGhlIHRlc3RzIG9mIHRoZSBzdG9yZSBzZWFsIGl0IDs=",))
    store = open_database(f"sqlite:///{tmp_path}/iam-guard.db", settings)
    apply_seed(store, load_seed_text(seed("docs:Get")))
    guard = guard_on(store, settings)
    before = store.epoch()
    assert guard.decide(ADA, "docs:Get", DOCUMENT).allowed
    assert not guard.decide(ADA, "docs:Put", DOCUMENT).allowed
    guard.explain(ADA, "docs:Explain", DOCUMENT)
    guard.close()
    with store.viewing() as records:
        assert [row["action"] for row in records.all(service_uses, order=("action",))] == ["Get", "Put"]
    assert store.epoch() == before
    store.close()


def test_what_nobody_could_decide_is_not_noted(world: World) -> None:
    """And a store that cannot take what waits keeps nobody from deciding or closing."""
    assert world.decide().allowed
    world.store.error = StoreUnavailable("away")
    world.now = 100.0
    assert world.decide(RITA).error is not None
    with pytest.raises(StoreUnavailable):
        world.guard.uses.flush()
    world.guard.uses.close()


# --- many threads ---


def test_one_epoch_a_decision_while_the_seed_is_edited(tmp_path: Path) -> None:
    """T-9, and no tearing: 8 threads, 2,000 decisions, each right for the epoch that it carries."""
    path = tmp_path / "iam.json"
    path.write_text(seed("docs:Get*"))
    guard = open_guard(path, epoch_poll=0.0, audit=str(tmp_path / "audit.jsonl"))
    done = threading.Event()

    def edit() -> None:
        number = 0
        while not done.is_set():
            number += 1
            path.write_text(seed("docs:Get*" if number % 2 == 0 else "docs:Put*"))
            guard.refresh()
            time.sleep(0.002)

    def ask(number: int) -> list[Decision]:
        actions = ["docs:Get", "docs:Put"]
        return [guard.decide(ADA, actions[(number + each) % 2], DOCUMENT) for each in range(250)]

    writer = threading.Thread(target=edit)
    writer.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            decisions = [decision for answered in pool.map(ask, range(8)) for decision in answered]
    finally:
        done.set()
        writer.join()
        guard.close()
    made = [each for each in decisions if each.error is None]
    assert len(made) >= 0.9 * len(decisions) == 1800, {each.error for each in decisions}
    said: dict[tuple[int | None, str], set[bool]] = {}
    for each in made:
        said.setdefault((each.epoch, each.request.action), set()).add(each.allowed)
    assert all(len(answers) == 1 for answers in said.values())
    by_epoch = {epoch for epoch, _ in said}
    assert len(by_epoch) > 1
    for epoch in by_epoch:
        both = [said.get((epoch, action), set()) for action in ("docs:Get", "docs:Put")]
        assert both[0].isdisjoint(both[1])
    assert len(list(read(tmp_path / "audit.jsonl"))) == len(decisions)


def test_threads_of_an_application_do_not_share_a_caller(tmp_path: Path) -> None:
    """Each decision is about who was asked about."""
    path = tmp_path / "iam.json"
    path.write_text(seed("docs:*", users=tuple(f"user{number}" for number in range(8))))
    guard = open_guard(path)

    def ask(number: int) -> bool:
        caller = Principal.from_arn(f"arn:aws:iam::{ACME}:user/user{number}")
        decisions = [guard.decide(caller, "docs:Get", DOCUMENT) for _ in range(100)]
        return all(decision.allowed and decision.request.principal.arn == caller.arn for decision in decisions)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))
    guard.close()


def test_a_decision_may_be_made_in_any_thread(world: World) -> None:
    """A worker thread of anyio, too."""

    async def main() -> Decision:
        return await anyio.to_thread.run_sync(world.decide)

    assert anyio.run(main).allowed
    assert len(world.store.threads - {"iam-guard-store"}) == 1


# --- the end ---


def test_after_close_nothing_is_allowed(tmp_path: Path) -> None:
    """An Allow that nobody can note is none; closing twice is fine."""
    path = tmp_path / "iam.json"
    path.write_text(seed("docs:*"))
    guard = open_guard(path, audit=str(tmp_path / "audit.jsonl"))
    assert guard.decide(ADA, "docs:Get", DOCUMENT).allowed
    guard.close()
    guard.close()
    with pytest.raises(DecisionUnavailable):
        guard.decide(ADA, "docs:Get", DOCUMENT)


def test_a_guard_that_is_let_go_takes_its_store_along(tmp_path: Path) -> None:
    """Though whoever asks for metrics outlives it: a program that opens one guard after the other does not grow."""
    store = open_database("sqlite://", Settings())
    guard = guard_on(store, Settings(audit=str(tmp_path / "audit.jsonl")))
    guard.close()
    gone = weakref.ref(store)
    del guard, store
    gc.collect()
    assert gone() is None
