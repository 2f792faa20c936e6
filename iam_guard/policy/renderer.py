"""From a Document back to JSON (rules G-7, G-14, G-45): `parse(render(document))` means what `document` means.

The normal form: elements in the order in which AWS prints them, `Statement` always a list, a list of exactly one string
as the string, everybody as `"Principal": "*"`, tests grouped by operator, an empty `Condition` left out. Must not live
here: the text as somebody wrote it (`Document.text`, returned as it is), the canonical text (`json_tree`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from iam_guard.policy.document import ConditionTest, Document, PrincipalEntry, Statement


def render(document: Document) -> dict[str, Any]:
    """Return the document as what JSON decodes to."""
    return _without_absent(
        Version=document.written_version,
        Id=document.id,
        Statement=[_statement(statement) for statement in document.statements],
    )


def to_json(document: Document, indent: int | None = None) -> str:
    """Write the document as JSON text."""
    return json.dumps(render(document), indent=indent, ensure_ascii=False)


def _statement(statement: Statement) -> dict[str, Any]:
    return _without_absent(
        Sid=statement.sid,
        Effect=str(statement.effect),
        Principal=_principals(statement.principals),
        NotPrincipal=_principals(statement.not_principals),
        Action=_strings(statement.actions),
        NotAction=_strings(statement.not_actions),
        Resource=_strings(statement.resources),
        NotResource=_strings(statement.not_resources),
        Condition=_conditions(statement.conditions) or None,
    )


def _without_absent(**elements: Any) -> dict[str, Any]:
    return {name: value for name, value in elements.items() if value is not None}


def _strings(values: Iterable[str] | None) -> str | list[str] | None:
    if values is None:
        return None
    listed = list(values)
    return listed[0] if len(listed) == 1 else listed  # G-14


def _principals(entries: tuple[PrincipalEntry, ...] | None) -> str | dict[str, Any] | None:
    if entries is None:
        return None
    if entries == (("AWS", "*"),):
        return "*"  # G-45
    kinds: dict[str, list[str]] = {}
    for kind, value in entries:
        kinds.setdefault(kind, []).append(value)
    return {kind: _strings(values) for kind, values in kinds.items()}


def _conditions(tests: Iterable[ConditionTest]) -> dict[str, Any]:
    operators: dict[str, dict[str, Any]] = {}
    for test in tests:
        operators.setdefault(test.operator, {})[test.key] = _strings(test.values)
    return operators
