"""The policies of a simulation, compiled: those that come with the call, and those that are stored.

What comes with a call is compiled for that call alone: remembering it would let callers fill the memory. Must not live
here: finding stored policies (`attached_policies`), deciding (`simulator`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from iam_guard.api.iam.attached_policies import AttachedPolicy
from iam_guard.api.iam.iam_errors import PolicyEvaluation
from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.evaluation.compiler import CompiledDocument, CompiledPolicy, compile_policy
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.policy.document import Document
from iam_guard.policy.parser import parse, read

MAX_CHARACTERS = 4 * 1024 * 1024
"""Of all policies that come with a call: 32 of the longest."""


def passed_policies(given: Mapping[str, Any], member: str) -> list[CompiledPolicy]:
    """Compile `PolicyInputList` or `PermissionsBoundaryPolicyInputList`. Raises `InvalidInput`."""
    type, words = _MEMBERS[member]
    return [
        _compiled(text, PolicyRef(f"{member}.{number}", type), f"{words} {number}")
        for number, text in enumerate(given.get(member, ()), 1)
    ]


_MEMBERS = {
    "PolicyInputList": (PolicyType.IDENTITY, "Policy input list item"),
    "PermissionsBoundaryPolicyInputList": (PolicyType.BOUNDARY, "Permissions boundary policy input list item"),
}


def passed_boundary(given: Mapping[str, Any]) -> list[CompiledPolicy] | None:
    """Compile the boundary that comes with a call; None where none does. Raises `InvalidInput`, also for a second."""
    boundaries = passed_policies(given, "PermissionsBoundaryPolicyInputList")
    if len(boundaries) > 1:
        raise InvalidInput("The list of Permissions Boundary policies cannot exceed 1 items.")
    return boundaries or None


def passed_resource_policy(text: str) -> CompiledPolicy:
    """Compile `ResourcePolicy`. Raises `InvalidInput`."""
    return _compiled(text, PolicyRef("ResourcePolicy", PolicyType.RESOURCE), "Resource policy")


def passed_controls(levels: Sequence[Mapping[str, Any]]) -> list[list[CompiledPolicy]] | None:
    """Compile `OrderedOrganizationPolicyInputList`; None for no level. Raises `InvalidInput`, for an empty one too."""
    compiled = []
    for number, level in enumerate(levels, 1):
        texts = level.get("ServiceControlPolicyInputList", ())
        if not texts:
            raise InvalidInput(
                f"Organization policy at index {number} must contain at least one service control policy"
            )
        ref = PolicyRef(f"OrderedOrganizationPolicyInputList.{number}", PolicyType.SCP)
        compiled.append([_compiled(text, ref, f"Organization policy at index {number}") for text in texts])
    return compiled or None


def require_readable_size(given: Mapping[str, Any]) -> None:
    """Raise `InvalidInput` when the policies that come with a call are too long together."""
    texts = [text for member in _MEMBERS for text in given.get(member, ())]
    texts += [given.get("ResourcePolicy", "")]
    for level in given.get("OrderedOrganizationPolicyInputList", ()):
        texts += level.get("ServiceControlPolicyInputList", ())
    if sum(map(len, texts)) > MAX_CHARACTERS:
        raise InvalidInput(f"The policies of one call may have {MAX_CHARACTERS} characters together.")


def stored_policies(held: Iterable[AttachedPolicy], type: PolicyType) -> list[CompiledPolicy]:
    """Compile stored policies. Raises `PolicyEvaluation` for one that cannot be read."""
    try:
        return [compile_policy(policy.text, PolicyRef(policy.id, type, policy.arn)) for policy in held]
    except PolicyError as error:
        raise PolicyEvaluation(f"a stored policy could not be evaluated: {error}") from error


def delegating_policy(account: str) -> CompiledPolicy:
    """Return the resource-based policy that leaves everything to an account's own policies (rule E-30.3)."""
    statement = {"Effect": "Allow", "Principal": {"AWS": account}, "Action": "*"}
    return compile_policy({"Statement": [statement]}, PolicyRef(DELEGATING, PolicyType.RESOURCE))


DELEGATING = "delegation"
"""The name of the policy that stands in where a call says nothing of the resource's own."""


def read_for_keys(text: str, number: int) -> Document:
    """Read a document of any type for the keys in it. Raises `InvalidInput` for what is none."""
    try:
        return read(text, PolicyType.RESOURCE).document
    except PolicyError as error:
        raise _unreadable(f"Policy input list item {number}", error) from None


def _compiled(text: str, ref: PolicyRef, words: str) -> CompiledPolicy:
    try:
        return CompiledPolicy(ref, CompiledDocument(parse(text, ref.type)))
    except PolicyError as error:
        raise _unreadable(words, error) from None


def _unreadable(words: str, error: PolicyError) -> InvalidInput:
    return InvalidInput(f"{words} has invalid content: {error}")
