"""The account alias: at most one per account, unique among accounts (G-77, G-79)."""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.paging import page_of_list
from iam_guard.errors import EntityAlreadyExists, NoSuchEntity, ValidationError
from iam_guard.model.arn import is_account_id
from iam_guard.store.schema import accounts


def create_account_alias(call: ServiceCall, parameters: Input) -> None:
    """Set or replace the account's alias. Raises `EntityAlreadyExists` if it is taken."""
    alias: str = parameters["AccountAlias"]
    if is_account_id(alias):
        raise ValidationError("The account alias must not be an account ID.", place="AccountAlias")  # G-79
    if call.records.count(accounts, alias=alias):
        raise EntityAlreadyExists(f"The account alias {alias} already exists.")
    call.records.update(accounts, {"alias": alias}, id=call.account)


def delete_account_alias(call: ServiceCall, parameters: Input) -> None:
    """Remove the alias. Raises `NoSuchEntity` if the account doesn't have it."""
    alias: str = parameters["AccountAlias"]
    if not call.records.update(accounts, {"alias": None}, id=call.account, alias=alias):
        raise NoSuchEntity(f"The account alias {alias} cannot be found.")


def list_account_aliases(call: ServiceCall, parameters: Input) -> Output:
    """List the alias, if there is one."""
    account = call.records.one(accounts, id=call.account)
    aliases = [account["alias"]] if account is not None and account["alias"] is not None else []
    page = page_of_list(parameters, aliases, lambda alias: (alias,))
    return {"AccountAliases": page.rows, **page.members}
