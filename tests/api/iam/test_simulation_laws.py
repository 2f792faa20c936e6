"""Properties of simulations: they agree with decisions, and statement positions are exact."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iam_guard.api.iam.simulation.results import DECISIONS
from iam_guard.api.iam.simulation.statement_positions import statement_positions
from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.model.decision import Outcome, PolicyType
from iam_guard.policy.parser import parse
from iam_guard.store.sql_store import SqlStore
from iam_guard.testing.cases import decide_case, read_case
from tests.api.iam.simulation_parts import run_as_admin, store_with_admin
from tests.oracle.generate import generate_case
from tests.tables import table

CASES = Path(__file__).parents[2] / "cases"
Case = dict[str, Any]


@pytest.fixture(scope="module")
def store() -> Iterator[SqlStore]:
    """A store without the entities of the cases, whose policies are all in the call."""
    opened = store_with_admin()
    yield opened
    opened.close()


# --- agreement with decisions ------------------------------------------------------------------------------------


def simulated(store: SqlStore, case: Case) -> str:
    """Simulate a case, and return its outcome in the cases' terms."""
    request, policies = case["request"], case["policies"]
    levels = policies.get("scps")
    given: Case = {
        "PolicyInputList": [json.dumps(policy) for policy in policies["identity"]],
        "ActionNames": [request["action"]],
        "ResourceArns": [request["resource"]],
        "ResourceOwner": f"arn:aws:iam::{request['resource_account']}:root",
        "CallerArn": caller_of(case),
        "ContextEntries": list(entries_of(request)),
    }
    if policies.get("resource") is not None:
        given["ResourcePolicy"] = json.dumps(policies["resource"])
    if policies.get("permissions_boundary") is not None:
        given["PermissionsBoundaryPolicyInputList"] = [json.dumps(policies["permissions_boundary"])]
    if levels is not None:
        given["OrderedOrganizationPolicyInputList"] = [
            {"ServiceControlPolicyInputList": [json.dumps(each) for each in level]} for level in levels
        ]
    try:
        answer = run_as_admin(store, "SimulateCustomPolicy", **given)
    except InvalidInput:
        return "error"
    (result,) = answer["EvaluationResults"]
    return {word: outcome.value for outcome, word in DECISIONS.items()}[result["EvalDecision"]]


def entries_of(request: Case) -> Iterator[Case]:
    """Return the context of a case, and the unique id that the simulator can't know, as entries."""
    known = {"aws:userid": request["principal"].get("userid")} | request["context"]
    for key, value in known.items():
        if isinstance(value, list):
            values = [json.dumps(each) if isinstance(each, bool) else str(each) for each in value]
            yield {"ContextKeyName": key, "ContextKeyValues": values, "ContextKeyType": "stringList"}
        elif value is not None:
            text = json.dumps(value) if isinstance(value, bool) else str(value)
            yield {"ContextKeyName": key, "ContextKeyValues": [text], "ContextKeyType": "string"}


def caller_of(case: Case) -> str:
    principal = case["request"]["principal"]
    arn: str = principal.get("role_arn", principal["arn"])
    return arn


def can_be_asked(case: Case) -> bool:
    """Return whether the simulator supports a case: a user or role, with policies of the types that it accepts.

    It knows no unique ids and session names, and rejects resource policies for `*` and empty levels of control
    policies.
    """
    request, policies = case["request"], case["policies"]
    principal, text = request["principal"], json.dumps([policies.get("resource"), request["context"]])
    is_plain = principal["type"] in ("User", "AssumedRole") and not principal.get("boundary")
    has_others = any(policies.get(name) is not None for name in ("session", "rcps", "vpc_endpoint"))
    names_ids = any(word in text for word in ('"AIDA', '"AROA', ":assumed-role/")) or "userid" not in principal
    return (
        is_plain
        and not has_others
        and not names_ids
        and request["resource_account"] is not None
        and not (request["resource"] == "*" and policies.get("resource") is not None)
        and all(policies.get("scps") or [True])
        and [] not in request["context"].values()
    )


def cases() -> list[Case]:
    """Return every fifth case of a kind that the simulator supports; the law below draws others."""
    lines = [line for path in sorted(CASES.glob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines()]
    return [case for case in map(json.loads, lines) if can_be_asked(case)][::5]


ASKED = cases()


def test_most_kinds_of_cases_are_supported() -> None:
    """The tests below cover every outcome, both kinds of callers, each type of policy."""
    assert len(ASKED) > 200
    assert {case["expected"] for case in ASKED} >= {outcome.value for outcome in Outcome}
    assert {case["request"]["principal"]["type"] for case in ASKED} == {"User", "AssumedRole"}
    for name in ("resource", "permissions_boundary", "scps"):
        assert any(case["policies"].get(name) for case in ASKED), name


@table("case", ASKED, ids=lambda case: case["id"])
def test_simulated_case_has_the_expected_outcome(case: Case, store: SqlStore) -> None:
    """Section N: the simulator and decisions agree on the conformance cases."""
    assert simulated(store, case) == case["expected"]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(min_value=0))
def test_simulation_agrees_with_the_decision(seed: int, store: SqlStore) -> None:
    """Rules A to F: for random policies and requests."""
    rng = random.Random(seed)
    while not can_be_asked(case := _reduced(generate_case(rng))):
        pass
    try:
        decided = decide_case(read_case(case))
        expected = "error" if decided.error else decided.outcome.value
    except PolicyError:
        expected = "error"
    assert simulated(store, case) == expected


def _reduced(case: Case) -> Case:
    """Remove the types of policies that the simulator doesn't support."""
    kept = ("identity", "resource", "permissions_boundary", "scps")
    return case | {"policies": {name: policy for name, policy in case["policies"].items() if name in kept}}


# --- statement positions ----------------------------------------------------------------------------------------

SPACES = st.text(alphabet=" \t\r\n", max_size=3)
TEXTS = st.text(alphabet='ab "\\{}[],:é\u2028\n', max_size=8)
VALUES = st.one_of(TEXTS, st.booleans(), st.integers(), st.lists(TEXTS, max_size=3))


@st.composite
def statements(draw: st.DrawFn) -> dict[str, Any]:
    conditions = draw(st.dictionaries(st.sampled_from(["a:b", "c:d"]), VALUES, max_size=2))
    return {
        "Sid": draw(TEXTS),
        "Effect": draw(st.sampled_from(["Allow", "Deny"])),
        "Action": draw(st.sampled_from(["s3:*", ["s3:GetObject", "s3:PutObject"]])),
        "Resource": "*",
        "Condition": {"StringEquals": conditions},
    }


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """Serialize JSON with random white space and escapes."""
    match value:
        case dict():
            members = [f"{draw(written(key))}{draw(SPACES)}:{draw(written(each))}" for key, each in value.items()]
            inside = ",".join(f"{draw(SPACES)}{member}" for member in members)
            text = f"{{{inside}{draw(SPACES)}}}"
        case list():
            text = f"[{','.join([draw(written(each)) for each in value])}{draw(SPACES)}]"
        case _:
            text = json.dumps(value, ensure_ascii=draw(st.booleans()))
    return f"{draw(SPACES)}{text}{draw(SPACES)}"


@st.composite
def policies(draw: st.DrawFn) -> tuple[str, list[dict[str, Any]]]:
    """Return a policy with its statements in a list, or with a single statement."""
    listed = draw(st.lists(statements(), min_size=1, max_size=4))
    whole: Any = listed if len(listed) > 1 or draw(st.booleans()) else listed[0]
    members = {"Statement": whole} | ({"Version": "2012-10-17"} if draw(st.booleans()) else {})
    keys = draw(st.permutations(list(members)))
    return draw(written({key: members[key] for key in keys})), listed


@settings(max_examples=60, deadline=None)
@given(policies())
def test_statement_positions_enclose_the_statement(policy: tuple[str, list[dict[str, Any]]]) -> None:
    """From the end of what precedes it to its closing brace."""
    text, listed = policy
    document = parse(text, PolicyType.IDENTITY)
    for place, statement in zip(statement_positions(document), listed, strict=True):
        start, end = offset_of(text, place["StartPosition"]), offset_of(text, place["EndPosition"])
        between = text[start:end].lstrip(" \t\r\n,")
        assert json.loads(between if between.startswith("{") else "{" + between) == statement


def offset_of(text: str, position: dict[str, int]) -> int:
    """Convert line and column to an offset."""
    return sum(map(len, split_lines(text)[: position["Line"] - 1])) + position["Column"] - 1


def split_lines(text: str) -> list[str]:
    """Split at CR, LF and CRLF only."""
    lines, line = [], ""
    for number, char in enumerate(text):
        line += char
        if char == "\n" or (char == "\r" and text[number + 1 : number + 2] != "\n"):
            lines.append(line)
            line = ""
    return [*lines, line]
