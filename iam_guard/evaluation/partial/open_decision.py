"""The formula of a decision about any resource of a type: what `evaluator` and `grants` decide about each (rules F).

A statement that depends on the resource becomes a formula; everything else is evaluated now, by the compiled statements
of `evaluator`. The formula is true for exactly the resources for which `evaluator.decide` allows the request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple

from iam_guard.errors import NotFilterable
from iam_guard.evaluation.applicable_types import applicable_policies, is_bounded
from iam_guard.evaluation.bundle import Bundle, Levels
from iam_guard.evaluation.compiler import CompiledPolicy
from iam_guard.evaluation.evaluator import is_action
from iam_guard.evaluation.grants import WITHOUT_POLICIES
from iam_guard.evaluation.matching.condition import Condition
from iam_guard.evaluation.matching.operators import OPERATORS
from iam_guard.evaluation.matching.pattern import literal_prefix
from iam_guard.evaluation.matching.principal import PrincipalMatch
from iam_guard.evaluation.matching.resource import EVERYTHING, read_resource
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.evaluation.matching.variables import Template
from iam_guard.evaluation.matching_statements import names_caller
from iam_guard.evaluation.partial.formula import Formula, Presence, Readable, Text, all_of, any_of
from iam_guard.evaluation.partial.open_conditions import condition_formula, filled_operands
from iam_guard.evaluation.partial.open_request import OpenRequest
from iam_guard.evaluation.partial.text_matching import match
from iam_guard.evaluation.policy_layer import Layer
from iam_guard.evaluation.special_actions import SPECIAL_SERVICES
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import PrincipalType
from iam_guard.policy.document import ConditionTest, Effect, Statement
from iam_guard.policy.grammar import RESOURCE_IS_OPTIONAL, WITH_PRINCIPAL, split_operator

Simplify = Callable[[Formula], Formula]
"""Return a formula whose atoms can be translated. Raises `NotFilterable`."""
MAX_RESULTS: Final = 20_000


class OpenResult(NamedTuple):
    """The formula of a statement if its known conditions are met, and the open values that it reads."""

    formula: Formula
    visited: tuple[str, ...]
    known: tuple[Condition, ...]


class StatementFormula(NamedTuple):
    """A statement about the action, and the formula of its application to a resource (of a Deny: of its absence)."""

    policy: CompiledPolicy
    statement: Statement
    formula: Formula


@dataclass(slots=True)
class OpenDecision:
    """Computes the formula of one request. `is_superset`: what cannot be translated is taken to allow."""

    request: OpenRequest
    simplify: Simplify
    is_superset: bool = False
    results: dict[tuple[CompiledStatement, Text], OpenResult] = field(default_factory=dict)
    """Results of statements of which only known conditions depend on the caller; shared by requests with the same open
    values."""
    statements: list[StatementFormula] = field(default_factory=list)
    """The statements about the action, in the order of evaluation."""
    refusals: list[NotFilterable] = field(default_factory=list)
    """Why statements could not be translated, if `is_superset`."""
    attached: dict[CompiledPolicy, Formula] = field(default_factory=dict)
    """Policies of resources that only some have -> whether a resource has it; if they deny, whether not."""
    _known: dict[tuple[int, CompiledPolicy], Formula] = field(default_factory=dict)
    _read: dict[str, None] = field(default_factory=dict)
    """The open values that a decision may read."""

    def formula(self, policies: Bundle, owner: str | None) -> Formula:
        """Return the formula for resources of one owner; None: of another account than the caller's.

        Raises `NotFilterable`. An action without the form of one is allowed on no resource.
        """
        request = self.request.request
        action = request.action.lower()
        if not is_action(action):
            return False
        service = action.partition(":")[0]
        if service in SPECIAL_SERVICES:
            raise NotFilterable(f"lists of `{service}` are not filtered")
        policies = applicable_policies(request, action, policies)
        bounded = is_bounded(request, policies)
        granted = self._granted(policies, action, is_own=owner is not None and owner == request.principal.account)
        if granted is False:
            return False
        allowed = all_of(
            (
                *(self._no_deny(layer, action, bounded=bounded) for layer in policies.layers_with_denies),
                self._each_level(policies.rcps, action),
                self._each_level(policies.scps, action),
                True if policies.vpc_endpoint is None else self._allows(policies.vpc_endpoint, action),
                granted,
            )
        )
        if allowed is False or self.is_superset:
            return allowed
        return all_of((*map(Readable, self._read), allowed))

    # --- the evaluation, as in `evaluator` and `grants` ----------------------------------------------------------

    def _no_deny(self, layer: Layer, action: str, *, bounded: bool) -> Formula:
        return all_of(
            self._statement(policy, compiled)
            for policy, compiled in _about(layer, action)
            if compiled.denies
            and (policy.ref.type not in WITH_PRINCIPAL or names_caller(compiled, self.request.request, bounded=bounded))
        )

    def _each_level(self, levels: Levels | None, action: str) -> Formula:
        """Return whether each level allows. No levels allow nothing."""
        if levels is None:
            return True
        return all_of(self._allows(level, action) for level in levels) if levels else False

    def _allows(self, layer: Layer, action: str, at_least: PrincipalMatch = PrincipalMatch.ACCOUNT) -> Formula:
        """Return whether an Allow applies; in a policy with principals, one that names the caller so directly."""
        parts = []
        for policy, compiled in _about(layer, action):
            if compiled.denies:
                continue
            if policy.ref.type in WITH_PRINCIPAL:
                named = compiled.principal_match(self.request.request.principal)
                if named is None or named < at_least:
                    continue
            parts.append(self._statement(policy, compiled))
            if parts[-1] is True:
                break
        return any_of(parts)

    def _granted(self, policies: Bundle, action: str, *, is_own: bool) -> Formula:
        principal = self.request.request.principal
        by_resource = self._allows(policies.resource, action)
        if principal.type in WITHOUT_POLICIES and not principal.is_application:
            return by_resource  # E-60, E-62
        if not is_own:
            return False if by_resource is False else all_of((by_resource, self._by_caller(policies, action)))  # E-50
        by_caller = self._by_caller(policies, action)
        is_scoped = principal.type is PrincipalType.USER and policies.session is not None
        if principal.type is PrincipalType.ROOT:
            session = self._session(policies, action)
            return all_of((by_resource, session)) if policies.policy_required else session  # E-40, E-63
        direct: Formula = False if is_scoped else self._allows(policies.resource, action, PrincipalMatch.DIRECT)
        parent = self._allows(policies.resource, action, PrincipalMatch.PARENT)
        limited = all_of((parent, self._limits(policies, action)))
        delegated = all_of((by_resource, by_caller)) if policies.policy_required else by_caller
        return any_of((direct, limited, delegated))  # E-30.1 to E-30.3, E-40 to E-48

    def _by_caller(self, policies: Bundle, action: str) -> Formula:
        if self.request.request.principal.type is PrincipalType.ROOT:
            return self._session(policies, action)  # E-32, E-55
        return all_of((self._allows(policies.identity, action), self._limits(policies, action)))

    def _limits(self, policies: Bundle, action: str) -> Formula:
        boundary = True if policies.boundary is None else self._allows(policies.boundary, action)
        return all_of((boundary, self._session(policies, action)))

    def _session(self, policies: Bundle, action: str) -> Formula:
        if policies.session is None:
            return self.request.request.principal.type is not PrincipalType.FEDERATED_USER  # S-32, S-42
        return self._allows(policies.session, action)

    # --- one statement -------------------------------------------------------------------------------------------

    def _statement(self, policy: CompiledPolicy, compiled: CompiledStatement) -> Formula:
        """Return whether an Allow applies, or whether a Deny does not."""
        known = self._known.get((id(compiled), policy))
        if known is not None:
            return known
        key = compiled, self.request.arn
        result = self.results.get(key)
        if result is None or not self._are_met(result.known):
            result = self._evaluate(policy, compiled)
            if not self.request.has_read_known and not self.is_superset:
                if len(self.results) >= MAX_RESULTS:
                    self.results.clear()
                self.results[key] = result
        formula = result.formula
        attached = self.attached.get(policy)
        if attached is not None:
            formula = any_of((attached, formula)) if compiled.denies else all_of((attached, formula))
        if compiled.denies or formula is not False:
            for name in result.visited:
                self._read[name] = None
        self._known[id(compiled), policy] = formula
        self.statements.append(StatementFormula(policy, compiled.statement, formula))
        return formula

    def untranslated(
        self, statement: Statement, version: str, type: PolicyType
    ) -> Iterator[tuple[ConditionTest | None, NotFilterable]]:
        """Yield what of a statement cannot be translated: conditions, or None for the resource element."""
        wanted = statement.effect is Effect.ALLOW
        for test in statement.conditions:
            if self._is_open(test, version):
                try:
                    self.simplify(condition_formula(test, version, self.request, wanted=wanted))
                except NotFilterable as refusal:
                    yield test, refusal
        try:
            self._resources(statement, version, type, wanted=wanted)
        except NotFilterable as refusal:
            yield None, refusal

    def _evaluate(self, policy: CompiledPolicy, compiled: CompiledStatement) -> OpenResult:
        self.request.visited.clear()
        self.request.has_read_known = False
        version = policy.content.document.version
        known: list[Condition] = []
        try:
            parts = self._elements(compiled, version, policy, known)
            formula = any_of(parts) if compiled.denies else all_of(parts)
        except NotFilterable as error:
            refusal = error.of(policy.ref.name, compiled.statement.sid or str(compiled.statement.index))
            if not self.is_superset:
                raise refusal from None
            self.refusals.append(refusal)
            formula = True
        return OpenResult(formula, tuple(self.request.visited), tuple(known))

    def _are_met(self, known: tuple[Condition, ...]) -> bool:
        """Return whether conditions are met; an error is for `_elements` to judge."""
        try:
            return all(condition(self.request.request) for condition in known)
        except Exception:  # noqa: BLE001  any of a value's function
            return False

    def _elements(
        self, compiled: CompiledStatement, version: str, policy: CompiledPolicy, known: list[Condition]
    ) -> list[Formula]:
        """Return the formulas of the resource element and of the conditions; those of a Deny are negated.

        `known` gets the known conditions that are met. One that cannot be evaluated ends the statement: an Allow does
        not apply, and what follows of a Deny does not count (C-45).
        """
        wanted = not compiled.denies
        tests = []
        for test, condition in zip(compiled.statement.conditions, compiled.conditions, strict=True):
            if self._is_open(test, version):
                tests.append(test)
                continue
            try:
                is_met = condition(self.request.request)
            except Exception:  # noqa: BLE001  an error must deny
                self.request.has_read_known = True
                if wanted:
                    return [False]
                break
            if not is_met:
                self.request.has_read_known = True
                return [not wanted]
            known.append(condition)
        conditions = [condition_formula(test, version, self.request, wanted=wanted) for test in tests]
        resources = self._resources(compiled.statement, version, policy.ref.type, wanted=wanted)
        return [resources, *map(self.simplify, conditions)]

    def _is_open(self, test: ConditionTest, version: str) -> bool:
        is_open = self.request.is_open(test.key.lower())
        row = OPERATORS.get(split_operator(test.operator).base)  # `Null` has no row
        if row is not None and row.variables:
            has_open = [self.request.has_open_variable(value, version) for value in test.values]
            return is_open or any(has_open)
        return is_open

    def _resources(self, statement: Statement, version: str, type: PolicyType, *, wanted: bool) -> Formula:
        entries = statement.resources if statement.resources is not None else statement.not_resources
        if entries is None:
            return (type in RESOURCE_IS_OPTIONAL) == wanted  # M-26
        is_listed = wanted == (statement.resources is not None)
        if EVERYTHING in entries:
            return is_listed
        parts = [part for entry in entries for part in self._entry(entry, version, is_listed)]
        return any_of(parts) if is_listed else all_of(parts)

    def _entry(self, entry: str, version: str, wanted: bool) -> Iterator[Formula]:
        beginning, prefix = self.request.arn[0], literal_prefix(entry)
        if isinstance(beginning, str) and not (beginning.startswith(prefix) or prefix.startswith(beginning)):
            yield not wanted
            return
        for template in _templates(entry, version):
            for operand in filled_operands(template.pieces, self.request):
                matched = self.simplify(match(self.request.arn, operand.pattern, wanted))
                guards = [Presence(name, wanted=not wanted) for name in operand.absent]
                yield all_of((*guards, matched)) if wanted else any_of((*guards, matched))


@lru_cache(maxsize=16_384)
def _templates(entry: str, version: str) -> tuple[Template, ...]:
    return tuple(read_resource(entry, version))


def _about(layer: Layer, action: str) -> Iterator[tuple[CompiledPolicy, CompiledStatement]]:
    for policy in layer:
        for compiled in policy.content.about(action):
            yield policy, compiled
