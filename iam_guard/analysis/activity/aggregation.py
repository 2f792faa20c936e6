"""What a principal did in a period, added up from the records of a trail as they are read, in bounded memory.

Of each action: how often it was allowed and denied, first and last, on which resources, which condition keys were read.
A decision that allowed is no use where its request was refused because the record did not get to the disk (a record
`AuditRefused` names it): such a one is an attempt, like a denial. That record comes somewhat later, so decisions of
which there may be one wait for it, up to a number.

There is room for so many actions and resources; what goes beyond is added up by ARN template where one is registered,
else it is counted in `left_out`. What the trail itself lacks in the period (gaps, what retention dropped) is told too:
then the activity is not complete, and says so.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from iam_guard.analysis.activity.actor import Actor
from iam_guard.analysis.activity.observations import GrantSource, Observation, is_spoilt, observe
from iam_guard.analysis.activity.resource_patterns import ArnTemplates
from iam_guard.audit.consumer.record_filter import member
from iam_guard.audit.record.record import event_time
from iam_guard.audit.record.record_classes import class_of_allow
from iam_guard.errors import InvalidInput

MAX_RESOURCES = 10_000
"""Resources of all actions together that are kept one by one."""
MAX_ACTIONS = 5_000
MAX_NAMES = 1_000
"""Sessions, condition keys of an action and gaps that are told."""
MAX_WAITING = 20_000
"""Decisions that wait for a record that their request was refused, and such records that wait for their decision."""

_OWN = frozenset({"audit_segment", "audit_end"})
"""Records of the trail about itself that take nothing away."""

_ATTRIBUTING = tuple(
    f"/userIdentity/{name}" for name in ("type", "arn", "principalId", "invokedBy", "sessionContext/sessionIssuer")
)
"""What tells whose a record is; of the rest of a caller, anything may be kept out of the records."""


@dataclass(slots=True)
class Occurrences:
    """How often, first and last."""

    count: int = 0
    first: str = ""
    last: str = ""

    def add(self, time: str) -> None:
        """Add one moment; between shards they come in about their order only."""
        self.count += 1
        self.first = min(self.first or time, time)
        self.last = max(self.last, time)


@dataclass(slots=True)
class ResourceActivity:
    """What was done to one resource, or to all of a template: by whose leave; which accounts own what was allowed."""

    by_leave: dict[GrantSource, Occurrences] = field(default_factory=dict)
    owners: set[str] = field(default_factory=set)


@dataclass(slots=True)
class ActionActivity:
    """What was done of one action. `resources` are ARNs and `*`; `patterns` are those that stand for more."""

    action: str
    allowed: Occurrences = field(default_factory=Occurrences)
    denied: Occurrences = field(default_factory=Occurrences)
    refused: Occurrences = field(default_factory=Occurrences)
    """Allowed, and refused all the same for want of the record."""
    resources: dict[str, ResourceActivity] = field(default_factory=dict)
    patterns: dict[str, ResourceActivity] = field(default_factory=dict)
    left_out: Occurrences = field(default_factory=Occurrences)
    """Requests about resources for which there was no room."""
    keys: Counter[str] = field(default_factory=Counter)
    with_session_policies: int = 0

    @property
    def count(self) -> int:
        """How often it was attempted."""
        return self.allowed.count + self.denied.count + self.refused.count

    def of(self, leave: GrantSource) -> Occurrences:
        """Return where requests are counted that had such leave."""
        return {GrantSource.DENIED: self.denied, GrantSource.REFUSED: self.refused}.get(leave, self.allowed)


@dataclass(slots=True)
class Activity:
    """What a principal did. `seen` is the first and last moment of all records of the period, whoever they are about.

    `callers` are the ARNs that acted, `unique_ids` whose they are. `unreadable` are records of the principal that do
    not tell what was asked; `unattributed` counts decisions that do not tell whose they are. `gaps` and `unknown` are
    what the trail says of itself.
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
    """Requests of actions for which there was no room."""
    gaps: list[str] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)

    @property
    def is_complete(self) -> bool:
        """Whether the trail tells all that the principal did, as far as it knows itself."""
        left_out = self.left_out.count or any(action.left_out.count for action in self.actions.values())
        return not (self.gaps or self.unknown or self.unreadable or self.unattributed or left_out)


def aggregate_activity(
    records: Iterable[Mapping[str, Any]],
    principal: str | Actor,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    templates: ArnTemplates | None = None,
    most_resources: int = MAX_RESOURCES,
) -> Activity:
    """Add up what a principal did from `since` on, until before `until`, to the second.

    `templates` are asked only where there are more than `most_resources`. Raises `InvalidInput` for what is no
    principal, and for a time without its zone.
    """
    actor = principal if isinstance(principal, Actor) else Actor.read(principal)
    activity = Activity(actor, _moment(since, "since"), _moment(until, "until"))
    gathering = _Gathering(activity, templates or ArnTemplates(), most_resources)
    for record in records:
        gathering.take(record)
    gathering.finish()
    return activity


def _moment(given: datetime | None, place: str) -> str | None:
    if given is not None and given.tzinfo is None:
        raise InvalidInput("expected a time with its zone", place=place)
    return None if given is None else event_time(given)


class _Gathering:
    def __init__(self, activity: Activity, templates: ArnTemplates, most_resources: int) -> None:
        self._activity = activity
        self._templates = templates
        self._room = most_resources
        self._begins: dict[str, int] = {}
        """The first sequence of each shard that was seen."""
        self._dropped: dict[str, int] = {}
        """The last sequence of each shard that retention dropped."""
        self._waiting: dict[str, list[Observation]] = {}
        """What was allowed and may have been refused all the same, by the id of its record, the oldest first."""
        self._waits = 0
        self._refused: set[str] = set()
        """Ids of decisions whose requests were refused."""
        self._has_let_go = False

    def take(self, record: Mapping[str, Any]) -> None:
        said, time = record.get("iamGuard"), record.get("eventTime")
        kind = said.get("kind") if isinstance(said, dict) else None
        if isinstance(said, dict) and isinstance(said.get("sequence"), int):
            self._begins.setdefault(str(said.get("shard")), said["sequence"])
        if isinstance(kind, str) and kind.startswith("audit_"):
            self._take_own(kind, said or {}, str(time))
            return
        if not isinstance(time, str) or not self._is_in_period(time, time):
            return
        self._activity.seen.add(time)
        if kind == "decision":
            self._take_decision(record, said or {})

    def _is_in_period(self, first: str, last: str) -> bool:
        activity = self._activity
        return (activity.since is None or last >= activity.since) and (activity.until is None or first < activity.until)

    def _take_own(self, kind: str, said: Mapping[str, Any], time: str) -> None:
        """Record what the trail says that it lacks; a gap without its times may be of any moment before it."""
        if kind in _OWN:
            return
        if kind == "audit_refused":
            self._take_refusal(str(said.get("refusedEventID")))
            return
        if kind == "audit_retention":
            shard, last = member(said, "dropped.shard"), member(said, "dropped.last")
            dropped = int(last) if last.isdecimal() else sys.maxsize
            self._dropped[shard] = max(self._dropped.get(shard, 0), dropped)
            return
        first, last = str(said.get("firstTime") or ""), str(said.get("lastTime") or time)
        if not self._is_in_period(first, last):
            return
        if kind == "audit_gap":
            self._tell(_gap_in_words(said, time))
        elif kind == "audit_sampled":
            left_out = said.get("sampledOut", "some")
            self._tell(f"{left_out} requests that only read were left out by sampling, as was noted at {time}")
        else:
            self._activity.unknown[kind] += 1

    def finish(self) -> None:
        """Add what waits; tell what retention dropped, but where records of the shard from before are there still."""
        for event_id in list(self._waiting):
            self._settle(event_id)
        for shard, last in self._dropped.items():
            begins = self._begins.get(shard)
            if self._activity.since is None or begins is None or begins <= last + 1:
                self._tell(f"retention dropped records of the shard {shard}; some of them may be of the period")

    def _tell(self, gap: str) -> None:
        if len(self._activity.gaps) < MAX_NAMES:
            self._activity.gaps.append(gap)

    def _take_decision(self, record: Mapping[str, Any], said: Mapping[str, Any]) -> None:
        activity, identity = self._activity, record.get("userIdentity")
        if not isinstance(identity, dict) or is_spoilt(said, _ATTRIBUTING):
            activity.unattributed += 1
            return
        if not activity.actor.is_in(identity):
            return
        observation = observe(record)
        if isinstance(observation, str):
            activity.unreadable[observation] += 1
        elif observation is not None:
            _count(activity.callers, member(identity, "arn") or member(identity, "invokedBy"))
            _count(activity.unique_ids, member(identity, "principalId").partition(":")[0])
            _count(activity.accounts, member(identity, "accountId"))
            self._take_observation(observation, member(record, "eventID"))

    # --- refused all the same ------------------------------------------------------------------------------------

    def _take_observation(self, observation: Observation, event_id: str) -> None:
        """Add it, or let it wait: only where the answer waited for the disk, a record may say Allowed wrongly."""
        if observation.leave is GrantSource.DENIED or not class_of_allow(observation.action).is_durable:
            self._add(observation)
        elif event_id in self._refused:
            self._add(observation._replace(leave=GrantSource.REFUSED))
        else:
            self._waiting.setdefault(event_id, []).append(observation)
            self._waits += 1
            while self._waits > MAX_WAITING:
                self._has_let_go = True
                self._settle(next(iter(self._waiting)))

    def _take_refusal(self, event_id: str) -> None:
        """Take a decision for what it was; one that is not known is another's, or comes later from another file."""
        is_known = self._settle(event_id, GrantSource.REFUSED)
        if len(self._refused) < MAX_WAITING:
            self._refused.add(event_id)
        elif not is_known:
            self._has_let_go = True
        if self._has_let_go and not is_known:
            self._tell(f"the request of the record {event_id[:100]} was refused, and may be counted as allowed")

    def _settle(self, event_id: str, leave: GrantSource | None = None) -> bool:
        """Add what waits under an id, as it says or with another leave; False where there is nothing."""
        waiting = self._waiting.pop(event_id, [])
        self._waits -= len(waiting)
        for each in waiting:
            self._add(each if leave is None else each._replace(leave=leave))
        return bool(waiting)

    # --- adding up -----------------------------------------------------------------------------------------------

    def _add(self, observation: Observation) -> None:
        actions, folded = self._activity.actions, observation.action.lower()
        if folded not in actions and len(actions) >= MAX_ACTIONS:
            self._activity.left_out.add(observation.time)
            return
        action = actions.setdefault(folded, ActionActivity(observation.action))
        action.of(observation.leave).add(observation.time)
        action.with_session_policies += observation.has_session_policies
        for key in observation.keys:
            _count(action.keys, key)
        resource = self._resource(action, observation.resource)
        if resource is None:
            action.left_out.add(observation.time)
            return
        resource.by_leave.setdefault(observation.leave, Occurrences()).add(observation.time)
        if observation.owner is not None and observation.leave is GrantSource.IDENTITY:
            resource.owners.add(observation.owner)

    def _resource(self, action: ActionActivity, arn: str) -> ResourceActivity | None:
        """Find where a resource is added up; None where there is no room for it."""
        known = action.resources.get(arn)
        if known is None and self._room > 0:
            self._room -= 1
            known = action.resources[arn] = ResourceActivity()
        if known is not None:
            return known
        pattern = self._templates.generalised(action.action, arn)
        if pattern is None or (pattern not in action.patterns and len(action.patterns) >= MAX_NAMES):
            return None
        return action.patterns.setdefault(pattern, ResourceActivity())


def _count(names: Counter[str], name: str) -> None:
    if name and (name in names or len(names) < MAX_NAMES):
        names[name] += 1


def _gap_in_words(said: Mapping[str, Any], time: str) -> str:
    span = f", {said['firstTime']} to {said['lastTime']}" if said.get("firstTime") and said.get("lastTime") else ""
    lost = "some" if said.get("lost") is None else str(said["lost"])
    return f"{lost} records are missing ({said.get('reason', 'unknown')}{span}), as was noted at {time}"
