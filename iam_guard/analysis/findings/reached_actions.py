"""Decide which actions on one resource the principals of a store can perform, and on which conditions.

One `ResourceQuestion` is about the actions of one service. Principals with the same policies that differ in nothing
that the policies read (how a resource policy names them, the values of condition keys) have the same answer, so it is
decided once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, TypeAlias

from iam_guard.analysis.access.known_keys import KnownKeys
from iam_guard.analysis.findings.action_cells import ActionCell, ServiceActions
from iam_guard.analysis.findings.condition_texts import condition_texts
from iam_guard.analysis.findings.policy_holders import (
    ControlLevels,
    PolicyHolders,
    StatementFacts,
    StoredHolders,
    asking,
)
from iam_guard.errors import ContextError
from iam_guard.evaluation.bounds import PartialEvaluator
from iam_guard.evaluation.bundle import Bundle
from iam_guard.evaluation.policy_layer import Layer
from iam_guard.guard.request_context import Parties, RequestContext
from iam_guard.model.arn import account_of, is_account_id
from iam_guard.model.context import Given
from iam_guard.model.own_services import SERVED
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest
from iam_guard.store.policies.stored_principals import StoredPrincipal
from iam_guard.store.protocol import AccountRecord

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


class _Policies(NamedTuple):
    """What the answers depend on, besides the principal and its account, for all who have the same relevant statements.

    `own_keys` are the condition keys in these statements whose values differ between the principals of an account,
    `shared_keys` the others. `entries` are the actions in them.
    """

    own_keys: tuple[str, ...]
    shared_keys: tuple[str, ...]
    entries: frozenset[str]


@dataclass(slots=True)
class ReachedActions:
    """Answers one question for many principals. Not thread-safe."""

    stored: StoredHolders
    question: ResourceQuestion
    evaluator: PartialEvaluator
    may_be_tagged: Callable[[str | None], bool]
    """Returns whether sessions of a role with this trust policy may set session tags."""
    _asking: AccessRequest = field(init=False)
    _layers: dict[int, tuple[StatementFacts, ...]] = field(default_factory=dict)
    _policies: dict[tuple[object, ...], _Policies] = field(default_factory=dict)
    _shared: dict[tuple[str | None, int], tuple[object, ...]] = field(default_factory=dict)
    _answers: dict[tuple[object, ...], Reached] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._asking = asking(self.question.service, self.question.arn)

    def of(self, found: Sequence[Member]) -> Iterator[tuple[Member, Reached]]:
        """Yield the actions that each principal can perform.

        Raises `Undecided` if the wildcards of the policies are too complex.
        """
        by_holders = {id(holders): self._policies_of(holders) for holders, _ in found}
        entries = frozenset[str]().union(*(policies.entries for policies in self._policies.values()))
        actions = ServiceActions(self.question.service, entries, self.question.actions)
        statements = [statement for policy in self.question.policy for statement in policy.content.statements]
        owner = self.question.owner.id
        for member in found:
            holders, principal = member
            policies, caller = by_holders[id(holders)], principal.record.principal
            signature = (
                id(policies),
                caller.type,
                holders.is_service_linked,
                caller.account == owner,
                self._shared_values(policies, principal),
                *[statement.principal_match(caller) for statement in statements],
                *(self._own_values(policies, principal) if policies.own_keys else ()),
            )
            answer = self._answers.get(signature)
            if answer is None:
                answer = self._answers[signature] = self._decide(holders, principal, actions.cells(policies.entries))
            yield member, answer

    def _decide(self, holders: PolicyHolders, principal: StoredPrincipal, cells: Sequence[ActionCell]) -> Reached:
        bundle = Bundle(
            identity=holders.identity,
            resource=self.question.policy,
            boundary=holders.boundary,
            session=holders.session,
            scps=holders.scps.levels,
            rcps=self.question.rcps.levels,
            own_service=self.question.service not in SERVED,
        )
        found: dict[Condition, set[str]] = {}
        for cell in cells:
            request = self._request(principal, cell.action)
            bounds = self.evaluator.bounds(request, bundle, self._known_keys(request, principal))
            if bounds.most.allowed:
                texts = {} if bounds.least.allowed else condition_texts(bounds.open_statements)
                found.setdefault(tuple(texts.items()), set()).update(cell.names)
        return {condition: tuple(sorted(names)) for condition, names in found.items()}

    def _request(self, principal: StoredPrincipal, action: str) -> AccessRequest:
        question, caller = self.question, principal.record.principal
        organization, owner = self.stored.accounts[principal.account].organization, question.owner
        parties = Parties(caller, organization, owner.id, owner.organization, question.region)
        context = RequestContext(question.context, parties, question.now, None, question.tags)
        return AccessRequest(caller, action, question.arn, context, owner.id)

    def _known_keys(self, request: AccessRequest, principal: StoredPrincipal) -> KnownKeys:
        given = frozenset(key.lower() for key in self.question.context)
        may_be_tagged = self.may_be_tagged(principal.trust)
        return KnownKeys(request, given, has_tags=bool(self.question.tags), may_be_tagged=may_be_tagged)

    # --- what an answer depends on -----------------------------------------------------------------------------------

    def _policies_of(self, holders: PolicyHolders) -> _Policies:
        """Return what answers depend on: the same object for all with the same relevant statements."""
        content, service = self.stored.compiler.content, self.question.service
        identity = self._relevant(holders.identity)
        others = id(holders.boundary), id(holders.session), id(holders.scps.levels)
        key = (*others, *[content(facts, service) for facts in identity])
        known = self._policies.get(key)
        if known is None:
            known = self._policies[key] = self._read_policies(holders)
        return known

    def _read_policies(self, holders: PolicyHolders) -> _Policies:
        of_owner = (self.question.policy, *(self.question.rcps.levels or ()))
        of_caller = (holders.identity, holders.boundary, holders.session, *(holders.scps.levels or ()))
        layers = [layer for layer in (*of_caller, *of_owner) if layer is not None]
        relevant = [facts for layer in layers for facts in self._relevant(layer)]
        keys = frozenset[str]().union(*(facts.keys for facts in relevant))
        own_keys = tuple(sorted(key for key in keys if key in _OWN_KEYS or key.startswith(_OWN_TAGS)))
        entries = frozenset(entry for facts in relevant for entry in facts.entries)
        return _Policies(own_keys, tuple(sorted(keys.difference(own_keys))), entries)

    def _relevant(self, layer: Layer) -> tuple[StatementFacts, ...]:
        """Return the statements of a layer that may apply to an action on the resource."""
        known = self._layers.get(id(layer))
        if known is None:
            facts = (one for policy in layer for one in self.stored.compiler.facts(policy))
            known = tuple(one for one in facts if one.may_match(self._asking, self.question.service))
            self._layers[id(layer)] = known
        return known

    def _shared_values(self, policies: _Policies, principal: StoredPrincipal) -> tuple[object, ...]:
        """Return the values of the keys that are the same for all principals of an account and a type."""
        if not policies.shared_keys:
            return ()
        place = f"{principal.account}{principal.record.principal.type}", id(policies)
        known = self._shared.get(place)
        if known is None:
            request = self._request(principal, self._asking.action)
            is_known = self._known_keys(request, principal)
            known = tuple(_value(request, key) if is_known(key) else None for key in policies.shared_keys)
            self._shared[place] = known
        return known

    def _own_values(self, policies: _Policies, principal: StoredPrincipal) -> Iterator[object]:
        """Yield whether tags are unknown, and the principal's values of its keys; `aws:userid` of a role is unknown."""
        yield self.may_be_tagged(principal.trust)
        caller = principal.record.principal
        for key in policies.own_keys:
            is_unknown = key == "aws:userid" and caller.type is PrincipalType.ASSUMED_ROLE
            yield None if is_unknown else caller.key(key)


def _value(request: AccessRequest, key: str) -> object:
    try:
        return request.value(key)
    except ContextError:
        return ContextError


_OWN_KEYS = frozenset({"aws:principalarn", "aws:userid", "aws:username", "aws:principaltype"})
_OWN_TAGS = "aws:principaltag/"
