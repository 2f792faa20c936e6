"""The compiled policies of a simulation: those in the call, and stored ones.

Policies in a call are compiled for that call only, since caching them would let callers fill the memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from iam_guard.api.iam.policies.attached_policies import AttachedPolicy
from iam_guard.api.service_errors import PolicyEvaluation
from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.evaluation.compiler import CompiledDocument, CompiledPolicy, compile_policy
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.policy.document import Document
from iam_guard.policy.parser import parse, read

MAX_CHARACTERS = 4 * 1024 * 1024
"""Of all policies in one call: 32 of maximum length."""


def passed_policies(parameters: Mapping[str, Any], member: str) -> list[CompiledPolicy]:
    """Compile `PolicyInputList` or `PermissionsBoundaryPolicyInputList`. Raises `InvalidInput`."""
    type, label = _MEMBERS[member]
    return [
        passed_policy(text, PolicyRef(f"{member}.{number}", type), f"{label} {number}")
        for number, text in enumerate(parameters.get(member, ()), 1)
    ]


_MEMBERS = {
    "PolicyInputList": (PolicyType.IDENTITY, "Policy input list item"),
    "PermissionsBoundaryPolicyInputList": (PolicyType.BOUNDARY, "Permissions boundary policy input list item"),
}


def passed_boundary(parameters: Mapping[str, Any]) -> list[CompiledPolicy] | None:
    """Compile the boundary in a call; None if it has none. Raises `InvalidInput`, also for more than one."""
    boundaries = passed_policies(parameters, "PermissionsBoundaryPolicyInputList")
    if len(boundaries) > 1:
        raise InvalidInput("The list of Permissions Boundary policies cannot exceed 1 items.")
    return boundaries or None


def passed_controls(levels: Sequence[Mapping[str, Any]]) -> list[list[CompiledPolicy]] | None:
    """Compile `OrderedOrganizationPolicyInputList`; None if empty. Raises `InvalidInput`, also for an empty level."""
    compiled = []
    for number, level in enumerate(levels, 1):
        texts = level.get("ServiceControlPolicyInputList", ())
        if not texts:
            raise InvalidInput(
                f"Organization policy at index {number} must contain at least one service control policy"
            )
        ref = PolicyRef(f"OrderedOrganizationPolicyInputList.{number}", PolicyType.SCP)
        compiled.append([passed_policy(text, ref, f"Organization policy at index {number}") for text in texts])
    return compiled or None


def require_readable_size(parameters: Mapping[str, Any]) -> None:
    """Raise `InvalidInput` if the policies in a call are too long together."""
    texts = [text for member in _MEMBERS for text in parameters.get(member, ())]
    texts += [parameters.get("ResourcePolicy", "")]
    for level in parameters.get("OrderedOrganizationPolicyInputList", ()):
        texts += level.get("ServiceControlPolicyInputList", ())
    if sum(map(len, texts)) > MAX_CHARACTERS:
        raise InvalidInput(f"The policies of one call may have {MAX_CHARACTERS} characters together.")


def stored_policies(policies: Iterable[AttachedPolicy], type: PolicyType) -> list[CompiledPolicy]:
    """Compile stored policies. Raises `PolicyEvaluation` for an invalid one."""
    try:
        return [compile_policy(policy.text, PolicyRef(policy.id, type, policy.arn)) for policy in policies]
    except PolicyError as error:
        raise PolicyEvaluation(f"a stored policy could not be evaluated: {error}") from error


def delegating_policy(account: str) -> CompiledPolicy:
    """Return a resource-based policy that delegates to the account's own policies (E-30.3)."""
    statement = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "*"}
    return compile_policy({"Statement": [statement]}, PolicyRef(DELEGATING, PolicyType.RESOURCE))


DELEGATING = "delegation"
"""The name of the policy that replaces a missing resource policy."""


def read_for_keys(text: str, number: int) -> Document:
    """Parse a document of any type for its keys. Raises `InvalidInput`."""
    try:
        return read(text, PolicyType.RESOURCE).document
    except PolicyError as error:
        raise _unreadable(f"Policy input list item {number}", error) from None


def passed_policy(text: str, ref: PolicyRef, label: str) -> CompiledPolicy:
    """Compile a policy in a call. Raises `InvalidInput`, with its label."""
    try:
        return CompiledPolicy(ref, CompiledDocument(parse(text, ref.type)))
    except PolicyError as error:
        raise _unreadable(label, error) from None


def _unreadable(label: str, error: PolicyError) -> InvalidInput:
    return InvalidInput(f"{label} has invalid content: {error}")
