"""Rows that another program wrote: values that SQLAlchemy reads, and would have written otherwise.

SQLite keeps texts in columns of numbers and dates without microseconds; JSON may have a key twice; floats may be NaN.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from iam_guard import NotFilterable, Principal
from tests.filters.comparison import WIDER, Comparison
from tests.filters.databases import DIALECTS, database
from tests.filters.generate import Case
from tests.filters.models import KINDS
from tests.filters.rows import HERE

ANN = Principal.from_arn(f"arn:aws:iam::{HERE}:user/ann", userid="AIDAANN")
ALL = {"Effect": "Allow", "Action": "docs:*", "Resource": "*"}

FLOATS = ["'NaN'", "'Infinity'", "'-Infinity'"]
ON_SQLITE = {
    "size": ["'ten'", "''", "10.5", "1e30", "'0x10'", "' 10'", "x'3130'"],
    "price": ["'ten'", "''", "9e999", "-9e999", "x'31'"],
    "is_public": ["2", "-1"],
    "created_at": ["'2026-01-01 00:00:00'", "'2026-01-01'", "'2026-01-01 00:00:00.5'", "'2026-01-01 00:00:00.0000001'"],
    "classification": ["'public' || char(0) || 'x'", "char(0)", "'public' || char(0)", "10", "x'7075626C6963'"],
    "address": ["'10.1.2.3' || char(0)", "x'31302E312E322E33'"],
    "tags": ['\'{"team": "red", "team": "blue"}\'', '\'{"team": "blue", "team": "red"}\''],
}
ON_POSTGRESQL = {
    "price": FLOATS,
    "tags": ['\'{"team": "red", "team": "blue"}\'', '\'{"team": "blue", "team": "red"}\''],
}
ON_SQLITE["tags"] += [
    '\'{"team": "red", "Team": "blue", "team": "x"}\'',
    '\'{"te\\u0061m": "red"}\'',
    '\' {"team":"red"}\'',
]
ON_SQLITE["tags"] += [
    '\'{"team": "red\\u0000x"}\'',
    "'{\"team\": 1e999}'",
    "'{\"team\": NaN}'",
    '\'{"team": "r\\u00e9d"}\'',
]
ON_POSTGRESQL["tags"] += ['\'{"te\\u0061m": "red"}\'', '\' {"team":"red"}\'', '\'{"team": "r\\u00e9d"}\'']
INEXACT = [literal for values in ON_SQLITE.values() for literal in values if "char(0)" in literal or "u0000" in literal]
INEXACT += [literal for literal in ON_SQLITE["tags"] if literal.count('"team"') > 1]
INEXACT += ["'2026-01-01'", "'2026-01-01 00:00:00.5'", "'2026-01-01 00:00:00.0000001'"]
"""What the databases read in another way than Python does: such rows may be missing in a list."""
CONDITIONS: dict[str, list[dict[str, Any]]] = {
    "size": [{f"Numeric{order}": {"docs:Size": "10"}} for order in ("Equals", "NotEquals", "LessThan", "GreaterThan")],
    "price": [{f"Numeric{order}": {"docs:Price": "1"}} for order in ("Equals", "NotEquals", "LessThan", "GreaterThan")],
    "is_public": [{"Bool": {"docs:Public": value}} for value in ("true", "false")],
    "created_at": [
        {f"Date{order}": {"docs:Created": "2026-01-01T00:00:00Z"}}
        for order in ("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")
    ],
    "classification": [
        {f"String{operator}": {"docs:Class": value}}
        for operator in ("Equals", "NotEquals", "Like", "NotLike")
        for value in ("public", "", "publi*", "*c", "publi?", "public?", "*x", "?", "10", "1*")
    ],
    "address": [{operator: {"docs:Address": "10.0.0.0/8"}} for operator in ("IpAddress", "NotIpAddress")],
    "tags": [
        {f"String{operator}": {"aws:ResourceTag/team": value}}
        for operator in ("Equals", "NotEquals", "Like", "NotLike")
        for value in ("red", "blue", "r*d", "r?d", "*", "red?x")
    ],
}
CONDITIONS["tags"] += [{"Null": {"aws:ResourceTag/team": value}} for value in ("true", "false")]
CONDITIONS["size"].append({"Null": {"docs:Size": "true"}})


def _changes(dialect: str) -> list[tuple[str, str]]:
    """Return the columns and literals of the rows."""
    literals = ON_SQLITE if dialect == "sqlite" else ON_POSTGRESQL
    return [(column, literal) for column, values in literals.items() for literal in values]


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Suppress the log of rows that cannot be decided."""
    caplog.set_level(logging.CRITICAL, "iam_guard")


@pytest.fixture(scope="module", params=DIALECTS)
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    """Return a database whose rows were changed by SQL."""
    changes = _changes(request.param)
    common = {"account": HERE, "owner": "ann", "tags": {}}
    rows = [common | {"number": number} for number, _ in enumerate(changes, 1)]
    paths: list[dict[str, Any]] = [{"id": 1}, {"id": "1", "folder": "a"}, {"id": "1"}]
    of_kinds = {kind.name: [row | path for row in rows] for kind, path in zip(KINDS, paths, strict=True)}
    with database(request.param, of_kinds) as opened:
        for kind, (number, (column, literal)) in product(KINDS[:2], enumerate(changes, 1)):
            text = f"UPDATE {kind.name} SET {column} = {literal} WHERE number = {number}"  # noqa: S608
            opened.connection().exec_driver_sql(text)
        opened.commit()
        yield opened


@pytest.mark.parametrize("kind", KINDS[:2], ids=lambda kind: kind.name)
def test_row_of_another_program_is_decided_equally(session: Session, kind: Any, subtests: pytest.Subtests) -> None:
    """A filter lists such a row as `decide` allows it, or refuses; it is never wider.

    A row that cannot be decided is in no list.
    """
    comparison = Comparison(session, kind)
    literals = [literal for _, literal in _changes(comparison.dialect)]
    inexact = {number for number, literal in enumerate(literals, 1) if literal in INEXACT}
    for condition, effect in product(
        [one for of_column in CONDITIONS.values() for one in of_column], ["Allow", "Deny"]
    ):
        statements = [{**ALL, "Effect": effect, "Condition": condition}, *([ALL] if effect == "Deny" else [])]
        case = Case(kind, ANN, {"identity": [{"Version": "2012-10-17", "Statement": statements}]}, {})
        with suppress(NotFilterable), subtests.test(f"{effect} {condition}"):
            _, differences = comparison.compare(case)
            wrong = [found for found in differences if found.problem == WIDER or found.number not in inexact]
            assert not wrong, comparison.describe(wrong[0])


def test_rows_of_another_program_are_read(session: Session) -> None:
    """The rows have the values that the statements above wrote."""
    dialect = session.get_bind().dialect.name
    rows = session.scalars(sa.select(KINDS[1].model)).all()
    assert len(rows) == len(_changes(dialect))
    assert {"team": "blue"} in [row.tags for row in rows]
