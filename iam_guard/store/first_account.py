"""Creates the first account of a new store, with an access key of its root user (rules J.1, R-3)."""

from __future__ import annotations

import re
import time

from iam_guard.errors import ConfigurationError
from iam_guard.model.arn import is_account_id
from iam_guard.store.identifiers import ACCESS_KEY_ID
from iam_guard.store.schema import access_keys, accounts
from iam_guard.store.sql_store import SqlStore, access_key_context

_SECRET = re.compile(r"[\x21-\x7e]{1,256}")


def check_first_account(account: str, key_id: str, secret: str) -> None:
    """Validate the account id and the access key. Raises `ConfigurationError`, which never contains the secret."""
    if not is_account_id(account):
        raise ConfigurationError(f"expected an account id of 12 digits, got `{account[:64]}`", place="--account")
    if not ACCESS_KEY_ID.fullmatch(key_id) or not _SECRET.fullmatch(secret):
        form = "an id of letters and digits that does not begin with ASIA, and a printable ASCII secret"
        message = f"expected ID:SECRET, with {form}"
        raise ConfigurationError(message, place="--root-access-key")


def create_first_account(store: SqlStore, account: str, key_id: str, secret: str) -> bool:
    """Create an account with a root access key; False, without a change, if the store has accounts already.

    Raises `ConfigurationError` as `check_first_account` does.
    """
    check_first_account(account, key_id, secret)
    now = int(time.time())
    with store.write_transaction() as records:
        if records.count(accounts):
            return False
        records.insert(accounts, id=account, name=account, created=now)
        records.insert(
            access_keys,
            id=key_id,
            account=account,
            user_id=None,
            sealed=store.sealer.seal(secret.encode(), access_key_context(key_id)),
            status="Active",
            created=now,
        )
    return True
