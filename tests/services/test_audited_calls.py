"""Calls of the IAM API with a trail in a folder: on the disk before the answer, many at once, or refused."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from iam_guard.assemble import guard_on
from iam_guard.audit import append_file
from iam_guard.audit.signing_keys import create_signing_key_file
from iam_guard.settings import Settings
from iam_guard.store.opening import init_store
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.snapshot import Snapshot
from iam_guard.wire.app import aws_api
from tests.audit.pipelines import facts_in, gaps_in
from tests.services.conftest import ADMIN_KEY, SEED, Running
from tests.serving import serving


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[Running]:
    create_signing_key_file(tmp_path / "key")
    settings = Settings(audit=f"{tmp_path}/trail/", audit_key_file=f"{tmp_path}/key")
    store = init_store("sqlite://", settings)
    apply_seed(store, load_seed_text(SEED))
    snapshot = Snapshot(store.engine)
    guard = guard_on(store, settings)
    with serving(aws_api(guard)) as url:
        yield Running(url, guard, store, snapshot)
    snapshot.close()
    guard.close()


def users_named_in(trail: Path) -> list[str]:
    created = [each for each in facts_in(trail) if each["eventName"] == "CreateUser"]
    return [each["resources"][0]["ARN"].rpartition("/")[2] for each in created]


def test_concurrent_changes_are_in_the_trail_when_they_are_answered(audited: Running, tmp_path: Path) -> None:
    client = audited.client(ADMIN_KEY)

    def create(number: int) -> bool:
        name = f"u{number}"
        client.create_user(UserName=name)
        return name in users_named_in(tmp_path / "trail")

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(create, range(24)))


def test_what_is_not_on_the_disk_is_not_done(audited: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """503 and no user; once the disk is back, the gap is declared and the same call goes."""
    client: Any = audited.client(ADMIN_KEY)
    client.list_users()

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(append_file, "_sync", fail)
        with pytest.raises(ClientError) as caught:
            client.create_user(UserName="eve")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert [user["UserName"] for user in client.list_users()["Users"]] == ["admin"]
    client.create_user(UserName="eve")
    assert [gap["reason"] for gap in gaps_in(tmp_path / "trail")] == ["SyncFailed", "NotRecorded"]
