"""Read from one record which action was attempted on which resource, and what granted it.

A record whose action or resource was redacted or truncated is unreadable; the replacement text is never used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from iam_guard.audit.consumer.record_filter import action_of
from iam_guard.model.decision import PolicyType

ACTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}:[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
"""An action that a policy can name; a `*` in a requested action would be a wildcard there."""

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
"""Record times in this form sort as strings."""

_ALTERED_LISTS = ("redacted", "truncated", "dropped", "pseudonymised")
_REQUIRED_MEMBERS = ("/eventSource", "/eventName", "/resources", "/eventTime", "/recipientAccountId")

_GRANT = re.compile(r"/iamGuard/reasons(/\d+(/(effect|policyType))?)?", re.ASCII)
"""The members that tell what granted a request."""


class GrantSource(Enum):
    """What granted a request, or that it was not granted.

    A decision record never has `REFUSED`: another record does (`aggregation`).
    """

    IDENTITY = "an identity-based policy"
    RESOURCE = "the policy of the resource alone"
    NONE_NEEDED = "no policy: none was needed"
    DENIED = "denied"
    REFUSED = "allowed, then rejected: the audit record could not be written"


class Observation(NamedTuple):
    """One decided request. `resource` is an ARN or `*`; `owner` is the account that owns it."""

    time: str
    action: str
    resource: str
    owner: str | None
    source: GrantSource
    keys: tuple[str, ...]
    has_session_policies: bool


def observe(record: Mapping[str, Any]) -> Observation | str | None:
    """Read a record. Returns None for one without a decision, and the problem for an unreadable one."""
    extension = record.get("iamGuard")
    if not isinstance(extension, dict) or extension.get("kind") != "decision" or extension.get("error") is not None:
        return None
    try:
        return _problem(record, extension) or _observation(record, extension)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return "the record is incomplete"


def is_altered(extension: Mapping[str, Any], places: tuple[str, ...]) -> bool:
    """Return whether one of a record's members was redacted, truncated, dropped or pseudonymised."""
    listed = (extension[name] for name in _ALTERED_LISTS if isinstance(extension.get(name), list))
    altered = [str(place) for places_of_list in listed for place in places_of_list]
    return any(path.startswith(place) or place.startswith(f"{path}/") for path in altered for place in places)


def _problem(record: Mapping[str, Any], extension: Mapping[str, Any]) -> str | None:
    if is_altered(extension, _REQUIRED_MEMBERS):
        return "the action or the resource was redacted or truncated"
    if not ACTION.fullmatch(action_of(record)):
        return "no policy can name the action"
    if any(_GRANT.fullmatch(str(place)) for name in _ALTERED_LISTS for place in extension.get(name, ())):
        return "what allowed the request was redacted or truncated"
    return None if TIME.fullmatch(record["eventTime"]) else "the record is incomplete"


def _observation(record: Mapping[str, Any], extension: Mapping[str, Any]) -> Observation:
    resources = record.get("resources") or [{"ARN": "*"}]
    return Observation(
        record["eventTime"],
        action_of(record),
        resources[0]["ARN"],
        resources[0].get("accountId") or record.get("recipientAccountId"),
        _grant_source(extension),
        tuple(str(condition["key"]) for condition in extension.get("conditions", ())),
        bool((extension.get("policySet") or {}).get("sessionPolicies")),
    )


def _grant_source(extension: Mapping[str, Any]) -> GrantSource:
    if extension["outcome"] != "Allowed":
        return GrantSource.DENIED
    allowing = {reason["policyType"] for reason in extension["reasons"] if reason.get("effect") == "Allow"}
    if PolicyType.IDENTITY.value in allowing:
        return GrantSource.IDENTITY
    return GrantSource.RESOURCE if allowing else GrantSource.NONE_NEEDED
