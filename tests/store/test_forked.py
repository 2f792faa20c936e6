"""A process that forks: its children use none of its connections, locks or pending answers (rules T-1, T-9)."""

from __future__ import annotations

import json
import multiprocessing
import os
import select
import signal
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import pytest

from iam_guard import Guard, Principal, open_guard
from iam_guard.settings import Settings
from iam_guard.store.database import sqlite
from iam_guard.store.database.engine import writing
from iam_guard.store.opening import open_database
from iam_guard.store.seed import apply_seed, load_seed_text
from tests.audit.pipelines import eventually
from tests.store.databases import SEALING_KEY
from tests.wsgi_serving import by_gunicorn

pytestmark = pytest.mark.forks

ACME = "111122223333"
USERS = 60
DOCUMENT = f"arn:aws:docs:us-east-1:{ACME}:document/%d"


def seed() -> str:
    """Return a seed in which each user may get the document with its own number."""

    def user(number: int) -> dict[str, object]:
        statement = {"Effect": "Allow", "Action": "docs:Get", "Resource": DOCUMENT % number}
        return {"name": f"u{number}", "inline": {"P": {"Version": "2012-10-17", "Statement": [statement]}}}

    return json.dumps({"version": 1, "accounts": [{"id": ACME, "users": [user(number) for number in range(USERS)]}]})


def wrong_decisions(guard: Guard, start: int, count: int = USERS) -> list[str]:
    """Decide about own and foreign documents of several users; return the wrong decisions and errors."""
    wrong = []
    for number in (index % USERS for index in range(start, start + count)):
        principal = Principal.from_arn(f"arn:aws:iam::{ACME}:user/u{number}")
        for document in (number, (number + 1) % USERS):
            decision = guard.decide(principal, "docs:Get", DOCUMENT % document)
            if decision.error is not None or decision.allowed != (document == number):
                wrong.append(f"u{number} {document} {decision.allowed} {decision.error}")
    return wrong


def open_uncached(url: str) -> Guard:
    """Open a guard that queries the store for nearly every decision, so that its connections are used."""
    return open_guard(url, sealing_keys=[SEALING_KEY], cache_size=1, epoch_poll=0.05, store_timeout=10.0)


def in_child(work: Callable[[], object]) -> int:
    """Fork, and call `work` in the child, which exits with status 0 if the result is falsy; return its process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        status = 1 if (wrong := work()) else 0
        if wrong:
            print(wrong)
    except BaseException:  # noqa: BLE001  pytest must not continue in the child
        traceback.print_exc()
    finally:
        os._exit(status)


def statuses(children: list[int]) -> list[int]:
    """Return the exit statuses of children; one that hangs is killed, with the status of the signal."""
    until = time.monotonic() + 60
    return [_status(child, until) for child in children]


def _status(child: int, until: float) -> int:
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > until:
            os.kill(child, signal.SIGKILL)
            ended = os.waitpid(child, 0)
            break
        time.sleep(0.01)
    return os.waitstatus_to_exitcode(ended[1])


@pytest.fixture
def filled(database: str, settings: Settings) -> str:
    """The URL of a database with the users: a file or on PostgreSQL."""
    with closing(open_database(database, settings)) as store:
        apply_seed(store, load_seed_text(seed()))
    return database


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_forked_processes_decide_with_own_connections(filled: str) -> None:
    """Children of a process with open connections and busy threads, and the process itself, decide right."""
    with closing(open_uncached(filled)) as guard:
        assert wrong_decisions(guard, 0) == []
        found: list[str] = []
        stopping = threading.Event()

        def keep_deciding(start: int) -> None:
            while not stopping.wait(0.01):
                found.extend(wrong_decisions(guard, start, 5))

        threads = [threading.Thread(target=keep_deciding, args=(number * 20,)) for number in range(3)]
        for thread in threads:
            thread.start()
        children = [in_child(partial(wrong_decisions, guard, number * 7, 2 * USERS)) for number in range(4)]
        assert statuses(children) == [0] * 4
        stopping.set()
        for thread in threads:
            thread.join()
        assert found == []
        assert wrong_decisions(guard, 0) == []


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_forked_process_refuses_connection_in_use(filled: str) -> None:
    """A child forked within a transaction gets no row through its parent's connection, and opens its own."""
    with closing(open_uncached(filled)) as guard:
        store = guard.store.behind  # type: ignore[attr-defined]
        alice = Principal.from_arn(f"arn:aws:iam::{ACME}:user/u1")

        def query() -> list[str]:
            if store.engine.dialect.name == "postgresql":
                with suppress(Exception):
                    return [f"got {store.principal(alice)}"]
            return []

        with store.at_once():
            before = store.principal(alice)
            assert statuses([in_child(query)]) == [0]
            assert store.principal(alice) == before
        assert wrong_decisions(guard, 0, 5) == []


@pytest.mark.parametrize("kind", ["memory", "followed"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_forked_process_has_store_in_memory(kind: str, tmp_path: Path, settings: Settings) -> None:
    """A store in memory is copied with its data, also while a thread of the parent uses it."""
    path = tmp_path / "iam.json"
    path.write_text(seed())
    with closing(open_uncached(str(path)) if kind == "followed" else open_uncached("sqlite://")) as guard:
        store = guard.store.behind  # type: ignore[attr-defined]
        if kind == "memory":
            apply_seed(store, load_seed_text(seed()))
        stopping = threading.Event()

        def keep_deciding() -> None:
            while not stopping.wait(0.01):
                wrong_decisions(guard, 0, 5)

        threads = [threading.Thread(target=keep_deciding) for _ in range(3)]
        for thread in threads:
            thread.start()

        def work() -> list[str]:
            wrong = wrong_decisions(guard, 3)
            if kind == "memory":
                with guard.store.write_transaction():
                    pass
            return wrong

        try:
            assert statuses([in_child(work) for _ in range(3)]) == [0] * 3
        finally:
            stopping.set()
            for thread in threads:
                thread.join()
        assert wrong_decisions(guard, 0) == []


def test_lock_of_writer_is_free_in_child(filled: str, settings: Settings) -> None:
    """A child does not wait for a lock of a thread that it does not have."""
    with closing(open_database(filled, settings)) as store:
        inside, leave = threading.Event(), threading.Event()

        def write() -> None:
            with writing(store.engine):
                inside.set()
                leave.wait(30)

        thread = threading.Thread(target=write)
        thread.start()
        assert inside.wait(30)

        def take_turn() -> bool:
            lock: threading.Lock = store.engine.get_execution_options()["iam_guard_turn"]
            return not lock.acquire(blocking=False)

        try:
            assert statuses([in_child(take_turn)]) == [0]
        finally:
            leave.set()
            thread.join()


def test_fork_waits_for_transactions_in_a_file(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's in-memory locks must be free in a child, so no thread may be in a transaction during a fork."""
    monkeypatch.setattr(sqlite, "_FORK_SECONDS", 30.0)
    with closing(open_database(f"sqlite:///{tmp_path}/store.db", settings, create=True)) as store:
        inside, is_over = threading.Event(), threading.Event()

        def read() -> None:
            with store.at_once():
                store.epoch()
                inside.set()
                time.sleep(0.1)
                is_over.set()

        thread = threading.Thread(target=read)
        thread.start()
        assert inside.wait(30)
        assert statuses([in_child(lambda: not is_over.is_set())]) == [0]
        thread.join()


def decide_in_process(url: str, guard: Guard | None = None) -> None:
    """Decide in a process of `multiprocessing`; exit with 1 if a decision was wrong."""
    opened = guard or open_uncached(url)
    wrong = wrong_decisions(opened, os.getpid())
    opened.close()
    os._exit(1 if wrong else 0)


@pytest.fixture
def postgresql_filled(postgresql: str, settings: Settings) -> str:
    with closing(open_database(postgresql, settings)) as store:
        apply_seed(store, load_seed_text(seed()))
    return postgresql


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_multiprocessing_decides_right(postgresql_filled: str, subtests: pytest.Subtests) -> None:
    """Processes of each start method decide right, with an inherited guard or one that they open."""
    with closing(open_uncached(postgresql_filled)) as guard:
        assert wrong_decisions(guard, 0, 5) == []
        for method, inherited, count in (("fork", guard, 3), ("forkserver", None, 1), ("spawn", None, 1)):
            with subtests.test(method):
                context = multiprocessing.get_context(method)
                processes = [
                    context.Process(target=decide_in_process, args=(postgresql_filled, inherited))  # type: ignore[attr-defined]
                    for _ in range(count)
                ]
                for process in processes:
                    process.start()
                for process in processes:
                    process.join(60)
                assert [process.exitcode for process in processes] == [0] * count
        assert wrong_decisions(guard, 0) == []


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_child_leaves_the_listener_of_its_parent_alone(postgresql: str, settings: Settings) -> None:
    """A child that drops the store neither ends nor wakes the thread, which would otherwise never wait again."""
    with closing(open_database(postgresql, settings)) as store:
        owners = [threading.Event()]
        listener = store.listen(owners[0].set)
        assert listener is not None
        eventually(lambda: listener.is_listening)
        assert statuses([in_child(owners.clear)]) == [0]
        assert statuses([in_child(listener.close)]) == [0]
        assert select.select([listener._receiver], [], [], 0)[0] == []
        owners.clear()
        eventually(lambda: not listener._is_running)


def test_preloaded_application_decides_right(postgresql_filled: str) -> None:
    """Workers of gunicorn that inherit an open guard (`--preload`) answer each request for its own caller."""
    environment = {
        "STORE": postgresql_filled,
        "IAM_GUARD_SEALING_KEYS": SEALING_KEY,
        "GUNICORN_CMD_ARGS": "--preload --threads 4",
    }
    with by_gunicorn("tests.store.preloaded:application", environment) as url, ThreadPoolExecutor(8) as threads:

        def query(number: int) -> tuple[str, str, str]:
            user, document = number % USERS, (number + number // USERS % 2) % USERS
            with urlopen(f"{url}/{user}/{document}", timeout=60) as response:  # noqa: S310  at loopback
                process, _, answer = response.read().decode().partition(" ")
            return process, answer, str(user == document)

        answers = list(threads.map(query, range(4 * USERS)))
    assert [found for found in answers if found[1] != found[2]] == []
    assert len({process for process, _, _ in answers}) == 2
