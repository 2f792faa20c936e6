"""A PostgreSQL server that accepts no more connections: a process goes on with those that it has."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress

import psycopg
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from iam_guard.errors import ConfigurationError, StoreUnavailable
from iam_guard.settings import Settings
from iam_guard.store import opening as store_opening
from iam_guard.store.cache import change_listener
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.database.engine import _reason, make_engine, reading, writing
from iam_guard.store.opening import create_store, open_database
from iam_guard.store.schema import accounts
from tests.audit.pipelines import eventually
from tests.store.databases import SEALING_KEY, Server
from tests.tables import table

CALLERS, THREADS = 144, 24
ACCOUNTS = [f"{number:012}" for number in range(1, CALLERS + 1)]
KNOWN = "999999999999"
NONE_LEFT = "the server accepts no more connections"


@contextmanager
def limited_user(server: Server, url: str, connections: int) -> Iterator[str]:
    """Create a user who may open so many connections; yield the URL with it."""
    user = f"iam_guard_limited_{secrets.token_hex(6)}"
    server.run(f"CREATE ROLE {user} LOGIN PASSWORD 'test' CONNECTION LIMIT {connections}")
    engine = make_engine(url)
    try:
        with writing(engine) as connection:
            connection.exec_driver_sql(f"GRANT pg_read_all_data, pg_write_all_data TO {user}")
        yield make_url(url).set(username=user, password="test").render_as_string(hide_password=False)
    finally:
        server.cut(url)
        with writing(engine) as connection:
            connection.exec_driver_sql(f"DROP OWNED BY {user}")
        engine.dispose()
        server.run(f"DROP ROLE {user}")


def settings(**changed: object) -> Settings:
    return Settings(sealing_keys=(SEALING_KEY,), **changed)  # type: ignore[arg-type]


@pytest.fixture
def filled(postgresql: str) -> str:
    with closing(open_database(postgresql, settings())) as store, store.write_transaction() as records:
        for id in (*ACCOUNTS, KNOWN):
            records.insert(accounts, id=id, name="a", created=0)
    return postgresql


def last_connection(url: str) -> psycopg.Connection:
    """Open it as soon as the server has ended those that were closed."""
    opened: list[psycopg.Connection] = []

    def is_open() -> bool:
        with suppress(psycopg.OperationalError):
            opened.append(psycopg.connect(url.replace("+psycopg", "")))
        return bool(opened)

    eventually(is_open)
    return opened[0]


def at_once(work: Callable[[str], bool], ids: list[str]) -> list[object]:
    """Call a function for accounts, in many threads that begin together; return the results and errors."""
    barrier = threading.Barrier(THREADS)

    def answers(mine: list[str]) -> list[object]:
        barrier.wait(60)
        found: list[object] = []
        for id in mine:
            try:
                found.append(work(id))
            except StoreUnavailable as error:
                found.append(str(error))
        return found

    with ThreadPoolExecutor(THREADS) as threads:
        parts = threads.map(answers, [ids[start::THREADS] for start in range(THREADS)])
        return [answer for part in parts for answer in part]


@pytest.mark.parametrize("limit", [1, 2])
def test_callers_at_the_limit_are_answered(
    server: Server, filled: str, limit: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Known and unknown callers, and polls, though each thread wants a connection."""
    with (
        limited_user(server, filled, limit) as url,
        closing(CachedStore(open_database(url, settings()), settings(epoch_poll=0.0))) as store,
    ):
        assert store.account(KNOWN).exists
        found = at_once(lambda account: store.account(account).exists and store.account(KNOWN).exists, ACCOUNTS)
        assert Counter(found) == {True: CALLERS}
        assert not store.stale
        with store.write_transaction() as records:
            records.insert(accounts, id="888888888888", name="a", created=0)
        assert store.account("888888888888").exists
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_process_without_a_connection_waits_for_one(server: Server, filled: str) -> None:
    """Another process has them all, and returns one before the time is over."""
    with limited_user(server, filled, 1) as url, closing(open_database(url, settings())) as store:
        store.engine.dispose()
        with ExitStack() as stack, ThreadPoolExecutor() as threads:
            taken = stack.enter_context(last_connection(url))
            answer = threads.submit(store.account, KNOWN)
            eventually(lambda: getattr(store.engine.pool, "_refusal", None) is not None)
            assert not answer.done()
            taken.close()
            assert answer.result(60).exists


def test_reason_is_logged_once_the_time_is_over(server: Server, filled: str, caplog: pytest.LogCaptureFixture) -> None:
    """Not that the user is unknown, as its name in the server's message suggests."""
    with limited_user(server, filled, 1) as url:
        brief = settings(store_timeout=0.3, epoch_poll=0.0)
        with closing(CachedStore(open_database(url, brief), brief)) as store:
            assert store.account(KNOWN).exists
            store.behind.engine.dispose()  # type: ignore[attr-defined]
            with last_connection(url):
                began = time.monotonic()
                with pytest.raises(StoreUnavailable):
                    store.account(ACCOUNTS[0])
                assert store.account(KNOWN).exists
                eventually(lambda: NONE_LEFT in caplog.text)
                assert time.monotonic() - began < 60
            eventually(lambda: not store.stale)
            assert store.account(ACCOUNTS[0]).exists


def test_used_connections_go_on_when_the_user_is_refused(server: Server, filled: str) -> None:
    """A password that is changed, or a database that accepts no more connections, ends none that exists."""
    with closing(open_database(filled, settings())) as store, ExitStack() as stack:
        kept = stack.enter_context(reading(store.engine))
        assert kept.exec_driver_sql("SELECT 1").scalar_one() == 1
        with ThreadPoolExecutor() as threads:
            server.run(f"ALTER DATABASE {make_url(filled).database} ALLOW_CONNECTIONS false")
            try:
                answer = threads.submit(store.account, KNOWN)
                eventually(lambda: getattr(store.engine.pool, "_refusal", None) is not None)
                stack.close()
                assert answer.result(60).exists
            finally:
                server.accept(filled)


def test_listener_leaves_the_last_connection_to_the_pool(
    server: Server, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the limit, it is not opened; later it is."""
    monkeypatch.setattr(change_listener, "RETRY_SECONDS", 0.0)
    with (
        limited_user(server, filled, 1) as url,
        closing(CachedStore(open_database(url, settings()), settings(epoch_poll=0.0))) as store,
    ):
        for id in ACCOUNTS[:5]:
            assert store.account(id).exists
        assert not store.feed_usage().is_notified
        server.run(f"ALTER ROLE {make_url(url).username} CONNECTION LIMIT 2")
        eventually(lambda: store.account(KNOWN).exists and store.feed_usage().is_notified)


def test_pool_has_the_size_of_the_settings(filled: str) -> None:
    given = settings(store_pool_size=2, store_pool_overflow=1, store_timeout=0.2)
    with closing(open_database(filled, given)) as store, ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(reading(store.engine))
        with pytest.raises(StoreUnavailable, match="no connection of the pool was free in time"):
            store.account(KNOWN)
    with pytest.raises(ConfigurationError, match=r"expected a number of 1 or more, got `0` \(at store_pool_size"):
        Settings(store_pool_size=0)


@table(
    ("message", "reason"),
    [
        ('FATAL:  too many connections for role "app"', NONE_LEFT),
        ('FATAL:  too many connections for database "app"', NONE_LEFT),
        ("FATAL:  sorry, too many clients already", NONE_LEFT),
        ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", NONE_LEFT),
        ("FATAL:  no more connections allowed (max_client_conn)", NONE_LEFT),
        ("FATAL:  the database system is starting up", "the server is starting or stopping"),
        ("FATAL:  the database system is shutting down", "the server is starting or stopping"),
        ("FATAL:  the database system is in recovery mode", "the server is starting or stopping"),
        ('FATAL:  role "app" does not exist', "the user does not exist"),
        ('FATAL:  role "app" is not permitted to log in', "the user may not log in"),
        ('FATAL:  password authentication failed for user "app"', "wrong user or password"),
        ('FATAL:  database "app" does not exist', "the database does not exist, or the user may not connect to it"),
        (
            'FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "app", database "app", no encryption',
            "the server does not accept this user from here, or not without TLS",
        ),
        ("connection refused\n\tIs the server running on that host? Connection refused", "the connection was refused"),
    ],
)
def test_failed_connection_has_its_reason(message: str, reason: str) -> None:
    error = OperationalError(None, None, psycopg.OperationalError(f"connection failed: {message}"))  # type: ignore[arg-type]
    assert _reason(error).startswith(reason)


def test_reason_of_a_statement_is_that_of_its_sqlstate() -> None:
    for sqlstate, reason in {"53300": NONE_LEFT, "25006": "read-only", "53100": "full", "55P03": "locked"}.items():
        cause = psycopg.errors.lookup(sqlstate)("text of the server")
        assert reason in _reason(OperationalError("SELECT", None, cause))


def test_init_at_the_limit_names_the_reason(
    server: Server, bare_postgresql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_opening, "BUSY_SECONDS", 0.2)
    with limited_user(server, bare_postgresql, 0) as url, pytest.raises(StoreUnavailable, match=NONE_LEFT):
        create_store(url, settings(store_timeout=0.2))
