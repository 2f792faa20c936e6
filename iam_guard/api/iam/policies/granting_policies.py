"""ListPoliciesGrantingServiceAccess: the policies of a user, group or role that allow actions of a service.

Only permissions policies count, each by itself, without the denials of other policies and without boundaries.
"""

from __future__ import annotations

from iam_guard.analysis.allowed_services import reached_services
from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.policies.attached_policies import AttachedPolicy, attached_policies, load_policy_source
from iam_guard.api.iam.simulation.documents import stored_policies
from iam_guard.api.paging import page_of_positions
from iam_guard.model.decision import PolicyType


def list_policies_granting_service_access(call: ServiceCall, parameters: Input) -> Output:
    """List the granting policies per service, in the requested order, managed policies before inline ones."""
    policies = sorted(
        attached_policies(call, load_policy_source(call, parameters["Arn"])), key=lambda policy: policy.arn is None
    )
    documents = [policy.content.document for policy in stored_policies(policies, PolicyType.IDENTITY)]
    page = page_of_positions(parameters, list(dict.fromkeys(parameters["ServiceNamespaces"])))
    entries = [
        {
            "ServiceNamespace": namespace,
            "Policies": [
                _describe(policy)
                for policy, document in zip(policies, documents, strict=True)
                if namespace.lower() in reached_services([document], frozenset({namespace.lower()}))
            ],
        }
        for namespace in page.rows
    ]
    return {"PoliciesGrantingServiceAccess": entries, **page.members}


def _describe(policy: AttachedPolicy) -> Output:
    if policy.holder is None:
        return {"PolicyName": policy.name, "PolicyType": "MANAGED", "PolicyArn": policy.arn}
    kind, name = policy.holder
    return {"PolicyName": policy.name, "PolicyType": "INLINE", "EntityType": kind.upper(), "EntityName": name}
