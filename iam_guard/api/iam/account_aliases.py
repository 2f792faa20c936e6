"""The alias of an account: at most one, and no other account's too (rules G-77, G-79)."""

from __future__ import annotations

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.paging import page_of_list
from iam_guard.errors import EntityAlreadyExists, NoSuchEntity, ValidationError
from iam_guard.model.arn import is_account_id
from iam_guard.store.schema import accounts


def create_account_alias(call: ServiceCall, given: Input) -> None:
    """Return the account an alias, in the place of any other. Raises `EntityAlreadyExists` for one that is taken."""
    alias: str = given["AccountAlias"]
    if is_account_id(alias):
        raise ValidationError("The account alias must not be an account ID.", place="AccountAlias")  # G-79
    if call.records.count(accounts, alias=alias):
        raise EntityAlreadyExists(f"The account alias {alias} already exists.")
    call.records.update(accounts, {"alias": alias}, id=call.account)


def delete_account_alias(call: ServiceCall, given: Input) -> None:
    """Take the alias away. Raises `NoSuchEntity` for one that the account does not have."""
    alias: str = given["AccountAlias"]
    if not call.records.update(accounts, {"alias": None}, id=call.account, alias=alias):
        raise NoSuchEntity(f"The account alias {alias} cannot be found.")


def list_account_aliases(call: ServiceCall, given: Input) -> Output:
    """List the alias, if there is one."""
    account = call.records.one(accounts, id=call.account)
    aliases = [account["alias"]] if account is not None and account["alias"] is not None else []
    page = page_of_list(given, aliases, lambda alias: (alias,))
    return {"AccountAliases": page.rows, **page.members}
