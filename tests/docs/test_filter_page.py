"""Check the table of operators and columns on the page about lists: what it calls exact is translated."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Enum,
    Float,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Uuid,
    select,
)

from iam_guard import NotFilterable, Principal, Service, compile_policies, filter_statement
from iam_guard.evaluation.matching.operators import OPERATORS
from tests.tables import table

PAGE = Path(__file__).resolve().parents[2] / "docs/how-to/filter-lists.md"
TYPES: Final[dict[str, Any]] = {
    "text": String(),
    "integer": Integer(),
    "float": Float(),
    "decimal": Numeric(10, 2),
    "boolean": Boolean(),
    "enumeration": Enum("a", "b", name="choice"),
    "datetime": DateTime(timezone=True),
    "UUID": Uuid(),
}
THINGS = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("tags", JSON),
    *(Column(name, type) for name, type in TYPES.items()),
)
KEYS: Final = {f"docs:{name}": THINGS.c[name] for name in TYPES}
ADA = Principal.from_arn("arn:aws:iam::111122223333:user/ada")
things = Service("docs").resource_type(
    "thing", "thing/{id}", model=THINGS, account="111122223333", tags=THINGS.c.tags, keys=KEYS
)

[HEADER, _, *LINES] = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in PAGE.read_text(encoding="utf-8").split("| Operators |")[1].partition("\n\n")[0].splitlines()
]
VALUES: Final = {
    "Numeric": "5",
    "Date": "2026-01-01T00:00:00Z",
    "Ip": "10.0.0.0/8",
    "NotIp": "10.0.0.0/8",
    "Arn": "arn:aws:docs:us-east-1:111122223333:thing/*",
    "Bool": "true",
    "Null": "true",
    "Binary": "YQ==",
}


def operators_of(cell: str) -> list[str]:
    """Return the operators of a row; "and the other …" are those of the same kind."""
    named = [name for name in re.findall(r"`(\w+)`", cell) if name in OPERATORS or name == "Null"]
    kind = re.search(r"and the other (\w+) operators", cell)
    return named + [name for name in OPERATORS if kind and name.lower().startswith(kind[1])]


def value_of(operator: str, cell: str) -> str:
    wildcard = "2*" if "wildcard" in cell else "abc"
    return next((value for beginning, value in VALUES.items() if operator.startswith(beginning)), wildcard)


def is_translated(operator: str, key: str, value: str, dialect: str) -> bool:
    statement = {"Effect": "Allow", "Action": "docs:Get", "Resource": "*", "Condition": {operator: {key: value}}}
    authorizer = compile_policies(identity=[{"Version": "2012-10-17", "Statement": [statement]}])
    try:
        filter_statement(authorizer, ADA, select(THINGS), "docs:Get", resource_type=things, dialect=dialect)
    except NotFilterable:
        return False
    return True


def word_of(operator: str, key: str, value: str) -> str:
    on_sqlite, on_postgresql = (is_translated(operator, key, value, name) for name in ("sqlite", "postgresql"))
    return "exact" if on_sqlite and on_postgresql else "PostgreSQL" if on_postgresql else "refused"


@table("row", LINES, ids=lambda row: row[0])
def test_operators_are_translated_as_documented(row: list[str]) -> None:
    operators = operators_of(row[0])
    assert operators
    found = []
    for names in HEADER:
        keys = ["aws:ResourceTag/a" if name == "tag" else f"docs:{name}" for name in names.split(", ")]
        cases = [(operator, key) for operator in operators for key in keys]
        words = {word_of(*case, value_of(case[0], row[0])) for case in cases}
        found.append(words.pop() if len(words) == 1 else "differs")
    assert found == row[1:]


def test_every_operator_is_in_the_table() -> None:
    assert {name for row in LINES for name in operators_of(row[0])} == OPERATORS.keys() | {"Null"}


def test_variables_are_translated_as_documented() -> None:
    """The page names the columns whose value is compared with another value of the row, on either side."""
    named = {"text", "integer", "boolean", "enumeration", "UUID"}
    for name in TYPES:
        on_the_left = word_of("StringEquals", f"docs:{name}", "${aws:ResourceTag/a}")
        on_the_right = word_of("StringEquals", "aws:ResourceTag/a", f"${{docs:{name}}}")
        assert on_the_left == on_the_right == ("exact" if name in named else "refused"), name
