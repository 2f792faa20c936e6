"""Laws of the checks on pairs of small random policies with every operator, against requests the evaluator decides."""

from __future__ import annotations

from collections import Counter
from random import Random

from iam_guard.analysis.checks.comparison import compare
from iam_guard.analysis.checks.judged_policies import judge
from iam_guard.analysis.checks.limits import Undecided
from iam_guard.errors import PolicyError
from iam_guard.evaluation.compiler import CompiledDocument
from iam_guard.model.decision import PolicyType
from iam_guard.policy.parser import parse
from tests.analysis.checks.small_policies import Doc, Pair
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


def compiled(document: Doc, type: PolicyType) -> CompiledDocument:
    return CompiledDocument(parse(document, type))


@table(("kind", "first", "count", "requests"), [("identity", 0, 500, 80), ("resource", 0, 160, 80)])
def test_verdicts_agree_with_the_evaluator(kind: str, first: int, count: int, requests: int) -> None:
    """PASS: no request tells the policies apart. FAIL: the evaluator confirms the witness."""
    verdicts: Counter[str] = Counter()
    for seed in range(first, first + count):
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
    assert min(verdicts["PASS"], verdicts["FAIL"]) > count / 4
    assert verdicts["UNKNOWN"] <= count / 50


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
        allowed = [each for each in pair.new["Statement"] if each["Effect"] == "Allow"]
        if allowed and before == "PASS":
            wider = {**pair.existing, "Statement": [*statements, pair.random.choice(allowed)]}
            assert verdict(compiled(wider, TYPES[kind]), new) != "FAIL"
