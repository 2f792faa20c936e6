"""Which statement of a layer of policies speaks for a request (rules M-1, C-45, E-4).

Must not live here: what follows from it (`evaluate`, `grants`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from iam_guard.evaluation.bundle import Layer
from iam_guard.evaluation.compile import CompiledPolicy
from iam_guard.matching.principal import Kinship
from iam_guard.matching.statement import CompiledStatement
from iam_guard.model.decision import PolicyType, Reason
from iam_guard.model.request import AccessRequest

_PRINCIPAL_TYPES = {PolicyType.RESOURCE, PolicyType.TRUST, PolicyType.RCP, PolicyType.VPC_ENDPOINT}
"""Policy types whose statements say whom they are about; a statement of theirs without a principal is about nobody."""

_log = logging.getLogger("iam_guard.evaluation")


@dataclass(frozen=True, slots=True)
class Hit:
    """A statement that speaks, its policy, and how it names the caller (None where the type names nobody)."""

    policy: CompiledPolicy
    statement: CompiledStatement
    kinship: Kinship | None = None
    note: str | None = None


def reason_of(hit: Hit) -> Reason:
    """Turn a hit into the reason that the decision carries."""
    statement = hit.statement.statement
    return Reason(
        policy_type=hit.policy.ref.type,
        effect=statement.effect.value,
        policy=hit.policy.ref,
        statement=statement.index,
        sid=statement.sid,
        line=None if statement.position is None else statement.position.line,
        note=hit.note,
    )


def find_deny(layer: Layer, request: AccessRequest, action: str, *, bounded: bool) -> Hit | None:
    """Find the first Deny that applies. A Deny that cannot be evaluated applies (rule C-45)."""
    for policy in layer:
        for statement in policy.content.candidates(action).denies:
            hit = _deny(policy, statement, request, bounded)
            if hit is not None:
                return hit
    return None


def find_allow(layer: Layer, request: AccessRequest, action: str) -> Hit | None:
    """Find the Allow that names the caller most directly (rule E-22), the first of those in order."""
    best: Hit | None = None
    for policy in layer:
        names_principals = policy.ref.type in _PRINCIPAL_TYPES
        for statement in policy.content.candidates(action).allows:
            hit = _allow(policy, statement, request, names_principals)
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
    """Give the hit of one statement of any effect; None when it does not apply."""
    if not statement.matches_action(action):
        return None
    if statement.denies:
        return _deny(policy, statement, request, bounded)
    return _allow(policy, statement, request, policy.ref.type in _PRINCIPAL_TYPES)


def _deny(policy: CompiledPolicy, statement: CompiledStatement, request: AccessRequest, bounded: bool) -> Hit | None:
    try:
        is_reached = reaches(policy, statement, request, bounded=bounded)
        return Hit(policy, statement) if is_reached and _applies(statement, request) else None
    except Exception as doubt:  # noqa: BLE001  doubt must become Deny; the decision says so
        return Hit(policy, statement, note=_doubt(policy, statement, doubt))


def _allow(
    policy: CompiledPolicy, statement: CompiledStatement, request: AccessRequest, names_principals: bool
) -> Hit | None:
    """Give the hit of one Allow statement. One that cannot be evaluated does not apply (rule C-45)."""
    try:
        kinship = statement.kinship(request.principal) if names_principals else None
        if names_principals and kinship is None:
            return None  # G-31
        return Hit(policy, statement, kinship) if _applies(statement, request) else None
    except Exception as doubt:  # noqa: BLE001  doubt must become Deny
        _doubt(policy, statement, doubt)
        return None


def _applies(statement: CompiledStatement, request: AccessRequest) -> bool:
    return statement.matches_resource(request) and statement.matches_conditions(request)


def reaches(policy: CompiledPolicy, statement: CompiledStatement, request: AccessRequest, *, bounded: bool) -> bool:
    """Tell whether a Deny is about this caller, who has a permissions boundary when `bounded`."""
    if policy.ref.type not in _PRINCIPAL_TYPES:
        return True
    if bounded and statement.statement.not_principals is not None:
        return True  # E-74
    return statement.kinship(request.principal) is not None


def _doubt(policy: CompiledPolicy, statement: CompiledStatement, doubt: Exception) -> str:
    """Report a statement that could not be evaluated; the error's text may hold caller's values, so only its kind."""
    index = statement.statement.index
    _log.error("statement %d of %s could not be evaluated: %s", index, policy.ref.name, type(doubt).__name__)
    return f"could not be evaluated: {type(doubt).__name__}"
