"""AssumeRole: whom a role's trust policy lets in, on which terms (rules S-10 to S-23, E-42 to E-44).

The decision is about the role as it is, with its trust policy as the resource's own policy; what does not depend on the
role is checked before, what does after. So a refusal never tells whether the role exists: its sentence names the ARN
that was asked for, and no reason (S-11). Tags and a source identity need permissions of their own, inherited ones as
well, for they are set anew.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.entities import find_identity, identity_arn
from iam_guard.api.iam.output_members import trust_document
from iam_guard.api.operation import Permission, not_authorized
from iam_guard.api.session_limits import issued_to
from iam_guard.api.sts.credentials import Terms, frozen_keys, issue
from iam_guard.api.sts.mfa_codes import mfa_keys, shown_code, use_up
from iam_guard.api.sts.session_policies import given_policies
from iam_guard.api.sts.session_tags import inherited_tags, session_tags, tag_keys
from iam_guard.errors import AccessDenied, InvalidInput, NotSupported, ValidationError
from iam_guard.model.arn import Arn, is_account_id
from iam_guard.model.context import Given
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Resource
from iam_guard.store.identifiers import Kind, session_arn
from iam_guard.store.records import Row

USUAL_SECONDS: Final = 3600
MAX_CHAINED_SECONDS: Final = 3600


def role_to_assume(call: ServiceCall, given: Input) -> Resource:
    """Return the role, with its trust policy; of one that does not exist, its ARN alone.

    Raises what a call is refused with whichever role it names.
    """
    if call.is_root:
        raise AccessDenied("Roles may not be assumed by root accounts.")  # S-12
    if "ProvidedContexts" in given:
        raise NotSupported("The parameter ProvidedContexts is not supported: no context provider is trusted here.")
    arn = _role_arn(given)
    _refuse_long_chain(call, given)
    there = replace(call, account=arn.account)
    row = _find_role(there, given["RoleArn"])
    if row is None:
        return Resource(given["RoleArn"], account=arn.account)
    return Resource(given["RoleArn"], account=arn.account, tags=row["tags"], policy=trust_document(there, row))


def assuming_keys(call: ServiceCall, given: Input) -> dict[str, Given]:
    """Return the condition keys of the evaluation (K-32, S-14, S-15, S-23). Raises `AccessDenied` and others."""
    session_tags(call.caller, given)
    identity = source_identity(call, given)
    keys: dict[str, Given] = {"sts:RoleSessionName": given["RoleSessionName"]}
    keys |= {} if identity is None else {"sts:SourceIdentity": identity}
    keys |= {"sts:ExternalId": given["ExternalId"]} if "ExternalId" in given else {}
    return keys | tag_keys(given) | mfa_keys(call, given)


def assuming_further(call: ServiceCall, given: Input) -> list[Permission]:
    """Ask for the permission to tag the session, and to say who is behind it."""
    has_tags = given.get("Tags") or given.get("TransitiveTagKeys") or inherited_tags(call.caller)
    actions = ["sts:TagSession"] if has_tags else []
    if source_identity(call, given) is not None:
        actions.append("sts:SetSourceIdentity")
    if not actions:
        return []
    resource, keys = role_to_assume(call, given), assuming_keys(call, given)
    return [Permission(action, resource, keys) for action in actions]


def source_identity(call: ServiceCall, given: Input) -> str | None:
    """Return who is behind the session: as said, or as inherited. Raises `AccessDenied` where these differ (S-16)."""
    issued = issued_to(call.caller)
    inherited = None if issued is None else issued.source_identity
    said: str | None = given.get("SourceIdentity")
    if inherited is not None and said not in (None, inherited):
        raise AccessDenied("The source identity is already set for this assume role session")
    return said if inherited is None else inherited


def assume_role(call: ServiceCall, given: Input) -> Output:
    """Make a session of a role for a caller who may."""
    arn: str = given["RoleArn"]
    there = replace(call, account=_role_arn(given).account)
    row = _find_role(there, arn)
    if row is None:  # INVARIANT: what does not exist has no trust policy, so nobody gets here
        raise not_authorized(call.caller, "sts:AssumeRole", arn)
    tags = session_tags(call.caller, given)
    identity = source_identity(call, given)
    principal = Principal(
        PrincipalType.ASSUMED_ROLE,
        session_arn(call.partition, row["account"], row["name"], given["RoleSessionName"]),
        row["account"],
        role_arn=arn,
        userid=f"{row['id']}:{given['RoleSessionName']}",  # P-13
        tags=tags.tags,
        session=frozen_keys(call, {"aws:SourceIdentity": identity}),
        session_policies=given_policies(there, given),
    )
    terms = Terms(_seconds(given, row), transitive_tag_keys=tags.transitive, source_identity=identity)
    made = issue(call, given, principal, terms)
    shown = shown_code(call, given)
    if shown is not None:
        use_up(call, shown)
    return {
        **made.members,
        "AssumedRoleUser": {"Arn": principal.arn, "AssumedRoleId": principal.userid},
        "PackedPolicySize": made.packed_size,
        "SourceIdentity": identity,
    }


def _role_arn(given: Input) -> Arn:
    """Read the role's ARN. Raises `ValidationError` for what is none, for nothing can be decided about that."""
    text: str = given["RoleArn"]
    try:
        arn = Arn.parse(text)
    except InvalidInput:
        raise ValidationError(f"{text} is invalid", place="RoleArn") from None
    is_role = arn.service == "iam" and arn.resource.startswith("role/")
    if not is_role or arn.region or not is_account_id(arn.account):
        raise ValidationError("Request ARN is invalid", place="RoleArn")
    return arn


def _find_role(there: ServiceCall, arn: str) -> Row | None:
    """Find a role of any account that is here by its ARN, letter by letter (S-11)."""
    row = find_identity(there, Kind.ROLE, arn.rpartition("/")[2])
    return row if row is not None and identity_arn(there, row) == arn else None


def _refuse_long_chain(call: ServiceCall, given: Input) -> None:
    is_chained = call.caller.type is PrincipalType.ASSUMED_ROLE
    if is_chained and given.get("DurationSeconds", 0) > MAX_CHAINED_SECONDS:  # S-13
        raise ValidationError(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
        )


def _seconds(given: Input, row: Row) -> int:
    seconds: int = given.get("DurationSeconds", USUAL_SECONDS)
    if seconds > (row["max_session_duration"] or USUAL_SECONDS):
        raise ValidationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    return seconds
