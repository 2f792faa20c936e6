"""The AWS API over a real connection, on a store in memory, with boto3 clients.

The server runs in a thread of this process, so that tests can read its store. Before each test the store is reset:
account 111122223333 with a root key, and a user `admin` with every permission.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from iam_guard.api.protocol.app import AwsApi, aws_api
from iam_guard.factory import guard_with_store
from iam_guard.guard.guard import Guard
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.snapshot import Snapshot
from iam_guard.store.sql_store import SqlStore
from iam_guard.web.service import Service
from tests.api import in_process
from tests.api.clock import CLOCK
from tests.serving import serving

ACCOUNT = "111122223333"
OTHER_ACCOUNT = "444455556666"
ROOT_KEY = ("AKIAROOTKEY000000001", "root-secret")
ADMIN_KEY = ("AKIAADMINKEY00000001", "admin-secret")
OTHER_KEY = ("AKIAOTHERKEY00000001", "other-secret")

SEED = f"""
version: 1
accounts:
  - id: "{ACCOUNT}"
    name: acme
    root: {{email: root@acme.example, access_keys: [{{id: {ROOT_KEY[0]}, secret: {ROOT_KEY[1]}}}]}}
    users:
      - name: admin
        attached: [AdministratorAccess]
        access_keys: [{{id: {ADMIN_KEY[0]}, secret: {ADMIN_KEY[1]}}}]
  - id: "{OTHER_ACCOUNT}"
    name: globex
    users:
      - name: admin
        attached: [AdministratorAccess]
        access_keys: [{{id: {OTHER_KEY[0]}, secret: {OTHER_KEY[1]}}}]
"""

Client = Any
"""A client of boto3, which has no types."""


@dataclass(frozen=True)
class Running:
    """The server: its address, guard and store."""

    url: str
    guard: Guard
    store: SqlStore
    snapshot: Snapshot
    api: AwsApi | None = field(default=None, kw_only=True)

    def change(self, monkeypatch: pytest.MonkeyPatch, **values: object) -> None:
        """Replace what the server has for all calls."""
        assert self.api is not None
        monkeypatch.setattr(self.api, "server", replace(self.api.server, **values))

    def client(self, key: tuple[str, str], service: str = "iam", region: str = "us-east-1") -> Client:
        """Return a client with a key, without retries: over HTTP, or in the process (`in_process`)."""
        if in_process.is_chosen:
            return in_process.KeyClient(self.guard, key, service)
        return boto3.client(
            service,
            endpoint_url=self.url,
            aws_access_key_id=key[0],
            aws_secret_access_key=key[1],
            region_name=region,
            config=Config(retries={"max_attempts": 1, "mode": "standard"}),
        )

    def reset(self) -> None:
        """Restore the initial state."""
        self.snapshot.restore()
        self.guard.refresh()
        self.guard.uses.forget()


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    """The server of the whole session; tests use `server`, which is reset."""
    settings = Settings()
    store = create_store("sqlite://", settings)
    apply_seed(store, load_seed_text(SEED))
    snapshot = Snapshot(store.engine)
    guard = guard_with_store(store, settings, services=[Service("docs")])
    guard.clock = CLOCK
    api = aws_api(guard)
    with serving(api) as url:
        guard.settings = replace(settings, issuer_url=url)
        yield Running(url, guard, store, snapshot, api=api)
    snapshot.close()
    guard.close()


@pytest.fixture
def server(running: Running) -> Iterator[Running]:
    """The server in its initial state, with a stopped clock."""
    running.reset()
    CLOCK.stop()
    yield running
    CLOCK.resume()


@pytest.fixture
def now(server: Running) -> int:
    """The time of the server in seconds since 1970."""
    return CLOCK.seconds()


@pytest.fixture
def iam(server: Running) -> Client:
    """A user with every permission."""
    return server.client(ADMIN_KEY)


@pytest.fixture
def root(server: Running) -> Client:
    """The root user."""
    return server.client(ROOT_KEY)


@pytest.fixture
def other_account(server: Running) -> Client:
    """A user with every permission in another account."""
    return server.client(OTHER_KEY)


@pytest.fixture
def client_for(server: Running) -> Callable[..., Client]:
    """Create a user with these statements, and return a client with its key."""

    def make(name: str, *statements: dict[str, Any]) -> Client:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        key = (f"AKIA{name.upper():0>16.16}", f"secret-of-{name}")
        inline = {"Statements": json.loads(document)} if statements else {}
        user = {"name": name, "inline": inline, "access_keys": [{"id": key[0], "secret": key[1]}]}
        seed = {"version": 1, "accounts": [{"id": ACCOUNT, "name": "acme", "users": [user]}]}
        apply_seed(server.store, load_seed_text(json.dumps(seed)))
        server.guard.refresh()
        return server.client(key)

    return make


def allow(action: str | list[str], resource: str | list[str] = "*", **condition: Any) -> dict[str, Any]:
    """Return an Allow statement; `condition` is operator -> key -> values."""
    statement: dict[str, Any] = {"Effect": "Allow", "Action": action, "Resource": resource}
    return statement | ({"Condition": condition} if condition else {})


@pytest.fixture
def refused() -> Callable[..., AbstractContextManager[None]]:
    """Expect an error by its code and a part of its message."""
    return refusal


@contextmanager
def refusal(code: str, sentence: str = "", status: int | None = None) -> Iterator[None]:
    """Expect an error by its code, a part of its message and its status."""
    with pytest.raises(ClientError) as caught:
        yield
    answer = caught.value.response
    assert answer["Error"]["Code"] == code, answer
    assert sentence in answer["Error"]["Message"], answer
    assert status is None or answer["ResponseMetadata"]["HTTPStatusCode"] == status, answer
