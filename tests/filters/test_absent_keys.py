"""What counts as an absent key is declared for each: `null`, `empty` or `never`; the filter and `decide` agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.orm import Session

from iam_guard import Principal
from tests.filters.comparison import Comparison
from tests.filters.databases import DIALECTS, database
from tests.filters.generate import Case
from tests.filters.models import KINDS
from tests.filters.rows import HERE
from tests.tables import table

ANN = Principal.from_arn(f"arn:aws:iam::{HERE}:user/ann", userid="AIDAANN")
ALL = {"Effect": "Allow", "Action": "docs:*", "Resource": "*"}
TEXTS = {1: None, 2: "", 3: "public", 4: "Public", 5: " "}
"""Maps the numbers of rows to their classification."""

# condition, then the listed rows where NULL is absent, where an empty text is absent too, and where none is
EXPECTED: list[tuple[dict[str, Any], set[int], set[int], set[int]]] = [
    ({"Null": {"docs:Class": "true"}}, {1, 2}, {1, 2}, {2}),
    ({"Null": {"docs:Class": "false"}}, {3, 4, 5}, {3, 4, 5}, {3, 4, 5}),
    ({"StringEquals": {"docs:Class": ""}}, {2}, set(), {2}),
    ({"StringEquals": {"docs:Class": ["", "public"]}}, {2, 3}, {3}, {2, 3}),
    ({"StringLike": {"docs:Class": "*"}}, {2, 3, 4, 5}, {3, 4, 5}, {2, 3, 4, 5}),
    ({"StringNotEquals": {"docs:Class": "public"}}, {1, 2, 4, 5}, {1, 2, 4, 5}, {2, 4, 5}),
    ({"StringNotEquals": {"docs:Class": ""}}, {1, 3, 4, 5}, {1, 2, 3, 4, 5}, {3, 4, 5}),
    ({"StringNotLike": {"docs:Class": "*"}}, {1}, {1, 2}, set()),
    ({"StringEqualsIfExists": {"docs:Class": "public"}}, {1, 3}, {1, 2, 3}, {3}),
    ({"ForAnyValue:StringEquals": {"docs:Class": ["", "public"]}}, {3}, {3}, {3}),
    ({"ForAllValues:StringEquals": {"docs:Class": "public"}}, {1, 2, 3}, {1, 2, 3}, {2, 3}),
]


@pytest.fixture(scope="module", params=DIALECTS)
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    """Return a database with the texts, for each model."""
    common = {"account": HERE, "owner": "ann", "title": "plan", "tags": {}}
    rows = [common | {"number": number, "classification": value} for number, value in TEXTS.items()]
    paths: list[dict[str, Any]] = [{"id": 1}, {"id": "1", "folder": "a"}, {"id": "1"}]
    of_kinds = {kind.name: [row | path for row in rows] for kind, path in zip(KINDS, paths, strict=True)}
    with database(request.param, of_kinds) as opened:
        yield opened


def listed(session: Session, absent: str, statements: list[dict[str, Any]]) -> set[int]:
    """Return the rows of a filter, which are those that `decide` allows."""
    comparison = Comparison(session, KINDS[0], absent={"docs:Class": absent})
    policies = {"identity": [{"Version": "2012-10-17", "Statement": statements}]}
    rows, differences = comparison.compare(Case(KINDS[0], ANN, policies, {}))
    assert not differences, comparison.describe(differences[0])
    return rows


@table("place, absent", enumerate(["null", "empty", "never"]))
@table("condition, null, empty, never", EXPECTED)
def test_absent_key_in_an_allow(
    session: Session,
    place: int,
    absent: str,
    condition: dict[str, Any],
    null: set[int],
    empty: set[int],
    never: set[int],
) -> None:
    """A NULL where the key is declared as never absent cannot be decided about: it is in no list."""
    assert listed(session, absent, [ALL | {"Condition": condition}]) == [null, empty, never][place]


@table("place, absent", enumerate(["null", "empty", "never"]))
@table("condition, null, empty, never", EXPECTED)
def test_absent_key_in_a_deny(
    session: Session,
    place: int,
    absent: str,
    condition: dict[str, Any],
    null: set[int],
    empty: set[int],
    never: set[int],
) -> None:
    """The list has the other rows, without a NULL where the key is declared as never absent."""
    rows = set(TEXTS) - ({1} if absent == "never" else set())
    denying = ALL | {"Effect": "Deny", "Condition": condition}
    assert listed(session, absent, [ALL, denying]) == rows - [null, empty, never][place]


def test_absent_key_of_a_filter_without_it(session: Session) -> None:
    """The list has all rows: a key that no policy reads does not matter."""
    for absent in ("null", "empty", "never"):
        assert listed(session, absent, [ALL]) == set(TEXTS)
