"""Find the shortest paths by which principals of a store gain the access of another principal, or of an administrator.

Strategy. A node is a principal in a state: what the calls so far mean for it (`principal_state`). From each node, edges
lead to other principals, and change entities. The search from one start is uniform-cost, by the number of calls. It
keeps which changes have been made, by carrier: a node of a principal that has the carrier leads to the node with the
change, by the calls of both. So a change that one principal makes helps another, in any order.

Nodes and their edges don't depend on the start, so they are found once. The search ends at an administrator, since
everything else in that account follows; it goes on only to other accounts.

`MAX_EFFECTS` bounds the changes of one principal that are combined.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from heapq import heappop, heappush
from typing import Final, TypeAlias

from iam_guard.analysis.access.access_evaluator import open_evaluator
from iam_guard.analysis.escalation.escalation_calls import EscalationCall
from iam_guard.analysis.escalation.escalation_graph import Edges, EscalationGraph, Node
from iam_guard.analysis.escalation.escalation_path import (
    ADMINISTRATOR,
    Administrator,
    EscalationPath,
    Escalations,
    GrantingStatement,
)
from iam_guard.analysis.escalation.principal_state import ALLOW_ALL, NO_EFFECT, EntityChange, StateEffect, effect_of
from iam_guard.analysis.escalation.techniques import ASSUME_ROLE
from iam_guard.settings import Settings
from iam_guard.store.protocol import SourceStore

MAX_STATES: Final = 32
"""The maximum number of states of one principal whose changes are combined one by one; then all are combined."""
_MAX_ROUNDS: Final = 4
"""How often the changes of a way are applied to a principal, since one may lead to another."""

Calls: TypeAlias = tuple[EscalationCall, ...]


def escalation_paths(
    store: SourceStore, *, settings: Settings | None = None, now: datetime | None = None
) -> list[EscalationPath]:
    """Return the paths of `escalations`."""
    return escalations(store, settings=settings, now=now).paths


def escalations(store: SourceStore, *, settings: Settings | None = None, now: datetime | None = None) -> Escalations:
    """Return a shortest path from each user and role to each principal whose access it can gain, and to administrator.

    And the users and roles that are administrators already, by which statements. A path to an administrator of an
    account stands for all paths to principals of that account. An administrator has paths to other accounts alone, each
    to a principal by its ARN. Paths are sorted by start, those to an administrator first, then by length.
    """
    with open_evaluator(store, settings, now) as evaluator:
        graph = EscalationGraph(evaluator)
        starts = [
            principal for principal in evaluator.population.principals_by_arn.values() if principal.kind != "root"
        ]
        paths = [path for principal in starts for path in _Search(graph, principal.arn).paths()]
        found = (_administrator(graph.node(principal.arn, NO_EFFECT)) for principal in starts)
        return Escalations(paths, [administrator for administrator in found if administrator is not None])


def _administrator(node: Node) -> Administrator | None:
    """Return a principal that is an administrator, with the statements that make it one."""
    answers = node.actor.administrator_answers() if node.is_administrator else ()
    spoken = dict.fromkeys(statement for answer in answers for statement in answer.spoken)
    allowing = [
        GrantingStatement(statement.policy, statement.sid or str(statement.statement or 0), statement.through)
        for statement in spoken
        if statement.effect == "Allow" and statement.policy is not None
    ]
    keys = tuple(dict.fromkeys(key for answer in answers for key in answer.open_keys))
    return Administrator(node.principal.arn, tuple(dict.fromkeys(allowing)), keys) if allowing else None


class _Search:
    """The search from one start. `_best` has the fewest steps to each node."""

    def __init__(self, graph: EscalationGraph, start: str) -> None:
        self._graph = graph
        self._start = start
        self._best: dict[tuple[str, StateEffect], Calls] = {}
        self._states: dict[str, list[StateEffect]] = {}
        self._queue: list[tuple[int, int, int, Node, Calls]] = []
        self._changes: dict[str, list[tuple[EntityChange, Calls]]] = defaultdict(list)
        self._ways: dict[EntityChange, list[Calls]] = defaultdict(list)
        self._holders: dict[str, list[Node]] = defaultdict(list)
        self._opened: dict[str, Calls] = {}
        self._ended: dict[str, tuple[str, Calls]] = {}
        """Account -> an administrator of it, and the path to it."""
        self._crowded: dict[str, None] = {}
        """Principals with `MAX_STATES` and more changes than these combine."""
        self._limited: dict[str, Calls] = {}
        """Principals of whose access a part is gained."""
        self._settled: set[str | None] = {start}
        """Principals to which no call from a later node can be a shorter way."""
        self._pushed = 0

    def paths(self) -> Iterator[EscalationPath]:
        """Search, and yield the paths."""
        self._reach(self._start, NO_EFFECT, ())
        while self._queue:
            cost, turn, _, node, steps = heappop(self._queue)
            if self._best[node.principal.arn, node.effect] is steps:
                self._expand(node, steps, cost, turn)
        is_administrator = any(not steps for _, steps in self._ended.values())
        for arn, steps in sorted((end for end in self._ended.values() if end[1]), key=lambda end: len(end[1])):
            yield self._path(arn if is_administrator else ADMINISTRATOR, steps)
        best = dict(self._limited)
        for arn, effects in self._states.items():
            best[arn] = min((self._best[arn, effect] for effect in effects), key=len)
        del best[self._start]
        for arn, steps in sorted(best.items(), key=lambda pair: (len(pair[1]), pair[0])):
            if self._graph.directory.principal(arn).account not in self._ended:
                yield self._path(arn, steps)

    def _path(self, target: str, steps: Calls) -> EscalationPath:
        return EscalationPath(self._start, target, tuple(map(self._graph.shown, steps)))

    def _expand(self, node: Node, steps: Calls, cost: int, turn: int) -> None:
        """Follow the edges of a node: first its changes of itself, which may make it an administrator at once.

        All others come after the nodes that these lead to, since an administrator among them ends the search.
        """
        account = node.principal.account
        if turn == 0:
            if account not in self._ended and node.is_administrator:
                self._ended[account] = node.principal.arn, steps
            elif account not in self._ended:
                self._change_itself(node, steps)
            for role, opening in list(self._opened.items()):
                self._assume_opened(node, steps, role, opening)
            self._push(cost + 1, 1, node, steps)
            return
        self._follow(node.exits if account in self._ended else node.edges, steps)

    def _change_itself(self, node: Node, steps: Calls) -> None:
        """Follow the changes that a principal makes of itself: the first that makes it an administrator, or else all.

        No other edge of the node can be a shorter way to an administrator.
        """
        arn, edges = node.principal.arn, node.own_changes
        for change, more in edges.changes:
            effect = node.effect | effect_of(change, node.actor.principal)
            if len(more) == 1 and effect != node.effect and self._graph.node(arn, effect).is_administrator:
                self._add_change(change, _joined(steps, more))
                return
        self._follow(edges, steps)

    def _follow(self, edges: Edges, steps: Calls) -> None:
        for target in edges.direct.keys() - self._settled:
            self._reach(target, NO_EFFECT, _joined(steps, edges.direct[target].steps))
            self._settled.add(target)
        for arn, more in edges.longer:
            self._reach(arn, NO_EFFECT, _joined(steps, more))
        for arn, more in edges.limited:
            if arn not in self._limited or len(steps) + len(more) < len(self._limited[arn]):
                self._limited[arn] = _joined(steps, more)
        for change, more in edges.changes:
            self._add_change(change, _joined(steps, more))
        crowded, self._crowded = self._crowded, {}
        for arn in crowded:
            self._combine_all(arn)
        for principal, more in edges.created:
            if principal.account not in self._ended and (principal.arn, NO_EFFECT) not in self._best:
                calls = self._best[principal.arn, NO_EFFECT] = _joined(steps, more)
                self._push(len(calls), 0, self._graph.created(principal), calls)

    # --- nodes ---------------------------------------------------------------------------------------------------

    def _reach(self, arn: str, effect: StateEffect, steps: Calls) -> None:
        """Take a way to a node, if it is the shortest so far. All its calls count that concern the principal."""
        node = self._graph.node(arn, effect)
        for _ in range(_MAX_ROUNDS):
            whole, carriers = node.effect, node.carriers
            for call in steps:
                if call.change is not None and call.concerns(arn, carriers):
                    whole |= effect_of(call.change, node.actor.principal)
            if whole == node.effect:
                break
            node = self._graph.node(arn, whole)
        effect = node.effect
        known = self._best.get((arn, effect))
        if known is not None and len(known) <= len(steps):
            return
        if node.principal.account in self._ended and not self._graph.is_trusted_abroad(arn):
            return
        if known is None:
            self._states.setdefault(arn, []).append(effect)
            for carrier in node.carriers:
                self._holders[carrier].append(node)
        self._best[arn, effect] = steps
        self._push(len(steps), 0, node, steps)
        for carrier in node.carriers & self._changes.keys():
            for change, changing in list(self._changes[carrier]):
                self._combine(node, steps, change, changing)

    def _push(self, cost: int, turn: int, node: Node, steps: Calls) -> None:
        self._pushed += 1
        heappush(self._queue, (cost, turn, self._pushed, node, steps))

    # --- changes -------------------------------------------------------------------------------------------------

    def _add_change(self, change: EntityChange, steps: Calls) -> None:
        """Take a way to a change, if it is the shortest so far, and combine it with all nodes that it concerns."""
        if change.opens_trust:
            known = self._opened.get(change.carrier)
            if known is None or len(steps) < len(known):
                self._opened[change.carrier] = steps
                for arn, effects in list(self._states.items()):
                    for effect in list(effects):
                        node, reaching = self._graph.node(arn, effect), self._best[arn, effect]
                        self._assume_opened(node, reaching, change.carrier, steps)
            return
        ways, limiting = self._ways[change], _limiting(steps)
        if any(len(known) <= len(steps) and _limiting(known) <= limiting for known in ways):
            return
        ways.append(steps)
        self._changes[change.carrier].append((change, steps))
        for node in list(self._holders[change.carrier]):
            self._combine(node, self._best[node.principal.arn, node.effect], change, steps)

    def _combine(self, node: Node, steps: Calls, change: EntityChange, changing: Calls) -> None:
        """Take the way to the state of a node after a change."""
        arn, principal = node.principal.arn, node.actor.principal
        more = effect_of(change, principal)
        whole = node.effect | more
        has_everything = ALLOW_ALL in node.effect.added and not more.removed and more.boundary is None
        if has_everything or whole == node.effect:
            return
        if len(self._states[arn]) >= MAX_STATES:
            self._crowded[arn] = None
            return
        self._reach(arn, whole, _joined(steps, tuple(call.made_for(change, arn) for call in changing)))

    def _combine_all(self, arn: str) -> None:
        """Take the way to the state of a principal after all changes that only give it more."""
        first = self._states[arn][0]
        node, whole, calls = self._graph.node(arn, first), first, self._best[arn, first]
        for carrier in sorted(node.carriers & self._changes.keys()):
            for change, changing in self._changes[carrier]:
                more = whole | effect_of(change, node.actor.principal)
                if more != whole and not change.adds_limits:
                    whole = more
                    calls = _joined(calls, tuple(call.made_for(change, arn) for call in changing))
        self._reach(arn, whole, calls)

    def _assume_opened(self, node: Node, steps: Calls, role: str, opening: Calls) -> None:
        """Assume a role whose trust policy has been changed for it."""
        known = self._best.get((role, NO_EFFECT))
        calls = _joined(steps, opening)
        if node.principal.arn == role or (known is not None and len(known) <= len(calls) + 1):
            return
        answer = node.may_assume_opened(role)
        if answer is not None:
            step = EscalationCall(node.principal.arn, ASSUME_ROLE, role, answer)
            self._reach(role, NO_EFFECT, (*calls, step))


def _joined(steps: Calls, more: Calls) -> Calls:
    """Return the calls of two ways, each once, in an order in which both work."""
    return (*steps, *(step for step in more if step not in steps))


def _limiting(steps: Calls) -> frozenset[EscalationCall]:
    """Return the calls of a way that may take permissions away, too."""
    return frozenset(call for call in steps if call.change is not None and call.change.may_limit)
