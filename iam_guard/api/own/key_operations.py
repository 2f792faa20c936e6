"""The API keys of an account's users and roles.

A key has the authority of its owner, so what makes one, or makes it valid again, also requires IAM's permission for the
same: that for access keys of the user, or to change who may assume the role.
"""

from __future__ import annotations

from datetime import timedelta

from iam_guard.administration.api_keys import ListedApiKey
from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.authorization_targets import find_by_arn
from iam_guard.api.operation import Further, Permission
from iam_guard.api.own.call_store import api_keys_of
from iam_guard.api.paging import page_of_sorted
from iam_guard.authn.api_key import NewApiKey
from iam_guard.errors import NoSuchEntity
from iam_guard.model.arn import account_of
from iam_guard.model.request import Resource
from iam_guard.store.database.records import Row, row_arn
from iam_guard.store.schema import api_keys, identities


def create_key(call: ServiceCall, parameters: Input) -> Output:
    """Create a key. Raises `NoSuchEntity`, `InvalidInput`, `PolicyError`, `LimitExceeded`, `AccountStateConflict`."""
    expires, policy = parameters.get("expiresAt"), parameters.get("sessionPolicy")
    return _created(api_keys_of(call).create(_principal(call, parameters), expires=expires, session_policy=policy))


def list_keys(call: ServiceCall, parameters: Input) -> Output:
    """Return a page of the keys of a user or role, or of the account. Raises `NoSuchEntity`."""
    principal = _principal(call, parameters) if "principalArn" in parameters else None

    def fetch(after: str | None, limit: int) -> list[ListedApiKey]:
        return api_keys_of(call).list(principal, account=call.account, after=after, limit=limit)

    page = page_of_sorted(parameters, fetch, lambda key: key.id)
    return {"apiKeys": [_described(key) for key in page.rows], **page.members}


def update_key(call: ServiceCall, parameters: Input) -> None:
    """Activate or deactivate a key. Raises `NoSuchEntity`."""
    api_keys_of(call).update(_id(call, parameters), parameters["status"])


def delete_key(call: ServiceCall, parameters: Input) -> None:
    """Delete a key. Raises `NoSuchEntity`."""
    api_keys_of(call).delete(_id(call, parameters))


def rotate_key(call: ServiceCall, parameters: Input) -> Output:
    """Create a key with the same owner and restriction. Raises `NoSuchEntity`, `InvalidInput`, `LimitExceeded`."""
    seconds = parameters.get("overlapSeconds")
    overlap = None if seconds is None else timedelta(seconds=seconds)
    return _created(
        api_keys_of(call).rotate(_id(call, parameters), expires=parameters.get("expiresAt"), overlap=overlap)
    )


def key_owner(call: ServiceCall, parameters: Input) -> Resource:
    """Return the user or role of a call, or the one that its key belongs to; everything for what does not exist."""
    if "principalArn" in parameters:
        row = find_by_arn(call, parameters["principalArn"])
        is_owner = row is not None and row.get("kind") in ("user", "role")
    elif "apiKeyId" in parameters:
        row = _owner_of_key(call, parameters["apiKeyId"])
        is_owner = row is not None
    else:
        return call.resource("*")
    return call.resource(row_arn(call.partition, row), row) if is_owner and row is not None else call.resource("*")


def authority_of_owner(action: str) -> Further:
    """Require IAM's permission for the same authority: `action` for a user, to change the trust policy of a role."""

    def further(call: ServiceCall, parameters: Input) -> list[Permission]:
        owner = key_owner(call, parameters)
        is_role = owner.arn.partition(":role/")[1] != ""
        return [Permission("iam:UpdateAssumeRolePolicy" if is_role else action, owner, {})]

    return further


def _principal(call: ServiceCall, parameters: Input) -> str:
    arn: str = parameters["principalArn"]
    if account_of(arn) != call.account:
        raise NoSuchEntity(f"The account {call.account} has no such user or role.")
    return arn


def _id(call: ServiceCall, parameters: Input) -> str:
    id: str = parameters["apiKeyId"]
    if _owner_of_key(call, id) is None:
        raise NoSuchEntity(f"The API key {id} cannot be found.")
    return id


def _owner_of_key(call: ServiceCall, id: str) -> Row | None:
    """Return the owner of a key, if it is of the account."""
    key = call.records.one(api_keys, id=id)
    return None if key is None else call.records.one(identities, id=key["identity_id"], account=call.account)


def _created(key: NewApiKey) -> Output:
    return {"apiKeyId": key.id, "apiKey": key.text}


def _described(key: ListedApiKey) -> Output:
    return {
        "apiKeyId": key.id,
        "principalArn": key.principal,
        "status": key.status,
        "createdAt": key.created,
        "expiresAt": key.expires,
        "lastUsedAt": key.used,
        "sessionPolicy": key.session_policy,
        "replaces": key.replaces,
    }
