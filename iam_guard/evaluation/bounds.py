"""What a request comes to whatever the condition keys are that nobody gave: two decisions of the same evaluator.

The strategy. Every test of an open key can come out either way. So the request is decided twice: once with policies in
which each Allow that depends on an open key applies and no such Deny does, once the other way round. What the second
allows is allowed in any event; what the first denies is denied in any event; between the two it depends. A policy is
changed where it depends on an open key, and nowhere else: a loose statement loses the tests that are open, a tight one
is left out. Nothing here decides: both outcomes are `evaluator`'s.

A question may be about all the resources that a pattern means, instead of one: then an entry counts loosely where it
matches some of them, and tightly where it matches all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from iam_guard.evaluation.bundle import Bundle, Levels
from iam_guard.evaluation.compiler import CompiledDocument, CompiledPolicy
from iam_guard.evaluation.evaluator import decide
from iam_guard.evaluation.matching.condition_keys import is_multivalued
from iam_guard.evaluation.matching.pattern import ARN_FIELDS, Pattern, Wildcard
from iam_guard.evaluation.matching.pattern_coverage import covers, open_patterns, overlaps
from iam_guard.evaluation.matching.referenced_keys import keys_of_conditions, keys_of_document, keys_of_resource
from iam_guard.evaluation.matching.resource import EVERYTHING, read_resource
from iam_guard.evaluation.matching.variables import Template, TemplatePiece, Variable, with_runs
from iam_guard.evaluation.matching_statements import hit_of
from iam_guard.evaluation.policy_layer import Layer
from iam_guard.model.decision import Decision
from iam_guard.model.request import AccessRequest
from iam_guard.policy.document import ConditionTest, Effect, Statement

Settles: TypeAlias = Callable[[str], bool]
"""Is it known whether a request has this condition key (lower case), and with which value?"""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The two decisions. `open_keys` are those that stand between them, each once, as a policy writes it."""

    least: Decision
    most: Decision
    open_keys: tuple[str, ...] = ()

    @property
    def is_certain(self) -> bool:
        """Whether both allow or both deny."""
        return self.least.allowed == self.most.allowed


class PartialEvaluator:
    """Finds bounds, and remembers the changed policies of many questions whose callers share policies.

    For one thread.
    """

    def __init__(self) -> None:
        self._keys: dict[str, frozenset[str]] = {}
        self._changed: dict[tuple[Layer, bool, frozenset[str]], Layer] = {}

    def bounds(
        self, request: AccessRequest, policies: Bundle, settles: Settles, *, asked: Pattern | None = None
    ) -> Bounds:
        """Decide twice; once where nothing is open. `asked` is the pattern that stands for the resources, if any."""
        open_of = {id(each): self._open_keys(each, settles) for each in _layers(policies)}
        if asked is None and not any(open_of.values()):
            decision = decide(request, policies)
            return Bounds(decision, decision)

        def changed(layer: Layer, *, generous: bool) -> Layer:
            keys = open_of[id(layer)]
            if asked is not None:
                return Layer(_Change(keys, generous, request, asked).policy(each) for each in layer)
            return self._remembered(layer, keys, request, generous=generous)

        most_policies = _each_layer(policies, lambda layer: changed(layer, generous=True))
        most = decide(request, most_policies)
        least = decide(request, _each_layer(policies, lambda layer: changed(layer, generous=False)))
        keys = () if most.allowed == least.allowed else tuple(self._between(policies, request, open_of, asked))
        return Bounds(least, most, _once(keys))

    def _open_keys(self, layer: Layer, settles: Settles) -> frozenset[str]:
        found: set[str] = set()
        for policy in layer:
            document = policy.content.document
            keys = self._keys.get(document.digest)
            if keys is None:
                keys = self._keys[document.digest] = frozenset(key.lower() for key in keys_of_document(document))
            found.update(key for key in keys if not settles(key))
        return frozenset(found)

    def _remembered(self, layer: Layer, keys: frozenset[str], request: AccessRequest, *, generous: bool) -> Layer:
        if not keys:
            return layer
        name = (layer, generous, keys)
        if name not in self._changed:
            change = _Change(keys, generous, request, None)
            self._changed[name] = Layer(change.policy(each) for each in layer)
        return self._changed[name]

    def _between(
        self, policies: Bundle, request: AccessRequest, open_of: dict[int, frozenset[str]], asked: Pattern | None
    ) -> Iterator[str]:
        """Return the open keys of the statements about the action that would apply if every open test came out so."""
        action = request.action.lower()
        for layer in _layers(policies):
            keys = open_of[id(layer)]
            for policy in layer if keys else ():
                version = policy.content.document.version
                for compiled in policy.content.about(action):
                    statement = compiled.statement
                    mine = [key for key in _keys_of(statement, version) if key.lower() in keys]
                    if mine and _could_apply(policy, statement, request, keys, asked):
                        yield from mine


def _could_apply(
    policy: CompiledPolicy, statement: Statement, request: AccessRequest, keys: frozenset[str], asked: Pattern | None
) -> bool:
    generous = statement.effect is Effect.ALLOW
    changed = _Change(keys, generous, request, asked).statement(statement, policy.content.document.version)
    if changed is None:
        return False
    document = replace(policy.content.document, statements=(changed,))
    [compiled] = CompiledDocument(document).statements
    return hit_of(policy, compiled, request, request.action.lower(), bounded=False) is not None


def _keys_of(statement: Statement, version: str) -> Iterator[str]:
    for entry in (*(statement.resources or ()), *(statement.not_resources or ())):
        yield from keys_of_resource(entry, version)
    yield from keys_of_conditions(statement, version)


# --- the change of one policy ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Change:
    """`generous`: an Allow applies where it could, a Deny only where it must; else the other way round."""

    keys: frozenset[str]
    generous: bool
    request: AccessRequest
    asked: Pattern | None

    def policy(self, policy: CompiledPolicy) -> CompiledPolicy:
        """Change a policy; one that depends on nothing open stays the same object."""
        document = policy.content.document
        changed = [self.statement(statement, document.version) for statement in document.statements]
        if all(one is other for one, other in zip(changed, document.statements, strict=True)):
            return policy
        kept = tuple(each for each in changed if each is not None)
        return CompiledPolicy(policy.ref, CompiledDocument(replace(document, statements=kept)))

    def statement(self, statement: Statement, version: str) -> Statement | None:
        """Change a statement; None for one that does not apply."""
        loose = self.generous == (statement.effect is Effect.ALLOW)
        kept = tuple(test for test in statement.conditions if not self._is_open(test, version))
        if not loose and len(kept) < len(statement.conditions):
            return None
        changed = statement if len(kept) == len(statement.conditions) else replace(statement, conditions=kept)
        return self._with_resources(changed, version, loose=loose)

    def _is_open(self, test: ConditionTest, version: str) -> bool:
        if test.key.lower() in self.keys:
            return True
        if not any("${" in value for value in test.values):
            return False
        alone = Statement(0, Effect.ALLOW, conditions=(test,))
        return any(key.lower() in self.keys for key in keys_of_conditions(alone, version))

    def _with_resources(self, statement: Statement, version: str, *, loose: bool) -> Statement | None:
        if statement.resources is not None:
            kept = self._entries(statement.resources, version, loose=loose)
            return statement if kept == statement.resources else replace(statement, resources=kept)
        if statement.not_resources is None:
            return statement
        kept = self._entries(statement.not_resources, version, loose=not loose)
        if self.asked is not None and kept:
            return None  # all of what is asked about is left out, or some of it
        return statement if kept == statement.not_resources else replace(statement, not_resources=kept)

    def _entries(self, entries: tuple[str, ...], version: str, *, loose: bool) -> tuple[str, ...]:
        if self.asked is not None:
            return (EVERYTHING,) if any(self._is_about(each, version, loose) for each in entries) else ()
        return tuple(each for entry in entries for each in self._entry(entry, version, loose))

    def _entry(self, entry: str, version: str, loose: bool) -> Sequence[str]:
        """Keep an entry, or open it: whatever an open variable holds, a run of any characters is no less."""
        keys = {key.lower() for key in keys_of_resource(entry, version)} & self.keys
        if not any(not is_multivalued(key) for key in keys):  # V-6: of the others no variable ever has a value
            return (entry,)
        if not loose:
            return ()
        *early, last = entry.split(":", ARN_FIELDS - 1)
        return (":".join((*early, with_runs(last, version, keys))),)

    def _is_about(self, entry: str, version: str, loose: bool) -> bool:
        """Return whether an entry matches some of what is asked about (loose), or all of it."""
        if self.asked is None:
            raise RuntimeError("expected the resource that is asked about")
        if entry == EVERYTHING:
            return True
        if loose:
            return any(overlaps(each, self.asked) for each in self._filled(entry, version, loose))
        return any(covers(each, self.asked) for each in self._filled(entry, version, loose))

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


def _layers(policies: Bundle) -> Iterator[Layer]:
    alone = (policies.resource, policies.identity, policies.boundary, policies.session, policies.vpc_endpoint)
    for layer in (*(policies.scps or ()), *(policies.rcps or ()), *alone):
        if layer is not None:
            yield layer


def _each_layer(policies: Bundle, change: Callable[[Layer], Layer]) -> Bundle:
    def optional(layer: Layer | None) -> Layer | None:
        return None if layer is None else change(layer)

    def levels(given: Levels | None) -> Levels | None:
        return None if given is None else tuple(change(each) for each in given)

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


def _once(keys: Sequence[str]) -> tuple[str, ...]:
    first: dict[str, str] = {}
    for key in keys:
        first.setdefault(key.lower(), key)
    return tuple(first.values())
