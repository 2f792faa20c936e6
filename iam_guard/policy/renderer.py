"""Render a Document as JSON (rules G-7, G-14, G-45): `parse(render(document))` is equivalent to `document`.

The normal form: elements in AWS's order, `Statement` always a list, a list of exactly one string as the string, every
principal as `"Principal": "*"`, tests grouped by operator, no empty `Condition`. The source text is `Document.text`;
canonical JSON is in `json_tree`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from iam_guard.policy.document import ANY_PRINCIPAL, ConditionTest, Document, PrincipalEntry, Statement


def render(document: Document) -> dict[str, Any]:
    """Return the document as decoded JSON."""
    return _without_absent(
        Version=document.written_version,
        Id=document.id,
        Statement=[_statement(statement) for statement in document.statements],
    )


def to_json(document: Document, indent: int | None = None) -> str:
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


def _strings(values: Sequence[str] | None) -> str | list[str] | None:
    if values is None:
        return None
    return values[0] if len(values) == 1 else list(values)  # G-14


def _principals(entries: tuple[PrincipalEntry, ...] | None) -> str | dict[str, Any] | None:
    if entries is None:
        return None
    if entries == ANY_PRINCIPAL:
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
