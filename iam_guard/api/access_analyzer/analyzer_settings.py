"""The types of analyzers, and their configurations (rules AA-1, AA-10, AA-11)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

from iam_guard.api.access_analyzer.analyzer_errors import InvalidMember
from iam_guard.model.arn import is_account_id
from iam_guard.store.quotas import TAG_KEY_LENGTH, TAG_VALUE_LENGTH

DEFAULT_AGE: Final = 90
AGES: Final = range(1, 365 + 1)
"""Days without use after which access counts as unused."""
MAX_ENTRIES: Final = 2_000
"""Accounts, tags, resource types and ARNs in a configuration."""


class AnalyzerKind(StrEnum):
    """What an analyzer finds. The value is the member of its configuration, which external access does not have."""

    EXTERNAL = ""
    UNUSED = "unusedAccess"
    INTERNAL = "internalAccess"


def kind_of_analyzer(type: str) -> AnalyzerKind:
    if type.endswith("_UNUSED_ACCESS"):
        return AnalyzerKind.UNUSED
    return AnalyzerKind.INTERNAL if type.endswith("_INTERNAL_ACCESS") else AnalyzerKind.EXTERNAL


def is_of_organization(type: str) -> bool:
    """Return whether an analyzer has an organization as its zone of trust."""
    return type.startswith("ORGANIZATION")


def quota_of_type(type: str) -> int:
    """Return the maximum number of analyzers of a type in an account and Region."""
    return 5 if is_of_organization(type) and kind_of_analyzer(type) is not AnalyzerKind.INTERNAL else 1


def checked_configuration(type: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the configuration of an analyzer with its defaults. Raises `InvalidMember`."""
    kind = kind_of_analyzer(type)
    for name in given or ():
        if name != kind.value:
            raise InvalidMember(f"expected no configuration {name} of an analyzer of type {type}")
    if kind is AnalyzerKind.EXTERNAL:
        return {}
    inside = dict((given or {}).get(kind.value, {}))
    problem = next(_problems(kind, inside, is_of_organization=is_of_organization(type)), None)
    if problem is not None:
        raise InvalidMember(problem)
    if kind is AnalyzerKind.UNUSED:
        inside.setdefault("unusedAccessAge", DEFAULT_AGE)
    return {kind.value: inside}


def _problems(kind: AnalyzerKind, inside: Mapping[str, Any], *, is_of_organization: bool) -> Iterator[str]:
    """Yield what is wrong with the configuration of unused or internal access."""
    if inside.get("unusedAccessAge", DEFAULT_AGE) not in AGES:
        yield f"expected unusedAccessAge between 1 and {AGES[-1]}, got `{inside['unusedAccessAge']}`"
    rules = inside.get("analysisRule", {})
    criteria = rules.get("exclusions" if kind is AnalyzerKind.UNUSED else "inclusions", ())
    if sum(len(values) for criterion in criteria for values in criterion.values()) > MAX_ENTRIES:
        yield f"expected at most {MAX_ENTRIES} entries in analysisRule"
    for criterion in criteria:
        if not criterion:
            yield "expected at least one member in each criterion of analysisRule"
        if kind is AnalyzerKind.UNUSED and "accountIds" in criterion and not is_of_organization:
            yield "expected accountIds only in the exclusions of an analyzer of an organization"
        for account in criterion.get("accountIds", ()):
            if not is_account_id(account):
                yield f"expected an account id in accountIds, got `{account[:200]}`"
        for tags in criterion.get("resourceTags", ()):
            if len(tags) != 1:
                yield f"expected one tag in each entry of resourceTags, got {len(tags)}"
            for key, value in tags.items():
                if not 1 <= len(key) <= TAG_KEY_LENGTH or len(value) > TAG_VALUE_LENGTH:
                    yield f"expected the key and the value of a tag in resourceTags, got `{key[:200]}`"
        for arn in criterion.get("resourceArns", ()):
            if arn.count(":") < 5 or not arn.startswith("arn:"):
                yield f"expected an ARN in resourceArns, got `{arn[:200]}`"
