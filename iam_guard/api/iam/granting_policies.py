"""ListPoliciesGrantingServiceAccess: which policies of a user, group or role let it use a service.

Permissions policies alone are looked at, each by itself: what another policy denies, and boundaries, play no part. Must
not live here: when a policy reaches a service (`allowed_services`).
"""

from __future__ import annotations

from iam_guard.analysis.allowed_services import reached_services
from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.attached_policies import AttachedPolicy, attached_policies, the_source
from iam_guard.api.iam.simulation.documents import stored_policies
from iam_guard.api.paging import page_of_list
from iam_guard.model.decision import PolicyType


def list_policies_granting_service_access(call: ServiceCall, given: Input) -> Output:
    """List, for each service in the order they are asked for, managed policies before those within an entity."""
    held = sorted(attached_policies(call, the_source(call, given["Arn"])), key=lambda policy: policy.arn is None)
    documents = [policy.content.document for policy in stored_policies(held, PolicyType.IDENTITY)]
    namespaces = list(dict.fromkeys(given["ServiceNamespaces"]))
    page = page_of_list(given, enumerate(namespaces), lambda item: [f"{item[0]:03}"])
    entries = [
        {
            "ServiceNamespace": namespace,
            "Policies": [
                _described(policy)
                for policy, document in zip(held, documents, strict=True)
                if namespace.lower() in reached_services([document], frozenset({namespace.lower()}))
            ],
        }
        for _, namespace in page.rows
    ]
    return {"PoliciesGrantingServiceAccess": entries, **page.members}


def _described(policy: AttachedPolicy) -> Output:
    if policy.holder is None:
        return {"PolicyName": policy.name, "PolicyType": "MANAGED", "PolicyArn": policy.arn}
    kind, name = policy.holder
    return {"PolicyName": policy.name, "PolicyType": "INLINE", "EntityType": kind.upper(), "EntityName": name}
