"""SimulateCustomPolicy and SimulatePrincipalPolicy: what would be decided, with which policies, and why.

The former knows nothing but what it is given. The latter takes the stored policies of a user, group or role, its
boundary and the account's service control policies too; a boundary that comes with the call takes the stored one's
place.
"""

from __future__ import annotations

from collections.abc import Sequence

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.attached_policies import attached_boundary, attached_policies, service_control_levels, the_source
from iam_guard.api.iam.simulation.documents import (
    passed_boundary,
    passed_controls,
    passed_policies,
    require_readable_size,
    stored_policies,
)
from iam_guard.api.iam.simulation.exclusions import Exclusions, read_exclusions
from iam_guard.api.iam.simulation.results import Results
from iam_guard.api.iam.simulation.simulated_caller import SimulatedCaller, caller_by_arn, nobody
from iam_guard.api.iam.simulation.simulator import MAX_READ_A_PAGE, Simulation, suppose
from iam_guard.api.paging import DEFAULT_ITEMS, page_of_rows
from iam_guard.errors import InvalidInput, ValidationError
from iam_guard.evaluation.compiler import CompiledPolicy
from iam_guard.model.decision import PolicyType
from iam_guard.store.records import Row


def simulate_custom_policy(call: ServiceCall, given: Input) -> Output:
    """Simulate policies that come with the call."""
    require_readable_size(given)
    simulation = suppose(
        given,
        caller_by_arn(given["CallerArn"]) if "CallerArn" in given else None,
        fallback=nobody(call),
        identity=passed_policies(given, "PolicyInputList"),
        boundary=passed_boundary(given),
        controls=passed_controls(given.get("OrderedOrganizationPolicyInputList", ())),
    )
    return _simulated(given, simulation)


def simulate_principal_policy(call: ServiceCall, given: Input) -> Output:
    """Simulate the policies of a user, group or role, and others that come with the call."""
    require_readable_size(given)
    source = the_source(call, given["PolicySourceArn"])
    excluded = read_exclusions(given.get("PolicyExclusionList", ()))
    stored = stored_policies(excluded.keep(attached_policies(call, source)), PolicyType.IDENTITY)
    caller = _caller(given, source)
    simulation = suppose(
        given,
        caller,
        fallback=caller,
        identity=[*stored, *passed_policies(given, "PolicyInputList")],
        boundary=passed_boundary(given) or _boundary(call, source, excluded),
        controls=_controls(call, excluded),
    )
    return _simulated(given, simulation)


def _caller(given: Input, source: Row) -> SimulatedCaller:
    """Return the caller, which is the source of the policies if nobody else is named; only of that more is known."""
    arn = given.get("CallerArn", given["PolicySourceArn"])
    return caller_by_arn(arn, unique_id=source["id"] if arn == given["PolicySourceArn"] else None)


def _boundary(call: ServiceCall, source: Row, excluded: Exclusions) -> list[CompiledPolicy] | None:
    boundary = None if excluded.boundary else attached_boundary(call, source)
    return None if boundary is None else stored_policies([boundary], PolicyType.BOUNDARY)


def _controls(call: ServiceCall, excluded: Exclusions) -> list[list[CompiledPolicy]] | None:
    levels = None if excluded.controls else service_control_levels(call)
    return None if levels is None else [stored_policies(level, PolicyType.SCP) for level in levels]


def _simulated(given: Input, simulation: Simulation) -> Output:
    """Simulate the actions of one page; a page ends early where more would take too long, as AWS's may."""
    actions: Sequence[str] = given["ActionNames"]
    for action in actions:
        if ":" not in action:
            raise InvalidInput("The action is invalid since it is missing names", place="ActionNames")
    affordable = max(MAX_READ_A_PAGE // simulation.cost, 1)
    limited = {**given, "MaxItems": min(given.get("MaxItems", DEFAULT_ITEMS), affordable)}

    def fetch(after: Sequence[str] | None, limit: int) -> list[dict[str, str]]:
        start = 0 if after is None else _number(after[0]) + 1
        return [{"number": str(start + n), "action": action} for n, action in enumerate(actions[start : start + limit])]

    try:
        page = page_of_rows(limited, ("number",), fetch)
    except ValidationError:
        raise InvalidInput("Invalid marker for pagination.", place="Marker") from None
    results = Results(simulation)
    return {"EvaluationResults": [results.of_action(row["action"]) for row in page.rows], **page.members}


def _number(text: str) -> int:
    """Read a place in the list of actions, which alone decides where the next page begins."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValidationError("Invalid Marker.", place="Marker")
    return int(text)
