"""Users and roles of a store by the policies that limit and grant their access, for questions about one resource.

Read once. Principals with the same policies form one `PolicyHolders`, so that their policies are looked at once. An
index finds the few whose identity policies have an Allow about a resource. The policies are compiled in advance.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from iam_guard.analysis.findings.action_cells import action_entries, is_of_service
from iam_guard.errors import PolicyError
from iam_guard.evaluation.bundle import Levels
from iam_guard.evaluation.compiler import CompiledDocument, CompiledPolicy
from iam_guard.evaluation.matching.pattern import is_literal
from iam_guard.evaluation.matching.referenced_keys import keys_of_statement
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.evaluation.policy_layer import Candidate, Layer, ResourceIndex
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.policy.parser import parse
from iam_guard.store.policies.stored_principals import StoredPrincipal, StoredPrincipals, read_principals
from iam_guard.store.protocol import AccountRecord, SourceStore, StoredPolicy

StoredLevels = tuple[tuple[StoredPolicy, ...], ...]
_ASKING = Principal.anonymous()


class ControlLevels(NamedTuple):
    """The levels of control policies; None where there are none, or one of them is unreadable: `has_failed`."""

    levels: Levels | None
    has_failed: bool = False


@dataclass(slots=True, eq=False)
class PolicyHolders:
    """Users, roles or service-linked roles with the same policies, by account."""

    identity: Layer
    boundary: Layer | None
    scps: ControlLevels
    is_service_linked: bool = False
    session: Layer | None = None
    by_account: dict[str, list[StoredPrincipal]] = field(default_factory=dict)


class StatementFacts(NamedTuple):
    """A statement of a policy, and what is needed to know which requests it may concern.

    `services` are the prefixes of the actions that it is about, None for any; `keys` are the condition keys that it
    references. Both are in lower case. `entries` are its actions as written. `has_variables`: its resources have some.
    """

    statement: CompiledStatement
    version: str
    services: frozenset[str] | None
    keys: frozenset[str]
    entries: tuple[str, ...]
    has_variables: bool

    def may_match(self, request: AccessRequest, service: str) -> bool:
        """Return whether it may apply to an action of the service on the request's resource, for some principal."""
        if self.services is not None and service not in self.services:
            return False
        return self.has_variables or self.statement.matches_resource(request)

    def content(self, service: str) -> tuple[object, ...]:
        """Return what it means for the actions of a service, on resources that it may match, as a key."""
        written = self.statement.statement
        entries = tuple(entry for entry in self.entries if is_of_service(entry, service))
        resources = (written.resources, written.not_resources) if self.has_variables else None
        return written.effect, self.version, written.actions is None, entries, resources, written.conditions


class Compiler:
    """Compiles policies, each text and each set of texts once, so that equal ones are the same objects."""

    def __init__(self) -> None:
        self._policies: dict[tuple[PolicyType, str], CompiledPolicy] = {}
        self._layers: dict[tuple[CompiledPolicy, ...], Layer] = {}
        self._facts: dict[int, tuple[StatementFacts, ...]] = {}
        self._levels: dict[Levels, ControlLevels] = {}
        self._contents: dict[tuple[int, str], int] = {}
        self._numbers: dict[tuple[object, ...], int] = {}

    @property
    def identity_policies(self) -> list[CompiledPolicy]:
        """All identity policies."""
        return [policy for (type, _), policy in self._policies.items() if type is PolicyType.IDENTITY]

    def layer(self, policies: Iterable[StoredPolicy], type: PolicyType) -> Layer:
        """Return the layer of policies, whatever their order. Raises `PolicyError` for an unreadable one."""
        compiled = {id(policy): policy for policy in (self._policy(stored.text, type) for stored in policies)}
        key = tuple(compiled[place] for place in sorted(compiled))
        if key not in self._layers:
            self._layers[key] = Layer(key)
        return self._layers[key]

    def levels(self, levels: StoredLevels | None, type: PolicyType) -> ControlLevels:
        """Return the levels of control policies."""
        if levels is None:
            return ControlLevels(None)
        try:
            layers = tuple(self.layer(level, type) for level in levels)
        except PolicyError:
            return ControlLevels(None, has_failed=True)
        return self._levels.setdefault(layers, ControlLevels(layers))

    def facts(self, policy: CompiledPolicy) -> tuple[StatementFacts, ...]:
        """Return the facts about the statements of a policy; cached for those that were compiled here."""
        known = self._facts.get(id(policy))
        return _read_facts(policy) if known is None else known

    def content(self, facts: StatementFacts, service: str) -> int:
        """Return a number for what a statement of a compiled policy means for the actions of a service."""
        key = id(facts.statement), service
        known = self._contents.get(key)
        if known is None:
            number = len(self._numbers)
            known = self._contents[key] = self._numbers.setdefault(facts.content(service), number)
        return known

    def _policy(self, text: str, type: PolicyType) -> CompiledPolicy:
        key = type, text
        if key not in self._policies:
            policy = CompiledPolicy(PolicyRef(str(type), type), CompiledDocument(parse(text, type)))
            for statement in policy.content.statements:
                _ = statement.matches_action, statement.matches_resource, statement.matches_conditions
            self._facts[id(policy)] = _read_facts(policy)
            self._policies[key] = policy
        return self._policies[key]


def _read_facts(policy: CompiledPolicy) -> tuple[StatementFacts, ...]:
    version = policy.content.document.version
    found = []
    for statement in policy.content.statements:
        written = statement.statement
        keys = frozenset(key.lower() for key in keys_of_statement(written, version))
        has_variables = any("${" in entry for entry in (*(written.resources or ()), *(written.not_resources or ())))
        entries = action_entries(written)
        found.append(StatementFacts(statement, version, services_of(statement), keys, entries, has_variables))
    return tuple(found)


def services_of(statement: CompiledStatement) -> frozenset[str] | None:
    """Return the services whose actions a statement is about, in lower case; None for any."""
    prefixes = frozenset(entry.partition(":")[0].lower() for entry in statement.statement.actions or ("*",))
    return prefixes if all(map(is_literal, prefixes)) else None


class StoredHolders:
    """The principals of a store, except root users, by policies, with the accounts."""

    def __init__(self, store: SourceStore) -> None:
        """Read everything in one transaction. Raises `StoreUnavailable`."""
        with store.at_once() as epoch:
            self.population: StoredPrincipals = read_principals(store, epoch)
            self.accounts: Mapping[str, AccountRecord] = {
                account: store.account(account) for account in self.population.accounts
            }
        self.compiler = Compiler()
        self.by_account: dict[str, list[PolicyHolders]] = {}
        self.by_name: dict[str, tuple[PolicyHolders, StoredPrincipal]] = {}
        """By ARN, and by unique id."""
        self._holders_of: dict[int, list[PolicyHolders]] = {}
        self._group()
        self._allows = _AllowIndexes(self.compiler)

    def _group(self) -> None:
        found: dict[tuple[object, ...], PolicyHolders] = {}
        scps = {account: self.compiler.levels(record.scps, PolicyType.SCP) for account, record in self.accounts.items()}
        for principal in self.population.principals_by_arn.values():
            if principal.kind == "root":
                continue
            try:
                identity = self.compiler.layer(principal.record.identity, PolicyType.IDENTITY)
                boundary = principal.record.boundary
                bounding = None if boundary is None else self.compiler.layer((boundary,), PolicyType.BOUNDARY)
            except PolicyError:
                continue  # the guard denies it everything
            own_scps = scps[principal.account]
            is_service_linked = principal.record.principal.is_service_linked
            of_account = id(own_scps.levels), own_scps.has_failed
            key = (id(identity), id(bounding), *of_account, principal.kind, is_service_linked)
            holders = found.get(key)
            if holders is None:
                holders = found[key] = PolicyHolders(identity, bounding, own_scps, is_service_linked)
                for policy in identity:
                    self._holders_of.setdefault(id(policy), []).append(holders)
            self._add(holders, principal)

    def _add(self, holders: PolicyHolders, principal: StoredPrincipal) -> None:
        if principal.account not in holders.by_account:
            holders.by_account[principal.account] = []
            self.by_account.setdefault(principal.account, []).append(holders)
        holders.by_account[principal.account].append(principal)
        unique_id = (principal.record.principal.userid or "").partition(":")[0]
        self.by_name[principal.arn] = self.by_name[unique_id] = holders, principal

    def allowing(self, service: str, arn: str) -> list[PolicyHolders]:
        """Return those whose identity policies may allow an action of a service (lower case) on a resource."""
        found: dict[int, PolicyHolders] = {}
        for policy in self._allows.policies(service, arn):
            for holders in self._holders_of.get(id(policy), ()):
                found[id(holders)] = holders
        return [*found.values()]


class _AllowIndexes:
    """The Allow statements of identity policies by service and resource."""

    def __init__(self, compiler: Compiler) -> None:
        by_service: dict[str | None, list[Candidate]] = {}
        self._facts: dict[int, StatementFacts] = {}
        for policy in compiler.identity_policies:
            for facts in compiler.facts(policy):
                if not facts.statement.denies:
                    candidate = Candidate(policy, facts.statement, len(self._facts))
                    self._facts[candidate.place] = facts
                    services: Sequence[str | None] = [None] if facts.services is None else [*facts.services]
                    for service in services:
                        by_service.setdefault(service, []).append(candidate)
        self._indexes = {service: ResourceIndex(tuple(found)) for service, found in by_service.items()}

    def policies(self, service: str, arn: str) -> Iterator[CompiledPolicy]:
        """Yield the policies, some of them repeatedly, with an Allow that may match."""
        request = asking(service, arn)
        for index in (self._indexes.get(service), self._indexes.get(None)):
            for candidate in () if index is None else index.find(arn):
                if self._facts[candidate.place].may_match(request, service):
                    yield candidate.policy


def asking(service: str, arn: str) -> AccessRequest:
    """Return a request about a resource, of no principal in particular."""
    return AccessRequest(_ASKING, f"{service}:Any", arn)
