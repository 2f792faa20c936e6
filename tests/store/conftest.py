"""The seed that the store's tests share, and every kind of Store opened on it."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine

from iam_guard.settings import Settings
from iam_guard.store.cached import CachedStore
from iam_guard.store.engine import make_engine
from iam_guard.store.followed import FollowedSeedStore
from iam_guard.store.migrations import downgrade
from iam_guard.store.opening import init_store, open_database
from iam_guard.store.protocol import Store
from iam_guard.store.sealing import new_key
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore

POSTGRESQL = os.environ.get("IAM_GUARD_TEST_POSTGRESQL", "")
"""The URL of a database that may be emptied; without it, PostgreSQL is left out."""

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
              Principal: {AWS: ["arn:aws:iam::111122223333:user/bob", "arn:aws:iam::123123123123:user/else"]}
              Action: docs:GetDocument
              Resource: "*"
      - arn: arn:aws:docs:us-east-1:111122223333:document/bare
"""


@pytest.fixture
def seed_text() -> str:
    return SEED


@pytest.fixture
def settings() -> Settings:
    return Settings(epoch_poll=0.0)


def _memory(tmp_path: Path, settings: Settings) -> Store:
    store = open_database("sqlite://", settings)
    apply_seed(store, load_seed_text(SEED))
    return store


def _file(tmp_path: Path, settings: Settings) -> Store:
    store = open_database(f"sqlite:///{tmp_path}/iam-guard.db", settings)
    apply_seed(store, load_seed_text(SEED))
    return store


def _postgresql(tmp_path: Path, settings: Settings) -> Store:
    store = _empty_postgresql(settings)
    apply_seed(store, load_seed_text(SEED))
    return store


def _empty_postgresql(settings: Settings) -> SqlStore:
    engine = make_engine(POSTGRESQL)
    downgrade(engine)
    engine.dispose()
    return init_store(POSTGRESQL, replace(settings, sealing_keys=(base64.b64encode(new_key()).decode(),)))


def _cached(tmp_path: Path, settings: Settings) -> Store:
    return CachedStore(_memory(tmp_path, settings), settings)


def _followed(tmp_path: Path, settings: Settings) -> Store:
    path = tmp_path / "iam.yaml"
    path.write_text(SEED)
    return FollowedSeedStore(path, settings)


_KINDS: dict[str, Callable[[Path, Settings], Store]] = {
    "memory": _memory,
    "file": _file,
    "cached": _cached,
    "followed": _followed,
} | ({"postgresql": _postgresql} if POSTGRESQL else {})


@pytest.fixture(params=_KINDS)
def any_store(request: pytest.FixtureRequest, tmp_path: Path, settings: Settings) -> Iterator[Store]:
    """Each kind of Store, holding `SEED`."""
    store = _KINDS[request.param](tmp_path, settings)
    yield store
    store.close()


@pytest.fixture(params=["memory", "postgresql"] if POSTGRESQL else ["memory"])
def empty(request: pytest.FixtureRequest, settings: Settings) -> Iterator[SqlStore]:
    """An empty store."""
    store = _empty_postgresql(settings) if request.param == "postgresql" else open_database("sqlite://", settings)
    yield store
    store.close()


@pytest.fixture
def open_engine() -> Iterator[Callable[[str], Engine]]:
    """Make engines that are closed when the test ends."""
    engines: list[Engine] = []

    def opened(url: str) -> Engine:
        engines.append(make_engine(url))
        return engines[-1]

    yield opened
    for engine in engines:
        engine.dispose()
