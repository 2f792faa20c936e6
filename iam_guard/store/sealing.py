"""Sealing: secrets at rest are AES-256-GCM under a key ring with rotation.

Form of a sealed value: one byte 1, eight bytes that name the key, twelve bytes of nonce, the ciphertext with its tag.
The first key of the ring seals, every key opens; so a new key is put first and the old one stays until nothing is
sealed with it. No key ever shows in a repr, log or error. Design section 5.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from iam_guard.errors import ConfigurationError, StoreUnavailable
from iam_guard.net.private_files import create_private_file, read_private_file
from iam_guard.settings import Settings
from iam_guard.store.engine import database_file, is_in_memory

_FORM = b"\x01"
_KEY_NAME = 8
_NONCE = 12
_TAG = 16
_HEADER = len(_FORM) + _KEY_NAME


class Sealer:
    """Seals and opens with a ring of 32-byte keys."""

    OVERHEAD: Final = _HEADER + _NONCE + _TAG
    """Bytes by which what is sealed is longer than what was to be sealed."""

    __slots__ = ("_first", "_ring")

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ConfigurationError("expected at least one sealing key", place="sealing_keys")
        if any(len(key) != 32 for key in keys):
            raise ConfigurationError("expected sealing keys of 32 bytes", place="sealing_keys")
        self._first = _key_name(keys[0])
        self._ring = {_key_name(key): AESGCM(key) for key in keys}

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Seal; `context` must be given again to open, so that a sealed value can't be moved to another place."""
        nonce = secrets.token_bytes(_NONCE)
        header = _FORM + self._first
        return header + nonce + self._ring[self._first].encrypt(nonce, plaintext, header + context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Open; raise `StoreUnavailable` for another key, another context, or anything that was tampered with."""
        header, nonce, ciphertext = sealed[:_HEADER], sealed[_HEADER : _HEADER + _NONCE], sealed[_HEADER + _NONCE :]
        key = self._ring.get(header[len(_FORM) :])
        if key is None or not header.startswith(_FORM):
            raise StoreUnavailable("a stored secret was sealed with a key that is not in the key ring")
        try:
            return key.decrypt(nonce, ciphertext, header + context)
        except (InvalidTag, ValueError):
            raise StoreUnavailable("a stored secret does not open: it was changed, or moved from its place") from None

    def __repr__(self) -> str:
        return f"Sealer(<{len(self._ring)} keys>)"


def new_key() -> bytes:
    """Make a random key for a ring."""
    return AESGCM.generate_key(bit_length=256)


def load_key_ring(settings: Settings, url: str) -> Sealer:
    """Find the keys of the store at `url`.

    The first of: the setting `sealing_keys`; the setting `sealing_key_file`; the file beside an SQLite store; for a
    store in memory, a key that goes away with it. Raises `ConfigurationError` where there is none.
    """
    if settings.sealing_keys:
        return Sealer(read_keys(settings.sealing_keys, place="sealing_keys"))
    path = Path(settings.sealing_key_file) if settings.sealing_key_file else key_file_beside(url)
    if path is not None:
        return Sealer(_read_key_file(path))
    if is_in_memory(url):
        return Sealer([new_key()])
    wanted = "`IAM_GUARD_SEALING_KEYS` (base64 of 32 random bytes) or `IAM_GUARD_SEALING_KEY_FILE`"
    raise ConfigurationError(f"expected a sealing key for this store, set {wanted}", place="sealing_keys")


def key_file_beside(url: str) -> Path | None:
    """Return the place of the key file of an SQLite file: `<file>.key`."""
    database = database_file(url)
    return None if database is None else database.with_name(database.name + ".key")


def create_key_file(path: Path) -> bool:
    """Create a key file with one new key, readable by its owner only; False if there is one, which stays as it is."""
    return create_private_file(path, base64.b64encode(new_key()) + b"\n")


def read_keys(lines: Iterable[str], *, place: str) -> list[bytes]:
    """Read base64 keys; raise `ConfigurationError`, which never repeats one."""
    keys = []
    for number, line in enumerate(lines, 1):
        try:
            key = base64.b64decode(line, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != 32:
            raise ConfigurationError(f"expected base64 of 32 bytes in sealing key {number}", place=place)
        keys.append(key)
    return keys


def _read_key_file(path: Path) -> list[bytes]:
    remedy = "run `iam-guard init`, or set `IAM_GUARD_SEALING_KEYS` or `IAM_GUARD_SEALING_KEY_FILE`"
    return read_keys(read_private_file(path, "sealing key", remedy, place="sealing_key_file"), place=str(path))


def _key_name(key: bytes) -> bytes:
    return hashlib.sha256(b"iam_guard sealing key name\x00" + key).digest()[:_KEY_NAME]
