"""A store, read once: its callers, its resources with policies, and the callers outside of it that these may let in."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from iam_guard.analysis.checks.callers import TypicalCaller, accounts_of, partitions_of, resource_callers
from iam_guard.analysis.checks.statement_forms import form_of
from iam_guard.analysis.invariants.access_parties import AccessTarget, AnalyzedCaller
from iam_guard.analysis.invariants.policy_forms import PolicyForms, compile_stored
from iam_guard.errors import PolicyError
from iam_guard.model.arn import is_iam_or_sts
from iam_guard.model.decision import PolicyRef, PolicyType
from iam_guard.model.principal import Principal, PrincipalType
from iam_guard.policy.document import Statement
from iam_guard.store.database.records import row_arn
from iam_guard.store.policies.stored_principals import ANY_SESSION, StoredPrincipal, StoredPrincipals, read_principals
from iam_guard.store.protocol import AccountRecord, SourceStore, StoredPolicy
from iam_guard.store.schema import identities, memberships

_EVERYTHING = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
_OTHER_SIDE = (StoredPolicy(PolicyRef("policies of another account", PolicyType.IDENTITY), _EVERYTHING),)
_PASSED = (StoredPolicy(PolicyRef("session policy", PolicyType.SESSION), _EVERYTHING),)
_SESSION = re.compile(r"arn:[^:]*:sts::([0-9]{12}):assumed-role/([^/]+)/([^/]+)")
_KINDS = {
    PrincipalType.ANONYMOUS: "anonymous",
    PrincipalType.SERVICE: "service",
    PrincipalType.FEDERATED: "identity provider",
    PrincipalType.FEDERATED_USER: "federated user",
    PrincipalType.ROOT: "account",
    PrincipalType.USER: "user",
    PrincipalType.ASSUMED_ROLE: "session",
}


@dataclass(frozen=True)
class StoreAccess:
    """A store at one epoch. `groups` has the ARNs of the groups of each user, by the user's ARN."""

    population: StoredPrincipals
    accounts: Mapping[str, AccountRecord]
    targets: tuple[AccessTarget, ...]
    groups: Mapping[str, frozenset[str]]
    forms: PolicyForms = field(default_factory=PolicyForms)
    partition: str = "aws"

    @cached_property
    def callers(self) -> tuple[AnalyzedCaller, ...]:
        """The users, roles (any session), root users, and federated users of a user that may create them."""
        return tuple(self._callers())

    @cached_property
    def organizations(self) -> tuple[str, ...]:
        """The ids of the organizations of the accounts."""
        found = {record.organization.id for record in self.accounts.values() if record.organization is not None}
        return tuple(sorted(found))

    def _callers(self) -> Iterator[AnalyzedCaller]:
        for stored in self.population.principals_by_arn.values():
            yield self.caller(stored)
            if stored.kind == "user" and _may_federate(stored.record.identity):
                yield self.federated(stored)

    def caller(self, stored: StoredPrincipal) -> AnalyzedCaller:
        """Return the caller of a principal; for a role, any of its sessions."""
        record, account = stored.record, self.accounts[stored.account]
        return AnalyzedCaller(
            stored.arn,
            stored.kind,
            TypicalCaller(record.principal, stored.account, stored.account),
            record.identity,
            record.boundary,
            account=account,
            is_any_name=stored.kind == "role",
            has_open_tags=stored.kind == "role" and _may_be_tagged(stored.trust),
        )

    def federated(self, user: StoredPrincipal) -> AnalyzedCaller:
        """Return any federated user that a user of the store creates."""
        arn = f"arn:{user.arn.split(':')[1]}:sts::{user.account}:federated-user/{ANY_SESSION}"
        return self._federated(user, arn, is_any_name=True)

    def _federated(self, user: StoredPrincipal, arn: str, *, is_any_name: bool) -> AnalyzedCaller:
        record = user.record
        has_boundary = record.principal.has_boundary
        principal = Principal.from_arn(arn, user_arn=user.arn, tags=record.principal.tags, has_boundary=has_boundary)
        arns = (arn.replace(f"/{ANY_SESSION}", "/?*"),) if is_any_name else ()
        return AnalyzedCaller(
            user.arn,
            "federated user",
            TypicalCaller(principal, user.account, user.account, arns),
            record.identity,
            record.boundary,
            _PASSED,
            account=self.accounts[user.account],
            is_any_name=is_any_name,
            has_open_tags=True,
        )

    # --- callers that a resource's policy names ---------------------------------------------------------------------

    def callers_of(
        self,
        target: AccessTarget,
        accounts: Iterable[str] = (),
        principals: Iterable[Principal] = (),
        also: AccessTarget | None = None,
    ) -> Iterator[AnalyzedCaller]:
        """Yield the callers that only the policy of a target distinguishes or lets in.

        These are named sessions of roles and federated users of the store, and callers outside of it: those that the
        policy distinguishes, those of other `accounts`, and other `principals`. With `also`, the policy of that target
        distinguishes callers, too. Raises `PolicyError` for a policy that cannot be parsed, and `Undecided` for one
        that names too many.
        """
        if target.policy is None or target.owner is None:
            return
        policies = [found.policy for found in (target, also) if found is not None and found.policy is not None]
        forms = [form_of(compile_stored(policy).content) for policy in policies]
        yield from self.sessions_named_by(*policies)
        named = [one for one in dict.fromkeys((*accounts_of(forms), *accounts)) if one not in self.accounts]
        partitions = partitions_of(forms, [f"arn:{self.partition}:"])
        listed = resource_callers(forms, named, partitions, self.accounts)
        more = [TypicalCaller(principal, target.owner.id, principal.account) for principal in principals]
        found: dict[Principal, AnalyzedCaller] = {}
        for typical in (*listed, *more):
            if typical.principal not in found and not self._is_of_store(typical):
                found[typical.principal] = self._outsider(replace(typical, owner=target.owner.id))
        yield from found.values()

    def sessions_named_by(self, *policies: StoredPolicy | None) -> Iterator[AnalyzedCaller]:
        """Yield the sessions of roles and the federated users of the store that policies name; None is no policy.

        Raises `PolicyError` for a policy that cannot be parsed.
        """
        documents = [compile_stored(policy).content.document for policy in policies if policy is not None]
        statements = [statement for document in documents for statement in document.statements]
        for name in sorted({value for statement in statements for _, value in _entries(statement)}):
            found = _SESSION.fullmatch(name)
            role = None if found is None else self._roles.get((found[1], found[2]))
            if role is not None:
                yield self.named_session(role, name)
            for user in self._federating if ":federated-user/" in name else ():
                if f"::{user.account}:" in name:
                    yield self.named_session(user, name)

    def named_session(self, stored: StoredPrincipal, arn: str) -> AnalyzedCaller:
        """Return one session of a role, or of a user that creates federated users, by its ARN."""
        if stored.kind != "role":
            return self._federated(stored, arn, is_any_name=False)
        caller = self.caller(stored)
        principal = replace(caller.principal, arn=arn, userid=f"{caller.role_id}:{arn.rpartition('/')[2]}")
        return replace(caller, typical=replace(caller.typical, principal=principal), is_any_name=False)

    @cached_property
    def _roles(self) -> Mapping[tuple[str, str], StoredPrincipal]:
        stored = self.population.principals_by_arn.values()
        return {(role.account, role.arn.rpartition("/")[2]): role for role in stored if role.kind == "role"}

    @cached_property
    def _federating(self) -> list[StoredPrincipal]:
        stored = self.population.principals_by_arn.values()
        return [user for user in stored if user.kind == "user" and _may_federate(user.record.identity)]

    def _is_of_store(self, typical: TypicalCaller) -> bool:
        return typical.principal.account in self.accounts and typical.principal.type not in _WITHOUT_ACCOUNT

    def _outsider(self, typical: TypicalCaller) -> AnalyzedCaller:
        principal = typical.principal
        kind = _KINDS[principal.type]
        is_unnamed = typical.account is None and principal.account is not None
        name = f"any {kind} of another account" if is_unnamed else principal.arn
        has_own_side = principal.account is not None
        return AnalyzedCaller(
            name,
            kind,
            typical,
            _OTHER_SIDE if has_own_side else (),
            session=_PASSED if principal.type is PrincipalType.FEDERATED_USER else None,
            is_outside=True,
            is_any_name=bool(typical.arns),
            has_open_tags=True,
            accounts=frozenset(self.accounts),
            organizations=self.organizations if has_own_side else (),
        )


_WITHOUT_ACCOUNT = frozenset({PrincipalType.ANONYMOUS, PrincipalType.SERVICE, PrincipalType.FEDERATED})


def read_store_access(store: SourceStore) -> StoreAccess:
    """Read a store in one transaction. Raises `StoreUnavailable`."""
    with store.at_once() as epoch:
        population = read_principals(store, epoch)
        accounts = {account: store.account(account) for account in population.accounts}
        with store.read_transaction() as records:
            arns = {row["id"]: row_arn(store.partition, row) for row in records.all(identities)}
            groups: dict[str, set[str]] = defaultdict(set)
            for row in records.all(memberships):
                groups[arns[row["user_id"]]].add(arns[row["group_id"]])
        targets = [*_resources(store, population, accounts), *_trusted_roles(population, accounts)]
    groups_of = {user: frozenset(found) for user, found in groups.items()}
    return StoreAccess(population, accounts, tuple(targets), groups_of, partition=store.partition)


def _resources(
    store: SourceStore, population: StoredPrincipals, accounts: Mapping[str, AccountRecord]
) -> Iterator[AccessTarget]:
    for arn, account in population.resource_arns.items():
        if not is_iam_or_sts(arn):
            record = store.resource(arn)
            owner = accounts.get(record.account or account) or store.account(record.account or account)
            yield AccessTarget(arn, owner, record.policy, tags=record.tags)


def _trusted_roles(population: StoredPrincipals, accounts: Mapping[str, AccountRecord]) -> Iterator[AccessTarget]:
    for role in population.principals_by_arn.values():
        if role.trust is not None:
            policy = StoredPolicy.of(f"trust policy of {role.arn}", PolicyType.TRUST, role.arn, role.trust)
            yield AccessTarget(role.arn, accounts[role.account], policy, is_trust=True)


def _may_federate(policies: tuple[StoredPolicy, ...]) -> bool:
    return any(_allows(policy, "sts:getfederationtoken") for policy in policies)


def _may_be_tagged(trust: str | None) -> bool:
    if trust is None:
        return False
    return _allows(StoredPolicy.of("trust policy", PolicyType.TRUST, None, trust), "sts:tagsession")


def _allows(policy: StoredPolicy, action: str) -> bool:
    """Return whether an Allow statement is about an action; True for a policy that cannot be parsed."""
    try:
        about = compile_stored(policy).content.about(action)
    except PolicyError:
        return True
    return any(not statement.denies for statement in about)


def _entries(statement: Statement) -> Iterator[tuple[str, str]]:
    yield from statement.principals or ()
    yield from statement.not_principals or ()
