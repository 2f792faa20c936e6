"""From an identity that was proved outside to a role session, through the role's trust policy (rules S-20, S-22, S-30,
E-42, E-46, E-47).

A verified identity (of an OIDC token or a client certificate) is a `FederatedIdentity`: the principal and the
action of the trust policy, and the contents of the session. There are two ways: STS decides `questions`
with the operation's own decisions and makes credentials for `session_principal`; the guard takes `admit`, which does
both. Nobody learns whether a role exists: a role that does not is refused in the words of one that does not trust
(S-11).
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
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import Resource
from iam_guard.store.identifiers import Kind, fold, iam_arn, is_tag_text, session_arn
from iam_guard.store.principal_bindings import current_text
from iam_guard.store.quotas import MAX_SESSION_DURATION, QUOTAS, TAG_KEY_LENGTH, TAG_VALUE_LENGTH
from iam_guard.store.records import Records, Row
from iam_guard.store.schema import identities

SESSION_NAME: Final = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
SOURCE_IDENTITY: Final = re.compile(r"(?!aws:)[\w+=,.@-]{2,64}", re.ASCII | re.IGNORECASE)
USUAL_SECONDS: Final = MAX_SESSION_DURATION[0]

_NO_TAGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedIdentity:
    """An identity that was proved outside, and the session that it asks for.

    `principal` is whom the trust policy must name: `Principal.federated(…)`, or a service that vouches for its callers.
    `keys` are the condition keys of the decision beside those that follow from the other fields, `kept` those that stay
    in the session (K-21, K-34). `session_policies` are documents that were checked. Raises `InvalidInput` for a session
    name, a source identity or tags that no session may have.
    """

    principal: Principal
    action: str
    session_name: str
    keys: Mapping[str, Given] = field(default_factory=dict)
    kept: Mapping[str, Given] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=lambda: _NO_TAGS)
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
    """A role as the store has it. `trust` is its trust policy as of now (P-6)."""

    arn: str
    id: str
    account: str
    name: str
    tags: Mapping[str, str]
    trust: str | None = field(repr=False)
    most_seconds: int
    """The longest that a session of it may last (R-13)."""


class TrustQuestion(NamedTuple):
    """One thing that the trust policy must allow `FederatedIdentity.principal`."""

    action: str
    resource: Resource
    context: Mapping[str, Given]


Decide: TypeAlias = Callable[[Principal, TrustQuestion], Decision]


def read_role_arn(text: str) -> Arn:
    """Read the ARN of a role. Raises `ValidationError` for what is none, for nothing can be decided about that."""
    try:
        arn = Arn.parse(text)
    except InvalidInput:
        raise ValidationError(f"{text[:200]} is invalid", place="RoleArn") from None
    is_role = arn.service == "iam" and arn.resource.startswith("role/")
    if not is_role or arn.region or not is_account_id(arn.account):
        raise ValidationError("Request ARN is invalid", place="RoleArn")
    return arn


def find_role(records: Records, partition: str, arn: str) -> Role | None:
    """Find a role of any account that is here by its ARN, letter by letter (S-11). Raises `ValidationError`."""
    name, account = arn.rpartition("/")[2], read_role_arn(arn).account
    row = records.one(identities, account=account, kind=Kind.ROLE.value, folded=fold(name))
    if row is None or _arn(partition, row) != arn:
        return None
    bound = set(row["trust_bindings"].values())
    arns = {record["id"]: _arn(partition, record) for record in records.all(identities, id=bound)} if bound else {}
    trust = row["trust_text"] and current_text(row["trust_text"], row["trust_bindings"], arns.get)
    most = row["max_session_duration"] or USUAL_SECONDS
    return Role(arn, row["id"], account, row["name"], row["tags"], trust, most)


def _arn(partition: str, row: Row) -> str:
    return iam_arn(partition, row["account"], row["kind"], row["path"], row["name"])


def questions(proved: FederatedIdentity, arn: str, role: Role | None) -> list[TrustQuestion]:
    """Return what must be allowed for a session of the role with this ARN; `role` is None where there is none."""
    account = read_role_arn(arn).account
    resource = Resource(arn, account=account)
    if role is not None:
        resource = Resource(arn, account=account, tags=role.tags, policy=role.trust)
    actions = [proved.action]
    if proved.tags:
        actions.append("sts:TagSession")  # E-47
    if proved.source_identity is not None:
        actions.append("sts:SetSourceIdentity")
    tags = {} if role is None else role.tags
    keys = {**_condition_keys(proved), **{f"iam:ResourceTag/{key}": value for key, value in tags.items()}}  # K-33
    return [TrustQuestion(action, resource, keys) for action in actions]


def session_principal(proved: FederatedIdentity, role: Role, partition: str, issued: datetime) -> Principal:
    """Return the role session of an admitted `FederatedIdentity` (P-2, P-13, S-21)."""
    frozen: dict[str, Given] = {"aws:TokenIssueTime": issued, **proved.kept}
    if proved.source_identity is not None:
        frozen["aws:SourceIdentity"] = proved.source_identity
    return Principal(
        PrincipalType.ASSUMED_ROLE,
        session_arn(partition, role.account, role.name, proved.session_name),
        role.account,
        role_arn=role.arn,
        userid=f"{role.id}:{proved.session_name}",
        tags=MappingProxyType(dict(proved.tags)),
        session=MappingProxyType(frozen),
        session_policies=proved.session_policies,
    )


def session_seconds(role: Role, asked: int | None) -> int:
    """Return how long a session lasts. Raises `ValidationError` for longer than the role allows (S-3)."""
    seconds = USUAL_SECONDS if asked is None else asked
    if seconds > role.most_seconds:
        raise ValidationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    return seconds


def admit(proved: FederatedIdentity, arn: str, role: Role | None, decide: Decide) -> Role:
    """Return the role back when it admits.

    Raises `AccessDenied`, the same for a role that is not there, and `DecisionUnavailable` when nobody can say.
    """
    for question in questions(proved, arn, role):
        decision = decide(proved.principal, question)
        if decision.error is not None:
            raise DecisionUnavailable("no decision can be made, so the request is denied")
        if not decision.allowed:
            raise not_admitted(proved.action, decision)
    if role is None:  # INVARIANT: what does not exist has no trust policy, so nobody gets here
        raise not_admitted(proved.action)
    return role


def not_admitted(action: str, decision: object = None) -> AccessDenied:
    """Make the refusal of an identity from outside; it names neither role nor reason (S-11)."""
    return AccessDenied(f"Not authorized to perform {action}", decision=decision)


# --- what follows from the fields --------------------------------------------------------------------------------


def _condition_keys(proved: FederatedIdentity) -> dict[str, Given]:
    """Return the condition keys of the decisions (K-32, S-23)."""
    keys: dict[str, Given] = {**proved.keys, "sts:RoleSessionName": proved.session_name}
    keys.update({f"aws:RequestTag/{key}": value for key, value in proved.tags.items()})
    if proved.tags:
        keys["aws:TagKeys"] = list(proved.tags)
    if proved.transitive_tag_keys:
        keys["sts:TransitiveTagKeys"] = list(proved.transitive_tag_keys)
    if proved.source_identity is not None:
        keys["sts:SourceIdentity"] = proved.source_identity
    return keys


def _check_tags(tags: Mapping[str, str], transitive: Sequence[str]) -> None:
    """Refuse session tags that break rule S-20 or S-22."""
    if len(tags) > QUOTAS["tags per entity"]:
        raise InvalidInput(f"expected at most {QUOTAS['tags per entity']} session tags, got {len(tags)}")
    folded: set[str] = set()
    for key, value in tags.items():
        is_key = 0 < len(key) <= TAG_KEY_LENGTH and is_tag_text(key) and not key.lower().startswith("aws:")
        if not is_key or len(value) > TAG_VALUE_LENGTH or not is_tag_text(value):
            raise InvalidInput("expected session tags of letters, numbers, spaces and `_.:/=+-@`")
        if key.lower() in folded:
            raise InvalidInput("two session tags differ by letter case only")
        folded.add(key.lower())
    if not {key.lower() for key in transitive} <= folded:
        raise InvalidInput("expected transitive tag keys among the keys of the session tags")
