"""A decision, the outcome of each policy type on its own, and the condition keys that the request lacks.

For policy simulations. The outcome is the evaluator's, and `matching_statements` decides whether a statement applies. A
statement is a candidate if everything matches except what depends on a missing key. Rules E-2, E-12, F, V-9.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from iam_guard.evaluation.applicable_types import applicable_policies, is_bounded
from iam_guard.evaluation.bundle import Bundle, Levels
from iam_guard.evaluation.evaluator import decide
from iam_guard.evaluation.matching.pattern import Wildcard, match_pattern
from iam_guard.evaluation.matching.referenced_keys import distinct_keys, keys_of_conditions, keys_of_resource
from iam_guard.evaluation.matching.resource import EVERYTHING, read_resource
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.evaluation.matching.variables import NoValue, Template, TemplatePiece, Variable, join
from iam_guard.evaluation.matching_statements import find_allow, find_deny, hit_of, names_caller
from iam_guard.evaluation.policy_layer import Hit, Layer
from iam_guard.model.decision import Decision, Outcome
from iam_guard.model.request import AccessRequest
from iam_guard.policy.grammar import WITH_PRINCIPAL


@dataclass(frozen=True, slots=True)
class Survey:
    """The result of a survey.

    `identity`, `resource`, `boundary` and `organization` (the service control policies) are the outcomes of each type
    on its own; None for a type without policies. `hits` are the statements of identity-based, resource-based and
    boundary policies that apply. `missing_keys` are the keys that candidates among these statements use and the request
    lacks, each once, in the spelling of the first policy that names it.
    """

    decision: Decision
    identity: Outcome
    resource: Outcome
    boundary: Outcome | None
    organization: Outcome | None
    hits: tuple[Hit, ...] = ()
    missing_keys: tuple[str, ...] = ()


def survey(request: AccessRequest, policies: Bundle) -> Survey:
    """Decide a request, and evaluate each policy type on its own; never raises for a denial."""
    decision = decide(request, policies)
    denied = Outcome.IMPLICITLY_DENIED
    action = request.action.lower()
    policies = applicable_policies(request, action, policies)
    if decision.error is not None:  # the request is invalid: no statement is evaluated
        return Survey(
            decision,
            denied,
            denied,
            None if policies.boundary is None else denied,
            None if policies.scps is None else denied,
        )
    bounded = is_bounded(request, policies)

    def outcome_of(levels: Levels) -> Outcome:
        return _outcome(levels, request, action, bounded=bounded)

    layers = [policies.identity, policies.resource, *(() if policies.boundary is None else (policies.boundary,))]
    return Survey(
        decision,
        identity=outcome_of((policies.identity,)),
        resource=outcome_of((policies.resource,)),
        boundary=None if policies.boundary is None else outcome_of((policies.boundary,)),
        organization=None if policies.scps is None else outcome_of(policies.scps),
        hits=tuple(hit for layer in layers for hit in _hits(layer, request, action, bounded)),
        missing_keys=distinct_keys(key for layer in layers for key in _unanswered(layer, request, action, bounded)),
    )


def _outcome(levels: Levels, request: AccessRequest, action: str, *, bounded: bool) -> Outcome:
    """Return the outcome of one policy type on its own: a Deny anywhere, or an Allow at each level (E-12)."""
    if any(find_deny(layer, request, action, bounded=bounded) is not None for layer in levels):
        return Outcome.EXPLICITLY_DENIED
    if levels and all(find_allow(layer, request, action) is not None for layer in levels):
        return Outcome.ALLOWED
    return Outcome.IMPLICITLY_DENIED


def _hits(layer: Layer, request: AccessRequest, action: str, bounded: bool) -> Iterator[Hit]:
    for candidate in (*layer.denies(action, request.resource), *layer.allows(action, request.resource)):
        hit = hit_of(candidate.policy, candidate.statement, request, action, bounded=bounded)
        if hit is not None:
            yield hit


# --- keys that the request lacks ---------------------------------------------------------------------------------


def _unanswered(layer: Layer, request: AccessRequest, action: str, bounded: bool) -> Iterator[str]:
    for policy in layer:
        version, names_principals = policy.content.document.version, policy.ref.type in WITH_PRINCIPAL
        for compiled in policy.content.about(action):
            if names_principals and not names_caller(compiled, request, bounded=bounded):
                continue
            open_entries = [entry for entry in _entries(compiled) if _could_match(entry, version, request)]
            if not open_entries and not compiled.matches_resource(request):
                continue
            for entry in open_entries:
                yield from _missing(keys_of_resource(entry, version), request)
            yield from _missing(keys_of_conditions(compiled.statement, version), request)


def _entries(compiled: CompiledStatement) -> tuple[str, ...]:
    statement = compiled.statement
    return (*(statement.resources or ()), *(statement.not_resources or ()))


def _could_match(entry: str, version: str, request: AccessRequest) -> bool:
    """Return whether an entry lacks keys, and matches the resource for some values of these."""
    if request.resource == EVERYTHING or not any(_missing(keys_of_resource(entry, version), request)):
        return False
    return any(_matches_when_open(template, request) for template in read_resource(entry, version))


def _matches_when_open(template: Template, request: AccessRequest) -> bool:
    """Match with a `*` in place of each missing key."""
    pattern = join(_open(piece, request) for piece in template.pieces).pattern
    return pattern is not None and match_pattern(pattern, request.resource)


def _open(piece: TemplatePiece, request: AccessRequest) -> TemplatePiece:
    if not isinstance(piece, Variable):
        return piece
    if request.value(piece.key) is None:
        return Wildcard.RUN
    return piece.value(request) or NoValue(piece.key)  # V-16: a list or an empty string counts as no value


def _missing(keys: Iterator[str] | list[str], request: AccessRequest) -> Iterator[str]:
    return (key for key in keys if request.value(key.lower()) in (None, ()))  # N-10: an empty list is an absent key
