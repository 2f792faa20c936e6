"""Access keys of users and of the root user, and their last use (R-3, R-30, R-31, R-33).

A secret is returned once, at creation. It is stored sealed, not hashed, since verifying a signature needs the secret
itself.
"""

from __future__ import annotations

import base64
import secrets

from iam_guard.api.call import Input, Output, ServiceCall, instant
from iam_guard.api.iam.credentials.user_credentials import (
    CredentialKind,
    describe_credential,
    insert_credential,
    owner_id,
    owner_name,
)
from iam_guard.api.iam.entities import identity_arn, owner_of_credentials, require_quota
from iam_guard.errors import AccessDenied
from iam_guard.model.request import Resource
from iam_guard.store.database.records import Row
from iam_guard.store.schema import access_key_uses, access_keys, identities
from iam_guard.store.sql_store import access_key_context

_ID_BYTES = 10  # 16 base-32 characters
_SECRET_BYTES = 30  # 40 base-64 characters
_NEVER = "N/A"

ACCESS_KEY = CredentialKind(
    access_keys,
    owner_of_credentials,
    "The Access Key with id {} cannot be found.",
    member="AccessKeyId",
    created="CreateDate",
)


def create_access_key(call: ServiceCall, parameters: Input) -> Output:
    """Create an active key; a user has at most two, whatever their status."""
    owner = owner_of_credentials(call, parameters)
    current = call.records.count(access_keys, account=call.account, user_id=owner_id(owner))
    quota = "access keys per root user" if owner is None else "access keys per user"
    require_quota(call.records, quota, "AccessKeysPerUser", current)
    key_id = "AKIA" + base64.b32encode(secrets.token_bytes(_ID_BYTES)).decode("ascii")
    secret = base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")
    sealed = call.sealer.seal(secret.encode("ascii"), access_key_context(key_id))
    row = insert_credential(call, ACCESS_KEY, owner, key_id, sealed=sealed)
    described = describe_credential(ACCESS_KEY, row, owner_name(call, owner))
    return {"AccessKey": {**described, "SecretAccessKey": secret}}


def get_access_key_last_used(call: ServiceCall, parameters: Input) -> Output:
    """Return the owner of a key, and the time, region and service of its last use.

    Raises AWS's `AccessDenied` for a key of another account, whatever the caller's permissions.
    """
    row = _key_of_account(call, parameters)
    if row is None:
        raise AccessDenied(
            f"User: {call.caller.arn} is not authorized to perform iam:GetAccessKeyLastUsed on resource: "
            f"access key {parameters['AccessKeyId']}"
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


def owner_of_key(call: ServiceCall, parameters: Input) -> Resource:
    """Return the owner of the key as the resource; `*` for an unknown key."""
    row = _key_of_account(call, parameters)
    if row is None:
        return call.resource("*")
    owner = None if row["user_id"] is None else call.records.one(identities, id=row["user_id"])
    if owner is None:
        return call.resource(call.root_arn)
    return call.resource(identity_arn(call, owner), owner)


def _key_of_account(call: ServiceCall, parameters: Input) -> Row | None:
    return call.records.one(access_keys, id=parameters["AccessKeyId"], account=call.account)
