"""The principals and other entities of a store by account, and the entities that a principal depends on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from iam_guard.analysis.escalation.account_entities import AccountEntities, GroupEntity, PolicyEntity
from iam_guard.analysis.escalation.escalation_actor import EntityRequest
from iam_guard.analysis.escalation.principal_state import users_of
from iam_guard.model.arn import account_of, is_service_linked_role
from iam_guard.model.context import Given
from iam_guard.store.identifiers import AWS_MANAGED, iam_arn
from iam_guard.store.policies.stored_principals import StoredPrincipal, StoredPrincipals


@dataclass(slots=True)
class Directory:
    """Users, roles, groups and managed policies by account. Service-linked roles can't be changed, and are left out."""

    population: StoredPrincipals
    entities: AccountEntities
    partition: str
    _users: dict[str, list[StoredPrincipal]] = field(default_factory=lambda: defaultdict(list))
    _roles: dict[str, list[StoredPrincipal]] = field(default_factory=lambda: defaultdict(list))
    _groups: dict[str, list[GroupEntity]] = field(default_factory=lambda: defaultdict(list))
    _policies: dict[str, list[PolicyEntity]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for principal in self.population.principals_by_arn.values():
            if principal.kind == "user":
                self._users[principal.account].append(principal)
            elif principal.kind == "role" and not is_service_linked_role(principal.arn):
                self._roles[principal.account].append(principal)
        for group in self.entities.groups.values():
            self._groups[group.account].append(group)
        for policy in self.entities.policies.values():
            self._policies[policy.account].append(policy)

    def users(self, account: str) -> list[StoredPrincipal]:
        """Return the users of an account."""
        return self._users[account]

    def roles(self, account: str) -> list[StoredPrincipal]:
        """Return the roles of an account."""
        return self._roles[account]

    def groups(self, account: str) -> list[GroupEntity]:
        """Return the groups of an account."""
        return self._groups[account]

    def policies(self, account: str) -> list[PolicyEntity]:
        """Return the customer managed policies of an account."""
        return self._policies[account]

    def attachable(self, account: str) -> Iterator[PolicyEntity]:
        """Yield the managed policies that principals of an account can have: its own, and AWS's."""
        yield from self._policies[account]
        yield from self._policies[AWS_MANAGED]

    def principal(self, arn: str) -> StoredPrincipal:
        """Return a principal of the store. Raises `KeyError` for another."""
        return self.population.principals_by_arn[arn]

    def has(self, arn: str) -> bool:
        """Return whether the store has a user, role or policy with this ARN."""
        return arn in self.population.principals_by_arn or arn in self.entities.policies

    @property
    def everything(self) -> str:
        """The ARN of AdministratorAccess."""
        return iam_arn(self.partition, AWS_MANAGED, "policy", "/", "AdministratorAccess")

    def carriers_of(self, principal: StoredPrincipal, joined: Iterable[str]) -> frozenset[str]:
        """Return the entities whose change may change what a principal in its state may do (`principal_state`)."""
        record = principal.record
        held = (*record.identity, *(() if record.boundary is None else (record.boundary,)))
        policies = [policy.ref.arn for policy in held if policy.ref.arn is not None]
        groups = [group.arn for group in self.entities.groups_of(principal.arn)]
        users = [users_of(principal.account)] if principal.kind == "user" else []
        return frozenset((principal.arn, *users, *groups, *joined, *policies))

    def request(
        self, action: str, entity: StoredPrincipal | GroupEntity | PolicyEntity, **context: str
    ) -> EntityRequest:
        """Return the request about an entity, with its tags, and its boundary if it has one.

        `context` are values of IAM's condition keys, by name without `iam:`.
        """
        keys: dict[str, Given] = {f"iam:{name}": value for name, value in context.items()}
        if isinstance(entity, StoredPrincipal):
            boundary = entity.record.boundary
            if boundary is not None and boundary.ref.arn and "PermissionsBoundary" not in context:
                keys["iam:PermissionsBoundary"] = boundary.ref.arn
            return EntityRequest(action, entity.arn, entity.account, entity.tags, keys)
        tags = entity.tags if isinstance(entity, PolicyEntity) else {}
        return EntityRequest(action, entity.arn, account_of(entity.arn) or entity.account, tags, keys)
