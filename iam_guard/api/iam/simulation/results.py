"""What a simulation answers: a result for each action, with one for each resource in it, as in AWS's API reference.

The result of an action is the most restrictive of its resources, its statements and missing keys are theirs together.
Statements of service control policies are not shown, and where those deny, nothing else is looked at: no statements, no
missing keys, no boundary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from iam_guard.api.call import Output
from iam_guard.api.iam.simulation.documents import DELEGATING
from iam_guard.api.iam.simulation.simulator import EVERYTHING_THERE_IS, Simulation
from iam_guard.api.iam.simulation.statement_positions import Lines, spans
from iam_guard.evaluation.decision_survey import Survey
from iam_guard.model.decision import Outcome, PolicyType
from iam_guard.policy.document import Document, Effect

DECISIONS: Mapping[Outcome, str] = {
    Outcome.EXPLICITLY_DENIED: "explicitDeny",
    Outcome.IMPLICITLY_DENIED: "implicitDeny",
    Outcome.ALLOWED: "allowed",
}
"""In AWS's words, the most restrictive first."""

SOURCES: Mapping[PolicyType, str] = {
    PolicyType.IDENTITY: "IAM Policy",
    PolicyType.RESOURCE: "Resource Policy",
    PolicyType.BOUNDARY: "Permissions Boundary Policy",
}
"""`SourcePolicyType`, and the names in `EvalDecisionDetails`. The service says so; its model has other words."""

_RESTRICTIVE = list(DECISIONS.values())


class Results:
    """Makes the results of one simulation; remembers where statements stand."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._positions: dict[int, tuple[Document, list[Output]]] = {}

    def of_action(self, action: str) -> Output:
        """Simulate an action on all resources."""
        simulation = self._simulation
        surveys = [(resource, simulation.survey(action, resource)) for resource in simulation.resources]
        specific = [self._of_resource(resource, found) for resource, found in surveys]
        shown = [_is_shown(found) for _, found in surveys]
        names_resources = simulation.resources != EVERYTHING_THERE_IS
        return {
            "EvalActionName": action,
            "EvalResourceName": simulation.resources[0] if len(simulation.resources) == 1 else "*",
            **_together(specific),
            "OrganizationsDecisionDetail": _organization(found for _, found in surveys),
            "EvalDecisionDetails": _details_together(specific) if names_resources and any(shown) else None,
            "ResourceSpecificResults": specific if names_resources else None,
        }

    def _of_resource(self, resource: str, found: Survey) -> Output:
        outcome = found.decision.outcome
        crosses = self._simulation.crosses_accounts(resource)
        is_shown = _is_shown(found)
        return {
            "EvalResourceName": resource,
            "EvalResourceDecision": DECISIONS[outcome],
            "MatchedStatements": self._statements(found) if is_shown else [],
            "MissingContextValues": list(found.unanswered) if is_shown else [],
            "EvalDecisionDetails": _details(found) if is_shown and crosses else None,
            "PermissionsBoundaryDecisionDetail": _boundary(found) if is_shown else None,
        }

    def _statements(self, found: Survey) -> list[Output]:
        effect = _DECIDING.get(found.decision.outcome)
        shown = []
        for hit in found.hits:
            policy, statement = hit.candidate.policy, hit.candidate.statement.statement
            type = policy.ref.type
            grants = effect is Effect.DENY or type is not PolicyType.BOUNDARY  # a boundary never grants
            if statement.effect is effect and grants and policy.ref.name != DELEGATING:
                span = self._places(policy.content.document)[statement.index]
                shown.append({"SourcePolicyId": policy.ref.name, "SourcePolicyType": SOURCES[type], **span})
        return shown

    def _places(self, document: Document) -> list[Output]:
        known = self._positions.get(id(document))
        if known is None:
            lines = Lines(document.text)
            places = [
                {"StartPosition": lines.position(span.start), "EndPosition": lines.position(span.end)}
                for span in spans(document)
            ]
            known = self._positions[id(document)] = document, places  # kept, so that no other has its id
        return known[1]


_DECIDING = {Outcome.ALLOWED: Effect.ALLOW, Outcome.EXPLICITLY_DENIED: Effect.DENY}
"""Whose statements determine the result; of an implicit denial, nobody's."""


def _is_shown(found: Survey) -> bool:
    """Return whether anything is said but the decision: where organizations do not allow, that is all."""
    return found.organization in (None, Outcome.ALLOWED)


def _details(found: Survey) -> dict[str, str]:
    says = {
        PolicyType.IDENTITY: found.identity,
        PolicyType.RESOURCE: found.resource,
        PolicyType.BOUNDARY: found.boundary,
    }
    return {SOURCES[type]: DECISIONS[outcome] for type, outcome in says.items() if outcome is not None}


def _boundary(found: Survey) -> Output | None:
    if found.boundary is None:
        return None
    return {"AllowedByPermissionsBoundary": found.boundary is Outcome.ALLOWED}


def _organization(surveys: Iterable[Survey]) -> Output | None:
    says = [found.organization for found in surveys if found.organization is not None]
    return {"AllowedByOrganizations": all(say is Outcome.ALLOWED for say in says)} if says else None


# --- of several resources ----------------------------------------------------------------------------------------


def _together(specific: list[Output]) -> Output:
    decision = min((each["EvalResourceDecision"] for each in specific), key=_RESTRICTIVE.index)
    deciding = [
        each for each in specific if decision != "explicitDeny" or each["EvalResourceDecision"] == "explicitDeny"
    ]
    boundaries = [each["PermissionsBoundaryDecisionDetail"] for each in specific]
    given = [boundary["AllowedByPermissionsBoundary"] for boundary in boundaries if boundary is not None]
    missing = {key.lower(): key for each in reversed(specific) for key in reversed(each["MissingContextValues"])}
    return {
        "EvalDecision": decision,
        "MatchedStatements": _distinct(statement for each in deciding for statement in each["MatchedStatements"]),
        "MissingContextValues": list(reversed(missing.values())),
        "PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": all(given)} if given else None,
    }


def _distinct(statements: Iterable[Output]) -> list[Output]:
    found: dict[Any, Output] = {}
    for statement in statements:
        start = statement["StartPosition"]
        found.setdefault((statement["SourcePolicyId"], start["Line"], start["Column"]), statement)
    return list(found.values())


def _details_together(specific: list[Output]) -> dict[str, str]:
    """Return the most restrictive of each type; empty within an account."""
    together: dict[str, str] = {}
    for each in specific:
        for type, decision in (each["EvalDecisionDetails"] or {}).items():
            together[type] = min(decision, together.get(type, decision), key=_RESTRICTIVE.index)
    return together
