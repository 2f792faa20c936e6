"""Find roles, access keys, passwords and permissions that were not used for some time (rule AA-10).

Uses are those that the store recorded (rules R-33, R-34), and those of a trail. Every attempt is a use, also a denied
one. Whatever did not exist for the whole window is left out: younger users, roles, keys and passwords, and permissions
of a managed policy that was changed meanwhile. Service-linked roles and root users are left out, as at AWS.

The permissions of a principal are those that its identity-based policies allow (`activity.unused_access`), if it was
used itself. Conditions, boundaries and control policies are ignored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from iam_guard.analysis.activity.actor import Actor
from iam_guard.analysis.activity.aggregation import ActionActivity, Activity
from iam_guard.analysis.activity.unused_access import unused_access
from iam_guard.analysis.allowed_services import allow_statements, service_of_action
from iam_guard.analysis.findings.resource_types import resource_type_of
from iam_guard.analysis.reference.own_references import with_own_references
from iam_guard.audit.record.record import event_time
from iam_guard.errors import InvalidInput
from iam_guard.evaluation.matching.pattern import compile_glob, is_literal
from iam_guard.model.arn import is_service_linked_role
from iam_guard.model.reference import ServiceReference
from iam_guard.policy.document import Document, Effect, Statement
from iam_guard.policy.parser import parse
from iam_guard.store.credentials.last_used_rows import MAX_ACTIONS, KeyUse, ServiceUse, Use
from iam_guard.store.database.records import PRESENT, Records, Row
from iam_guard.store.identifiers import iam_arn
from iam_guard.store.policies.stored_principals import StoredPrincipal, read_principals
from iam_guard.store.protocol import SourceStore, StoredPolicy
from iam_guard.store.schema import (
    access_key_uses,
    access_keys,
    accounts,
    identities,
    login_profiles,
    policies,
    policy_versions,
    service_uses,
)

UnusedKind: TypeAlias = Literal["UnusedIAMRole", "UnusedIAMUserAccessKey", "UnusedIAMUserPassword", "UnusedPermission"]
ExcludedTag: TypeAlias = tuple[str, str | None]
"""A tag of users and roles that are left out: its key, and its value; None for any value."""
AGES: Final = (1, 365)
DEFAULT_AGE: Final = 90
"""Days, as at AWS."""
_DAY: Final = 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class UnusedFinding:
    """A role, key, password or permission that was not used (rule AA-10). Times are in seconds since 1970.

    `resource` is the ARN of the role or user. An unused permission has a `service` (the prefix of its actions) that was
    never used at all in the window if it has no `actions`; else these, with the time of their last use before it.
    """

    kind: UnusedKind
    resource: str
    resource_type: str
    owner: str
    last_used: int | None = None
    access_key_id: str | None = None
    service: str | None = None
    actions: tuple[tuple[str, int | None], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values; members that the kind does not have are left out."""
        members: dict[str, Any] = {
            "findingType": self.kind,
            "resource": self.resource,
            "resourceType": self.resource_type,
            "resourceOwnerAccount": self.owner,
            "lastAccessed": _time(self.last_used),
        }
        if self.access_key_id is not None:
            members["accessKeyId"] = self.access_key_id
        if self.service is not None:
            members["serviceNamespace"] = self.service
            members["actions"] = [{"action": name, "lastAccessed": _time(used)} for name, used in self.actions]
        return members


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else event_time(datetime.fromtimestamp(seconds, UTC))


def unused_findings(
    store: SourceStore,
    account_ids: Collection[str] | None,
    *,
    now: int,
    age: int = DEFAULT_AGE,
    excluded_accounts: Collection[str] = (),
    excluded_tags: Collection[ExcludedTag] = (),
    references: Sequence[ServiceReference] = (),
    uses: Iterable[Use] = (),
) -> list[UnusedFinding]:
    """Return what was not used in the `age` days before `now` (seconds since 1970), by account, kind and name.

    `account_ids` are all accounts of the store if it is None. `references` describe the application's services, so that
    wildcards are expanded to their actions; those of IAM and STS are built in. `uses` are those of a trail (`uses_of`).
    What was used exactly `age` days ago counts as used. Raises `InvalidInput` for an invalid age, `PolicyError` for an
    unreadable policy.
    """
    if not AGES[0] <= age <= AGES[1]:
        raise InvalidInput(f"expected an age of {AGES[0]} to {AGES[1]} days, got `{age}`", place="age")
    begin = now - age * _DAY
    with store.at_once() as epoch, store.read_transaction() as records:
        known = {row["id"] for row in records.all(accounts, columns=("id",))}
        included = (known if account_ids is None else known & {*account_ids}) - {*excluded_accounts}
        stored = read_principals(store, epoch).principals_by_arn
        rows = [row for row in records.all(identities, account=included) if row["kind"] != "group"]
        recorded = RecordedUses.read(records, uses)
        window = _Window(begin, recorded, _policy_times(records, store.partition), _known_actions(references))
        keys, profiles = _by_user(records, access_keys, included), _by_user(records, login_profiles, included)
    found: list[UnusedFinding] = []
    for row in sorted(rows, key=lambda row: (row["account"], row["kind"], row["name"])):
        arn = iam_arn(store.partition, row["account"], row["kind"], row["path"], row["name"])
        if row["created"] > begin or is_service_linked_role(arn) or _is_excluded(row["tags"], excluded_tags):
            continue
        principal = stored[arn]
        found.extend(window.findings(row, principal, keys.get(row["id"], ()), profiles.get(row["id"], ())))
    return found


def _is_excluded(tags: Mapping[str, str], excluded: Collection[ExcludedTag]) -> bool:
    return any(key in tags and (value is None or tags[key] == value) for key, value in excluded)


def _by_user(records: Records, table: Any, account_ids: Collection[str]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in records.all(table, account=account_ids, user_id=PRESENT):
        found[row["user_id"]].append(row)
    return found


def _policy_times(records: Records, partition: str) -> dict[str, int]:
    """Return when the default version of each managed policy was created, by ARN."""
    versions = records.all(policy_versions, columns=("policy_id", "version", "created"))
    created = {(row["policy_id"], row["version"]): row["created"] for row in versions}
    return {
        iam_arn(partition, row["account"], "policy", row["path"], row["name"]): created[
            row["id"], row["default_version"]
        ]
        for row in records.all(policies)
    }


def _known_actions(references: Sequence[ServiceReference]) -> frozenset[str]:
    described = with_own_references(references)
    return frozenset(f"{service.name}:{action.name}" for service in described for action in service.actions)


class LastAction(NamedTuple):
    """The name of an action as it was last attempted, and the time."""

    name: str
    at: int


@dataclass(slots=True)
class RecordedUses:
    """The last use of each action by unique id, with the action in lower case, and of each access key."""

    actions: dict[str, dict[str, LastAction]] = field(default_factory=lambda: defaultdict(dict))
    keys: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, records: Records, more: Iterable[Use] = (), identity_id: str | None = None) -> RecordedUses:
        """Return the uses of the store, or of one user or role, and others."""
        found, of_one = cls(), {} if identity_id is None else {"identity_id": identity_id}
        for row in records.all(service_uses, **of_one):
            found.add_action(row["identity_id"], row["service"], row["action"], row["at"])
        for row in records.all(access_key_uses) if identity_id is None else ():
            found.keys[row["access_key_id"]] = row["at"]
        for use in more:
            match use:
                case ServiceUse():
                    found.add_action(use.identity_id, use.service, use.action, use.at)
                case KeyUse():
                    found.keys[use.access_key_id] = max(use.at, found.keys.get(use.access_key_id, use.at))
        return found

    def add_action(self, identity_id: str, service: str, action: str, at: int) -> None:
        """Add an attempt; a later one counts."""
        name = f"{service}:{action}"
        actions = self.actions[identity_id]
        known = actions.get(name.lower())
        if known is None or known.at < at:
            actions[name.lower()] = LastAction(name, at)


@dataclass(slots=True)
class _Window:
    """Compares users and roles with the uses since `begin`."""

    begin: int
    uses: RecordedUses
    policy_times: Mapping[str, int]
    known_actions: frozenset[str]

    def findings(
        self, row: Row, principal: StoredPrincipal, keys: Sequence[Row], profiles: Sequence[Row]
    ) -> Iterator[UnusedFinding]:
        actions = self.uses.actions.get(row["id"], {})
        last = max((action.at for action in actions.values()), default=None)
        about = principal.arn, resource_type_of(principal.arn), row["account"]
        is_used = self._is_used(last)
        if row["kind"] == "role" and not is_used:
            yield UnusedFinding("UnusedIAMRole", *about, last)
        for key in sorted(keys, key=lambda key: str(key["id"])):
            at = self.uses.keys.get(key["id"])
            is_used |= self._is_used(at)
            if key["status"] == "Active" and key["created"] <= self.begin and not self._is_used(at):
                yield UnusedFinding("UnusedIAMUserAccessKey", *about, at, key["id"])
        for profile in profiles:
            is_used |= self._is_used(profile["used"])
            if profile["created"] <= self.begin and not self._is_used(profile["used"]):
                yield UnusedFinding("UnusedIAMUserPassword", *about, profile["used"])
        if is_used and len(actions) < MAX_ACTIONS:  # above it, further actions were not recorded
            yield from self._permissions(about, principal, actions)

    def _is_used(self, at: int | None) -> bool:
        return at is not None and at >= self.begin

    def _permissions(
        self, about: tuple[str, str, str], principal: StoredPrincipal, actions: Mapping[str, LastAction]
    ) -> Iterator[UnusedFinding]:
        all_documents = [parse(policy.text) for policy in principal.record.identity]
        old = [policy for policy in principal.record.identity if not self._is_young(policy)]
        known = {action.lower(): action for action in (*_named_actions(all_documents), *self.known_actions)}
        used = {folded: ActionActivity(last.name) for folded, last in actions.items() if self._is_used(last.at)}
        activity = Activity(Actor.parse(principal.arn), None, None, actions=used)
        unused = unused_access(activity, old, known.values())
        last_of_service: dict[str, int] = {}
        for folded, last in actions.items():
            service = service_of_action(folded)
            last_of_service[service] = max(last.at, last_of_service.get(service, last.at))
        denied = [statement for document in all_documents for statement in document.statements if _denies(statement)]
        by_service: dict[str, dict[str, int | None]] = {service: {} for service in unused.services}
        for action in unused.actions:
            if not any(_is_about(statement, action) for statement in denied):
                last_use = actions.get(action.lower())
                by_service.setdefault(service_of_action(action), {})[action] = None if last_use is None else last_use.at
        for service, found in sorted(by_service.items()):
            listed = tuple(sorted(found.items()))
            yield UnusedFinding("UnusedPermission", *about, last_of_service.get(service), None, service, listed)

    def _is_young(self, policy: StoredPolicy) -> bool:
        return policy.ref.arn is not None and self.policy_times.get(policy.ref.arn, 0) > self.begin


def _named_actions(documents: Iterable[Document]) -> Iterator[str]:
    """Yield the actions that Allow statements name in full."""
    for statement in allow_statements(documents):
        yield from filter(is_literal, statement.actions or ())


def _denies(statement: Statement) -> bool:
    """Return whether a statement denies its actions on every resource in every context."""
    return statement.effect is Effect.DENY and not statement.conditions and "*" in (statement.resources or ())


def _is_about(statement: Statement, action: str) -> bool:
    entries = statement.actions if statement.actions is not None else statement.not_actions or ()
    is_listed = any(compile_glob(entry.lower())(action.lower()) for entry in entries)
    return is_listed is (statement.actions is not None)
