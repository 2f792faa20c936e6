"""Compile policy documents, and cache them by content.

A compiled document finds the statements about an action quickly: literal actions by a dictionary; wildcards are
matched once per action, and the result is cached. It depends on the document's text alone, so it is never stale.
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
"""A policy document as decoded JSON or JSON text."""

_MAX_DOCUMENTS = 4096
MAX_ACTIONS = 4096
"""Maximum number of actions whose statements are cached, per document or layer."""

_MAX_VALUES = 100_000
"""Maximum number of values of a decoded document that is cached."""
_MARSHAL_VERSION = 2
"""The last version without references: equal values have equal bytes."""


class CompiledDocument:
    """One document, compiled and indexed by action. Safe to share between threads."""

    __slots__ = ("_by_action", "_literal", "_wild", "document", "statements")

    def __init__(self, document: Document) -> None:
        self.document = document
        self.statements = tuple(
            compile_statement(statement, document.version, document.type) for statement in document.statements
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
        cached = self._by_action.get(action)
        return self._resolve(action) if cached is None else cached

    def _resolve(self, action: str) -> tuple[CompiledStatement, ...]:
        matching = self._literal.get(action, []) + [wild for wild in self._wild if wild.matches_action(action)]
        matching.sort(key=lambda compiled: compiled.statement.index)
        statements = tuple(matching)
        if len(self._by_action) >= MAX_ACTIONS:  # actions may come from callers: bound the cache
            self._by_action.clear()
        self._by_action[action] = statements
        return statements


@dataclass(frozen=True, slots=True)
class CompiledPolicy:
    """A compiled document and the reference that decisions report it by."""

    ref: PolicyRef
    content: CompiledDocument


_cache: LRUCache[tuple[PolicyType, str | bytes], CompiledDocument] = LRUCache(_MAX_DOCUMENTS)
_lock = fork_safe_lock()


def compile_policy(source: PolicySource, ref: PolicyRef) -> CompiledPolicy:
    """Parse and compile a document, once per content; raise `PolicyError` if it is refused (rule N-9)."""
    content = _content(source)
    if content is None:
        return CompiledPolicy(ref, CompiledDocument(parse(source, ref.type)))
    key = ref.type, content
    with _lock:
        compiled = _cache.get(key)
    if compiled is None:
        compiled = CompiledDocument(parse(source, ref.type))
        with _lock:
            _cache[key] = compiled
    return CompiledPolicy(ref, compiled)


def _content(source: Any) -> str | bytes | None:
    """Return the cache key of a source: its text, or the marshalled bytes of decoded JSON; None if it is not cached.

    Text and decoded JSON have different keys, because only text has positions. `marshal` is the fastest serializer
    that distinguishes all values, also 1, 1.0 and `true`. Bytes, and values that are not plain JSON, are not cached.
    """
    if isinstance(source, (str, bytes)):
        return source if isinstance(source, str) else None
    try:
        return marshal.dumps(source, _MARSHAL_VERSION) if _is_finite(source) else None
    except ValueError:
        return None


def _is_finite(source: Any) -> bool:
    """Return whether a tree has at most `_MAX_VALUES` values; one that contains itself has not."""
    pending, left = [source], _MAX_VALUES
    while pending and left:
        left -= 1
        value = pending.pop()
        if isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return not pending
