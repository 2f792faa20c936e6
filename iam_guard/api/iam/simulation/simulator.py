"""The simulation: compiled input of a call, decided by the evaluator of real requests.

The input is compiled once into a `Simulation`; then each action is decided for each resource. The context has only the
given keys and those of the caller, as far as AWS's simulator supplies them; nothing comes from a connection or a clock.

The owner of a resource is `ResourceOwner`; else, with a resource-based policy, the account in the ARN; else the
caller's account. Without both, the question is what the caller's own policies allow: the resource is assumed to
delegate to them, even a KMS key or a role (which E-40 and E-53 would deny).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iam_guard.api.iam.entities import parsed_arn
from iam_guard.api.iam.simulation.context_entries import read_context
from iam_guard.api.iam.simulation.documents import delegating_policy, passed_policy
from iam_guard.api.iam.simulation.simulated_caller import SimulatedCaller
from iam_guard.errors import InvalidInput
from iam_guard.evaluation.bundle import Bundle
from iam_guard.evaluation.compiler import CompiledPolicy
from iam_guard.evaluation.decision_survey import Survey, survey
from iam_guard.evaluation.policy_layer import Layer
from iam_guard.model.arn import account_of, is_account_id
from iam_guard.model.context import Context, Value
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.model.request import AccessRequest

MAX_COST = 20_000_000
"""Maximum cost of one action, in characters of policy (policies times resources): one to two seconds of CPU time."""
MAX_PAGE_COST = 4_000_000
"""Maximum cost of the actions of one page; a page of several actions ends before."""
_DECISION_COST = 500
_STATEMENT_COST = 300
"""Costs of a decision and of a reported statement, as characters of policy."""
ALL_RESOURCES = ("*",)


class SimulatedRequest(AccessRequest):
    """A request with only a context: its principal supplies no keys."""

    def value(self, folded_key: str) -> Value | None:
        """Return the value of a condition key (lower case) in the context."""
        return self.context.value(folded_key)


@dataclass(frozen=True, slots=True)
class Simulation:
    """The compiled input. `owner` is the explicit owner of the resources; None if the call has none."""

    caller: SimulatedCaller
    context: Context
    policies: Bundle
    resources: tuple[str, ...]
    owner: str | None
    has_resource_policy: bool

    def survey(self, action: str, resource: str) -> Survey:
        """Decide one action on one resource."""
        owner = self._owner_of(resource)
        return survey(
            SimulatedRequest(self.caller.principal, action, resource, self.context, resource_account=owner),
            self.policies,
        )

    def crosses_accounts(self, resource: str) -> bool:
        """Return whether caller and resource belong to different accounts."""
        return self._owner_of(resource) != self.caller.principal.account

    @property
    def cost(self) -> int:
        """Return the cost of one action, in characters of policy."""
        policies = self.policies
        layers = (policies.identity, policies.resource, policies.boundary or (), *(policies.scps or ()))
        documents = [policy.content.document for layer in layers for policy in layer]
        characters = sum(len(document.text) + _STATEMENT_COST * len(document.statements) for document in documents)
        return len(self.resources) * (_DECISION_COST + characters)

    def _owner_of(self, resource: str) -> str | None:
        if self.owner is not None:
            return self.owner
        arn_account = account_of(resource) if self.has_resource_policy else None
        return arn_account or self.caller.principal.account


def build_simulation(
    parameters: Mapping[str, Any],
    caller: SimulatedCaller | None,
    *,
    fallback: SimulatedCaller,
    identity: Sequence[CompiledPolicy],
    boundary: Sequence[CompiledPolicy] | None,
    controls: Sequence[Sequence[CompiledPolicy]] | None,
) -> Simulation:
    """Build a simulation; `fallback` is the caller if the call has no `CallerArn`. Raises `InvalidInput`."""
    policy = parameters.get("ResourcePolicy")
    if policy is not None and caller is None:
        raise InvalidInput("Invalid caller - Caller cannot be null or empty.", place="CallerArn")
    simulated = caller or fallback
    resources = _resources(parameters.get("ResourceArns"), has_policy=policy is not None)
    owner = _owner(parameters.get("ResourceOwner"))
    _check_handling(parameters.get("ResourceHandlingOption"), resources)
    simulation = Simulation(
        caller=simulated,
        context=Context({**simulated.keys, **read_context(parameters.get("ContextEntries", ()))}),
        policies=Bundle(
            identity=Layer(identity),
            resource=_resource_layer(policy, owner, simulated),
            boundary=None if boundary is None else Layer(boundary),
            scps=None if controls is None else tuple(Layer(level) for level in controls),
        ),
        resources=resources,
        owner=owner,
        has_resource_policy=policy is not None,
    )
    if simulation.cost > MAX_COST:
        raise InvalidInput("The simulation is too large: pass fewer resources or shorter policies in one call.")
    return simulation


def _resource_layer(policy: str | None, owner: str | None, caller: SimulatedCaller) -> Layer:
    if policy is not None:
        ref = PolicyRef("ResourcePolicy", PolicyType.RESOURCE)
        return Layer([passed_policy(policy, ref, "Resource policy")])
    return Layer() if owner is not None else Layer([delegating_policy(str(caller.principal.account))])


# --- resources ---------------------------------------------------------------------------------------------------


def _resources(arns: Sequence[str] | None, *, has_policy: bool) -> tuple[str, ...]:
    resources = tuple(arns or ALL_RESOURCES)
    for resource in resources:
        if resource == "*" and has_policy:
            raise InvalidInput("Invalid Entity Arn: * does not clearly define entity type and name.")
        fields = resource.split(":", 5)
        is_arn = len(fields) == 6 and fields[0] == "arn" and all((fields[1], fields[2], fields[5]))
        if not is_arn and resources != ALL_RESOURCES:
            raise InvalidInput(f"ResourceNames are not in a valid ARN format: {resource}.", place="ResourceArns")
    return resources


def _owner(text: str | None) -> str | None:
    """Parse `ResourceOwner`: the ARN of an account's root user, or the account's id."""
    if text is None or is_account_id(text):
        return text
    arn = parsed_arn(text)
    if arn is None or arn.service != "iam" or not is_account_id(arn.account) or arn.resource != "root":
        raise InvalidInput(f"'{text}' is not a valid as a Resource Owner.", place="ResourceOwner")  # AWS's message
    return arn.account


_INSTANCE = ("instance", "image", "security-group", "network-interface")
HANDLING: Mapping[str, tuple[str, ...]] = {
    "EC2-VPC-InstanceStore": _INSTANCE,
    "EC2-VPC-InstanceStore-Subnet": (*_INSTANCE, "subnet"),
    "EC2-VPC-EBS": (*_INSTANCE, "volume"),
    "EC2-VPC-EBS-Subnet": (*_INSTANCE, "subnet", "volume"),
}
"""`ResourceHandlingOption` -> the resource types that the simulation must include."""


def _check_handling(option: str | None, resources: Sequence[str]) -> None:
    if option is None:
        return
    if option not in HANDLING:
        raise InvalidInput(f"Invalid input resource handling options: {option}.", place="ResourceHandlingOption")
    types = {resource.split(":", 5)[5].partition("/")[0] for resource in resources if resource != "*"}
    missing = [type for type in HANDLING[option] if type not in types]
    if types and missing:
        raise InvalidInput(
            f"Resource handling option {option} requires the resources: {', '.join(missing)}.",
            place="ResourceHandlingOption",
        )
