"""Temporary credentials: creating, sealing and describing them (S-1, S-17, S-40).

They are not stored. As at AWS, an access key id contains its account: of ten bytes (sixteen base-32 characters) the
highest bit is set, the next forty bits are the account, the rest is random.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.service_errors import PackedPolicyTooLarge
from iam_guard.errors import ValidationError
from iam_guard.model.context import Given
from iam_guard.model.credential import TEMPORARY, Session
from iam_guard.model.principal import Principal
from iam_guard.store.credentials.session_tokens import TOKEN_LIMIT, packed_size
from iam_guard.store.schema import access_keys, accounts

_ID_BYTES = 10
_RANDOM_BITS = 39
_ACCOUNT_BITS = 40
_SECRET_BYTES = 30  # 40 base-64 characters


class SessionTerms(NamedTuple):
    """The terms of a session, besides its principal."""

    seconds: int
    parent_key_id: str | None = None
    parent_user_id: str | None = None
    transitive_tag_keys: tuple[str, ...] = ()
    source_identity: str | None = None
    has_mfa: bool = False


def session_keys(call: ServiceCall, more: Mapping[str, Given]) -> dict[str, Given]:
    """Return the condition keys that are fixed in a session (K-21); None values are left out."""
    present = {key: value for key, value in more.items() if value is not None}
    return {"aws:TokenIssueTime": call.time, **present}


class IssuedCredentials(NamedTuple):
    """Issued credentials: the output members for them, and the packed size of policies and tags."""

    members: Output
    packed_size: int | None
    """In percent; None for a session without policies and tags."""


def issue(call: ServiceCall, parameters: Input, principal: Principal, terms: SessionTerms) -> IssuedCredentials:
    """Issue credentials. Raises `PackedPolicyTooLarge`."""
    expires = call.time + timedelta(seconds=terms.seconds)
    key_id, secret = new_temporary_key(principal.account or call.account)
    session = Session(
        access_key_id=key_id,
        secret=secret,
        principal=principal,
        issued=call.time,
        expires=expires,
        parent_key_id=terms.parent_key_id,
        parent_user_id=terms.parent_user_id,
        transitive_tag_keys=terms.transitive_tag_keys,
        source_identity=terms.source_identity,
        mfa_at=call.time if terms.has_mfa else None,
    )
    percent = packed_size(session)
    if percent > 100:
        raise PackedPolicyTooLarge(_too_large(principal, percent))
    token = call.server.store.seal_session(session, at_least=parameters.get("MinimumSessionTokenSize", 0))
    members: Output = {
        "Credentials": {
            "AccessKeyId": session.access_key_id,
            "SecretAccessKey": session.secret,
            "SessionToken": token,
            "Expiration": expires,
        },
        "SessionTokenUtilization": -(-100 * len(token) // TOKEN_LIMIT),
        "SessionTokenSize": len(token),
    }
    return IssuedCredentials(members, percent if principal.session_policies or principal.tags else None)


def new_temporary_key(account: str) -> tuple[str, str]:
    """Return the id and the secret of a new temporary access key."""
    return _new_key_id(account), base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")


def get_access_key_info(call: ServiceCall, parameters: Input) -> Output:
    """Return the account of a key, whatever its status; a temporary key's id contains it."""
    key_id: str = parameters["AccessKeyId"]
    account = _account_in(key_id) if key_id.startswith(TEMPORARY) else None
    row = call.records.one(access_keys, id=key_id) if account is None else call.records.one(accounts, id=account)
    if row is None:
        raise ValidationError("The specified access key ID does not exist.", place="AccessKeyId")
    return {"Account": row["account"] if account is None else account}


def _too_large(principal: Principal, percent: int) -> str:
    if principal.session_policies:
        return f"Packed policy consumes {percent}% of allotted space, please use smaller policy."
    return f"Packed size of session tags consumes {percent}% of allotted space."


def _new_key_id(account: str) -> str:
    number = ((1 << _ACCOUNT_BITS) + int(account) << _RANDOM_BITS) + secrets.randbits(_RANDOM_BITS)
    return TEMPORARY + base64.b32encode(number.to_bytes(_ID_BYTES)).decode("ascii")


def _account_in(key_id: str) -> str | None:
    try:
        content = base64.b32decode(key_id.removeprefix(TEMPORARY))
    except ValueError:
        return None
    number = int.from_bytes(content[:_ID_BYTES])
    return f"{(number >> _RANDOM_BITS) % (1 << _ACCOUNT_BITS):012}"
