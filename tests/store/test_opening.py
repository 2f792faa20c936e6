"""Opening a store: the forms of its setting, what is created, what is refused (design, section 4.2)."""

from __future__ import annotations

import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from iam_guard import open_guard
from iam_guard.errors import ConfigurationError, StoreUnavailable
from iam_guard.settings import Settings
from iam_guard.store import migrations
from iam_guard.store.cache.cached_store import CachedStore
from iam_guard.store.location import is_seed_file
from iam_guard.store.opening import accept_sealing_keys, check_store, create_store, open_database, open_store
from iam_guard.store.seed import apply_seed, load_seed_text
from iam_guard.store.seed.seed_follower import FollowedSeedStore
from iam_guard.store.sql_store import SqlStore
from tests.store.databases import SEALING_KEY
from tests.tables import table

OTHER_KEY = "b" * 43 + "="
SEED = 'version: 1\naccounts: [{id: "111122223333", root: {access_keys: [{id: AKIA, secret: s3cret}]}}]'


@table(
    ("name", "is_seed"),
    [
        ("iam.yaml", True),
        ("deep/IAM.YML", True),
        ("/etc/iam.json", True),
        ("sqlite:///iam.yaml", False),
        ("iam.db", False),
        ("sqlite://", False),
    ],
)
def test_seed_file_is_recognized_by_suffix(name: str, is_seed: bool) -> None:
    """A path that ends in `.yaml`, `.yml` or `.json` is a seed file, everything with `://` a database."""
    assert is_seed_file(name) is is_seed


@pytest.mark.parametrize("is_empty_file", [False, True])
def test_missing_store_is_created_only_on_request(tmp_path: Path, is_empty_file: bool) -> None:
    """The error names the file and both ways to create it; no file and no sealing key is written."""
    path = tmp_path / "typo.db"
    if is_empty_file:
        path.touch()
    for opened in (lambda: open_store(f"sqlite:///{path}", Settings()), lambda: open_guard(f"sqlite:///{path}")):
        with pytest.raises(ConfigurationError) as refused:
            opened()
        message = f"expected a store in `{path}`, got none: run `iam-guard init --store sqlite:///{path}` to create it"
        assert str(refused.value) == f"{message}, or pass `create=True` in Python (at store)"
    assert {found.name: found.stat().st_size for found in tmp_path.iterdir()} == (
        {"typo.db": 0} if is_empty_file else {}
    )
    open_guard(f"sqlite:///{path}", create=True).close()
    open_guard(f"sqlite:///{path}").close()


def test_relative_path_is_completed_in_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual mistake is another working directory."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=f"expected a store in `{tmp_path}/iam-guard.db`"):
        open_guard("sqlite:///iam-guard.db")


def test_database_in_memory_and_seed_need_no_create(tmp_path: Path) -> None:
    (tmp_path / "iam.yaml").write_text(SEED)
    open_guard("sqlite://").close()
    open_guard(tmp_path / "iam.yaml").close()


def test_empty_postgresql_database_is_a_missing_store(bare_postgresql: str) -> None:
    """The error names the database, not the URL with its password."""
    settings = Settings(sealing_keys=(SEALING_KEY,))
    name = bare_postgresql.rpartition("/")[2]
    with pytest.raises(
        ConfigurationError, match=f"expected a store in the database `{name}`, got none: run"
    ) as refused:
        open_store(bare_postgresql, settings)
    assert "postgresql" not in str(refused.value)
    check_store(bare_postgresql, settings)
    open_store(bare_postgresql, settings, create=True).close()
    open_store(bare_postgresql, settings).close()


def test_created_store_and_key_are_private(tmp_path: Path) -> None:
    """Both files are readable by their owner only, and the second run opens the same store."""
    url = f"sqlite:///{tmp_path}/iam-guard.db"
    first = open_store(url, Settings(), create=True)
    assert isinstance(first, SqlStore)
    apply_seed(first, load_seed_text(SEED))
    first.close()
    modes = {found.name: stat.S_IMODE(found.stat().st_mode) for found in tmp_path.iterdir()}
    assert modes == {"iam-guard.db": 0o600, "iam-guard.db.key": 0o600}
    second = open_store(url, Settings())
    key = second.access_key("AKIA")
    second.close()
    assert key is not None
    assert key.secret == "s3cret"
    assert b"s3cret" not in (tmp_path / "iam-guard.db").read_bytes()


def test_seed_file_opens_a_following_store(tmp_path: Path) -> None:
    """A seed file becomes a store that follows it."""
    (tmp_path / "iam.yaml").write_text(SEED)
    store = open_store(str(tmp_path / "iam.yaml"), Settings())
    assert isinstance(store, FollowedSeedStore)
    assert store.account("111122223333").exists
    store.close()


def test_lost_key_file_is_not_replaced(tmp_path: Path) -> None:
    """A database without its key file is refused: a new key would open nothing."""
    url = f"sqlite:///{tmp_path}/a.db"
    create_store(url, Settings()).close()
    (tmp_path / "a.db.key").unlink()
    for opened in (open_store, create_store):
        with pytest.raises(
            ConfigurationError, match=r"cannot read the sealing key file .*: restore it, or set "
        ) as caught:
            opened(url, Settings())
        assert "iam-guard init" not in str(caught.value)  # which raises the same error
    assert not (tmp_path / "a.db.key").exists()


def test_store_does_not_open_with_other_keys(tmp_path: Path) -> None:
    """Neither for the application, nor for a command that creates or checks stores."""
    url = f"sqlite:///{tmp_path}/a.db"
    create_store(url, Settings()).close()
    other = Settings(sealing_keys=(OTHER_KEY,))
    for opening in (open_database, create_store, check_store):
        with pytest.raises(ConfigurationError, match="expected the sealing keys of this store, got others"):
            opening(url, other)
    own = (tmp_path / "a.db.key").read_text().strip()
    open_database(url, Settings(sealing_keys=(OTHER_KEY, own))).close()
    open_database(url, Settings()).close()


def test_store_whose_keys_are_lost_opens_with_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Once an operator accepts them. The log names the lost secrets; an applied seed seals them with the new key."""
    url = f"sqlite:///{tmp_path}/a.db"
    store = create_store(url, Settings())
    apply_seed(store, load_seed_text(SEED))
    store.close()
    settings = Settings(sealing_keys=(OTHER_KEY,))
    accept_sealing_keys(url, settings)
    other = open_database(url, settings)
    with pytest.raises(StoreUnavailable, match="not among the sealing keys"):
        other.access_key("AKIA")
    sealed = "a secret was sealed with a key that is not among the sealing keys"
    assert caplog.messages == [f"access key AKIA cannot be used: {sealed}"]
    assert apply_seed(other, load_seed_text(SEED)).lines == ("updated root user of account 111122223333: access keys",)
    key = other.access_key("AKIA")
    other.close()
    assert key is not None
    assert key.secret == "s3cret"


def test_folder_of_store_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot create"):
        open_store(f"sqlite:///{tmp_path}/none/a.db", Settings(), create=True)


def test_older_schema_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening does not upgrade: `iam-guard init` does."""
    url = f"sqlite:///{tmp_path}/a.db"
    create_store(url, Settings()).close()
    known = migrations._revisions()
    monkeypatch.setattr(migrations, "_revisions", lambda: known | {"9999"})
    with pytest.raises(ConfigurationError, match="expected a store with the current schema"):
        open_store(url, Settings())


def test_partition_of_settings_is_in_arns(tmp_path: Path) -> None:
    """The partition of the settings is used in all ARNs."""
    store = open_database("sqlite://", Settings(partition="aws-cn"))
    apply_seed(store, load_seed_text(SEED, partition="aws-cn"))
    key = store.access_key("AKIA")
    store.close()
    assert key is not None
    assert key.principal.arn == "arn:aws-cn:iam::111122223333:root"


WRITER = """
import sys
from iam_guard.settings import Settings
from iam_guard.store.opening import open_database
from iam_guard.store.seed import apply_seed, load_seed_text
store = open_database(sys.argv[1], Settings())
print(apply_seed(store, load_seed_text(sys.argv[2])).epoch)
"""


def test_write_of_another_process_is_seen(tmp_path: Path) -> None:
    """Within `epoch_poll` (T-1)."""
    url, settings = f"sqlite:///{tmp_path}/a.db", Settings(epoch_poll=0.05)
    cached = CachedStore(open_store(url, settings, create=True), settings)
    assert (cached.epoch(), cached.account("111122223333").exists) == (1, False)
    subprocess.run([sys.executable, "-c", WRITER, url, SEED], check=True, capture_output=True)
    time.sleep(settings.epoch_poll)
    assert (cached.account("111122223333").exists, cached.epoch()) == (True, 2)
    cached.close()
