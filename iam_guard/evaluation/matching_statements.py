"""Find the statements of a layer that apply to a request (rules M-1, C-45, E-4)."""

from __future__ import annotations

import logging
from dataclasses import replace

from iam_guard.evaluation.compiler import CompiledPolicy
from iam_guard.evaluation.matching.principal import PrincipalMatch
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.evaluation.policy_layer import Candidate, Hit, Layer
from iam_guard.model.request import AccessRequest

_log = logging.getLogger("iam_guard.evaluation")
_DIRECT = PrincipalMatch.DIRECT  # an attribute of an enumeration is slow in Python 3.11


def find_deny(layer: Layer, request: AccessRequest, action: str, *, bounded: bool) -> Hit | None:
    """Return the first Deny that applies. A Deny that cannot be evaluated applies (rule C-45)."""
    for candidate in layer.denies(action, request.resource):
        hit = _deny(candidate, request, bounded)
        if hit is not None:
            return hit
    return None


def find_allow(layer: Layer, request: AccessRequest, action: str) -> Hit | None:
    """Return the Allow that names the caller most directly (rule E-22); the first one if there are several."""
    best: Hit | None = None
    for candidate in layer.allows(action, request.resource):
        hit = _allow(candidate, request)
        if hit is None:
            continue
        if hit.principal_match is None or hit.principal_match is _DIRECT:
            return hit
        if best is None or best.principal_match is None or hit.principal_match > best.principal_match:
            best = hit
    return best


def hit_of(
    policy: CompiledPolicy, statement: CompiledStatement, request: AccessRequest, action: str, *, bounded: bool
) -> Hit | None:
    """Return the hit of one statement with any effect; None if it does not apply."""
    if not statement.matches_action(action):
        return None
    candidate = Candidate(policy, statement)
    return _deny(candidate, request, bounded) if statement.denies else _allow(candidate, request)


def _deny(candidate: Candidate, request: AccessRequest, bounded: bool) -> Hit | None:
    statement = candidate.statement
    try:
        is_about_caller = not candidate.names_principals or names_caller(statement, request, bounded=bounded)
        if is_about_caller and statement.matches_resource(request) and statement.matches_conditions(request):
            return candidate.hit
    except Exception as error:  # noqa: BLE001  an error must deny; the decision reports it
        return Hit(candidate, replace(candidate.reason, note=_log_error(candidate, error)))
    return None


def _allow(candidate: Candidate, request: AccessRequest) -> Hit | None:
    """Return the hit of one Allow statement. One that cannot be evaluated does not apply (rule C-45)."""
    statement = candidate.statement
    try:
        if not candidate.names_principals:
            is_hit = statement.matches_resource(request) and statement.matches_conditions(request)
            return candidate.hit if is_hit else None
        principal_match = statement.principal_match(request.principal)
        if principal_match is None:
            return None  # G-31
        if statement.matches_resource(request) and statement.matches_conditions(request):
            return Hit(candidate, candidate.reason, principal_match)
    except Exception as error:  # noqa: BLE001  an error must deny
        _log_error(candidate, error)
    return None


def names_caller(statement: CompiledStatement, request: AccessRequest, *, bounded: bool) -> bool:
    """Return whether a statement names the caller; `bounded` callers have a permissions boundary."""
    if bounded and statement.denies and statement.statement.not_principals is not None:
        return True  # E-74
    return statement.principal_match(request.principal) is not None


def _log_error(candidate: Candidate, error: Exception) -> str:
    """Log an evaluation error and return its note; only its class, because its text may contain the caller's values."""
    index, name = candidate.statement.statement.index, candidate.policy.ref.name
    _log.error("statement %d of %s could not be evaluated: %s", index, name, type(error).__name__)
    return f"could not be evaluated: {type(error).__name__}"
