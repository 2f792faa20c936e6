"""The session cookie over ASGI: looked up in a worker thread, answered from the cache, and with the store down."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from iam_guard.authn.tokens.session_cookie import COOKIE
from iam_guard.errors import StoreUnavailable
from iam_guard.model.credential import BrowserSession
from iam_guard.web import key_lookups
from tests.signed_in import RITA, SignedIn, signed_in


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[SignedIn]:
    with signed_in(tmp_path) as made:
        yield made


class Lookups:
    """Records the threads of lookups of sessions, and how many run at a time."""

    def __init__(self, harness: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
        self.threads: list[str] = []
        self.most = self.running = 0
        self._lock = threading.Lock()
        self._find = harness.guard._store.behind.browser_session
        monkeypatch.setattr(harness.guard._store.behind, "browser_session", self)

    def __call__(self, digest: str) -> BrowserSession | None:
        with self._lock:
            self.threads.append(threading.current_thread().name)
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            return self._find(digest)
        finally:
            with self._lock:
                self.running -= 1


def test_session_is_looked_up_once_in_a_worker_thread(harness: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop waits for no query; an unknown session is remembered too."""
    lookups = Lookups(harness, monkeypatch)
    with harness.client() as client:
        for cookie, status in ((harness.cookie, 200), ({"cookie": f"{COOKIE}={'A' * 43}"}, 401)):
            for _ in range(4):
                assert client.get("/documents/7", headers=cookie).status_code == status
            assert client.get("/documents/7", headers={"cookie": f"{COOKIE}=malformed"}).status_code == 401
    assert len(lookups.threads) == 2
    assert {"AnyIO worker thread"} == set(lookups.threads)


def test_unknown_sessions_are_looked_up_a_few_at_a_time(harness: SignedIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of invented cookies leaves room for others."""
    lookups = Lookups(harness, monkeypatch)
    with harness.client() as client, ThreadPoolExecutor(24) as pool:
        cookies = [{"cookie": f"{COOKIE}={number:043}"} for number in range(100)]
        statuses = list(pool.map(lambda cookie: client.get("/documents/7", headers=cookie).status_code, cookies))
    assert statuses == [401] * 100
    assert len(lookups.threads) == 100
    assert lookups.most <= key_lookups.MAX_LOOKUPS


def test_cached_session_is_good_while_the_store_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As other cached credentials are; an unknown one can't be verified, and is not anonymous either."""

    def down(*_: Any) -> Any:
        raise StoreUnavailable("the store cannot be reached")

    with signed_in(tmp_path, epoch_poll=0.0) as harness:
        client = harness.client()
        assert client.get("/documents/7", headers=harness.cookie).json() == RITA
        for name in ("changes", "browser_session"):
            monkeypatch.setattr(harness.guard._store.behind, name, down)
        harness.guard.refresh()
        assert client.get("/documents/7", headers=harness.cookie).json() == RITA
        for path in ("/", "/documents/7"):
            answer = client.get(path, headers={"cookie": f"{COOKIE}={'A' * 43}"})
            assert (answer.status_code, answer.json()["code"]) == (503, "ServiceUnavailable")
            assert "set-cookie" not in answer.headers
        assert client.get("/").status_code == 200
