"""The conformance cases: each has the outcome that its rule requires, and every rule has cases."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import jsonschema

from iam_guard.errors import IamGuardError
from iam_guard.testing.cases import decide_case, read_case
from tests.tables import table

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.jsonl"))
WITHOUT_CASE = {
    "C-4": "is about building a context, which a case cannot express; see tests/model/test_context.py",
    "C-45": "needs a failure of the evaluator; see tests/evaluation/test_evaluator.py",
    "E-6": "needs a failure of the evaluator; see tests/evaluation/test_evaluator.py",
    "E-72": "is strict here, which refuses only; the lenient mode is not offered",
    "E-65": "is out of scope of evaluation by its own text",
    "E-90": "is about the order of reporting; see tests/evaluation/test_evaluator.py",
    "P-4": "names the kinds of identifiers; nothing is decided by it alone",
    "P-5": "is about saving a policy",
    "P-8": "is about saving a policy",
    "P-11": "is about starting a session",
}


def cases(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def outcome(case: dict[str, Any]) -> str:
    try:
        decision = decide_case(read_case(case))
    except IamGuardError:
        return "error"
    return "error" if decision.error else decision.outcome.value


@table("path", FILES, ids=lambda path: path.stem)
def test_every_case_has_its_expected_outcome(path: Path) -> None:
    """N-7."""
    wrong = [f"{case['id']}: {outcome(case)}" for case in cases(path) if outcome(case) != case["expected"]]
    assert wrong == []


def test_cases_match_their_schema() -> None:
    """N-1 to N-5: the shape of a case, and unique ids."""
    validator = jsonschema.Draft202012Validator(json.loads((HERE / "schema.json").read_text(encoding="utf-8")))
    everything = [case for path in FILES for case in cases(path)]
    assert [case["id"] for case in everything if not validator.is_valid(case)] == []
    assert len({case["id"] for case in everything}) == len(everything) >= 600


def test_every_rule_has_allowed_and_denied_cases() -> None:
    """Sections B, C, D, F and G of the rules: at least one of each, or a reason why not."""
    outcomes: dict[str, set[bool]] = defaultdict(set)
    for path in FILES:
        for case in cases(path):
            outcomes[case["rule"]].add(case["expected"] == "Allowed")
    sections = [rule for rule in outcomes if rule.partition("-")[0] in ("M", "V", "C", "E", "P")]
    assert [rule for rule in sections if outcomes[rule] != {True, False} and rule not in WITHOUT_CASE] == []
    assert len(sections) >= 120
