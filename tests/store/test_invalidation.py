"""Invalidation by changes: the sets of tables agree with the queries of the store (rule T-9)."""

from __future__ import annotations

from sqlalchemy import Table
from sqlalchemy.sql import visitors
from sqlalchemy.sql.expression import ClauseElement

from iam_guard.store import invalidation, queries
from iam_guard.store.decision_query import decision_query
from iam_guard.store.invalidation import Invalidation
from iam_guard.store.schema import metadata
from tests.tables import table

QUERIES: list[ClauseElement] = [
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
    """Return the tables that cached answers are read from."""
    return {table.name for query in QUERIES for table in visitors.iterate(query) if isinstance(table, Table)}


def test_every_query_is_in_the_list() -> None:
    """A new function in `queries` must be added to the list here."""
    names = {name for name, value in vars(queries).items() if getattr(value, "__module__", "") == queries.__name__}
    assert {name for name in names if name[0] != "_"} - {"storable"} == {
        "epoch", "access_key", "api_key", "anchors", "anchors_lists", "profiles", "default_texts",
    }  # fmt: skip


def test_uncached_tables_are_read_by_no_query() -> None:
    """All other tables are known, so that their changes invalidate something."""
    assert invalidation.UNCACHED_TABLES & read_tables() == set()
    assert invalidation.UNCACHED_TABLES | read_tables() == set(metadata.tables)
    assert read_tables() >= invalidation._NEGATIVE_ONLY
    assert set(invalidation._OWNER_COLUMNS) <= read_tables()


@table("table", sorted(metadata.tables))
def test_unlisted_change_invalidates_all_callers(table: str) -> None:
    """A change in another way than the tables of `invalidation` list invalidates all callers."""
    invalidated = Invalidation()
    invalidated.changed(table, {"id": "AIDA1"})
    assert invalidated.all_callers == (table not in invalidation.UNCACHED_TABLES)
    assert not invalidated.identities
    assert not invalidated.new_rows


@table(
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
def test_change_of_one_identity_invalidates_it_alone(
    table: str, where: dict[str, object], values: dict[str, object] | None, identities: set[str] | None
) -> None:
    """Any other change invalidates all callers."""
    invalidated = Invalidation()
    invalidated.changed(table, where, values)
    assert invalidated.all_callers == (identities is None)
    assert invalidated.identities == (identities or set())
