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


class _Policies(NamedTuple):
    """What the answers of the holders of some policies depend on.

    `contents` are the statements that may apply, by layer. `own_keys` are the condition keys in them whose values
    differ between the principals of an account, `shared_keys` the others. `entries` are the actions in them.
    """

    contents: tuple[object, ...]
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
    _policies: dict[int, _Policies] = field(default_factory=dict)
    _shared: dict[tuple[object, ...], tuple[object, ...]] = field(default_factory=dict)
    _answers: dict[tuple[object, ...], Reached] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._asking = asking(self.question.service, self.question.arn)

    def of(self, found: Sequence[Member]) -> Iterator[tuple[Member, Reached]]:
        """Yield the actions that each principal can perform.

        Raises `Undecided` if the wildcards of the policies are too complex.
        """
        entries = frozenset[str]().union(*(self._of_holders(holders).entries for holders, _ in found))
        actions = ServiceActions(self.question.service, entries, self.question.actions)
        for holders, principal in found:
            policies, caller = self._of_holders(holders), principal.record.principal
            tags = self.may_be_tagged(principal.trust)
            account = self.stored.accounts[principal.account]
            organization, owner = account.organization, self.question.owner
            parties = Parties(caller, organization, owner.id, owner.organization, self.question.region)
            signature = (
                policies.contents,
                caller.type,
                caller.is_service_linked,
                caller.account == self.question.owner.id,
                self._shared_values(policies, parties),
                *self._matches(caller),
                *self._values(policies.own_keys, parties, may_be_tagged=tags),
            )
            if signature not in self._answers:
                cells = actions.cells(policies.entries)
                self._answers[signature] = self._decide(holders, cells, parties, may_be_tagged=tags)
            yield (holders, principal), self._answers[signature]

    def _decide(
        self, holders: PolicyHolders, cells: Sequence[ActionCell], parties: Parties, *, may_be_tagged: bool
    ) -> Reached:
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
            request = self._request(parties, cell.action)
            bounds = self.evaluator.bounds(request, bundle, self._known_keys(request, may_be_tagged=may_be_tagged))
            if bounds.most.allowed:
                texts = {} if bounds.least.allowed else condition_texts(bounds.open_statements)
                found.setdefault(tuple(texts.items()), set()).update(cell.names)
        return {condition: tuple(sorted(names)) for condition, names in found.items()}

    def _request(self, parties: Parties, action: str) -> AccessRequest:
        question = self.question
        context = RequestContext(question.context, parties, question.now, None, question.tags)
        return AccessRequest(parties.principal, action, question.arn, context, question.owner.id)

    def _known_keys(self, request: AccessRequest, *, may_be_tagged: bool) -> KnownKeys:
        given = frozenset(key.lower() for key in self.question.context)
        return KnownKeys(request, given, has_tags=bool(self.question.tags), may_be_tagged=may_be_tagged)

    # --- what an answer depends on -----------------------------------------------------------------------------------

    def _of_holders(self, holders: PolicyHolders) -> _Policies:
        known = self._policies.get(id(holders))
        if known is None:
            known = self._policies[id(holders)] = self._read_policies(holders)
        return known

    def _read_policies(self, holders: PolicyHolders) -> _Policies:
        layers = [holders.identity, holders.boundary, holders.session, *(holders.scps.levels or ())]
        by_layer = [None if layer is None else self._relevant(layer) for layer in layers]
        content, service = self.stored.compiler.content, self.question.service
        contents = tuple(None if facts is None else tuple(content(one, service) for one in facts) for facts in by_layer)
        of_owner = [self._relevant(layer) for layer in (self.question.policy, *(self.question.rcps.levels or ()))]
        relevant = [one for facts in (*by_layer, *of_owner) for one in facts or ()]
        keys = frozenset[str]().union(*(one.keys for one in relevant))
        own_keys = tuple(sorted(key for key in keys if key in _OWN_KEYS or key.startswith(_OWN_TAGS)))
        entries = frozenset(entry for one in relevant for entry in one.entries)
        shared_keys = tuple(sorted(keys.difference(own_keys)))
        return _Policies((holders.scps.levels is None, contents), own_keys, shared_keys, entries)

    def _relevant(self, layer: Layer) -> tuple[StatementFacts, ...]:
        """Return the statements of a layer that may apply to an action on the resource."""
        known = self._layers.get(id(layer))
        if known is None:
            facts = (one for policy in layer for one in self.stored.compiler.facts(policy))
            known = tuple(one for one in facts if one.may_match(self._asking, self.question.service))
            self._layers[id(layer)] = known
        return known

    def _matches(self, caller: Principal) -> Iterator[object]:
        """Yield how each statement of the resource's policy names the caller."""
        for policy in self.question.policy:
            for statement in policy.content.statements:
                yield statement.principal_match(caller)

    def _shared_values(self, policies: _Policies, parties: Parties) -> tuple[object, ...]:
        """Return the values of the keys that are the same for all principals of an account."""
        if not policies.shared_keys:
            return ()
        place = parties.principal.account, parties.principal.type, policies.shared_keys
        if place not in self._shared:
            self._shared[place] = tuple(self._values(policies.shared_keys, parties, may_be_tagged=False))
        return self._shared[place]

    def _values(self, keys: Sequence[str], parties: Parties, *, may_be_tagged: bool) -> Iterator[object]:
        """Yield the values of condition keys; the class of the test for unknown ones."""
        if not keys:
            return
        request = self._request(parties, self._asking.action)
        is_known = self._known_keys(request, may_be_tagged=may_be_tagged)
        for key in keys:
            try:
                yield request.value(key) if is_known(key) else KnownKeys
            except ContextError:
                yield ContextError


_OWN_KEYS = frozenset({"aws:principalarn", "aws:userid", "aws:username", "aws:principaltype"})
_OWN_TAGS = "aws:principaltag/"
