"""The least identity-based policy for what a principal did (AWS: policy generation of IAM Access Analyzer).

The strategy. Only what an identity-based policy allowed is in it. Actions with the same resources stand in one
statement; a wildcard never stands for an action, and for resources only where a registered template says which part of
an ARN tells one from another. What must not be widened stays exact: resources of other accounts, ARNs without an
account, and what changes anything in our own services, where a wildcard would be a way to every role. `*` as a resource
is asked about the caller's own account, and allowed for that account only. Documents that grow over the quota of a
managed policy are cut. Nor does a template stand for resources of which some were denied.

INVARIANT: what identity-based policies allowed, the documents allow again, with neither boundary nor control policy in
the way; and of accounts that do not appear in the activity they allow nothing. What the trail cannot tell is said in
`notes`, above all that conditions of the present policies are not in it.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from iam_guard.analysis.activity.aggregation import ActionActivity, Activity, ResourceActivity
from iam_guard.analysis.activity.escalation_risks import caveat_of
from iam_guard.analysis.activity.observations import GrantSource
from iam_guard.analysis.activity.resource_patterns import ArnTemplates
from iam_guard.audit.record.record import action_facts
from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.evaluation.matching.pattern import ARN_FIELDS
from iam_guard.model.arn import account_of
from iam_guard.model.decision import PolicyType
from iam_guard.model.own_services import PREFIXES
from iam_guard.policy.builder import PolicyDocument, PolicyStatement, allow, literal, policy
from iam_guard.policy.quota import MANAGED
from iam_guard.policy.saving import validate_for_write
from iam_guard.store.quotas import QUOTAS

_NO_ROOM = "there was no room for all resources that must be named one by one"
_OF_A_USER, _OF_A_ROLE = QUOTAS["policies attached to a user"], QUOTAS["policies attached to a role"]
_MAX_TOLD = 20
"""Names that one note tells."""


@dataclass(frozen=True, slots=True)
class Generalising:
    """When a template stands for the resources that fit it: where there are more than `above` of them.

    `own` allows it for actions that change something in our own services as well.
    """

    above: int = 0
    own: bool = False
    is_off: bool = False


class PolicyNote(NamedTuple):
    """What whoever takes the policy must know: a word for the kind, and a sentence."""

    about: str
    text: str


@dataclass(frozen=True, slots=True)
class GeneratedPolicy:
    """Documents, each within the quota of a managed policy, and what must be known before they are used."""

    documents: tuple[PolicyDocument, ...]
    notes: tuple[PolicyNote, ...]


class _Grant(NamedTuple):
    """One action on one pattern of resources; `owners` limits `*` to accounts."""

    action: str
    pattern: str
    owners: tuple[str, ...] = ()


def generate_policy(
    activity: Activity, templates: ArnTemplates | None = None, generalising: Generalising | None = None
) -> GeneratedPolicy:
    """Make the policy. Raises `InvalidInput` for a principal that has no identity-based policies."""
    if not activity.actor.has_policies:
        raise InvalidInput("expected a user or a role, for no other principal has policies", place=activity.actor.name)
    making = _Making(activity, templates or ArnTemplates(), generalising or Generalising())
    grants = [grant for action in activity.actions.values() for grant in making.grants(action)]
    documents = tuple(_documents(_statements(grants)))
    for document in documents:
        validate_for_write(document.to_json(), PolicyType.IDENTITY, managed=True)
    return GeneratedPolicy(documents, tuple(making.notes(documents)))


# --- which resources ---------------------------------------------------------------------------------------------


class _Making:
    def __init__(self, activity: Activity, templates: ArnTemplates, generalising: Generalising) -> None:
        self._activity = activity
        self._templates = templates
        self._generalising = generalising
        self._told: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)

    def grants(self, action: ActionActivity) -> Iterator[_Grant]:
        """Return what an action needs."""
        granted = {arn: each for arn, each in action.resources.items() if GrantSource.IDENTITY in each.by_leave}
        denied = set() if self._generalising.is_off else self._denied(action)
        by_pattern: dict[str | None, list[str]] = defaultdict(list)
        for arn in granted:
            if arn != "*":
                pattern = self._pattern(action.action, arn)
                by_pattern[None if pattern in denied else pattern].append(arn)
        if "*" in granted:
            yield self._everything(action.action, granted["*"])
        for covering, arns in by_pattern.items():
            if covering is not None and len(arns) > self._generalising.above:
                yield _Grant(action.action, covering)
            else:
                yield from self._exactly(action.action, arns)
        yield from self._folded(action, denied)
        self._note(action)

    def _denied(self, action: ActionActivity) -> set[str | None]:
        """Return the patterns that would cover what was only ever denied."""
        leaves = {arn: each.by_leave.keys() - {GrantSource.REFUSED} for arn, each in action.resources.items()}
        denied = [arn for arn, had in leaves.items() if had == {GrantSource.DENIED}]
        found = {self._templates.generalised(action.action, arn) for arn in denied} - {None}
        if found:
            text = "denied on resources that a template would cover, so those that were allowed are named one by one"
            self._tell("exact", text, action.action)
        return found

    def _pattern(self, action: str, arn: str) -> str | None:
        """Return the pattern that may stand for a resource; None for one that must be named as it is."""
        if not self._may_widen(action, account_of(arn)):
            return None
        pattern = self._templates.generalised(action, arn)
        if pattern is None:
            self._tell("exact", "no template is registered for resources, which are named one by one", action)
        return pattern

    def _may_widen(self, action: str, owner: str | None) -> bool:
        """Return whether a pattern may stand for resources of an account."""
        if self._generalising.is_off:
            return False
        if owner is None:
            self._tell("exact", "resources without an account in their ARN are named one by one", action)
        elif changes_our_own(action) and not self._generalising.own:
            self._tell("exact", "what changes anything in IAM and its like is named resource by resource", action)
        else:
            return owner in self._activity.accounts
        return False

    def _everything(self, action: str, resource: ResourceActivity) -> _Grant:
        owners = tuple(sorted(resource.owners or self._activity.accounts))
        self._tell("everything", "asked about `*`, so allowed on every resource of the account", action)
        return _Grant(action, "*", owners)

    def _exactly(self, action: str, arns: Iterable[str]) -> Iterator[_Grant]:
        for arn in arns:
            pattern = literal(arn)
            if not _can_name(action, pattern):
                self._tell("left out", "asked about what no policy can name", f"{action} on `{arn[:200]}`")
                continue
            owner = account_of(arn)
            if owner is not None and owner not in self._activity.accounts:
                self._tell("other account", "resources of other accounts, which must allow it too, are named", arn)
            yield _Grant(action, pattern)

    def _folded(self, action: ActionActivity, denied: set[str | None]) -> Iterator[_Grant]:
        """Return the patterns that stand for resources of which there were too many to keep."""
        for pattern, each in action.patterns.items():
            if GrantSource.IDENTITY not in each.by_leave:
                continue
            is_denied = pattern in denied or GrantSource.DENIED in each.by_leave
            if not is_denied and self._may_widen(action.action, account_of(pattern)):
                yield _Grant(action.action, pattern)
            else:
                self._tell("left out", _NO_ROOM, action.action)

    # --- what must be known --------------------------------------------------------------------------------------

    def _tell(self, about: str, text: str, name: str) -> None:
        self._told[about, text][name] = None

    def _note(self, action: ActionActivity) -> None:
        """Record what the trail tells of an action and a policy does not."""
        name, resources = action.action, (*action.resources.values(), *action.patterns.values())
        leaves = {leave for resource in resources for leave in resource.by_leave}
        if GrantSource.RESOURCE in leaves:
            self._tell("resource policy", "allowed by the policy of the resource alone, so not in here for that", name)
        if GrantSource.NOBODY in leaves:
            self._tell("no policy", "allowed without any policy, so not in here for that", name)
        if GrantSource.DENIED in leaves:
            self._tell("denied", "attempted and denied, so not in here for that", name)
        if GrantSource.REFUSED in leaves:
            self._tell("refused", "allowed, but refused for want of its audit record, so not in here for that", name)
        if action.left_out.count:
            self._tell("left out", _NO_ROOM, name)
        if GrantSource.IDENTITY not in leaves:
            return
        if action.keys:
            keys = ", ".join(f"`{key}`" for key in sorted(action.keys)[:_MAX_TOLD])
            self._tell("condition", "decided by condition keys, which the policy does not limit", f"{name} by {keys}")
        if action.with_session_policies:
            self._tell("session policy", "done in sessions that had policies of their own", name)
        if (caveat := caveat_of(name)) is not None:
            self._tell("caveat", caveat, name)

    def notes(self, documents: tuple[PolicyDocument, ...]) -> Iterator[PolicyNote]:
        """Return all notes: first what is wrong with the trail, then what concerns actions."""
        yield from _about_the_trail(self._activity)
        if not documents:
            yield PolicyNote("nothing", "no identity-based policy allowed anything in the period, so none is needed")
        if len(documents) > 1:
            text = f"the quota of a managed policy needs {len(documents)} documents, and fewer by generalising more"
            yield PolicyNote("quota", f"{text}; a user takes {_OF_A_USER}, a role {_OF_A_ROLE}")
        for (about, text), names in self._told.items():
            more = f" and {len(names) - _MAX_TOLD} more" if len(names) > _MAX_TOLD else ""
            yield PolicyNote(about, f"{text}: {', '.join(list(names)[:_MAX_TOLD])}{more}")


def _can_name(action: str, pattern: str) -> bool:
    """Return whether a policy can name a resource; a short ARN would mean more than it says (G-64)."""
    try:
        allow(action).on(pattern)
    except PolicyError:
        return False
    return pattern.count(":") >= ARN_FIELDS - 1 and _length((action, pattern)) <= _MOST


def changes_our_own(action: str) -> bool:
    """Return whether an action changes anything in the services that we are ourselves."""
    return action.partition(":")[0].lower() in PREFIXES and not action_facts(action).read_only


def _about_the_trail(activity: Activity) -> Iterator[PolicyNote]:
    for gap in activity.gaps:
        yield PolicyNote("gap", gap)
    for kind, count in activity.unknown.items():
        yield PolicyNote("gap", f"{count} records of the trail about itself are of a kind that is not known: {kind}")
    if activity.unattributed:
        yield PolicyNote(
            "gap", f"{activity.unattributed} decisions do not tell whose they are, since that was masked or cut"
        )
    for problem, count in activity.unreadable.items():
        yield PolicyNote("gap", f"{count} requests of the principal are not counted: {problem}")
    if activity.left_out.count:
        yield PolicyNote("left out", f"there was no room for the actions of {activity.left_out.count} requests")
    ids = [each for each in activity.unique_ids if activity.actor.kind in ("user", "role")]
    if len(ids) > 1:
        yield PolicyNote("identity", f"several had this name one after another: {', '.join(ids[:_MAX_TOLD])}")


# --- statements --------------------------------------------------------------------------------------------------

_FRAME = 200
"""Characters of a document and a statement around what they list, a long Sid and a condition included."""
_MOST = MANAGED.characters - _FRAME


def _statements(grants: Iterable[_Grant]) -> Iterator[PolicyStatement]:
    """Return the statements service by service: actions with the same resources together."""
    patterns: dict[tuple[str, tuple[str, ...]], set[str]] = defaultdict(set)
    for grant in grants:
        patterns[grant.action, grant.owners].add(grant.pattern)
    alike: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for (action, owners), of_action in sorted(patterns.items()):
        alike[action.partition(":")[0].lower(), owners, tuple(sorted(of_action))].append(action)
    numbers = Counter[str]()
    for (service, owners, found), actions in sorted(alike.items()):
        for some, of in _cut(tuple(actions), found):
            numbers[service] += 1
            statement = allow(*some).on(*of).sid(f"{_word(service)}{numbers[service]}")
            yield statement.when("StringEquals", {"aws:ResourceAccount": owners}) if owners else statement


def _word(service: str) -> str:
    return "".join(each for each in service.title() if each.isalnum())


def _cut(actions: tuple[str, ...], patterns: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return actions and resources in parts that fit into a document."""
    if _length(actions) + _length(patterns) <= _MOST:
        yield actions, patterns
    elif len(patterns) > 1 and _length(patterns) >= _length(actions):
        middle = len(patterns) // 2
        yield from _cut(actions, patterns[:middle])
        yield from _cut(actions, patterns[middle:])
    else:  # one action on one resource fits
        middle = len(actions) // 2
        yield from _cut(actions[:middle], patterns)
        yield from _cut(actions[middle:], patterns)


def _length(texts: Iterable[str]) -> int:
    return sum(len(json.dumps(text, ensure_ascii=False)) + 1 for text in texts)


def _documents(statements: Iterable[PolicyStatement]) -> Iterator[PolicyDocument]:
    """Put statements into documents, as many as fit into each."""
    chosen: list[PolicyStatement] = []
    for statement in statements:
        if chosen and MANAGED.size(policy(*chosen, statement).to_json()) > MANAGED.characters:
            yield policy(*chosen)
            chosen = []
        chosen.append(statement)
    if chosen:
        yield policy(*chosen)
