"""Allows of many tags, which a filter in PostgreSQL searches for with a second condition that parses them once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session, aliased

from iam_guard import Principal, compile_policies, filter_statement
from tests.filters.comparison import Comparison
from tests.filters.databases import DIALECTS, database
from tests.filters.generate import ACTION, Case
from tests.filters.models import DOCUMENTS, KINDS, RECORDS, Document, Kind
from tests.filters.rows import HERE

ANN = Principal.from_arn(f"arn:aws:iam::{HERE}:user/ann", userid="AIDAANN")
KEYS = ["team", "stage", "cost", "key", "park", "zone"]
SPELLED = [*KEYS, *map(str.upper, KEYS), *map(str.title, KEYS), "\u212aey", "PAR\u212a", "pa\u212a"]
VALUES = ["red", "Red", "RED", "r\u212ad", "rkd", "rKd", "", '"', "a, b", "\\", "é", "É", "10"]
OTHERS = [None, 10, True, ["red"], {"team": "red"}]
POLICIES = 40


@pytest.fixture(scope="module", params=DIALECTS)
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    """Return a database with tags in all letter cases for each model."""
    rng = random.Random(22)
    tags = [
        {key: rng.choice(VALUES if rng.random() < 0.9 else OTHERS) for key in rng.sample(SPELLED, rng.randint(0, 6))}
        for _ in range(120)
    ]
    rows = [{"account": HERE, "owner": "ann", "number": number, "tags": value} for number, value in enumerate(tags, 1)]
    paths: list[dict[str, Any]] = [{"id": 1}, {"id": "1", "folder": "a"}, {"id": "1"}]
    of_kinds = {kind.name: [row | path for row in rows] for kind, path in zip(KINDS, paths, strict=True)}
    for row in of_kinds[RECORDS.name]:
        row["tags"] = {key: value if isinstance(value, str) else None for key, value in row["tags"].items()}
    with database(request.param, of_kinds) as opened:
        yield opened


def statement(rng: random.Random, effect: str, key: str) -> dict[str, Any]:
    equal = {"StringEquals": {f"aws:ResourceTag/{key}": rng.sample(VALUES, rng.randint(1, 3))}}
    return {"Effect": effect, "Action": "docs:*", "Resource": "*", "Condition": equal}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_rows_with_one_of_many_tags_are_listed(session: Session, kind: Kind) -> None:
    comparison, rng, seen = Comparison(session, kind), random.Random(24), set()
    for _ in range(POLICIES):
        statements = [statement(rng, "Allow", rng.choice(SPELLED)) for _ in range(rng.randint(3, 8))]
        statements += [statement(rng, "Deny", rng.choice(SPELLED)) for _ in range(rng.randint(0, 2))]
        policies = {"identity": [{"Version": "2012-10-17", "Statement": statements}]}
        rows, differences = comparison.compare(Case(kind, ANN, policies, {}))
        assert not differences, comparison.describe(differences[0])
        seen.add(frozenset(rows))
    assert len(seen) > POLICIES / 2


def test_alias_update_and_delete_have_the_same_rows(session: Session) -> None:
    comparison, rng = Comparison(session, DOCUMENTS), random.Random(26)
    statements = [statement(rng, "Allow", key) for key in KEYS]
    authorizer = compile_policies(identity=[{"Version": "2012-10-17", "Statement": statements}])
    expected = comparison.listed(authorizer, Case(DOCUMENTS, ANN, {}, {}))

    def filtered(query: Any) -> Any:
        dialect = comparison.dialect
        return filter_statement(authorizer, ANN, query, ACTION, resource_type=comparison.declared, dialect=dialect)

    other, first = aliased(Document), aliased(Document)
    joined = sa.select(other.number).select_from(other).join(sa.select(first.id).limit(1).subquery(), sa.true())
    assert set(session.scalars(filtered(joined))) == expected
    updated = filtered(sa.update(Document).values(owner="cid")).returning(Document.number)
    assert set(session.scalars(updated)) == expected
    assert set(session.scalars(filtered(sa.delete(Document)).returning(Document.number))) == expected
    session.rollback()
    assert 0 < len(expected) < len(comparison.rows)
