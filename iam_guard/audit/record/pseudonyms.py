"""Pseudonyms: HMAC-SHA256 of a string with its account's key, and the file of these keys.

With the key, the records of a person can be found (`iam-guard audit pseudonym`); once it is destroyed, they cannot be
attributed any more, and the signed trail stays valid. A plain hash would not do: names and addresses can be guessed.

Each line of the file is an account and a key (base64). The first key of an account makes its pseudonyms; later ones
were rotated out and only find old pseudonyms. `other` is for values of no account, such as refused credentials. A
running process reloads a changed file within a second. Without a key, the value is masked.
"""

from __future__ import annotations

import base64
import hmac
import logging
import os
import secrets
import time
from pathlib import Path

from iam_guard.errors import ConfigurationError, InvalidInput, NoSuchEntity
from iam_guard.model.arn import is_account_id
from iam_guard.net.private_files import create_private_file, read_private_file, replace_private_file
from iam_guard.settings import Settings

logger = logging.getLogger("iam_guard.audit")

OTHER = "other"
PREFIX = "pseudonym:"
CHECK_INTERVAL = 1.0
_DIGITS = 32
"""Hexadecimal digits of the HMAC that are kept: 128 bits."""
_KEY_BYTES = 32
_REMEDY = "create one with `iam-guard audit pseudonym-key ACCOUNT`"


def pseudonym(key: bytes, text: str) -> str:
    return PREFIX + hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:_DIGITS]


class PseudonymKeys:
    """The keys of one file, reloaded when it changes. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises `ConfigurationError` if it is missing or invalid."""
        self._path = path
        self._file_state = _stat(path)
        self._keys = read_pseudonym_keys(path)
        self._checked_at = time.monotonic()

    def pseudonym(self, account: str, text: str) -> str | None:
        """Return the pseudonym of a string in an account; None if the account has no key."""
        if time.monotonic() - self._checked_at > CHECK_INTERVAL:
            self._reload_if_changed()
        keys = self._keys.get(account)
        return pseudonym(keys[0], text) if keys else None

    def _reload_if_changed(self) -> None:
        """Reload the file if it has changed. An unreadable file provides no keys, so that values are masked."""
        self._checked_at = time.monotonic()
        state = _stat(self._path)
        if state == self._file_state:
            return
        try:
            keys = read_pseudonym_keys(self._path)
        except ConfigurationError as error:
            logger.error("pseudonym keys cannot be read, values are masked: %s", error)
            keys = {}
        self._keys, self._file_state = keys, state


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


# --- the file --------------------------------------------------------------------------------------------------------


def pseudonym_key_file(settings: Settings, database: Path | None) -> Path | None:
    """Return the key file: the setting, else `<file>.audit-pseudonym-keys` next to an SQLite store, else None."""
    if settings.audit_pseudonym_key_file:
        return Path(settings.audit_pseudonym_key_file)
    return None if database is None else database.with_name(database.name + ".audit-pseudonym-keys")


def read_pseudonym_keys(path: Path) -> dict[str, list[bytes]]:
    """Read the keys by account, newest first. Raises `ConfigurationError`."""
    keys: dict[str, list[bytes]] = {}
    for line in read_private_file(path, "pseudonym key", _REMEDY, place="audit_pseudonym_key_file"):
        account, _, text = line.partition(" ")
        try:
            key = base64.b64decode(text, validate=True)
        except ValueError:
            key = b""
        if not _is_account(account) or len(key) != _KEY_BYTES:
            raise ConfigurationError("expected lines of an account and a key of 32 bytes in base64", place=str(path))
        keys.setdefault(account, []).append(key)
    return keys


def make_pseudonym_key(path: Path, account: str, *, rotate: bool = False) -> None:
    """Create the key of an account, and the file if it is missing; `rotate` puts a new key before the existing ones.

    Raises `InvalidInput` for an invalid account, or an existing key without `rotate`.
    """
    _require_account(account)
    keys = read_pseudonym_keys(path) if path.exists() else {}
    if account in keys and not rotate:
        raise InvalidInput(f"account `{account}` already has a key, use `--rotate` to create a new one")
    if account not in keys and rotate:
        raise NoSuchEntity(f"The account {account} has no pseudonym key.")
    keys[account] = [secrets.token_bytes(_KEY_BYTES), *keys.get(account, ())]
    _write(path, keys)


def destroy_pseudonym_keys(path: Path, account: str) -> int:
    """Remove all keys of an account and return their number. Raises `NoSuchEntity` if there are none."""
    keys = _keys_with(path, account)
    destroyed = keys.pop(account)
    _write(path, keys)
    return len(destroyed)


def pseudonyms_of(path: Path, account: str, text: str) -> list[str]:
    """Return the current and former pseudonyms of a string in an account, current first. Raises `NoSuchEntity`."""
    return [pseudonym(key, text) for key in _keys_with(path, account)[account]]


def _write(path: Path, keys: dict[str, list[bytes]]) -> None:
    lines = [
        f"{account} {base64.b64encode(key).decode()}\n"
        for account, account_keys in keys.items()
        for key in account_keys
    ]
    content = "".join(["# Pseudonym keys of the audit trail: account, key\n", *lines]).encode()
    if not path.exists() and create_private_file(path, content):
        return
    replace_private_file(path, content)


def _is_account(text: str) -> bool:
    return text == OTHER or is_account_id(text)


def _keys_with(path: Path, account: str) -> dict[str, list[bytes]]:
    """Read the keys of all accounts; raise `NoSuchEntity` if this one has none."""
    _require_account(account)
    keys = read_pseudonym_keys(path)
    if account not in keys:
        raise NoSuchEntity(f"The account {account} has no pseudonym key.")
    return keys


def _require_account(text: str) -> None:
    if not _is_account(text):
        raise InvalidInput(f"expected an account of 12 digits, or `{OTHER}`, got `{text[:32]}`", place="ACCOUNT")
