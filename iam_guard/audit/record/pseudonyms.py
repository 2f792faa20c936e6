"""Pseudonyms: HMAC-SHA256 of a text with a key of its account, and the file that holds these keys.

Whoever has the key finds a person's records again (`iam-guard audit pseudonym`); once the key is destroyed, nobody can
tell whose they were, though the trail stands as it was signed. Never a plain hash: names and addresses can be guessed.

One line of the file is an account and a key (base64). The first of an account makes its pseudonyms; those after it were
rotated out, and are kept to find what they made. `other` stands for whatever belongs to no account: refused
credentials, say. A running process sees a change of the file within a second. Where there is no key, there is no
pseudonym, and the value is masked.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import os
import secrets
import time
from pathlib import Path
from typing import Final

from iam_guard.errors import ConfigurationError, InvalidInput, NoSuchEntity
from iam_guard.model.arn import is_account_id
from iam_guard.net.private_files import create_private_file, read_private_file, replace_private_file
from iam_guard.settings import Settings

logger = logging.getLogger("iam_guard.audit")

OTHER: Final = "other"
PREFIX: Final = "pseudonym:"
LOOKS_EVERY: Final = 1.0
_DIGITS: Final = 32
"""Hexadecimal digits of the code that are kept: 128 bits."""
_KEY_BYTES: Final = 32
_REMEDY: Final = "make one with `iam-guard audit pseudonym-key ACCOUNT`"


def pseudonym(key: bytes, text: str) -> str:
    """Make the pseudonym of a text."""
    return PREFIX + hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:_DIGITS]


class PseudonymKeys:
    """The keys of one file, as it is at the moment. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises `ConfigurationError` for one that is not there, or is none."""
        self._path = path
        self._seen = _state(path)
        self._keys = read_pseudonym_keys(path)
        self._looked = time.monotonic()

    def pseudonym(self, account: str, text: str) -> str | None:
        """Make the pseudonym of a text of an account; None where the account has no key."""
        if time.monotonic() - self._looked > LOOKS_EVERY:
            self._look()
        keys = self._keys.get(account)
        return pseudonym(keys[0], text) if keys else None

    def _look(self) -> None:
        """Read the file again if it is another one. What cannot be read has no keys: then all is masked."""
        self._looked = time.monotonic()
        seen = _state(self._path)
        if seen == self._seen:
            return
        try:
            keys = read_pseudonym_keys(self._path)
        except ConfigurationError as error:
            logger.error("there are no pseudonyms: %s", error)
            keys = {}
        self._keys, self._seen = keys, seen


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


# --- the file --------------------------------------------------------------------------------------------------------


def pseudonym_key_file(settings: Settings, database: Path | None) -> Path | None:
    """Return the place of the file: as set, else `<file>.audit-pseudonym-keys` beside an SQLite store, else nowhere."""
    if settings.audit_pseudonym_key_file:
        return Path(settings.audit_pseudonym_key_file)
    return None if database is None else database.with_name(database.name + ".audit-pseudonym-keys")


def read_pseudonym_keys(path: Path) -> dict[str, list[bytes]]:
    """Read the keys by account, the newest first. Raises `ConfigurationError`."""
    keys: dict[str, list[bytes]] = {}
    for line in read_private_file(path, "pseudonym key", _REMEDY, place="audit_pseudonym_key_file"):
        account, _, text = line.partition(" ")
        try:
            key = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not _is_account(account) or len(key) != _KEY_BYTES:
            raise ConfigurationError("expected lines of an account and a key of 32 bytes in base64", place=str(path))
        keys.setdefault(account, []).append(key)
    return keys


def make_pseudonym_key(path: Path, account: str, *, rotate: bool = False) -> None:
    """Make the key of an account, and the file if there is none; with `rotate`, one before those that it has.

    Raises `InvalidInput` for what is no account, and for one that has a key already, unless it is to be rotated.
    """
    _require_account(account)
    keys = read_pseudonym_keys(path) if path.exists() else {}
    if account in keys and not rotate:
        raise InvalidInput(f"the account `{account}` has a key already, `--rotate` makes another one")
    if account not in keys and rotate:
        raise NoSuchEntity(f"The account {account} has no key of pseudonyms.")
    keys[account] = [secrets.token_bytes(_KEY_BYTES), *keys.get(account, ())]
    _write(path, keys)


def destroy_pseudonym_keys(path: Path, account: str) -> int:
    """Remove all keys of an account; give how many there were. Raises `NoSuchEntity` where there were none."""
    _require_account(account)
    keys = read_pseudonym_keys(path)
    if account not in keys:
        raise NoSuchEntity(f"The account {account} has no key of pseudonyms.")
    destroyed = keys.pop(account)
    _write(path, keys)
    return len(destroyed)


def pseudonyms_of(path: Path, account: str, text: str) -> list[str]:
    """Return the pseudonyms that a text has, or had, in an account, the present one first. Raises `NoSuchEntity`."""
    _require_account(account)
    keys = read_pseudonym_keys(path).get(account)
    if not keys:
        raise NoSuchEntity(f"The account {account} has no key of pseudonyms.")
    return [pseudonym(key, text) for key in keys]


def _write(path: Path, keys: dict[str, list[bytes]]) -> None:
    lines = [f"{account} {base64.b64encode(key).decode()}\n" for account, its in keys.items() for key in its]
    content = "".join(["# The keys of pseudonyms of the audit trail: an account, a key\n", *lines]).encode()
    if not path.exists() and create_private_file(path, content):
        return
    replace_private_file(path, content)


def _is_account(text: str) -> bool:
    return text == OTHER or is_account_id(text)


def _require_account(text: str) -> None:
    if not _is_account(text):
        raise InvalidInput(f"expected an account of 12 digits, or `{OTHER}`, got `{text[:32]}`", place="ACCOUNT")
