"""The table of record classes, and its copy in the documentation."""

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
    refusing_classes,
)
from iam_guard.errors import ConfigurationError
from tests.tables import table

PAGE = Path(__file__).resolve().parents[3] / "docs/explanation/audit-failures.md"


@table(
    ("action", "row"),
    [
        ("iam:CreateUser", ADMIN),
        ("IAM:PutUserPolicy", ADMIN),
        ("iam:ListUsers", ADMIN),
        ("sts:AssumeRole", ADMIN),
        ("sts:GetSessionToken", ADMIN),  # the name looks read-only, but it issues a session
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
def test_class_of_allow_depends_on_the_action_name(action: str, row: RecordClass) -> None:
    """An unrecognized name counts as a change."""
    assert class_of_allow(action) is row


def test_fail_open_excludes_classes_from_refusal() -> None:
    assert refusing_classes(("read",)) == {"admin", "change", "write"}
    assert refusing_classes(()) == {"admin", "change", "write", "read"}
    assert refusing_classes(("read", "write")) == {"admin", "change"}


@table("name", ["admin", "change", "denial", "reads", ""])
def test_fail_open_with_other_class_is_rejected(name: str) -> None:
    """Administrative calls, above all, never proceed unrecorded."""
    with pytest.raises(ConfigurationError, match="expected classes of read, write"):
        refusing_classes([name])


def test_documentation_lists_the_record_classes() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| `")]
    assert rows[: len(CLASSES)] == [
        f"| `{row.name}` | {row.description} | {row.waits} | {row.on_failure.value} |" for row in CLASSES
    ]
    assert [row.on_failure for row in CLASSES if row.is_durable] == [OnFailure.REFUSE, OnFailure.REPORT]
