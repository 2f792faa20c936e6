"""SimulateCustomPolicy and SimulatePrincipalPolicy: the decision, the deciding policies and the reasons.

The former uses only the policies in the call. The latter adds the stored policies of a user, group or role, its
boundary and the account's service control policies; a boundary in the call replaces the stored one.
"""

from __future__ import annotations

from collections.abc import Sequence

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.policies.attached_policies import (
    attached_boundary,
    attached_policies,
    load_policy_source,
    service_control_levels,
)
from iam_guard.api.iam.simulation.documents import (
    passed_boundary,
    passed_controls,
    passed_policies,
    require_readable_size,
    stored_policies,
)
from iam_guard.api.iam.simulation.exclusions import Exclusions, read_exclusions
from iam_guard.api.iam.simulation.results import Results
from iam_guard.api.iam.simulation.simulated_caller import SimulatedCaller, caller_by_arn, default_caller
from iam_guard.api.iam.simulation.simulator import MAX_PAGE_COST, Simulation, build_simulation
from iam_guard.api.paging import DEFAULT_ITEMS, page_of_positions
from iam_guard.errors import InvalidInput, ValidationError
from iam_guard.evaluation.compiler import CompiledPolicy
from iam_guard.model.decision import PolicyType
from iam_guard.store.database.records import Row


def simulate_custom_policy(call: ServiceCall, parameters: Input) -> Output:
    require_readable_size(parameters)
    simulation = build_simulation(
        parameters,
        caller_by_arn(parameters["CallerArn"]) if "CallerArn" in parameters else None,
        fallback=default_caller(call),
        identity=passed_policies(parameters, "PolicyInputList"),
        boundary=passed_boundary(parameters),
        controls=passed_controls(parameters.get("OrderedOrganizationPolicyInputList", ())),
    )
    return _results(parameters, simulation)


def simulate_principal_policy(call: ServiceCall, parameters: Input) -> Output:
    """Simulate the policies of a user, group or role, and those in the call."""
    require_readable_size(parameters)
    source = load_policy_source(call, parameters["PolicySourceArn"])
    exclusions = read_exclusions(parameters.get("PolicyExclusionList", ()))
    stored = stored_policies(exclusions.keep(attached_policies(call, source)), PolicyType.IDENTITY)
    caller = _caller(parameters, source)
    simulation = build_simulation(
        parameters,
        caller,
        fallback=caller,
        identity=[*stored, *passed_policies(parameters, "PolicyInputList")],
        boundary=passed_boundary(parameters) or _boundary(call, source, exclusions),
        controls=_controls(call, exclusions),
    )
    return _results(parameters, simulation)


def _caller(parameters: Input, source: Row) -> SimulatedCaller:
    """Return the caller, by default the policy source, whose unique id is known."""
    arn = parameters.get("CallerArn", parameters["PolicySourceArn"])
    return caller_by_arn(arn, unique_id=source["id"] if arn == parameters["PolicySourceArn"] else None)


def _boundary(call: ServiceCall, source: Row, exclusions: Exclusions) -> list[CompiledPolicy] | None:
    boundary = None if exclusions.boundary else attached_boundary(call, source)
    return None if boundary is None else stored_policies([boundary], PolicyType.BOUNDARY)


def _controls(call: ServiceCall, exclusions: Exclusions) -> list[list[CompiledPolicy]] | None:
    levels = None if exclusions.controls else service_control_levels(call)
    return None if levels is None else [stored_policies(level, PolicyType.SCP) for level in levels]


def _results(parameters: Input, simulation: Simulation) -> Output:
    """Simulate the actions of one page; like AWS's, a page may end early, to limit its time."""
    actions: Sequence[str] = parameters["ActionNames"]
    for action in actions:
        if ":" not in action:
            raise InvalidInput("The action is invalid since it is missing names", place="ActionNames")
    max_actions = max(MAX_PAGE_COST // simulation.cost, 1)
    limited = {**parameters, "MaxItems": min(parameters.get("MaxItems", DEFAULT_ITEMS), max_actions)}
    try:
        page = page_of_positions(limited, actions)
    except ValidationError:
        raise InvalidInput("Invalid marker for pagination.", place="Marker") from None
    results = Results(simulation)
    return {"EvaluationResults": [results.of_action(action) for action in page.rows], **page.members}
