"""All values are bound: none of the policies, the caller, the context or the tags' keys is in the text of the query."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from iam_guard import Principal
from tests.filters.comparison import Comparison
from tests.filters.databases import DIALECTS, database
from tests.filters.generate import Case
from tests.filters.models import KINDS
from tests.filters.rows import HERE, Row
from tests.tables import table

MARK = "zq"
"""All values below contain it, or are these numbers, dates and addresses."""
NUMBERS = ["86420", "864209753", "8642.5"]
OTHERS = ["1987", "198.51.100", "3325256704", "203.0.113", "888877776666"]
ANN = Principal.from_arn(f"arn:aws:iam::{HERE}:user/zq-ann", userid="AIDAZQ", tags={"team": "zq-team"})
RESOURCES = [
    "arn:aws:docs:*:888877776666:document/zq*",
    "arn:aws:docs:*:*:*/zq?/${aws:username}",
    "arn:aws:docs:*:*:*/zq",
]
CONDITION = {
    "StringEquals": {"docs:Class": ["zq-1", "zq-2"], "aws:ResourceTag/zq-key": "${aws:PrincipalTag/team}"},
    "StringNotEquals": {"docs:Owner": "zq-3", "aws:ResourceTag/zq'\"key": ["zq-4", "zq-5"]},
    "StringLike": {"docs:Title": ["zq*", "*zq%_"], "aws:ResourceTag/zq.key": "z?-zq*"},
    "StringNotLike": {"docs:Class": "*zq", "aws:ResourceTag/zq[0]": "zq-${docs:Mode}"},
    "NumericEquals": {"docs:Size": NUMBERS[0]},
    "NumericLessThan": {"docs:Size": NUMBERS[1], "docs:Price": NUMBERS[2]},
    "DateGreaterThan": {"docs:Created": "1987-06-05T04:03:02Z"},
    "IpAddress": {"docs:Address": ["198.51.100.0/24", "203.0.113.77"]},
    "Null": {"aws:ResourceTag/zq-none": "true"},
    "ForAllValues:StringLike": {"aws:ResourceTag/zq-all": ["zq*", "*zq"]},
}
INJECTIONS = [
    *[
        "' OR '1'='1",
        "'; DROP TABLE document; --",
        '" OR ""="',
        "\\' OR 1=1 --",
        "%' OR 1=1 --",
        "x' || 'y",
        "') OR ('1'='1",
    ],
    *[
        "%s",
        "%(x)s",
        "%",
        "%%",
        ":x",
        ":param_1",
        "?",
        "$1",
        "{}",
        "{0}",
        "{tags}",
        "E'\\x27'",
        "$$x$$",
        "/*",
        "*/",
        "--",
    ],
    *[
        '$."a"',
        "$[0]",
        '"]."x',
        "a' COLLATE NOCASE",
        "x\\",
        "\\",
        "''",
        "NULL",
        "[]",
        "{a,b}",
        "'\n'",
        "`",
        '"',
        "a\"b'c",
    ],
]


@pytest.fixture(scope="module", params=DIALECTS)
def comparisons(request: pytest.FixtureRequest) -> Iterator[list[Comparison]]:
    """Return rows whose texts, tags and their keys are statements of SQL, for each model."""
    rows: list[Row] = []
    for number, text in enumerate(["", *INJECTIONS], 1):
        tags = {text: "x", "team": text} if text else {}
        rows.append({"number": number, "account": HERE, "classification": text, "owner": "ann", "tags": tags})
    paths: list[Row] = [{"id": 1}, {"id": "1", "folder": "a"}, {"id": "1"}]
    of_kinds = {kind.name: [row | path for row in rows] for kind, path in zip(KINDS, paths, strict=True)}
    with database(request.param, of_kinds) as session:
        yield [Comparison(session, kind) for kind in KINDS]


def _sent(session: Session, comparison: Comparison, case: Case) -> list[str]:
    """Return the statements that the database got for a case."""
    engine = session.get_bind()
    sent: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        sent.append(statement)

    sa.event.listen(engine, "before_cursor_execute", record)
    try:
        _, differences = comparison.compare(case)
    finally:
        sa.event.remove(engine, "before_cursor_execute", record)
    assert not differences, comparison.describe(differences[0])
    return sent


def _policies(*statements: dict[str, Any]) -> dict[str, Any]:
    common = {"Effect": "Allow", "Action": "docs:*", "Resource": "*"}
    return {"identity": [{"Version": "2012-10-17", "Statement": [common | statement for statement in statements]}]}


def test_query_has_no_value_in_its_text(comparisons: list[Comparison]) -> None:
    """In Allow and Deny, with all operators, resources, tags and variables; and it is one query."""
    except_these = {"Effect": "Deny", "Action": "docs:*", "NotResource": RESOURCES, "Condition": CONDITION}
    policies = _policies(
        {"Resource": RESOURCES, "Condition": CONDITION},
        *(
            {"Condition": {operator: {key: values}}}
            for operator in CONDITION
            for key, values in CONDITION[operator].items()
        ),
        {"Effect": "Deny", "Resource": RESOURCES, "Condition": CONDITION},
    )
    policies["identity"][0]["Statement"].append(except_these)
    for comparison in comparisons:
        case = Case(comparison.kind, ANN, policies, {"docs:Mode": "zq-mode"})
        sent = _sent(comparison.session, comparison, case)
        assert len(sent) == 1
        assert MARK in str(policies)
        for text in (MARK, "888877776666", HERE, *NUMBERS, *OTHERS):
            assert text not in sent[0], text


@table("text", INJECTIONS)
def test_injected_text_is_a_value(comparisons: list[Comparison], text: str) -> None:
    """As a policy's value, as a pattern, as a tag's value and as the key of a tag."""
    literal = text.replace("$", "${$}").replace("*", "${*}").replace("?", "${?}")
    conditions: list[dict[str, Any]] = [
        {"StringEquals": {"docs:Class": literal}},
        {"StringLike": {"docs:Class": f"{literal}*"}},
        {"StringEquals": {"aws:ResourceTag/team": literal}},
        {"StringLike": {"aws:ResourceTag/team": literal}},
        {"StringEquals": {f"aws:ResourceTag/{text}": "x"}},
        {"Null": {f"aws:ResourceTag/{text}": "false"}},
    ]
    number = INJECTIONS.index(text) + 2
    for comparison in comparisons:
        for condition in conditions:
            policies = _policies({"Condition": condition})
            listed, differences = comparison.compare(Case(comparison.kind, ANN, policies, {}))
            assert not differences, comparison.describe(differences[0])
            assert number in listed
            assert len(listed) < len(comparison.rows)
        denied = _policies({}, {"Effect": "Deny", "Resource": "*", "Condition": conditions[0]})
        listed, differences = comparison.compare(Case(comparison.kind, ANN, denied, {}))
        assert not differences, comparison.describe(differences[0])
        assert listed == set(comparison.rows) - {number}


@table("text", INJECTIONS)
def test_injected_text_in_a_resource_is_a_value(comparisons: list[Comparison], text: str) -> None:
    """A pattern of a resource with it matches no row, and the query is valid."""
    literal = text.replace("$", "${$}").replace("*", "${*}").replace("?", "${?}")
    for comparison in comparisons:
        policies = _policies(
            {"Resource": [f"arn:aws:docs:us-east-1:{HERE}:*{literal}/*", f"arn:aws:docs:*:*:*/{literal}?"]}
        )
        listed, differences = comparison.compare(Case(comparison.kind, ANN, policies, {}))
        assert not differences, comparison.describe(differences[0])
        assert not listed
