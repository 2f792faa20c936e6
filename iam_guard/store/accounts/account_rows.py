"""The rows of accounts: read, add and rename them, with unique names and addresses, and ids that are never given twice.

Ids, names and addresses are compared within the write transaction, which one process has at a time. Names that were
equal before this was checked stay.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from typing import Final
from unicodedata import normalize

from iam_guard.errors import EntityAlreadyExists, InvalidInput, LimitExceeded, NoSuchEntity
from iam_guard.model.account import Account, AccountState
from iam_guard.model.arn import is_account_id
from iam_guard.store.accounts.root_email import checked_email, is_used_email
from iam_guard.store.database.records import Records, Row
from iam_guard.store.identifiers import fold
from iam_guard.store.schema import accounts, deleted_accounts, organizations, policies

MAX_ACCOUNTS_LISTED: Final = 1000
_NAME_LENGTH: Final = 50
_EMAIL = re.compile(r"[!-~]+@(?!-)[a-z0-9.-]+\.[a-z0-9-]*[a-z0-9]")
_EMAIL_LENGTH: Final = range(6, 64 + 1)


def account_of_row(row: Row) -> Account:
    """Return the account of a row."""
    created = datetime.fromtimestamp(row["created"], UTC)
    since = row["state_since"]
    return Account(
        row["id"],
        row["name"],
        AccountState(row["state"]),
        created,
        created if since is None else datetime.fromtimestamp(since, UTC),
        row["email"],
        row["alias"],
    )


def find_account(records: Records, id: str) -> Account:
    """Return the account with an id. Raises `NoSuchEntity`."""
    row = records.one(accounts, id=id)
    if row is None:
        raise NoSuchEntity(f"the account {id[:64]} does not exist")
    return account_of_row(row)


def checked_new_id(id: str) -> str:
    """Return the id that a new account is to have. Raises `InvalidInput`."""
    if not isinstance(id, str) or not is_account_id(id):
        raise InvalidInput(f"expected an account id of 12 digits, got `{str(id)[:64]}`", place="id")
    return id


def checked_account_name(name: str) -> str:
    """Return the name that an account is to have, in Unicode's form NFC. Raises `InvalidInput`.

    It may have all printable characters, unlike an account's name at AWS.
    """
    composed = normalize("NFC", name) if isinstance(name, str) else ""
    if not 1 <= len(composed) <= _NAME_LENGTH or not composed.isprintable() or composed != composed.strip():
        message = f"expected a name of 1 to {_NAME_LENGTH} printable characters, got `{str(name)[:64]}`"
        raise InvalidInput(message, place="name")
    if is_account_id(folded_name(composed)):  # accounts without a name in a seed are named by their ids
        raise InvalidInput("expected a name that is not an account id", place="name")
    return composed


def folded_name(name: str) -> str:
    """Return the form under which an account's name is unique: letters that only look different are equal (NFKC)."""
    return fold(normalize("NFKC", name))


def checked_new_email(text: str) -> str:
    """Return the address of a new account in lower case. Raises `InvalidInput`."""
    if not isinstance(text, str):
        raise InvalidInput(f"expected an e-mail address, got {type(text).__name__}", place="email")
    email = checked_email(text)
    if len(email) not in _EMAIL_LENGTH or not _EMAIL.fullmatch(email):
        expected = f"{_EMAIL_LENGTH[0]} to {_EMAIL_LENGTH[-1]} ASCII characters, such as root@acme.example"
        raise InvalidInput(f"expected an e-mail address of {expected}, got `{email[:64]}`", place="email")
    return email


def new_account_id(records: Records) -> str:
    """Return a random id that no account has or had, and that neither a policy nor an organization belongs to.

    It does not begin with 0, since YAML reads such a number without quotes as another one.
    """
    while True:
        id = str(10**11 + secrets.randbelow(9 * 10**11))
        if not (
            records.count(accounts, id=id)
            or is_deleted_id(records, id)
            or records.count(policies, account=id)
            or records.count(organizations, management_account=id)
        ):
            return id


def is_deleted_id(records: Records, id: str) -> bool:
    """Return whether an account with this id was deleted."""
    return bool(records.count(deleted_accounts, id=id))


def require_unused_name(records: Records, name: str, *, by: str | None = None) -> None:
    """Raise `EntityAlreadyExists` if an account has this name in any case; the account `by` may have it."""
    if any(row["id"] != by for row in records.all(accounts, columns=("id",), folded=folded_name(name))):
        raise EntityAlreadyExists(f"another account has the name `{name}`", place="name")


def insert_account(records: Records, *, id: str, name: str, email: str | None, now: int) -> None:
    """Insert an active account, with checked values. Raises `EntityAlreadyExists`, `LimitExceeded`."""
    limit = records.quotas["accounts per store"]
    if records.count(accounts) >= limit:
        raise LimitExceeded(f"Cannot exceed quota for AccountsPerStore: {limit}")
    if records.count(accounts, id=id):
        raise EntityAlreadyExists(f"the account {id} already exists", place="id")
    if is_deleted_id(records, id):
        raise EntityAlreadyExists(f"the account {id} was deleted, and its id can't be used again", place="id")
    require_unused_name(records, name)
    if email is not None and is_used_email(records, email):
        raise EntityAlreadyExists("another account has this e-mail address", place="email")
    records.insert(accounts, id=id, name=name, folded=folded_name(name), email=email, created=now)
