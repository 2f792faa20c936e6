"""Find the calls by which a principal changes policies, memberships, boundaries and trust policies.

Each kind of `Gain` has one function, which yields the requests to make and the change that each of them makes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, TypeAlias

from iam_guard.analysis.access.access_answers import AccessAnswer
from iam_guard.analysis.escalation.account_entities import GroupEntity, PolicyEntity
from iam_guard.analysis.escalation.directory import Directory
from iam_guard.analysis.escalation.escalation_actor import EntityRequest, EscalationActor
from iam_guard.analysis.escalation.escalation_calls import Edge, EscalationCall
from iam_guard.analysis.escalation.new_entities import NewEntities
from iam_guard.analysis.escalation.principal_state import (
    ALLOW_ALL,
    NO_LIMIT,
    EntityChange,
    as_boundary,
    has_deny,
    users_of,
)
from iam_guard.analysis.escalation.techniques import CHANGES, DELETE_VERSION, ChangeTechnique, Gain
from iam_guard.store.policies.stored_principals import StoredPrincipal
from iam_guard.store.protocol import StoredPolicy

Entity: TypeAlias = StoredPrincipal | GroupEntity | PolicyEntity
Wanted: TypeAlias = Iterator[tuple[EntityRequest, EntityChange, str]]
"""Requests, the change that each makes, and a note about it."""

_ADMINISTRATOR_ACCESS: Final = "AdministratorAccess"


class ChangeEdges:
    """The changes that principals of one store may make. `is_useful` says of a policy whether it may lead on."""

    def __init__(self, directory: Directory, new: NewEntities, is_useful: Callable[[StoredPolicy], bool]) -> None:
        self._directory = directory
        self._new = new
        self._is_useful = is_useful
        self._everything = directory.everything
        self._wanted: Mapping[Gain, Callable[[ChangeTechnique, Entity], Wanted]] = {
            Gain.WRITTEN_POLICY: self._written,
            Gain.NEW_VERSION: self._new_version,
            Gain.OTHER_VERSION: self._other_versions,
            Gain.MEMBERSHIP: self._membership,
            Gain.NO_BOUNDARY: self._no_boundary,
            Gain.DETACHED_POLICY: self._detached,
            Gain.DELETED_POLICY: self._deleted,
            Gain.LEFT_GROUP: self._left,
            Gain.TRUST: self._trust,
        }

    def of(self, actor: EscalationActor, carriers: Collection[str] | None = None) -> Iterator[Edge]:
        """Yield the changes that an actor may make, to some carriers or to all. The last call makes the change."""
        for edge in self._found(actor, carriers):
            *others, last = edge.steps
            yield edge._replace(steps=(*others, last._replace(change=edge.change)))

    def _found(self, actor: EscalationActor, carriers: Collection[str] | None) -> Iterator[Edge]:
        for technique in CHANGES:
            if technique.action in actor.able:
                entities = [
                    entity
                    for entity in self._entities(technique, actor.account, carriers)
                    if actor.may_concern(technique.action, entity.arn)
                ]
                if technique.gain is Gain.ATTACHED_POLICY:
                    yield from self._attached(actor, technique, entities)
                elif technique.gain is Gain.OTHER_BOUNDARY:
                    yield from self._boundaries(actor, technique, entities)
                else:
                    yield from self._edges(actor, technique, entities)

    def _entities(self, technique: ChangeTechnique, account: str, carriers: Collection[str] | None) -> list[Entity]:
        directory = self._directory
        found: Mapping[str, list[Entity]] = {
            "user": [*directory.users(account)],
            "role": [*directory.roles(account)],
            "group": [*directory.groups(account)],
            "policy": [*directory.policies(account)],
        }
        wanted = found[technique.on]
        if carriers is None or (technique.gain is Gain.MEMBERSHIP and users_of(account) in carriers):
            return wanted
        return [entity for entity in wanted if entity.arn in carriers]

    def _edges(self, actor: EscalationActor, technique: ChangeTechnique, entities: list[Entity]) -> Iterator[Edge]:
        find = self._wanted[technique.gain]
        wanted = [found for entity in entities for found in find(technique, entity)]
        answers = actor.may_all([request for request, _, _ in wanted], f"{technique.on}/*")
        for (request, change, note), answer in zip(wanted, answers, strict=True):
            if answer is not None:
                yield from self._edge(actor, technique, request, answer, change, note)

    def _edge(
        self,
        actor: EscalationActor,
        technique: ChangeTechnique,
        request: EntityRequest,
        answer: AccessAnswer,
        change: EntityChange,
        note: str,
    ) -> Iterator[Edge]:
        step = EscalationCall(actor.arn, technique.action, request.arn, answer, note)
        if technique.gain is not Gain.NEW_VERSION:
            yield Edge((step,), change=change)
            return
        policy = self._directory.entities.policies[request.arn]
        limit = self._directory.entities.quotas["managed policy versions"]
        if len(policy.others) + 1 < limit:
            yield Edge((step,), change=change)
            return
        delete = self._directory.request(DELETE_VERSION, policy)
        answer_to_delete = actor.may(delete)
        if answer_to_delete is not None:
            note = f"a policy has at most {limit} versions"
            first = EscalationCall(actor.arn, DELETE_VERSION, request.arn, answer_to_delete, note)
            yield Edge((first, step), change=change)

    # --- policies of the caller's choice -------------------------------------------------------------------------

    def _attached(self, actor: EscalationActor, technique: ChangeTechnique, entities: list[Entity]) -> Iterator[Edge]:
        """Attach AdministratorAccess, or else any other policy that leads on, also a new one."""
        done = list(self._attaching(actor, technique, entities, self._everything, ALLOW_ALL))
        yield from done
        carriers = {edge.change.carrier for edge in done if edge.change is not None}
        left = [entity for entity in entities if entity.arn not in carriers]
        blank = [self._directory.request(technique.action, entity) for entity in left]
        if not any(actor.may_for_some(request, "iam:policyarn") for request in blank):
            return
        for policy in self._choices(actor):
            lacking = [entity for entity in left if policy.current not in _policies_of(entity)]
            yield from self._attaching(actor, technique, lacking, policy.arn, policy.current)
        for arn, creating in self._new.policies(actor):
            for edge in self._attaching(actor, technique, left, arn, ALLOW_ALL):
                yield edge._replace(steps=(creating, *edge.steps))

    def _attaching(
        self, actor: EscalationActor, technique: ChangeTechnique, entities: list[Entity], arn: str, added: StoredPolicy
    ) -> Iterator[Edge]:
        requests = [self._directory.request(technique.action, entity, PolicyARN=arn) for entity in entities]
        answers = actor.may_all(requests, f"{technique.on}/*", {"iam:PolicyARN": arn})
        for request, answer in zip(requests, answers, strict=True):
            if answer is not None:
                step = EscalationCall(actor.arn, technique.action, request.arn, answer, f"it attaches {arn}")
                yield Edge((step,), change=EntityChange(request.arn, added=(added,)))

    def _boundaries(self, actor: EscalationActor, technique: ChangeTechnique, entities: list[Entity]) -> Iterator[Edge]:
        """Put AdministratorAccess as the boundary, or else any other policy that leads on."""
        bounded = [
            entity for entity in entities if isinstance(entity, StoredPrincipal) and entity.record.boundary is not None
        ]
        for entity in bounded:
            request, action = self._directory.request, technique.action
            answer = actor.may(request(action, entity, PermissionsBoundary=self._everything))
            if answer is not None:
                step = EscalationCall(
                    actor.arn, action, entity.arn, answer, f"it puts {_ADMINISTRATOR_ACCESS} as the boundary"
                )
                yield Edge((step,), change=EntityChange(entity.arn, boundary=NO_LIMIT))
                continue
            for policy in self._choices(actor):
                answer = actor.may(request(action, entity, PermissionsBoundary=policy.arn))
                if answer is not None:
                    step = EscalationCall(
                        actor.arn, action, entity.arn, answer, f"it puts {policy.arn} as the boundary"
                    )
                    yield Edge((step,), change=EntityChange(entity.arn, boundary=as_boundary(policy.current)))

    def _choices(self, actor: EscalationActor) -> Iterator[PolicyEntity]:
        """Yield the other policies that lead on."""
        for policy in self._directory.attachable(actor.account):
            if policy.arn != self._everything and self._is_useful(policy.current):
                yield policy

    # --- one change of an entity ---------------------------------------------------------------------------------

    def _written(self, technique: ChangeTechnique, entity: Entity) -> Wanted:
        change = EntityChange(entity.arn, added=(ALLOW_ALL,))
        yield self._directory.request(technique.action, entity), change, "it writes a policy that allows everything"

    def _new_version(self, technique: ChangeTechnique, entity: Entity) -> Wanted:
        change = EntityChange(entity.arn, text=ALLOW_ALL)
        note = "the new version, which it makes the default one, allows everything"
        yield self._directory.request(technique.action, entity), change, note

    def _other_versions(self, technique: ChangeTechnique, entity: Entity) -> Wanted:
        if isinstance(entity, PolicyEntity):
            for number, text in entity.others.items():
                if self._is_useful(text):
                    change = EntityChange(entity.arn, text=text)
                    yield self._directory.request(technique.action, entity), change, f"version v{number} allows more"

    def _membership(self, technique: ChangeTechnique, entity: Entity) -> Wanted:
        if isinstance(entity, GroupEntity) and any(map(self._is_useful, entity.policies)):
            change = EntityChange(
                users_of(entity.account), added=entity.policies, group=entity.arn, is_of_one_user=True
            )
            yield self._directory.request(technique.action, entity), change, "it adds the user to the group"

    def _no_boundary(self, technique: ChangeTechnique, entity: Entity) -> Wanted:
        if isinstance(entity, StoredPrincipal) and entity.record.boundary is not None:
            change = EntityChange(entity.arn, boundary=NO_LIMIT)
            yield self._directory.request(technique.action, entity), change, "it removes the permissions boundary"

    def _detached(self, technique: ChangeTechnique, entity: Entity) -> Wanted:
        for policy in filter(has_deny, _own_policies(entity)):
            if policy.ref.arn is not None:
                change = EntityChange(entity.arn, removed=(policy,), holder=_holder(entity))
                request = self._directory.request(technique.action, entity, PolicyARN=policy.ref.arn)
                yield request, change, f"it detaches {policy.ref.arn}, which denies something"

    def _deleted(self, technique: ChangeTechnique, entity: Entity) -> Wanted:
        for policy in filter(has_deny, _own_policies(entity)):
            if policy.ref.arn is None:
                change = EntityChange(entity.arn, removed=(policy,), holder=_holder(entity))
                note = f"it deletes {policy.ref.name}, which denies something"
                yield self._directory.request(technique.action, entity), change, note

    def _left(self, technique: ChangeTechnique, entity: Entity) -> Wanted:
        if isinstance(entity, GroupEntity) and any(map(has_deny, entity.policies)):
            change = EntityChange(entity.arn, removed=entity.policies, holder=_holder(entity), is_of_one_user=True)
            note = "it removes the user from the group, whose policies deny something"
            yield self._directory.request(technique.action, entity), change, note

    def _trust(self, technique: ChangeTechnique, entity: Entity) -> Wanted:
        change = EntityChange(entity.arn, opens_trust=True)
        yield self._directory.request(technique.action, entity), change, "the new trust policy trusts the next caller"


def _policies_of(entity: Entity) -> tuple[StoredPolicy, ...]:
    if isinstance(entity, StoredPrincipal):
        return entity.record.identity
    return entity.policies if isinstance(entity, GroupEntity) else (entity.current,)


def _own_policies(entity: Entity) -> list[StoredPolicy]:
    """Return the policies of an entity, without those of its groups."""
    if isinstance(entity, StoredPrincipal):
        return [policy for policy in entity.record.identity if "" in entity.through.get(policy.ref, ())]
    return list(_policies_of(entity))


def _holder(entity: Entity) -> str:
    return entity.arn.rpartition("/")[2] if isinstance(entity, GroupEntity) else ""
