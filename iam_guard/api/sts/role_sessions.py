"""AssumeRole: a session of a role whose trust policy allows the caller (S-10 to S-23, E-42 to E-44).

The role's trust policy is evaluated as the resource's policy. Checks that don't depend on the role come before the
decision, all others after it, so that a denial never reveals whether the role exists: its message has the requested ARN
and no reason (S-11). Tags and a source identity need permissions of their own, even inherited ones, since they are set
anew.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.operation import Permission, not_authorized
from iam_guard.api.session_limits import long_term_key_of, own_source_identity
from iam_guard.api.sts.credentials import SessionTerms, issue, session_keys
from iam_guard.api.sts.mfa_codes import consume_mfa_code, mfa_keys
from iam_guard.api.sts.session_policies import requested_policies
from iam_guard.api.sts.session_tags import inherited_tags, session_tags, tag_keys
from iam_guard.api.sts.unsupported_features import refuse_parameters
from iam_guard.authn.federation.role_session import Role, find_role, read_role_arn, role_resource
from iam_guard.errors import AccessDenied, ValidationError
from iam_guard.model.context import Given
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Resource
from iam_guard.store.identifiers import session_arn

DEFAULT_SECONDS: Final = 3600
MAX_CHAINED_SECONDS: Final = 3600


def role_to_assume(call: ServiceCall, parameters: Input) -> Resource:
    """Return the role with its trust policy; for a missing role, its ARN alone.

    Raises the errors that don't depend on the role.
    """
    if call.is_root:
        raise AccessDenied("Roles may not be assumed by root accounts.")  # S-12
    refuse_parameters("AssumeRole", parameters)
    read_role_arn(parameters["RoleArn"], max_quoted=None)
    _refuse_long_chain(call, parameters)
    return role_resource(parameters["RoleArn"], find_role(call.records, call.partition, parameters["RoleArn"]))


def assume_role_keys(call: ServiceCall, parameters: Input) -> dict[str, Given]:
    """Return the condition keys of the call (K-32, S-14, S-15, S-23). Raises `AccessDenied` and others."""
    session_tags(call.caller, parameters)
    identity = source_identity(call, parameters)
    keys: dict[str, Given] = {"sts:RoleSessionName": parameters["RoleSessionName"]}
    keys |= {} if identity is None else {"sts:SourceIdentity": identity}
    keys |= {"sts:ExternalId": parameters["ExternalId"]} if "ExternalId" in parameters else {}
    return keys | tag_keys(call, parameters) | mfa_keys(call, parameters)


def assume_role_further(call: ServiceCall, parameters: Input) -> list[Permission]:
    """Require the permissions to tag the session, and to set its source identity."""
    has_tags = parameters.get("Tags") or parameters.get("TransitiveTagKeys") or inherited_tags(call.caller)
    actions = ["sts:TagSession"] if has_tags else []
    if source_identity(call, parameters) is not None:
        actions.append("sts:SetSourceIdentity")
    if not actions:
        return []
    resource, keys = role_to_assume(call, parameters), assume_role_keys(call, parameters)
    return [Permission(action, resource, keys) for action in actions]


def source_identity(call: ServiceCall, parameters: Input) -> str | None:
    """Return the session's source identity, requested or inherited. Raises `AccessDenied` if they differ (S-16)."""
    inherited = own_source_identity(call.caller)
    requested: str | None = parameters.get("SourceIdentity")
    if inherited is not None and requested not in (None, inherited):
        raise AccessDenied("The source identity is already set for this assume role session")
    return requested if inherited is None else inherited


def assume_role(call: ServiceCall, parameters: Input) -> Output:
    """Issue credentials for a session of a role."""
    role = find_role(call.records, call.partition, parameters["RoleArn"])
    if role is None:  # INVARIANT: a missing role has no trust policy, so its call was denied
        raise not_authorized(call.caller, "sts:AssumeRole", parameters["RoleArn"])
    tags = session_tags(call.caller, parameters)
    identity = source_identity(call, parameters)
    principal = Principal(
        PrincipalType.ASSUMED_ROLE,
        session_arn(call.partition, role.account, role.name, parameters["RoleSessionName"]),
        role.account,
        role_arn=role.arn,
        userid=f"{role.id}:{parameters['RoleSessionName']}",  # P-13
        tags=tags.tags,
        session=session_keys(call, {"aws:SourceIdentity": identity}),
        session_policies=requested_policies(replace(call, account=role.account), parameters),
    )
    terms = SessionTerms(
        _seconds(parameters, role),
        parent_key_id=long_term_key_of(call.caller),
        transitive_tag_keys=tags.transitive,
        source_identity=identity,
    )
    issued = issue(call, parameters, principal, terms)
    consume_mfa_code(call, parameters)
    return {
        **issued.members,
        "AssumedRoleUser": {"Arn": principal.arn, "AssumedRoleId": principal.userid},
        "PackedPolicySize": issued.packed_size,
        "SourceIdentity": identity,
    }


def _refuse_long_chain(call: ServiceCall, parameters: Input) -> None:
    is_chained = call.caller.type is PrincipalType.ASSUMED_ROLE
    if is_chained and parameters.get("DurationSeconds", 0) > MAX_CHAINED_SECONDS:  # S-13
        raise ValidationError(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
        )


def _seconds(parameters: Input, role: Role) -> int:
    seconds: int = parameters.get("DurationSeconds", DEFAULT_SECONDS)
    if seconds > role.max_seconds:
        raise ValidationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    return seconds
