"""A guard with a changing, failing or slow store, a failing sink, many threads (guard.py, T-9)."""

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
from iam_guard.audit.consumer.reader import read_records
from iam_guard.audit.sinks import open_sink
from iam_guard.audit.trail import Trail
from iam_guard.errors import DecisionUnavailable, StoreUnavailable
from iam_guard.factory import guard_with_store
from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import open_database, open_store
from iam_guard.store.protocol import Store
from iam_guard.store.schema import service_uses
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.audit.list_sink import ListSink
from tests.audit.pipelines import eventually
from tests.conftest import ADA as ADA_KEY
from tests.conftest import RITA as RITA_KEY
from tests.conftest import Sign

ACME = "111122223333"
ADA = Principal.from_arn(f"arn:aws:iam::{ACME}:user/ada")
RITA = Principal.from_arn(f"arn:aws:iam::{ACME}:user/rita")
DOCUMENT = f"arn:aws:docs:us-east-1:{ACME}:document/7"


def seed(action: str, users: tuple[str, ...] = ("ada",)) -> str:
    """Return a seed whose users are allowed `action`."""
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}
    return json.dumps(
        {
            "version": 1,
            "accounts": [{"id": ACME, "users": [{"name": name, "inline": {"P": policy}} for name in users]}],
        }
    )


class Failing:
    """A store proxy that fails on request."""

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
    """A guard on a store that fails on request, with a test clock and records in memory."""

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


def test_edit_is_seen_after_refresh(world: World) -> None:
    """The decision has the new epoch."""
    before = world.decide()
    world.path.write_text(seed("docs:Put*"))
    assert world.decide().allowed
    world.guard.refresh()
    after = world.decide()
    assert (before.allowed, after.allowed) == (True, False)
    assert before.epoch is not None
    assert after.epoch is not None
    assert after.epoch > before.epoch


def test_edit_is_seen_after_poll(world: World) -> None:
    """T-5: revocation takes at most `epoch_poll`, once the file is unchanged."""
    assert world.decide().allowed
    world.path.write_text(seed("docs:*", users=("rita",)))
    time.sleep(0.1)
    world.now = 0.9
    assert world.decide().allowed
    world.now = 1.0
    gone = world.decide()
    assert [reason.note for reason in gone.reasons] == ["the principal does not exist (any more)"]


def test_invalid_edit_changes_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """4.2: the last valid state is kept, and the error is logged."""
    assert world.decide().allowed
    world.path.write_text("version: 2")
    world.guard.refresh()
    assert world.decide().allowed
    assert "seed rejected, keeping the last valid state" in caplog.text


# --- a store that fails ---


def test_store_outage_uses_stale_data_then_denies(world: World) -> None:
    """Up to `max_staleness`, marked in decision and record; then everything is denied."""
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
    recorded = [record["iamGuard"] for record in world.sink.records]
    assert [each["stale"] for each in recorded] == [False, True, True, True, False, False]  # type: ignore[index]


def test_uncached_principal_is_denied_during_outage(world: World) -> None:
    """It is not cached, so its policies are unknown."""
    assert world.decide().allowed
    world.store.error = StoreUnavailable("the database is away")
    refused = world.decide(RITA)
    assert (refused.allowed, refused.error) == (False, "the database is away")


def test_unexpected_error_denies_and_is_recorded(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """E-6; without the text of the exception, which may be secret."""
    assert world.decide().allowed
    world.store.error = RuntimeError("password=hunter2")
    refused = world.decide(RITA)
    assert (refused.allowed, refused.error) == (False, "unexpected RuntimeError")
    _, record = world.sink.records
    assert record["errorCode"] == "ServiceUnavailable"
    assert "hunter2" not in json.dumps(record) + caplog.text
    assert [each.levelno for each in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize(("principal", "resource"), [(Principal.anonymous(), "*"), (ADA, DOCUMENT), (ADA, "*")])
def test_due_poll_does_not_run_on_the_event_loop(world: World, principal: Principal, resource: str) -> None:
    """A hanging store must not stop other requests; anonymous clients could cause it."""
    world.guard.decide(principal, "docs:Get", resource)
    recorded = len(world.sink.records)
    decided = world.guard.decide_from_cache(principal, "docs:Get", resource)
    assert decided is not None
    assert decided.allowed is (principal is ADA)
    assert len(world.sink.records) == recorded + 1
    world.now = 1.5
    assert world.guard.decide_from_cache(principal, "docs:Get", resource) is None
    assert len(world.sink.records) == recorded + 1


# --- a sink that fails ---


NO_FULL_DEVICE = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Guard]:
    """A guard whose audit file cannot be written."""
    path = tmp_path / "iam.json"
    path.write_text(seed("docs:Get*"))
    opened = open_guard(path, audit="/dev/full")
    yield opened
    opened.close()


@NO_FULL_DEVICE
def test_allow_that_cannot_be_recorded_is_refused(full: Guard) -> None:
    """A denial stays a denial."""
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
def test_http_allow_that_cannot_be_recorded_is_503(guard: Guard, sign: Sign) -> None:
    """The handler does not run; denied clients get the usual response."""
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


def test_last_used_is_written_on_close(tmp_path: Path) -> None:
    """R-34: if not before; the epoch does not change."""
    settings = Settings(sealing_keys=("dGhlIHRlc3RzIG9mIHRoZSBzdG9yZSBzZWFsIGl0IDs=",))
    store = open_database(f"sqlite:///{tmp_path}/iam-guard.db", settings, create=True)
    apply_seed(store, load_seed_text(seed("docs:Get")))
    guard = guard_with_store(store, settings)
    before = store.epoch()
    assert guard.decide(ADA, "docs:Get", DOCUMENT).allowed
    assert not guard.decide(ADA, "docs:Put", DOCUMENT).allowed
    guard.explain(ADA, "docs:Explain", DOCUMENT)
    guard.close()
    with store.read_transaction() as records:
        assert [row["action"] for row in records.all(service_uses, order=("action",))] == ["Get", "Put"]
    assert store.epoch() == before
    store.close()


def test_undecidable_request_is_not_last_used(world: World) -> None:
    """A failing write of last-used times stops neither decisions nor closing."""
    assert world.decide().allowed
    world.store.error = StoreUnavailable("away")
    world.now = 100.0
    assert world.decide(RITA).error is not None
    with pytest.raises(StoreUnavailable):
        world.guard.uses.flush()
    world.guard.uses.close()


# --- many threads ---


def test_each_decision_uses_one_epoch_during_edits(tmp_path: Path) -> None:
    """T-9: 8 threads, 2,000 decisions, each correct for its epoch."""
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
    outcomes: dict[tuple[int | None, str], set[bool]] = {}
    for decision in made:
        outcomes.setdefault((decision.epoch, decision.request.action), set()).add(decision.allowed)
    assert all(len(answers) == 1 for answers in outcomes.values())
    by_epoch = {epoch for epoch, _ in outcomes}
    assert len(by_epoch) > 1
    for epoch in by_epoch:
        both = [outcomes.get((epoch, action), set()) for action in ("docs:Get", "docs:Put")]
        assert both[0].isdisjoint(both[1])
    assert len(list(read_records(tmp_path / "audit.jsonl"))) == len(decisions)


def test_threads_do_not_share_a_caller(tmp_path: Path) -> None:
    """Each decision is about its own caller."""
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


def test_decision_works_in_any_thread(world: World) -> None:
    """Also in a worker thread of anyio."""

    async def main() -> Decision:
        return await anyio.to_thread.run_sync(world.decide)

    assert anyio.run(main).allowed
    assert len(world.store.threads - {"iam-guard-store"}) == 1


# --- the end ---


def test_closed_guard_allows_nothing(tmp_path: Path) -> None:
    """An Allow that cannot be recorded is refused; closing twice is fine."""
    path = tmp_path / "iam.json"
    path.write_text(seed("docs:*"))
    guard = open_guard(path, audit=str(tmp_path / "audit.jsonl"))
    assert guard.decide(ADA, "docs:Get", DOCUMENT).allowed
    guard.close()
    guard.close()
    with pytest.raises(DecisionUnavailable):
        guard.decide(ADA, "docs:Get", DOCUMENT)


def test_unreferenced_guard_releases_its_store(tmp_path: Path) -> None:
    """Even while metrics callbacks exist: opening many guards does not leak memory."""
    store = open_database("sqlite://", Settings())
    guard = guard_with_store(store, Settings(audit=str(tmp_path / "audit.jsonl")))
    guard.close()
    gone = weakref.ref(store)
    del guard, store
    gc.collect()
    assert gone() is None
