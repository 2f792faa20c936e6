"""Decide which actions on one resource the principals of a store can perform, and on which conditions.

One `ResourceQuestion` is about the actions of one service. Principals with the same policies that differ in nothing
that the policies read (how a resource policy names them, the values of condition keys) have the same answer, so it is
decided once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeAlias

from iam_guard.analysis.access.known_keys import KnownKeys
from iam_guard.analysis.findings.action_cells import ServiceActions
from iam_guard.analysis.findings.condition_texts import condition_texts
from iam_guard.analysis.findings.policy_holders import ControlLevels, PolicyHolders, StoredHolders
from iam_guard.errors import ContextError
from iam_guard.evaluation.bounds import PartialEvaluator
from iam_guard.evaluation.bundle import Bundle
from iam_guard.evaluation.policy_layer import Layer
from iam_guard.guard.request_context import Parties, RequestContext
from iam_guard.model.arn import account_of, is_account_id
from iam_guard.model.context import Given
from iam_guard.model.own_services import SERVED
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.store.protocol import AccountRecord
from iam_guard.store.stored_principals import StoredPrincipal

Condition: TypeAlias = tuple[tuple[str, str], ...]
"""The condition keys that an access depends on, with their values as text."""
Reached: TypeAlias = Mapping[Condition, tuple[str, ...]]
"""The actions that can be performed, by the condition."""
Member: TypeAlias = tuple[PolicyHolders, StoredPrincipal]


@dataclass(frozen=True, slots=True)
class ResourceQuestion:
    """A resource, and the actions of one service (lower case) on it that are asked about; None: any may exist.

    `context` has the known condition keys. `now` and `region` are those of the requests.
    """

    arn: str
    owner: AccountRecord
    service: str
    policy: Layer
    rcps: ControlLevels
    context: Mapping[str, Given]
    tags: Mapping[str, str]
    actions: tuple[str, ...] | None
    now: datetime
    region: str


class NamedPrincipals(NamedTuple):
    """What the Allow statements of a resource-based policy name."""

    everyone: bool
    accounts: frozenset[str]
    names: frozenset[str]
    """ARNs and unique ids."""

    @classmethod
    def of(cls, policy: Layer) -> NamedPrincipals:
        """Return the principals that a policy names."""
        statements = [statement for compiled in policy for statement in compiled.content.statements]
        entries = [
            value
            for statement in statements
            for kind, value in (() if statement.denies else statement.statement.principals or ())
            if kind == "AWS"
        ]
        ids = {value for value in entries if is_account_id(value)}
        roots = {account_of(value) or "" for value in entries if value.endswith(":root")}
        return cls("*" in entries, frozenset(ids | roots), frozenset(entries))


def members(stored: StoredHolders, question: ResourceQuestion, zone: Collection[str]) -> Iterator[Member]:
    """Yield the principals of a zone that may reach the resource, each once; the others certainly cannot.

    Without an Allow of the resource's policy that names a principal, it needs one of its own; across accounts, it needs
    both (rules E-30, E-50).
    """
    named, owner = NamedPrincipals.of(question.policy), question.owner.id
    seen: set[str] = set()

    def new(holders: PolicyHolders, found: list[StoredPrincipal]) -> Iterator[Member]:
        for principal in found:
            if principal.arn not in seen:
                seen.add(principal.arn)
                yield holders, principal

    allowing = stored.allowing(question.service, question.arn)
    for holders in allowing:
        for account, principals in holders.by_account.items():
            if account in zone and (account == owner or named.everyone or account in named.accounts):
                yield from new(holders, principals)
    if named.everyone and owner in zone:
        for holders in stored.by_account.get(owner, ()):
            yield from new(holders, holders.by_account[owner])
    allowing_ids = {id(holders) for holders in allowing}
    for name in named.names:
        member = stored.by_name.get(name)
        if member is None or member[1].account not in zone:
            continue
        if member[1].account == owner or id(member[0]) in allowing_ids:
            yield from new(member[0], [member[1]])


@dataclass(slots=True)
class ReachedActions:
    """Answers one question for many principals. Not thread-safe."""

    stored: StoredHolders
    question: ResourceQuestion
    evaluator: PartialEvaluator
    may_be_tagged: Callable[[str | None], bool]
    """Returns whether sessions of a role with this trust policy may set session tags."""
    service_actions: ServiceActions
    _keys: dict[int, tuple[str, ...]] = field(default_factory=dict)
    _bundles: dict[int, Bundle] = field(default_factory=dict)
    _answers: dict[tuple[object, ...], Reached] = field(default_factory=dict)

    def of(self, holders: PolicyHolders, principal: StoredPrincipal) -> Reached:
        """Return the actions that a principal can perform."""
        caller = principal.record.principal
        account = self.stored.accounts[principal.account]
        parties = Parties(
            caller, account.organization, self.question.owner.id, self.question.owner.organization, self.question.region
        )
        tags = self.may_be_tagged(principal.trust)
        signature = (id(holders), self._matches(caller), *self._values(holders, parties, may_be_tagged=tags))
        if signature not in self._answers:
            self._answers[signature] = self._decide(holders, parties, may_be_tagged=tags)
        return self._answers[signature]

    def _decide(self, holders: PolicyHolders, parties: Parties, *, may_be_tagged: bool) -> Reached:
        found: dict[Condition, list[str]] = {}
        bundle = self._bundle(holders)
        layers = (*holders.layers, self.question.policy, *(self.question.rcps.levels or ()))
        entries = frozenset[str]().union(
            *(self.stored.compiler.entries(layer, self.question.service) for layer in layers)
        )
        for cell in self.service_actions.cells(entries):
            request = self._request(parties, cell.action)
            known = self._known_keys(request, may_be_tagged=may_be_tagged)
            bounds = self.evaluator.bounds(request, bundle, known)
            if bounds.most.allowed:
                texts = {} if bounds.least.allowed else condition_texts(bounds.open_statements)
                found.setdefault(tuple(texts.items()), []).extend(cell.names)
        return {condition: tuple(sorted(set(names))) for condition, names in found.items()}

    def _bundle(self, holders: PolicyHolders) -> Bundle:
        if id(holders) not in self._bundles:
            question = self.question
            self._bundles[id(holders)] = Bundle(
                identity=holders.identity,
                resource=question.policy,
                boundary=holders.boundary,
                session=holders.session,
                scps=holders.scps.levels,
                rcps=question.rcps.levels,
                own_service=question.service not in SERVED,
            )
        return self._bundles[id(holders)]

    def _request(self, parties: Parties, action: str) -> AccessRequest:
        question = self.question
        context = RequestContext(question.context, parties, question.now, None, question.tags)
        return AccessRequest(parties.principal, action, question.arn, context, question.owner.id)

    def _known_keys(self, request: AccessRequest, *, may_be_tagged: bool) -> KnownKeys:
        given = frozenset(key.lower() for key in self.question.context)
        return KnownKeys(request, given, has_tags=bool(self.question.tags), may_be_tagged=may_be_tagged)

    # --- what an answer depends on, besides the policies -------------------------------------------------------------

    def _matches(self, caller: Principal) -> tuple[object, ...]:
        """Return whether the caller is of the owner's account, and how each statement names it."""
        matches = (
            statement.principal_match(caller)
            for policy in self.question.policy
            for statement in policy.content.statements
        )
        return caller.account == self.question.owner.id, *matches

    def _values(self, holders: PolicyHolders, parties: Parties, *, may_be_tagged: bool) -> Iterator[object]:
        """Yield the known values of the keys that the policies read, and which keys are unknown."""
        keys = self._keys.get(id(holders))
        if keys is None:
            layers = (self.question.policy, *(self.question.rcps.levels or ()))
            keys = self._keys[id(holders)] = tuple(holders.keys | self.stored.compiler.keys(layers))
        if not keys:
            return
        request = self._request(parties, f"{self.question.service}:Any")
        is_known = self._known_keys(request, may_be_tagged=may_be_tagged)
        for key in keys:
            if not is_known(key):
                yield KnownKeys
                continue
            try:
                yield request.value(key)
            except ContextError:
                yield ContextError
