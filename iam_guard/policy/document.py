"""A parsed policy: Document, Statement and ConditionTest, with their positions in the source (rules A).

A policy has three forms, in this order: text, Document, compiled policy. `parser` creates a Document; evaluation,
checks and analysis read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from iam_guard.model.decision import PolicyType

LATEST: Final = "2012-10-17"
LEGACY: Final = "2008-10-17"


class Effect(StrEnum):
    ALLOW = "Allow"
    DENY = "Deny"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the text: `line` from 1, `column` and `offset` from 0 (rule AA-26), in characters."""

    line: int
    column: int
    offset: int


PrincipalEntry: TypeAlias = tuple[str, str]
"""(kind, value); kind is `AWS`, `Federated`, `Service` or `CanonicalUser`; a bare `"*"` is `("AWS", "*")`, G-45."""

ANY_PRINCIPAL: Final = (("AWS", "*"),)


@dataclass(frozen=True, slots=True)
class ConditionTest:
    """One operator, one key, its values in string form (rule G-15), as written."""

    operator: str
    """As written, e.g. `ForAllValues:StringLikeIfExists`; its base is always one of the known operators."""
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. Of each pair `x` / `not_x` exactly one is set for actions, at most one for the others.

    None means that the element is absent, an empty tuple that it is an empty list (rule G-27).
    """

    index: int
    effect: Effect
    sid: str | None = None
    principals: tuple[PrincipalEntry, ...] | None = None
    not_principals: tuple[PrincipalEntry, ...] | None = None
    actions: tuple[str, ...] | None = None
    not_actions: tuple[str, ...] | None = None
    resources: tuple[str, ...] | None = None
    not_resources: tuple[str, ...] | None = None
    conditions: tuple[ConditionTest, ...] = ()
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A whole policy. `version` controls evaluation (rule G-4); `written_version` is None where it is absent.

    `text` is the source (canonical JSON if the source was a mapping); `digest` is the hex SHA-256 of the canonical
    JSON, without the type.
    """

    type: PolicyType
    version: str
    statements: tuple[Statement, ...]
    digest: str
    text: str
    written_version: str | None = None
    id: str | None = None
