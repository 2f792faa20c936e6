"""Nothing is done to anything but what was decided about: what has become another meanwhile is decided about anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from iam_guard.api.iam.operations import IAM
from iam_guard.api.operation import MAX_TRIES, Permission, run
from iam_guard.errors import AccessDenied, ConcurrentModification
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.open_store import init_store
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
    opened = init_store("sqlite://", Settings())
    assert isinstance(opened, SqlStore)
    apply_seed(opened, load_seed_text(SEED))
    yield opened
    opened.close()


def delete_ann(store: SqlStore, authorize: Callable[[Permission], object]) -> None:
    run(IAM, "DeleteUser", {"UserName": "ann"}, caller=ROOT, store=store, authorize=authorize, now=1_800_000_000)


def tag(store: SqlStore, team: str) -> None:
    with store.changing() as records:
        records.update(identities, {"tags": {"team": team}}, folded="ann")


def is_there(store: SqlStore) -> bool:
    with store.viewing() as records:
        return records.one(identities, folded="ann") is not None


def test_what_became_another_is_decided_about_anew(store: SqlStore) -> None:
    """The tags that let the caller in are gone before the deed: it is asked again, and refused."""
    asked: list[str] = []

    def authorize(wanted: Permission) -> None:
        asked.append(wanted.resource.tags["team"])
        if asked[-1] != "docs":
            raise AccessDenied("no")
        tag(store, "board")

    with pytest.raises(AccessDenied):
        delete_ann(store, authorize)
    assert asked == ["docs", "board"]
    assert is_there(store)


def test_what_became_another_may_still_be_allowed(store: SqlStore) -> None:
    asked: list[str] = []

    def authorize(wanted: Permission) -> None:
        asked.append(wanted.resource.tags["team"])
        if len(asked) == 1:
            tag(store, "board")

    delete_ann(store, authorize)
    assert asked == ["docs", "board"]
    assert not is_there(store)


def test_what_changes_all_the_time_is_left_alone(store: SqlStore) -> None:
    """A handful of tries, then the caller is told to come again."""
    asked: list[str] = []

    def authorize(wanted: Permission) -> None:
        asked.append(wanted.resource.tags["team"])
        tag(store, f"team-{len(asked)}")

    with pytest.raises(ConcurrentModification):
        delete_ann(store, authorize)
    assert len(asked) == MAX_TRIES
    assert is_there(store)
