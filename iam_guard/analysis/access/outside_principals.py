"""Principals that a resource's policy names and the store does not have: sessions, services, providers, other accounts.

The policies of an account outside the store are unknown. They are assumed to allow everything, so the answer is at most
conditional.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from iam_guard.analysis.access.access_answers import Assumption
from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.model.arn import Arn, is_account_id
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.policy.document import Effect
from iam_guard.policy.parser import parse
from iam_guard.store.identifiers import root_arn, session_arn
from iam_guard.store.policies.stored_principals import ANY_SESSION, StoredPrincipal, StoredPrincipals
from iam_guard.store.protocol import PrincipalRecord, StoredPolicy

_EVERYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
_ALLOW_ALL = StoredPolicy(PolicyRef("policies of another account", PolicyType.IDENTITY), _EVERYTHING)
_OTHER_ACCOUNT = Assumption(
    frozenset({PolicyType.IDENTITY}), "policies of its own account, which is not in this store, allow it too"
)
_SESSION_POLICIES = Assumption(
    frozenset({PolicyType.IDENTITY, PolicyType.SESSION}), "the policies that its session was given allow it too"
)
_NO_ACCOUNT = "000000000000"
_SESSION = re.compile(r"assumed-role/(?P<role>[^/]+)/(?P<session>[^/]+)")


class OutsidePrincipal(NamedTuple):
    """A principal that a policy names. `assumed` describes its unknown policies; None when all of them are known."""

    kind: str
    shown: str
    record: PrincipalRecord
    assumed: Assumption | None = None
    is_any_principal: bool = False
    role: StoredPrincipal | None = None


def outside_principals(
    text: str, type: PolicyType, population: StoredPrincipals, partition: str
) -> Iterator[OutsidePrincipal]:
    """Return the principals that the policy's Allow statements name, each once; none for an unreadable policy."""
    try:
        document = parse(text, type)
    except PolicyError:
        return
    allowing = [statement for statement in document.statements if statement.effect is Effect.ALLOW]
    entries = [entry for statement in allowing for entry in statement.principals or ()]
    found = _OutsidePrincipals(population, partition)
    seen: set[str] = set()
    for kind, value in entries:
        outsider = found.of(kind, value)
        if outsider is not None and outsider.shown not in seen:
            seen.add(outsider.shown)
            yield outsider
    if ("AWS", "*") in entries:
        yield OutsidePrincipal("anonymous", "anonymous", _record(Principal.anonymous()))
        any_user = Principal.from_arn(f"arn:{partition}:iam::{_NO_ACCOUNT}:user/any")
        yield _of_other_account("other accounts", "*", any_user)._replace(is_any_principal=True)


def identity_provider(name: str) -> OutsidePrincipal:
    """Return a principal for all users of an identity provider, about which only the provider is known."""
    keys = {"aws:FederatedProvider": name}
    return OutsidePrincipal("identity provider", name, _record(Principal.federated(name, userid="*", keys=keys)))


def _of_other_account(kind: str, shown: str, principal: Principal) -> OutsidePrincipal:
    return OutsidePrincipal(kind, shown, _record(principal, _ALLOW_ALL), _OTHER_ACCOUNT)


def _record(principal: Principal, *policies: StoredPolicy) -> PrincipalRecord:
    return PrincipalRecord(0, True, principal, policies)


class _OutsidePrincipals:
    def __init__(self, population: StoredPrincipals, partition: str) -> None:
        self._population = population
        self._partition = partition
        self._by_role: Mapping[tuple[str, str], StoredPrincipal] = {
            (role.account, role.arn.rpartition("/")[2]): role
            for role in population.principals_by_arn.values()
            if role.kind == "role"
        }

    def of(self, kind: str, value: str) -> OutsidePrincipal | None:
        """Return the principal of an entry; None for those of the store and for entries that name no caller."""
        match kind:
            case "Service":
                return OutsidePrincipal("service", value, _record(Principal.service(value)))
            case "Federated":
                return identity_provider(value)
            case "AWS" if is_account_id(value):
                return self._account(value)
            case "AWS" if value.startswith("arn:"):
                return self._arn(value)
        return None

    def _account(self, account: str) -> OutsidePrincipal | None:
        if account in self._population.accounts:
            return None
        arn = root_arn(self._partition, account)
        return _of_other_account("account", arn, Principal.from_arn(arn, userid=account))

    def _arn(self, value: str) -> OutsidePrincipal | None:
        try:
            arn = Arn.parse(value)
        except InvalidInput:
            return None
        is_hosted = arn.account in self._population.accounts
        if arn.service == "iam" and arn.resource == "root":
            return self._account(arn.account)
        if arn.service == "sts":
            return self._session(value, arn, is_hosted=is_hosted)
        if is_hosted:
            return None
        if arn.resource.startswith("role/"):
            name = arn.resource.rpartition("/")[2]
            session = session_arn(arn.partition, arn.account, name, ANY_SESSION)
            return _of_other_account("role", value, Principal.from_arn(session, role_arn=value))
        try:
            return _of_other_account("user", value, Principal.from_arn(value))
        except InvalidInput:
            return None

    def _session(self, value: str, arn: Arn, *, is_hosted: bool) -> OutsidePrincipal | None:
        """Return one session, with the policies of its role; those of a federated user are unknown."""
        found = _SESSION.fullmatch(arn.resource)
        try:
            principal = Principal.from_arn(value)
        except InvalidInput:
            return None
        if found is None:
            if principal.type is not PrincipalType.FEDERATED_USER:
                return None
            passed = Principal.from_arn(value, session_policies=(_EVERYTHING,))
            return OutsidePrincipal("federated user", value, _record(passed, _ALLOW_ALL), _SESSION_POLICIES)
        if not is_hosted:
            return _of_other_account("session", value, principal)
        role = self._by_role.get((arn.account, found["role"]))
        if role is None:
            return None
        known = role.record
        session = Principal.from_arn(
            value,
            role_arn=role.arn,
            userid=f"{(known.principal.userid or '').partition(':')[0]}:{found['session']}",
            tags=known.principal.tags,
            has_boundary=known.principal.has_boundary,
        )
        record = PrincipalRecord(known.epoch, True, session, known.identity, known.boundary)
        return OutsidePrincipal("session", value, record, role=role)
