"""GetSessionToken and GetFederationToken: what a user or the root user makes of a long-term access key.

Rules S-3, S-32, S-33, S-51, E-66. The sessions end with the key that asked for them.
"""

from __future__ import annotations

from typing import Final

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.operation import Keys, Permission, everything
from iam_guard.api.sts.credentials import Terms, frozen_keys, issue
from iam_guard.api.sts.mfa_codes import shown_code, use_up
from iam_guard.api.sts.session_policies import given_policies
from iam_guard.api.sts.session_tags import passed_tags, tag_keys
from iam_guard.errors import AccessDenied
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Resource

USUAL_SECONDS: Final = 43200
MAX_SECONDS_OF_ROOT: Final = 3600
_LONG_TERM: Final = "sigv4"


def own_session(call: ServiceCall, given: Input) -> Resource:
    """Return what GetSessionToken is decided about, which is nothing of its own."""
    _long_term_key(call, "GetSessionToken")
    return everything(call, given)


def get_session_token(call: ServiceCall, given: Input) -> Output:
    """Make a session that is the caller itself, with MFA if a code was shown; no policy can deny it (E-66)."""
    shown = shown_code(call, given)
    caller = call.caller
    principal = Principal(
        caller.type,
        caller.arn,
        caller.account,
        userid=caller.userid,
        session=frozen_keys(call, {"aws:MultiFactorAuthPresent": shown is not None}),
        session_policies=caller.session_policies,
    )
    key_id = _long_term_key(call, "GetSessionToken")
    made = issue(call, given, principal, Terms(_seconds(call, given), key_id, has_mfa=shown is not None))
    if shown is not None:
        use_up(call, shown)
    return made.members


def federated_user(call: ServiceCall, given: Input) -> Resource:
    """Return the federated user that is to be, by the ARN of its sessions."""
    _long_term_key(call, "GetFederationToken")
    return Resource(_federated_arn(call, given), account=call.account)


def federation_keys(call: ServiceCall, given: Input) -> Keys:
    """Return the condition keys of the tags that are passed."""
    return tag_keys(given)


def federation_further(call: ServiceCall, given: Input) -> list[Permission]:
    """Ask for the permission to tag the session."""
    if not given.get("Tags"):
        return []
    return [Permission("sts:TagSession", federated_user(call, given), tag_keys(given))]


def get_federation_token(call: ServiceCall, given: Input) -> Output:
    """Make a session of a federated user, which may do what the caller may and the session policies say."""
    arn = _federated_arn(call, given)
    policies = given_policies(call, given)
    principal = Principal(
        PrincipalType.FEDERATED_USER,
        arn,
        call.account,
        user_arn=call.caller.arn,
        userid=f"{call.account}:{given['Name']}",  # P-12
        tags=passed_tags(given),
        session=frozen_keys(call, {}),
        session_policies=policies or (),  # S-32
    )
    key_id = _long_term_key(call, "GetFederationToken")
    terms = Terms(_seconds(call, given), key_id, parent_user_id=call.caller.userid or call.account)
    made = issue(call, given, principal, terms)
    return {
        **made.members,
        "FederatedUser": {"Arn": arn, "FederatedUserId": principal.userid},
        "PackedPolicySize": made.packed_size,
    }


def _federated_arn(call: ServiceCall, given: Input) -> str:
    return f"arn:{call.partition}:sts::{call.account}:federated-user/{given['Name']}"


def _long_term_key(call: ServiceCall, name: str) -> str:
    """Return the id of the long-term access key that asks; whatever else one signs in with is refused.

    An API key is among that: it may be limited to less than its user, and a session would not be.
    """
    credential = call.caller.credential
    is_user = call.caller.type in (PrincipalType.USER, PrincipalType.ROOT)
    if not is_user or credential is None or credential.kind != _LONG_TERM or credential.issued or not credential.id:
        raise AccessDenied(f"Cannot call {name} with session credentials")
    return credential.id


def _seconds(call: ServiceCall, given: Input) -> int:
    seconds: int = given.get("DurationSeconds", USUAL_SECONDS)
    return min(seconds, MAX_SECONDS_OF_ROOT) if call.is_root else seconds  # S-3: silently
