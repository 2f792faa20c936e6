"""Find the roles that a principal can become: by assuming them, through a service, or through an identity provider.

Who may assume a role is decided with its trust policy. A trust policy that names whole accounts concerns all their
principals that are allowed to call `sts:AssumeRole`; the others that it concerns are named in it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from iam_guard.analysis.access.access_answers import AccessAnswer, AccessVerdict
from iam_guard.analysis.access.access_question import AccessQuestion, outside_principal_answer
from iam_guard.analysis.access.outside_principals import OutsidePrincipal, identity_provider, outside_principals
from iam_guard.analysis.access.resource_exceptions import is_named
from iam_guard.analysis.escalation.directory import Directory
from iam_guard.analysis.escalation.escalation_actor import Answers, EntityRequest, EscalationActor, is_personal
from iam_guard.analysis.escalation.escalation_calls import Edge, EscalationCall
from iam_guard.analysis.escalation.principal_state import has_deny
from iam_guard.analysis.escalation.techniques import (
    ASSUME_FEDERATED,
    ASSUME_ROLE,
    ASSUME_WITH_ASSERTION,
    PASSROLE,
    PROVIDERS,
    ProviderTechnique,
    alternatives_of,
)
from iam_guard.model.arn import account_of, is_account_id
from iam_guard.model.decision import PolicyType
from iam_guard.model.request import Resource
from iam_guard.store.policies.stored_principals import StoredPrincipal
from iam_guard.store.protocol import StoredPolicy

EVERYONE: Final = "*"


@dataclass(frozen=True, slots=True)
class TrustedRole:
    """A role, and who its trust policy lets in.

    `accounts` are those named as a whole; `names` the users, roles and sessions that it names, and `*`.
    """

    role: StoredPrincipal
    accounts: frozenset[str]
    names: frozenset[str]
    is_shared: bool
    """Whether the trust policy means the same for all principals of one account."""
    sessions: tuple[OutsidePrincipal, ...] = ()
    services: tuple[tuple[str, AccessAnswer], ...] = ()
    providers: tuple[tuple[str, str, AccessAnswer], ...] = ()
    """The provider, the call that its users make, and the answer to it."""


@dataclass(slots=True)
class RoleEdges:
    """The roles that principals of one store can become."""

    directory: Directory
    answers: Answers
    _roles: dict[str, TrustedRole] = field(default_factory=dict)
    _by_account: dict[str, list[TrustedRole]] = field(default_factory=dict)
    _by_name: dict[str, list[TrustedRole]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for principal in self.directory.population.principals_by_arn.values():
            if principal.kind == "role":
                trusted = self._roles[principal.arn] = self._trusted(principal)
                for account in trusted.accounts:
                    self._by_account.setdefault(account, []).append(trusted)
                for name in trusted.names:
                    self._by_name.setdefault(name, []).append(trusted)

    def of(
        self, actor: EscalationActor, is_wanted: Callable[[StoredPrincipal], bool] = lambda _: True
    ) -> Iterator[Edge]:
        """Yield the ways of an actor to all roles, or to those that are wanted."""
        found: set[str | None] = {actor.arn}
        for way in (self._assumed, self._passed, self._federated):
            for edge in way(actor, is_wanted):
                if edge.target not in found:
                    found.add(edge.target)
                    yield edge

    def named(self) -> Iterator[str]:
        """Yield the principals that trust policies of other accounts name."""
        for name, roles in self._by_name.items():
            if any(trusted.role.account != account_of(name) for trusted in roles):
                yield name

    # --- AssumeRole ----------------------------------------------------------------------------------------------

    def _assumed(self, actor: EscalationActor, is_wanted: Callable[[StoredPrincipal], bool]) -> Iterator[Edge]:
        names = [actor.arn, EVERYONE]
        accounts = [actor.account] if ASSUME_ROLE in actor.able else []
        by_name = [trusted for name in names for trusted in self._by_name.get(name, ())]
        by_account = [
            trusted
            for account in accounts
            for trusted in self._by_account.get(account, ())
            if actor.may_concern(ASSUME_ROLE, trusted.role.arn)
        ]
        for trusted in {trusted.role.arn: trusted for trusted in (*by_name, *by_account)}.values():
            if is_wanted(trusted.role):
                answer = self._may_assume(actor, trusted)
                if answer is not None:
                    step = EscalationCall(actor.arn, ASSUME_ROLE, trusted.role.arn, answer)
                    yield Edge((step,), target=trusted.role.arn)

    def _may_assume(self, actor: EscalationActor, trusted: TrustedRole) -> AccessAnswer | None:
        statements = self.answers.evaluator.trusting_statements(trusted.role.trust, ASSUME_ROLE.lower())
        if any(is_named(statement, actor.principal.record.principal) for statement in statements):
            resource = self._resource(trusted.role)
            answer = actor.may_with_policy(ASSUME_ROLE, resource, {}, is_shared=trusted.is_shared)
            if answer is not None:
                return answer
        for session in trusted.sessions:
            if session.role is not None and session.role.arn == actor.arn:
                own = actor.principal.record
                record = replace(session.record, identity=own.identity, boundary=own.boundary)
                alone = EscalationActor(self.answers, replace(actor.principal, record=record))
                answer = alone.may_with_policy(ASSUME_ROLE, self._resource(trusted.role), {})
                if answer is not None:
                    name = session.shown.rpartition("/")[2]
                    return replace(answer, verdict=AccessVerdict.CONDITIONAL, note=f"its session is called {name}")
        return None

    def may_assume_opened(self, actor: EscalationActor, role: StoredPrincipal) -> AccessAnswer | None:
        """Return the answer about a role whose trust policy names the actor and nothing more."""
        trust = {"Effect": "Allow", "Principal": {"AWS": actor.arn}, "Action": ASSUME_ROLE}
        text = json.dumps({"Version": "2012-10-17", "Statement": trust})
        resource = Resource(role.arn, role.account, tags=role.tags, policy=text)
        return actor.may_with_policy(ASSUME_ROLE, resource, {})

    def _resource(self, role: StoredPrincipal) -> Resource:
        return Resource(role.arn, role.account, tags=role.tags, policy=role.trust)

    # --- PassRole ------------------------------------------------------------------------------------------------

    def _passed(self, actor: EscalationActor, is_wanted: Callable[[StoredPrincipal], bool]) -> Iterator[Edge]:
        if PASSROLE not in actor.able:
            return
        uses: dict[str, tuple[EscalationCall, ...] | None] = {}
        for role in filter(is_wanted, self.directory.roles(actor.account)):
            services = self._roles[role.arn].services
            for service, trusting in services if services and actor.may_concern(PASSROLE, role.arn) else ():
                if service not in uses:
                    uses[service] = next(self._uses(actor, service), None)
                used = uses[service]
                passing = None if used is None else self._passing(actor, role, service, trusting)
                if used is not None and passing is not None:
                    yield Edge((passing, *used), target=role.arn)
                    break

    def _passing(
        self, actor: EscalationActor, role: StoredPrincipal, service: str, trusting: AccessAnswer
    ) -> EscalationCall | None:
        answer = actor.may(self.directory.request(PASSROLE, role, PassedToService=service))
        if answer is None:
            return None
        terms = f" depending on {', '.join(trusting.open_keys)}" if trusting.open_keys else ""
        note = f"{service} gets the role, which its trust policy allows{terms}"
        return EscalationCall(actor.arn, PASSROLE, role.arn, answer, note)

    def _uses(self, actor: EscalationActor, service: str) -> Iterator[tuple[EscalationCall, ...]]:
        """Yield the calls by which an actor has a service run what it wants, the fewest first."""
        known = alternatives_of(service)
        alternatives = [tuple((action, action) for action in actions) for actions in sorted(known, key=len)]
        if not known:
            named = dict(actor.named_actions(service.partition(".")[0].lower()))
            alternatives = [(names,) for names in named.items()]
        for alternative in alternatives:
            found = [
                EscalationCall(actor.arn, written, EVERYONE, answer)
                for written, action in alternative
                if actor.has_allow(action) and (answer := actor.may_somewhere(action)) is not None
            ]
            if len(found) == len(alternative):
                yield tuple(found)

    # --- identity providers --------------------------------------------------------------------------------------

    def _federated(self, actor: EscalationActor, is_wanted: Callable[[StoredPrincipal], bool]) -> Iterator[Edge]:
        techniques = [technique for technique in PROVIDERS if technique.action in actor.able]
        for role in filter(is_wanted, self.directory.roles(actor.account) if techniques else ()):
            for provider, call, answer in self._roles[role.arn].providers:
                for technique in techniques:
                    first = self._may_change(actor, technique, provider)
                    if first is not None:
                        note = "the trust policy lets in users of the provider"
                        yield Edge((first, EscalationCall(provider, call, role.arn, answer, note)), target=role.arn)

    def _may_change(self, actor: EscalationActor, technique: ProviderTechnique, provider: str) -> EscalationCall | None:
        is_of_kind = provider.split(":", 5)[5].startswith(f"{technique.kind}/")
        is_new = provider not in self.directory.entities.providers
        if not is_of_kind or is_new is not technique.is_new or account_of(provider) != actor.account:
            return None
        answer = actor.may(EntityRequest(technique.action, provider, actor.account, {}, {}))
        return None if answer is None else EscalationCall(actor.arn, technique.action, provider, answer, technique.note)

    # --- trust policies ------------------------------------------------------------------------------------------

    def _trusted(self, role: StoredPrincipal) -> TrustedRole:
        """Read whom a trust policy lets in."""
        evaluator = self.answers.evaluator
        accounts: set[str] = set()
        names: set[str] = set()
        for statement in evaluator.trusting_statements(role.trust, ASSUME_ROLE.lower()):
            for kind, value in statement.statement.principals or ():
                if kind == "AWS":
                    account = value if is_account_id(value) else account_of(value)
                    is_whole = account is not None and (value == account or value.endswith(":root"))
                    (accounts if is_whole else names).add(account if is_whole and account else value)
        population, partition = self.directory.population, self.directory.partition
        outsiders = list(outside_principals(role.trust or "{}", PolicyType.TRUST, population, partition))
        sessions = tuple(outsider for outsider in outsiders if outsider.kind == "session")
        for session in sessions:
            if session.role is not None:
                names.add(session.role.arn)
        return TrustedRole(
            role,
            frozenset(accounts),
            frozenset(names),
            is_shared=not names and self._is_shared(role),
            sessions=sessions,
            services=tuple(self._services_of(role, outsiders)),
            providers=tuple(self._providers_of(role)),
        )

    def _is_shared(self, role: StoredPrincipal) -> bool:
        """Return whether a readable trust policy without names of principals denies nothing, and asks for none."""
        policy = StoredPolicy.of(role.arn, PolicyType.TRUST, None, role.trust or "{}")
        return not has_deny(policy) and not is_personal(policy, ASSUME_ROLE.lower())

    def _services_of(
        self, role: StoredPrincipal, outsiders: list[OutsidePrincipal]
    ) -> Iterator[tuple[str, AccessAnswer]]:
        for outsider in outsiders:
            if outsider.kind == "service":
                answer = self._admits(role, outsider, ASSUME_ROLE)
                if answer is not None:
                    yield outsider.shown, answer

    def _providers_of(self, role: StoredPrincipal) -> Iterator[tuple[str, str, AccessAnswer]]:
        for call in (ASSUME_FEDERATED, ASSUME_WITH_ASSERTION):
            statements = self.answers.evaluator.trusting_statements(role.trust, call.lower())
            names = [
                value
                for statement in statements
                for kind, value in statement.statement.principals or ()
                if kind == "Federated" and account_of(value) == role.account
            ]
            for name in dict.fromkeys(names):
                answer = self._admits(role, identity_provider(name), call)
                if answer is not None:
                    yield name, call, answer

    def _admits(self, role: StoredPrincipal, outsider: OutsidePrincipal, call: str) -> AccessAnswer | None:
        question = AccessQuestion(call, self._resource(role), {}, policy=role.trust)
        answer = outside_principal_answer(self.answers.evaluator, outsider, question)
        return None if answer.verdict is AccessVerdict.DENIED else answer
