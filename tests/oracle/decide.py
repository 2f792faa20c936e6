"""Evaluate all policies of a case into one decision (F.2 to F.9).

The documents are parsed first: one that is refused makes the case an `error`, for any caller (N-9). Then each policy
type that applies to the caller (F.2) is evaluated: does one of its statements deny, does one allow? The rules of F.4 to
F.7 combine the results.

Interpretations where the rules are open; the other modules list those of their own rules:
- N-5: an identity policy, boundary or session policy of a caller without these types (F.2) is ignored, and so is a
  boundary or session policy of a service-linked role session.
- A session list that is empty is a session policy that allows nothing; only `null` is "none passed" (N-4).
- A level list that is empty is a level without an Allow (E-12); an empty list of levels is no constraint.
- The owner in a case without `resource_account` is the account of the ARN (E-54), and if that is empty, the caller's.
- E-66 includes service principals in the authenticated callers, and an invalid document is still an `error`.
- E-48 limits every DIRECT and PARENT trust by the boundary, for role sessions too; a DIRECT trust is not limited by
  session policies (E-30.1).
- E-55: root across accounts needs any match in the other account's resource policy; SCP and RCP still apply.
- A statement of an RCP or VPC endpoint policy without a principal element matches no caller (G-31).
- E-11: for an unsupported service the Allow of a resource control policy is not required.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .context import Request, read_request
from .language import DuplicateKeys, Kind, Refused, Statement, read_document
from .principals import Match, principal_match
from .services import is_kms_key_request, is_trust_request, rcp_supports
from .statements import statement_matches

ALLOWED = "Allowed"
EXPLICITLY_DENIED = "ExplicitlyDenied"
IMPLICITLY_DENIED = "ImplicitlyDenied"
ERROR = "error"

Policy = list[Statement]
NO_IDENTITY = ("Root", "Service", "Anonymous")  # F.2
NO_SESSION = ("User", "Root", "Service", "Anonymous")  # F.2
NO_SCP = ("Service", "Anonymous")  # F.2


@dataclass(frozen=True)
class Policies:
    """The parsed policies of a case (N-4); `None` for a type without policies."""

    identity: list[Policy]
    boundary: Policy | None
    session: list[Policy] | None
    scps: list[list[Policy]] | None
    rcps: list[list[Policy]] | None
    resource: Policy | None
    vpc_endpoint: Policy | None


def read_case(line: str) -> dict[str, Any]:
    """Parse one line of a case file, with its duplicate keys (G-10)."""
    case: dict[str, Any] = json.loads(line, object_pairs_hook=_an_object)
    return case


def _an_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    kept = dict(pairs)
    return kept if len(kept) == len(pairs) else DuplicateKeys(kept)


def decide(case: dict[str, Any]) -> str:
    """Decide a case of section N: one of the three decisions (E-1), or `error` (N-9)."""
    try:
        request = read_request(case["request"])
        policies = _read_policies(case["policies"])
    except Refused:
        return ERROR
    if _is_authentication(request):
        return ALLOWED  # E-66
    applicable = _applicable(policies, request)
    if _is_denied(applicable, request):
        return EXPLICITLY_DENIED  # E-2, E-33, E-64
    return ALLOWED if _is_allowed(applicable, request) else IMPLICITLY_DENIED  # E-3, E-5


def _read_policies(policies: dict[str, Any]) -> Policies:
    def one(name: str, kind: Kind) -> Policy | None:
        return None if policies.get(name) is None else read_document(policies[name], kind)

    def several(name: str, kind: Kind) -> list[Policy] | None:
        return None if policies.get(name) is None else [read_document(policy, kind) for policy in policies[name]]

    def levels(name: str, kind: Kind) -> list[list[Policy]] | None:
        if policies.get(name) is None:
            return None  # E-14
        return [[read_document(each, kind) for each in level] for level in policies[name]]

    return Policies(
        identity=several("identity", Kind.IDENTITY) or [],
        boundary=one("permissions_boundary", Kind.BOUNDARY),
        session=several("session", Kind.SESSION),
        scps=levels("scps", Kind.SCP),
        rcps=levels("rcps", Kind.RCP),
        resource=one("resource", Kind.RESOURCE),
        vpc_endpoint=one("vpc_endpoint", Kind.VPC_ENDPOINT),
    )


def _is_authentication(request: Request) -> bool:
    """Return whether no policy controls the call (E-66)."""
    always = ("sts:getcalleridentity", "sts:getsessiontoken")
    return request.principal.type != "Anonymous" and request.action.lower() in always


def _applicable(policies: Policies, request: Request) -> Policies:
    """Return the policies that apply to the caller (F.2)."""
    caller = request.principal
    is_linked = caller.is_service_linked  # P-14
    return Policies(
        identity=[] if caller.type in NO_IDENTITY else policies.identity,
        boundary=None if caller.type in NO_IDENTITY or is_linked else policies.boundary,
        session=None if caller.type in NO_SESSION or is_linked else policies.session,
        scps=None if caller.type in NO_SCP or is_linked else policies.scps,  # E-10
        rcps=None if policies.rcps is None or not _rcps_apply(request) else policies.rcps,
        resource=policies.resource,
        vpc_endpoint=policies.vpc_endpoint,
    )


def _rcps_apply(request: Request) -> bool:
    if request.principal.is_service_linked:
        return False  # E-11
    last_field = "".join(request.resource.split(":", 5)[5:])
    is_linked_trust = last_field.startswith("role/aws-service-role/") and is_trust_request(
        request.action, request.resource
    )
    return not is_linked_trust and rcp_supports(request.action)  # E-11, E-16


def _is_denied(policies: Policies, request: Request) -> bool:
    """Return whether a Deny of any applicable policy matches (E-2)."""
    has_boundary = policies.boundary is not None or request.principal.has_unprinted_boundary  # N-1
    without_principal = [*policies.identity, policies.boundary, *(policies.session or []), *_flat(policies.scps)]
    with_principal = [policies.resource, *_flat(policies.rcps), policies.vpc_endpoint]
    return any(
        statement.effect == "Deny" and statement_matches(statement, request)
        for policy in without_principal
        for statement in policy or []
    ) or any(
        statement.effect == "Deny"
        and statement_matches(statement, request)
        and principal_match(statement, request.principal, has_boundary=has_boundary) > Match.NONE  # E-64
        for policy in with_principal
        for statement in policy or []
    )


def _flat(levels: list[list[Policy]] | None) -> list[Policy]:
    return [policy for level in levels or [] for policy in level]


def _allows(policies: list[Policy], request: Request) -> bool:
    """Return whether a union of policies without principals has a matching Allow (E-4)."""
    return any(
        statement.effect == "Allow" and statement_matches(statement, request)
        for policy in policies
        for statement in policy
    )


def _allow_match(policies: list[Policy], request: Request) -> Match:
    """Return the strongest matching Allow of policies with principals (E-20, E-22)."""
    kinds = [
        principal_match(statement, request.principal, has_boundary=False)
        for policy in policies
        for statement in policy
        if statement.effect == "Allow" and statement_matches(statement, request)
    ]
    return max(kinds, default=Match.NONE)


def _is_allowed(policies: Policies, request: Request) -> bool:
    """Return whether every filter allows and something grants, if no Deny matches."""
    if policies.rcps is not None and not all(_allow_match(level, request) for level in policies.rcps):
        return False  # E-13
    if policies.scps is not None and not all(_allows(level, request) for level in policies.scps):
        return False  # E-12, E-35
    if policies.vpc_endpoint is not None and not _allow_match([policies.vpc_endpoint], request):
        return False  # E-80
    resource = Match.NONE if policies.resource is None else _allow_match([policies.resource], request)
    if request.principal.type in ("Service", "Anonymous"):
        return resource > Match.NONE  # E-60, E-62
    if request.principal.account != _resource_account(request):
        return resource > Match.NONE and _trusted_side_allows(policies, request)  # E-50 to E-53, E-44
    if is_kms_key_request(request.action, request.resource):
        return _key_policy_allows(resource, policies, request)
    if is_trust_request(request.action, request.resource):
        return _trust_policy_allows(resource, policies, request)
    return _same_account_allows(resource, policies, request)


def _resource_account(request: Request) -> str | None:
    """Return the owner account of the resource (E-54)."""
    in_arn = request.resource.split(":")[4] if request.resource.count(":") >= 5 else ""
    return request.resource_account or in_arn or request.principal.account


def _identity_allows(policies: Policies, request: Request) -> bool:
    if request.principal.type == "Root":
        return True  # E-5, E-55, E-63
    return _allows(policies.identity, request)


def _boundary_allows(policies: Policies, request: Request) -> bool:
    return policies.boundary is None or _allows([policies.boundary], request)


def _session_allows(policies: Policies, request: Request) -> bool:
    if policies.session is None:
        return request.principal.type != "FederatedUser"  # S-32, S-42, E-30.2
    return _allows(policies.session, request)  # E-34


def _limits_allow(policies: Policies, request: Request) -> bool:
    return _boundary_allows(policies, request) and _session_allows(policies, request)  # E-32


def _trusted_side_allows(policies: Policies, request: Request) -> bool:
    """Evaluate the caller's account of a cross-account request (E-50, E-51, E-52)."""
    return _identity_allows(policies, request) and _limits_allow(policies, request)


def _same_account_allows(resource: Match, policies: Policies, request: Request) -> bool:
    """Evaluate inside one account (E-30)."""
    if resource is Match.DIRECT:
        return True  # E-30.1
    grant = _identity_allows(policies, request) or resource is Match.PARENT
    return grant and _limits_allow(policies, request)  # E-30.2, E-30.3, E-63


def _key_policy_allows(resource: Match, policies: Policies, request: Request) -> bool:
    """Evaluate a KMS key, whose key policy is mandatory (E-40, E-41)."""
    return resource > Match.NONE and _same_account_allows(resource, policies, request)


def _trust_policy_allows(resource: Match, policies: Policies, request: Request) -> bool:
    """Evaluate a role trust policy (E-40, E-43, E-45); the boundary limits a named caller too (E-48)."""
    return (
        resource > Match.NONE
        and _same_account_allows(resource, policies, request)
        and _boundary_allows(policies, request)
    )
