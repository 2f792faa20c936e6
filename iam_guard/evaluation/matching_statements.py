"""Which statement of a layer of policies speaks for a request (rules M-1, C-45, E-4)."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import NamedTuple

from iam_guard.evaluation.compiler import CompiledPolicy
from iam_guard.evaluation.matching.principal import Kinship
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.evaluation.policy_layer import Candidate, Layer
from iam_guard.model.decision import Reason
from iam_guard.model.request import AccessRequest

_log = logging.getLogger("iam_guard.evaluation")


class Hit(NamedTuple):
    """A statement that speaks, and how it names the caller (None where the policy type names nobody)."""

    candidate: Candidate
    kinship: Kinship | None = None
    note: str | None = None


def reason_of(hit: Hit) -> Reason:
    """Turn a hit into the reason that the decision carries."""
    reason = hit.candidate.reason
    return reason if hit.note is None else replace(reason, note=hit.note)


def find_deny(layer: Layer, request: AccessRequest, action: str, *, bounded: bool) -> Hit | None:
    """Find the first Deny that applies. A Deny that cannot be evaluated applies (rule C-45)."""
    for candidate in layer.denies(action, request.resource):
        hit = _deny(candidate, request, bounded)
        if hit is not None:
            return hit
    return None


def find_allow(layer: Layer, request: AccessRequest, action: str) -> Hit | None:
    """Find the Allow that names the caller most directly (rule E-22), the first of those in order."""
    best: Hit | None = None
    for candidate in layer.allows(action, request.resource):
        hit = _allow(candidate, request)
        if hit is None:
            continue
        if hit.kinship is None or hit.kinship is Kinship.DIRECT:
            return hit
        if best is None or best.kinship is None or hit.kinship > best.kinship:
            best = hit
    return best


def hit_of(
    policy: CompiledPolicy, statement: CompiledStatement, request: AccessRequest, action: str, *, bounded: bool
) -> Hit | None:
    """Return the hit of one statement of any effect; None when it does not apply."""
    if not statement.matches_action(action):
        return None
    candidate = Candidate(policy, statement)
    return _deny(candidate, request, bounded) if statement.denies else _allow(candidate, request)


def _deny(candidate: Candidate, request: AccessRequest, bounded: bool) -> Hit | None:
    statement = candidate.statement
    try:
        is_reached = not candidate.names_principals or reaches(statement, request, bounded=bounded)
        if is_reached and statement.matches_resource(request) and statement.matches_conditions(request):
            return Hit(candidate)
    except Exception as doubt:  # noqa: BLE001  doubt must become Deny; the decision says so
        return Hit(candidate, note=_doubt(candidate, doubt))
    return None


def _allow(candidate: Candidate, request: AccessRequest) -> Hit | None:
    """Return the hit of one Allow statement. One that cannot be evaluated does not apply (rule C-45)."""
    statement = candidate.statement
    kinship: Kinship | None = None
    try:
        if candidate.names_principals:
            kinship = statement.kinship(request.principal)
            if kinship is None:
                return None  # G-31
        if statement.matches_resource(request) and statement.matches_conditions(request):
            return Hit(candidate, kinship)
    except Exception as doubt:  # noqa: BLE001  doubt must become Deny
        _doubt(candidate, doubt)
    return None


def reaches(statement: CompiledStatement, request: AccessRequest, *, bounded: bool) -> bool:
    """Return whether a Deny that names principals applies to a caller with a permissions boundary (`bounded`)."""
    if bounded and statement.statement.not_principals is not None:
        return True  # E-74
    return statement.kinship(request.principal) is not None


def _doubt(candidate: Candidate, doubt: Exception) -> str:
    """Report a statement that could not be evaluated; the error's text may hold caller's values, so only its kind."""
    index, name = candidate.statement.statement.index, candidate.policy.ref.name
    _log.error("statement %d of %s could not be evaluated: %s", index, name, type(doubt).__name__)
    return f"could not be evaluated: {type(doubt).__name__}"
