"""Whom a resource's policy names beside the principals of the store: sessions, services, providers, other accounts.

Of somebody in an account that is not in the store, nobody here knows the policies; they are taken for as generous as
can be, and the answer is never more than conditional.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from iam_guard.analysis.access.access_answers import Owed
from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.model.arn import Arn, is_account_id
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.policy.document import Document, Effect
from iam_guard.policy.parser import parse
from iam_guard.store.identifiers import root_arn, session_arn
from iam_guard.store.protocol import PrincipalRecord, StoredPolicy
from iam_guard.store.stored_principals import ANY_SESSION, StoredPrincipal, StoredPrincipals

_EVERYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
_GENEROUS = StoredPolicy(PolicyRef("policies of another account", PolicyType.IDENTITY), _EVERYTHING)
ELSEWHERE = Owed(
    frozenset({PolicyType.IDENTITY}), "policies of its own account, which is not in this store, allow it too"
)
_OF_SESSION = Owed(
    frozenset({PolicyType.IDENTITY, PolicyType.SESSION}), "the policies that its session was given allow it too"
)
_NOBODY = "000000000000"
_SESSION = re.compile(r"assumed-role/(?P<role>[^/]+)/(?P<session>[^/]+)")


class OutsidePrincipal(NamedTuple):
    """Somebody whom a policy names. `owes` says what nobody here knows; None where all is known."""

    kind: str
    shown: str
    record: PrincipalRecord
    owes: Owed | None = None
    is_anybody: bool = False
    inhabitant: StoredPrincipal | None = None


def strangers(text: str, type: PolicyType, population: StoredPrincipals, partition: str) -> Iterator[OutsidePrincipal]:
    """Return those whom the Allow statements of a policy name, each once; none for a policy that can't be read."""
    try:
        document = parse(text, type)
    except PolicyError:
        return
    found = _OutsidePrincipals(population, partition)
    seen: set[str] = set()
    for kind, value in _entries(document):
        stranger = found.of(kind, value)
        if stranger is not None and stranger.shown not in seen:
            seen.add(stranger.shown)
            yield stranger
    if _means_everybody(document):
        yield OutsidePrincipal("anonymous", "anonymous", _record(Principal.anonymous()))
        anybody = Principal.from_arn(f"arn:{partition}:iam::{_NOBODY}:user/anybody")
        yield OutsidePrincipal("other accounts", "*", _record(anybody, _GENEROUS), ELSEWHERE, is_anybody=True)


def identity_provider(name: str) -> OutsidePrincipal:
    """Return all whom a provider vouches for, as somebody of whom nothing else is known."""
    keys = {"aws:FederatedProvider": name}
    return OutsidePrincipal("identity provider", name, _record(Principal.federated(name, userid="*", keys=keys)))


def _entries(document: Document) -> Iterator[tuple[str, str]]:
    for statement in document.statements:
        if statement.effect is Effect.ALLOW:
            yield from statement.principals or ()


def _means_everybody(document: Document) -> bool:
    return ("AWS", "*") in _entries(document)


def _record(principal: Principal, *policies: StoredPolicy) -> PrincipalRecord:
    return PrincipalRecord(0, True, principal, policies)


class _OutsidePrincipals:
    def __init__(self, population: StoredPrincipals, partition: str) -> None:
        self._population = population
        self._partition = partition
        self._by_role: Mapping[tuple[str, str], StoredPrincipal] = {
            (inhabitant.account, inhabitant.arn.rpartition("/")[2]): inhabitant
            for inhabitant in population.inhabitants.values()
            if inhabitant.kind == "role"
        }

    def of(self, kind: str, value: str) -> OutsidePrincipal | None:
        """Return whom an entry names; None for those of the store, and for what is no caller."""
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
        return OutsidePrincipal("account", arn, _record(Principal.from_arn(arn, userid=account), _GENEROUS), ELSEWHERE)

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
            return OutsidePrincipal(
                "role", value, _record(Principal.from_arn(session, role_arn=value), _GENEROUS), ELSEWHERE
            )
        try:
            return OutsidePrincipal("user", value, _record(Principal.from_arn(value), _GENEROUS), ELSEWHERE)
        except InvalidInput:
            return None

    def _session(self, value: str, arn: Arn, *, is_hosted: bool) -> OutsidePrincipal | None:
        """Return one session: with the policies of its role, or as a federated user with those of nobody known."""
        found = _SESSION.fullmatch(arn.resource)
        try:
            principal = Principal.from_arn(value)
        except InvalidInput:
            return None
        if found is None:
            if principal.type is not PrincipalType.FEDERATED_USER:
                return None
            passed = Principal.from_arn(value, session_policies=(_EVERYTHING,))
            return OutsidePrincipal("federated user", value, _record(passed, _GENEROUS), _OF_SESSION)
        if not is_hosted:
            return OutsidePrincipal("session", value, _record(principal, _GENEROUS), ELSEWHERE)
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
        return OutsidePrincipal("session", value, record, inhabitant=role)
