"""Partial evaluation: the bounds of a decision while some condition keys are open (have no value yet).

Any condition on an open key can be met or not. So the request is decided twice: once with permissive policies, in which
every Allow that depends on an open key applies and no such Deny does, and once with restrictive policies, the other way
round. A request that the restrictive policies allow is always allowed; one that the permissive policies deny is always
denied; otherwise it depends on the open keys. Only statements that depend on an open key change: a loose statement is
stripped of its open conditions, a strict one is removed. The decisions themselves are the evaluator's.

The request can be about all resources that match a pattern. Then an entry matches loosely if it matches some of them,
and strictly if it matches all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from iam_guard.evaluation.applicable_types import is_bounded
from iam_guard.evaluation.bundle import Bundle, Levels
from iam_guard.evaluation.compiler import CompiledDocument, CompiledPolicy
from iam_guard.evaluation.evaluator import decide
from iam_guard.evaluation.matching.condition_keys import is_multivalued
from iam_guard.evaluation.matching.pattern import ARN_FIELDS, Pattern, Wildcard
from iam_guard.evaluation.matching.pattern_coverage import covers, open_patterns, overlaps
from iam_guard.evaluation.matching.referenced_keys import (
    distinct_keys,
    keys_of_condition,
    keys_of_resource,
    keys_of_statement,
)
from iam_guard.evaluation.matching.resource import EVERYTHING, read_resource
from iam_guard.evaluation.matching.variables import Template, TemplatePiece, Variable, replace_variables
from iam_guard.evaluation.matching_statements import hit_of
from iam_guard.evaluation.policy_layer import Layer
from iam_guard.model.decision import Decision
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import ConditionTest, Effect, Statement

IsKnown: TypeAlias = Callable[[str], bool]
"""Return whether the presence and the value of a condition key (lower case) are known."""

IsPossible: TypeAlias = Callable[[ConditionTest, str], bool]
"""Return whether some value of an open key may meet a condition of a document of a version."""


def always_possible(test: ConditionTest, version: str) -> bool:
    """Return True: an open key may have any value."""
    return True


class OpenStatement(NamedTuple):
    """A statement that applies for some values of the open keys that it references: `keys`, as written."""

    statement: Statement
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The two decisions, and the statements that make them differ."""

    least: Decision
    most: Decision
    open_statements: tuple[OpenStatement, ...] = ()

    @property
    def open_keys(self) -> tuple[str, ...]:
        """The keys that make the decisions differ, each once, in the spelling of a policy."""
        return distinct_keys(key for found in self.open_statements for key in found.keys)

    @property
    def is_certain(self) -> bool:
        """Whether both allow or both deny."""
        return self.least.allowed == self.most.allowed


_MAX_CACHED = 65_536
"""Maximum number of changed layers that are cached."""


class PartialEvaluator:
    """Computes bounds, and caches the changed policies for callers that share policies. Not thread-safe.

    A statement with an open condition that is not `is_possible` never applies.
    """

    def __init__(self, is_possible: IsPossible = always_possible) -> None:
        self._is_possible = is_possible
        self._changed: dict[tuple[Layer, bool, frozenset[str]], Layer] = {}

    def bounds(
        self, request: AccessRequest, policies: Bundle, is_known: IsKnown, *, resources: Pattern | None = None
    ) -> Bounds:
        """Decide with permissive and with restrictive policies; `resources` is a pattern in place of the resource."""
        open_of = {id(layer): _open_keys(layer, is_known) for layer in policies.layers}
        if resources is None and not any(open_of.values()):
            decision = decide(request, policies)
            return Bounds(decision, decision)

        def changed(layer: Layer, *, permissive: bool) -> Layer:
            keys = open_of[id(layer)]
            if resources is not None:
                change = self._change(keys, request, resources, permissive=permissive)
                return Layer(map(change.policy, layer))
            return self._cached_change(layer, keys, request, permissive=permissive)

        most_policies = _each_layer(policies, lambda layer: changed(layer, permissive=True))
        most = decide(request, most_policies)
        least = decide(request, _each_layer(policies, lambda layer: changed(layer, permissive=False)))
        if most.allowed == least.allowed:
            return Bounds(least, most)
        return Bounds(least, most, tuple(self._deciding_statements(policies, request, open_of, resources)))

    def _change(
        self, keys: frozenset[str], request: AccessRequest, resources: Pattern | None, *, permissive: bool
    ) -> _PolicyChange:
        return _PolicyChange(keys, permissive, request, resources, self._is_possible)

    def _cached_change(self, layer: Layer, keys: frozenset[str], request: AccessRequest, *, permissive: bool) -> Layer:
        if not keys:
            return layer
        cache_key = (layer, permissive, keys)
        changed = self._changed.get(cache_key)
        if changed is None:
            if len(self._changed) >= _MAX_CACHED:
                self._changed.clear()
            change = self._change(keys, request, None, permissive=permissive)
            changed = self._changed[cache_key] = Layer(change.policy(policy) for policy in layer)
        return changed

    def _deciding_statements(
        self, policies: Bundle, request: AccessRequest, open_of: dict[int, frozenset[str]], resources: Pattern | None
    ) -> Iterator[OpenStatement]:
        """Yield the statements about the action that apply for some values of open keys."""
        action, bounded = request.action.lower(), is_bounded(request, policies)
        for layer in policies.layers:
            keys = open_of[id(layer)]
            for policy in layer if keys else ():
                version = policy.content.document.version
                for compiled in policy.content.about(action):
                    statement = compiled.statement
                    open_keys = tuple(key for key in keys_of_statement(statement, version) if key.lower() in keys)
                    loose = self._change(keys, request, resources, permissive=statement.effect is Effect.ALLOW)
                    if open_keys and _could_apply(policy, statement, loose, bounded=bounded):
                        yield OpenStatement(statement, open_keys)


def _open_keys(layer: Layer, is_known: IsKnown) -> frozenset[str]:
    return frozenset([key for key in layer.keys if not is_known(key)])


def _could_apply(policy: CompiledPolicy, statement: Statement, loose: _PolicyChange, *, bounded: bool) -> bool:
    changed, request = loose.statement(statement, policy.content.document.version), loose.request
    if changed is None:
        return False
    document = replace(policy.content.document, statements=(changed,))
    [compiled] = CompiledDocument(document).statements
    return hit_of(policy, compiled, request, request.action.lower(), bounded=bounded) is not None


# --- the change of one policy ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _PolicyChange:
    """Changes policies that depend on open keys.

    If `permissive`, an Allow applies if it can and a Deny only if it must; otherwise the other way round.
    """

    keys: frozenset[str]
    permissive: bool
    request: AccessRequest
    resources: Pattern | None
    is_possible: IsPossible

    def policy(self, policy: CompiledPolicy) -> CompiledPolicy:
        """Return the changed policy; the same object if it does not depend on an open key."""
        document = policy.content.document
        changed = tuple(self.statement(statement, document.version) for statement in document.statements)
        if changed == document.statements:
            return policy
        kept = tuple(statement for statement in changed if statement is not None)
        return CompiledPolicy(policy.ref, CompiledDocument(replace(document, statements=kept)))

    def statement(self, statement: Statement, version: str) -> Statement | None:
        """Return the changed statement; None if it does not apply."""
        loose = self.permissive == (statement.effect is Effect.ALLOW)
        kept = tuple(test for test in statement.conditions if not self._is_open(test, version))
        opened = [test for test in statement.conditions if test not in kept]
        if opened and not (loose and all(self.is_possible(test, version) for test in opened)):
            return None
        changed = statement if len(kept) == len(statement.conditions) else replace(statement, conditions=kept)
        return self._with_resources(changed, version, loose=loose)

    def _is_open(self, test: ConditionTest, version: str) -> bool:
        return any(key.lower() in self.keys for key in keys_of_condition(test, version))

    def _with_resources(self, statement: Statement, version: str, *, loose: bool) -> Statement | None:
        if statement.resources is not None:
            kept = self._entries(statement.resources, version, loose=loose)
            return statement if kept == statement.resources else replace(statement, resources=kept)
        if statement.not_resources is None:
            return statement
        kept = self._entries(statement.not_resources, version, loose=not loose)
        if self.resources is not None and kept:
            return None  # all resources of the pattern are excluded, or some of them
        return statement if kept == statement.not_resources else replace(statement, not_resources=kept)

    def _entries(self, entries: tuple[str, ...], version: str, *, loose: bool) -> tuple[str, ...]:
        resources = self.resources
        if resources is not None:
            is_matched = any(self._matches(resources, entry, version, loose) for entry in entries)
            return (EVERYTHING,) if is_matched else ()
        return tuple(changed for entry in entries for changed in self._entry(entry, version, loose))

    def _entry(self, entry: str, version: str, loose: bool) -> Sequence[str]:
        """Return the entry with a wildcard for each open variable; nothing if the match must be strict."""
        keys = {key.lower() for key in keys_of_resource(entry, version)} & self.keys
        if not any(not is_multivalued(key) for key in keys):  # V-6: a multivalued key never fills a variable
            return (entry,)
        if not loose:
            return ()
        *early, last = entry.split(":", ARN_FIELDS - 1)
        return (":".join((*early, replace_variables(last, version, keys))),)

    def _matches(self, resources: Pattern, entry: str, version: str, loose: bool) -> bool:
        """Return whether an entry matches some (loose) or all resources of the pattern."""
        compare = overlaps if loose else covers
        return entry == EVERYTHING or any(
            compare(pattern, resources) for pattern in self._filled(entry, version, loose)
        )

    def _filled(self, entry: str, version: str, loose: bool) -> Iterator[Pattern]:
        if "${" not in entry:
            yield from open_patterns(entry, version)
            return
        for template in read_resource(entry, version):
            if any(self._is_open_piece(piece) for piece in template.pieces):
                if not loose:
                    continue
                template = Template(tuple(map(self._opened, template.pieces)))
            if (pattern := template.fill(self.request)) is not None:
                yield pattern

    def _is_open_piece(self, piece: TemplatePiece) -> bool:
        return isinstance(piece, Variable) and piece.key in self.keys

    def _opened(self, piece: TemplatePiece) -> TemplatePiece:
        return Wildcard.RUN if self._is_open_piece(piece) else piece


# --- layers ------------------------------------------------------------------------------------------------------


def _each_layer(policies: Bundle, change: Callable[[Layer], Layer]) -> Bundle:
    def optional(layer: Layer | None) -> Layer | None:
        return None if layer is None else change(layer)

    def levels(layers: Levels | None) -> Levels | None:
        return None if layers is None else tuple(change(layer) for layer in layers)

    return replace(
        policies,
        identity=change(policies.identity),
        resource=change(policies.resource),
        boundary=optional(policies.boundary),
        session=optional(policies.session),
        scps=levels(policies.scps),
        rcps=levels(policies.rcps),
        vpc_endpoint=optional(policies.vpc_endpoint),
    )
