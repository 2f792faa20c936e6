"""Find the users and roles of a zone of trust that can reach a resource, by all policy types together (rule AA-11).

Strategy. The principals are read and grouped by their policies once (`policy_holders`). For a resource, only those are
considered whose identity policies may allow something on it, if its own policy admits them, and those that its policy
names. The decisions are the evaluator's, with open condition keys (`evaluation.bounds`), one for each group of actions
that the policies do not distinguish (`action_cells`), and one for all principals with the same policies that differ in
nothing that these policies read.

A role represents its sessions, without session policies. Root users are left out, as at AWS.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeAlias

from iam_guard.analysis.access.access_question import check_resource
from iam_guard.analysis.access.known_keys import PossibleTimes
from iam_guard.analysis.access.outside_principals import outside_principals
from iam_guard.analysis.checks.limits import Undecided
from iam_guard.analysis.findings.policy_holders import PolicyHolders, StoredHolders
from iam_guard.analysis.findings.reached_actions import Member, Reached, ReachedActions, ResourceQuestion, members
from iam_guard.analysis.findings.resource_types import resource_type_of
from iam_guard.analysis.reference.own_references import with_own_references
from iam_guard.analysis.reference.reference_index import KnownAction, ReferenceIndex
from iam_guard.errors import InvalidInput, PolicyError
from iam_guard.evaluation.applicable_types import rcp_exemption, scp_exemption
from iam_guard.evaluation.bounds import PartialEvaluator
from iam_guard.evaluation.compiler import compile_policy
from iam_guard.evaluation.matching.pattern_coverage import arn_pattern
from iam_guard.evaluation.policy_layer import NO_POLICY, Layer
from iam_guard.model.arn import account_of
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.model.own_services import SERVED
from iam_guard.model.principal import Principal
from iam_guard.model.reference import ServiceReference
from iam_guard.model.request import AccessRequest
from iam_guard.policy.grammar import WILDCARD, quoted
from iam_guard.settings import Settings
from iam_guard.store.policies.stored_principals import StoredPrincipal
from iam_guard.store.protocol import AccountRecord, SourceStore

Restriction: TypeAlias = Literal["APPLIED", "NOT_APPLICABLE", "FAILED_TO_EVALUATE_SCP", "FAILED_TO_EVALUATE_RCP"]
"""Whether control policies limited what was found (rules AA-6, AA-11). AWS's `APPLICABLE`, present but not evaluated,
never occurs here."""

_TRUST_ACTIONS: Final = ("sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession")
"""What users and roles of IAM can do to a role by its trust policy (rule E-42)."""


@dataclass(frozen=True, slots=True)
class InternalFinding:
    """A user or role of the zone of trust that reaches a resource (rule AA-11).

    `principal` is an ARN: of a user, of a role (for all its sessions), or of one session that a policy names.
    `actions` may be wildcards such as `docs:Get*`: an action that they match and that no other entry names. `condition`
    maps the condition keys that the access depends on to their values as text; it is empty if there are none.
    """

    resource: str
    resource_type: str
    owner: str
    principal: str
    principal_type: Literal["IAM_ROLE", "IAM_USER"]
    principal_account: str
    actions: tuple[str, ...]
    condition: Mapping[str, str]
    access_type: Literal["INTRA_ACCOUNT", "INTRA_ORG"]
    scp_restriction: Restriction
    rcp_restriction: Restriction

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "findingType": "InternalAccess",
            "resource": self.resource,
            "resourceType": self.resource_type,
            "resourceOwnerAccount": self.owner,
            "principal": {"AWS": self.principal},
            "principalType": self.principal_type,
            "principalOwnerAccount": self.principal_account,
            "action": list(self.actions),
            "condition": dict(self.condition),
            "accessType": self.access_type,
            "serviceControlPolicyRestriction": self.scp_restriction,
            "resourceControlPolicyRestriction": self.rcp_restriction,
        }


class InternalAccess:
    """Answers who in a zone of trust can reach a resource. Built once from a store; reads each resource from it.

    `accounts` are the zone; without them, it is the organization of the resource's owner, or its account alone.
    `references` describe the services of the application; those of IAM and STS are built in. `now` is the time of the
    requests. Rebuild it when users, roles, groups, policies or organizations of the store have changed.
    """

    def __init__(
        self,
        store: SourceStore,
        accounts: Collection[str] | None = None,
        *,
        references: Sequence[ServiceReference] = (),
        settings: Settings | None = None,
        now: datetime | None = None,
    ) -> None:
        self._store = store
        self._accounts = None if accounts is None else frozenset(accounts)
        self._region = (settings or Settings()).region
        self._now = now or datetime.now(UTC)
        self._references = ReferenceIndex(with_own_references(references), is_all=False)
        self._stored = StoredHolders(store)
        self._taggable: dict[str, bool] = {}
        self._evaluator = PartialEvaluator(PossibleTimes(self._now))

    def findings(self, resource: str) -> list[InternalFinding]:
        """Return the access to a resource, by principal and condition.

        Raises `InvalidInput` for an invalid ARN, for a resource outside the zone, and if the actions of the policies
        are too complex to compare; `PolicyError` if the resource's policy is unreadable; `StoreUnavailable`.
        """
        try:
            return self._findings(resource)
        except Undecided as error:
            raise InvalidInput(f"{error}: describe the actions with a reference", place=resource) from None

    def _findings(self, resource: str) -> list[InternalFinding]:
        found: dict[tuple[object, ...], InternalFinding] = {}
        for question in self._questions(resource):
            zone = self._zone(question.owner)
            for finding in self._answers(question, zone):
                restrictions = finding.scp_restriction, finding.rcp_restriction
                key = (finding.principal, restrictions, *finding.condition.items())
                before = found.setdefault(key, finding)
                if before is not finding:  # of another service
                    found[key] = replace(finding, actions=tuple(sorted((*before.actions, *finding.actions))))
        return sorted(found.values(), key=lambda finding: (finding.principal, finding.actions))

    # --- questions ---------------------------------------------------------------------------------------------------

    def _questions(self, arn: str) -> Iterator[ResourceQuestion]:
        """Yield the question about each service with actions on the resource, with what the store has about it."""
        check_resource(arn)
        if arn == "*" or WILDCARD.search(arn):
            raise InvalidInput(f"expected the ARN of one resource, got {quoted(arn)}", place="resource")
        service = arn.split(":", 3)[2].lower()
        entity = self._stored.population.principals_by_arn.get(arn)
        if service in SERVED:
            owner = self._owner(arn, account_of(arn))
            tags = {} if entity is None else entity.tags
            context = {f"iam:ResourceTag/{key}": value for key, value in tags.items()}
            actions = self._known_actions(service, arn)
            yield self._question(arn, owner, service, None, actions, tags, context)
            if entity is not None and entity.trust is not None:
                yield self._question(arn, owner, "sts", entity.trust, _TRUST_ACTIONS, tags, context)
            return
        record = self._store.resource(arn)
        owner = self._owner(arn, record.account or account_of(arn))
        text = None if record.policy is None else record.policy.text
        yield self._question(arn, owner, service, text, self._known_actions(service, arn), record.tags, {})

    def _question(
        self,
        arn: str,
        owner: AccountRecord,
        service: str,
        policy: str | None,
        actions: tuple[str, ...] | None,
        tags: Mapping[str, str],
        context: Mapping[str, str],
    ) -> ResourceQuestion:
        layer = NO_POLICY
        if policy is not None:
            layer = Layer((compile_policy(policy, PolicyRef(arn, PolicyType.RESOURCE)),))
        rcps = self._stored.compiler.levels(owner.rcps, PolicyType.RCP)
        return ResourceQuestion(arn, owner, service, layer, rcps, context, tags, actions, self._now, self._region)

    def _owner(self, arn: str, account: str | None) -> AccountRecord:
        owner = None if account is None else self._stored.accounts.get(account)
        if owner is None or (self._accounts is not None and owner.id not in self._accounts):
            raise InvalidInput(f"expected a resource of an account in the zone of trust, got {quoted(arn)}")
        return owner

    def _known_actions(self, service: str, arn: str) -> tuple[str, ...] | None:
        """Return the actions of a service that may take the resource; None if the service is not described."""
        reference = self._references.services.get(service)
        if reference is None:
            return None
        actions = (KnownAction(reference, entry) for entry in reference.actions)
        pattern = arn_pattern(arn)
        return tuple(str(action) for action in actions if self._references.may_take(action, pattern))

    def _zone(self, owner: AccountRecord) -> frozenset[str]:
        if self._accounts is not None:
            return self._accounts
        if owner.organization is None:
            return frozenset((owner.id,))
        return frozenset(
            account.id
            for account in self._stored.accounts.values()
            if account.organization is not None and account.organization.id == owner.organization.id
        )

    # --- answers -----------------------------------------------------------------------------------------------------

    def _answers(self, question: ResourceQuestion, zone: frozenset[str]) -> Iterator[InternalFinding]:
        found = [*members(self._stored, question, zone), *self._named_sessions(question, zone)]
        reached = ReachedActions(self._stored, question, self._evaluator, self._is_taggable)
        certain: dict[str, frozenset[str]] = {}
        """The actions of each role without a condition, which its sessions can perform, too."""
        for (holders, principal), access in reached.of(found):
            caller = principal.record.principal
            if caller.role_arn != principal.arn:
                access = _without(access, certain.get(caller.role_arn or "", frozenset()))
            certain[principal.arn] = frozenset(access.get((), ()))
            yield from _findings(question, holders, principal, access)

    def _named_sessions(self, question: ResourceQuestion, zone: frozenset[str]) -> Iterator[Member]:
        """Yield the sessions of roles and of federated users of the zone that the resource's policy names.

        The policies of a federated user are unknown, and are assumed to allow the request.
        """
        compiler, population = self._stored.compiler, self._stored.population
        for policy in question.policy:
            text = policy.content.document.text
            for named in outside_principals(text, PolicyType.RESOURCE, population, self._store.partition):
                account = named.record.principal.account
                if named.kind not in ("session", "federated user") or account is None or account not in zone:
                    continue
                scps = compiler.levels(self._stored.accounts[account].scps, PolicyType.SCP)
                holders = PolicyHolders(compiler.layer(named.record.identity, PolicyType.IDENTITY), None, scps)
                trust = None
                if named.role is not None:
                    if named.role.arn not in self._stored.by_name:
                        continue  # its policies are unreadable
                    holders, trust = self._stored.by_name[named.role.arn][0], named.role.trust
                else:
                    holders.session = holders.identity
                kind = "user" if named.role is None else "role"
                yield holders, StoredPrincipal(kind, named.shown, account, named.record, trust=trust)

    def _is_taggable(self, trust: str | None) -> bool:
        """Return whether sessions of a role may set session tags (rule S-20)."""
        if trust is None:
            return False
        if trust not in self._taggable:
            try:
                about = compile_policy(trust, PolicyRef("trust policy", PolicyType.TRUST)).content.about(
                    "sts:tagsession"
                )
            except PolicyError:
                about = ()
            self._taggable[trust] = any(not statement.denies for statement in about)
        return self._taggable[trust]


def _without(access: Reached, actions: frozenset[str]) -> Reached:
    left = {condition: tuple(name for name in names if name not in actions) for condition, names in access.items()}
    return {condition: names for condition, names in left.items() if names}


def _findings(
    question: ResourceQuestion, holders: PolicyHolders, principal: StoredPrincipal, access: Reached
) -> Iterator[InternalFinding]:
    if not access:
        return
    caller, resource_type = principal.record.principal, resource_type_of(question.arn)
    scp_restriction = _scp_restriction(holders, caller)
    for condition, actions in access.items():
        yield InternalFinding(
            question.arn,
            resource_type,
            question.owner.id,
            principal.arn,
            "IAM_USER" if principal.kind == "user" else "IAM_ROLE",
            principal.account,
            actions,
            dict(condition),
            "INTRA_ACCOUNT" if principal.account == question.owner.id else "INTRA_ORG",
            scp_restriction,
            _rcp_restriction(question, caller, actions[0]),
        )


def _scp_restriction(holders: PolicyHolders, caller: Principal) -> Restriction:
    if holders.scps.has_failed and scp_exemption(caller) is None:
        return "FAILED_TO_EVALUATE_SCP"
    return "NOT_APPLICABLE" if holders.scps.levels is None or scp_exemption(caller) is not None else "APPLIED"


def _rcp_restriction(question: ResourceQuestion, caller: Principal, action: str) -> Restriction:
    if question.rcps.levels is None and not question.rcps.has_failed:
        return "NOT_APPLICABLE"
    request, own = AccessRequest(caller, action, question.arn), question.service not in SERVED
    if rcp_exemption(request, action.lower(), own=own) is not None:
        return "NOT_APPLICABLE"
    return "FAILED_TO_EVALUATE_RCP" if question.rcps.has_failed else "APPLIED"
