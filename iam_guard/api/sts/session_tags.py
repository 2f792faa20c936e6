"""Session tags: those of a call and those inherited by role chaining (S-20 to S-23).

Keys are case-insensitive.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from iam_guard.api.call import Input, ServiceCall
from iam_guard.api.service_errors import InvalidParameterValue
from iam_guard.api.session_limits import session_issuance
from iam_guard.errors import ValidationError
from iam_guard.model.context import Given
from iam_guard.model.principal import Principal

MAX_TAGS = 50
_INHERITED = (
    "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the "
    "calling session."
)


class SessionTags(NamedTuple):
    """The tags of a new session, and the keys of the transitive ones."""

    tags: Mapping[str, str]
    transitive: tuple[str, ...]


def session_tags(caller: Principal, parameters: Input) -> SessionTags:
    """Return the tags of a new session. Raises `InvalidParameterValue`, `ValidationError`."""
    passed = passed_tags(parameters)
    inherited = inherited_tags(caller)
    if _folded(passed) & _folded(inherited):
        raise InvalidParameterValue(_INHERITED)
    transitive = {key.lower() for key in parameters.get("TransitiveTagKeys", ())}
    if not transitive <= _folded(passed):
        raise InvalidParameterValue("The specified transitive tag key must be included in the requested tags.")
    tags = {**inherited, **passed}
    if len(tags) > MAX_TAGS:
        raise ValidationError(f"expected at most {MAX_TAGS} session tags including inherited ones, got {len(tags)}")
    return SessionTags(tags, (*inherited, *(key for key in passed if key.lower() in transitive)))


def passed_tags(parameters: Input) -> dict[str, str]:
    tags: dict[str, str] = {}
    for tag in parameters.get("Tags", ()):
        key = tag["Key"]
        if key.lower().startswith("aws:"):
            raise ValidationError("System tags cannot be added, updated or deleted by a customer.", place="Tags")
        if key.lower() in _folded(tags):
            raise InvalidParameterValue("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
        tags[key] = tag["Value"]
    return tags


def inherited_tags(caller: Principal) -> dict[str, str]:
    """Return the transitive tags of the caller's session, which a chained session inherits (S-22)."""
    issued = session_issuance(caller)
    transitive = set() if issued is None else {key.lower() for key in issued.transitive_tag_keys}
    return {key: value for key, value in caller.tags.items() if key.lower() in transitive}


def tag_keys(call: ServiceCall, parameters: Input) -> dict[str, Given]:
    """Return the condition keys of the tags that a call passes (S-23)."""
    passed = passed_tags(parameters)
    keys: dict[str, Given] = {f"aws:RequestTag/{key}": value for key, value in passed.items()}
    if passed:
        keys["aws:TagKeys"] = list(passed)
    if parameters.get("TransitiveTagKeys"):
        keys["sts:TransitiveTagKeys"] = list(parameters["TransitiveTagKeys"])
    return keys


def _folded(tags: Mapping[str, str]) -> set[str]:
    return {key.lower() for key in tags}
