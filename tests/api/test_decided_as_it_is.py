"""An entity that changes between decision and execution is authorized again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from iam_guard.api.call import ApiServer
from iam_guard.api.iam.operations import IAM
from iam_guard.api.operation import MAX_TRIES, OperationRequest, Permission, run
from iam_guard.errors import AccessDenied, ConcurrentModification
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.opening import create_store
from iam_guard.store.schema import identities
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.sql_store import SqlStore

ACCOUNT = "111122223333"
ROOT = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:root", userid=ACCOUNT)
SEED = f"""
version: 1
accounts:
  - id: "{ACCOUNT}"
    name: acme
    users: [{{name: ann, tags: {{team: docs}}}}]
"""


@pytest.fixture
def store() -> Iterator[SqlStore]:
    opened = create_store("sqlite://", Settings())
    assert isinstance(opened, SqlStore)
    apply_seed(opened, load_seed_text(SEED))
    yield opened
    opened.close()


def delete_ann(store: SqlStore, authorize: Callable[[Permission], object]) -> None:
    run(OperationRequest(ApiServer(store), IAM, "DeleteUser", {"UserName": "ann"}, ROOT, now=1_800_000_000), authorize)


def tag(store: SqlStore, team: str) -> None:
    with store.write_transaction() as records:
        records.update(identities, {"tags": {"team": team}}, folded="ann")


def is_there(store: SqlStore) -> bool:
    with store.read_transaction() as records:
        return records.one(identities, folded="ann") is not None


def test_changed_entity_is_authorized_again(store: SqlStore) -> None:
    """Its tags change before the execution, and the second decision denies."""
    teams: list[str] = []

    def authorize(permission: Permission) -> None:
        teams.append(permission.resource.tags["team"])
        if teams[-1] != "docs":
            raise AccessDenied("no")
        tag(store, "board")

    with pytest.raises(AccessDenied):
        delete_ann(store, authorize)
    assert teams == ["docs", "board"]
    assert is_there(store)


def test_changed_entity_may_still_be_allowed(store: SqlStore) -> None:
    teams: list[str] = []

    def authorize(permission: Permission) -> None:
        teams.append(permission.resource.tags["team"])
        if len(teams) == 1:
            tag(store, "board")

    delete_ann(store, authorize)
    assert teams == ["docs", "board"]
    assert not is_there(store)


def test_constantly_changing_entity_is_given_up(store: SqlStore) -> None:
    """After a few tries, with ConcurrentModification."""
    teams: list[str] = []

    def authorize(permission: Permission) -> None:
        teams.append(permission.resource.tags["team"])
        tag(store, f"team-{len(teams)}")

    with pytest.raises(ConcurrentModification):
        delete_ann(store, authorize)
    assert len(teams) == MAX_TRIES
    assert is_there(store)
