"""The table of classes: what belongs where, and that the documentation has the same table."""

from __future__ import annotations

from pathlib import Path

import pytest

from iam_guard.audit.record.record_classes import (
    ADMIN,
    CLASSES,
    READ,
    WRITE,
    OnFailure,
    RecordClass,
    class_of_allow,
    classes_that_refuse,
)
from iam_guard.errors import ConfigurationError

PAGE = Path(__file__).resolve().parents[3] / "docs/explanation/audit-failures.md"


@pytest.mark.parametrize(
    ("action", "row"),
    [
        ("iam:CreateUser", ADMIN),
        ("IAM:PutUserPolicy", ADMIN),
        ("iam:ListUsers", ADMIN),
        ("sts:AssumeRole", ADMIN),
        ("sts:GetSessionToken", ADMIN),  # a name that seems to read, and issues a session
        ("sts:AssumeRoleWithWebIdentity", ADMIN),
        ("organizations:AttachPolicy", ADMIN),
        ("docs:GetDocument", READ),
        ("docs:ListDocuments", READ),
        ("docs:DeleteDocument", WRITE),
        ("docs:Getaway", WRITE),  # not the word `Get`
        ("docs:getDocument", WRITE),
        ("docs:Frobnicate", WRITE),
        ("docs:", WRITE),
        ("nonsense", WRITE),
    ],
)
def test_an_allow_belongs_to_the_class_that_its_action_names(action: str, row: RecordClass) -> None:
    """In doubt it changes something."""
    assert class_of_allow(action) is row


def test_only_what_reads_may_go_on_by_default() -> None:
    assert classes_that_refuse(("read",)) == {"admin", "change", "write"}
    assert classes_that_refuse(()) == {"admin", "change", "write", "read"}
    assert classes_that_refuse(("read", "write")) == {"admin", "change"}


@pytest.mark.parametrize("name", ["admin", "change", "denial", "reads", ""])
def test_no_other_class_can_be_chosen(name: str) -> None:
    """Least of all that administration goes on unrecorded."""
    with pytest.raises(ConfigurationError, match="expected classes of read, write"):
        classes_that_refuse([name])


def test_the_page_has_the_table() -> None:
    """A class, what it holds, for what the answer waits, and what follows."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| `")]
    assert rows[: len(CLASSES)] == [
        f"| `{row.name}` | {row.holds} | {row.waits} | {row.on_failure.value} |" for row in CLASSES
    ]
    assert [row.on_failure for row in CLASSES if row.is_durable] == [OnFailure.REFUSE, OnFailure.TELL]
