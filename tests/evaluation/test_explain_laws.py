"""Laws of explanations on generated cases: elements shown as matched match, and each miss is one change away."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

from iam_guard.errors import IamGuardError
from iam_guard.evaluation.bundle import Bundle, Layer, bundle
from iam_guard.evaluation.evaluator import decide
from iam_guard.evaluation.explainer import explain
from iam_guard.evaluation.explanation import ExplainedStatement, Explanation, NearMiss, Standing
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.evaluation.near_misses import MAX_MISSES
from iam_guard.model.decision import Outcome, PolicyType
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest
from iam_guard.policy.grammar import WITH_PRINCIPAL
from iam_guard.testing.cases import read_case
from tests.oracle.generate import generate_case
from tests.tables import table

CASES = int(os.environ.get("IAM_GUARD_TEST_EXPLAINED_CASES", "1000"))
SHARDS = 5

LAYERS = {
    PolicyType.SCP: "scps",
    PolicyType.RCP: "rcps",
    PolicyType.RESOURCE: "resource",
    PolicyType.TRUST: "resource",
    PolicyType.IDENTITY: "identity",
    PolicyType.BOUNDARY: "boundary",
    PolicyType.SESSION: "session",
    PolicyType.VPC_ENDPOINT: "vpc_endpoint",
}


@cache
def explained_cases(shard: int) -> list[tuple[dict[str, Any], AccessRequest, Bundle, Explanation]]:
    """Draw cases, and explain those whose documents are valid."""
    rng = random.Random(f"explain {shard}")
    found = []
    for _ in range(CASES // SHARDS):
        case_json = generate_case(rng)
        with suppress(IamGuardError):
            request, policies = read_generated(case_json)
            found.append((case_json, request, policies, explain(request, policies)))
    return found


def read_generated(case_json: dict[str, Any]) -> tuple[AccessRequest, Bundle]:
    case = read_case(case_json)
    return case.request, bundle(**{**case.policies, "identity": case.policies["identity"] or ()})


def levels_of(policies: Bundle, type: PolicyType) -> tuple[Layer, ...]:
    found = getattr(policies, LAYERS[type])
    return found if type in (PolicyType.SCP, PolicyType.RCP) else (found,)


def statements_of(
    explanation: Explanation, policies: Bundle
) -> Iterator[tuple[PolicyType, ExplainedStatement, CompiledStatement]]:
    """Pair each explained statement with the compiled one."""
    for type in explanation.types:
        if not type.levels:
            continue
        for level, layer in zip(type.levels, levels_of(policies, type.type), strict=True):
            for policy, compiled in zip(level.policies, layer, strict=True):
                assert policy.name == compiled.ref.name
                pairs = zip(policy.statements, compiled.content.statements, strict=True)
                yield from ((compiled.ref.type, *pair) for pair in pairs)


def is_expected_to_apply(type: PolicyType, statement: CompiledStatement, request: AccessRequest, bounded: bool) -> bool:
    is_named = type not in WITH_PRINCIPAL or statement.principal_match(request.principal) is not None
    if statement.denies and bounded and statement.statement.not_principals is not None:
        is_named = True  # E-74
    return is_named and statement.applies(request, request.action.lower())


@table("shard", range(SHARDS))
def test_explanation_agrees_with_the_evaluation(shard: int) -> None:
    """F, M-1: the outcome is the decision's; a statement applies iff the compiled one does."""
    for case_json, request, policies, explanation in explained_cases(shard):
        decision = decide(request, policies)
        assert explanation.outcome is decision.outcome, case_json
        assert explanation.error == decision.error, case_json
        has_own = request.principal.type not in (PrincipalType.SERVICE, PrincipalType.ANONYMOUS, PrincipalType.ROOT)
        bounded = (has_own and policies.boundary is not None) or request.principal.has_boundary
        deciding = []
        for type, explained, compiled in statements_of(explanation, policies):
            shown = case_json, compiled
            assert explained.applies is is_expected_to_apply(type, compiled, request, bounded), shown
            assert explained.applies is all(element.matched for element in explained.elements), shown
            assert all((element.change is None) is element.matched for element in explained.elements), shown
            deciding += [explained] if explained.decides else []
        if any(reason.policy for reason in decision.reasons):
            assert deciding, case_json
        for explained in deciding:
            assert explained.applies, case_json
            assert (explained.effect == "Deny") is (decision.outcome is Outcome.EXPLICITLY_DENIED), case_json


@table("shard", range(SHARDS))
def test_standing_of_a_type_agrees_with_the_decision(shard: int) -> None:
    """E-2, E-90: the types without an Allow are the decision's reasons; a Deny is shown iff the outcome is explicit."""
    for case_json, request, policies, explanation in explained_cases(shard):
        decision = decide(request, policies)
        standing = {LAYERS[each.type]: each.standing for each in explanation.types}
        if not standing:
            continue
        owing = {type for type, each in standing.items() if each is Standing.LACKS_ALLOW}
        if decision.outcome is Outcome.EXPLICITLY_DENIED:
            assert standing[LAYERS[decision.reasons[0].policy_type]] is Standing.DENIES, case_json
            continue
        assert Standing.DENIES not in standing.values(), case_json
        expected = set() if decision.allowed else {LAYERS[reason.policy_type] for reason in decision.reasons}
        assert owing == expected, case_json


@table("shard", range(SHARDS))
def test_nearest_miss_is_one_change_away(shard: int) -> None:
    """With the change of a miss the statement applies, and the outcome is the one that the miss has."""
    seen = 0
    for case_json, _, _, explanation in explained_cases(shard):
        assert len(explanation.nearest) <= MAX_MISSES
        for miss in explanation.nearest:
            seen += 1
            changed = copy.deepcopy(case_json)
            apply_change(explanation, changed["policies"], miss)
            after = explain(*read_generated(changed))
            assert after.outcome is miss.outcome, (case_json, miss)
            assert located(after, miss).applies is (miss.element is not None), (case_json, miss)
            assert not located(after, miss).applies or after.outcome is not Outcome.ALLOWED or miss.effect == "Allow"
    assert seen > CASES // SHARDS // 2


def located(explanation: Explanation, miss: NearMiss) -> ExplainedStatement:
    (type,) = (each for each in explanation.types if each.type is miss.type)
    level = type.levels[0 if miss.level is None else miss.level - 1]
    (policy,) = (each for each in level.policies if each.name == miss.policy)
    return policy.statements[miss.statement]


def apply_change(explanation: Explanation, policies: dict[str, Any], miss: NearMiss) -> None:
    name = "permissions_boundary" if miss.type is PolicyType.BOUNDARY else LAYERS[miss.type]
    found = policies[name]
    if miss.level is not None:
        found = found[miss.level - 1]
    document = found[int(miss.policy.rsplit("#", 1)[1]) - 1] if isinstance(found, list) else found
    statements = document["Statement"]
    statement = statements[miss.statement] if isinstance(statements, list) else statements
    match miss.element:
        case None:
            statement.pop("NotAction", None)
            statement["Action"] = "nothing:Nothing"
        case "Condition":
            (failing,) = (each for each in located(explanation, miss).elements if not each.matched)
            del statement["Condition"][failing.operator][failing.key]
        case "Principal" | "NotPrincipal":
            statement.pop("NotPrincipal", None)
            statement["Principal"] = "*"
        case element:
            name = element.removeprefix("Not")
            statement.pop(f"Not{name}", None)
            statement[name] = "*"


@table("shard", range(SHARDS))
def test_change_to_no_key_is_correct(shard: int) -> None:
    """C-5, C-30, C-36: where a change offers `or no key at all` an absent key meets the condition, and only there."""
    for _, request, policies, explanation in explained_cases(shard):
        for _, explained, compiled in statements_of(explanation, policies):
            conditions = [each for each in explained.elements if each.name == "Condition"]
            for element, condition in zip(conditions, compiled.conditions, strict=True):
                if element.change is None or element.key is None or request.principal.key(element.key.lower()):
                    continue
                offers = f"no `{element.key}`" in element.change
                kept = {key: value for key, value in request.context.items() if key != element.key.lower()}
                without = AccessRequest(request.principal, request.action, request.resource, kept)
                assert condition(without) is offers, (element, request.context)


def test_explanation_is_json() -> None:
    """`to_dict` returns only JSON values, `text` one line per element."""
    for _, _, policies, explanation in explained_cases(0):
        assert json.loads(json.dumps(explanation.to_dict())) == explanation.to_dict()
        elements = [element for _, one, _ in statements_of(explanation, policies) for element in one.elements]
        assert len(explanation.text().splitlines()) > len(elements)
