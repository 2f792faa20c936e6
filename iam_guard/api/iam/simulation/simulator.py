"""A simulation: what is supposed of caller, context, policies and resources, and what our evaluator says to it.

Strategy. Everything that a call supposes is compiled once into a `Simulation`; each action is then decided for each
resource by the evaluator that decides real requests. The context is all that is known of a request: keys follow from
the caller as far as AWS's simulator lets them, and nothing is asked of a connection or a clock.

Whose the resource is: `ResourceOwner`'s; else, where a resource-based policy is given, that of the ARN's account;
else the caller's. A call that neither gives the resource's policy nor says whose it is asks what the caller's own
policies say: the resource is supposed to leave it to them, a KMS key or a role too (E-40, E-53 would deny).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iam_guard.api.iam.simulation.context_entries import read_context
from iam_guard.api.iam.simulation.documents import delegating_policy, passed_resource_policy
from iam_guard.api.iam.simulation.simulated_caller import SimulatedCaller
from iam_guard.errors import InvalidInput
from iam_guard.evaluation.bundle import Bundle
from iam_guard.evaluation.compiler import CompiledPolicy
from iam_guard.evaluation.decision_survey import Survey, survey
from iam_guard.evaluation.policy_layer import Layer
from iam_guard.model.arn import Arn, account_of, is_account_id
from iam_guard.model.context import Context, Value
from iam_guard.model.request import AccessRequest

MAX_READ = 20_000_000
"""Characters of policy that one action may read: resources, times all policies; one to two seconds of CPU time."""
MAX_READ_A_PAGE = 4_000_000
"""Characters that the actions of one page may read; a page of several actions ends before."""
_EACH_DECISION = 500
_EACH_STATEMENT = 300
"""What a decision costs, and a statement that is reported of it, as if it were so many characters of policies."""
EVERYTHING_THERE_IS = ("*",)


class SimulatedRequest(AccessRequest):
    """A request of which nothing is known but its context: its principal supplies no keys."""

    def value(self, folded_key: str) -> Value | None:
        """Return the value of a condition key (lower case), as supposed."""
        return self.context.value(folded_key)


@dataclass(frozen=True, slots=True)
class Simulation:
    """What is supposed. `owner` is the account that the call says owns the resources; None where it says nothing."""

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
        """Return whether caller and resource are of different accounts."""
        return self._owner_of(resource) != self.caller.principal.account

    @property
    def cost(self) -> int:
        """How many characters are read for one action: a statement takes as long as its lists and patterns are."""
        policies = self.policies
        layers = (policies.identity, policies.resource, policies.boundary or (), *(policies.scps or ()))
        documents = [policy.content.document for layer in layers for policy in layer]
        read = sum(len(document.text) + _EACH_STATEMENT * len(document.statements) for document in documents)
        return len(self.resources) * (_EACH_DECISION + read)

    def _owner_of(self, resource: str) -> str | None:
        if self.owner is not None:
            return self.owner
        of_arn = account_of(resource) if self.has_resource_policy else None
        return of_arn or self.caller.principal.account


def suppose(
    given: Mapping[str, Any],
    caller: SimulatedCaller | None,
    *,
    fallback: SimulatedCaller,
    identity: Sequence[CompiledPolicy],
    boundary: Sequence[CompiledPolicy] | None,
    controls: Sequence[Sequence[CompiledPolicy]] | None,
) -> Simulation:
    """Put a simulation together. `caller` is None where the call names nobody: `fallback` is supposed then.

    Raises `InvalidInput`.
    """
    policy = given.get("ResourcePolicy")
    if policy is not None and caller is None:
        raise InvalidInput("Invalid caller - Caller cannot be null or empty.", place="CallerArn")
    supposed = caller or fallback
    resources = _resources(given.get("ResourceArns"), has_policy=policy is not None)
    owner = _owner(given.get("ResourceOwner"))
    _check_handling(given.get("ResourceHandlingOption"), resources)
    simulation = Simulation(
        caller=supposed,
        context=Context({**supposed.keys, **read_context(given.get("ContextEntries", ()))}),
        policies=Bundle(
            identity=Layer(identity),
            resource=_resource_layer(policy, owner, supposed),
            boundary=None if boundary is None else Layer(boundary),
            scps=None if controls is None else tuple(Layer(level) for level in controls),
        ),
        resources=resources,
        owner=owner,
        has_resource_policy=policy is not None,
    )
    if simulation.cost > MAX_READ:
        raise InvalidInput("The simulation is too large: give fewer resources, or shorter policies, in one call.")
    return simulation


def _resource_layer(policy: str | None, owner: str | None, caller: SimulatedCaller) -> Layer:
    if policy is not None:
        return Layer([passed_resource_policy(policy)])
    return Layer() if owner is not None else Layer([delegating_policy(str(caller.principal.account))])


# --- what the resources are --------------------------------------------------------------------------------------


def _resources(arns: Sequence[str] | None, *, has_policy: bool) -> tuple[str, ...]:
    resources = tuple(arns or EVERYTHING_THERE_IS)
    for resource in resources:
        if resource == "*" and has_policy:
            raise InvalidInput("Invalid Entity Arn: * does not clearly define entity type and name.")
        if not _is_arn(resource) and resources != EVERYTHING_THERE_IS:
            raise InvalidInput(f"ResourceNames are not in a valid ARN format: {resource}.", place="ResourceArns")
    return resources


def _is_arn(resource: str) -> bool:
    fields = resource.split(":", 5)
    return len(fields) == 6 and fields[0] == "arn" and all((fields[1], fields[2], fields[5]))


def _owner(given: str | None) -> str | None:
    """Read `ResourceOwner`: the ARN of an account's root user, or the account's id."""
    if given is None or is_account_id(given):
        return given
    try:
        arn = Arn.parse(given)
    except InvalidInput:
        arn = None
    if arn is None or arn.service != "iam" or not is_account_id(arn.account) or arn.resource != "root":
        raise InvalidInput(f"'{given}' is not a valid as a Resource Owner.", place="ResourceOwner")  # AWS's own words
    return arn.account


_INSTANCE = ("instance", "image", "security-group", "network-interface")
HANDLING: Mapping[str, tuple[str, ...]] = {
    "EC2-VPC-InstanceStore": _INSTANCE,
    "EC2-VPC-InstanceStore-Subnet": (*_INSTANCE, "subnet"),
    "EC2-VPC-EBS": (*_INSTANCE, "volume"),
    "EC2-VPC-EBS-Subnet": (*_INSTANCE, "subnet", "volume"),
}
"""`ResourceHandlingOption` -> the types of resources that must be among those simulated."""


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
