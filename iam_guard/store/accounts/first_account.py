"""Creates the first account of a new store, with an access key of its root user (rules J.1, R-3)."""

from __future__ import annotations

import re
import time
from typing import NamedTuple

from iam_guard.errors import ConfigurationError
from iam_guard.model.arn import is_account_id
from iam_guard.store.accounts.account_rows import insert_account
from iam_guard.store.accounts.root_email import checked_email
from iam_guard.store.identifiers import ACCESS_KEY_ID
from iam_guard.store.schema import access_keys, accounts
from iam_guard.store.sql_store import SqlStore, access_key_context

_SECRET = re.compile(r"[\x21-\x7e]{1,256}")


class FirstAccount(NamedTuple):
    """An account, and the access key and e-mail address of its root user."""

    id: str
    key_id: str
    secret: str
    email: str | None = None


def check_first_account(account: FirstAccount) -> None:
    """Validate the account. Raises `ConfigurationError`, which never contains the secret, and `InvalidInput`."""
    if not is_account_id(account.id):
        raise ConfigurationError(f"expected an account id of 12 digits, got `{account.id[:64]}`", place="--account")
    if not ACCESS_KEY_ID.fullmatch(account.key_id) or not _SECRET.fullmatch(account.secret):
        form = "an id of letters and digits that does not begin with ASIA, and a printable ASCII secret"
        message = f"expected ID:SECRET, with {form}"
        raise ConfigurationError(message, place="--root-access-key")
    if account.email is not None:
        checked_email(account.email)


def create_first_account(store: SqlStore, account: FirstAccount) -> bool:
    """Create an account with a root access key; False, without a change, if the store has accounts already.

    Raises what `check_first_account` does, and `EntityAlreadyExists` for the id of a deleted account.
    """
    check_first_account(account)
    now = int(time.time())
    email = None if account.email is None else checked_email(account.email)
    with store.write_transaction() as records:
        if records.count(accounts):
            return False
        insert_account(records, id=account.id, name=account.id, email=email, now=now)
        records.insert(
            access_keys,
            id=account.key_id,
            account=account.id,
            user_id=None,
            sealed=store.sealer.seal(account.secret.encode(), access_key_context(account.key_id)),
            status="Active",
            created=now,
        )
    return True
