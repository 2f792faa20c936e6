"""The file of the keys of pseudonyms."""

from __future__ import annotations

from pathlib import Path

from iam_guard.audit.record.pseudonyms import pseudonym_key_file
from iam_guard.errors import ConfigurationError
from iam_guard.settings import load_settings
from iam_guard.store.location import missing_store, store_file


def pseudonym_keys_of(store: str) -> Path:
    """Return the file for a store. Raises `ConfigurationError` without one."""
    settings, database = load_settings(), store_file(store)
    path = pseudonym_key_file(settings, database)
    if database is not None and not settings.audit_pseudonym_key_file and not database.exists():
        raise missing_store(store)
    if path is None:
        message = "expected a file of pseudonym keys, set `IAM_GUARD_AUDIT_PSEUDONYM_KEY_FILE`"
        raise ConfigurationError(message, place="audit_pseudonym_key_file")
    return path
