"""The shared seed of the store's tests, and every kind of Store with it, on both kinds of database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from iam_guard.settings import Settings
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.opening import create_store, open_database
from iam_guard.store.policies.policy_changes import InlinePolicy, PolicyChanges
from iam_guard.store.policies.policy_overlay import OverlaidStore
from iam_guard.store.protocol import Store
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.seed.seed_follower import FollowedSeedStore
from iam_guard.store.sql_store import SqlStore
from tests.store.databases import SEALING_KEY, Server, do_without, find_server, store_engine

SEED = """
version: 1
organization:
  id: o-exampleorg
  root_id: r-ab12
  management_account: "999900000000"
  policies:
    - name: DenyDelete
      type: SCP
      document: {Version: 2012-10-17, Statement: [{Sid: NoDelete, Effect: Deny, Action: "docs:Delete*", Resource: "*"}]}
    - name: OnlyTls
      type: RCP
      document:
        Version: 2012-10-17
        Statement:
          - Effect: Deny
            Principal: "*"
            Action: "docs:*"
            Resource: "*"
            Condition: {Bool: {aws:SecureTransport: false}}
  units:
    - name: tenants
      id: ou-ab12-11111111
      scps: [FullAWSAccess, DenyDelete]
      units:
        - name: gold
          id: ou-ab12-22222222
          rcps: [OnlyTls]
          accounts: ["111122223333", {id: "444455556666", scps: [DenyDelete]}]
aws_policies:
  - name: DocsReader
    path: /docs/
    document: {Version: 2012-10-17, Statement: [{Effect: Allow, Action: "docs:Get*", Resource: "*"}]}
accounts:
  - id: "999900000000"
    name: management
  - id: "555566667777"
    name: outside
  - id: "444455556666"
    name: globex
    users: [{name: eve}]
  - id: "111122223333"
    name: acme
    alias: acme-corp
    root:
      email: root@acme.example
      access_keys: [{id: AKIAROOT, secret: root-secret}]
    policies:
      - name: EditDocs
        path: /team/
        description: what editors do
        tags: {team: docs}
        document:
          Version: 2012-10-17
          Statement: [{Sid: Edit, Effect: Allow, Action: ["docs:Get*", "docs:Put*"], Resource: "*"}]
      - name: Boundary
        document: {Version: 2012-10-17, Statement: [{Effect: Allow, Action: "docs:*", Resource: "*"}]}
    groups:
      - name: editors
        attached: [EditDocs]
        inline:
          ListDocs: {Version: 2012-10-17, Statement: [{Effect: Allow, Action: "docs:List*", Resource: "*"}]}
    users:
      - name: alice
        path: /staff/
        groups: [editors]
        attached: [DocsReader]
        inline:
          EditOwn: |
            {"Version": "2012-10-17", "Statement": [
              {"Effect": "Allow", "Action": "docs:Put*", "Resource": "arn:aws:docs:*:*:own/${aws:username}/*"}
            ]}
        boundary: Boundary
        tags: {Department: Sales, cost: 100}
        access_keys:
          - {id: AKIAALICE, secret: alice-secret}
          - {id: AKIAOLD, secret: old-secret, status: Inactive}
        api_keys:
          - id: alicekey
            digest: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
            expires: 2030-01-31T00:00:00Z
            session_policy: {Version: 2012-10-17, Statement: [{Effect: Allow, Action: "docs:Get*", Resource: "*"}]}
      - name: bob
    roles:
      - name: Auditor
        path: /audit/
        max_session_duration: 7200
        trust:
          Version: 2012-10-17
          Statement:
            - {Effect: Allow, Principal: {AWS: "arn:aws:iam::111122223333:user/staff/alice"}, Action: "sts:AssumeRole"}
        attached: ["arn:aws:iam::aws:policy/docs/DocsReader"]
        tags: {Department: Audit}
        api_keys: [{id: auditkey, secret: AuditorSecretAuditorSecretAuditor01}]
    resources:
      - arn: arn:aws:docs:us-east-1:111122223333:document/plan
        tags: {stage: draft}
        policy:
          Version: 2012-10-17
          Statement:
            - Effect: Allow
              Principal: {AWS: ["arn:aws:iam::111122223333:user/bob", "arn:aws:iam::123123123123:root"]}
              Action: docs:GetDocument
              Resource: "*"
      - arn: arn:aws:docs:us-east-1:111122223333:document/bare
"""


@pytest.fixture
def seed_text() -> str:
    return SEED


@pytest.fixture
def settings() -> Settings:
    return Settings(epoch_poll=0.0, sealing_keys=(SEALING_KEY,))


# --- databases -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def found_server() -> Iterator[Server | str]:
    found = find_server()
    yield found
    if isinstance(found, Server):
        found.close()


@pytest.fixture
def server(found_server: Server | str) -> Server:
    """A PostgreSQL server; without one, the test is skipped."""
    if isinstance(found_server, str):
        do_without(found_server)
    assert isinstance(found_server, Server)
    return found_server


@pytest.fixture
def postgresql(server: Server) -> Iterator[str]:
    """The URL of a database on PostgreSQL with the current schema."""
    url = server.lend()
    yield url
    server.take_back(url)


@pytest.fixture
def bare_postgresql(server: Server) -> Iterator[str]:
    """The URL of an empty database on PostgreSQL."""
    url = server.create()
    yield url
    server.drop(url)


@pytest.fixture(params=["file", "postgresql"])
def bare_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database that several connections can use at once."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("bare_postgresql"))
    return f"sqlite:///{tmp_path}/iam-guard.db"


@pytest.fixture(params=["file", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> str:
    """The URL of a database with the current schema that several connections can use at once."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgresql"))
    url = f"sqlite:///{tmp_path}/iam-guard.db"
    create_store(url, settings).close()
    return url


NO_CHANGE = PolicyChanges("change.yaml", inline=[InlinePolicy("None", "arn:aws:iam::444455556666:user/eve", None, 1)])
"""Deletes an inline policy that does not exist."""


# --- stores --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["memory", "file", "postgresql", "cached", "followed", "overlay"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> Iterator[Store]:
    """Each kind of Store, with the content of `SEED`."""
    store: Store
    match request.param:
        case "followed":
            path = tmp_path / "iam.yaml"
            path.write_text(SEED)
            store = FollowedSeedStore(path, settings)
        case "cached":
            store = CachedStore(_seeded("sqlite://", settings), settings)
        case "overlay":
            inner = _seeded("sqlite://", settings)
            request.addfinalizer(inner.close)  # noqa: PT021 - of this kind alone
            store = OverlaidStore(inner, NO_CHANGE)
        case kind:
            store = _seeded(_url(request, kind), settings)
    yield store
    store.close()


@pytest.fixture(params=["memory", "postgresql"])
def empty(request: pytest.FixtureRequest, settings: Settings) -> Iterator[SqlStore]:
    """An empty store."""
    store = open_database(_url(request, request.param), settings, create=True)
    yield store
    store.close()


def _url(request: pytest.FixtureRequest, kind: str) -> str:
    match kind:
        case "memory":
            return "sqlite://"
        case "file":
            return f"sqlite:///{request.getfixturevalue('tmp_path')}/iam-guard.db"
        case _:
            return str(request.getfixturevalue("postgresql"))


def _seeded(url: str, settings: Settings) -> SqlStore:
    store = open_database(url, settings, create=True)
    apply_seed(store, load_seed_text(SEED))
    return store


@pytest.fixture
def open_engine() -> Iterator[Callable[[str], Engine]]:
    """Open engines that are closed when the test ends."""
    engines: list[Engine] = []

    def opened(url: str) -> Engine:
        engines.append(store_engine(url))
        return engines[-1]

    yield opened
    for engine in engines:
        engine.dispose()
