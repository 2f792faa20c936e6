"""What the commands that manage accounts share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from iam_guard.administration.accounts import Accounts
from iam_guard.cli.kit.change_recording import recorded_store
from iam_guard.cli.kit.commands import Answer
from iam_guard.cli.kit.terminal import terminal_safe
from iam_guard.model.account import Account
from iam_guard.settings import load_settings


@contextmanager
def opened_accounts(store: str) -> Iterator[Accounts]:
    """Yield the accounts of a store; the operator's changes are recorded."""
    with recorded_store(store) as (opened, change_recorder):
        yield Accounts(opened, load_settings(), change_recorder, lambda: datetime.now(UTC))


def account_row(account: Account) -> dict[str, str | None]:
    """Return an account as every command with `--json` prints it."""
    return {
        "id": account.id,
        "name": account.name,
        "state": account.state.value,
        "stateSince": account.state_since.isoformat(),
        "created": account.created.isoformat(),
        "email": account.email,
        "alias": account.alias,
    }


def new_state(account: Account) -> Answer:
    return Answer(account_row(account), f"the account {account.id} ({terminal_safe(account.name)}) is {account.state}")
