"""The page of the policy types, computed by the evaluator and from the tables of the policy language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from page import page, table

from iam_guard.evaluation.applicable_types import identity_exemption, rcp_exemption, scp_exemption
from iam_guard.evaluation.authorizer import compile_policies
from iam_guard.model.decision import Decision, PolicyType
from iam_guard.model.principal import Principal
from iam_guard.model.request import AccessRequest
from iam_guard.policy.grammar import USES, WITH_PRINCIPAL
from iam_guard.policy.quota import INLINE, RAW_LIMIT, SizeQuota, size_quota

ACCOUNT, OTHER_ACCOUNT = "111122223333", "444455556666"
THING = f"arn:aws:docs:us-east-1:{ACCOUNT}:thing"
USER = Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:user/ada")
SESSION_ARN = f"arn:aws:sts::{ACCOUNT}:assumed-role/ops/ada"
LINKED_ROLE = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/docs.amazonaws.com/ops"
CALLERS: Mapping[str, Principal] = {
    "IAM user": USER,
    "Role session": Principal.from_arn(SESSION_ARN),
    "Session of a service-linked role": Principal.from_arn(SESSION_ARN, role_arn=LINKED_ROLE),
    "Federated user": Principal.from_arn(f"arn:aws:sts::{ACCOUNT}:federated-user/ada"),
    "Root user": Principal.from_arn(f"arn:aws:iam::{ACCOUNT}:root"),
    "Service principal": Principal.service("events.amazonaws.com"),
    "Caller of an identity provider": Principal.federated(
        f"arn:aws:iam::{ACCOUNT}:oidc-provider/id.example.com", userid="ada", keys={}
    ),
    "Anonymous caller": Principal.anonymous(),
}
READING, ASSUMING = ("docs:Get", THING), ("sts:AssumeRole", LINKED_ROLE)
NOT_REACHED = (("kms:RetireGrant", f"arn:aws:kms:us-east-1:{ACCOUNT}:key/k"), ASSUMING, ("ec2:RunInstances", "*"))
"""Requests to which resource control policies do not apply, for any caller."""
ARGUMENTS: Mapping[PolicyType, tuple[str, int]] = {
    PolicyType.IDENTITY: ("identity", 1),
    PolicyType.RESOURCE: ("resource", 0),
    PolicyType.BOUNDARY: ("permissions_boundary", 0),
    PolicyType.SESSION: ("session", 1),
    PolicyType.SCP: ("scps", 2),
    PolicyType.RCP: ("rcps", 2),
    PolicyType.VPC_ENDPOINT: ("vpc_endpoint", 0),
    PolicyType.TRUST: ("resource", 0),
}
"""The parameter of `compile_policies` for the type, and the number of nested lists."""


def policy_types_page() -> str:
    sections = {
        "The types": "Within one account, an Allow in one type that *grants* is enough for access. The other types "
        "only limit access: if such a policy applies, it must allow the request, too. A matching Deny in any type "
        "denies the request. *Size* is the maximum number of characters without white space. A document that you save "
        f"may have at most {RAW_LIMIT:,} characters with white space.\n\n"
        + table(("Type", "Grants", "Size"), [(f"{type}", _yes(_grants(type)), _sizes(type)) for type in PolicyType]),
        "Elements": "*one of the two*: a statement has either the element or its counterpart, such as `Action` or "
        "`NotAction`. Depending on the rule, an invalid document is rejected when it is parsed, rejected when it is "
        "saved, or only reported by `check`.\n\n"
        + table(("Element", *PolicyType), [(f"`{name}`", *uses.values()) for name, uses in USES.items()]),
        "Callers": "Which types of policies apply to which caller, if there are such policies. "
        "*required*: without such a policy, the request is "
        "denied; the role trust policy is required to assume the role.\n\n"
        + table(("Caller", *PolicyType), [(who, *_weights(caller)) for who, caller in CALLERS.items()])
        + "\nReasons why a type does not apply, and further exceptions for resource control policies:\n\n"
        + "".join(f"- {reason}\n" for reason in _reasons_not_to_apply()),
        "Order of reporting": "If several types deny a request, the error message names one: the first in this table. "
        "An explicit deny comes before a missing Allow. A role trust policy has the place of the resource-based "
        "policy.\n\n" + table(("", "Explicit deny", "No Allow"), _orders()),
    }
    return page(
        "iam_guard/policy and iam_guard/evaluation",
        "Policy types",
        "The types of policies that the guard evaluates: what each may contain, and to which callers it applies. "
        "[Order of evaluation](../explanation/evaluation.md) explains how they are combined.",
        "\n".join(f"## {title}\n\n{body}" for title, body in sections.items()),
    )


def _grants(type: PolicyType) -> bool:
    """Return whether a policy of the type grants access alone, according to the evaluator."""
    action, resource = ASSUMING if type is PolicyType.TRUST else READING
    return _decided([type], "Allow", "*", AccessRequest(USER, action, resource)).allowed


def _decided(types: Iterable[PolicyType], effect: str, action: str, request: AccessRequest) -> Decision:
    """Decide with one policy of each type, about an action of every resource."""
    policies: dict[str, Any] = {}
    for type in types:
        name, lists = ARGUMENTS[type]
        policies[name] = {"Statement": {"Effect": effect, "Action": action, "Resource": "*"}}
        if type in WITH_PRINCIPAL:
            policies[name]["Statement"]["Principal"] = "*"
        for _ in range(lists):
            policies[name] = [policies[name]]
    return compile_policies(**policies).decide(request)


def _sizes(type: PolicyType) -> str:
    if type is PolicyType.IDENTITY:
        inline = [f"{_size(each)} for all inline ones of a {kind} together" for kind, each in INLINE.items()]
        return "; ".join([f"{_size(size_quota(type, managed=True))} for a managed one", *inline])
    return _size(size_quota(type))


def _size(quota: SizeQuota | None) -> str:
    return "" if quota is None else f"{quota.characters:,}{', white space counts' if quota.counts_space else ''}"


def _exemptions(caller: Principal) -> Mapping[PolicyType, str | None]:
    own = identity_exemption(caller)
    return {
        PolicyType.IDENTITY: own,
        PolicyType.BOUNDARY: own,
        PolicyType.SESSION: own,
        PolicyType.SCP: scp_exemption(caller),
        PolicyType.RCP: rcp_exemption(AccessRequest(caller, *READING), READING[0].lower(), own=True),
    }


def _weights(caller: Principal) -> list[str]:
    """Return `no`, `yes` or `required` for each type; for the last, the evaluator decides without the type."""
    exemptions = _exemptions(caller)
    asked = [AccessRequest(caller, action, resource) for action, resource in (READING, ASSUMING)]
    owed = {
        reason.policy_type
        for decision in (_decided([PolicyType.IDENTITY], "Allow", "*", request) for request in asked)
        for reason in decision.reasons
        if not decision.allowed
    }
    return ["no" if exemptions.get(type) else "required" if type in owed else "yes" for type in PolicyType]


def _reasons_not_to_apply() -> Sequence[str]:
    """Return each reason once: those of a caller, then those of a request."""
    of_callers = [reason for caller in CALLERS.values() for reason in _exemptions(caller).values()]
    requests = [AccessRequest(USER, action, resource) for action, resource in NOT_REACHED]
    of_requests = [rcp_exemption(request, request.action.lower(), own=False) for request in requests]
    return list(dict.fromkeys(reason for reason in (*of_callers, *of_requests) if reason))


def _orders() -> Iterable[tuple[str, str, str]]:
    """Return the order of reporting, for a resource of another account, where the types of both sides must allow."""
    request = AccessRequest(USER, *READING, {}, OTHER_ACCOUNT)
    left: list[PolicyType] = [type for type in PolicyType if type is not PolicyType.TRUST]
    lacking = _decided(left, "Allow", "docs:Put", request).reasons
    for number, reason in enumerate(lacking, 1):
        first = _decided(left, "Deny", "*", request).reasons[0].policy_type
        left.remove(first)
        yield str(number), first, reason.policy_type


def _yes(is_so: bool) -> str:
    return "yes" if is_so else ""
