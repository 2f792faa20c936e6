"""The graph of escalations of one store: principals in their states, and the calls that lead from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from iam_guard.analysis.access.access_answers import AccessAnswer
from iam_guard.analysis.access.access_evaluator import AccessEvaluator
from iam_guard.analysis.escalation.account_entities import read_entities
from iam_guard.analysis.escalation.change_edges import ChangeEdges
from iam_guard.analysis.escalation.credential_edges import CredentialEdges
from iam_guard.analysis.escalation.directory import Directory
from iam_guard.analysis.escalation.escalation_actor import Answers, EscalationActor
from iam_guard.analysis.escalation.escalation_calls import Edge, EscalationCall
from iam_guard.analysis.escalation.escalation_path import EscalationStep
from iam_guard.analysis.escalation.new_entities import NewEntities
from iam_guard.analysis.escalation.principal_state import StateEffect, with_effect
from iam_guard.analysis.escalation.role_edges import RoleEdges
from iam_guard.analysis.escalation.techniques import ABLE, FURTHER
from iam_guard.errors import PolicyError
from iam_guard.evaluation.compiler import compile_policy
from iam_guard.model.arn import account_of
from iam_guard.store.policies.stored_principals import StoredPrincipal
from iam_guard.store.protocol import StoredPolicy

_USEFUL: Final = tuple(action.lower() for action in (*ABLE, *FURTHER))


class Edges:
    """The edges of one node, by kind. `direct` are those of one call to another principal."""

    def __init__(self, edges: Iterator[Edge]) -> None:
        found = list(edges)
        led = [(edge.target, edge) for edge in found if edge.target is not None]
        self.direct = {arn: edge for arn, edge in led if len(edge.steps) == 1 and not edge.is_limited}
        self.longer = [(arn, edge.steps) for arn, edge in led if arn not in self.direct and not edge.is_limited]
        self.limited = [(arn, edge.steps) for arn, edge in led if edge.is_limited]
        self.changes = [(edge.change, edge.steps) for edge in found if edge.change is not None]
        self.created = [(edge.created, edge.steps) for edge in found if edge.created is not None]


@dataclass(slots=True, eq=False)
class Node:
    """A principal in one state."""

    graph: EscalationGraph
    principal: StoredPrincipal
    effect: StateEffect
    actor: EscalationActor = field(init=False)
    carriers: frozenset[str] = field(init=False)
    """The entities whose change may change what the principal may do."""
    _is_administrator: bool | None = None
    _edges: dict[str, Edges] = field(default_factory=dict)
    _opened: dict[str, AccessAnswer | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        changed = with_effect(self.principal, self.effect) if self.effect != StateEffect() else self.principal
        self.actor = EscalationActor(self.graph.answers, changed)
        self.carriers = self.graph.directory.carriers_of(changed, self.effect.joined)

    @property
    def is_administrator(self) -> bool:
        if self._is_administrator is None:
            self._is_administrator = self.actor.is_administrator()
        return self._is_administrator

    @property
    def own_changes(self) -> Edges:
        """The changes of what concerns the principal itself."""
        return self._cached("own", lambda: self.graph.changes.of(self.actor, self.carriers))

    @property
    def edges(self) -> Edges:
        """All edges."""
        return self._cached("all", lambda: self.graph.all_edges(self.actor))

    @property
    def exits(self) -> Edges:
        """The edges that lead to other accounts, or to principals that other accounts trust."""
        return self._cached("exits", lambda: self.graph.exit_edges(self.actor))

    def may_assume_opened(self, role: str) -> AccessAnswer | None:
        """Return the answer about a role whose trust policy names the principal."""
        if role not in self._opened:
            target = self.graph.directory.principal(role)
            self._opened[role] = self.graph.roles.may_assume_opened(self.actor, target)
        return self._opened[role]

    def _cached(self, kind: str, find: Callable[[], Iterator[Edge]]) -> Edges:
        if kind not in self._edges:
            self._edges[kind] = Edges(find())
        return self._edges[kind]


class EscalationGraph:
    """The nodes of one store. Valid while the evaluator's transaction is open."""

    def __init__(self, evaluator: AccessEvaluator) -> None:
        partition = evaluator.source.partition
        self.directory = Directory(evaluator.population, read_entities(evaluator.source), partition)
        self.answers = Answers(evaluator, partition, evaluator.settings.region)
        self.credentials = CredentialEdges(self.directory)
        self.roles = RoleEdges(self.directory, self.answers)
        self.new = NewEntities(self.directory, self.roles)
        self.changes = ChangeEdges(self.directory, self.new, is_useful)
        self._trusted_abroad = frozenset(self.roles.named())
        self._has_several_accounts = len(evaluator.population.accounts) > 1
        self._shown: dict[int, tuple[EscalationCall, EscalationStep]] = {}
        self._nodes: dict[tuple[str, StateEffect], Node] = {}

    def node(self, arn: str, effect: StateEffect) -> Node:
        """Return the node of a principal of the store in a state."""
        key = arn, effect
        if key not in self._nodes:
            self._nodes[key] = Node(self, self.directory.principal(arn), effect)
        return self._nodes[key]

    def shown(self, call: EscalationCall) -> EscalationStep:
        """Return the step of a call; most calls are in many paths."""
        key = id(call)
        if key not in self._shown:
            self._shown[key] = call, call.shown()  # with the call, so that no other object gets its id
        return self._shown[key][1]

    def created(self, principal: StoredPrincipal) -> Node:
        """Return the node of an administrator that does not exist yet."""
        return Node(self, principal, StateEffect())

    def is_trusted_abroad(self, arn: str) -> bool:
        """Return whether a trust policy of another account names the principal."""
        return arn in self._trusted_abroad

    def all_edges(self, actor: EscalationActor) -> Iterator[Edge]:
        """Yield all edges of an actor."""
        yield from self.roles.of(actor)
        yield from self.credentials.of(actor, self.directory.users(actor.account))
        yield from self.changes.of(actor)
        yield from self.new.of(actor)

    def exit_edges(self, actor: EscalationActor) -> Iterator[Edge]:
        """Yield the edges of an actor that lead out of its account, also by another principal of it."""
        if not self._has_several_accounts:
            return
        abroad = self._trusted_abroad
        yield from self.roles.of(actor, lambda role: role.account != actor.account or role.arn in abroad)
        users = [user for user in self.directory.users(actor.account) if user.arn in abroad]
        yield from self.credentials.of(actor, users)
        yield from self.changes.of(actor, {arn for arn in abroad if account_of(arn) == actor.account})


@lru_cache(maxsize=8192)
def is_useful(policy: StoredPolicy) -> bool:
    """Return whether a policy allows an action of some technique, so that having it may lead on."""
    try:
        content = compile_policy(policy.text, policy.ref).content
    except PolicyError:
        return False
    return any(not statement.denies for action in _USEFUL for statement in content.about(action))
