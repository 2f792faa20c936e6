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
from iam_guard.store.sealing import Sealer, create_key_file, default_key_file, load_sealer, new_key
from tests.tables import table

KEY, OTHER = b"k" * 32, b"o" * 32
SEALER = Sealer([KEY])


def base64_of(key: bytes) -> str:
    return base64.b64encode(key).decode()


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_open_is_the_inverse_of_seal(plaintext: bytes, context: bytes) -> None:
    """A sealed value opens again, and is different each time (law)."""
    sealed = SEALER.seal(plaintext, context)
    assert SEALER.open(sealed, context) == plaintext
    assert SEALER.seal(plaintext, context) != sealed


@given(st.data())
def test_altered_value_does_not_open(data: st.DataObject) -> None:
    """A sealed value that differs in one bit, or is cut off, does not open."""
    sealed = bytearray(SEALER.seal(b"a secret access key", b"AKIA"))
    place = data.draw(st.integers(0, len(sealed) - 1))
    cut = bytes(sealed[:place])
    sealed[place] ^= 1 << data.draw(st.integers(0, 7))
    for changed in (bytes(sealed), cut):
        with pytest.raises(StoreUnavailable):
            SEALER.open(changed, b"AKIA")


def test_value_does_not_open_in_other_context() -> None:
    """A sealed value can't be moved to another place."""
    with pytest.raises(StoreUnavailable):
        SEALER.open(SEALER.seal(b"secret", b"access-key:A"), b"access-key:B")


def test_first_key_seals_and_all_keys_open() -> None:
    """A removed key opens nothing any more."""
    old = SEALER.seal(b"secret", b"A")
    rotated = Sealer([OTHER, KEY])
    assert rotated.open(old, b"A") == b"secret"
    assert Sealer([OTHER]).open(rotated.seal(b"new", b"A"), b"A") == b"new"
    with pytest.raises(StoreUnavailable, match="a key that is not among the sealing keys"):
        Sealer([OTHER]).open(old, b"A")


@table("keys", [[], [b"short"], [KEY, b"x" * 31]])
def test_invalid_keys_are_refused(keys: list[bytes]) -> None:
    """At least one key is required, each of 32 bytes."""
    with pytest.raises(ConfigurationError):
        Sealer(keys)


def test_repr_and_errors_show_no_key() -> None:
    """Neither the repr nor the error about an invalid key contains one."""
    assert repr(Sealer([KEY, OTHER])) == "Sealer(<2 keys>)"
    with pytest.raises(ConfigurationError) as caught:
        load_sealer(Settings(sealing_keys=("c2VjcmV0LWtleQ==",)), "sqlite://")
    assert "c2VjcmV0" not in str(caught.value)
    assert "secret-key" not in str(caught.value)


def test_sources_of_keys_have_an_order(tmp_path: Path) -> None:
    """The keys in the settings, then the file in the settings, then the default file."""
    url, sealed = f"sqlite:///{tmp_path}/a.db", {key: Sealer([key]).seal(b"x", b"") for key in (KEY, OTHER)}
    named = tmp_path / "named.key"
    named.write_text(f"# rotated in May\n\n{base64_of(OTHER)}\n{base64_of(KEY)}\n")
    named.chmod(0o600)
    from_settings = load_sealer(Settings(sealing_keys=(base64_of(KEY),), sealing_key_file=str(named)), url)
    assert from_settings.open(sealed[KEY], b"") == b"x"
    with pytest.raises(StoreUnavailable):
        from_settings.open(sealed[OTHER], b"")
    from_file = load_sealer(Settings(sealing_key_file=str(named)), url)
    assert {from_file.open(sealed[key], b"") for key in (KEY, OTHER)} == {b"x"}
    default_file = default_key_file(url)
    assert default_file == tmp_path / "a.db.key"
    assert default_file is not None
    assert create_key_file(default_file)
    value = load_sealer(Settings(), url).seal(b"x", b"")
    assert load_sealer(Settings(), url).open(value, b"") == b"x"


def test_store_in_memory_gets_a_temporary_key() -> None:
    """Each store in memory has a key of its own."""
    one, two = load_sealer(Settings(), "sqlite://"), load_sealer(Settings(), "sqlite://")
    with pytest.raises(StoreUnavailable):
        two.open(one.seal(b"x", b""), b"")


@pytest.mark.parametrize("url", ["postgresql+psycopg://user:hunter2@host/db", "sqlite:///{folder}/a.db"])
def test_missing_key_names_the_settings(tmp_path: Path, url: str) -> None:
    """The error contains no password of the URL."""
    with pytest.raises(ConfigurationError, match="IAM_GUARD_SEALING_KEYS") as caught:
        load_sealer(Settings(), url.format(folder=tmp_path))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "# nothing\n", "not base64!\n", base64_of(b"short"), "\udcff"])
def test_key_file_without_valid_key_is_refused(tmp_path: Path, content: str) -> None:
    """A key file without a valid key is refused."""
    path = tmp_path / "a.key"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    path.chmod(0o600)
    with pytest.raises(ConfigurationError):
        load_sealer(Settings(sealing_key_file=str(path)), "sqlite://")


def test_new_key_file_is_private_and_never_overwritten(tmp_path: Path) -> None:
    """A key file is readable by its owner only, and an existing one is never overwritten."""
    path = tmp_path / "a.db.key"
    assert create_key_file(path)
    content = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not create_key_file(path)
    assert path.read_bytes() == content
    assert [found.name for found in tmp_path.iterdir()] == ["a.db.key"]
    with pytest.raises(ConfigurationError, match="cannot create the key file"):
        create_key_file(tmp_path / "none" / "a.key")


def test_readable_key_file_logs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A key file that other users can read is used, with a warning that doesn't contain the key."""
    path = tmp_path / "a.key"
    key = base64_of(new_key())
    path.write_text(key)
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING, "iam_guard.store"):
        load_sealer(Settings(sealing_key_file=str(path)), "sqlite://")
    assert "can be read by other users" in caplog.text
    assert key not in caplog.text


def test_sealed_text_has_one_encoding() -> None:
    """Padding, bits that decoders ignore, another prefix and other alphabets are refused, and what is not sealed."""
    sealer = Sealer([b"a" * 32])
    text = sealer.seal_text(b"content", b"context", "p_")
    assert sealer.open_text(text, b"context", "p_") == b"content"
    last = chr(ord(text[-1]) ^ 1)
    for other in (f"{text}=", text[:-1], f"{text[:-1]}{last}", text[2:], f"q_{text[2:]}", f"{text} ", "", "p_", "p_é"):
        assert sealer.open_text(other, b"context", "p_") is None, other
    assert sealer.open_text(text, b"another context", "p_") is None


def test_text_of_an_unknown_key_is_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    """Perhaps another process has got a new key earlier; logged once for each key, and for few of them."""
    text = SEALER.seal_text(b"content", b"context", "p_")
    other = Sealer([OTHER])
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="a key that is not among the sealing keys"):
            other.open_text(text, b"context", "p_")
    (message,) = caplog.messages
    assert message == f"a text was sealed with the key {SEALER.header[1:].hex()}, which is not among the sealing keys"
    for number in range(20):
        with pytest.raises(StoreUnavailable):
            other.open_text(Sealer([bytes([number]) * 32]).seal_text(b"", b""), b"")
    assert len(caplog.messages) == 8


def test_unfinished_text_of_an_unknown_key_is_refused() -> None:
    """Only the whole form of a sealed text counts."""
    text = SEALER.seal_text(b"", b"context")
    assert all(Sealer([OTHER]).open_text(text[:length], b"context") is None for length in range(len(text)))
