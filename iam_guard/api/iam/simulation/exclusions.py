"""`PolicyExclusionList`: which of a principal's own policies a simulation leaves out.

An entry names a type of policy, a managed policy by its ARN, or an inline policy by its name and what it is within. Of
an ARN the name may have wildcards, of an inline policy the name of its holder: one `*` and any number of `?`. What
matches nothing is ignored, and so are resource control policies, which simulations do not know. Policies that come with
the call are never left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from iam_guard.api.iam.attached_policies import AttachedPolicy
from iam_guard.errors import InvalidInput
from iam_guard.evaluation.matching.pattern import Matcher, compile_glob
from iam_guard.model.arn import Arn, is_account_id
from iam_guard.store.identifiers import AWS_MANAGED

_IsLeftOut: TypeAlias = Callable[[AttachedPolicy], bool]

_OF_TYPE: Mapping[str, _IsLeftOut] = {
    "inline": lambda policy: policy.arn is None,
    "aws-managed": lambda policy: policy.is_of_aws,
    "user-managed": lambda policy: policy.arn is not None and not policy.is_of_aws,
}
"""Types of identity-based policies; `permission-boundary` and `scp` are no policies of an identity."""


@dataclass(frozen=True, slots=True)
class Exclusions:
    """What is left out. `boundary` and `controls`: the boundary, and all service control policies."""

    tests: tuple[_IsLeftOut, ...] = ()
    boundary: bool = False
    controls: bool = False

    def keep(self, policies: Iterable[AttachedPolicy]) -> list[AttachedPolicy]:
        """Return what is not left out of an identity's policies."""
        return [policy for policy in policies if not any(test(policy) for test in self.tests)]


def read_exclusions(entries: Iterable[Mapping[str, Any]]) -> Exclusions:
    """Read `PolicyExclusionList`. Raises `InvalidInput` for an entry that names nothing, or two things at once."""
    entries = list(entries)
    types = {entry["PolicyType"] for entry in entries if "PolicyType" in entry}
    return Exclusions(
        tests=tuple(_test(entry) for entry in entries), boundary="permission-boundary" in types, controls="scp" in types
    )


def _test(entry: Mapping[str, Any]) -> _IsLeftOut:
    match entry:
        case {"PolicyType": type, **others} if not others:
            return _OF_TYPE.get(type, lambda _: False)
        case {"PolicyArn": arn, **others} if not others:
            matches = _arn_pattern(arn)
            return lambda policy: policy.arn is not None and matches(policy.arn)
        case {"InlinePolicyIdentifier": inline, **others} if not others:
            return _inline_test(inline)
    raise InvalidInput(
        "A policy identifier must have exactly one of PolicyType, PolicyArn and InlinePolicyIdentifier.",
        place="PolicyExclusionList",
    )


def _inline_test(inline: Mapping[str, str]) -> _IsLeftOut:
    name, kind, is_holder = inline["PolicyName"], inline["AttachmentType"], _pattern(inline["AttachmentName"])

    def is_left_out(policy: AttachedPolicy) -> bool:
        return (
            policy.holder is not None
            and policy.name == name
            and policy.holder[0] == kind
            and is_holder(policy.holder[1])
        )

    return is_left_out


def _arn_pattern(arn: str) -> Matcher:
    try:
        parsed = Arn.parse(arn)
    except InvalidInput:
        parsed = None
    kind, _, name = (parsed.resource if parsed else "").rpartition("/")
    is_policy = (
        parsed is not None
        and parsed.service == "iam"
        and not parsed.region
        and (parsed.account == AWS_MANAGED or is_account_id(parsed.account))
        and f"{kind}/".startswith("policy/")
        and name != ""
    )
    if not is_policy or _has_wildcard(arn.removesuffix(name)):
        raise InvalidInput(f"Invalid ARN provided in the request: {arn}", place="PolicyExclusionList")
    return _pattern(arn)


def _pattern(text: str) -> Matcher:
    if text.count("*") > 1:
        raise InvalidInput(f"A policy identifier may have one `*` at most, got {text}", place="PolicyExclusionList")
    return compile_glob(text)


def _has_wildcard(text: str) -> bool:
    return "*" in text or "?" in text
