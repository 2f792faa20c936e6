"""Laws of decisions on generated cases, for any policies."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

from iam_guard.errors import IamGuardError
from iam_guard.evaluation.bundle import bundle
from iam_guard.model.decision import Decision, Outcome, PolicyType
from iam_guard.testing.cases import decide_case, read_case
from tests.oracle.generate import generate_case
from tests.tables import table

Case = dict[str, Any]

CASES = 600


def decided(case: Case) -> Decision | None:
    """Return the decision; None if a document is refused."""
    try:
        decision = decide_case(read_case(case))
    except IamGuardError:
        return None
    return None if decision.error else decision


def generated(seed: int) -> Iterator[tuple[random.Random, Case, Decision]]:
    rng = random.Random(seed)
    for _ in range(CASES):
        case = generate_case(rng)
        decision = decided(case)
        if decision is not None:
            yield rng, case, decision


def documents(policies: Any) -> Iterator[dict[str, Any]]:
    """Iterate over all documents of a case."""
    if isinstance(policies, dict) and "Statement" in policies:
        yield policies
    elif isinstance(policies, (dict, list)):
        for member in policies.values() if isinstance(policies, dict) else policies:
            yield from documents(member)


def with_statement(document: dict[str, Any], statement: dict[str, Any]) -> None:
    statements = document["Statement"]
    document["Statement"] = [*(statements if isinstance(statements, list) else [statements]), statement]


def test_adding_a_deny_never_allows_more() -> None:
    """E-2: a Deny in any policy only restricts."""
    tried = 0
    for rng, case, before in generated(1):
        changed = copy.deepcopy(case)
        targets = [document for document in documents(changed["policies"]) if document.get("Version") == "2012-10-17"]
        if not targets:
            continue
        statement: dict[str, Any] = {"Effect": "Deny", "Action": "*"}
        target = rng.choice(targets)
        sample = target["Statement"] if isinstance(target["Statement"], dict) else (target["Statement"] or [{}])[0]
        if "Principal" in sample or "NotPrincipal" in sample:
            statement["Principal"] = "*"
        if "Resource" in sample or "NotResource" in sample:
            statement["Resource"] = "*"
        if rng.random() < 0.5:
            statement["Condition"] = {"StringEquals": {"docs:Kind": rng.choice(["report", "memo"])}}
        with_statement(target, statement)
        after = decided(changed)
        if after is not None:
            tried += 1
            assert before.allowed or not after.allowed, changed
    assert tried > CASES / 2


def test_adding_an_identity_allow_never_denies() -> None:
    """E-4: an Allow only grants, and overrides no explicit Deny."""
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    changes = 0
    for _, case, before in generated(2):
        changed = copy.deepcopy(case)
        changed["policies"]["identity"] = [*(changed["policies"]["identity"] or []), everything]
        after = decided(changed)
        assert after is not None
        assert after.allowed or not before.allowed, changed
        assert (after.outcome is Outcome.EXPLICITLY_DENIED) is (before.outcome is Outcome.EXPLICITLY_DENIED)
        changes += after.outcome is not before.outcome
    assert changes > 0


def test_removing_a_boundary_never_denies() -> None:
    """E-32: a boundary only limits."""
    changes = 0
    for _, case, before in generated(3):
        changed = copy.deepcopy(case)
        changed["policies"]["permissions_boundary"] = None
        after = decided(changed)
        assert after is not None
        assert after.allowed or not before.allowed, changed
        changes += after.outcome is not before.outcome
    assert changes > 0


def _shuffled(value: Any, rng: random.Random) -> Any:
    """Shuffle everything whose order is irrelevant: keys, lists of values, statements, policies of one level."""
    if isinstance(value, dict):
        items = [(key, _shuffled(member, rng)) for key, member in value.items()]
        rng.shuffle(items)
        return dict(items)
    if isinstance(value, list):
        members = [_shuffled(member, rng) for member in value]
        rng.shuffle(members)
        return members
    return value


def test_order_is_irrelevant() -> None:
    """G-9, C-1, E-4: of statements, policies, levels, list members and keys."""
    for rng, case, before in generated(4):
        changed = {**case, "policies": _shuffled(case["policies"], rng)}
        after = decided(changed)
        assert after is not None
        assert after.outcome is before.outcome, changed


def _as_lists(document: dict[str, Any]) -> None:
    statements = document["Statement"]
    document["Statement"] = statements if isinstance(statements, list) else [statements]
    for statement in document["Statement"]:
        for element in ("Action", "NotAction", "Resource", "NotResource"):
            if isinstance(statement.get(element), str):
                statement[element] = [statement[element]]


def _twice(document: dict[str, Any]) -> None:
    statements = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    document["Statement"] = [*statements, *({**each, "Sid": ""} for each in copy.deepcopy(statements))]


@table("rewrite", [_as_lists, _twice])
def test_equivalent_documents_have_the_same_outcome(rewrite: Callable[[dict[str, Any]], None]) -> None:
    """G-7, G-14: a scalar is a list of one; repetition changes nothing."""
    for _, case, before in generated(5):
        changed = copy.deepcopy(case)
        for document in documents(changed["policies"]):
            rewrite(document)
        after = decided(changed)
        assert after is not None
        assert after.outcome is before.outcome, changed


def test_decision_reports_its_reasons() -> None:
    """E-90: an explicit deny has a Deny, an Allow an Allow or a rule, an implicit deny a type without an Allow."""
    seen: set[Outcome] = set()
    for _, _, decision in generated(6):
        seen.add(decision.outcome)
        assert decision.reasons
        match decision.outcome:
            case Outcome.EXPLICITLY_DENIED:
                assert [reason.effect for reason in decision.reasons] == ["Deny"]
                assert decision.reasons[0].policy is not None
            case Outcome.ALLOWED:
                assert all(reason.effect == "Allow" or reason.note for reason in decision.reasons)
            case Outcome.IMPLICITLY_DENIED:
                assert all(isinstance(reason.policy_type, PolicyType) for reason in decision.reasons)
                assert all(reason.effect is None for reason in decision.reasons)
    assert seen == set(Outcome)


def test_index_finds_what_a_linear_scan_finds() -> None:
    """The index by action loses no statement."""
    compared = 0
    for _, case, decision in generated(7):
        policies = bundle(identity=case["policies"]["identity"] or ())
        action = decision.request.action.lower()
        request, layer = decision.request, policies.identity
        found = [*layer.denies(action, request.resource), *layer.allows(action, request.resource)]
        scanned = [
            statement
            for policy in layer
            for statement in policy.content.statements
            if statement.applies(request, action)
        ]
        assert {id(each) for each in scanned} <= {id(each.statement) for each in found}
        assert all(each.statement.matches_action(action) for each in found)
        compared += len(scanned)
    assert compared > 0
