"""The store that follows a seed file: good edits are taken, bad ones are told and change nothing (design, 4.2)."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iam_guard.errors import SeedError
from iam_guard.model.principal import Principal
from iam_guard.settings import Settings
from iam_guard.store.seed_follower import REST_SECONDS, FollowedSeedStore

ACME = "111122223333"
HEAD = f'version: 1\naccounts:\n  - id: "{ACME}"\n    users:\n'


def seed(*users: str) -> str:
    return HEAD + "".join(f"      - name: {user}\n" for user in users)


def exists(store: FollowedSeedStore, user: str) -> bool:
    return store.principal(Principal.from_arn(f"arn:aws:iam::{ACME}:user/{user}")).exists


Open = Callable[[], FollowedSeedStore]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "iam.yaml"
    path.write_text(seed("alice"))
    return path


@pytest.fixture
def open_followed(path: Path) -> Iterator[Open]:
    stores: list[FollowedSeedStore] = []

    def opened() -> FollowedSeedStore:
        stores.append(FollowedSeedStore(path, Settings()))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


@pytest.fixture
def store(open_followed: Open) -> FollowedSeedStore:
    return open_followed()


def test_good_edit(store: FollowedSeedStore, path: Path) -> None:
    """An edit is taken as the whole truth, and raises the epoch; no edit raises nothing."""
    epoch = store.epoch()
    path.write_text(seed("bob"))
    store.refresh()
    assert store.epoch() == epoch + 1
    assert (exists(store, "alice"), exists(store, "bob"), store.problem) == (False, True, None)
    store.refresh()
    assert store.epoch() == epoch + 1


def test_account_that_is_gone(store: FollowedSeedStore, path: Path) -> None:
    """An account that the file no longer has is gone with its users."""
    path.write_text('version: 1\naccounts: [{id: "444455556666"}]')
    store.refresh()
    assert not exists(store, "alice")
    assert not store.account(ACME).exists


def test_bad_edit(store: FollowedSeedStore, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A bad edit keeps the last good state, is logged once, and is told until it is mended."""
    epoch = store.epoch()
    path.write_text(seed("bob") + "        grups: []\n")
    with caplog.at_level(logging.WARNING, "iam_guard.store"):
        for _ in range(5):
            store.refresh()
    [record] = caplog.records
    assert "iam.yaml:6: unknown key `grups`, did you mean `groups`" in record.getMessage()
    assert store.problem is not None
    assert store.problem.startswith("iam.yaml:6: ")
    assert (store.epoch(), exists(store, "alice"), exists(store, "bob")) == (epoch, True, False)
    path.write_text(seed("bob"))
    store.refresh()
    assert (store.problem, exists(store, "bob")) == (None, True)


def test_edit_that_only_the_store_can_refuse(store: FollowedSeedStore, path: Path) -> None:
    """What is found to be bad while it is applied keeps the last good state too."""
    path.write_text(seed("bob") + "        attached: [None]\n")
    store.refresh()
    assert store.problem is not None
    assert "no managed policy `None`" in store.problem
    assert exists(store, "alice")


def test_bad_from_the_start(open_followed: Open, path: Path) -> None:
    """There is no last good state at the start, so a bad file is an error, and so is none."""
    path.write_text("version: 2")
    with pytest.raises(SeedError, match="expected version 1"):
        open_followed()
    path.unlink()
    with pytest.raises(SeedError, match="cannot be read"):
        open_followed()


def test_editor_that_replaces_the_file(store: FollowedSeedStore, path: Path) -> None:
    """Editors move the old file away and put a new one in its place; in between, the last good state stays."""
    path.rename(path.with_suffix(".bak"))
    store.refresh()
    assert store.problem == "iam.yaml: cannot be read: No such file or directory"
    assert exists(store, "alice")
    path.write_text(seed("bob"))
    store.refresh()
    assert (store.problem, exists(store, "alice"), exists(store, "bob")) == (None, False, True)


def test_same_size_within_one_tick(store: FollowedSeedStore, path: Path) -> None:
    """Two edits of the same size within one tick of the file system's clock are told apart."""
    stat = path.stat()
    for name in ("bobby", "carol"):
        path.write_text(seed(name))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        store.refresh()
        assert exists(store, name)


def test_file_that_rests_is_not_read(store: FollowedSeedStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was left alone for a while is looked at and not read."""
    old = time.time() - 60
    os.utime(path, (old, old))
    store.refresh()
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("was read"))
    store.refresh()
    store.epoch()


def test_file_that_is_being_written(store: FollowedSeedStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is taken by `epoch` once it has been left alone for a moment, so that half a file is not read."""
    path.write_text(seed("bob"))
    written = path.stat().st_mtime
    monkeypatch.setattr(time, "time", lambda: written + REST_SECONDS / 2)
    epoch = store.epoch()
    assert exists(store, "alice")
    monkeypatch.setattr(time, "time", lambda: written + REST_SECONDS * 2)
    assert store.epoch() == epoch + 1
    assert exists(store, "bob")


def test_file_that_is_overwritten_while_it_is_read(
    store: FollowedSeedStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that begins after the look at the file and before the reading is noticed, and nothing half is taken."""
    read_bytes, epoch = Path.read_bytes, store.epoch()
    path.write_text(seed("bob"))
    written = path.stat().st_mtime
    os.utime(path, (written - 1, written - 1))
    monkeypatch.setattr(time, "time", lambda: written)

    def overwritten(path: Path) -> bytes:
        path.write_text(HEAD.removesuffix("    users:\n"))
        os.utime(path, (written, written))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", overwritten)
    assert (store.epoch(), store.problem, exists(store, "alice")) == (epoch, None, True)
    monkeypatch.undo()
    path.write_text(seed("bob", "carol"))
    store.refresh()
    assert (exists(store, "alice"), exists(store, "carol")) == (False, True)


def test_name_that_no_file_can_have(store: FollowedSeedStore, path: Path) -> None:
    """A name with a null byte is a problem of the seed, now and at every look that follows."""
    path.write_text(seed("bob") + '        inline: {Edit: {file: "a\\0b"}}\n')
    for _ in range(3):
        store.refresh()
    assert store.problem is not None
    assert "cannot read the file" in store.problem


def test_files_named_by_the_seed(store: FollowedSeedStore, path: Path) -> None:
    """A document in a file of its own is followed as well, missing and mended."""
    document = path.with_name("edit.json")
    path.write_text(seed("alice") + "        inline: {Edit: {file: edit.json}}\n")
    store.refresh()
    assert store.problem is not None
    assert "cannot read the file `edit.json`" in store.problem
    for action in ("docs:Get*", "docs:Put*"):
        document.write_text(f'{{"Statement": {{"Effect": "Allow", "Action": "{action}", "Resource": "*"}}}}')
        store.refresh()
        [policy] = store.principal(Principal.from_arn(f"arn:aws:iam::{ACME}:user/alice")).identity
        assert (store.problem, action in policy.text) == (None, True)


def test_named_file_that_rested(store: FollowedSeedStore, path: Path) -> None:
    """An edit of a named file alone is seen, also when seed and file were left alone for long before."""
    document = path.with_name("edit.json")
    old = time.time() - 60
    text = '{"Statement": {"Effect": "Allow", "Action": "docs:Get*", "Resource": "*"}}'
    document.write_text(text)
    path.write_text(seed("alice") + "        inline: {Edit: {file: edit.json}}\n")
    for file in (document, path):
        os.utime(file, (old, old))
    store.refresh()
    store.refresh()
    document.write_text(text.replace("Get", "Put"))
    store.refresh()
    [policy] = store.principal(Principal.from_arn(f"arn:aws:iam::{ACME}:user/alice")).identity
    assert "docs:Put*" in policy.text


def test_processes_agree_on_unique_ids(open_followed: Open) -> None:
    """Two processes that follow the same file give a user the same unique id, so that sessions hold in both."""
    alice = Principal.from_arn(f"arn:aws:iam::{ACME}:user/alice")
    one, two = (open_followed().principal(alice).principal.userid for _ in range(2))
    assert one is not None
    assert one == two
