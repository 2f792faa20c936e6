"""The record of a filtered list; `test_record` has its golden files."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from iam_guard.audit.record.list_record import list_record
from iam_guard.audit.record.record import Stamp
from iam_guard.model.list_filter import ListFilter
from iam_guard.model.principal import Principal
from tests.tables import table

STAMP = Stamp(datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC), "event-1")
ALICE = Principal.from_arn("arn:aws:iam::111122223333:user/alice")
LIST = ListFilter(
    principal=ALICE, action="docs:GetDocument", resource_type="docs document", digest="3d" * 32, outcome="some"
)


def extension_of(list_filter: ListFilter) -> Any:
    return list_record(list_filter, None, STAMP)["iamGuard"]


@table(
    ("action", "is_read_only"),
    [("docs:GetDocument", True), ("docs:ListDocuments", True), ("docs:DeleteDocument", False), ("docs:", False)],
)
def test_list_is_read_only_if_the_action_of_its_rows_is(action: str, is_read_only: bool) -> None:
    """The name `FilterList` says nothing about it."""
    assert list_record(replace(LIST, action=action), None, STAMP)["readOnly"] is is_read_only


@table("rows", [0, 1, 2**40])
def test_known_number_of_rows_is_recorded(rows: int) -> None:
    """Zero, too."""
    assert extension_of(replace(LIST, rows=rows))["filter"]["rows"] == rows


def test_unknown_members_are_absent() -> None:
    """A list that was decided in memory has no condition, so no digest."""
    extension = extension_of(replace(LIST, digest=""))
    assert "epoch" not in extension
    assert extension["filter"].keys() == {"action", "resourceType", "outcome", "superset"}


@table("outcome", ["all", "none", "some"])
def test_outcome_of_the_condition_is_no_decision(outcome: Any) -> None:
    """Tools that count Allows and denials find neither."""
    extension = extension_of(replace(LIST, outcome=outcome))
    assert extension["filter"]["outcome"] == outcome
    assert "outcome" not in extension
