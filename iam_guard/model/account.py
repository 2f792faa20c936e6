"""An account: a tenant of the application."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AccountState(StrEnum):
    """What the credentials and resources of an account are good for.

    `suspended`: no credential of the account is accepted. `closed`: neither that, nor requests of others for its
    resources; its data is kept (AWS's PENDING_CLOSURE, then SUSPENDED). `deleting`: closed, and its data is being
    deleted, which can't be undone; the account of an id that is deleted is not listed any more.
    """

    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"
    DELETING = "deleting"

    @property
    def is_open(self) -> bool:
        """Return whether others may reach resources of the account, as far as its policies share them."""
        return self in (AccountState.ACTIVE, AccountState.SUSPENDED)


@dataclass(frozen=True, slots=True)
class Account:
    """An account of a store. `email` is that of its root user; `state_since` is when it got into its state."""

    id: str
    name: str
    state: AccountState
    created: datetime
    state_since: datetime
    email: str | None = None
    alias: str | None = None
