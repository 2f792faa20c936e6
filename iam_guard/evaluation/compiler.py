"""Document -> compiled, remembered by content and shared by everybody (style, "one datum, few forms").

A compiled document answers one question fast: which of its statements can speak about this action. Literal actions are
found by dictionary; wildcards are tried once per action and the result is remembered. A compiled document depends on
its text alone, so it is never stale.
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from cachetools import LRUCache

from iam_guard.evaluation.matching.statement import CompiledStatement, compile_statement
from iam_guard.forking import fork_safe_lock
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.policy.document import Document
from iam_guard.policy.parser import parse

PolicySource: TypeAlias = Mapping[str, Any] | str | bytes
"""A policy document as callers hand it in: decoded, or JSON text."""

_DOCUMENTS = 4096
MAX_ACTIONS = 4096
"""Actions whose statements are remembered, of one document or one layer."""

_MAX_VALUES = 100_000
"""Of a tree whose compiled form is remembered."""
_WITHOUT_REFERENCES = 2
"""The version of the image in which equal values have equal images."""


class CompiledDocument:
    """One document, compiled and indexed by action. Safe to share between threads."""

    __slots__ = ("_by_action", "_literal", "_wild", "document", "statements")

    def __init__(self, document: Document) -> None:
        self.document = document
        self.statements = tuple(
            compile_statement(each, document.version, document.type) for each in document.statements
        )
        self._literal: dict[str, list[CompiledStatement]] = {}
        self._wild: list[CompiledStatement] = []
        for statement in self.statements:
            if statement.action_literals is None:
                self._wild.append(statement)
            for action in statement.action_literals or ():
                self._literal.setdefault(action, []).append(statement)
        self._by_action: dict[str, tuple[CompiledStatement, ...]] = {}

    def about(self, action: str) -> tuple[CompiledStatement, ...]:
        """Return the statements whose action element matches `action` (lower case), in document order."""
        found = self._by_action.get(action)
        return self._resolve(action) if found is None else found

    def _resolve(self, action: str) -> tuple[CompiledStatement, ...]:
        matching = self._literal.get(action, []) + [each for each in self._wild if each.matches_action(action)]
        matching.sort(key=lambda each: each.statement.index)
        found = tuple(matching)
        if len(self._by_action) >= MAX_ACTIONS:  # actions may come from callers: forget rather than grow
            self._by_action.clear()
        self._by_action[action] = found
        return found


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """A compiled document under the name by which a decision names it."""

    ref: PolicyRef
    content: CompiledDocument


_remembered: LRUCache[tuple[PolicyType, str | bytes], CompiledDocument] = LRUCache(_DOCUMENTS)
_lock = fork_safe_lock()


def compile_policy(source: PolicySource, ref: PolicyRef) -> CompiledPolicy:
    """Parse and compile a document, once per content; raise `PolicyError` when it is refused (rule N-9)."""
    content = _content(source)
    if content is None:
        return CompiledPolicy(ref, CompiledDocument(parse(source, ref.type)))
    key = ref.type, content
    with _lock:
        found = _remembered.get(key)
    if found is None:
        found = CompiledDocument(parse(source, ref.type))
        with _lock:
            _remembered[key] = found
    return CompiledPolicy(ref, found)


def _content(source: Any) -> str | bytes | None:
    """Return what stands for the content of a source: the text, or the image of what was handed in decoded.

    Text and tree are kept apart: a tree has no lines to point at. The image is the fastest that tells every two values
    apart, 1 from `true` and 1.0 too; None for what is no plain dict, list or scalar, and for bytes.
    """
    if isinstance(source, (str, bytes)):
        return source if isinstance(source, str) else None
    try:
        return marshal.dumps(source, _WITHOUT_REFERENCES) if _is_finite(source) else None
    except ValueError:
        return None


def _is_finite(source: Any) -> bool:
    """Return whether a tree has a sensible number of values; one that contains itself has no end."""
    pending, left = [source], _MAX_VALUES
    while pending and left:
        left -= 1
        each = pending.pop()
        if isinstance(each, dict):
            pending.extend(each.values())
        elif isinstance(each, list):
            pending.extend(each)
    return not pending
