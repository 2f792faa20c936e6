"""The checks of policies: no new access, access not granted, no public access, equivalence (rules AA-30 to AA-35).

A check proves its result: PASS means that no request at all contradicts it. FAIL comes with a request that the
evaluator decides as the check claims. UNKNOWN means neither, and must be treated as FAIL.

Requests are judged as `judged_policies` describes. Every condition key may be absent, except those that a caller always
has (K-10). Without a catalogue, actions are open: any `service:Name` exists, and `s3:Get*` is wider than every list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from iam_guard.analysis.checks.check_results import CheckReason, CheckResult, CheckVerdict, reason_of
from iam_guard.analysis.checks.comparison import EVERY_REQUEST, Query, Witness, compare
from iam_guard.analysis.checks.limits import Undecided
from iam_guard.analysis.checks.public_access import RESOURCE_TYPES, is_outsider, restrictions
from iam_guard.analysis.checks.statement_forms import action_union, form_of, resource_union
from iam_guard.errors import InvalidInput, did_you_mean
from iam_guard.evaluation.compiler import CompiledDocument, PolicySource, compile_policy
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.policy.document import LATEST

CHECKED_TYPES = {"IDENTITY_POLICY": PolicyType.IDENTITY, "RESOURCE_POLICY": PolicyType.RESOURCE}
MAX_LISTED = 100
"""Maximum number of actions, and of resources, of a check of access."""


@dataclass(frozen=True, slots=True)
class ListedAccess:
    """Actions, resources, or both, that a policy must not grant."""

    actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()


def check_no_new_access(
    existing: PolicySource, new: PolicySource, type: PolicyType, *, actions: Iterable[str] | None = None
) -> CheckResult:
    """Check that `new` allows no request that `existing` does not.

    `actions` are all actions there are, None for any. Raises `PolicyError` for a document that is refused.
    """
    query = query_among(actions)
    return _compared(compiled_policy(existing, type), compiled_policy(new, type), query)


def check_equivalent(
    existing: PolicySource, new: PolicySource, type: PolicyType, *, actions: Iterable[str] | None = None
) -> CheckResult:
    """Check that two policies allow the same requests. The arguments are those of `check_no_new_access`."""
    query = query_among(actions)
    one, other = compiled_policy(existing, type), compiled_policy(new, type)
    results = [_compared(one, other, query), _compared(other, one, query, is_removed=True)]
    for verdict in (CheckVerdict.FAIL, CheckVerdict.UNKNOWN):
        for result in results:
            if result.verdict is verdict:
                return result
    return CheckResult(CheckVerdict.PASS, "The policy documents grant the same access.", universe=_universe(query))


def check_access_not_granted(
    policy: PolicySource, access: Sequence[ListedAccess], type: PolicyType, *, actions: Iterable[str] | None = None
) -> CheckResult:
    """Check that a policy allows none of the listed actions on any of the listed resources, in any context.

    Without actions any action counts, without resources any resource. Raises `PolicyError` for a document that is
    refused, and `InvalidInput` for an empty or invalid list.
    """
    document = compiled_policy(policy, type)
    if not access or not all(listed.actions or listed.resources for listed in access):
        raise InvalidInput("expected actions or resources whose access is checked")
    undecided: CheckResult | None = None
    for listed in access:
        result = _granted(document, listed, query_among(actions))
        if result.verdict is CheckVerdict.FAIL:
            return result
        undecided = result if result.verdict is CheckVerdict.UNKNOWN else undecided
    message = "The policy document does not grant access to perform the listed actions or resources."
    return undecided or CheckResult(CheckVerdict.PASS, message, universe=_universe(query_among(actions)))


def check_no_public_access(
    policy: PolicySource, resource_type: str, *, actions: Iterable[str] | None = None
) -> CheckResult:
    """Check that a resource-based policy does not grant access to everyone.

    Raises `PolicyError` for a document that is refused, and `InvalidInput` for an unsupported type.
    """
    if resource_type not in RESOURCE_TYPES:
        hint = did_you_mean(resource_type, RESOURCE_TYPES)
        raise InvalidInput(f"unsupported resource type `{resource_type[:200]}`{hint}")
    document = compiled_policy(policy, PolicyType.RESOURCE)
    query = query_among(actions)
    try:
        excluded = tuple(restrictions(form_of(document)))
        found = compare(None, document, Query(None, None, excluded, is_outsider, query.catalogue)).witness
    except Undecided as error:
        return _undecided(error, query)
    if found is None:
        message = "The resource policy does not grant public access for the given resource type."
        return CheckResult(CheckVerdict.PASS, message, universe=_universe(query))
    message = "The resource policy grants public access for the given resource type."
    return _failed(found, message, "Public access granted in the following statement with", query)


def compiled_policy(source: PolicySource, type: PolicyType) -> CompiledDocument:
    """Compile a policy that is checked. Raises `PolicyError` and `InvalidInput`."""
    if type not in CHECKED_TYPES.values():
        raise InvalidInput(f"expected an {PolicyType.IDENTITY} or a {PolicyType.RESOURCE}, got a {type}")
    return compile_policy(source, PolicyRef("the policy", type)).content


def query_among(actions: Iterable[str] | None) -> Query:
    """Return the query of all requests for some actions, None for any."""
    return EVERY_REQUEST if actions is None else Query(catalogue=tuple(sorted(actions)))


def _universe(query: Query) -> str:
    return "open" if query.catalogue is None else "registry"


def _compared(
    existing: CompiledDocument, new: CompiledDocument, query: Query, *, is_removed: bool = False
) -> CheckResult:
    try:
        compared = compare(existing, new, query)
    except Undecided as error:
        return _undecided(error, query)
    if (found := compared.witness) is None:
        message = "The modified permissions do not grant new access compared to your existing policy."
        return CheckResult(CheckVerdict.PASS, message, universe=_universe(query), cover=compared.cover)
    if is_removed:
        message = "The existing policy grants access that the modified permissions do not."
        return _failed(found, message, "Removed access in the statement of the existing policy with", query)
    message = "The modified permissions grant new access compared to your existing policy."
    return _failed(found, message, "New access in the statement with", query)


def _granted(document: CompiledDocument, listed: ListedAccess, query: Query) -> CheckResult:
    if len(listed.actions) > MAX_LISTED or len(listed.resources) > MAX_LISTED:
        raise InvalidInput(f"expected at most {MAX_LISTED} actions and {MAX_LISTED} resources")
    invalid = [action for action in listed.actions if action != "*" and action.count(":") != 1]
    if invalid:
        raise InvalidInput(f"expected an action such as `service:Name`, got `{invalid[0][:200]}`")
    try:
        actions = action_union(listed.actions) if listed.actions else None
        resources = resource_union(listed.resources, LATEST) if listed.resources else None
        found = compare(
            None, document, Query(actions, resources, catalogue=query.catalogue, names=listed.actions)
        ).witness
    except Undecided as error:
        return _undecided(error, query)
    if found is None:
        return CheckResult(CheckVerdict.PASS, "", universe=_universe(query))
    message = "The policy document grants access to perform one or more of the listed actions or resources."
    return _failed(found, message, "One or more of the listed actions or resources in the statement with", query)


def _failed(found: Witness, message: str, description: str, query: Query) -> CheckResult:
    reason = reason_of(description, found.statement, "The root user of the account is no longer denied.")
    return CheckResult(CheckVerdict.FAIL, message, (reason,), found.request, _universe(query))


def _undecided(error: Undecided, query: Query) -> CheckResult:
    message = "The policies could not be compared completely."
    return CheckResult(CheckVerdict.UNKNOWN, message, (CheckReason(f"{error}."),), None, _universe(query))
