"""Whose credentials an operation is about: a user, or the root user, who is None here (rules R-3, R-10).

The root user has no row among the identities, so whatever is kept for it has NULL for a user.
"""

from __future__ import annotations

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.iam.authorization_targets import USER
from iam_guard.api.iam.entities import find_identity, means_root, the_user
from iam_guard.errors import InvalidInput
from iam_guard.model.request import Resource
from iam_guard.store.identifiers import Kind, fold, root_arn
from iam_guard.store.records import Row
from iam_guard.store.schema import accounts


def owner_id(owner: Row | None) -> str | None:
    """Return what stands in `user_id`: the user's unique id, None for the root user."""
    return None if owner is None else owner["id"]


def owner_name(call: ServiceCall, owner: Row | None) -> str:
    """Return what outputs say as `UserName`; the root user is called like the account."""
    if owner is not None:
        name: str = owner["name"]
        return name
    account = call.records.one(accounts, id=call.account)
    return "" if account is None else account["name"]


def settable_status(given: Input) -> str:
    """Return the status to be set. Raises `InvalidInput` for `Expired`, which time alone brings (R-30)."""
    status: str = given["Status"]
    if status == "Expired":
        raise InvalidInput("The status Expired cannot be set.", place="Status")
    return status


# --- where the model demands a user name, of the root user too ---------------------------------------------------


def device_owner(call: ServiceCall, given: Input) -> Row | None:
    """Find whose MFA device a call is about. Raises `NoSuchEntity`.

    The model demands `UserName` where a device is enabled or synchronised, though the root user has none. The root user
    alone may name itself there: `root`, the account's id, or its name; a user of that name goes first.
    """
    return None if _names_root(call, given) else the_user(call, given)


def device_owner_target(call: ServiceCall, given: Input) -> Resource:
    """Return whose MFA device a call is about, as a resource."""
    if _names_root(call, given):
        return Resource(root_arn(call.partition, call.account), account=call.account)
    return USER(call, given)


def _names_root(call: ServiceCall, given: Input) -> bool:
    if not call.is_root or means_root(call, given):
        return call.is_root
    name: str = given["UserName"]
    names = {fold(each) for each in ("root", call.account, owner_name(call, None))}
    return fold(name) in names and find_identity(call, Kind.USER, name) is None
