"""Recommend policies without unused permissions (rule AA-43).

The structure of a policy stays: only its Allow statements are changed, and of these only the actions. An entry that
names an unused action or service is removed, a wildcard with used and unused actions is replaced by the used ones, and
where all actions or all except some are allowed, the unused ones become exceptions. A Deny stays.

Each replacement is proved (`analysis.checks`): it allows nothing new, and every use that the policy allowed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from iam_guard.analysis.allowed_services import service_of_action
from iam_guard.analysis.checks.policy_checks import check_no_new_access
from iam_guard.analysis.findings.unused_findings import RecordedUses, UnusedFinding
from iam_guard.errors import ConfigurationError, InvalidInput, NoSuchEntity
from iam_guard.evaluation.matching.pattern import compile_glob, is_literal
from iam_guard.model.decision import PolicyType
from iam_guard.store.credentials.last_used_rows import Use
from iam_guard.store.policies.stored_principals import read_principals
from iam_guard.store.protocol import SourceStore, StoredPolicy


@dataclass(frozen=True, slots=True)
class RecommendedStep:
    """One step that removes unused permissions (rule AA-43).

    `existing_policy` is the ARN of a managed policy or the name of an inline one. The principal has it by itself, or
    through `groups`, whose other members are affected, too. `document` is the JSON text of the policy to create
    instead; None for `DETACH_POLICY`.
    """

    action: Literal["CREATE_POLICY", "DETACH_POLICY"]
    existing_policy: str
    document: str | None = None
    groups: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "recommendedAction": self.action,
            "recommendedPolicy": self.document,
            "existingPolicyId": self.existing_policy,
            "groups": list(self.groups),
        }


def replacement_policies(
    finding: UnusedFinding, store: SourceStore, *others: UnusedFinding, uses: Iterable[Use] = ()
) -> list[RecommendedStep]:
    """Return the steps that remove the unused permissions of a finding, and of others about the same principal.

    `uses` are those of a trail, which stay allowed as those of the store do. Raises `InvalidInput` for other findings,
    `NoSuchEntity` if the principal is gone, `PolicyError` for an unreadable policy, and `ConfigurationError` for a
    policy whose replacement could not be proved.
    """
    findings = (finding, *others)
    if {one.kind for one in findings} != {"UnusedPermission"} or len({one.resource for one in findings}) > 1:
        raise InvalidInput("expected findings about unused permissions of one principal")
    with store.at_once() as epoch, store.read_transaction() as records:
        principal = read_principals(store, epoch).principals_by_arn.get(finding.resource)
        if principal is None:
            raise NoSuchEntity(f"The principal {finding.resource[:2048]} cannot be found.")
        unique_id = principal.record.identity_id or (principal.record.principal.userid or "").partition(":")[0]
        recorded = RecordedUses.read(records, uses, unique_id).actions.get(unique_id, {})
    unused = _Unused.of(findings)
    used = sorted(last.name for folded, last in recorded.items() if not unused.has_action(folded))
    steps = []
    for policy in principal.record.identity:
        groups = tuple(group for group in principal.through.get(policy.ref, ()) if group)
        step = _step(policy, groups, unused, used)
        if step is not None:
            steps.append(step)
    return steps


@dataclass(frozen=True, slots=True)
class _Unused:
    """Unused services, and actions, in lower case; `names` are the entries of a policy for them."""

    services: frozenset[str]
    actions: frozenset[str]
    names: tuple[str, ...]

    @classmethod
    def of(cls, findings: Iterable[UnusedFinding]) -> _Unused:
        services = sorted(finding.service or "" for finding in findings if not finding.actions)
        actions = sorted(name for finding in findings for name, _ in finding.actions)
        names = (*(f"{service}:*" for service in services), *actions)
        return cls(frozenset(services), frozenset(name.lower() for name in actions), names)

    def has_action(self, folded: str) -> bool:
        """Return whether an action is unused."""
        return folded in self.actions or service_of_action(folded) in self.services

    def concerns(self, entry: str) -> bool:
        """Return whether an entry with wildcards matches an unused action."""
        folded = entry.lower()
        return service_of_action(folded) in self.services or any(map(compile_glob(folded), self.actions))


def _step(
    policy: StoredPolicy, groups: tuple[str, ...], unused: _Unused, used: Collection[str]
) -> RecommendedStep | None:
    """Return the step for one policy; None if it allows nothing unused."""
    document = json.loads(policy.text)
    before = document["Statement"] if isinstance(document["Statement"], list) else [document["Statement"]]
    after = [changed for statement in before if (changed := _changed(statement, unused, used)) is not None]
    name = policy.ref.arn or policy.ref.name.rpartition("/")[2]
    if after == before:
        return None
    if not after:
        return RecommendedStep("DETACH_POLICY", name, None, groups)
    text = json.dumps({**document, "Statement": after}, indent=2, ensure_ascii=False)
    for existing, new, actions in ((policy.text, text, None), (text, policy.text, used)):
        result = check_no_new_access(existing, new, PolicyType.IDENTITY, actions=actions)
        if not result.passed:
            raise ConfigurationError(f"the replacement of the policy `{name}` could not be proved: {result.message}")
    return RecommendedStep("CREATE_POLICY", name, text, groups)


def _changed(statement: Mapping[str, Any], unused: _Unused, used: Collection[str]) -> Mapping[str, Any] | None:
    """Return a statement without unused permissions; None if it allows nothing any more."""
    if statement["Effect"] != "Allow":
        return statement
    if "NotAction" in statement:
        return _with_exceptions(statement, _listed(statement["NotAction"]), unused)
    entries = _listed(statement["Action"])
    if "*" in entries:
        return _with_exceptions(statement, [], unused)
    kept = list(dict.fromkeys(new for entry in entries for new in _kept(entry, unused, used)))
    if kept == entries:
        return statement
    return {**statement, "Action": kept} if kept else None


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def _kept(entry: str, unused: _Unused, used: Iterable[str]) -> Iterator[str]:
    """Yield what stays of an entry of `Action`."""
    if is_literal(entry):
        if not unused.has_action(entry.lower()):
            yield entry
    elif unused.concerns(entry):
        matches = compile_glob(entry.lower())
        yield from (action for action in used if matches(action.lower()))
    else:
        yield entry


def _with_exceptions(statement: Mapping[str, Any], entries: list[str], unused: _Unused) -> Mapping[str, Any]:
    """Return a statement with the unused permissions as exceptions, in addition to others."""
    matchers = [compile_glob(entry.lower()) for entry in entries]
    more = [name for name in unused.names if not any(matches(name.lower()) for matches in matchers)]
    if not more:
        return statement
    changed = {("NotAction" if key == "Action" else key): value for key, value in statement.items()}
    return {**changed, "NotAction": [*entries, *more]}
