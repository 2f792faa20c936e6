"""The caller's account itself: its name and its state."""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.operation import Permission
from iam_guard.api.own.call_store import accounts_of_store
from iam_guard.model.account import Account
from iam_guard.model.request import Resource


def get_account(call: ServiceCall, parameters: Input) -> Output:
    """Return the account. Raises `NoSuchEntity`."""
    return {"account": _described(accounts_of_store(call).get(call.account))}


def rename_account(call: ServiceCall, parameters: Input) -> Output:
    """Change the name of the account. Raises `EntityAlreadyExists`, `InvalidInput`, `AccountStateConflict`."""
    return {"account": _described(accounts_of_store(call).rename(call.account, parameters["name"]))}


def close_account(call: ServiceCall, parameters: Input) -> Output:
    """Close the account. Raises `AccountStateConflict`, also for the management account of an organization."""
    return {"account": _described(accounts_of_store(call).close(call.account))}


def account_resource(call: ServiceCall, parameters: Input) -> Resource:
    """Return the account as a resource."""
    return call.resource(f"arn:{call.partition}:iam-guard::{call.account}:account")


def authority_to_close(call: ServiceCall, parameters: Input) -> list[Permission]:
    """Require AWS's permission to close an account, which `PowerUserAccess` does not have."""
    return [Permission("account:CloseAccount", account_resource(call, parameters), {})]


def _described(account: Account) -> Output:
    return {
        "accountId": account.id,
        "name": account.name,
        "email": account.email,
        "state": account.state.name,
        "createdAt": account.created,
    }
