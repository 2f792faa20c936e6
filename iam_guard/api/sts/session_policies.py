"""Session policies: the inline document of a call, and the managed policies that it names (G-30, G-73, S-41).

The default versions of managed policies are frozen in the session.
"""

from __future__ import annotations

from collections.abc import Sequence

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.iam.entities import find_policy
from iam_guard.api.service_errors import PackedPolicyTooLarge
from iam_guard.errors import ValidationError
from iam_guard.model.decision import PolicyType
from iam_guard.policy.quota import SESSION
from iam_guard.policy.saving import validate_for_write
from iam_guard.store.schema import policy_versions

MAX_MANAGED = 10


def requested_policies(call: ServiceCall, parameters: Input) -> tuple[str, ...] | None:
    """Return the documents of the requested session policies; None if there are none.

    Managed policies are those of `call.account`. Raises `PolicyError`, `PackedPolicyTooLarge`, `ValidationError`.
    """
    inline: str | None = parameters.get("Policy")
    arns = _policy_arns(parameters)
    if inline is None and not arns:
        return None
    size = SESSION.size(inline or "") + sum(map(len, arns))
    if size > SESSION.characters:
        percent = -(-100 * size // SESSION.characters)
        raise PackedPolicyTooLarge(f"Packed policy consumes {percent}% of allotted space, please use smaller policy.")
    texts = [] if inline is None else [validate_for_write(inline, PolicyType.SESSION, partition=call.partition).text]
    return (*texts, *(default_text(call, arn) for arn in arns))


def _policy_arns(parameters: Input) -> Sequence[str]:
    arns = list(dict.fromkeys(descriptor.get("arn", "") for descriptor in parameters.get("PolicyArns", ())))
    if len(arns) > MAX_MANAGED:
        raise ValidationError(
            "1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length "
            f"less than or equal to {MAX_MANAGED}"
        )
    return arns


def default_text(call: ServiceCall, arn: str) -> str:
    """Return the default version's document of a managed policy. Raises `ValidationError`."""
    row = find_policy(call, arn)
    version = row and call.records.one(policy_versions, policy_id=row["id"], version=row["default_version"])
    if not version:
        raise ValidationError(f"Policy {arn} does not exist or is not attachable.", place="PolicyArns")
    text: str = version["text"]
    return text
