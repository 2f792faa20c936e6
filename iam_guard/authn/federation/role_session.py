"""Role sessions of federated identities, decided by the role's trust policy (rules S-20, S-22, S-30, E-42, E-46, E-47).

A verified OIDC token or client certificate becomes a `FederatedIdentity`: principal and action for the trust policy,
and the contents of the session. STS decides `questions` itself and issues credentials for `session_principal`; the
guard uses `admit`, also for a user who switches to a role in a browser. A missing role gets the same error as an
untrusting one, so callers cannot tell whether it exists (S-11).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from iam_guard.errors import AccessDenied, DecisionUnavailable, InvalidInput, ValidationError
from iam_guard.model.arn import Arn, is_account_id
from iam_guard.model.context import Given
from iam_guard.model.decision import Decision
from iam_guard.model.principal import Credential, Principal, PrincipalType
from iam_guard.model.request import Resource
from iam_guard.store.database.records import Records, row_arn
from iam_guard.store.identifiers import Kind, fold, is_tag_text, session_arn
from iam_guard.store.policies.principal_bindings import read_current_text
from iam_guard.store.quotas import MAX_SESSION_DURATION, QUOTAS, TAG_KEY_LENGTH, TAG_VALUE_LENGTH
from iam_guard.store.schema import identities

SESSION_NAME: Final = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
SOURCE_IDENTITY: Final = re.compile(r"(?!aws:)[\w+=,.@-]{2,64}", re.ASCII | re.IGNORECASE)
DEFAULT_SECONDS: Final = MAX_SESSION_DURATION[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedIdentity:
    """A verified external identity and the session that it requests.

    `principal` is what the trust policy must name: `Principal.federated(…)` or a service. `keys` are condition keys of
    the decision, in addition to those derived from the other fields; `session_keys` are those that the session keeps
    (K-21, K-34). `session_policies` are validated documents. Raises `InvalidInput` for an invalid session name, source
    identity or tags.
    """

    principal: Principal
    action: str
    session_name: str
    keys: Mapping[str, Given] = field(default_factory=dict)
    session_keys: Mapping[str, Given] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive_tag_keys: tuple[str, ...] = ()
    source_identity: str | None = None
    session_policies: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if SESSION_NAME.fullmatch(self.session_name) is None:
            raise InvalidInput("expected a session name of 2 to 64 letters, digits and `_+=,.@-`")
        if self.source_identity is not None and SOURCE_IDENTITY.fullmatch(self.source_identity) is None:
            raise InvalidInput("expected a source identity of 2 to 64 letters, digits and `_+=,.@-`")
        _check_tags(self.tags, self.transitive_tag_keys)


@dataclass(frozen=True, slots=True)
class Role:
    """A stored role. `trust` is its current trust policy (P-6)."""

    arn: str
    id: str
    account: str
    name: str
    tags: Mapping[str, str]
    trust: str | None = field(repr=False)
    max_seconds: int
    """Maximum session duration (R-13)."""


class TrustQuestion(NamedTuple):
    """An action on the role that the trust policy must allow to `FederatedIdentity.principal`."""

    action: str
    resource: Resource
    context: Mapping[str, Given]


Decide: TypeAlias = Callable[[Principal, TrustQuestion], Decision]


def read_role_arn(text: str, *, max_quoted: int | None = 200) -> Arn:
    """Parse the ARN of a role. Raises `ValidationError`, which quotes at most `max_quoted` characters of the text."""
    try:
        arn = Arn.parse(text)
    except InvalidInput:
        raise ValidationError(f"{text[:max_quoted]} is invalid", place="RoleArn") from None
    is_role = arn.service == "iam" and arn.resource.startswith("role/")
    if not is_role or arn.region or not is_account_id(arn.account):
        raise ValidationError("Request ARN is invalid", place="RoleArn")
    return arn


def find_role(records: Records, partition: str, arn: str) -> Role | None:
    """Return the stored role with exactly this ARN, in any account (S-11). Raises `ValidationError`."""
    name, account = arn.rpartition("/")[2], read_role_arn(arn).account
    row = records.one(identities, account=account, kind=Kind.ROLE.value, folded=fold(name))
    if row is None or row_arn(partition, row) != arn:
        return None
    text = row["trust_text"]
    trust = text and read_current_text(records, partition, text, row["trust_bindings"])
    max_seconds = row["max_session_duration"] or DEFAULT_SECONDS
    return Role(arn, row["id"], account, row["name"], row["tags"], trust, max_seconds)


def role_resource(arn: str, role: Role | None) -> Resource:
    """Return the role with its trust policy, or the ARN alone if it does not exist. Raises `ValidationError`."""
    account = read_role_arn(arn).account
    return Resource(arn, account=account) if role is None else Resource(role.arn, account, role.tags, role.trust)


def questions(identity: FederatedIdentity, arn: str, role: Role | None) -> list[TrustQuestion]:
    """Return what must be allowed for a session of the role with this ARN; `role` is None if it does not exist."""
    resource = role_resource(arn, role)
    actions = [identity.action]
    if identity.tags:
        actions.append("sts:TagSession")  # E-47
    if identity.source_identity is not None:
        actions.append("sts:SetSourceIdentity")
    tags = {} if role is None else role.tags
    keys = {**_condition_keys(identity), **{f"iam:ResourceTag/{key}": value for key, value in tags.items()}}  # K-33
    return [TrustQuestion(action, resource, keys) for action in actions]


def session_principal(
    identity: FederatedIdentity, role: Role, partition: str, issued: datetime, credential: Credential | None = None
) -> Principal:
    """Return the role session of an admitted `FederatedIdentity` (P-2, P-13, S-21)."""
    session_keys: dict[str, Given] = {"aws:TokenIssueTime": issued, **identity.session_keys}
    if identity.source_identity is not None:
        session_keys["aws:SourceIdentity"] = identity.source_identity
    return Principal(
        PrincipalType.ASSUMED_ROLE,
        session_arn(partition, role.account, role.name, identity.session_name),
        role.account,
        role_arn=role.arn,
        userid=f"{role.id}:{identity.session_name}",
        tags=MappingProxyType(dict(identity.tags)),
        session=MappingProxyType(session_keys),
        session_policies=identity.session_policies,
        credential=credential,
    )


def session_seconds(role: Role, requested: int | None) -> int:
    """Return the session duration. Raises `ValidationError` if it exceeds the role's maximum (S-3)."""
    seconds = DEFAULT_SECONDS if requested is None else requested
    if seconds > role.max_seconds:
        raise ValidationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    return seconds


def admit(identity: FederatedIdentity, arn: str, role: Role | None, decide: Decide) -> Role:
    """Return the role if its trust policy allows the session.

    Raises `AccessDenied`, also for a role that does not exist, and `DecisionUnavailable` if no decision can be made.
    """
    for question in questions(identity, arn, role):
        decision = decide(identity.principal, question)
        if decision.error is not None:
            raise DecisionUnavailable("no decision can be made, so the request is denied")
        if not decision.allowed:
            raise not_admitted(identity.action, decision)
    if role is None:  # INVARIANT: not reached, since a missing role has no trust policy that could allow
        raise not_admitted(identity.action)
    return role


def not_admitted(action: str, decision: object = None) -> AccessDenied:
    """Return the error for a refused federated identity; it names neither role nor reason (S-11)."""
    return AccessDenied(f"Not authorized to perform {action}", decision=decision)


def _condition_keys(identity: FederatedIdentity) -> dict[str, Given]:
    """Return the condition keys of the decisions (K-32, S-23)."""
    keys: dict[str, Given] = {**identity.keys, "sts:RoleSessionName": identity.session_name}
    keys.update({f"aws:RequestTag/{key}": value for key, value in identity.tags.items()})
    if identity.tags:
        keys["aws:TagKeys"] = list(identity.tags)
    if identity.transitive_tag_keys:
        keys["sts:TransitiveTagKeys"] = list(identity.transitive_tag_keys)
    if identity.source_identity is not None:
        keys["sts:SourceIdentity"] = identity.source_identity
    return keys


def _check_tags(tags: Mapping[str, str], transitive: Sequence[str]) -> None:
    """Raise `InvalidInput` for session tags that break rule S-20 or S-22."""
    if len(tags) > QUOTAS["tags per entity"]:
        raise InvalidInput(f"expected at most {QUOTAS['tags per entity']} session tags, got {len(tags)}")
    folded: set[str] = set()
    for key, value in tags.items():
        is_key = 0 < len(key) <= TAG_KEY_LENGTH and is_tag_text(key) and not key.lower().startswith("aws:")
        if not is_key or len(value) > TAG_VALUE_LENGTH or not is_tag_text(value):
            raise InvalidInput("expected session tags of letters, numbers, spaces and `_.:/=+-@`")
        if key.lower() in folded:
            raise InvalidInput("expected session tags whose keys do not differ by letter case only")
        folded.add(key.lower())
    if not {key.lower() for key in transitive} <= folded:
        raise InvalidInput("expected transitive tag keys among the keys of the session tags")
