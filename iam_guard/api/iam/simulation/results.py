"""Results of a simulation: one per action, with one per resource in it, as in AWS's API reference.

An action's result is the most restrictive one of its resources, with the statements and missing keys of all of them.
Statements of service control policies are not shown, and if those deny, nothing else is: no statements, no missing
keys, no boundary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from iam_guard.api.call import Output
from iam_guard.api.iam.simulation.documents import DELEGATING
from iam_guard.api.iam.simulation.simulator import ALL_RESOURCES, Simulation
from iam_guard.api.iam.simulation.statement_positions import statement_positions
from iam_guard.evaluation.decision_survey import Survey
from iam_guard.model.decision import Outcome, PolicyType
from iam_guard.policy.document import Document, Effect

DECISIONS: Mapping[Outcome, str] = {
    Outcome.EXPLICITLY_DENIED: "explicitDeny",
    Outcome.IMPLICITLY_DENIED: "implicitDeny",
    Outcome.ALLOWED: "allowed",
}
"""AWS's names, the most restrictive first."""

SOURCES: Mapping[PolicyType, str] = {
    PolicyType.IDENTITY: "IAM Policy",
    PolicyType.RESOURCE: "Resource Policy",
    PolicyType.BOUNDARY: "Permissions Boundary Policy",
}
"""`SourcePolicyType`, and the names in `EvalDecisionDetails`, as the service returns them; its model has others."""

_RESTRICTIVE = list(DECISIONS.values())


@dataclass(frozen=True)
class Results:
    """Builds the results of one simulation."""

    simulation: Simulation
    positions: dict[int, list[Output]] = field(default_factory=dict)
    """Positions of statements, by the id of a document, which the simulation keeps alive."""

    def of_action(self, action: str) -> Output:
        """Simulate an action on all resources."""
        simulation = self.simulation
        surveys = [(resource, simulation.survey(action, resource)) for resource in simulation.resources]
        specific = [self._of_resource(resource, survey) for resource, survey in surveys]
        shown = [_is_shown(survey) for _, survey in surveys]
        names_resources = simulation.resources != ALL_RESOURCES
        return {
            "EvalActionName": action,
            "EvalResourceName": simulation.resources[0] if len(simulation.resources) == 1 else "*",
            **_combined(specific),
            "OrganizationsDecisionDetail": _organization(survey for _, survey in surveys),
            "EvalDecisionDetails": _combined_details(specific) if names_resources and any(shown) else None,
            "ResourceSpecificResults": specific if names_resources else None,
        }

    def _of_resource(self, resource: str, survey: Survey) -> Output:
        outcome = survey.decision.outcome
        crosses = self.simulation.crosses_accounts(resource)
        is_shown = _is_shown(survey)
        return {
            "EvalResourceName": resource,
            "EvalResourceDecision": DECISIONS[outcome],
            "MatchedStatements": self._statements(survey) if is_shown else [],
            "MissingContextValues": list(survey.missing_keys) if is_shown else [],
            "EvalDecisionDetails": _details(survey) if is_shown and crosses else None,
            "PermissionsBoundaryDecisionDetail": _boundary(survey) if is_shown else None,
        }

    def _statements(self, survey: Survey) -> list[Output]:
        effect = _DECIDING.get(survey.decision.outcome)
        shown = []
        for hit in survey.hits:
            policy, statement = hit.candidate.policy, hit.candidate.statement.statement
            type = policy.ref.type
            grants = effect is Effect.DENY or type is not PolicyType.BOUNDARY  # a boundary never grants
            if statement.effect is effect and grants and policy.ref.name != DELEGATING:
                positions = self._statement_positions(policy.content.document)[statement.index]
                shown.append({"SourcePolicyId": policy.ref.name, "SourcePolicyType": SOURCES[type], **positions})
        return shown

    def _statement_positions(self, document: Document) -> list[Output]:
        if id(document) not in self.positions:
            self.positions[id(document)] = statement_positions(document)
        return self.positions[id(document)]


_DECIDING = {Outcome.ALLOWED: Effect.ALLOW, Outcome.EXPLICITLY_DENIED: Effect.DENY}
"""The effect of the deciding statements; an implicit denial has none."""


def _is_shown(survey: Survey) -> bool:
    """Return whether details are shown: if the organization doesn't allow, only the decision is."""
    return survey.organization in (None, Outcome.ALLOWED)


def _details(survey: Survey) -> dict[str, str]:
    outcomes = {
        PolicyType.IDENTITY: survey.identity,
        PolicyType.RESOURCE: survey.resource,
        PolicyType.BOUNDARY: survey.boundary,
    }
    return {SOURCES[type]: DECISIONS[outcome] for type, outcome in outcomes.items() if outcome is not None}


def _boundary(survey: Survey) -> Output | None:
    if survey.boundary is None:
        return None
    return {"AllowedByPermissionsBoundary": survey.boundary is Outcome.ALLOWED}


def _organization(surveys: Iterable[Survey]) -> Output | None:
    outcomes = [survey.organization for survey in surveys if survey.organization is not None]
    if not outcomes:
        return None
    return {"AllowedByOrganizations": all(outcome is Outcome.ALLOWED for outcome in outcomes)}


# --- combined results --------------------------------------------------------------------------------------------


def _combined(specific: list[Output]) -> Output:
    decision = min((result["EvalResourceDecision"] for result in specific), key=_RESTRICTIVE.index)
    deciding = [
        result for result in specific if decision != "explicitDeny" or result["EvalResourceDecision"] == "explicitDeny"
    ]
    boundaries = [result["PermissionsBoundaryDecisionDetail"] for result in specific]
    allowed = [boundary["AllowedByPermissionsBoundary"] for boundary in boundaries if boundary is not None]
    missing = {key.lower(): key for result in reversed(specific) for key in reversed(result["MissingContextValues"])}
    return {
        "EvalDecision": decision,
        "MatchedStatements": _distinct(statement for result in deciding for statement in result["MatchedStatements"]),
        "MissingContextValues": list(reversed(missing.values())),
        "PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": all(allowed)} if allowed else None,
    }


def _distinct(statements: Iterable[Output]) -> list[Output]:
    found: dict[Any, Output] = {}
    for statement in statements:
        start = statement["StartPosition"]
        found.setdefault((statement["SourcePolicyId"], start["Line"], start["Column"]), statement)
    return list(found.values())


def _combined_details(specific: list[Output]) -> dict[str, str]:
    """Return the most restrictive decision of each policy type; empty within an account."""
    details: dict[str, str] = {}
    for result in specific:
        for type, decision in (result["EvalDecisionDetails"] or {}).items():
            details[type] = min(decision, details.get(type, decision), key=_RESTRICTIVE.index)
    return details
