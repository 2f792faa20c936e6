"""What the checks of whole stores found, as text, JSON, and findings at a place of a file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from iam_guard.analysis.access.access_answers import MatchedStatement, matched_statements
from iam_guard.analysis.checks.check_results import CheckVerdict, request_members
from iam_guard.analysis.invariants.access_survey import AccessResult
from iam_guard.analysis.invariants.invariant_checks import InvariantResult
from iam_guard.analysis.invariants.policy_places import FilePlace, PolicyPlaces
from iam_guard.analysis.invariants.store_access import StoreAccess
from iam_guard.analysis.invariants.store_comparison import NewAccess
from iam_guard.analysis.request_sentences import request_sentence
from iam_guard.analysis.sarif import FileFinding, SarifLevel, SarifRule
from iam_guard.model.decision import PolicyType
from iam_guard.policy.grammar import shown
from iam_guard.store.protocol import StoredPolicy

RULES = {
    "invariant-broken": SarifRule("A principal may do what an invariant excludes.", "error"),
    "invariant-undecided": SarifRule("It was not decided whether an invariant holds; treat it as broken.", "error"),
    "new-access": SarifRule("A change allows requests that were not allowed before.", "error"),
    "new-access-undecided": SarifRule("It was not decided whether a change adds access; treat it as if.", "error"),
}
"""The codes of findings."""
_ASSUMED = frozenset({PolicyType.IDENTITY, PolicyType.SESSION})
_ERROR: SarifLevel = "error"


def overall(verdicts: Sequence[CheckVerdict]) -> CheckVerdict:
    """Return FAIL if a verdict is, else UNKNOWN if one is, else PASS."""
    for verdict in (CheckVerdict.FAIL, CheckVerdict.UNKNOWN):
        if verdict in verdicts:
            return verdict
    return CheckVerdict.PASS


# --- one request ---------------------------------------------------------------------------------------------------


def violation_members(result: AccessResult, store: StoreAccess) -> dict[str, Any]:
    """Return a request that is allowed as JSON values: who, the request (rules N-1 to N-3), and the statements."""
    members = _members(result)
    return {
        "principal": result.caller.name,
        "kind": result.caller.kind,
        "sentence": sentence_of(result),
        "witness": {"request": members},
        "statements": [
            {
                "policyType": statement.policy_type,
                "policy": statement.policy,
                "policyArn": statement.policy_arn,
                "statementIndex": statement.statement,
                "statementId": statement.sid,
                "through": [*statement.through],
                "note": statement.note,
            }
            for statement in statements_of(result, store)
        ],
    }


def sentence_of(result: AccessResult) -> str:
    """Return the request that a result found as a sentence; without one, why that is not decided."""
    if result.found is None:
        return shown(result.problem or "")
    return shown(request_sentence(_members(result), result.found.keys))


def _members(result: AccessResult) -> dict[str, Any]:
    return {} if result.found is None else request_members(result.found.request)


def statements_of(result: AccessResult, store: StoreAccess) -> list[MatchedStatement]:
    """Return the statements that allow the request of a result."""
    if result.found is None:
        return []
    stored = store.population.principals_by_arn.get(result.caller.name)
    assumed = _ASSUMED if result.caller.is_outside else frozenset({PolicyType.SESSION})
    return [*matched_statements(result.found.decision, stored, assumed)]


def violation_lines(result: AccessResult, store: StoreAccess) -> Iterator[str]:
    """Yield a request that is allowed as text: a sentence, the statements that allow it, and the request as JSON.

    The request has the keys that the store does not have. Without one, why that is not decided.
    """
    if result.found is None:
        yield f"not decided: {sentence_of(result)}"
        return
    yield f"{sentence_of(result)}."
    yield from (f"  {shown(str(statement))}" for statement in statements_of(result, store))
    members = _members(result)
    keys = {key: value for key, value in members["context"].items() if key.lower() in result.found.keys}
    yield f"  {json.dumps({'request': {**members, 'context': keys}})}"


def place_of(result: AccessResult, places: PolicyPlaces) -> FilePlace | None:
    """Return where the first statement is that allows the request of a result; None if it is in no file."""
    caller, target = result.caller, result.target
    policies: list[StoredPolicy] = [*caller.identity, *([] if caller.boundary is None else [caller.boundary])]
    policies += [] if target is None or target.policy is None else [target.policy]
    for reason in () if result.found is None else result.found.decision.reasons:
        place = places.of(policies, reason.policy, reason.statement)
        if place is not None:
            return place
    return None


# --- invariants ----------------------------------------------------------------------------------------------------


def invariant_members(result: InvariantResult, store: StoreAccess) -> dict[str, Any]:
    """Return the result of an invariant as JSON values."""
    return {
        "name": result.invariant.name,
        "line": result.invariant.line,
        "sentence": result.invariant.sentence,
        "result": result.verdict.value,
        "violations": [violation_members(violation, store) for violation in result.violations],
        "problems": [*result.problems],
    }


def invariant_findings(result: InvariantResult, file: str) -> Iterator[FileFinding]:
    """Yield the findings of an invariant, at its place in the file of invariants."""
    invariant = result.invariant
    for violation in result.violations:
        message = f"{invariant.name}: {sentence_of(violation)}"
        yield FileFinding("invariant-broken", _ERROR, message, file, invariant.line, invariant.column)
    for problem in result.problems:
        message = f"{invariant.name}: {shown(problem)}"
        yield FileFinding("invariant-undecided", _ERROR, message, file, invariant.line, invariant.column)


# --- comparisons ---------------------------------------------------------------------------------------------------


def new_access_members(found: NewAccess, store: StoreAccess, places: PolicyPlaces) -> dict[str, Any]:
    """Return new access as JSON values."""
    place = place_of(found.result, places)
    return {
        "subject": found.subject,
        "name": found.name,
        "result": found.result.verdict.value,
        "violation": None if found.result.found is None else violation_members(found.result, store),
        "problem": found.result.problem,
        "file": None if place is None else place.file,
        "line": None if place is None else place.line,
    }


def new_access_finding(found: NewAccess, places: PolicyPlaces, file: str) -> FileFinding:
    """Return new access as a finding at the statement that allows it, else in the first line of a file."""
    place = place_of(found.result, places) or FilePlace(file)
    code = "new-access-undecided" if found.result.found is None else "new-access"
    message = f"{found.subject} {shown(found.name)}: {sentence_of(found.result)}"
    return FileFinding(code, _ERROR, message, place.file, place.line, place.column)
