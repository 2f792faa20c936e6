"""GetContextKeysForCustomPolicy, GetContextKeysForPrincipalPolicy: the condition keys that policies refer to.

Keys of conditions and of policy variables, each once, in the order and letter case of their first occurrence. Service
control policies are not included.
"""

from __future__ import annotations

from collections.abc import Iterable

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.policies.attached_policies import attached_boundary, attached_policies, load_policy_source
from iam_guard.api.iam.simulation.documents import read_for_keys, require_readable_size, stored_policies
from iam_guard.evaluation.matching.referenced_keys import distinct_keys, keys_of_document
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Document


def get_context_keys_for_custom_policy(call: ServiceCall, parameters: Input) -> Output:
    return _keys(_passed_documents(parameters))


def get_context_keys_for_principal_policy(call: ServiceCall, parameters: Input) -> Output:
    """List the keys of the policies of a user, group or role, including its boundary, and of policies in the call."""
    source = load_policy_source(call, parameters["PolicySourceArn"])
    boundary = attached_boundary(call, source)
    policies = [*attached_policies(call, source), *([] if boundary is None else [boundary])]
    stored = [policy.content.document for policy in stored_policies(policies, PolicyType.IDENTITY)]
    return _keys([*stored, *_passed_documents(parameters)])


def _passed_documents(parameters: Input) -> list[Document]:
    require_readable_size(parameters)
    return [read_for_keys(text, number) for number, text in enumerate(parameters.get("PolicyInputList", ()), 1)]


def _keys(documents: Iterable[Document]) -> Output:
    keys = distinct_keys(key for document in documents for key in keys_of_document(document))
    return {"ContextKeyNames": list(keys)}
