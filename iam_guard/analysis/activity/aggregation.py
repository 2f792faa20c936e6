"""Aggregate the activity of a principal from the records of a trail, read as a stream, in bounded memory.

Per action: how often it was allowed and denied, first and last time, the resources, the condition keys read. If an
allowed request was rejected because its record could not be written (an `AuditRefused` record names it), it counts as
an attempt, like a denial. That record follows later, so allowed decisions wait for it in a bounded queue.

The numbers of actions and resources are limited. Resources over the limit are aggregated by registered ARN template,
or counted in `left_out`. Gaps of the trail in the period and records dropped by retention are reported; the activity is
then incomplete.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from iam_guard.analysis.activity.actor import Actor
from iam_guard.analysis.activity.observations import GrantSource, Observation, is_altered, observe
from iam_guard.analysis.activity.resource_patterns import ArnTemplates
from iam_guard.audit.consumer.record_filter import member
from iam_guard.audit.record.record import event_time
from iam_guard.audit.record.record_classes import class_of_allow
from iam_guard.errors import InvalidInput

MAX_RESOURCES = 10_000
"""The maximum number of resources of all actions that are kept individually."""
MAX_ACTIONS = 5_000
MAX_NAMES = 1_000
"""The maximum number of sessions, condition keys per action, and gaps that are reported."""
MAX_PENDING = 20_000
"""The maximum number of decisions waiting for a rejection record, and of rejection records waiting for a decision."""

_BENIGN_KINDS = frozenset({"audit_segment", "audit_end"})
"""Records of the trail about itself that don't affect completeness."""

_ATTRIBUTING = tuple(
    f"/userIdentity/{name}" for name in ("type", "arn", "principalId", "invokedBy", "sessionContext/sessionIssuer")
)
"""The members that attribute a record to a principal; other members of a caller may be absent."""


@dataclass(slots=True)
class Occurrences:
    """A count with the first and last time."""

    count: int = 0
    first: str = ""
    last: str = ""

    def add(self, time: str) -> None:
        """Add one time; times of different shards may arrive out of order."""
        self.count += 1
        self.first = min(self.first or time, time)
        self.last = max(self.last, time)


@dataclass(slots=True)
class ResourceActivity:
    """Requests on one resource or template, by what granted them, and the accounts that own allowed resources."""

    by_source: dict[GrantSource, Occurrences] = field(default_factory=dict)
    owners: set[str] = field(default_factory=set)


@dataclass(slots=True)
class ActionActivity:
    """Requests of one action. `resources` are ARNs and `*`; `patterns` are templates that cover several resources."""

    action: str
    allowed: Occurrences = field(default_factory=Occurrences)
    denied: Occurrences = field(default_factory=Occurrences)
    refused: Occurrences = field(default_factory=Occurrences)
    """Allowed, then rejected: the audit record could not be written."""
    resources: dict[str, ResourceActivity] = field(default_factory=dict)
    patterns: dict[str, ResourceActivity] = field(default_factory=dict)
    left_out: Occurrences = field(default_factory=Occurrences)
    """Requests on resources over the limit."""
    keys: Counter[str] = field(default_factory=Counter)
    with_session_policies: int = 0

    @property
    def count(self) -> int:
        """How often the action was attempted."""
        return self.allowed.count + self.denied.count + self.refused.count


@dataclass(slots=True)
class Activity:
    """The activity of a principal. `seen` covers all records of the period, of all principals.

    `callers` are the ARNs that made requests, `unique_ids` their identities. `unreadable` counts records of the
    principal without the action or resource, by reason; `unattributed` counts decisions without a readable caller.
    `gaps` and `unknown` come from the trail's records about itself.
    """

    actor: Actor
    since: str | None
    until: str | None
    seen: Occurrences = field(default_factory=Occurrences)
    callers: Counter[str] = field(default_factory=Counter)
    unique_ids: Counter[str] = field(default_factory=Counter)
    accounts: Counter[str] = field(default_factory=Counter)
    actions: dict[str, ActionActivity] = field(default_factory=dict)
    unreadable: Counter[str] = field(default_factory=Counter)
    unattributed: int = 0
    left_out: Occurrences = field(default_factory=Occurrences)
    """Requests of actions over the limit."""
    gaps: list[str] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)

    @property
    def is_complete(self) -> bool:
        """Whether the records contain all activity of the principal, as far as the trail can tell."""
        left_out = self.left_out.count or any(action.left_out.count for action in self.actions.values())
        return not (self.gaps or self.unknown or self.unreadable or self.unattributed or left_out)


def aggregate_activity(
    records: Iterable[Mapping[str, Any]],
    principal: str | Actor,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    templates: ArnTemplates | None = None,
    max_resources: int = MAX_RESOURCES,
) -> Activity:
    """Aggregate the activity of a principal from `since` until before `until`, to the second.

    `templates` are used only above `max_resources`. Raises `InvalidInput` for an invalid principal, and for a time
    without a time zone.
    """
    actor = principal if isinstance(principal, Actor) else Actor.parse(principal)
    activity = Activity(actor, _moment(since, "since"), _moment(until, "until"))
    aggregator = _Aggregator(activity, templates or ArnTemplates(), max_resources)
    for record in records:
        aggregator.add(record)
    aggregator.finish()
    return activity


def _moment(time: datetime | None, place: str) -> str | None:
    if time is not None and time.tzinfo is None:
        raise InvalidInput("expected a time with a time zone", place=place)
    return None if time is None else event_time(time)


class _Aggregator:
    def __init__(self, activity: Activity, templates: ArnTemplates, max_resources: int) -> None:
        self._activity = activity
        self._templates = templates
        self._resources_left = max_resources
        self._first_sequences: dict[str, int] = {}
        """The first sequence number seen of each shard."""
        self._dropped: dict[str, int] = {}
        """The last sequence number of each shard that retention dropped."""
        self._pending: dict[str, list[Observation]] = {}
        """Allowed requests that may have been rejected, by the id of the record, oldest first."""
        self._pending_count = 0
        self._refused: set[str] = set()
        """Ids of decisions whose requests were rejected."""
        self._has_overflowed = False

    def add(self, record: Mapping[str, Any]) -> None:
        extension, time = record.get("iamGuard"), record.get("eventTime")
        kind = extension.get("kind") if isinstance(extension, dict) else None
        if isinstance(extension, dict) and isinstance(extension.get("sequence"), int):
            self._first_sequences.setdefault(str(extension.get("shard")), extension["sequence"])
        if isinstance(kind, str) and kind.startswith("audit_"):
            self._add_own(kind, extension or {}, str(time))
            return
        if not isinstance(time, str) or not self._is_in_period(time, time):
            return
        self._activity.seen.add(time)
        if kind == "decision":
            self._add_decision(record, extension or {})

    def _is_in_period(self, first: str, last: str) -> bool:
        activity = self._activity
        return (activity.since is None or last >= activity.since) and (activity.until is None or first < activity.until)

    def _add_own(self, kind: str, extension: Mapping[str, Any], time: str) -> None:
        """Record a gap that the trail reports; a gap without times may be of any time before the record."""
        if kind in _BENIGN_KINDS:
            return
        if kind == "audit_refused":
            self._add_rejection(str(extension.get("refusedEventID")))
            return
        if kind == "audit_retention":
            shard, last = member(extension, "dropped.shard"), member(extension, "dropped.last")
            dropped = int(last) if last.isdecimal() else sys.maxsize
            self._dropped[shard] = max(self._dropped.get(shard, 0), dropped)
            return
        first, last = str(extension.get("firstTime") or ""), str(extension.get("lastTime") or time)
        if not self._is_in_period(first, last):
            return
        if kind == "audit_gap":
            self._add_gap(_describe_gap(extension, time))
        elif kind == "audit_sampled":
            left_out = extension.get("sampledOut", "some")
            self._add_gap(f"sampling left out {left_out} read-only requests, reported at {time}")
        else:
            self._activity.unknown[kind] += 1

    def finish(self) -> None:
        """Add the pending requests; report records dropped by retention unless the shard has earlier records."""
        for event_id in list(self._pending):
            self._settle(event_id)
        for shard, last in self._dropped.items():
            begins = self._first_sequences.get(shard)
            if self._activity.since is None or begins is None or begins <= last + 1:
                self._add_gap(f"retention dropped records of the shard {shard}; some may be of the period")

    def _add_gap(self, gap: str) -> None:
        if len(self._activity.gaps) < MAX_NAMES:
            self._activity.gaps.append(gap)

    def _add_decision(self, record: Mapping[str, Any], extension: Mapping[str, Any]) -> None:
        activity, identity = self._activity, record.get("userIdentity")
        if not isinstance(identity, dict) or is_altered(extension, _ATTRIBUTING):
            activity.unattributed += 1
            return
        if not activity.actor.matches(identity):
            return
        observation = observe(record)
        if isinstance(observation, str):
            activity.unreadable[observation] += 1
        elif observation is not None:
            _count(activity.callers, member(identity, "arn") or member(identity, "invokedBy"))
            _count(activity.unique_ids, member(identity, "principalId").partition(":")[0])
            _count(activity.accounts, member(identity, "accountId"))
            self._add_observation(observation, member(record, "eventID"))

    # --- rejected requests ---------------------------------------------------------------------------------------

    def _add_observation(self, observation: Observation, event_id: str) -> None:
        """Add a request, or keep it pending: a durably recorded one may have been rejected after it was allowed."""
        if observation.source is GrantSource.DENIED or not class_of_allow(observation.action).is_durable:
            self._add(observation)
        elif event_id in self._refused:
            self._add(observation._replace(source=GrantSource.REFUSED))
        else:
            self._pending.setdefault(event_id, []).append(observation)
            self._pending_count += 1
            while self._pending_count > MAX_PENDING:
                self._has_overflowed = True
                self._settle(next(iter(self._pending)))

    def _add_rejection(self, event_id: str) -> None:
        """Mark a decision as rejected; it may be unknown here, or follow later from another file."""
        is_known = self._settle(event_id, GrantSource.REFUSED)
        if len(self._refused) < MAX_PENDING:
            self._refused.add(event_id)
        elif not is_known:
            self._has_overflowed = True
        if self._has_overflowed and not is_known:
            self._add_gap(f"the request of the record {event_id[:100]} was rejected, but may be counted as allowed")

    def _settle(self, event_id: str, source: GrantSource | None = None) -> bool:
        """Add the pending requests of an id, as observed or with another result; False if there are none."""
        pending = self._pending.pop(event_id, [])
        self._pending_count -= len(pending)
        for observation in pending:
            self._add(observation if source is None else observation._replace(source=source))
        return bool(pending)

    # --- aggregation ---------------------------------------------------------------------------------------------

    def _add(self, observation: Observation) -> None:
        actions, folded = self._activity.actions, observation.action.lower()
        if folded not in actions and len(actions) >= MAX_ACTIONS:
            self._activity.left_out.add(observation.time)
            return
        action = actions.setdefault(folded, ActionActivity(observation.action))
        not_allowed = {GrantSource.DENIED: action.denied, GrantSource.REFUSED: action.refused}
        not_allowed.get(observation.source, action.allowed).add(observation.time)
        action.with_session_policies += observation.has_session_policies
        for key in observation.keys:
            _count(action.keys, key)
        resource = self._resource(action, observation.resource)
        if resource is None:
            action.left_out.add(observation.time)
            return
        resource.by_source.setdefault(observation.source, Occurrences()).add(observation.time)
        if observation.owner is not None and observation.source is GrantSource.IDENTITY:
            resource.owners.add(observation.owner)

    def _resource(self, action: ActionActivity, arn: str) -> ResourceActivity | None:
        """Return the counters of a resource or its template; None over the limit."""
        known = action.resources.get(arn)
        if known is None and self._resources_left > 0:
            self._resources_left -= 1
            known = action.resources[arn] = ResourceActivity()
        if known is not None:
            return known
        pattern = self._templates.generalize(action.action, arn)
        if pattern is None or (pattern not in action.patterns and len(action.patterns) >= MAX_NAMES):
            return None
        return action.patterns.setdefault(pattern, ResourceActivity())


def _count(names: Counter[str], name: str) -> None:
    if name and (name in names or len(names) < MAX_NAMES):
        names[name] += 1


def _describe_gap(extension: Mapping[str, Any], time: str) -> str:
    first, last = extension.get("firstTime"), extension.get("lastTime")
    span = f", {first} to {last}" if first and last else ""
    lost = "some" if extension.get("lost") is None else str(extension["lost"])
    return f"{lost} records are missing ({extension.get('reason', 'unknown')}{span}), reported at {time}"
