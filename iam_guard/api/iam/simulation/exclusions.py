"""`PolicyExclusionList`: the principal's own policies that a simulation excludes.

An entry names a policy type, a managed policy by its ARN, or an inline policy by its name and holder. The name in an
ARN and the name of an inline policy's holder may have wildcards: one `*` and any number of `?`. Entries without a match
are ignored, and so are resource control policies, which simulations don't support. Policies in the call are never
excluded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from iam_guard.api.iam.entities import parsed_arn
from iam_guard.api.iam.policies.attached_policies import AttachedPolicy
from iam_guard.errors import InvalidInput
from iam_guard.evaluation.matching.pattern import Matcher, compile_glob
from iam_guard.model.arn import is_account_id
from iam_guard.store.identifiers import AWS_MANAGED

_IsExcluded: TypeAlias = Callable[[AttachedPolicy], bool]

_BY_TYPE: Mapping[str, _IsExcluded] = {
    "inline": lambda policy: policy.arn is None,
    "aws-managed": lambda policy: policy.is_aws_managed,
    "user-managed": lambda policy: policy.arn is not None and not policy.is_aws_managed,
}
"""Types of identity-based policies; `permission-boundary` and `scp` are handled apart."""


@dataclass(frozen=True, slots=True)
class Exclusions:
    """The exclusions: predicates for an identity's policies, the boundary, and all service control policies."""

    tests: tuple[_IsExcluded, ...] = ()
    boundary: bool = False
    controls: bool = False

    def keep(self, policies: Iterable[AttachedPolicy]) -> list[AttachedPolicy]:
        """Return the policies of an identity that are not excluded."""
        return [policy for policy in policies if not any(test(policy) for test in self.tests)]


def read_exclusions(entries: Iterable[Mapping[str, Any]]) -> Exclusions:
    """Parse `PolicyExclusionList`. Raises `InvalidInput` for an entry without exactly one identifier."""
    entries = list(entries)
    types = {entry["PolicyType"] for entry in entries if "PolicyType" in entry}
    return Exclusions(
        tests=tuple(_test(entry) for entry in entries), boundary="permission-boundary" in types, controls="scp" in types
    )


def _test(entry: Mapping[str, Any]) -> _IsExcluded:
    match entry:
        case {"PolicyType": type, **rest} if not rest:
            return _BY_TYPE.get(type, lambda _: False)
        case {"PolicyArn": arn, **rest} if not rest:
            matches = _arn_pattern(arn)
            return lambda policy: policy.arn is not None and matches(policy.arn)
        case {"InlinePolicyIdentifier": inline, **rest} if not rest:
            return _inline_test(inline)
    raise InvalidInput(
        "A policy identifier must have exactly one of PolicyType, PolicyArn and InlinePolicyIdentifier.",
        place="PolicyExclusionList",
    )


def _inline_test(inline: Mapping[str, str]) -> _IsExcluded:
    name, kind, matches_holder = inline["PolicyName"], inline["AttachmentType"], _pattern(inline["AttachmentName"])

    def is_excluded(policy: AttachedPolicy) -> bool:
        return (
            policy.holder is not None
            and policy.name == name
            and policy.holder[0] == kind
            and matches_holder(policy.holder[1])
        )

    return is_excluded


def _arn_pattern(arn: str) -> Matcher:
    parsed = parsed_arn(arn)
    kind, _, name = (parsed.resource if parsed else "").rpartition("/")
    is_policy = (
        parsed is not None
        and parsed.service == "iam"
        and not parsed.region
        and (parsed.account == AWS_MANAGED or is_account_id(parsed.account))
        and f"{kind}/".startswith("policy/")
        and name != ""
    )
    if not is_policy or set(arn.removesuffix(name)) & {"*", "?"}:
        raise InvalidInput(f"Invalid ARN provided in the request: {arn}", place="PolicyExclusionList")
    return _pattern(arn)


def _pattern(text: str) -> Matcher:
    if text.count("*") > 1:
        raise InvalidInput(f"A policy identifier may have one `*` at most, got {text}", place="PolicyExclusionList")
    return compile_glob(text)
