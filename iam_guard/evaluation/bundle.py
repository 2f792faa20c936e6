"""The compiled policies of one request, from one store state (rules E-4, F.2, T-9)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain

from iam_guard.errors import InvalidInput
from iam_guard.evaluation.compiler import CompiledPolicy, PolicySource, compile_policy
from iam_guard.evaluation.policy_layer import NO_POLICY, Layer
from iam_guard.model.decision import PolicyRef, PolicyType

Levels = tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """The policies of one decision.

    None means that the policy type does not restrict the request (rules E-14, S-42); an empty layer allows nothing.
    `scps` and `rcps` are levels, root first (rule E-12). `policy_required`: identity policies count only if the
    resource-based policy allows the account (rule E-42). `own_service`: the application declares the action's prefix,
    so RCPs apply to it (rule E-16).
    """

    identity: Layer = NO_POLICY
    resource: Layer = NO_POLICY
    boundary: Layer | None = None
    session: Layer | None = None
    scps: Levels | None = None
    rcps: Levels | None = None
    vpc_endpoint: Layer | None = None
    policy_required: bool = False
    own_service: bool = False
    layers_with_denies: Levels = field(init=False, compare=False, repr=False)
    """The `layers` with at least one Deny, in the order in which a Deny is reported (rule E-90)."""

    def __post_init__(self) -> None:
        layers_with_denies = tuple([layer for layer in self.layers if layer.has_denies])
        object.__setattr__(self, "layers_with_denies", layers_with_denies)

    def __iter__(self) -> Iterator[CompiledPolicy]:
        """Iterate over the policies of all types."""
        return chain.from_iterable(self.layers)

    @property
    def layers(self) -> Levels:
        """The layers in the order of rule E-90: SCP, RCP, resource, identity, boundary, session, VPC endpoint."""
        single = (self.resource, self.identity, self.boundary, self.session, self.vpc_endpoint)
        return (*(self.scps or ()), *(self.rcps or ()), *[layer for layer in single if layer is not None])


def bundle(
    *,
    identity: Sequence[PolicySource] = (),
    resource: PolicySource | None = None,
    permissions_boundary: PolicySource | None = None,
    session: Sequence[PolicySource] | None = None,
    scps: Sequence[Sequence[PolicySource]] | None = None,
    rcps: Sequence[Sequence[PolicySource]] | None = None,
    vpc_endpoint: PolicySource | None = None,
) -> Bundle:
    """Compile policy documents; raise `PolicyError` for an invalid one, `InvalidInput` for a wrong shape."""
    return Bundle(
        identity=_layer(identity, PolicyType.IDENTITY),
        resource=_layer(_one(resource) or (), PolicyType.RESOURCE),
        boundary=_optional(_one(permissions_boundary), PolicyType.BOUNDARY),
        session=_optional(session, PolicyType.SESSION),
        scps=_levels(scps, PolicyType.SCP),
        rcps=_levels(rcps, PolicyType.RCP),
        vpc_endpoint=_optional(_one(vpc_endpoint), PolicyType.VPC_ENDPOINT),
    )


def _one(source: PolicySource | None) -> tuple[PolicySource, ...] | None:
    return None if source is None else (source,)


def _optional(sources: Iterable[PolicySource] | None, type: PolicyType) -> Layer | None:
    return None if sources is None else _layer(sources, type)


def _layer(sources: Iterable[PolicySource], type: PolicyType, level: str = "") -> Layer:
    if not isinstance(sources, (list, tuple)):
        got = "one document" if isinstance(sources, (str, bytes)) or hasattr(sources, "keys") else "something else"
        raise InvalidInput(f"expected a list of policy documents for the {type}, got {got}")
    return Layer(compile_policy(source, _numbered(type, level, number)) for number, source in enumerate(sources, 1))


@lru_cache(maxsize=256)
def _numbered(type: PolicyType, level: str, number: int) -> PolicyRef:
    return PolicyRef(f"{type}{level} #{number}", type)


def _levels(levels: Sequence[Sequence[PolicySource]] | None, type: PolicyType) -> Levels | None:
    """Compile levels; a flat list is refused as ambiguous: it could be one level or many."""
    if levels is None:
        return None
    if not isinstance(levels, (list, tuple)):
        raise InvalidInput(f"expected a list of levels for the {type}, each a list of policy documents")
    return tuple(_layer(level, type, f" level {number}") for number, level in enumerate(levels, 1))
