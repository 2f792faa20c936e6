"""ValidatePolicy: an example and a near miss for each code, paths, spans, and any text as input."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import botocore
import pytest
from botocore.model import ServiceModel
from hypothesis import given
from hypothesis import strategies as st

from iam_guard.analysis.lint.lint_codes import HINTS, NOT_REPORTED, help_page
from iam_guard.analysis.lint.policy_validation import POLICY_TYPES, reference_index, validate_policy
from iam_guard.errors import InvalidInput
from iam_guard.model.decision import PolicyType
from iam_guard.policy.finding_codes import LEVELS
from iam_guard.policy.json_tree import steps_of
from tests.analysis.lint.code_cases import CASES, TRUST, Case, references, statement
from tests.policy.strategies import documents
from tests.tables import table

INDEX = reference_index(references())
PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "lint-codes.md"


def validated(document: Any, type: str, resource_type: str | None = None) -> tuple[str, list[dict[str, Any]]]:
    """Return the text of a policy and its findings."""
    text = document if isinstance(document, str) else json.dumps(document, indent=2)
    return text, validate_policy(text, type, resource_type, INDEX)


def path_of(at: str) -> list[dict[str, Any]]:
    steps = steps_of(at.removesuffix("#"))
    path: list[dict[str, Any]] = [{"index": step} if isinstance(step, int) else {"value": step} for step in steps]
    return [*path[:-1], {"key": steps[-1]}] if at.endswith("#") else path


def is_in_text(text: str, span: dict[str, dict[str, int]]) -> bool:
    """Return whether a span lies in the text, and its lines and columns agree with its offsets."""
    for position in (span["start"], span["end"]):
        before = text[: position["offset"]]
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1)
        if not 0 <= position["offset"] <= len(text) or (position["line"], position["column"]) != (line, column):
            return False
    return span["start"]["offset"] <= span["end"]["offset"]


@table("case", CASES, ids=[case.code for case in CASES])
def test_code_is_found_at_its_place(case: Case) -> None:
    """AA-22 to AA-26: the path leads to the value or name, and the span contains it; the near miss is not reported."""
    text, findings = validated(case.found, case.type, case.resource_type)
    where = [location for fault in findings if fault["issueCode"] == case.code for location in fault["locations"]]
    path = path_of(case.at)
    [span] = [
        location["span"] for location in where if [step for step in location["path"] if "substring" not in step] == path
    ]
    assert is_in_text(text, span)
    if isinstance(case.found, dict) and not any("substring" in step for step in where[0]["path"]):
        value: Any = case.found
        for step in path:
            value = step["key"] if "key" in step else value[step.get("value", step.get("index"))]
        assert json.loads(text[span["start"]["offset"] : span["end"]["offset"]]) == value
    _, near = validated(case.near, case.type, case.resource_type)
    assert case.code not in {fault["issueCode"] for fault in near}


def test_every_code_has_an_example() -> None:
    """The codes of the table of hints, except the one about lists of an application."""
    assert {case.code for case in CASES} == HINTS.keys() - {"STATEMENT_NOT_FILTERABLE"}


def test_every_code_of_aws_is_reported_or_explained() -> None:
    assert LEVELS.keys() <= HINTS.keys() | NOT_REPORTED.keys()
    assert not HINTS.keys() & NOT_REPORTED.keys()


def test_every_code_has_an_anchor_on_its_page() -> None:
    """`learnMoreLink` leads there."""
    page = PAGE.read_text()
    for code in (*HINTS, *NOT_REPORTED):
        assert f'<a id="{help_page(code).partition("#")[2]}"></a>`{code}`' in page


def test_finding_has_the_members_of_the_model() -> None:
    """botocore's model of ValidatePolicy: all required members, no other, of the right types."""
    data = Path(botocore.__file__).parent / "data" / "accessanalyzer" / "2019-11-01" / "service-2.json.gz"
    model = ServiceModel(json.loads(gzip.decompress(data.read_bytes())))
    shape = model.operation_model("ValidatePolicy").output_shape
    for case in CASES:
        _, findings = validated(case.found, case.type, case.resource_type)
        check_shape({"findings": findings}, shape)


def check_shape(value: Any, shape: Any) -> None:
    match shape.type_name:
        case "structure":
            assert set(shape.required_members) <= value.keys() <= shape.members.keys()
            assert len(value) == 1 or not shape.metadata.get("union")
            for name, member in value.items():
                check_shape(member, shape.members[name])
        case "list":
            for member in value:
                check_shape(member, shape.member)
        case "integer":
            assert type(value) is int
        case _:
            assert type(value) is str
            assert not shape.enum or value in shape.enum


def test_substring_is_the_variable() -> None:
    """In a string with escape sequences, too: the substring counts characters, the span those of the text."""
    document = (
        '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::\\u00e4\\n${}"}}'
    )
    [found] = [fault for fault in validated(document, "IDENTITY_POLICY")[1] if fault["issueCode"] == "EMPTY_VARIABLE"]
    [location] = found["locations"]
    assert location["path"][-1] == {"substring": {"start": 15, "length": 3}}
    assert document[location["span"]["start"]["offset"] : location["span"]["end"]["offset"]] == "${}"


@table(
    ("type", "resource_type"),
    [("IDENTITY", None), ("", None), ("IDENTITY_POLICY", "AWS::S3::Bucket"), ("SERVICE_CONTROL_POLICY", "x")],
)
def test_invalid_type_is_refused(type: str, resource_type: str | None) -> None:
    with pytest.raises(InvalidInput):
        validate_policy("{}", type, resource_type, INDEX)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
NAMES = ("Version", "Statement", "Effect", "Action", "Resource", "Principal", "Condition", "Sid", "NotAction", "Id")
ALMOST = st.dictionaries(st.sampled_from(NAMES), JSON | st.dictionaries(st.sampled_from(NAMES), JSON), max_size=5)
TEXTS = st.text() | (JSON | ALMOST).map(json.dumps) | ALMOST.map(lambda one: json.dumps({"Statement": [one]}, indent=1))


@given(TEXTS, st.sampled_from(sorted(POLICY_TYPES)))
def test_any_text_has_findings_in_it(text: str, type: str) -> None:
    """It never raises, and every span lies in the text."""
    for finding in validate_policy(text, type, None, INDEX):
        assert all(is_in_text(text, location["span"]) for location in finding["locations"])


TYPES = st.sampled_from([*((name, None) for name in POLICY_TYPES), ("RESOURCE_POLICY", TRUST)])


@given(st.data(), TYPES)
def test_any_document_has_findings_in_it(data: st.DataObject, kind: tuple[str, str | None]) -> None:
    """Of its type, or of another one."""
    name, resource_type = kind
    drawn = st.sampled_from([PolicyType.TRUST if resource_type else POLICY_TYPES[name], *PolicyType])
    text = json.dumps(data.draw(documents(data.draw(drawn))), indent=3)
    for finding in validate_policy(text, name, resource_type, INDEX):
        assert all(is_in_text(text, location["span"]) for location in finding["locations"])


def test_findings_are_in_the_order_of_the_text() -> None:
    text, findings = validated({"Statement": [statement(Sid=""), statement(Action=["docs:Gett"])]}, "IDENTITY_POLICY")
    starts = [fault["locations"][0]["span"]["start"]["offset"] for fault in findings]
    assert starts == sorted(starts)
    assert len(findings) == 3
    assert text[starts[0]] == "{"
