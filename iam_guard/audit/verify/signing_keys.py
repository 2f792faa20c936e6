"""The files and settings that the keys of the audit trail come from.

As with the keys that seal secrets: the first key of the file signs, every key of it verifies, and so do the public keys
of the setting `audit_verifier_keys`. A rotation puts a new key first; once nobody needs the old private key, its line
leaves the file and its public key goes into the setting.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from iam_guard.audit.verify.signed_note import KeyRing, SignerKey, VerifierKey
from iam_guard.errors import ConfigurationError
from iam_guard.net.private_files import create_private_file, read_private_file, replace_private_file
from iam_guard.settings import Settings

_REMEDY = "run `iam-guard init`, or set `IAM_GUARD_AUDIT_KEY_FILE`"


def audit_key_file(settings: Settings, database: Path | None) -> Path | None:
    """Return the place of the key file: as set, else `<file>.audit-key` beside an SQLite store, else nowhere."""
    if settings.audit_key_file:
        return Path(settings.audit_key_file)
    return None if database is None else database.with_name(database.name + ".audit-key")


def default_key_name() -> str:
    """Make a name that no other installation has, and that tells nothing about this one."""
    return f"iam-guard.audit/{secrets.token_hex(4)}"


def create_signing_key_file(path: Path, name: str | None = None) -> bool:
    """Create a file with one new key, readable by its owner only; False if there is one, which stays as it is."""
    return create_private_file(path, _line(SignerKey.new(name or default_key_name())))


def rotate_signing_key(path: Path) -> SignerKey:
    """Put a new key of the same name before the others of the file; it signs from the next start on."""
    keys = read_signing_keys(path)
    new = SignerKey.new(keys[0].name)
    replace_private_file(path, b"".join(_line(each) for each in (new, *keys)))
    return new


def read_signing_keys(path: Path) -> list[SignerKey]:
    """Read the keys of a file, the one that signs first."""
    lines = read_private_file(path, "audit key", _REMEDY, place="audit_key_file")
    if not lines:
        raise ConfigurationError("expected at least one signing key", place=str(path))
    return [SignerKey.parse(line, place=str(path)) for line in lines]


def key_ring(settings: Settings, key_file: Path | None = None) -> KeyRing:
    """Return the keys that are believed: those of the settings, and of a key file where there is one."""
    given = [VerifierKey.parse(text) for text in settings.audit_verifier_keys]
    if key_file is not None and (settings.audit_key_file or key_file.exists()):
        given += [read_signing_key.verifier for read_signing_key in read_signing_keys(key_file)]
    return KeyRing(dict.fromkeys(given))


def _line(key: SignerKey) -> bytes:
    return key.secret_text().encode() + b"\n"
