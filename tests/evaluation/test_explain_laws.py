"""The truth of explanations, on generated cases: what is shown as matched matches, and each miss is one change away."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import pytest

from iam_guard.errors import IamGuardError
from iam_guard.evaluation.bundle import Bundle, Layer, bundle
from iam_guard.evaluation.evaluator import decide
from iam_guard.evaluation.explainer import explain
from iam_guard.evaluation.explanation import ExplainedStatement, Explanation, Miss, Standing
from iam_guard.evaluation.matching.statement import CompiledStatement
from iam_guard.evaluation.near_misses import MOST
from iam_guard.model.decision import Outcome, PolicyType
from iam_guard.model.principal import PrincipalType
from iam_guard.model.request import AccessRequest
from iam_guard.policy.grammar import WITH_PRINCIPAL
from iam_guard.testing.cases import read_case
from tests.oracle.generate import generate_case

CASES = int(os.environ.get("IAM_GUARD_EXPLAINED_CASES", "2500"))
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
    """Draw cases, and explain those whose documents can be read."""
    rng = random.Random(f"explain {shard}")
    found = []
    for _ in range(CASES // SHARDS):
        given = generate_case(rng)
        with suppress(IamGuardError):
            request, policies = asked(given)
            found.append((given, request, policies, explain(request, policies)))
    return found


def asked(given: dict[str, Any]) -> tuple[AccessRequest, Bundle]:
    case = read_case(given)
    return case.request, bundle(**{**case.policies, "identity": case.policies["identity"] or ()})


def levels_of(policies: Bundle, type: PolicyType) -> tuple[Layer, ...]:
    found = getattr(policies, LAYERS[type])
    return found if type in (PolicyType.SCP, PolicyType.RCP) else (found,)


def statements_of(
    explanation: Explanation, policies: Bundle
) -> Iterator[tuple[PolicyType, ExplainedStatement, CompiledStatement]]:
    """Pair each explained statement with the compiled one at the same place."""
    for type in explanation.types:
        if not type.levels:
            continue
        for level, layer in zip(type.levels, levels_of(policies, type.type), strict=True):
            for policy, compiled in zip(level.policies, layer, strict=True):
                assert policy.name == compiled.ref.name
                pairs = zip(policy.statements, compiled.content.statements, strict=True)
                yield from ((compiled.ref.type, *pair) for pair in pairs)


def really_applies(type: PolicyType, statement: CompiledStatement, request: AccessRequest, bounded: bool) -> bool:
    is_named = type not in WITH_PRINCIPAL or statement.kinship(request.principal) is not None
    if statement.denies and bounded and statement.statement.not_principals is not None:
        is_named = True  # E-74
    return is_named and statement.applies(request, request.action.lower())


@pytest.mark.parametrize("shard", range(SHARDS))
def test_an_explanation_tells_the_truth(shard: int) -> None:
    """F, M-1: the outcome is the decision's; a statement applies iff the compiled one does, iff all of it matches."""
    for given, request, policies, explanation in explained_cases(shard):
        decision = decide(request, policies)
        assert explanation.outcome is decision.outcome, given
        assert explanation.error == decision.error, given
        has_own = request.principal.type not in (PrincipalType.SERVICE, PrincipalType.ANONYMOUS, PrincipalType.ROOT)
        bounded = (has_own and policies.boundary is not None) or request.principal.has_boundary
        deciding = []
        for type, explained, compiled in statements_of(explanation, policies):
            assert explained.applies is really_applies(type, compiled, request, bounded), (given, compiled)
            assert explained.applies is all(element.matched for element in explained.elements), (given, compiled)
            assert all((element.change is None) is element.matched for element in explained.elements), (given, compiled)
            deciding += [explained] if explained.decides else []
        if any(reason.policy for reason in decision.reasons):
            assert deciding, given
        for explained in deciding:
            assert explained.applies, given
            assert (explained.effect == "Deny") is (decision.outcome is Outcome.EXPLICITLY_DENIED), given


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_policy_type_stands_as_the_decision_says(shard: int) -> None:
    """E-2, E-90: the types without an Allow are the decision's reasons; a Deny is shown iff the outcome is explicit."""
    for given, request, policies, explanation in explained_cases(shard):
        decision = decide(request, policies)
        standing = {LAYERS[each.type]: each.standing for each in explanation.types}
        if not standing:
            continue
        owing = {type for type, each in standing.items() if each is Standing.OWES}
        if decision.outcome is Outcome.EXPLICITLY_DENIED:
            assert standing[LAYERS[decision.reasons[0].policy_type]] is Standing.DENIES, given
            continue
        assert Standing.DENIES not in standing.values(), given
        expected = set() if decision.allowed else {LAYERS[reason.policy_type] for reason in decision.reasons}
        assert owing == expected, given


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_nearest_miss_is_one_change_away(shard: int) -> None:
    """Take out of the document what a miss names, and the statement applies, and the outcome is the one foretold."""
    seen = 0
    for given, _, _, explanation in explained_cases(shard):
        assert len(explanation.nearest) <= MOST
        for miss in explanation.nearest:
            seen += 1
            changed = copy.deepcopy(given)
            make_the_change(explanation, changed["policies"], miss)
            after = explain(*asked(changed))
            assert after.outcome is miss.outcome, (given, miss)
            assert located(after, miss).applies is (miss.element is not None), (given, miss)
            assert not located(after, miss).applies or after.outcome is not Outcome.ALLOWED or miss.effect == "Allow"
    assert seen > CASES // SHARDS // 2


def located(explanation: Explanation, miss: Miss) -> ExplainedStatement:
    (type,) = (each for each in explanation.types if each.type is miss.type)
    level = type.levels[0 if miss.level is None else miss.level - 1]
    (policy,) = (each for each in level.policies if each.name == miss.policy)
    return policy.statements[miss.statement]


def make_the_change(explanation: Explanation, policies: dict[str, Any], miss: Miss) -> None:
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


@pytest.mark.parametrize("shard", range(SHARDS))
def test_an_absent_key_meets_what_says_so(shard: int) -> None:
    """C-5, C-30, C-36: a change `or no key at all` is true, and where it is not offered an absent key does not help."""
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


def test_an_explanation_is_json() -> None:
    """`to_dict` gives JSON values and nothing else, `text` one line per element."""
    for _, _, policies, explanation in explained_cases(0):
        assert json.loads(json.dumps(explanation.to_dict())) == explanation.to_dict()
        elements = [element for _, one, _ in statements_of(explanation, policies) for element in one.elements]
        assert len(explanation.text().splitlines()) > len(elements)
