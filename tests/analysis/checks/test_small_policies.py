"""Laws of the checks on pairs of small random policies with every operator, against requests the evaluator decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from random import Random

import pytest

from iam_guard.analysis.checks.check_results import request_members
from iam_guard.analysis.checks.comparison import compare
from iam_guard.analysis.checks.judged_policies import judge
from iam_guard.analysis.checks.limits import Undecided
from iam_guard.analysis.checks.policy_checks import ListedAccess, check_access_not_granted
from iam_guard.errors import PolicyError
from iam_guard.evaluation.compiler import CompiledDocument
from iam_guard.model.decision import PolicyType
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.model.request import AccessRequest
from iam_guard.policy.parser import parse
from tests.analysis.checks.small_policies import ACCOUNT, Doc, Pair
from tests.oracle import decide as oracle
from tests.tables import table

TYPES = {"identity": PolicyType.IDENTITY, "resource": PolicyType.RESOURCE}


def verdict(existing: CompiledDocument, new: CompiledDocument) -> str:
    try:
        found = compare(existing, new).witness
    except Undecided:
        return "UNKNOWN"
    if found is None:
        return "PASS"
    assert judge(new)(found.request)
    assert not judge(existing)(found.request)
    return "FAIL"


EVERYTHING: Doc = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}


def is_allowed_by_oracle(request: Doc, document: Doc, kind: str) -> bool:
    """Decide with the independent evaluator, as `judged_policies` describes."""
    principal, owner = request["principal"], request["resource_account"]
    policies: Doc = {"identity": [document]}
    if kind == "identity":
        delegation = {**EVERYTHING["Statement"], "Principal": {"AWS": owner}}
        policies["resource"] = {**EVERYTHING, "Statement": delegation}
    else:
        is_outside = principal["account"] not in (None, owner)
        policies = {"identity": [EVERYTHING] if is_outside else [], "resource": document}
        if is_outside and principal["type"] == "FederatedUser":
            policies["session"] = [EVERYTHING]
    return oracle.decide({"id": "witness", "request": request, "policies": policies}) == "Allowed"


@table(("kind", "seeds"), [("identity", 250), ("resource", 100)])
def test_witnesses_are_confirmed_by_the_independent_evaluator(kind: str, seeds: int) -> None:
    confirmed = 0
    for seed in range(2000, 2000 + seeds):
        pair = Pair(Random(seed), is_resource=kind == "resource")
        try:
            found = compare(compiled(pair.existing, TYPES[kind]), compiled(pair.new, TYPES[kind])).witness
        except (PolicyError, Undecided):
            continue
        if found is None or found.request.principal.type is PrincipalType.FEDERATED:
            continue  # cases have no callers of identity providers
        request = request_members(found.request)
        assert is_allowed_by_oracle(request, pair.new, kind), (seed, request)
        assert not is_allowed_by_oracle(request, pair.existing, kind), (seed, request)
        confirmed += 1
    assert confirmed > seeds / 5


def compiled(document: Doc, type: PolicyType) -> CompiledDocument:
    return CompiledDocument(parse(document, type))


@table(("kind", "count"), [("identity", 500), ("resource", 160)])
def test_verdicts_agree_with_the_evaluator(kind: str, count: int) -> None:
    """PASS: no request tells the policies apart. FAIL: the evaluator confirms the witness."""
    verdicts = verdicts_of(kind, range(count), requests=80)
    assert min(verdicts["PASS"], verdicts["FAIL"]) > count / 4
    assert verdicts["UNKNOWN"] <= count / 250


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 4_000, 2_000))
def test_verdicts_of_many_pairs_agree_with_the_evaluator(first: int) -> None:
    """4,000 pairs, a quarter of them policies of resources, in parts that run side by side."""
    verdicts = verdicts_of("identity", range(10_000 + first, 10_000 + first + 1_500), requests=30)
    verdicts += verdicts_of("resource", range(10_000 + first + 1_500, 10_000 + first + 2_000), requests=30)
    assert verdicts["UNKNOWN"] <= 0.003 * 2_000


def verdicts_of(kind: str, seeds: Iterable[int], requests: int) -> Counter[str]:
    """Count the verdicts of pairs; each is compared with what the evaluator decides."""
    verdicts: Counter[str] = Counter()
    for seed in seeds:
        pair = Pair(Random(seed), is_resource=kind == "resource")
        try:
            existing, new = (compiled(document, TYPES[kind]) for document in (pair.existing, pair.new))
        except PolicyError:
            continue  # a short ARN in a resource-based policy
        found = verdict(existing, new)
        verdicts[found] += 1
        if found == "PASS":
            is_old, is_new = judge(existing), judge(new)
            differing = [request for request in pair.requests(requests) if is_new(request) and not is_old(request)]
            assert differing == [], (seed, pair.existing, pair.new)
    return verdicts


@table("kind", TYPES)
def test_verdicts_keep_the_laws(kind: str) -> None:
    """A policy passes against itself in any order; a Deny in the new or an Allow in the old never breaks a PASS."""
    for seed in range(1000, 1000 + (100 if kind == "identity" else 40)):
        pair = Pair(Random(seed), is_resource=kind == "resource")
        try:
            existing, new = (compiled(document, TYPES[kind]) for document in (pair.existing, pair.new))
        except PolicyError:
            continue
        statements = pair.existing["Statement"]
        reordered = compiled({**pair.existing, "Statement": statements[::-1]}, TYPES[kind])
        assert verdict(existing, reordered) == "PASS"
        before = verdict(existing, new)
        assert verdict(reordered, new) == before
        more = pair.random.choice(pair.new["Statement"])
        stricter = compiled(
            {**pair.new, "Statement": [*pair.new["Statement"], {**more, "Effect": "Deny"}]}, TYPES[kind]
        )
        if before == "PASS":
            assert verdict(existing, stricter) != "FAIL"
        allowed = [statement for statement in pair.new["Statement"] if statement["Effect"] == "Allow"]
        if allowed and before == "PASS":
            wider = {**pair.existing, "Statement": [*statements, pair.random.choice(allowed)]}
            assert verdict(compiled(wider, TYPES[kind]), new) != "FAIL"


@table(("kind", "count"), [("identity", 240), ("resource", 80)])
def test_listed_access_agrees_with_the_evaluator(kind: str, count: int) -> None:
    """PASS of listed access: no request about it is allowed, whatever values the policy's variables have."""
    verdicts: Counter[str] = Counter()
    for seed in range(3000, 3000 + count):
        pair = Pair(Random(seed), is_resource=kind == "resource")
        try:
            document = compiled(pair.new, TYPES[kind])
        except PolicyError:
            continue
        listed = pair.listed_access()
        result = check_access_not_granted(pair.new, [ListedAccess(*listed)], TYPES[kind])
        verdicts[result.verdict.value] += 1
        is_allowed, is_listed = judge(document), judge(compiled(allowing(*listed), PolicyType.IDENTITY))
        about = [request for request in pair.requests(60) if is_listed(own(request)) and not is_root(request)]
        if result.witness is not None:
            assert is_allowed(result.witness)
            assert is_listed(own(result.witness))
        elif result.passed:
            assert [request for request in about if is_allowed(request)] == [], (seed, pair.new, listed)
    assert min(verdicts["PASS"], verdicts["FAIL"]) > count / 4
    assert verdicts["UNKNOWN"] <= count / 50


def is_root(request: AccessRequest) -> bool:
    """Return whether the caller is a root user, which the policies of its account need not allow (E-63)."""
    return request.principal.type is PrincipalType.ROOT


def allowing(actions: Sequence[str], resources: Sequence[str]) -> Doc:
    """Return a policy that allows some access, `()` for all."""
    listed = {"Action": [*actions] or "*", "Resource": [*resources] or "*"}
    return {"Version": "2012-10-17", "Statement": {"Effect": "Allow", **listed}}


def own(request: AccessRequest) -> AccessRequest:
    """Return the request of a user of the resource's account, which an identity-based policy can allow."""
    caller = Principal.from_arn(f"arn:aws:iam::{request.owner or ACCOUNT}:user/ada")
    return AccessRequest(caller, request.action, request.resource, resource_account=request.owner or ACCOUNT)
