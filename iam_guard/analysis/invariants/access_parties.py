"""The two parties of a request: a caller with its policies, and the resources that have the same owner and policy.

A caller is a principal of the store, or represents principals outside of it as `checks/callers` does. What is known
about its condition keys is what access queries know (`analysis/access/known_keys`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from iam_guard.analysis.access.known_keys import KnownKeys
from iam_guard.analysis.checks.callers import TypicalCaller, session_of_role
from iam_guard.analysis.checks.text_sets import TextUnion
from iam_guard.analysis.invariants.policy_forms import IsKnown, compile_stored
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.model.arn import account_of
from iam_guard.model.context import NO_KEYS, Value, resource_values
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import AccessRequest
from iam_guard.store.policies.stored_principals import ANY_SESSION
from iam_guard.store.protocol import AccountRecord, StoredPolicy

_SESSION = "example"
"""The session of a role in a witness that needs no certain one."""
_NONE = TextUnion(())
_OF_OWNER = frozenset({"aws:resourceaccount", "aws:resourceorgid", "aws:resourceorgpaths"})
_OF_NAME = frozenset({"aws:principalarn", "aws:userid"})
_PRINCIPAL_TAG = "aws:principaltag/"


@dataclass(frozen=True, eq=False)
class AnalyzedCaller:
    """A caller.

    `name` is the ARN of the user, role or root user, or describes callers outside of the store. `kind` is `user`,
    `role`, `root`, `federated user`, or for callers outside of the store their type. `session` are session policies,
    None for none. `account` is None for an account outside of the store. `is_any_name`: it represents callers with any
    name. `has_open_tags`: its sessions may set tags. `accounts` and `organizations` are those of the store
    if it is of none of them.
    """

    name: str
    kind: str
    typical: TypicalCaller
    identity: tuple[StoredPolicy, ...] = ()
    boundary: StoredPolicy | None = None
    session: tuple[StoredPolicy, ...] | None = None
    account: AccountRecord | None = None
    is_outside: bool = False
    is_any_name: bool = False
    has_open_tags: bool = False
    accounts: frozenset[str] = frozenset()
    organizations: tuple[str, ...] = ()

    @property
    def principal(self) -> Principal:
        """The caller, or one that represents it."""
        return self.typical.principal

    @property
    def role_id(self) -> str | None:
        """The unique id of a role of the store."""
        if self.is_outside or self.principal.type is not PrincipalType.ASSUMED_ROLE:
            return None
        return (self.principal.userid or "").partition(":")[0] or None

    @property
    def is_any_session(self) -> bool:
        """Whether it represents all sessions of a role of the store."""
        return self.role_id is not None and self.is_any_name

    def acting_as(self, principal: Principal) -> Principal:
        """Return this caller with the name of the session, and the tags, of a principal of the same kind."""
        if self.is_outside or (self.is_any_name and self.role_id is None):
            return principal
        if not self.is_any_session:
            return self.principal
        session = principal.arn.rpartition("/")[2]
        session = _SESSION if session == ANY_SESSION else session
        arn = session_of_role(self.name, session)
        return replace(self.principal, arn=arn, userid=f"{self.role_id}:{session}")


@dataclass(frozen=True, eq=False)
class AccessTarget:
    """Resources: one with a policy, or all others (`arn` is None), which belong to the caller's account.

    `is_trust`: the policy is the trust policy of a role, and the requests are those to assume it. `is_any`: all
    resources of all owners, whose policies are left out. `others` are the ARNs of resources that are not among these.
    """

    arn: str | None = None
    owner: AccountRecord | None = None
    policy: StoredPolicy | None = None
    is_trust: bool = False
    is_any: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    others: TextUnion = _NONE

    @cached_property
    def statements(self) -> tuple[CompiledStatement, ...]:
        """The statements of the policy; none without one. Raises `PolicyError` if it cannot be parsed."""
        return () if self.policy is None else compile_stored(self.policy).content.statements

    @property
    def owner_id(self) -> str | None:
        """The account that the resources belong to."""
        return None if self.owner is None else self.owner.id

    def may_be(self, resource: str) -> bool:
        """Return whether a resource is one of these; one without policy, if its ARN has no other account."""
        if self.is_any or self.arn is not None:
            return self.is_any or resource == self.arn
        return account_of(resource) in (None, self.owner_id) and not self.others.matches(resource)


@dataclass(frozen=True)
class KnownRequest:
    """What is known about all requests of a caller for the resources of a target."""

    caller: AnalyzedCaller
    target: AccessTarget
    request: AccessRequest
    is_known: IsKnown

    @property
    def keys(self) -> Mapping[str, Value]:
        """The known keys that do not come from the principal."""
        return self.request.context


def known_request(caller: AnalyzedCaller, target: AccessTarget) -> KnownRequest:
    """Return what the store knows about the requests of a caller for the resources of a target."""
    keys: dict[str, Any] = {}
    if not target.is_any:
        keys |= _organization_keys("aws:Resource", target.owner)
        keys |= {"aws:ResourceAccount": target.owner_id} if target.owner_id else {}
        keys |= resource_values(target.tags, NO_KEYS) if target.tags else {}
    if not caller.is_outside:
        keys |= _organization_keys("aws:Principal", caller.account)
        keys["aws:PrincipalIsAWSService"] = "false"
    request = AccessRequest(caller.principal, "example:Action", target.arn or "*", keys, target.owner_id)
    is_hosted = not caller.is_outside
    known = KnownKeys(
        request,
        frozenset(),
        has_tags=bool(target.tags),
        is_hosted=is_hosted,
        owner_is_hosted=not target.is_any and target.owner is not None and target.owner.exists,
        may_be_tagged=caller.has_open_tags,
    )
    return KnownRequest(caller, target, request, _is_known(caller, target, known))


def _is_known(caller: AnalyzedCaller, target: AccessTarget, known: KnownKeys) -> IsKnown:
    is_named_session = caller.role_id is not None and not caller.is_any_name

    def is_known(key: str) -> bool:
        if key in _OF_OWNER:
            return not target.is_any and known(key)
        if caller.is_outside:
            return bool(target.tags) and key.startswith("aws:resourcetag/")
        if key.startswith(_PRINCIPAL_TAG) and caller.has_open_tags:
            return False
        if key in _OF_NAME and caller.is_any_name:
            return key == "aws:principalarn" and caller.role_id is not None
        return known(key) or (key == "aws:userid" and is_named_session)

    return is_known


def _organization_keys(prefix: str, account: AccountRecord | None) -> dict[str, Any]:
    organization = None if account is None else account.organization
    if organization is None:
        return {}
    return {f"{prefix}OrgID": organization.id, f"{prefix}OrgPaths": (organization.path,)}
