"""Find the users, roles and policies that a principal may create, and give permissions.

A new entity has the name that an Allow statement of the caller admits, with a word in place of wildcards. A user or
role that may only be created with a permissions boundary has that boundary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from iam_guard.analysis.access.access_answers import AccessAnswer
from iam_guard.analysis.escalation.directory import Directory
from iam_guard.analysis.escalation.escalation_actor import EntityRequest, EscalationActor
from iam_guard.analysis.escalation.escalation_calls import Edge, EscalationCall
from iam_guard.analysis.escalation.principal_state import ALLOW_ALL, StateEffect, as_boundary, with_effect
from iam_guard.analysis.escalation.role_edges import RoleEdges
from iam_guard.analysis.escalation.techniques import (
    ASSUME_ROLE,
    CREATE_KEY,
    CREATE_POLICY,
    CREATE_ROLE,
    CREATE_USER,
    GRANTS,
)
from iam_guard.model.principal import Principal
from iam_guard.store.identifiers import session_arn
from iam_guard.store.policies.stored_principals import ANY_SESSION, StoredPrincipal
from iam_guard.store.protocol import PrincipalRecord, StoredPolicy

NEW: Final = "escalation"
"""The word in place of wildcards in the names of new entities."""
_MAX_NAMES: Final = 8


class NewEntities:
    """The entities that principals of one store may create."""

    def __init__(self, directory: Directory, roles: RoleEdges) -> None:
        self._directory = directory
        self._roles = roles

    def of(self, actor: EscalationActor) -> Iterator[Edge]:
        """Yield the ways of an actor to a new administrator: a user, or a role that it can assume."""
        for action, kind in ((CREATE_USER, "user"), (CREATE_ROLE, "role")):
            for arn in self._names(actor, action, kind) if action in actor.able else ():
                for boundary, answer in self._terms(actor, action, arn):
                    terms = f" with the boundary {boundary.ref.arn}" if boundary is not None else ""
                    step = EscalationCall(actor.arn, action, arn, answer, f"it creates a {kind}{terms}")
                    created = self._principal(actor, kind, arn, boundary)
                    edge = self._edge(actor, created, step)
                    if edge is not None:
                        yield edge
                        return

    def policies(self, actor: EscalationActor) -> Iterator[tuple[str, EscalationCall]]:
        """Yield the ARNs of policies that an actor may create with any text, each with the call."""
        for arn in self._names(actor, CREATE_POLICY, "policy") if CREATE_POLICY in actor.able else ():
            answer = actor.may(EntityRequest(CREATE_POLICY, arn, actor.account, {}, {}))
            if answer is not None:
                note = "it creates a policy that allows everything"
                yield arn, EscalationCall(actor.arn, CREATE_POLICY, arn, answer, note)

    def _edge(self, actor: EscalationActor, created: StoredPrincipal, step: EscalationCall) -> Edge | None:
        """Return the calls that create a principal, give it everything and return its credentials.

        None if one is denied, or if the principal is no administrator then.
        """
        administrator = with_effect(created, StateEffect(frozenset({ALLOW_ALL})))
        if not EscalationActor(actor.answers, administrator).is_administrator():
            return None
        action = CREATE_KEY if created.kind == "user" else ASSUME_ROLE
        entry = (
            actor.may(self._directory.request(CREATE_KEY, created))
            if created.kind == "user"
            else self._roles.may_assume_opened(actor, created)
        )
        for grant, kind in GRANTS if entry is not None else ():
            if kind == created.kind:
                attached = {"PolicyARN": self._directory.everything} if grant.startswith("iam:Attach") else {}
                given = actor.may(self._directory.request(grant, created, **attached))
                if given is not None and entry is not None:
                    call = EscalationCall(actor.arn, grant, created.arn, given, "the policy allows everything")
                    last = EscalationCall(actor.arn, action, created.arn, entry)
                    return Edge((step, call, last), created=administrator)
        return None

    def _terms(
        self, actor: EscalationActor, action: str, arn: str
    ) -> Iterator[tuple[StoredPolicy | None, AccessAnswer]]:
        """Yield the boundary with which an entity may be created: None if it needs none, else each that will do."""
        request = EntityRequest(action, arn, actor.account, {}, {})
        answer = actor.may(request)
        if answer is not None:
            yield None, answer
        elif actor.may_for_some(request, "iam:permissionsboundary"):
            for policy in self._directory.attachable(actor.account):
                answer = actor.may(request._replace(context={"iam:PermissionsBoundary": policy.arn}))
                if answer is not None:
                    yield as_boundary(policy.current), answer

    def _principal(self, actor: EscalationActor, kind: str, arn: str, boundary: StoredPolicy | None) -> StoredPrincipal:
        """Return a principal without permissions."""
        name, partition = arn.rpartition("/")[2], self._directory.partition
        caller = Principal.from_arn(arn, has_boundary=boundary is not None) if kind == "user" else None
        if caller is None:
            session = session_arn(partition, actor.account, name, ANY_SESSION)
            caller = Principal.from_arn(session, role_arn=arn, has_boundary=boundary is not None)
        known = actor.principal.record
        record = PrincipalRecord(known.epoch, True, replace(caller), boundary=boundary)
        return StoredPrincipal(kind, arn, actor.account, record)

    def _names(self, actor: EscalationActor, action: str, kind: str) -> Iterator[str]:
        """Yield names of new entities that the actor's Allow statements admit."""
        found: dict[str, None] = {}
        for written in actor.written_resources(action):
            resource = written.split(":", 5)[-1] if written.startswith("arn:") else f"{kind}/*"
            if resource == "*" or resource.startswith("*"):
                resource = f"{kind}/*"
            name = resource.replace("*", NEW).replace("?", "x")
            arn = f"arn:{self._directory.partition}:iam::{actor.account}:{name}"
            if name.startswith(f"{kind}/") and "$" not in name and not self._directory.has(arn):
                found[arn] = None
        yield from list(found)[:_MAX_NAMES]
