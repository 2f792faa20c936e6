"""The e-mail address of an account, with which its root user signs in."""

from __future__ import annotations

import re
from typing import Final

from iam_guard.errors import EntityAlreadyExists, InvalidInput, NoSuchEntity
from iam_guard.store.database.records import Records
from iam_guard.store.schema import accounts

EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_MAX_LENGTH: Final = 254


def checked_email(text: str) -> str:
    """Return an address in lower case, so that it is found in any. Raises `InvalidInput`."""
    email = text.strip().lower()
    if len(email) > _MAX_LENGTH or not EMAIL.fullmatch(email) or not email.isprintable():
        raise InvalidInput(f"expected an e-mail address, got `{email[:64]}`", place="email")
    return email


def set_root_email(records: Records, account: str, email: str) -> bool:
    """Set the address of an account that has none; False if it has this one.

    Raises `EntityAlreadyExists` if the account has another, or another account has this one, `NoSuchEntity`, and
    `InvalidInput`.
    """
    wanted = checked_email(email)
    row = records.one(accounts, id=account)
    if row is None:
        raise NoSuchEntity(f"the account {account[:64]} does not exist")
    if row["email"] == wanted:
        return False
    if row["email"] is not None:
        raise EntityAlreadyExists(f"the account {account} has another e-mail address", place="email")
    if is_used_email(records, wanted):
        raise EntityAlreadyExists("another account has this e-mail address", place="email")
    records.update(accounts, {"email": wanted}, id=account)
    return True


def is_used_email(records: Records, email: str) -> bool:
    """Return whether an account has a checked address."""
    return records.count(accounts, email=email) > 0
