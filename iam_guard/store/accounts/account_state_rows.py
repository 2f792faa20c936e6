"""The states of accounts in a transaction: which there are, what each allows, and the changes from one to another.

    active      suspend -> suspended        close -> closed
    suspended   resume -> active            close -> closed
    closed      resume -> active            delete -> deleting, which `account_deletion` ends

Every other change is refused. The management account of an organization can be suspended, but neither closed nor
deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from iam_guard.errors import AccountNotActive, AccountStateConflict
from iam_guard.model.account import AccountState
from iam_guard.store.accounts.account_rows import find_account
from iam_guard.store.database.records import Records
from iam_guard.store.schema import accounts, organizations

StateChange: TypeAlias = Literal["suspend", "resume", "close", "delete"]

_CHANGES: Final[Mapping[StateChange, tuple[frozenset[AccountState], AccountState]]] = MappingProxyType(
    {
        "suspend": (frozenset({AccountState.ACTIVE}), AccountState.SUSPENDED),
        "resume": (frozenset({AccountState.SUSPENDED, AccountState.CLOSED}), AccountState.ACTIVE),
        "close": (frozenset({AccountState.ACTIVE, AccountState.SUSPENDED}), AccountState.CLOSED),
        "delete": (frozenset({AccountState.CLOSED, AccountState.DELETING}), AccountState.DELETING),
    }
)
"""Change -> the states that it is possible from, and the new one. A deletion that was interrupted is begun again."""
_FOR_GOOD: Final = ("close", "delete")


def change_state(records: Records, id: str, change: StateChange, now: int) -> AccountState:
    """Change the state of an account; return the new one. `now` is in seconds since 1970.

    Raises `NoSuchEntity`, and `AccountStateConflict` if the account is in another state than the change needs, or is
    the management account of an organization, which can't be closed.
    """
    state = find_account(records, id).state
    before, after = _CHANGES[change]
    if state not in before:
        expected = " or ".join(sorted(before))
        raise AccountStateConflict(f"expected an account that is {expected}, got one that is {state}", place=id)
    if change in _FOR_GOOD and records.count(organizations, management_account=id):
        raise AccountStateConflict("the management account of an organization can't be closed", place=id)
    if state is not after:
        records.update(accounts, {"state": after.value, "state_since": now}, id=id)
    return after


def account_state(records: Records, id: str | None) -> AccountState | None:
    """Return the state of an account; None for one that does not exist."""
    row = records.one(accounts, id=id) if id else None
    return None if row is None else AccountState(row["state"])


def is_active(records: Records, id: str | None) -> bool:
    """Return whether an account exists and accepts its credentials."""
    return account_state(records, id) is AccountState.ACTIVE


def require_accepted(records: Records, id: str | None, *, place: str | None = None) -> None:
    """Raise `AccountNotActive` for the account of a credential that was verified, unless it accepts credentials."""
    state = account_state(records, id)
    if state is not None and state is not AccountState.ACTIVE:
        raise AccountNotActive(state, place=place)


def require_kept(records: Records, id: str) -> None:
    """Raise `AccountStateConflict` for an account that is being deleted, to which nothing can be added."""
    if account_state(records, id) is AccountState.DELETING:
        raise AccountStateConflict(f"expected an account that is not being deleted, got `{id}`", place=id)
