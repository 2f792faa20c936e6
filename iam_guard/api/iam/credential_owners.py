"""The owner of credentials: a user, or the root user, which is None here (R-3, R-10).

The root user has no row among the identities, so its credentials have NULL as user id.
"""

from __future__ import annotations

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.iam.authorization_targets import USER
from iam_guard.api.iam.entities import find_identity, is_about_root, load_user
from iam_guard.model.request import Resource
from iam_guard.store.identifiers import Kind, fold, root_arn
from iam_guard.store.records import Row
from iam_guard.store.schema import accounts


def owner_id(owner: Row | None) -> str | None:
    """Return the value for `user_id`: the user's unique id, None for the root user."""
    return None if owner is None else owner["id"]


def owner_name(call: ServiceCall, owner: Row | None) -> str:
    """Return the output's `UserName`; for the root user, the account's name."""
    if owner is not None:
        name: str = owner["name"]
        return name
    account = call.records.one(accounts, id=call.account)
    return "" if account is None else account["name"]


# --- operations whose model requires a user name, even for the root user -------------------------------------------


def device_owner(call: ServiceCall, parameters: Input) -> Row | None:
    """Return the owner of the call's MFA device. Raises `NoSuchEntity`.

    The model requires `UserName` to enable or resynchronize a device, though the root user has none. Only the root user
    can name itself: `root`, the account's id, or its name, unless a user has that name.
    """
    return None if _names_root(call, parameters) else load_user(call, parameters)


def device_owner_target(call: ServiceCall, parameters: Input) -> Resource:
    """Return the owner of the call's MFA device as a resource."""
    if _names_root(call, parameters):
        return Resource(root_arn(call.partition, call.account), account=call.account)
    return USER(call, parameters)


def _names_root(call: ServiceCall, parameters: Input) -> bool:
    if not call.is_root or is_about_root(call, parameters):
        return call.is_root
    name: str = parameters["UserName"]
    names = {fold(alias) for alias in ("root", call.account, owner_name(call, None))}
    return fold(name) in names and find_identity(call, Kind.USER, name) is None
