"""The store that follows a seed file: valid edits are applied, invalid ones reported (design, section 4.2)."""

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
from iam_guard.store.seed.seed_follower import REST_SECONDS, FollowedSeedStore

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


def test_valid_edit_is_applied_completely(store: FollowedSeedStore, path: Path) -> None:
    """An edit replaces the whole content and increments the epoch; without one, the epoch stays."""
    epoch = store.epoch()
    path.write_text(seed("bob"))
    store.refresh()
    assert store.epoch() == epoch + 1
    assert (exists(store, "alice"), exists(store, "bob"), store.problem) == (False, True, None)
    store.refresh()
    assert store.epoch() == epoch + 1


def test_removed_account_is_deleted_with_its_users(store: FollowedSeedStore, path: Path) -> None:
    """An account that is removed from the file is deleted with its users."""
    path.write_text('version: 1\naccounts: [{id: "444455556666"}]')
    store.refresh()
    assert not exists(store, "alice")
    assert not store.account(ACME).exists


def test_invalid_edit_keeps_last_valid_state(
    store: FollowedSeedStore, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged once, and reported until it is fixed."""
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


def test_edit_with_invalid_reference_keeps_last_valid_state(store: FollowedSeedStore, path: Path) -> None:
    """Errors that are found while it is applied keep the last valid state too."""
    path.write_text(seed("bob") + "        attached: [None]\n")
    store.refresh()
    assert store.problem is not None
    assert "no managed policy `None`" in store.problem
    assert exists(store, "alice")


def test_invalid_file_at_start_is_an_error(open_followed: Open, path: Path) -> None:
    """There is no last valid state at the start; a missing file is an error as well."""
    path.write_text("version: 2")
    with pytest.raises(SeedError, match="expected version 1"):
        open_followed()
    path.unlink()
    with pytest.raises(SeedError, match="cannot be read"):
        open_followed()


def test_replaced_file_is_followed(store: FollowedSeedStore, path: Path) -> None:
    """Editors rename the old file and create a new one; in between, the last valid state is kept."""
    path.rename(path.with_suffix(".bak"))
    store.refresh()
    assert store.problem == "iam.yaml: cannot be read: No such file or directory"
    assert exists(store, "alice")
    path.write_text(seed("bob"))
    store.refresh()
    assert (store.problem, exists(store, "alice"), exists(store, "bob")) == (None, False, True)


def test_edits_of_same_size_within_one_tick_are_seen(store: FollowedSeedStore, path: Path) -> None:
    """Two edits of the same size within one tick of the file system's clock are distinguished."""
    stat = path.stat()
    for name in ("bobby", "carol"):
        path.write_text(seed(name))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        store.refresh()
        assert exists(store, name)


def test_unchanged_file_is_not_read_again(
    store: FollowedSeedStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while, only its metadata is checked."""
    old = time.time() - 60
    os.utime(path, (old, old))
    store.refresh()
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail("was read"))
    store.refresh()
    store.epoch()


def test_just_written_file_is_not_read_yet(
    store: FollowedSeedStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`epoch` reads a file only a moment after the last write, so that an incomplete file is not applied."""
    path.write_text(seed("bob"))
    written = path.stat().st_mtime
    monkeypatch.setattr(time, "time", lambda: written + REST_SECONDS / 2)
    epoch = store.epoch()
    assert exists(store, "alice")
    monkeypatch.setattr(time, "time", lambda: written + REST_SECONDS * 2)
    assert store.epoch() == epoch + 1
    assert exists(store, "bob")


def test_file_overwritten_while_read_is_not_applied(
    store: FollowedSeedStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write between the check and the read is detected, and nothing incomplete is applied."""
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


def test_file_name_with_nul_is_a_problem(store: FollowedSeedStore, path: Path) -> None:
    """A file name with a null byte is a problem of the seed, at every check."""
    path.write_text(seed("bob") + '        inline: {Edit: {file: "a\\0b"}}\n')
    for _ in range(3):
        store.refresh()
    assert store.problem is not None
    assert "cannot read the file" in store.problem


def test_referenced_files_are_followed(store: FollowedSeedStore, path: Path) -> None:
    """A separate document is followed as well, missing and fixed."""
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


def test_edit_of_old_referenced_file_is_seen(store: FollowedSeedStore, path: Path) -> None:
    """Also if seed and file had not changed for long before."""
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
    """Two processes that follow one file give a user the same unique id, so that sessions are valid in both."""
    alice = Principal.from_arn(f"arn:aws:iam::{ACME}:user/alice")
    one, two = (open_followed().principal(alice).principal.userid for _ in range(2))
    assert one is not None
    assert one == two
