"""Filters of findings, by the attributes that AWS's filter keys name (AA-13).

A filter maps keys to criteria. All keys must match; a criterion matches if each of its operators does: `eq` and
`contains` by any of their values, `neq` by none. An attribute may have several values, and one match is enough.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from iam_guard.api.access_analyzer.analyzer_errors import InvalidMember

Attributes: TypeAlias = Mapping[str, Sequence[str]]
"""The values of a finding by filter key; absent keys have no entry."""

COLUMNS: Final[Mapping[str, str]] = {
    "findingType": "type",
    "id": "id",
    "resource": "resource",
    "resourceOwnerAccount": "owner",
    "resourceType": "resource_type",
    "status": "status",
}
"""Filter key -> the column of the findings that has its value."""
_DETAILS: Final = (
    "accessType",
    "action",
    "isPublic",
    "principalOwnerAccount",
    "principalType",
    "resourceControlPolicyRestriction",
    "serviceControlPolicyRestriction",
)
"""Filter keys that are members of the details."""
TIMES: Final[Mapping[str, str]] = {"analyzedAt": "analyzed", "createdAt": "created", "updatedAt": "updated"}
"""Attributes that findings can be sorted by only -> their columns."""
_PRINCIPALS: Final = ("principal.AWS", "principal.CanonicalUser", "principal.Federated")
_CONDITION = re.compile(r"condition\.[^\s]{1,256}")
_KEYS: Final = frozenset({*COLUMNS, *_DETAILS, *_PRINCIPALS, "error"})
_VALUE_LISTS: Final = ("eq", "neq", "contains")
MAX_KEYS: Final = 50


@dataclass(frozen=True, slots=True)
class Criterion:
    """What one attribute must be; None for an operator that the filter does not have."""

    eq: frozenset[str] | None = None
    neq: frozenset[str] | None = None
    contains: tuple[str, ...] | None = None
    exists: bool | None = None

    def matches(self, values: Sequence[str]) -> bool:
        """Return whether the values of an attribute match; none for an absent one."""
        return (
            (self.eq is None or any(value in self.eq for value in values))
            and (self.neq is None or not any(value in self.neq for value in values))
            and (self.contains is None or any(part in value for value in values for part in self.contains))
            and (self.exists is None or bool(values) is self.exists)
        )


@dataclass(frozen=True, slots=True)
class FindingFilter:
    """A filter of findings: key -> criterion."""

    criteria: Mapping[str, Criterion]

    @classmethod
    def of(cls, given: Mapping[str, Mapping[str, Any]], more: Collection[str] = ()) -> FindingFilter:
        """Return the filter of a call. `more` are keys besides those of findings.

        Raises `InvalidMember` for an unknown key or an empty criterion.
        """
        if len(given) > MAX_KEYS:
            raise InvalidMember(f"expected at most {MAX_KEYS} keys in a filter, got {len(given)}")
        for key, criterion in given.items():
            check_key(key, more)
            if not criterion:
                raise InvalidMember(f"expected an operator in the criterion of {key}")
        return cls({filter_key(key): _criterion(criterion) for key, criterion in given.items()})

    def matches(self, attributes: Attributes) -> bool:
        """Return whether a finding matches."""
        return all(criterion.matches(attributes.get(key, ())) for key, criterion in self.criteria.items())

    @property
    def columns(self) -> dict[str, list[str]]:
        """The columns whose values the filter lists, for the query that reads the findings."""
        return {
            COLUMNS[key]: sorted(criterion.eq)
            for key, criterion in self.criteria.items()
            if key in COLUMNS and criterion.eq is not None
        }


def check_key(key: str, more: Collection[str] = ()) -> None:
    """Raise `InvalidMember` for a key that no finding has."""
    if key not in _KEYS and key not in more and _CONDITION.fullmatch(key) is None:
        raise InvalidMember(f"expected the name of an attribute of findings, got `{key[:200]}`")


def attributes_of(row: Mapping[Any, Any]) -> dict[str, list[str]]:
    """Return the attributes of a finding in the store."""
    attributes = {key: [str(row[column])] for key, column in COLUMNS.items()}
    for key, value in _attributes_of_content(row["content"]):
        attributes.setdefault(key, []).append(value)
    return attributes


def _attributes_of_content(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if content.get("error") is not None:
        yield "error", content["error"]
    for union in content["details"]:
        (details,) = union.values()
        for kind, principal in details.get("principal", {}).items():
            yield f"principal.{kind}", principal
        for key, value in details.get("condition", {}).items():
            yield filter_key(f"condition.{key}"), value
        for name in _DETAILS:
            if name in details:
                yield from ((name, text) for text in _texts(details[name]))


def _texts(value: Any) -> Sequence[str]:
    if isinstance(value, bool):
        return (str(value).lower(),)
    return value if isinstance(value, list) else (str(value),)


def _criterion(given: Mapping[str, Any]) -> Criterion:
    eq, neq, contains = (given.get(name) for name in _VALUE_LISTS)
    return Criterion(
        None if eq is None else frozenset(eq),
        None if neq is None else frozenset(neq),
        None if contains is None else tuple(contains),
        given.get("exists"),
    )


def filter_key(key: str) -> str:
    """Return a filter key; the names of condition keys are case-insensitive."""
    return key.lower() if key.startswith("condition.") else key
