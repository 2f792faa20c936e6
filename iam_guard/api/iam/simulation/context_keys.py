"""GetContextKeysForCustomPolicy, GetContextKeysForPrincipalPolicy: the condition keys that policies ask for.

Keys are those of conditions and of policy variables, each once, in the letter case of the first policy that names it,
in the order in which the policies do. Service control policies are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable

from iam_guard.api.call import Input, Output, ServiceCall
from iam_guard.api.iam.attached_policies import attached_boundary, attached_policies, the_source
from iam_guard.api.iam.simulation.documents import read_for_keys, require_readable_size, stored_policies
from iam_guard.evaluation.matching.referenced_keys import keys_of_document
from iam_guard.model.decision import PolicyType
from iam_guard.policy.document import Document


def get_context_keys_for_custom_policy(call: ServiceCall, given: Input) -> Output:
    """List the keys of policies that come with the call."""
    return _keys(_given(given))


def get_context_keys_for_principal_policy(call: ServiceCall, given: Input) -> Output:
    """List the keys of the policies that a user, group or role has, boundary included, and of others in the call."""
    source = the_source(call, given["PolicySourceArn"])
    boundary = attached_boundary(call, source)
    held = [*attached_policies(call, source), *([] if boundary is None else [boundary])]
    stored = [policy.content.document for policy in stored_policies(held, PolicyType.IDENTITY)]
    return _keys([*stored, *_given(given)])


def _given(given: Input) -> list[Document]:
    require_readable_size(given)
    return [read_for_keys(text, number) for number, text in enumerate(given.get("PolicyInputList", ()), 1)]


def _keys(documents: Iterable[Document]) -> Output:
    names: dict[str, str] = {}
    for document in documents:
        for key in keys_of_document(document):
            names.setdefault(key.lower(), key)
    return {"ContextKeyNames": list(names.values())}
