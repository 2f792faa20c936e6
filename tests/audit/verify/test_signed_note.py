"""Signed notes and checkpoints (C2SP): published vectors, strict parsing, several signatures, rotation, secrecy."""

from __future__ import annotations

import base64
import logging
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.audit.verify.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint, split_notes
from iam_guard.audit.verify.signed_note import (
    KeyRing,
    SignerKey,
    Trust,
    VerifierKey,
    is_key_name,
    parse_note,
    sign_note,
)
from iam_guard.audit.verify.signing_keys import (
    audit_key_file,
    create_signing_key_file,
    key_ring,
    read_signing_keys,
    rotate_signing_key,
)
from iam_guard.errors import ConfigurationError, InvalidInput
from iam_guard.settings import Settings
from tests.audit.trails import KEY, RING, UNTRUSTED_KEY
from tests.tables import table

# From the documentation of golang.org/x/mod/sumdb/note: Ed25519 is deterministic, so the note is known to the byte.
GO_SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
GO_NOTE = f"{GO_TEXT}\n— PeterNeumann {GO_SIGNATURE}\n"
# From c2sp.org/signed-note, "Verifier keys".
C2SP_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
NOTE = sign_checkpoint("docs-a-1-x", 20852163, bytes(range(32)), KEY)


# --- published vectors -----------------------------------------------------------------------------------------------


def test_published_key_signs_published_note() -> None:
    key = SignerKey.parse(GO_SKEY)
    assert str(key.verifier) == GO_VKEY
    assert key.secret_text() == GO_SKEY
    assert sign_note(GO_TEXT, (key,)) == GO_NOTE


@table(("vkey", "note"), [(GO_VKEY, GO_NOTE), (C2SP_VKEY, C2SP_NOTE)])
def test_published_notes_are_trusted(vkey: str, note: str) -> None:
    assert KeyRing([VerifierKey.parse(vkey)]).trust(parse_note(note.encode())) is Trust.GOOD


# --- signatures ------------------------------------------------------------------------------------------------------


def test_note_needs_one_signature_by_known_key() -> None:
    """Also when they share the name or the id of a known key; C2SP, "Signatures"."""
    text = "x\n"
    other = SignerKey.new("witness.example")
    both = parse_note(sign_note(text, (UNTRUSTED_KEY, KEY, other)).encode())
    assert KeyRing([KEY.verifier]).trust(both) is Trust.GOOD
    assert KeyRing([other.verifier]).trust(both) is Trust.GOOD
    assert KeyRing([KEY.verifier, other.verifier]).trust(both) is Trust.GOOD
    assert KeyRing([SignerKey.new("trail.example/audit").verifier]).trust(both) is Trust.UNKNOWN_KEY
    assert KeyRing([]).trust(both) is Trust.UNKNOWN_KEY


def test_note_with_one_invalid_known_signature_is_bad() -> None:
    other = SignerKey.new("witness.example")
    wrong = other.signature_line("y\n")
    note = parse_note((sign_note("x\n", (KEY,)) + wrong).encode())
    assert KeyRing([KEY.verifier]).trust(note) is Trust.GOOD
    assert KeyRing([KEY.verifier, other.verifier]).trust(note) is Trust.BAD_SIGNATURE


@given(st.data())
def test_note_with_changed_byte_is_not_trusted(data: st.DataObject) -> None:
    """It is rejected, or no longer trusted."""
    whole = NOTE.encode()
    at = data.draw(st.integers(0, len(whole) - 1))
    by = data.draw(st.integers(0, 255).filter(lambda value: value != whole[at]))
    try:
        opened = open_checkpoint(whole[:at] + bytes([by]) + whole[at + 1 :], RING)
    except InvalidInput:
        return
    assert opened.trust is not Trust.GOOD


# --- strict reading --------------------------------------------------------------------------------------------------

LINE = KEY.signature_line("x\n")


@table(
    "note",
    [
        b"",
        b"x\n",
        b"x\n\n",
        f"x\n\n{LINE[:-1]}".encode(),
        f"\n\n{LINE}".encode(),
        f"x\n{LINE}".encode(),
        f"x\r\n\n{LINE}".encode(),
        f"x\x00\n\n{LINE}".encode(),
        f"x\n\n{LINE} ".encode(),
        f"x\n\n{LINE}trailing\n".encode(),
        f"x\n\n-{LINE[1:]}".encode(),
        f"x\n\n{LINE.replace('/audit', ' audit')}".encode(),
        f"x\n\n{LINE.replace('/audit', '+audit')}".encode(),
        f"x\n\n{LINE[:-2]}\n".encode(),
        "x\n\n— name AAAA\n".encode(),
        "x\n\n— name \n".encode(),
        b"\xff\n\n" + LINE.encode(),
        f"x\n\n{LINE * 65}".encode(),
        b"x" * 2**20 + f"\n\n{LINE}".encode(),
    ],
)
def test_parse_note_malformed_raises(note: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_note(note)


def test_parse_note_noncanonical_base64_raises() -> None:
    """The last letter before `=` has unused bits."""
    line = LINE.removesuffix("=\n")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = letters[letters.index(line[-1]) ^ 1]
    with pytest.raises(InvalidInput):
        parse_note(f"x\n\n{line[:-1]}{other}=\n".encode())


def test_note_text_may_have_empty_lines() -> None:
    note = sign_note("a\n\nb\n", (KEY,))
    assert parse_note(note.encode()).text == "a\n\nb\n"


@table("text", ["", "x", "x\r\n", "\x7f\x01\n"])
def test_sign_note_invalid_text_or_no_signer_raises(text: str) -> None:
    with pytest.raises(ValueError, match="expected a text"):
        sign_note(text, (KEY,))
    with pytest.raises(ValueError, match="at least one signer"):
        sign_note("x\n", ())


@table(
    "text",
    [
        "a/b\n1\n",
        "a/b\n01\nROOT\n",
        "a/b\n-1\nROOT\n",
        "a/b\n+1\nROOT\n",
        "a/b\n\u0661\nROOT\n",
        "a/b\n1\nAAAA\n",
        "a/b\n1\nROOT=\n",
        "\n1\nROOT\n",
        "a/b\n1\nROOT\n\nmore\n",
        "a/b\n99999999999999999999\nROOT\n",
    ],
)
def test_parse_checkpoint_malformed_raises(text: str) -> None:
    root = base64.b64encode(bytes(32)).decode()
    with pytest.raises(InvalidInput, match="expected a checkpoint"):
        Checkpoint.parse(text.replace("ROOT", root))


def test_checkpoint_round_trips_as_text() -> None:
    """Extension lines are ignored."""
    checkpoint = Checkpoint("a/docs-1", 0, bytes(32))
    assert Checkpoint.parse(checkpoint.text) == checkpoint
    assert Checkpoint.parse(checkpoint.text + "extension\n") == checkpoint
    assert checkpoint.shard == "docs-1"
    assert open_checkpoint(NOTE.encode(), RING).checkpoint.size == 20852163


@given(st.integers(0, 4), st.integers(0, 400))
def test_split_of_truncated_checkpoint_file_finds_notes(count: int, cut: int) -> None:
    """A truncated note is torn; complete ones are returned unchanged, with their offset."""
    content = (NOTE + "\n").encode() * count
    kept = content[: max(0, len(content) - cut)]
    found = list(split_notes(kept))
    whole = [each for each in found if not each.torn]
    assert [each.note for each in whole] == [NOTE.encode()] * (len(kept) // (len(NOTE.encode()) + 1))
    assert all(kept[each.begin :].startswith(each.note) for each in whole)
    assert len(found) - len(whole) == (len(kept) % (len(NOTE.encode()) + 1) > 0)


# --- keys ------------------------------------------------------------------------------------------------------------


@table("name", ["", "a b", "a+b", "a\u00a0b", "a\nb", "a\x00"])
def test_key_name_with_space_or_plus_is_rejected(name: str) -> None:
    assert not is_key_name(name)
    with pytest.raises(ConfigurationError):
        SignerKey.new(name)


@table(
    "text",
    [
        "",
        "name",
        GO_VKEY[:-4],
        GO_VKEY.replace("c74f20a3", "c74f20a4"),
        GO_VKEY.replace("c74f20a3", "C74F20A3"),
        C2SP_VKEY + "=",
    ],
)
def test_parse_verifier_key_malformed_raises(text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a verifier key"):
        VerifierKey.parse(text)


@table("text", ["", GO_VKEY, GO_SKEY[:-4], GO_SKEY.replace("c74f", "c74e"), GO_SKEY.replace("AYEK", "BYEK")])
def test_parse_signing_key_malformed_raises_without_key(text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a signing key") as caught:
        SignerKey.parse(text)
    assert "EKFALVFGyN" not in str(caught.value)


def test_signer_key_repr_has_no_secret() -> None:
    """Design, section 5."""
    key = SignerKey.parse(GO_SKEY)
    assert repr(key) == "SignerKey(<PeterNeumann, c74f20a3>)"
    assert GO_SKEY[-30:] not in f"{key!r} {key} {vars(type(key))!r}"


def test_key_file_is_created_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "a.audit-key"
    assert create_signing_key_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_text()
    assert not create_signing_key_file(path, "other")
    assert path.read_text() == content
    [key] = read_signing_keys(path)
    assert key.name.startswith("iam-guard.audit/")


def test_rotated_key_signs_and_old_key_verifies(tmp_path: Path) -> None:
    path = tmp_path / "a.audit-key"
    create_signing_key_file(path, "trail.example/audit")
    [old] = read_signing_keys(path)
    new = rotate_signing_key(path)
    assert [str(key.verifier) for key in read_signing_keys(path)] == [str(new.verifier), str(old.verifier)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert new.name == old.name
    ring = key_ring(Settings(), path)
    for key in (old, new):
        assert open_checkpoint(sign_checkpoint("s", 1, bytes(32), key).encode(), ring).trust is Trust.GOOD


def test_key_ring_has_keys_of_settings_and_file(tmp_path: Path) -> None:
    path = tmp_path / "a.audit-key"
    create_signing_key_file(path)
    settings = Settings(audit_verifier_keys=(GO_VKEY, C2SP_VKEY), audit_key_file=str(path))
    assert [key.name for key in key_ring(settings, audit_key_file(settings, None)).keys][:2] == [
        *("PeterNeumann", "example.com/foo"),
    ]
    assert len(key_ring(settings, path).keys) == 3
    assert audit_key_file(Settings(), tmp_path / "a.db") == tmp_path / "a.db.audit-key"
    assert audit_key_file(Settings(), None) is None
    assert key_ring(Settings(), tmp_path / "none").keys == ()


@pytest.mark.parametrize("content", ["", "# nothing\n", "not a key\n", GO_VKEY])
def test_malformed_key_file_raises(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.audit-key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError):
        read_signing_keys(path)
    with pytest.raises(
        ConfigurationError, match=r"cannot read the audit key file .* run `iam-guard init` .*`--store sqlite://`"
    ):
        read_signing_keys(tmp_path / "none")


def test_key_file_readable_by_others_warns_without_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.audit-key"
    path.write_text(GO_SKEY)
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING, "iam_guard"):
        read_signing_keys(path)
    assert "can be read by other users" in caplog.text
    assert "EKFALVFGyN" not in caplog.text
