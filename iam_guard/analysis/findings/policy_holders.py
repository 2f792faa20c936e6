"""Users and roles of a store by the policies that limit and grant their access, for questions about one resource.

Read once. Principals with the same policies form one `PolicyHolders`, so that a question is decided once for all of
them unless it depends on who they are. An index finds the few whose identity policies have an Allow about a resource.
The policies are compiled in advance.
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
from iam_guard.evaluation.matching.referenced_keys import keys_of_document
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.evaluation.policy_layer import Candidate, Layer, ResourceIndex
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.policy.parser import parse
from iam_guard.store.protocol import AccountRecord, SourceStore, StoredPolicy
from iam_guard.store.stored_principals import StoredPrincipal, StoredPrincipals, read_principals

StoredLevels = tuple[tuple[StoredPolicy, ...], ...]
_ASKING = Principal.anonymous()


class ControlLevels(NamedTuple):
    """The levels of control policies; None where there are none, or one of them is unreadable: `has_failed`."""

    levels: Levels | None
    has_failed: bool = False


@dataclass(slots=True, eq=False)
class PolicyHolders:
    """Users, or roles, with the same policies. `by_account` are the principals."""

    identity: Layer
    boundary: Layer | None
    scps: ControlLevels
    session: Layer | None = None
    by_account: dict[str, list[StoredPrincipal]] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()
    """The condition keys that the policies reference, in lower case."""

    @property
    def layers(self) -> Iterator[Layer]:
        """The layers of all policies."""
        yield self.identity
        if self.boundary is not None:
            yield self.boundary
        yield from self.scps.levels or ()


class Compiler:
    """Compiles policies, each text and each set of texts once, so that equal ones are the same objects."""

    def __init__(self) -> None:
        self._policies: dict[tuple[PolicyType, str], CompiledPolicy] = {}
        self._layers: dict[tuple[CompiledPolicy, ...], Layer] = {}
        self._entries: dict[tuple[Layer, str], frozenset[str]] = {}
        self._keys: dict[int, frozenset[str]] = {}

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
            return ControlLevels(tuple(self.layer(level, type) for level in levels))
        except PolicyError:
            return ControlLevels(None, has_failed=True)

    def entries(self, layer: Layer, service: str) -> frozenset[str]:
        """Return the entries of actions in a layer that can match an action of a service."""
        key = layer, service
        if key not in self._entries:
            statements = (statement for policy in layer for statement in policy.content.document.statements)
            found = (entry for statement in statements for entry in action_entries(statement))
            self._entries[key] = frozenset(entry for entry in found if is_of_service(entry, service))
        return self._entries[key]

    def keys(self, layers: Iterable[Layer]) -> frozenset[str]:
        """Return the condition keys that layers reference, in lower case."""
        return frozenset().union(*(self._keys_of(policy) for layer in layers for policy in layer))

    def _keys_of(self, policy: CompiledPolicy) -> frozenset[str]:
        if id(policy) not in self._keys:
            keys = keys_of_document(policy.content.document)
            self._keys[id(policy)] = frozenset(key.lower() for key in keys)
        return self._keys[id(policy)]

    def _policy(self, text: str, type: PolicyType) -> CompiledPolicy:
        key = type, text
        if key not in self._policies:
            policy = CompiledPolicy(PolicyRef(str(type), type), CompiledDocument(parse(text, type)))
            for statement in policy.content.statements:
                _ = statement.matches_action, statement.matches_resource, statement.matches_conditions
            self._policies[key] = policy
        return self._policies[key]


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
        self._indexes = _AllowIndexes(self.compiler.identity_policies)

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
            key = (identity, bounding, own_scps, principal.kind, is_service_linked)
            holders = found.get(key)
            if holders is None:
                holders = found[key] = PolicyHolders(identity, bounding, own_scps)
                holders.keys = self.compiler.keys(holders.layers)
                for policy in identity:
                    self._holders_of.setdefault(id(policy), []).append(holders)
            if principal.account not in holders.by_account:
                holders.by_account[principal.account] = []
                self.by_account.setdefault(principal.account, []).append(holders)
            holders.by_account[principal.account].append(principal)
            unique_id = (principal.record.principal.userid or "").partition(":")[0]
            self.by_name[principal.arn] = self.by_name[unique_id] = holders, principal

    def allowing(self, service: str, arn: str) -> list[PolicyHolders]:
        """Return those whose identity policies may allow an action of a service (lower case) on a resource."""
        found: dict[int, PolicyHolders] = {}
        for policy in self._indexes.policies(service, arn):
            found.update((id(holders), holders) for holders in self._holders_of.get(id(policy), ()))
        return [*found.values()]


class _AllowIndexes:
    """The Allow statements of policies by service and resource."""

    def __init__(self, policies: Iterable[CompiledPolicy]) -> None:
        by_service: dict[str | None, list[Candidate]] = {}
        place = 0
        for policy in policies:
            for statement in policy.content.statements:
                for service in () if statement.denies else _services_of(statement):
                    by_service.setdefault(service, []).append(Candidate(policy, statement, place))
                    place += 1
        self._indexes = {service: ResourceIndex(tuple(found)) for service, found in by_service.items()}

    def policies(self, service: str, arn: str) -> Iterator[CompiledPolicy]:
        """Yield the policies, some of them repeatedly, with an Allow that may match."""
        request = AccessRequest(_ASKING, f"{service}:Any", arn)
        for index in (self._indexes.get(service), self._indexes.get(None)):
            for candidate in () if index is None else index.find(arn):
                if _may_match(candidate.statement, request):
                    yield candidate.policy


def _services_of(statement: CompiledStatement) -> Sequence[str | None]:
    """Return the services that a statement is about; None stands for any."""
    prefixes = {entry.partition(":")[0].lower() for entry in statement.statement.actions or ("*",)}
    return [*prefixes] if all(map(is_literal, prefixes)) else [None]


def _may_match(statement: CompiledStatement, request: AccessRequest) -> bool:
    """Return whether a statement may match a resource; a policy variable has any text."""
    written = statement.statement
    entries = (*(written.resources or ()), *(written.not_resources or ()))
    return any("${" in entry for entry in entries) or statement.matches_resource(request)
