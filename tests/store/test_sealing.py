"""Sealing: what was sealed opens with its key and context, and with nothing else (design, section 5)."""

from __future__ import annotations

import base64
import logging
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.errors import ConfigurationError, StoreUnavailable
from iam_guard.settings import Settings
from iam_guard.store.sealing import Sealer, create_key_file, key_file_beside, load_key_ring, new_key

KEY, OTHER = b"k" * 32, b"o" * 32
SEALER = Sealer([KEY])


def base64_of(key: bytes) -> str:
    return base64.b64encode(key).decode()


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_open_is_the_inverse_of_seal(plaintext: bytes, context: bytes) -> None:
    """What is sealed opens again, and looks different each time (law)."""
    sealed = SEALER.seal(plaintext, context)
    assert SEALER.open(sealed, context) == plaintext
    assert SEALER.seal(plaintext, context) != sealed


@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    """A sealed value that differs in one bit anywhere, or is cut off, does not open."""
    sealed = bytearray(SEALER.seal(b"a secret access key", b"AKIA"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    cut = bytes(sealed[:place])
    sealed[place] ^= 1 << data.draw(st.integers(0, 7))
    for changed in (bytes(sealed), cut):
        with pytest.raises(StoreUnavailable):
            SEALER.open(changed, b"AKIA")


def test_other_context() -> None:
    """A sealed value can't be moved: it opens in its own place only."""
    with pytest.raises(StoreUnavailable):
        SEALER.open(SEALER.seal(b"secret", b"access-key:A"), b"access-key:B")


def test_rotation() -> None:
    """The first key seals, all of them open; a key that left the ring opens nothing any more."""
    old = SEALER.seal(b"secret", b"A")
    rotated = Sealer([OTHER, KEY])
    assert rotated.open(old, b"A") == b"secret"
    assert Sealer([OTHER]).open(rotated.seal(b"new", b"A"), b"A") == b"new"
    with pytest.raises(StoreUnavailable, match="a key that is not in the key ring"):
        Sealer([OTHER]).open(old, b"A")


@pytest.mark.parametrize("keys", [[], [b"short"], [KEY, b"x" * 31]])
def test_bad_keys(keys: list[bytes]) -> None:
    """A ring is made of 32-byte keys, one at least."""
    with pytest.raises(ConfigurationError):
        Sealer(keys)


def test_no_key_shows() -> None:
    """No key is in a repr or in the error about a bad one."""
    assert repr(Sealer([KEY, OTHER])) == "Sealer(<2 keys>)"
    with pytest.raises(ConfigurationError) as caught:
        load_key_ring(Settings(sealing_keys=("c2VjcmV0LWtleQ==",)), "sqlite://")
    assert "c2VjcmV0" not in str(caught.value)
    assert "secret-key" not in str(caught.value)


def test_where_the_keys_come_from(tmp_path: Path) -> None:
    """The settings' keys come before the settings' file, and that before the file beside the database."""
    url, sealed = f"sqlite:///{tmp_path}/a.db", {key: Sealer([key]).seal(b"x", b"") for key in (KEY, OTHER)}
    named = tmp_path / "named.key"
    named.write_text(f"# rotated in May\n\n{base64_of(OTHER)}\n{base64_of(KEY)}\n")
    named.chmod(0o600)
    from_settings = load_key_ring(Settings(sealing_keys=(base64_of(KEY),), sealing_key_file=str(named)), url)
    assert from_settings.open(sealed[KEY], b"") == b"x"
    with pytest.raises(StoreUnavailable):
        from_settings.open(sealed[OTHER], b"")
    from_file = load_key_ring(Settings(sealing_key_file=str(named)), url)
    assert {from_file.open(sealed[key], b"") for key in (KEY, OTHER)} == {b"x"}
    beside = key_file_beside(url)
    assert beside == tmp_path / "a.db.key"
    assert beside is not None
    assert create_key_file(beside)
    value = load_key_ring(Settings(), url).seal(b"x", b"")
    assert load_key_ring(Settings(), url).open(value, b"") == b"x"


def test_store_in_memory_needs_no_key() -> None:
    """A store in memory gets a key of its own, which nobody else has."""
    one, two = load_key_ring(Settings(), "sqlite://"), load_key_ring(Settings(), "sqlite://")
    with pytest.raises(StoreUnavailable):
        two.open(one.seal(b"x", b""), b"")


@pytest.mark.parametrize("url", ["postgresql+psycopg://user:hunter2@host/db", "sqlite:///{folder}/a.db"])
def test_no_key_to_be_found(tmp_path: Path, url: str) -> None:
    """Without any key the error names what to set, and nothing of the URL's password."""
    with pytest.raises(ConfigurationError, match="IAM_GUARD_SEALING_KEYS") as caught:
        load_key_ring(Settings(), url.format(folder=tmp_path))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "# nothing\n", "not base64!\n", base64_of(b"short"), "\udcff"])
def test_bad_key_file(tmp_path: Path, content: str) -> None:
    """A key file without a good key is refused."""
    path = tmp_path / "a.key"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    path.chmod(0o600)
    with pytest.raises(ConfigurationError):
        load_key_ring(Settings(sealing_key_file=str(path)), "sqlite://")


def test_new_key_file(tmp_path: Path) -> None:
    """A key file is readable by its owner alone, and an existing one is never written over."""
    path = tmp_path / "a.db.key"
    assert create_key_file(path)
    content = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not create_key_file(path)
    assert path.read_bytes() == content
    assert [found.name for found in tmp_path.iterdir()] == ["a.db.key"]
    with pytest.raises(ConfigurationError, match="cannot create the key file"):
        create_key_file(tmp_path / "none" / "a.key")


def test_key_file_that_others_can_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A key file that others can read is used, with a warning that doesn't show the key."""
    path = tmp_path / "a.key"
    key = base64_of(new_key())
    path.write_text(key)
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING, "iam_guard.store"):
        load_key_ring(Settings(sealing_key_file=str(path)), "sqlite://")
    assert "can be read by other users" in caplog.text
    assert key not in caplog.text
