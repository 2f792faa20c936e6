"""GetSessionToken and GetFederationToken: sessions from a long-term access key of a user or the root user.

Rules S-3, S-32, S-33, S-51, E-66. The sessions end with their access key.
"""

from __future__ import annotations

from typing import Final

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.operation import all_resources
from iam_guard.api.session_limits import long_term_key_of
from iam_guard.api.sts.credentials import SessionTerms, issue, session_keys
from iam_guard.api.sts.mfa_codes import consume_mfa_code
from iam_guard.api.sts.session_policies import requested_policies
from iam_guard.api.sts.session_tags import passed_tags
from iam_guard.errors import AccessDenied
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Resource

DEFAULT_SECONDS: Final = 43200
MAX_ROOT_SECONDS: Final = 3600


def own_session(call: ServiceCall, parameters: Input) -> Resource:
    """Return `*`, since GetSessionToken has no resource of its own."""
    _long_term_key(call, "GetSessionToken")
    return all_resources(call, parameters)


def get_session_token(call: ServiceCall, parameters: Input) -> Output:
    """Issue a session of the caller itself, with MFA if a code is present; no policy can deny it (E-66)."""
    has_mfa = consume_mfa_code(call, parameters)
    caller = call.caller
    principal = Principal(
        caller.type,
        caller.arn,
        caller.account,
        userid=caller.userid,
        session=session_keys(call, {"aws:MultiFactorAuthPresent": has_mfa}),
        session_policies=caller.session_policies,
    )
    key_id = _long_term_key(call, "GetSessionToken")
    terms = SessionTerms(_seconds(call, parameters), key_id, has_mfa=has_mfa)
    return issue(call, parameters, principal, terms).members


def federated_user(call: ServiceCall, parameters: Input) -> Resource:
    """Return the new federated user, by its session ARN."""
    _long_term_key(call, "GetFederationToken")
    return call.resource(_federated_arn(call, parameters))


def get_federation_token(call: ServiceCall, parameters: Input) -> Output:
    """Issue a session of a federated user, with the caller's permissions limited by the session policies."""
    arn = _federated_arn(call, parameters)
    policies = requested_policies(call, parameters)
    principal = Principal(
        PrincipalType.FEDERATED_USER,
        arn,
        call.account,
        user_arn=call.caller.arn,
        userid=f"{call.account}:{parameters['Name']}",  # P-12
        tags=passed_tags(parameters),
        session=session_keys(call, {}),
        session_policies=policies or (),  # S-32
    )
    key_id = _long_term_key(call, "GetFederationToken")
    terms = SessionTerms(_seconds(call, parameters), key_id, parent_user_id=call.caller.userid or call.account)
    issued = issue(call, parameters, principal, terms)
    return {
        **issued.members,
        "FederatedUser": {"Arn": arn, "FederatedUserId": principal.userid},
        "PackedPolicySize": issued.packed_size,
    }


def _federated_arn(call: ServiceCall, parameters: Input) -> str:
    return f"arn:{call.partition}:sts::{call.account}:federated-user/{parameters['Name']}"


def _long_term_key(call: ServiceCall, name: str) -> str:
    """Return the id of the caller's long-term access key. Raises `AccessDenied` for every other credential.

    API keys are rejected too: they may be limited to less than their user, and a session would not be.
    """
    key_id = long_term_key_of(call.caller)
    if not key_id:
        raise AccessDenied(f"Cannot call {name} with session credentials")
    return key_id


def _seconds(call: ServiceCall, parameters: Input) -> int:
    seconds: int = parameters.get("DurationSeconds", DEFAULT_SECONDS)
    return min(seconds, MAX_ROOT_SECONDS) if call.is_root else seconds  # S-3: silently
