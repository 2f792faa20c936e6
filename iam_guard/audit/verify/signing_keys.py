"""The audit trail's keys, loaded from the key file and the settings.

The first key of the file signs; all keys of the file, and the public keys in the setting `audit_verifier_keys`, verify.
A rotation puts a new key first. To retire an old private key, remove its line and add its public key to the setting.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from iam_guard.audit.verify.signed_note import KeyRing, SignerKey, VerifierKey
from iam_guard.errors import ConfigurationError
from iam_guard.net.private_files import create_private_file, read_private_file, replace_private_file
from iam_guard.settings import Settings

_REMEDY = "run `iam-guard init` (for a seed file with `--store sqlite://`), or set `IAM_GUARD_AUDIT_KEY_FILE`"


def audit_key_file(settings: Settings, database: Path | None) -> Path | None:
    """Return the path of the key file: the setting, else `<database>.audit-key` for an SQLite store, else None."""
    if settings.audit_key_file:
        return Path(settings.audit_key_file)
    return None if database is None else database.with_name(database.name + ".audit-key")


def create_audit_key(settings: Settings, database: Path | None) -> Path | None:
    """Create the key file of a store; return its path if it is new."""
    path = audit_key_file(settings, database)
    return path if path is not None and create_signing_key_file(path) else None


def create_signing_key_file(path: Path, name: str | None = None) -> bool:
    """Create a file with one new key, readable by its owner only; return False if the file exists already.

    The default name is unique and reveals nothing about the installation.
    """
    return create_private_file(path, _line(SignerKey.new(name or f"iam-guard.audit/{secrets.token_hex(4)}")))


def rotate_signing_key(path: Path) -> SignerKey:
    """Insert a new key of the same name at the top of the file; it signs from the next start on."""
    keys = read_signing_keys(path)
    new = SignerKey.new(keys[0].name)
    replace_private_file(path, b"".join(_line(each) for each in (new, *keys)))
    return new


def read_signing_keys(path: Path) -> list[SignerKey]:
    """Read the keys of a file; the first is the one that signs."""
    lines = read_private_file(path, "audit key", _REMEDY, place="audit_key_file")
    if not lines:
        raise ConfigurationError("expected at least one signing key", place=str(path))
    return [SignerKey.parse(line, place=str(path)) for line in lines]


def signing_key_and_ring(settings: Settings, database: Path | None) -> tuple[SignerKey, KeyRing]:
    """Return the key that signs, and the trusted keys; raise `ConfigurationError` if there is no key file."""
    path = audit_key_file(settings, database)
    if path is None:
        message = "expected the file of the key that signs the audit trail, set `IAM_GUARD_AUDIT_KEY_FILE`"
        raise ConfigurationError(message, place="audit_key_file")
    return read_signing_keys(path)[0], key_ring(settings, path)


def key_ring(settings: Settings, key_file: Path | None = None) -> KeyRing:
    """Return the trusted keys: those of the settings, and of the key file if there is one."""
    keys = [VerifierKey.parse(text) for text in settings.audit_verifier_keys]
    if key_file is not None and (settings.audit_key_file or key_file.exists()):
        keys += [key.verifier for key in read_signing_keys(key_file)]
    return KeyRing(dict.fromkeys(keys))


def _line(key: SignerKey) -> bytes:
    return key.secret_text().encode() + b"\n"
