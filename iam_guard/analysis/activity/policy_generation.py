"""Generate the least-privilege identity-based policy for an activity (AWS: policy generation of IAM Access Analyzer).

Strategy. The policy has only what identity-based policies allowed. Actions with the same resources share a statement.
Actions are never wildcards; resources only if a registered template tells which part of an ARN identifies one resource.
Always exact are resources of other accounts, ARNs without an account, resources of which some were denied, and write
actions of our own services, where a wildcard could lead to every role. `*` as a resource is limited to the caller's own
account. Documents over the quota of a managed policy are split.

INVARIANT: the documents allow what identity-based policies allowed, with neither boundary nor control policy in the
way, and nothing in accounts outside the activity. `notes` report what the trail can't show, above all that conditions
of the present policies are missing.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from iam_guard.analysis.activity.aggregation import ActionActivity, Activity
from iam_guard.analysis.activity.escalation_risks import ESCALATION_RISKS
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

_OVER_LIMIT = "too many resources that must be named individually"
_MAX_NAMES = 20
"""The maximum number of names in one note."""


@dataclass(frozen=True, slots=True)
class Generalization:
    """When a template replaces the resources that match it: if there are more than `above` of them.

    `own` includes write actions of our own services.
    """

    above: int = 0
    own: bool = False
    is_off: bool = False


class PolicyNote(NamedTuple):
    """A caveat about the policy: its category, and a sentence."""

    about: str
    text: str


@dataclass(frozen=True, slots=True)
class GeneratedPolicy:
    """Documents, each within the quota of a managed policy, and the caveats to read before use."""

    documents: tuple[PolicyDocument, ...]
    notes: tuple[PolicyNote, ...]


class _Grant(NamedTuple):
    """One action on one resource pattern; `owners` limits `*` to accounts."""

    action: str
    pattern: str
    owners: tuple[str, ...] = ()


def generate_policy(
    activity: Activity,
    templates: ArnTemplates | None = None,
    generalising: Generalization | None = None,
    quotas: Mapping[str, int] = QUOTAS,
) -> GeneratedPolicy:
    """Generate the policy. Raises `InvalidInput` for a principal without identity-based policies."""
    if not activity.actor.has_policies:
        raise InvalidInput("expected a user or a role, other principals have no policies", place=activity.actor.name)
    generator = _Generator(activity, templates or ArnTemplates(), generalising or Generalization())
    grants = [grant for action in activity.actions.values() for grant in generator.grants(action)]
    documents = tuple(_documents(_statements(grants)))
    for document in documents:
        validate_for_write(document.to_json(), PolicyType.IDENTITY, managed=True)
    return GeneratedPolicy(documents, tuple(generator.notes(documents, quotas)))


# --- resources ---------------------------------------------------------------------------------------------------


_NOT_INCLUDED = {
    GrantSource.RESOURCE: ("resource policy", "allowed by the policy of the resource alone, so not included"),
    GrantSource.NONE_NEEDED: ("no policy", "allowed without any policy, so not included"),
    GrantSource.DENIED: ("denied", "attempted and denied, so not included"),
    GrantSource.REFUSED: ("refused", "allowed, but rejected without an audit record, so not included"),
}
"""The notes about requests that identity-based policies did not allow."""


@dataclass(slots=True)
class _Generator:
    activity: Activity
    templates: ArnTemplates
    generalising: Generalization
    _notes: defaultdict[tuple[str, str], dict[str, None]] = field(default_factory=lambda: defaultdict(dict))

    def grants(self, action: ActionActivity) -> Iterator[_Grant]:
        """Return the grants that an action needs."""
        granted = {arn: found for arn, found in action.resources.items() if GrantSource.IDENTITY in found.by_source}
        denied = set() if self.generalising.is_off else self._denied(action)
        by_pattern: dict[str | None, list[str]] = defaultdict(list)
        for arn in granted:
            if arn != "*":
                pattern = self._pattern(action.action, arn)
                by_pattern[None if pattern in denied else pattern].append(arn)
        if "*" in granted:
            self._note("everything", "requested on `*`, so allowed on every resource of the account", action.action)
            yield _Grant(action.action, "*", tuple(sorted(granted["*"].owners or self.activity.accounts)))
        for covering, arns in by_pattern.items():
            if covering is not None and len(arns) > self.generalising.above:
                yield _Grant(action.action, covering)
            else:
                yield from self._exact(action.action, arns)
        yield from self._templated(action, denied)
        self._note_action(action)

    def _denied(self, action: ActionActivity) -> set[str | None]:
        """Return the patterns that cover resources which were only denied."""
        denied = [
            arn
            for arn, found in action.resources.items()
            if found.by_source.keys() - {GrantSource.REFUSED} == {GrantSource.DENIED}
        ]
        found = {self.templates.generalize(action.action, arn) for arn in denied} - {None}
        if found:
            text = "denied on resources that a template covers, so the allowed ones are named individually"
            self._note("exact", text, action.action)
        return found

    def _pattern(self, action: str, arn: str) -> str | None:
        """Return the pattern that may replace a resource; None for one that must be named exactly."""
        if not self._may_widen(action, account_of(arn)):
            return None
        pattern = self.templates.generalize(action, arn)
        if pattern is None:
            self._note("exact", "no template is registered for the resources, so they are named individually", action)
        return pattern

    def _may_widen(self, action: str, owner: str | None) -> bool:
        """Return whether a pattern may replace resources of an account."""
        if self.generalising.is_off:
            return False
        if owner is None:
            self._note("exact", "resources without an account in the ARN are named individually", action)
        elif writes_own_service(action) and not self.generalising.own:
            self._note("exact", "resources of write actions in IAM and similar services are named individually", action)
        else:
            return owner in self.activity.accounts
        return False

    def _exact(self, action: str, arns: Iterable[str]) -> Iterator[_Grant]:
        for arn in arns:
            pattern = literal(arn)
            if not _is_nameable(action, pattern):
                self._note("left out", "requested on a resource that no policy can name", f"{action} on `{arn[:200]}`")
                continue
            owner = account_of(arn)
            if owner is not None and owner not in self.activity.accounts:
                self._note("other account", "resources of other accounts, which must allow it too, are named", arn)
            yield _Grant(action, pattern)

    def _templated(self, action: ActionActivity, denied: set[str | None]) -> Iterator[_Grant]:
        """Return the patterns of resources over the limit."""
        for pattern, resource in action.patterns.items():
            if GrantSource.IDENTITY not in resource.by_source:
                continue
            is_denied = pattern in denied or GrantSource.DENIED in resource.by_source
            if not is_denied and self._may_widen(action.action, account_of(pattern)):
                yield _Grant(action.action, pattern)
            else:
                self._note("left out", _OVER_LIMIT, action.action)

    # --- notes ---------------------------------------------------------------------------------------------------

    def _note(self, about: str, text: str, name: str) -> None:
        self._notes[about, text][name] = None

    def _note_action(self, action: ActionActivity) -> None:
        """Add the notes about what a policy can't express of an action's activity."""
        name, resources = action.action, (*action.resources.values(), *action.patterns.values())
        sources = {source for resource in resources for source in resource.by_source}
        for source, (about, text) in _NOT_INCLUDED.items():
            if source in sources:
                self._note(about, text, name)
        if action.left_out.count:
            self._note("left out", _OVER_LIMIT, name)
        if GrantSource.IDENTITY not in sources:
            return
        if action.keys:
            keys = ", ".join(f"`{key}`" for key in sorted(action.keys)[:_MAX_NAMES])
            self._note("condition", "depends on condition keys, which the policy does not limit", f"{name} by {keys}")
        if action.with_session_policies:
            self._note("session policy", "requested in sessions with session policies", name)
        if (risk := ESCALATION_RISKS.get(name.lower())) is not None:
            self._note("caveat", risk, name)

    def notes(self, documents: tuple[PolicyDocument, ...], quotas: Mapping[str, int]) -> Iterator[PolicyNote]:
        """Return all notes: first those about the trail, then those about actions."""
        yield from _about_the_trail(self.activity)
        if not documents:
            yield PolicyNote("nothing", "no identity-based policy allowed anything in the period, so none is needed")
        if len(documents) > 1:
            text = f"the quota of a managed policy needs {len(documents)} documents, or fewer with more generalising"
            user, role = (quotas[f"policies attached to a {kind}"] for kind in ("user", "role"))
            yield PolicyNote("quota", f"{text}; a user takes {user}, a role {role}")
        for (about, text), names in self._notes.items():
            more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
            yield PolicyNote(about, f"{text}: {', '.join(list(names)[:_MAX_NAMES])}{more}")


def _is_nameable(action: str, pattern: str) -> bool:
    """Return whether a policy can name a resource exactly; a short ARN would match more (G-64)."""
    try:
        allow(action).on(pattern)
    except PolicyError:
        return False
    return pattern.count(":") >= ARN_FIELDS - 1 and _length((action, pattern)) <= _MAX_LENGTH


def writes_own_service(action: str) -> bool:
    """Return whether an action writes to one of our own services."""
    return action.partition(":")[0].lower() in PREFIXES and not action_facts(action).read_only


def _about_the_trail(activity: Activity) -> Iterator[PolicyNote]:
    for gap in activity.gaps:
        yield PolicyNote("gap", gap)
    for kind, count in activity.unknown.items():
        yield PolicyNote("gap", f"{count} records of the trail about itself are of an unknown kind: {kind}")
    if activity.unattributed:
        yield PolicyNote("gap", f"{activity.unattributed} decisions have no readable caller (redacted or truncated)")
    for problem, count in activity.unreadable.items():
        yield PolicyNote("gap", f"{count} requests of the principal are not counted: {problem}")
    if activity.left_out.count:
        yield PolicyNote("left out", f"too many actions: those of {activity.left_out.count} requests are missing")
    ids = [unique_id for unique_id in activity.unique_ids if activity.actor.kind in ("user", "role")]
    if len(ids) > 1:
        yield PolicyNote(
            "identity", f"several principals had this name, one after another: {', '.join(ids[:_MAX_NAMES])}"
        )


# --- statements --------------------------------------------------------------------------------------------------

_FRAME = 200
"""Characters of a document and a statement besides its lists, including a long Sid and a condition."""
_MAX_LENGTH = MANAGED.characters - _FRAME


def _statements(grants: Iterable[_Grant]) -> Iterator[PolicyStatement]:
    """Return the statements, grouped by service; actions with the same resources share one."""
    patterns: dict[tuple[str, tuple[str, ...]], set[str]] = defaultdict(set)
    for grant in grants:
        patterns[grant.action, grant.owners].add(grant.pattern)
    alike: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = defaultdict(list)
    for (action, owners), of_action in sorted(patterns.items()):
        alike[action.partition(":")[0].lower(), owners, tuple(sorted(of_action))].append(action)
    numbers = Counter[str]()
    for (service, owners, found), actions in sorted(alike.items()):
        for some, of in _split(tuple(actions), found):
            numbers[service] += 1
            statement = allow(*some).on(*of).sid(f"{_word(service)}{numbers[service]}")
            yield statement.when("StringEquals", {"aws:ResourceAccount": owners}) if owners else statement


def _word(service: str) -> str:
    return "".join(character for character in service.title() if character.isalnum())


def _split(actions: tuple[str, ...], patterns: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Split actions and resources into parts that fit into a document."""
    if _length(actions) + _length(patterns) <= _MAX_LENGTH:
        yield actions, patterns
    elif len(patterns) > 1 and _length(patterns) >= _length(actions):
        middle = len(patterns) // 2
        yield from _split(actions, patterns[:middle])
        yield from _split(actions, patterns[middle:])
    else:  # one action on one resource fits
        middle = len(actions) // 2
        yield from _split(actions[:middle], patterns)
        yield from _split(actions[middle:], patterns)


def _length(texts: Iterable[str]) -> int:
    return sum(len(json.dumps(text, ensure_ascii=False)) + 1 for text in texts)


def _documents(statements: Iterable[PolicyStatement]) -> Iterator[PolicyDocument]:
    """Pack statements into documents."""
    chosen: list[PolicyStatement] = []
    for statement in statements:
        if chosen and MANAGED.size(policy(*chosen, statement).to_json()) > MANAGED.characters:
            yield policy(*chosen)
            chosen = []
        chosen.append(statement)
    if chosen:
        yield policy(*chosen)
