"""Session tags: those that a call passes and those that a chained session inherits (rules S-20 to S-23).

Keys are the same without regard to case.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from iam_guard.api.call import Input
from iam_guard.api.session_limits import issued_to
from iam_guard.api.sts.sts_errors import InvalidParameterValue
from iam_guard.errors import ValidationError
from iam_guard.model.context import Given
from iam_guard.model.principal import Principal

MAX_TAGS = 50
_DUPLICATE = "Duplicate tag keys found. Please note that Tag keys are case insensitive."
_NOT_PASSED = "The specified transitive tag key must be included in the requested tags."
_INHERITED = (
    "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the "
    "calling session."
)


class SessionTags(NamedTuple):
    """The tags of a session to be made, and which of their keys are transitive."""

    tags: Mapping[str, str]
    transitive: tuple[str, ...]


def session_tags(caller: Principal, given: Input) -> SessionTags:
    """Return the tags of a new session. Raises `InvalidParameterValue`, `ValidationError`."""
    passed = passed_tags(given)
    inherited = inherited_tags(caller)
    if _folded(passed) & _folded(inherited):
        raise InvalidParameterValue(_INHERITED)
    wanted = {key.lower() for key in given.get("TransitiveTagKeys", ())}
    if not wanted <= _folded(passed):
        raise InvalidParameterValue(_NOT_PASSED)
    tags = {**inherited, **passed}
    if len(tags) > MAX_TAGS:
        raise ValidationError(f"expected at most {MAX_TAGS} session tags, those that are inherited among them")
    return SessionTags(tags, (*inherited, *(key for key in passed if key.lower() in wanted)))


def passed_tags(given: Input) -> dict[str, str]:
    """Return the tags that a call passes."""
    tags: dict[str, str] = {}
    for tag in given.get("Tags", ()):
        key = tag["Key"]
        if key.lower().startswith("aws:"):
            raise ValidationError("System tags cannot be added, updated or deleted by a customer.", place="Tags")
        if key.lower() in _folded(tags):
            raise InvalidParameterValue(_DUPLICATE)
        tags[key] = tag["Value"]
    return tags


def inherited_tags(caller: Principal) -> dict[str, str]:
    """Return the tags that the caller's session hands on: the transitive ones (S-22)."""
    issued = issued_to(caller)
    transitive = set() if issued is None else {key.lower() for key in issued.transitive_tag_keys}
    return {key: value for key, value in caller.tags.items() if key.lower() in transitive}


def tag_keys(given: Input) -> dict[str, Given]:
    """Return the condition keys of the tags that a call passes (S-23)."""
    passed = passed_tags(given)
    keys: dict[str, Given] = {f"aws:RequestTag/{key}": value for key, value in passed.items()}
    if passed:
        keys["aws:TagKeys"] = list(passed)
    if given.get("TransitiveTagKeys"):
        keys["sts:TransitiveTagKeys"] = list(given["TransitiveTagKeys"])
    return keys


def _folded(tags: Mapping[str, str]) -> set[str]:
    return {key.lower() for key in tags}
