"""Access keys of users and of the root user, and when they were last used (rules R-3, R-30, R-31, R-33).

A secret is shown once, in the answer that makes the key, and kept sealed, for a signature can only be checked with the
secret itself.
"""

from __future__ import annotations

import base64
import secrets

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.credential_owners import owner_id, owner_name, settable_status
from iam_guard.api.iam.entities import identity_arn, owner_of_credentials, require_room, the_access_key
from iam_guard.api.paging import page_of_rows
from iam_guard.errors import AccessDenied
from iam_guard.model.request import Resource
from iam_guard.store.identifiers import root_arn
from iam_guard.store.records import Row
from iam_guard.store.schema import access_key_uses, access_keys, identities
from iam_guard.store.sql_store import access_key_context

_ID_BYTES = 10  # 16 base-32 characters
_SECRET_BYTES = 30  # 40 base-64 characters
_NEVER = "N/A"


def create_access_key(call: ServiceCall, given: Input) -> Output:
    """Make a key, which is good at once; a user has at most two, whatever their status."""
    owner = owner_of_credentials(call, given)
    held = call.records.count(access_keys, account=call.account, user_id=owner_id(owner))
    quota = "access keys per root user" if owner is None else "access keys per user"
    require_room(quota, "AccessKeysPerUser", held)
    key_id = "AKIA" + base64.b32encode(secrets.token_bytes(_ID_BYTES)).decode("ascii")
    secret = base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")
    call.records.insert(
        access_keys,
        id=key_id,
        account=call.account,
        user_id=owner_id(owner),
        sealed=call.sealer.seal(secret.encode("ascii"), access_key_context(key_id)),
        status="Active",
        created=call.now,
    )
    row = the_access_key(call, owner, key_id)
    return {"AccessKey": _described(row, owner_name(call, owner)) | {"SecretAccessKey": secret}}


def list_access_keys(call: ServiceCall, given: Input) -> Output:
    """List the keys of one owner, by id."""
    owner = owner_of_credentials(call, given)
    order = ("id",)
    page = page_of_rows(
        given,
        order,
        lambda after, limit: call.records.page(
            access_keys, order=order, after=after, limit=limit, account=call.account, user_id=owner_id(owner)
        ),
    )
    name = owner_name(call, owner)
    return {"AccessKeyMetadata": [_described(row, name) for row in page.rows], **page.members}


def update_access_key(call: ServiceCall, given: Input) -> None:
    """Turn a key on or off; an inactive one is refused at once."""
    row = the_access_key(call, owner_of_credentials(call, given), given["AccessKeyId"])
    call.records.update(access_keys, {"status": settable_status(given)}, id=row["id"])


def delete_access_key(call: ServiceCall, given: Input) -> None:
    """Remove a key for good."""
    row = the_access_key(call, owner_of_credentials(call, given), given["AccessKeyId"])
    call.records.delete(access_keys, id=row["id"])


def get_access_key_last_used(call: ServiceCall, given: Input) -> Output:
    """Return whose a key is, and when, where and for what it was last used.

    A key that the account does not have gives AWS's `AccessDenied`, for whoever has every permission too.
    """
    row = _key_of_account(call, given)
    if row is None:
        raise AccessDenied(
            f"User: {call.caller.arn} is not authorized to perform iam:GetAccessKeyLastUsed on resource: "
            f"access key {given['AccessKeyId']}"
        )
    owner = None if row["user_id"] is None else call.records.one(identities, id=row["user_id"])
    use = call.records.one(access_key_uses, access_key_id=row["id"])
    return {
        "UserName": owner_name(call, owner),
        "AccessKeyLastUsed": {
            "LastUsedDate": instant(use["at"]) if use else None,
            "ServiceName": use["service"] if use else _NEVER,
            "Region": use["region"] if use else _NEVER,
        },
    }


def owner_of_key(call: ServiceCall, given: Input) -> Resource:
    """Return whose the key is, as the resource to be decided about; of a key that is nobody's, everything."""
    row = _key_of_account(call, given)
    if row is None:
        return Resource("*", account=call.account)
    owner = None if row["user_id"] is None else call.records.one(identities, id=row["user_id"])
    if owner is None:
        return Resource(root_arn(call.partition, call.account), account=call.account)
    return Resource(identity_arn(call, owner), account=call.account, tags=owner["tags"])


def _key_of_account(call: ServiceCall, given: Input) -> Row | None:
    return call.records.one(access_keys, id=given["AccessKeyId"], account=call.account)


def _described(row: Row, name: str) -> Output:
    return {
        "UserName": name,
        "AccessKeyId": row["id"],
        "Status": row["status"],
        "CreateDate": instant(row["created"]),
    }
