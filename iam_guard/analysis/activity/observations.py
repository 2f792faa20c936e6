"""What one record says of one decided request, as far as it matters who used what, and by whose leave.

A record whose action or resource was masked or cut tells nothing: what stands there instead is never taken for it. Must
not live here: adding up (`aggregation`), all that is needed to decide a request again (`replay.recorded`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from iam_guard.audit.consumer.record_filter import action_of
from iam_guard.model.decision import PolicyType

ACTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}:[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)
"""An action that a policy may name; a `*` in what somebody asked for would be a wildcard there."""

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
"""The moments of records sort like the texts."""

_SPOILT_LISTS = ("redacted", "truncated", "dropped", "pseudonymised")
_SPOILING = ("/eventSource", "/eventName", "/resources", "/eventTime", "/recipientAccountId")


_LEAVE = re.compile(r"/iamGuard/reasons(/\d+(/(effect|policyType))?)?", re.ASCII)
"""Places of what tells by whose leave a request was allowed."""


class GrantSource(Enum):
    """By whose leave a request was allowed, or that it was not.

    That it was refused for want of its record no decision tells: another record does (`gathered`).
    """

    IDENTITY = "an identity-based policy"
    RESOURCE = "the policy of the resource alone"
    NOBODY = "no policy: none was needed"
    DENIED = "denied"
    REFUSED = "allowed, and refused all the same for want of its record"


class Observation(NamedTuple):
    """One decided request. `resource` is an ARN or `*`; `owner` is the account that owns it."""

    time: str
    action: str
    resource: str
    owner: str | None
    leave: GrantSource
    keys: tuple[str, ...]
    has_session_policies: bool


def observe(record: Mapping[str, Any]) -> Observation | str | None:
    """Read a record; None for one that tells no decision, a sentence for one that does not tell what was asked."""
    said = record.get("iamGuard")
    if not isinstance(said, dict) or said.get("kind") != "decision" or said.get("error") is not None:
        return None
    try:
        return _problem(record, said) or _observation(record, said)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return "the record is not whole"


def is_spoilt(said: Mapping[str, Any], places: tuple[str, ...]) -> bool:
    """Return whether something stands in a record's members, or nothing, that is not what was there."""
    listed = (said[name] for name in _SPOILT_LISTS if isinstance(said.get(name), list))
    spoilt = [str(place) for each in listed for place in each]
    return any(each.startswith(place) or place.startswith(f"{each}/") for each in spoilt for place in places)


def _problem(record: Mapping[str, Any], said: Mapping[str, Any]) -> str | None:
    if is_spoilt(said, _SPOILING):
        return "the action or the resource was masked or cut"
    if not ACTION.fullmatch(action_of(record)):
        return "the action is none that a policy can name"
    if any(_LEAVE.fullmatch(str(place)) for name in _SPOILT_LISTS for place in said.get(name, ())):
        return "by whose leave it was allowed was masked or cut"
    return None if TIME.fullmatch(record["eventTime"]) else "the record is not whole"


def _observation(record: Mapping[str, Any], said: Mapping[str, Any]) -> Observation:
    resources = record.get("resources") or [{"ARN": "*"}]
    return Observation(
        record["eventTime"],
        action_of(record),
        resources[0]["ARN"],
        resources[0].get("accountId") or record.get("recipientAccountId"),
        _leave(said),
        tuple(str(each["key"]) for each in said.get("conditions", ())),
        bool((said.get("policySet") or {}).get("sessionPolicies")),
    )


def _leave(said: Mapping[str, Any]) -> GrantSource:
    if said["outcome"] != "Allowed":
        return GrantSource.DENIED
    allowing = {each["policyType"] for each in said["reasons"] if each.get("effect") == "Allow"}
    if PolicyType.IDENTITY.value in allowing:
        return GrantSource.IDENTITY
    return GrantSource.RESOURCE if allowing else GrantSource.NOBODY
