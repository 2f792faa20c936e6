"""Pseudonyms: HMAC-SHA256 of a string with its account's key, and the file of these keys.

With the key, the records of a person can be found (`iam-guard audit pseudonym`); once it is destroyed, they cannot be
attributed any more, and the signed trail stays valid. A plain hash would not do: names and addresses can be guessed.

Each line of the file is an account and a key (base64). The first key of an account makes its pseudonyms; later ones
were rotated out and only find old pseudonyms. `other` is for values of no account, such as refused credentials. A
running process reloads a changed file within a second. Without a key, the value is masked.

The pseudonym of a value that may identify a person (`personal_values`) also has a random salt, which a `SaltSource`
keeps: once it is deleted, the pseudonym can't be derived any more, even with the key. A salt is found by its subject,
an HMAC of the value with the key, whatever the case of its letters.
"""

from __future__ import annotations

import base64
import hmac
import logging
import os
import secrets
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Protocol

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


_SUBJECT = b"\0subject\0"
"""Separates subjects from pseudonyms, which are made with the same key."""


class SaltSource(Protocol):
    """The salts of pseudonyms, shared by all processes. Safe to share between threads."""

    def cached(self, account: str) -> Mapping[str, bytes]:
        """Return the salts of an account that are known without waiting, by subject."""

    def load(self, account: str, subjects: Collection[str], *, creates: bool) -> Mapping[str, bytes]:
        """Return the salts of subjects; `creates` creates missing ones. May wait.

        Those that can't be read, and those of a person who was erased a short time ago, are left out.
        """


def pseudonym(key: bytes, text: str, salt: bytes = b"") -> str:
    return PREFIX + hmac.digest(key, salt + _bytes(text), "sha256").hex()[:_DIGITS]


def salt_subject(key: bytes, text: str) -> str:
    """Return what the salt of a value is found by; the letter case of the value does not count."""
    return hmac.digest(key, _SUBJECT + _bytes(text.lower()), "sha256").hex()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


class PseudonymKeys:
    """The keys of one file, reloaded when it changes. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises `ConfigurationError` if it is missing or invalid."""
        self._path = path
        self._file_state = _stat(path)
        self._keys = read_pseudonym_keys(path)
        self._checked_at = time.monotonic()

    def key(self, account: str) -> bytes | None:
        """Return the key that makes the pseudonyms of an account; None if it has none."""
        if time.monotonic() - self._checked_at > CHECK_INTERVAL:
            self._reload_if_changed()
        keys = self._keys.get(account)
        return keys[0] if keys else None

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


def pseudonyms_of(path: Path, account: str, text: str, salts: SaltSource | None = None) -> list[str]:
    """Return the current and former pseudonyms of a string in an account, current first. Raises `NoSuchEntity`.

    Those with a salt come first, then those without: of values that identify no person, and of earlier versions.
    """
    keys = _keys_with(path, account)[account]
    subjects = {key: salt_subject(key, text) for key in keys}
    found = {} if salts is None else salts.load(account, list(subjects.values()), creates=False)
    salted = [pseudonym(key, text, found[subject]) for key, subject in subjects.items() if subject in found]
    return salted + [pseudonym(key, text) for key in keys]


def subjects_of(path: Path, account: str, own: Collection[str], unique: Collection[str]) -> dict[str, list[str]]:
    """Return the subjects of a person's values by account, for every key in the file.

    `own` are names, which mean another person in another account; `unique` values are the same in all accounts.
    """
    return {
        owner: [salt_subject(key, text) for key in keys for text in _values_in(owner, account, own, unique)]
        for owner, keys in read_pseudonym_keys(path).items()
    }


def person_pseudonyms(
    path: Path, account: str, own: Collection[str], unique: Collection[str], salts: SaltSource
) -> set[str]:
    """Return all pseudonyms of a person's values, in the records of every account; the values as in `subjects_of`."""
    found = set()
    for owner, keys in read_pseudonym_keys(path).items():
        texts = {
            salt_subject(key, text): (key, text) for key in keys for text in _values_in(owner, account, own, unique)
        }
        stored = salts.load(owner, texts, creates=False)
        found |= {pseudonym(key, text) for key, text in texts.values()}
        found |= {pseudonym(*texts[subject], salt) for subject, salt in stored.items()}
    return found


def _values_in(owner: str, account: str, own: Collection[str], unique: Collection[str]) -> set[str]:
    return {*own, *unique} if owner == account else {*unique}


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
