"""Operations for analysis: simulations, context keys of policies, policies granting service access."""

from __future__ import annotations

from collections.abc import Mapping

from iam_guard.api.iam.authorization_targets import principal_target
from iam_guard.api.iam.granting_policies import list_policies_granting_service_access
from iam_guard.api.iam.simulation.context_keys import (
    get_context_keys_for_custom_policy,
    get_context_keys_for_principal_policy,
)
from iam_guard.api.iam.simulation.policy_simulator import simulate_custom_policy, simulate_principal_policy
from iam_guard.api.operation import Operation

_SOURCE = principal_target("PolicySourceArn")

ROWS: Mapping[str, Operation] = {
    "GetContextKeysForCustomPolicy": Operation(get_context_keys_for_custom_policy, reads=True),
    "GetContextKeysForPrincipalPolicy": Operation(get_context_keys_for_principal_policy, _SOURCE, reads=True),
    "ListPoliciesGrantingServiceAccess": Operation(
        list_policies_granting_service_access, principal_target("Arn"), reads=True
    ),
    "SimulateCustomPolicy": Operation(simulate_custom_policy, reads=True),
    "SimulatePrincipalPolicy": Operation(simulate_principal_policy, _SOURCE, reads=True),
}
