"""Encryption of secrets at rest: AES-256-GCM with a list of keys that can be rotated (design section 5).

Format of a sealed value: the byte 1, eight bytes that identify the key, twelve bytes of nonce, the ciphertext with its
tag. The first key seals, all keys open. A key is rotated in steps, so that no process seals with a key that another one
does not have yet: new key last, new key first, `iam-guard reseal` (`sealed_values`), old key removed. No key appears in
a repr, log or error.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from iam_guard.errors import ConfigurationError, StoreUnavailable
from iam_guard.net.private_files import create_private_file, read_private_file
from iam_guard.settings import Settings
from iam_guard.store.location import database_file, is_in_memory

logger = logging.getLogger("iam_guard.store")

_FORM = b"\x01"
_KEY_NAME = 8
_NONCE = 12
_TAG = 16
_HEADER = len(_FORM) + _KEY_NAME
_MAX_REPORTED = 8
"""Unknown keys that are logged: clients can invent more."""


class Sealer:
    """Seals and opens with 32-byte keys."""

    OVERHEAD: Final = _HEADER + _NONCE + _TAG
    """The number of bytes by which sealing makes a value longer."""
    KEY_NAME: Final = slice(len(_FORM), _HEADER)
    """The bytes of a sealed value that identify its key."""

    __slots__ = ("_first", "_keys", "_reported", "header")

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ConfigurationError("expected at least one sealing key", place="sealing_keys")
        if any(len(key) != 32 for key in keys):
            raise ConfigurationError("expected sealing keys of 32 bytes", place="sealing_keys")
        self._first = _key_name(keys[0])
        self.header = _FORM + self._first
        """The first bytes of what is sealed with the first key."""
        self._keys = {_key_name(key): AESGCM(key) for key in keys}
        self._reported: set[bytes] = set()

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt; `open` needs the same `context`, so that a sealed value can't be moved to another place."""
        nonce = secrets.token_bytes(_NONCE)
        return self.header + nonce + self._keys[self._first].encrypt(nonce, plaintext, self.header + context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt. Raises `StoreUnavailable` for an unknown key, another context, or an altered value."""
        header, nonce, ciphertext = sealed[:_HEADER], sealed[_HEADER : _HEADER + _NONCE], sealed[_HEADER + _NONCE :]
        key = self._keys.get(header[len(_FORM) :])
        if key is None or not header.startswith(_FORM):
            raise StoreUnavailable("a secret was sealed with a key that is not among the sealing keys")
        try:
            return key.decrypt(nonce, ciphertext, header + context)
        except (InvalidTag, ValueError):
            raise StoreUnavailable(
                "a stored secret cannot be decrypted: it was changed, or copied from another row"
            ) from None

    def seal_text(self, plaintext: bytes, context: bytes, prefix: str = "") -> str:
        """Encrypt into text: a prefix, and unpadded URL-safe base64."""
        return prefix + base64.urlsafe_b64encode(self.seal(plaintext, context)).rstrip(b"=").decode("ascii")

    def open_text(self, text: str, context: bytes, prefix: str = "") -> bytes | None:
        """Decrypt what `seal_text` returned; None for any other text.

        Raises `StoreUnavailable` for the form of a text that was sealed with an unknown key: perhaps of a process that
        has got a new key earlier, so that a client must not drop it. Without the key, a forged one looks the same.

        INVARIANT: it has one encoding; base64 decoding ignores bits of the last character, so any other is rejected.
        """
        encoded = text.removeprefix(prefix)
        try:
            sealed = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
            if prefix + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode("ascii") != text:
                return None
        except ValueError:
            return None
        if len(sealed) < self.OVERHEAD or not sealed.startswith(_FORM):
            return None
        self._require_key(sealed)
        try:
            return self.open(sealed, context)
        except StoreUnavailable:
            return None

    def opens(self, key_name: bytes) -> bool:
        """Return whether a key is among the sealing keys, by its identifier in a sealed value."""
        return key_name in self._keys

    def _require_key(self, sealed: bytes) -> None:
        """Raise `StoreUnavailable` for a value that was sealed with an unknown key, and log the first of each key."""
        name = sealed[self.KEY_NAME]
        if self.opens(name):
            return
        if len(self._reported) < _MAX_REPORTED and name not in self._reported:
            self._reported.add(name)
            logger.warning("a text was sealed with the key %s, which is not among the sealing keys", name.hex())
        raise StoreUnavailable("a text was sealed with a key that is not among the sealing keys")

    def __repr__(self) -> str:
        return f"Sealer(<{len(self._keys)} keys>)"


def new_key() -> bytes:
    return AESGCM.generate_key(bit_length=256)


def load_sealer(settings: Settings, url: str) -> Sealer:
    """Load the keys of the store at `url`.

    The first of: the setting `sealing_keys`; the setting `sealing_key_file`; the file `<store>.key` of an SQLite store;
    for a store in memory, a temporary key. Raises `ConfigurationError` if there is none.
    """
    if settings.sealing_keys:
        return Sealer(read_keys(settings.sealing_keys, place="sealing_keys"))
    path = Path(settings.sealing_key_file) if settings.sealing_key_file else default_key_file(url)
    if path is not None:
        return Sealer(_read_key_file(path))
    if is_in_memory(url):
        return Sealer([new_key()])
    settings_names = "`IAM_GUARD_SEALING_KEYS` (base64 of 32 random bytes) or `IAM_GUARD_SEALING_KEY_FILE`"
    raise ConfigurationError(f"expected a sealing key for this store: set {settings_names}", place="sealing_keys")


def default_key_file(url: str) -> Path | None:
    """Return the path of the key file of an SQLite file: `<file>.key`."""
    database = database_file(url)
    return None if database is None else database.with_name(database.name + ".key")


def create_key_file(path: Path) -> bool:
    """Create a key file with one new key, readable by its owner only; False if it exists, which keeps the file."""
    return create_private_file(path, base64.b64encode(new_key()) + b"\n")


def read_keys(lines: Iterable[str], *, place: str) -> list[bytes]:
    """Parse base64 keys. Raises `ConfigurationError`, which never quotes a key."""
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
    remedy = "restore it, or set `IAM_GUARD_SEALING_KEYS` or `IAM_GUARD_SEALING_KEY_FILE` to the keys of this store"
    return read_keys(read_private_file(path, "sealing key", remedy, place="sealing_key_file"), place=str(path))


def _key_name(key: bytes) -> bytes:
    return hashlib.sha256(b"iam_guard sealing key name\x00" + key).digest()[:_KEY_NAME]
