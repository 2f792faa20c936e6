"""Whom a change concerns: the table says of tables what the questions of the store bear out (rule T-9)."""

from __future__ import annotations

import pytest
from sqlalchemy import Table
from sqlalchemy.sql import visitors
from sqlalchemy.sql.expression import ClauseElement

from iam_guard.store import invalidation, queries
from iam_guard.store.decision_query import decision_query
from iam_guard.store.invalidation import Invalidation
from iam_guard.store.schema import metadata

QUESTIONS: list[ClauseElement] = [
    queries.epoch(),
    decision_query("sqlite", has_principal=True, account_count=2, has_resource=True),
    queries.access_key("AKIA1"),
    queries.api_key("abcd"),
    queries.anchors(),
    queries.anchors_lists(),
    queries.profiles(),
    queries.default_texts(["ANPA1"]),
]


def read_tables() -> set[str]:
    """All tables that an answer about a caller, an account or a resource is made from."""
    return {each.name for question in QUESTIONS for each in visitors.iterate(question) if isinstance(each, Table)}


def test_all_questions_are_looked_at() -> None:
    """A question that is added to the room must be added here."""
    asked = {name for name, each in vars(queries).items() if getattr(each, "__module__", "") == queries.__name__}
    assert {name for name in asked if name[0] != "_"} - {"sought"} == {
        "epoch", "access_key", "api_key", "anchors", "anchors_lists", "profiles", "default_texts",
    }  # fmt: skip


def test_tables_of_nobody_are_read_by_no_question() -> None:
    """The others are known to the table of tables, or a change of theirs concerns everybody."""
    assert invalidation.UNCACHED_TABLES & read_tables() == set()
    assert invalidation.UNCACHED_TABLES | read_tables() == set(metadata.tables)
    assert read_tables() >= invalidation._NEWCOMERS
    assert set(invalidation._HOLDERS) <= read_tables()


@pytest.mark.parametrize("table", sorted(metadata.tables))
def test_each_table(table: str) -> None:
    """What is changed in another way than the table of tables says concerns everybody."""
    seen = Invalidation()
    seen.changed(table, {"id": "AIDA1"})
    assert seen.everybody == (table not in invalidation.UNCACHED_TABLES)
    assert not seen.identities
    assert not seen.newcomers


@pytest.mark.parametrize(
    ("table", "where", "values", "identities"),
    [
        ("attachments", {"identity_id": "AIDA1", "policy_id": "ANPA1"}, None, {"AIDA1"}),
        ("inline_policies", {"identity_id": "AROA1", "folded": "x"}, {"text": "{}"}, {"AROA1"}),
        ("memberships", {"user_id": "AIDA1"}, None, {"AIDA1"}),
        ("attachments", {"identity_id": "AGPA1"}, None, None),
        ("attachments", {"identity_id": ["AIDA1"]}, None, None),
        ("attachments", {"policy_id": "ANPA1"}, None, None),
        ("attachments", {"identity_id": "AIDA1"}, {"identity_id": "AIDA2"}, None),
        ("memberships", {"group_id": "AGPA1"}, None, None),
    ],
)
def test_holders(
    table: str, where: dict[str, object], values: dict[str, object] | None, identities: set[str] | None
) -> None:
    """A user or role that is named alone is concerned alone; in doubt it is everybody."""
    seen = Invalidation()
    seen.changed(table, where, values)
    assert seen.everybody == (identities is None)
    assert seen.identities == (identities or set())
