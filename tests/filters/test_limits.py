"""Large policies, threads, refusals, and values that the principal has too."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from iam_guard import AccessRequest, NotFilterable, Principal, compile_policies, filter_statement
from iam_guard.evaluation.partial.formula import Readable
from iam_guard.filters.dialects import DialectCondition
from tests.filters.databases import DIALECTS, database
from tests.filters.models import DOCUMENTS, KINDS
from tests.filters.rows import HERE, Row, make_rows

ANN = Principal.from_arn(f"arn:aws:iam::{HERE}:user/ann", userid="AIDAANN")
MAPPING = DOCUMENTS.declare()


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "docs:*", "Resource": "*", **statement} for statement in statements
        ],
    }


@pytest.mark.parametrize("dialect", DIALECTS)
def test_thousands_of_patterns_are_one_query(dialect: str) -> None:
    """SQLite limits the depth of an expression to 1,000."""
    numbers = range(2500)
    authorizer = compile_policies(
        identity=[
            policy({"Condition": {"StringLike": {"docs:Class": [*(f"*a{number}*b" for number in numbers), "r*"]}}}),
            policy({"Effect": "Deny", "Condition": {"StringLike": {"aws:ResourceTag/x": [f"*{n}?" for n in numbers]}}}),
            policy(
                {"Effect": "Deny", "Condition": {"StringLike": {"docs:Owner": [f"*{number}?" for number in numbers]}}}
            ),
        ]
    )
    rows: dict[str, list[Row]] = {kind.name: [] for kind in KINDS}
    rows[DOCUMENTS.name] = make_rows(DOCUMENTS)[:80]
    for row in rows[DOCUMENTS.name][::3]:
        row["classification"] = "red"
    with database(dialect, rows) as session:
        query = filter_statement(
            authorizer, ANN, sa.select(DOCUMENTS.model), "docs:Get", resource_type=MAPPING, dialect=dialect
        )
        found, decided = {item.number for item in session.scalars(query)}, 0
        for item in session.scalars(
            sa.select(DOCUMENTS.model).where(DOCUMENTS.model.id.is_not(None), DOCUMENTS.model.account == HERE)
        ):
            request = AccessRequest.for_resource(ANN, "docs:Get", MAPPING.resource_of(item))
            assert authorizer.decide(request).allowed == (item.number in found)
            decided += 1
    assert 0 < len(found) < decided


def test_threads_never_share_the_number_of_a_tag() -> None:
    columns = MAPPING.columns("sqlite", DOCUMENTS.model.__table__)
    names = [f"aws:resourcetag/concurrent-{number}" for number in range(400)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: columns.simplify(Readable(name)), names * 5))
    numbers = [columns._numbers[name] for name in names]
    assert len(set(numbers)) == len(names)


def test_key_of_the_principal_is_refused() -> None:
    """Where the resource has no value, a decision takes that of the session, which no column has."""
    caller = replace(ANN, session={"docs:Class": "red"})
    authorizer = compile_policies(identity=[policy({"Condition": {"StringEquals": {"docs:Class": "red"}}})])
    every, options = sa.select(DOCUMENTS.model), {"resource_type": MAPPING, "dialect": "sqlite"}
    filter_statement(authorizer, ANN, every, "docs:Get", **options)  # whose formula must not be used
    with pytest.raises(NotFilterable, match="a key of the principal too"):
        filter_statement(authorizer, caller, every, "docs:Get", **options)


@pytest.mark.parametrize("action", ["iam:GetUser", "sts:AssumeRole", "kms:Decrypt"])
def test_services_with_rules_of_their_own_are_refused(action: str) -> None:
    authorizer = compile_policies(identity=[policy({"Action": "*"})])
    with pytest.raises(NotFilterable, match="are not filtered"):
        filter_statement(authorizer, ANN, sa.select(DOCUMENTS.model), action, resource_type=MAPPING, dialect="sqlite")


def test_refused_condition_is_not_taken_for_one_that_lists_nothing() -> None:
    """SQLAlchemy caches compiled statements by the forms of a condition."""
    empty = DialectCondition({"sqlite": sa.false(), "postgresql": sa.true()})
    refused = DialectCondition({"sqlite": NotFilterable("a reason"), "postgresql": sa.true()})
    with database("sqlite") as session:
        assert session.scalars(sa.select(DOCUMENTS.model).where(empty)).all() == []
        with pytest.raises(NotFilterable, match="a reason"):
            session.scalars(sa.select(DOCUMENTS.model).where(refused))
