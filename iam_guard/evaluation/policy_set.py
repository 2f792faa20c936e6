"""The identity of the policies of one decision: their digest, and what else is needed to decide again."""

from __future__ import annotations

import hashlib

from iam_guard.evaluation.bundle import Bundle, Levels
from iam_guard.evaluation.policy_layer import Layer
from iam_guard.model.decision import PolicySet


def policy_set(policies: Bundle) -> PolicySet:
    """Return the identity of the policies. Order within a layer does not count; None differs from an empty layer."""
    written = ";".join(
        (
            f"scps={_levels(policies.scps)}",
            f"rcps={_levels(policies.rcps)}",
            f"resource={_layer(policies.resource)}",
            f"identity={_layer(policies.identity)}",
            f"boundary={_layer(policies.boundary)}",
            f"session={_layer(policies.session)}",
            f"vpc_endpoint={_layer(policies.vpc_endpoint)}",
        )
    )
    return PolicySet(
        digest=hashlib.sha256(written.encode()).hexdigest(),
        sessions=0 if policies.session is None else len(policies.session),
        given=any(policy.ref.digest is None for policy in policies.resource),  # policies of a store have a digest
        policy_required=policies.policy_required,
        own_service=policies.own_service,
    )


def _levels(levels: Levels | None) -> str:
    return "none" if levels is None else "/".join(map(_layer, levels))


def _layer(layer: Layer | None) -> str:
    return "none" if layer is None else ",".join(sorted(policy.content.document.digest for policy in layer))
