"""The findings of the checks of one policy document."""

from __future__ import annotations

from typing import NamedTuple

from iam_guard.policy.document import Document, Position
from iam_guard.policy.document_check import CHECKS, STORED
from iam_guard.policy.fault import Reading
from iam_guard.policy.finding_codes import LEVELS
from iam_guard.policy.json_text import read_json


class Finding(NamedTuple):
    """A fault with its level and place; `position` is None if the source was not text (AA-26)."""

    level: str
    code: str
    message: str
    place: str
    position: Position | None


def check(document: Document, *, stored: bool = True, partition: str = "aws") -> list[Finding]:
    """Return the findings in the order of the table; with `stored`, also those for documents that IAM stores."""
    reading = Reading(document, read_json(document.text), partition)
    is_text = any(statement.position for statement in document.statements)
    findings = []
    for rule in (*STORED, *CHECKS) if stored else CHECKS:
        for fault in rule(reading):
            place, position = reading.source.locate(fault.path, name=fault.name)
            level = LEVELS[fault.code]
            findings.append(Finding(level, fault.code, fault.message, place, position if is_text else None))
    return findings
